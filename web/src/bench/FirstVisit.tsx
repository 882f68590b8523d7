// Nothing is here yet: one button that shows what a loop is.
import { busy, recipes, value_of } from "../store";
import { Command } from "../shell/States";
import { start_demo } from "./load";

export function FirstVisit() {
  const demo = value_of(recipes.value)?.find((recipe) => recipe.demo !== null);
  return (
    <section class="first-visit" aria-labelledby="first">
      <h2 id="first">See a loop turn</h2>
      <p>A loop makes something, looks at the real result, judges it against a bar, and repairs it until it passes. The demo needs no model and nothing leaves this box.</p>
      {demo ? (
        <button type="button" class="primary" disabled={busy.value !== ""} onClick={() => void start_demo(demo)}>
          {busy.value === "demo" ? "Starting…" : "Run the demo loop"}
        </button>
      ) : (
        <Command line="make demo" />
      )}
    </section>
  );
}
