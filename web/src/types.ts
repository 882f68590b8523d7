// The server's answers (docs/web.md), by the names that they have in C++ (src/show/run/json.cpp, src/serve).
import { any, flag, list, nullable, number, object, or, record, text, type Of, type Shape } from "./shape";

export const Session = object({ keys: flag, owner: flag, name: text });
export type Session = Of<typeof Session>;

// --- GET /v1/pool, /v1/models ---

export const PoolModel = object({
  name: text,
  state: text,
  problem: text,
  pinned: flag,
  weights: number,
  kv: number,
  prefix: number,
  scratch: number,
  media: number,
  program: number,
  used: nullable(number),
  running: number,
  waiting: number,
  tokens_per_second: number,
  loaded: number,
  load_seconds: number,
});
export type PoolModel = Of<typeof PoolModel>;

export const RunRow = object({
  id: text,
  recipe: text,
  title: text,
  state: text,
  created: text,
  created_ms: or(number, 0),
  records: or(number, 0),
  units: nullable(number),
  units_passed: nullable(number),
  by: or(text, ""),
});
export type RunRow = Of<typeof RunRow>;

export const Pool = object({
  models: list(PoolModel),
  memory_limit: number,
  memory_booked: number,
  devices: record(object({ limit: number, booked: number })),
  resident: number,
  queued: number,
  energy: or(object({ watts: nullable(number), why: or(text, ""), scope: or(text, "") }), { watts: null, why: "", scope: "" }),
  loops: or(list(RunRow), []),
});
export type Pool = Of<typeof Pool>;

export const Models = object({
  data: list(
    object({
      id: text,
      state: text,
      capabilities: list(text),
      max_model_len: number,
      meta: object({ architecture: text, quantization: text, n_params: number, size: number }),
    }),
  ),
});
export type Model = Of<typeof Models>["data"][number];

// --- GET /v1/runs ---

export const RunList = object({ runs: list(RunRow), next: nullable(text) });

export const Critique = object({ locus: text, severity: text, claim: text, evidence: text, fingerprint: text });

export const Exhibit = object({
  kind: text,
  title: or(text, ""),
  width: or(number, 0),
  height: or(number, 0),
  boxes: or(list(list(number)), []),
  heat: nullable(object({ columns: number, rows: number, values: list(number) })),
  png: nullable(text),
  words: or(list(object({ expected: text, heard: text, match: text, start: number, end: number })), []),
});
export type Exhibit = Of<typeof Exhibit>;

export const Verdict = object({
  judge: text,
  stage: text,
  outcome: text,
  score: number,
  bar: number,
  critiques: list(Critique),
  exhibits: list(Exhibit),
  evidence: any,
});
export type Verdict = Of<typeof Verdict>;

export const Candidate = object({
  n: number,
  error: text,
  blob: text,
  media_type: text,
  kind: or(text, "other"),
  bytes: nullable(number),
  facts: any,
  worker: nullable(text),
  ms: nullable(number),
  usage: nullable(record(any)),
  prompt: nullable(text),
  diff: nullable(list(object({ path: text, lines: list(list(text)) }))),
  verdicts: list(Verdict),
});
export type Candidate = Of<typeof Candidate>;

export const Lap = object({
  lap: number,
  move: text,
  reason: text,
  closed: flag,
  gained: flag,
  best: number,
  candidates: list(Candidate),
});
export type Lap = Of<typeof Lap>;

export const TrackRow = object({
  index: number,
  units: list(object({ key: text, passed: flag })),
  text: or(text, ""),
  state: text,
  unjudged: flag,
  why: text,
  caveats: text,
  fault: text,
  laps: list(object({ closed: flag, gained: flag, score: nullable(number) })),
});
export type TrackRow = Of<typeof TrackRow>;

export const TrackPage = object({ tracks: list(TrackRow), next: nullable(number) });

// Who was asked; `judge_name` "": a maker.
export const Call = object({ lap: or(number, 0), n: or(number, 0), judge_name: or(text, ""), attempt: or(number, 0), under_way: flag, worker: or(text, ""), reused: or(flag, false), ms: nullable(number), prompt: or(nullable(text), null) });
export type Call = Of<typeof Call>;

export const Track = object({
  index: number,
  units: list(object({ key: text, passed: flag })),
  text: or(text, ""),
  state: text,
  unjudged: flag,
  why: text,
  caveats: text,
  fault: text,
  rule: text,
  laps: list(Lap),
  calls: or(list(Call), []),
});
export type Track = Of<typeof Track>;

export const Run = object({
  id: or(text, ""),
  recipe: text,
  title: text,
  build: text,
  created_ms: number,
  t_ms: number,
  state: text,
  seq: number,
  outcome: text,
  why: text,
  units: number,
  units_passed: number,
  laps: number,
  caveats: text,
  waits: or(list(text), []),
  climate: or(text, ""),
  spent: list(object({ name: text, spent: nullable(number), limit: nullable(number) })),
  whole: list(Verdict),
  whole_calls: or(list(Call), []),
  rubrics: or(record(object({ text: or(text, ""), criteria: or(list(text), []) })), {}),
  yield: object({
    moves: list(object({ move: text, laps: number, gained: number, passed: number })),
    made: number,
    usable: number,
    judged_again: number,
    flipped: number,
    make_ms: number,
    judge_ms: number,
    candidates: number,
    one_shot: number,
    curve: list(number),
  }),
});
export type Run = Of<typeof Run>;

export const RunEvent = object({ seq: number, t_ms: number, kind: text, line: text, track: nullable(number) });
export type RunEvent = Of<typeof RunEvent>;

export const Started = object({ id: text });

// --- POST /v1/price ---

