// What is on this machine, and fetching what is not.
import { bytes, percent } from "../format";
import { actionFault, catalog, owner, pullName, pulling } from "../store";
import { Outcome } from "../shell/Outcome";
import { Command, Empty, FaultNote, Heading, When } from "../shell/States";
import type { Catalog } from "../types";
import { pull } from "./load";

function Pull({ value }: { value: Catalog }) {
  if (!value.pull || !owner.value)
    return (
      <section class="panel">
        <h2>Get a model</h2>
        <p class="dim">This server fetches nothing. On the box itself:</p>
        <Command line="lathe pull hf:OWNER/REPO" />
        <p class="dim">Or let the page do it: <code>lathe serve --allow-pull</code></p>
      </section>
    );
  const now = pulling.value;
  return (
    <section class="panel">
      <h2>Get a model</h2>
      {actionFault.value && <FaultNote fault={actionFault.value} again={false} />}
      {now ? (
        <div role="status">
          <p>{now.name}: {now.words} <span class="num">{now.total > 0 && `${bytes(now.done)} of ${bytes(now.total)}, ${percent(now.done / now.total)}`}</span></p>
          <progress max={Math.max(1, now.total)} value={now.done} aria-label="fetched" />
        </div>
      ) : (
        <form
          class="toolbar"
          onSubmit={(event) => {
            event.preventDefault();
            void pull();
          }}
        >
          <label>Its name<input placeholder="hf:OWNER/REPO or ollama:NAME" value={pullName.value} onInput={(event) => (pullName.value = event.currentTarget.value)} /></label>
          <button type="submit" class="primary" disabled={pullName.value.trim() === ""}>Fetch</button>
        </form>
      )}
      <p class="note">This asks the hub that the server was started with, and nobody else.</p>
    </section>
  );
}

export function CatalogView() {
  return (
    <>
      <Heading title="Catalog" below={<p class="dim">Models on this machine, those of other programs too.</p>} />
      <When of={catalog.value} what="the catalog">
        {(value) => (
          <>
            <Pull value={value} />
            {[...value.served, ...value.models].length === 0 ? (
              <Empty title="No model is on this machine." command="lathe pull hf:OWNER/REPO" />
            ) : (
              <ul class="models">
                {[...value.served, ...value.models].map((model) => (
                  <li key={`${model.from} ${model.name}`} class="model">
                    <div class="model-head"><h3>{model.name}</h3><Outcome word={model.whole ? "whole" : "in part"} tone={model.whole ? "pass" : "doubt"} /></div>
                    <p class="model-facts"><span><b>{bytes(model.bytes)}</b></span><span>{model.from}</span>{model.source && <span>{model.source}</span>}</p>
                  </li>
                ))}
              </ul>
            )}
            <p class="note">In {value.directory}, and where other programs keep theirs.</p>
          </>
        )}
      </When>
    </>
  );
}
