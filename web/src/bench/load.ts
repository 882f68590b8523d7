// The machine's state, as often as it is looked at.
import { ask, fail, fault_of, get, post } from "../api";
import { go, to_run } from "../router";
import { actionFault, busy, moments, pool, ready, recipes } from "../store";
import { Pool, Recipes, Started, type Recipe } from "../types";

const kKept = 150; // moments: five minutes

export async function load_bench(): Promise<void> {
  try {
    const value = await get("/v1/pool", Pool);
    pool.value = ready(value);
    const tokens = value.models.reduce((sum, model) => sum + model.tokens_per_second, 0);
    moments.value = [...moments.value.slice(1 - kKept), { t: Date.now(), tokens, watts: value.energy.watts }];
  } catch (problem) {
    fail(pool, problem);
    return;
  }
  if (recipes.value.state === "loading") await load_recipes();
}

export async function load_recipes(): Promise<void> {
  try {
    recipes.value = ready(await get("/v1/recipes", Recipes));
  } catch (problem) {
    fail(recipes, problem);
  }
}

export async function start_demo(recipe: Recipe): Promise<void> {
  busy.value = "demo";
  actionFault.value = null;
  try {
    const { id } = await post("/v1/runs", recipe.demo, Started);
    go(to_run(id));
  } catch (problem) {
    actionFault.value = fault_of(problem);
  }
  busy.value = "";
}

export async function set_loaded(model: string, loaded: boolean): Promise<void> {
  busy.value = model;
  actionFault.value = null;
  try {
    await ask("POST", loaded ? "/v1/models/load" : "/v1/models/unload", { model });
    await load_bench();
  } catch (problem) {
    actionFault.value = fault_of(problem);
  }
  busy.value = "";
}
