// How far plans are.
import { fail, get } from "../api";
import { plans, ready } from "../store";
import { Plans } from "../types";

export async function load_plans(): Promise<void> {
  try {
    plans.value = ready(await get("/v1/plans", Plans));
  } catch (problem) {
    fail(plans, problem);
  }
}
