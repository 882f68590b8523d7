// The models, those in memory first.
import { bytes, duration } from "../format";
import { busy, owner } from "../store";
import { clip } from "../format";
import { Empty } from "../shell/States";
import { Outcome } from "../shell/Outcome";
import type { Pool, PoolModel } from "../types";
import { set_loaded } from "./load";

const kOrder = ["ready", "loading", "failed", "cold"];
const kWords: Record<string, string> = { ready: "in memory", loading: "loading", failed: "failed", cold: "on disk" };

function footprint(model: PoolModel): number {
  return model.weights + model.kv + model.prefix + model.scratch + model.media + model.program;
}

function ModelCard({ model }: { model: PoolModel }) {
  const here = model.state === "ready";
  return (
    <li class={`model ${model.state}`}>
      <div class="model-head">
        <h3 title={model.name}>{clip(model.name, 80)}</h3>
        <Outcome word={kWords[model.state] ?? model.state} tone={here ? "pass" : model.state === "failed" ? "fail" : model.state === "loading" ? "busy" : "idle"} />
      </div>
      {model.state === "loading" && <progress max={1} value={model.loaded} aria-label={`${model.name}: weights read`} />}
      {model.problem !== "" && <p class="fail-text">{clip(model.problem, 400)}</p>}
      <p class="model-facts">
        {here ? (
          <>
            <span><b>{bytes(footprint(model))}</b> booked</span>
            <span><b>{model.running}</b> running</span>
            {model.waiting > 0 && <span><b>{model.waiting}</b> waiting</span>}
            <span><b>{model.tokens_per_second.toFixed(1)}</b> tokens/s</span>
            {model.load_seconds > 0 && <span>loaded in {duration(1000 * model.load_seconds)}</span>}
            {model.pinned && <span>pinned</span>}
          </>
        ) : (
          <span>{model.state === "cold" ? "loaded when it is first asked" : ""}</span>
        )}
      </p>
      {owner.value && model.state !== "failed" && (
        <button type="button" class="quiet" disabled={busy.value !== ""} onClick={() => void set_loaded(model.name, !here)} aria-label={`${here ? "Unload" : "Load"} ${model.name}`}>
          {busy.value === model.name ? "…" : here ? "Unload" : "Load"}
        </button>
      )}
    </li>
  );
}

export function ModelList({ pool }: { pool: Pool }) {
  const models = [...pool.models].sort((a, b) => kOrder.indexOf(a.state) - kOrder.indexOf(b.state) || a.name.localeCompare(b.name));
  return (
    <section aria-labelledby="models">
      <h2 id="models">Models</h2>
      {models.length === 0 ? (
        <Empty title="No model is here yet." command="lathe pull hf:Qwen/Qwen3-0.6B-GGUF"><p class="dim">Files that lie in the served directory appear after a restart.</p></Empty>
      ) : (
        <ul class="models">{models.map((model) => <ModelCard key={model.name} model={model} />)}</ul>
      )}
    </section>
  );
}
