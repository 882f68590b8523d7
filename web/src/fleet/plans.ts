// How far plans are, and who is in the fleet.
import { fail, get } from "../api";
import { nodes, plans, ready } from "../store";
import { Nodes, Plans } from "../types";

export async function load_plans(): Promise<void> {
  try {
    plans.value = ready(await get("/v1/plans", Plans));
  } catch (problem) {
    fail(plans, problem);
  }
}

export async function load_nodes(): Promise<void> {
  try {
    nodes.value = ready(await get("/v1/nodes", Nodes));
  } catch (problem) {
    fail(nodes, problem);
  }
}
