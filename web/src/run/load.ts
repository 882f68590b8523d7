// One run: its summary, its tracks page by page, and what happens in it, live.
import { ask, fault_of, get, run_path } from "../api";
import {
  actionFault, busy, candidateShown, events, filter, gridTop, lapShown, loading, ready, route, run, search, selected, spoken, tracks, tracksFault, unit,
  value_of, watching,
} from "../store";
import { Run, RunEvent, TrackPage, type TrackRow } from "../types";
import { load_unit } from "./unit";

const kPage = 200;
const kEventsKept = 200;
const kRefreshEvery = 1000; // ms, while records come
const kRetry = 1000;

let shown = ""; // the run that all of this is about
let source: EventSource | null = null;
let seq = 0; // the last record that has been heard of
let dirty = new Set<number>(); // tracks that have changed
let summaryDirty = false;
let refreshTimer: number | undefined;
let retryTimer: number | undefined;
let refreshing = false;

export function leave_run(): void {
  source?.close();
  source = null;
  clearTimeout(refreshTimer);
  clearTimeout(retryTimer);
  refreshTimer = undefined;
  shown = "";
  dirty = new Set();
  summaryDirty = false;
  run.value = loading;
  tracks.value = [];
  tracksFault.value = null;
  events.value = [];
  watching.value = "off";
  filter.value = "all";
  search.value = "";
  gridTop.value = 0;
  selected.value = null;
  unit.value = loading;
  lapShown.value = null;
  candidateShown.value = null;
}

export async function load_run(id: string): Promise<void> {
  shown = id;
  if (!(await load_summary(id)) || shown !== id) return;
  watch(id);
  await load_tracks(id);
}

async function load_summary(id: string): Promise<boolean> {
  try {
    const value = await get(run_path(id), Run);
    if (shown !== id) return false;
    if (value_of(run.value) === null) seq = value.seq;
    run.value = ready(value);
    return true;
  } catch (problem) {
    if (shown === id && run.value.state !== "ready") run.value = { state: "failed", fault: fault_of(problem) };
    return false;
  }
}

// All of them, the first ones first: from then on filters and the grid need nobody.
async function load_tracks(id: string): Promise<void> {
  try {
    for (let from: number | null = 0; from !== null; ) {
      const page: { tracks: TrackRow[]; next: number | null } = await get(`${run_path(id)}/units?from=${from}&limit=${kPage}`, TrackPage);
      if (shown !== id) return;
      put_tracks(page.tracks);
      from = page.next;
    }
    tracksFault.value = null;
  } catch (problem) {
    if (shown === id) tracksFault.value = fault_of(problem);
  }
}

function put_tracks(rows: TrackRow[]): void {
  const all = tracks.value.slice();
  for (const row of rows) all[row.index] = row;
  tracks.value = all;
}

// --- Live ---

function watch(id: string): void {
  source?.close();
  source = new EventSource(`${run_path(id)}/events?after=${seq}`);
  source.addEventListener("open", () => {
    watching.value = "live";
  });
  source.addEventListener("record", (message) => {
    if (shown === id) take(id, (message as MessageEvent<string>).data);
  });
  source.addEventListener("end", () => finish(id, "ended"));
  source.addEventListener("gone", () => finish(id, "removed"));
  // A browser's own way to come back has no say in when, and gives up at a refusal.
  source.addEventListener("error", () => {
    if (shown !== id) return;
    source?.close();
    watching.value = "lost";
    retryTimer = setTimeout(() => void watch_again(id), kRetry);
  });
}

// A browser gives a server six connections for all its tabs: one that nobody looks at lets go of its own, and goes on from there.
document.addEventListener("visibilitychange", () => {
  if (shown === "" || watching.value !== "live") return;
  if (document.hidden) {
    source?.close();
    source = null;
  } else if (source === null) {
    watch(shown);
  }
});

async function watch_again(id: string): Promise<void> {
  if (shown !== id) return;
  if (await load_summary(id)) {
    watch(id);
    if (tracks.value.length === 0) await load_tracks(id);
  } else if (shown === id) {
    retryTimer = setTimeout(() => void watch_again(id), kRetry);
  }
}

function take(id: string, data: string): void {
  let event: RunEvent;
  try {
    event = RunEvent(JSON.parse(data), "event");
  } catch {
    return; // of a newer server
  }
  seq = Math.max(seq, event.seq);
  if (event.line !== "") events.value = [...events.value.slice(1 - kEventsKept), event];
  if (event.track !== null) dirty.add(event.track);
  summaryDirty = true;
  if (event.kind === "units") void load_tracks(id);
  refresh_soon(id);
}

function refresh_soon(id: string): void {
  if (refreshTimer !== undefined || refreshing) return;
  refreshTimer = setTimeout(() => {
    refreshTimer = undefined;
    void refresh(id);
  }, kRefreshEvery);
}

// The summary and the tracks that have changed, in as few requests as their places allow.
async function refresh(id: string): Promise<void> {
  if (shown !== id) return;
  refreshing = true;
  const wanted = [...dirty].sort((a, b) => a - b);
  dirty = new Set();
  const summary = summaryDirty;
  summaryDirty = false;
  try {
    if (summary) await load_summary(id);
    for (let i = 0; i < wanted.length && shown === id; ) {
      const from = wanted[i]!;
      let last = from;
      while (i < wanted.length && wanted[i]! < from + kPage) last = wanted[i++]!;
      const page = await get(`${run_path(id)}/units?from=${from}&limit=${last - from + 1}`, TrackPage);
      if (shown === id) put_tracks(page.tracks);
    }
    const open = route.value.unit;
    if (shown === id && open !== null && wanted.includes(open)) await load_unit(id, open);
    say_progress();
  } catch {
    for (const index of wanted) dirty.add(index);
    summaryDirty = true;
  }
  refreshing = false;
  if (shown === id && (dirty.size > 0 || summaryDirty)) refresh_soon(id);
}

function say_progress(): void {
  const value = value_of(run.value);
  if (value) spoken.value = `${value.units_passed} of ${value.units} units passed`;
}

async function finish(id: string, how: "ended" | "removed"): Promise<void> {
  if (shown !== id) return;
  source?.close();
  source = null;
  watching.value = how;
  if (how === "removed") {
    run.value = { state: "failed", fault: { status: 404, message: "This run was removed while it was watched.", remedy: "The list of runs has those that are left." } };
    return;
  }
  for (const row of tracks.value) if (row) dirty.add(row.index);
  summaryDirty = true;
  refresh_soon(id);
}

// --- What a person may ask for ---

export async function change_run(id: string, what: "stop" | "resume"): Promise<void> {
  busy.value = what;
  actionFault.value = null;
  try {
    await ask("POST", `${run_path(id)}/${what}`);
    await load_summary(id);
    if (shown === id && what === "resume") watch(id);
  } catch (problem) {
    actionFault.value = fault_of(problem);
  }
  busy.value = "";
}
