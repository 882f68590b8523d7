// The list of runs, newest first.
import { ask, fail, fault_of, get } from "../api";
import { load_recipes } from "../bench/load";
import { load_models } from "../chat/load";
import { go, to_run } from "../router";
import { actionFault, busy, models, newRun, owner, ready, recipes, runs, runsNext } from "../store";
import { RunList, Started, type Recipe } from "../types";

const kPage = 50;

// The first page anew; what was paged in below it stays.
export async function load_runs(): Promise<void> {
  try {
    const page = await get(`/v1/runs?limit=${kPage}`, RunList);
    const known = runs.value.state === "ready" ? runs.value.value : [];
    const fresh = new Set(page.runs.map((row) => row.id));
    const last = page.runs.at(-1);
    const below = last ? known.filter((row) => !fresh.has(row.id) && row.created_ms <= last.created_ms) : [];
    runs.value = ready([...page.runs, ...below]);
    if (below.length === 0) runsNext.value = page.next;
  } catch (problem) {
    fail(runs, problem);
  }
}

export async function load_more_runs(): Promise<void> {
  if (runsNext.value === null || runs.value.state !== "ready") return;
  try {
    const page = await get(`/v1/runs?limit=${kPage}&before=${encodeURIComponent(runsNext.value)}`, RunList);
    runs.value = ready([...runs.value.value, ...page.runs]);
    runsNext.value = page.next;
  } catch (problem) {
    fail(runs, problem);
  }
}

// What a run is begun with: once, as it changes with the program alone.
export function load_beginnings(): void {
  if (recipes.value.state !== "ready") void load_recipes();
  if (models.value.state !== "ready") void load_models();
}

export async function start_run(recipe: Recipe): Promise<void> {
  const { text, path, workers, key } = newRun.value;
  const named = Object.entries(workers).filter(([, model]) => model !== "");
  const body = {
    recipe: recipe.name,
    ...(text.trim() === "" ? { input_path: path.trim() } : { input_text: text }),
    ...(owner.value && named.length > 0 ? { workers: Object.fromEntries(named.map(([name, model]) => [name, `${location.origin}/v1#${model}`])) } : {}),
  };
  busy.value = "run";
  actionFault.value = null;
  try {
    const answer = await ask("POST", "/v1/runs", body, key === "" ? {} : { headers: { Authorization: `Bearer ${key}` } });
    const { id } = Started(await answer.json(), "the run");
    newRun.value = { ...newRun.value, text: "", path: "", key: "" };
    go(to_run(id));
  } catch (problem) {
    actionFault.value = fault_of(problem);
  }
  busy.value = "";
}