const Prices = list(object({ what: text, low_nano: number, high_nano: number, currency: text, basis: text }));
export const PricedAt = object({ priced_at: Prices });
export type PricedAt = Of<typeof PricedAt>;

// --- /v1/chats ---

export const ChatRow = object({ id: text, title: text, model: text, changed_ms: number, bytes: number });
export type ChatRow = Of<typeof ChatRow>;

export const ChatBook = object({ data: list(ChatRow), next: nullable(number), others: or(list(object({ key: text, chats: number })), []) });
export type ChatBook = Of<typeof ChatBook>;

export const KeptRow = object({ id: text, revision: number });
export type KeptRow = Of<typeof KeptRow>;

const Role: Shape<"user" | "assistant"> = (value, at) => (text(value, at) === "user" ? "user" : "assistant");
export const KeptChat = object({
  id: text,
  revision: number,
  turns: list(
    object({
      role: Role,
      text,
      thinking: or(text, ""),
      attachments: or(list(object({ name: text, type: text, data: text })), []),
      seed: nullable(number),
      note: or(text, ""),
      prices: or(Prices, []),
      fault: nullable(object({ message: text, remedy: text, status: number })),
    }),
  ),
  settings: object({ model: or(text, ""), system: or(text, ""), temperature: or(text, ""), maxTokens: or(text, ""), schema: or(text, "") }),
});

export const Voices = object({ data: list(object({ id: text })) });

// --- GET /v1/recipes ---

export const Recipe = object({
  name: text,
  summary: or(text, ""),
  error: or(text, ""),
  input: or(text, ""),
  workers: or(list(object({ name: text, needed: or(flag, false) })), []),
  demo: nullable(record(any)),
});
export type Recipe = Of<typeof Recipe>;
export const Recipes = list(Recipe);

// --- labels ---

export const Labels = object({
  labels: list(
    object({ unit: text, blob: text, accept: flag, reason: or(text, ""), revision: number, t_ms: or(number, 0), by: or(text, "") }),
  ),
  takes: list(object({ unit: text, index: number, lap: number, n: number, blob: text, media_type: text })),
});
export type Labels = Of<typeof Labels>;
export const Labelled = object({ revision: number });

const Rate = nullable(object({ rate: number, of: number, interval: list(number) }));
export const Agreement = object({
  labels: number,
  judges: list(
    object({
      judge: text,
      judged: number,
      // The person first: ft is what a person rejects and the judge passes.
      table: object({ tt: number, tf: number, ft: number, ff: number }),
      kappa: nullable(number),
      kappa_interval: nullable(list(number)),
      false_pass_rate: Rate,
      false_fail_rate: Rate,
      advisory: flag,
      why: or(text, ""),
      criteria: or(list(object({ name: text, agree: number, of: number })), []),
    }),
  ),
});
export type Agreement = Of<typeof Agreement>;

// --- consent ---

const ConsentRow = {
  id: text,
  decision: text,
  at: text,
  sha256: text,
  bytes: text,
  destination: text,
  model: text,
  tokens: text,
  price: text,
  secrets: list(text),
  run: text,
  files: text,
};
export const Consents = object({ data: list(object(ConsentRow)), open: number });
export type Consents = Of<typeof Consents>;
export const Consent = object({ ...ConsentRow, text: text, whole: flag });
export type Consent = Of<typeof Consent>;
export const Decided = object({ id: text, decision: text });

// --- fleet ---

const PlanPart = { state: text, round: number, run: text, why: text };
export const Plans = object({
  data: list(
    object({
      id: text,
      goal: text,
      result: nullable(text),
      why: text,
      tasks: list(object({ ...PlanPart, id: text, do: text, maker: text, privacy: text, writes: list(text), deps: list(text) })),
      merge: object(PlanPart),
    }),
  ),
});
export type Plans = Of<typeof Plans>;
const NodeLoad = { busy: or(text, ""), slots: or(number, 0), build: or(text, ""), canary: or(record(text), {}) };
export const Nodes = object({
  fleet: nullable(text),
  own: flag,
  data: list(
    object({
      id: text,
      name: text,
      tier: text,
      clearance: text,
      state: text,
      seen: nullable(text),
      caps: list(text),
      load: or(object(NodeLoad), { busy: "", slots: 0, build: "", canary: {} }),
    }),
  ),
});
export type Nodes = Of<typeof Nodes>;

// --- the rest ---

export const Usage = object({
  by: text,
  data: list(
    object({
      book: text,
      name: text,
      calls: number,
      failed: number,
      cancelled: number,
      fresh: number,
      cached: number,
      out: number,
      wall_us: number,
      millijoules: record(number),
      cash_nano: record(number),
    }),
  ),
});
export type Usage = Of<typeof Usage>;

const FitBytes = { weights: number, kv: number, step: number, prefix: number, state: number, scratch: number, sum: number };
export const Fit = object({
  models: list(object({ ...FitBytes, file: text, architecture: text, runs: flag, context: number, streams: number })),
  together: object(FitBytes),
  kv_type: text,
  memory: number,
  spare: number,
  fits: flag,
});
export type Fit = Of<typeof Fit>;

const CatalogModels = list(object({ name: text, bytes: number, from: text, source: nullable(text), whole: flag }));
export const Catalog = object({
  directory: text,
  models: CatalogModels,
  served: or(CatalogModels, []), // beside those
  pull: or(flag, false),
});
export type Catalog = Of<typeof Catalog>;

export const Doctor = object({ findings: list(object({ what: text, grade: text, found: text, remedy: text })) });
export type Doctor = Of<typeof Doctor>;

export const Benchmarks = object({ records: list(object({ name: text, created_ms: or(number, 0), target: or(text, ""), model: or(text, ""), problem: or(text, "") })) });
export type Benchmarks = Of<typeof Benchmarks>;
