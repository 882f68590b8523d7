// Begins a run: a recipe, what it works on, and whom it asks.
import { clip } from "../format";
import { actionFault, busy, models, newRun, owner, recipes, session, value_of, type NewRun } from "../store";
import { FaultNote, When } from "../shell/States";
import type { Recipe } from "../types";
import { start_run } from "./load";

function set(change: Partial<NewRun>): void {
  newRun.value = { ...newRun.value, ...change };
}

// Models that can answer, for each name that the recipe asks.
function Workers({ recipe }: { recipe: Recipe }) {
  const able = value_of(models.value) ?? [];
  return (
    <>
      {recipe.workers.map(({ name, needed }) => (
        <label key={name}>
          {name} is
          <select value={newRun.value.workers[name] ?? ""} onChange={(event) => set({ workers: { ...newRun.value.workers, [name]: event.currentTarget.value } })}>
            <option value="">{needed ? "the model of this name, or one of workers.toml" : "left out where it is not there"}</option>
            {able.map((model) => <option key={model.id} value={model.id}>{model.id}</option>)}
          </select>
        </label>
      ))}
    </>
  );
}

function Fields({ all }: { all: Recipe[] }) {
  const usable = all.filter((recipe) => recipe.error === "");
  const chosen = usable.find((recipe) => recipe.name === newRun.value.recipe) ?? usable[0];
  if (!chosen) return <p class="dim">No recipe can be used on this box; <code>lathe recipe list</code> says why.</p>;
  const { text, path, key } = newRun.value;
  const person = session.value?.keys === true && !owner.value;
  return (
    <form
      class="new-run"
      onSubmit={(event) => {
        event.preventDefault();
        void start_run(chosen);
      }}
    >
      <label>
        Recipe
        <select value={chosen.name} onChange={(event) => set({ recipe: event.currentTarget.value, workers: {} })}>
          {usable.map((recipe) => <option key={recipe.name} value={recipe.name}>{recipe.name}</option>)}
        </select>
      </label>
      <p class="note">{clip(chosen.summary, 300)}</p>
      <label>What it works on<textarea rows={5} placeholder={chosen.input === "" ? "a text" : `a text, as in ${chosen.input}`} value={text} onInput={(event) => set({ text: event.currentTarget.value })} /></label>
      {owner.value && text === "" && <label>Or a file or directory of this box<input class="mono" placeholder="/home/you/project" value={path} onInput={(event) => set({ path: event.currentTarget.value })} /></label>}
      {owner.value && <Workers recipe={chosen} />}
      {person && <label>Your key, which the run asks with<input type="password" autocomplete="off" value={key} onInput={(event) => set({ key: event.currentTarget.value })} /></label>}
      <button type="submit" class="primary" disabled={busy.value !== "" || (text.trim() === "" && path.trim() === "")}>{busy.value === "run" ? "Beginning…" : "Begin"}</button>
    </form>
  );
}

export function BeginRun() {
  return (
    <details class="panel begin-run">
      <summary><h2>Begin a run</h2></summary>
      {actionFault.value && <FaultNote fault={actionFault.value} again={false} />}
      <When of={recipes.value} what="the recipes">{(all) => <Fields all={all} />}</When>
    </details>
  );
}
