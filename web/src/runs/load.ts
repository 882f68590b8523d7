// The list of runs, newest first.
import { fail, get } from "../api";
import { ready, runs, runsNext } from "../store";
import { RunList } from "../types";

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
