// What calls took, added up.
import { fail, get } from "../api";
import { ready, usage, usageBy } from "../store";
import { Usage } from "../types";

export async function load_ledger(): Promise<void> {
  try {
    usage.value = ready(await get(`/v1/usage?by=${encodeURIComponent(usageBy.value)}`, Usage));
  } catch (problem) {
    fail(usage, problem);
  }
}
