// Choose models and contexts, and see whether they fit: the same numbers as `lathe fit`.
import { bytes, count, percent } from "../format";
import { catalog, fit, fitFiles, fitKv } from "../store";
import { Outcome } from "../shell/Outcome";
import { Empty, FaultNote, Heading, Loading, When } from "../shell/States";
import type { Catalog, Fit } from "../types";
import { size_models } from "./load";

const kParts = ["weights", "kv", "step", "prefix", "state", "scratch"] as const;
const kTags: Record<(typeof kParts)[number], string> = { weights: "weights", kv: "kv", step: "media", prefix: "prefix", state: "program", scratch: "scratch" };

function choose(name: string, change: { context?: string; streams?: string } | null): void {
  const { [name]: known, ...others } = fitFiles.value;
  fitFiles.value = change === null ? others : { ...fitFiles.value, [name]: { ...(known ?? { context: "", streams: "1" }), ...change } };
  void size_models();
}

function Choice({ model }: { model: Catalog["models"][number] }) {
  const chosen = fitFiles.value[model.name];
  return (
    <li class="fit-row">
      <label class="check"><input type="checkbox" checked={chosen !== undefined} onChange={(event) => choose(model.name, event.currentTarget.checked ? {} : null)} />{model.name} <span class="dim">{bytes(model.bytes)}</span></label>
      {chosen && <label class="note">context<input aria-label={`Context of ${model.name}, tokens`} placeholder="the model’s" value={chosen.context} onChange={(event) => choose(model.name, { context: event.currentTarget.value.trim() })} /></label>}
      {chosen && <label class="note">streams<input aria-label={`Streams of ${model.name}`} value={chosen.streams} onChange={(event) => choose(model.name, { streams: event.currentTarget.value.trim() })} /></label>}
    </li>
  );
}

function Sum({ value }: { value: Fit }) {
  const whole = Math.max(value.memory, value.together.sum);
  return (
    <>
      <p class="unit-head"><span class="figure">{bytes(value.together.sum)}</span><span class="dim">of {bytes(value.memory)}</span><Outcome word={value.fits ? "fits" : "does not fit"} tone={value.fits ? "pass" : "fail"} /></p>
      <div class="memory-bar" role="img" aria-label={`${percent(value.together.sum / Math.max(1, value.memory))} of what is left for models; the table below has the parts`}>
        {kParts.filter((part) => value.together[part] > 0).map((part) => <i key={part} class={`tag-${kTags[part]}`} style={{ width: `${(100 * value.together[part]) / Math.max(1, whole)}%` }} />)}
      </div>
      <div class="table-scroll" tabIndex={0} role="region" aria-label="bytes by model">
        <table class="lines">
          <thead><tr><th scope="col">model</th><th scope="col" class="num">context</th><th scope="col" class="num">streams</th>{kParts.map((part) => <th key={part} scope="col" class="num"><i class={`swatch tag-${kTags[part]}`} />{part}</th>)}<th scope="col" class="num">sum</th></tr></thead>
          <tbody>
            {value.models.map((model, i) => (
              <tr key={i}><th scope="row">{model.file.split("/").at(-1)}{!model.runs && <span class="doubt-text"> (cannot be run yet)</span>}</th><td class="num">{count(model.context)}</td><td class="num">{model.streams}</td>{kParts.map((part) => <td key={part} class="num">{bytes(model[part])}</td>)}<td class="num">{bytes(model.sum)}</td></tr>
            ))}
          </tbody>
        </table>
      </div>
      <p class="note">{value.spare >= 0 ? `${bytes(value.spare)} to spare` : `${bytes(-value.spare)} too much`} · KV as {value.kv_type}</p>
    </>
  );
}

export function FitView() {
  const now = fit.value;
  return (
    <>
      <Heading title="Fit" below={<p class="dim">Which models stand together in this box’s memory, before any is loaded.</p>} />
      <When of={catalog.value} what="the models">
        {(value) =>
          [...value.served, ...value.models].length === 0 ? (
            <Empty title="No model is on this machine." command="lathe fit FILE.gguf:32768:4" />
          ) : (
            <>
              <section class="panel">
                <div class="toolbar">
                  <h2 class="grow">Models</h2>
                  <label>KV cache
                    <select
                      value={fitKv.value}
                      onChange={(event) => {
                        fitKv.value = event.currentTarget.value;
                        void size_models();
                      }}
                    >
                      {["f16", "q8_0", "q5_1", "q4_0", "f32"].map((kv) => <option key={kv}>{kv}</option>)}
                    </select>
                  </label>
                </div>
                <ul>{[...value.served, ...value.models].map((model) => <Choice key={`${model.from} ${model.name}`} model={model} />)}</ul>
              </section>
              <section class="panel" aria-live="polite">
                <h2>Together</h2>
                {now === null ? <p class="dim">Choose a model above; its context and how many streams it is to have stand beside it.</p> : now.state === "loading" ? <Loading what="the sums" /> : now.state === "failed" ? <FaultNote fault={now.fault} again={false} /> : <Sum value={now.value} />}
              </section>
            </>
          )
        }
      </When>
    </>
  );
}
