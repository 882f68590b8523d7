// All that the page knows, in one place. Components read these signals and call actions; they keep nothing of their own.
import { computed, signal } from "@preact/signals";
import type { Agreement, Benchmarks, Catalog, ChatBook, Consent, Consents, Doctor, Fit, KeptRow, Labels, Model, Nodes, Plans, Pool, PricedAt, Recipe, Run, RunEvent, RunRow, Session, Track, TrackRow, Usage } from "./types";

export interface Fault {
  message: string;
  remedy: string;
  status: number; // of HTTP; 0: no answer came
}

export type Loadable<T> = { state: "loading" } | { state: "ready"; value: T } | { state: "failed"; fault: Fault };
export const loading: { state: "loading" } = { state: "loading" };
export function ready<T>(value: T): Loadable<T> {
  return { state: "ready", value };
}
export function value_of<T>(of: Loadable<T>): T | null {
  return of.state === "ready" ? of.value : null;
}

// --- The page itself ---

export interface Route {
  view: string; // "bench", "runs", "run", …
  id: string; // of a run; ""
  unit: number | null;
}
export const route = signal<Route>({ view: "bench", id: "", unit: null });

export type Theme = "auto" | "light" | "dark";
export const theme = signal<Theme>("auto");

export const width = signal(1280); // of the window
export const now = signal(Date.now()); // moves on every second
export const gone = signal<number | null>(null); // since when the server does not answer
export const keyWanted = signal(false);
export const keyTyped = signal("");
export const keyFault = signal("");
export const session = signal<Session | null>(null);
export const owner = computed(() => session.value?.owner ?? false);
// Whoever runs the server sees how far the runs of keys are, and not what they say.
export function of_another(row: RunRow): boolean {
  return owner.value && row.by !== "" && row.by !== "owner";
}
// Said to screen readers, at most once a second.
export const spoken = signal("");

// --- Bench ---

export const pool = signal<Loadable<Pool>>(loading);
export interface Moment {
  t: number;
  tokens: number;
  watts: number | null;
}
export const moments = signal<Moment[]>([]); // the last five minutes
export const recipes = signal<Loadable<Recipe[]>>(loading);
export const models = signal<Loadable<Model[]>>(loading);
export const busy = signal(""); // the action that is under way; "": none
export const actionFault = signal<Fault | null>(null);

// --- Runs, a run ---

export interface NewRun {
  recipe: string; // "": the first one
  text: string;
  path: string;
  workers: Record<string, string>; // a model for a name
  key: string; // a person's own, sent with the request and forgotten
}
export const newRun = signal<NewRun>({ recipe: "", text: "", path: "", workers: {}, key: "" });
export const runs = signal<Loadable<RunRow[]>>(loading);
export const runsNext = signal<string | null>(null);

export const run = signal<Loadable<Run>>(loading);
export const tracks = signal<(TrackRow | undefined)[]>([]); // by their index; undefined: not here yet
export const tracksFault = signal<Fault | null>(null);
export const events = signal<RunEvent[]>([]); // the last few hundred
export const watching = signal<"off" | "live" | "lost" | "ended" | "removed">("off");
export type Filter = "all" | "passed" | "failed" | "open";
export const filter = signal<Filter>("all");
export const search = signal("");
export const gridTop = signal(0); // how far the grid is scrolled
export const gridHeight = signal(600);
export const selected = signal<number | null>(null); // the index of a track
export const unit = signal<Loadable<Track>>(loading);
export const lapShown = signal<number | null>(null); // null: the last one
export const candidateShown = signal<number | null>(null); // null: the best one

// Texts of artifacts, by blob. The newest few are kept.
export interface BlobText {
  text: string;
  whole: boolean;
}
export const texts = signal<Record<string, Loadable<BlobText>>>({});
export const comparing = signal(true); // texts are shown as changes to the lap before
export const undrawn = signal<Record<string, true>>({}); // pictures that could not be had, by their addresses
export const framed = signal(""); // the blob of the HTML that is shown as a page
export const playhead = signal<{ blob: string; seconds: number }>({ blob: "", seconds: 0 });

// --- Chat ---

export interface Attachment {
  name: string;
  type: string;
  data: string; // a data: URL
}
export interface Turn {
  role: "user" | "assistant";
  text: string;
  thinking: string;
  attachments: Attachment[];
  seed: number | null;
  note: string; // what it took
  prices: PricedAt["priced_at"];
  fault: Fault | null;
  open: boolean; // it is still being written
}
export interface ChatSettings {
  model: string;
  system: string;
  temperature: string;
  maxTokens: string;
  schema: string;
}
export const turns = signal<Turn[]>([]);
export const draft = signal("");
export const attachments = signal<Attachment[]>([]);
export const chatSettings = signal<ChatSettings>({ model: "", system: "", temperature: "", maxTokens: "", schema: "" });
export const chatFault = signal("");
export const recipeShown = signal(false);
export const chats = signal<Loadable<ChatBook>>(loading); // those that are kept
export const chatSearch = signal("");
export const keepTalks = signal(true);
export const kept = signal<KeptRow | null>(null); // what is shown, as the server has it; null: it is not kept
export const forgetting = signal(""); // the one that is asked about once more
export const voices = signal(0); // how many can speak here
export const speaking = signal<number | null>(null); // the turn that is heard

// --- Judge it ---

export const labels = signal<Loadable<Labels>>(loading);
export const agreement = signal<Loadable<Agreement>>(loading);
export const takeShown = signal(0);
export const reason = signal("");
export const labelFault = signal<Fault | null>(null);
export const lastLabel = signal(""); // said after each one

// --- Fleet ---

export const plans = signal<Loadable<Plans>>(loading);
export const nodes = signal<Loadable<Nodes>>(loading);

// --- Consent ---

export const consents = signal<Loadable<Consents>>(loading);
export const consent = signal<Loadable<Consent>>(loading); // the one that the address names
export const secretsOk = signal<string[]>([]); // kinds in it that may go all the same
export const consentFault = signal<Fault | null>(null);

// --- The rest ---

export const fitFiles = signal<Record<string, { context: string; streams: string }>>({});
export const fitKv = signal("f16");
export const fit = signal<Loadable<Fit> | null>(null);
export const usageBy = signal("model");
export const usage = signal<Loadable<Usage>>(loading);
export const benchmarks = signal<Loadable<Benchmarks>>(loading);
// Records by their names, as `lathe bench --out` wrote them.
export const records = signal<Record<string, Loadable<unknown>>>({});
export const compared = signal<string[]>([]); // the names of one or two
export const catalog = signal<Loadable<Catalog>>(loading);
export const pulling = signal<{ name: string; done: number; total: number; words: string } | null>(null);
export const pullName = signal("");
export const doctor = signal<Loadable<Doctor>>(loading);
