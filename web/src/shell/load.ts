// What each view needs, fetched when it is shown and, where it changes by itself, every two seconds.
import { effect, untracked } from "@preact/signals";
import { ask } from "../api";
import { load_bench } from "../bench/load";
import { load_benchmarks } from "../benchmarks/load";
import { load_catalog } from "../catalog/load";
import { load_chats, open_talk } from "../chat/kept";
import { load_models } from "../chat/load";
import { load_voices, stop_speech } from "../chat/speech";
import { load_consents } from "../fleet/consents";
import { load_nodes, load_plans } from "../fleet/plans";
import { load_doctor } from "../doctor/load";
import { load_judge } from "../judge/load";
import { load_ledger } from "../ledger/load";
import { leave_run, load_run } from "../run/load";
import { load_unit } from "../run/unit";
import { load_beginnings, load_runs } from "../runs/load";
import { get } from "../api";
import { actionFault, gone, keyWanted, now, route, selected, session } from "../store";
import { Session } from "../types";

const kEvery = 2000;

export async function load_session(): Promise<void> {
  try {
    session.value = await get("/v1/session", Session);
    keyWanted.value = false;
  } catch {
    // Said by the key's form or the banner.
  }
}

// `again`: the view is there already, and is only brought up to date.
function load(view: string, id: string, again: boolean): void {
  if (view === "bench") void load_bench();
  else if (view === "runs") {
    void load_runs();
    if (!again) load_beginnings();
  }
  else if (view === "run" && !again) void load_run(id);
  else if (view === "judge") void load_judge(id, again);
  else if (view === "chat" && !again) {
    void load_models();
    void load_voices();
    void load_chats();
    void open_talk(id);
  }
  else if (view === "fit" && !again) void load_catalog();
  else if (view === "catalog" && !again) void load_catalog();
  else if (view === "ledger") void load_ledger();
  else if (view === "benchmarks" && !again) void load_benchmarks(id);
  else if (view === "fleet") {
    void load_plans();
    void load_nodes();
  }
  else if (view === "consent") void load_consents(id, again);
  else if (view === "doctor" && !again) void load_doctor();
}

export function reload(): void {
  load(route.value.view, route.value.id, false);
}

export function follow_views(): void {
  let shown = "";
  effect(() => {
    const { view, id } = route.value;
    const key = `${view} ${id}`;
    if (key === shown) return;
    shown = key;
    untracked(() => {
      actionFault.value = null;
      leave_run();
      stop_speech();
      load(view, id, false);
    });
  });
  effect(() => {
    const { view, id, unit } = route.value;
    if (view !== "run" || unit === null) return;
    selected.value = unit;
    untracked(() => void load_unit(id, unit));
  });
  setInterval(() => {
    now.value = Date.now();
  }, 1000);
  setInterval(() => {
    if (document.hidden) return;
    if (gone.value !== null) void come_back();
    else if (!keyWanted.value) load(route.value.view, route.value.id, true);
  }, kEvery);
}

// The server was gone: when it answers again, everything is asked anew.
async function come_back(): Promise<void> {
  try {
    await ask("GET", "/v1/session");
  } catch {
    if (gone.value !== null) return;
  }
  await load_session();
  reload();
}
