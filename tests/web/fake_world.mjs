// What the fake server tells of: models in every state, a run of each kind of artifact, labels, a ledger.
import { sha256, tone } from "./fake_server.mjs";

const GIB = 2 ** 30;
const MIB = 2 ** 20;
const NOW = Date.now();

const model = (name, state, more = {}) => ({
  name, state, problem: "", pinned: false, weights: 0, kv: 0, prefix: 0, scratch: 0, media: 0, program: 0, used: null, devices: {},
  running: 0, waiting: 0, tokens_per_second: 0, loaded: state === "ready" ? 1 : 0, load_seconds: 0, ...more,
});

const verdict = (judge, outcome, score, more = {}) => ({
  judge, stage: "measure", outcome, score, bar: 8, critiques: [], exhibits: [], evidence: {}, ...more,
});

const critique = (locus, claim, evidence = "") => ({ locus, severity: "must", claim, evidence, fingerprint: sha256(locus + claim).slice(0, 12) });

const candidate = (n, blob, kind, media_type, verdicts, more = {}) => ({
  n, error: "", blob, media_type, kind, facts: { voice: "slt", speed: 1 }, verdicts, bytes: 1200, worker: "starter", ms: 840,
  usage: { prompt_tokens: 420, cached_tokens: 380, completion_tokens: 96 }, prompt: null, diff: null, ...more,
});

const lap = (number, move, candidates, more = {}) => ({ lap: number, move, reason: "", closed: true, gained: true, best: 0, candidates, ...more });

export function picture(width, height) {
  return Buffer.from(
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}"><rect width="100%" height="100%" fill="#274060"/><circle cx="${width * 0.7}" cy="${height * 0.5}" r="${height * 0.3}" fill="#e0a24a"/><text x="40" y="${height * 0.5}" font-size="${height / 8}" fill="#fff" font-family="sans-serif">Ten small habits</text></svg>`,
  );
}

function words(wrong) {
  return "The lathe turns until the part is true".split(" ").map((expected, i) => {
    const bad = wrong && expected === "true";
    return { expected, heard: bad ? "through" : expected, match: bad ? "wrong" : "right", start: 0.28 * i, end: 0.28 * i + 0.26 };
  });
}

const text = {
  before: "def total(items):\n    sum = 0\n    for item in items:\n        sum += item.price\n    return sum\n",
  after: "def total(items):\n    sum = 0\n    for item in items:\n        if item.price is not None:\n            sum += item.price * item.count\n    return sum\n",
};

export function run_summary(id, recipe, state, tracks, more = {}) {
  const passed = tracks.filter((each) => each.state === "passed").length;
  return {
    id, recipe, title: "examples/voice-over/script.md", build: "lathe 0.2.0 (g++ 12)", created_ms: NOW - 400_000, t_ms: 83_000, state, seq: 400,
    outcome: state === "running" ? "not ended" : state, why: "", units: tracks.length, units_passed: passed,
    laps: tracks.reduce((sum, each) => sum + each.laps.length, 0), hidden: 0, caveats: "", climate: "41 to 63 °C, 12 to 31 W",
    spent: [{ name: "tokens", spent: 18_400, limit: 2_000_000 }], whole: [], rubrics: {},
    yield: {
      moves: [{ move: "sample · flite", laps: 24, gained: 24, passed: 13 }, { move: "repair · flite", laps: 14, gained: 9, passed: 7 }],
      made: 38, usable: 37, judged_again: 4, flipped: 0, make_ms: 21_000, judge_ms: 44_000, candidates: 38, one_shot: 13, curve: [0, 0.54, 0.71, 0.83, 0.875],
    },
    ...more,
  };
}

const laps_of = (state, scores) => scores.map((score, i) => ({ closed: state !== "open" || i < scores.length - 1, gained: score !== null && scores.slice(0, i).every((each) => each < score), score }));

const kinds = ["passed", "passed", "gave_up", "passed", "open", "passed"];
export function track_row(index, key, state = kinds[index % kinds.length], scores) {
  return {
    index, units: [{ key, passed: state === "passed" }], text: `Line ${index + 1} of the script, as it was written.`, state, unjudged: false,
    why: state === "gave_up" ? "no gain in 3 laps" : "", caveats: "", fault: state === "gave_up" ? "“true” at 1.96 s: heard “through”" : "",
    laps: laps_of(state, scores ?? (state === "passed" ? [6.2, 7.4, 9.1].slice(index % 3) : state === "open" ? [5.5, null] : [6.1, 6.1, 5.8, null, 6.0])),
  };
}

function run_of(summary, tracks, unit) {
  const row = {
    id: summary.id, recipe: summary.recipe, title: summary.title, state: summary.state, created: new Date(summary.created_ms).toISOString(),
    created_ms: summary.created_ms, records: summary.seq, units: summary.units, units_passed: summary.units_passed,
  };
  return { row, summary, tracks, unit, labels: { labels: [], takes: [] }, agreement: { labels: 0, judges: [] } };
}

function bench_record(factor) {
  const row = (what, size, unit, median) => ({ what, size, unit, median: String(median * factor), low: String(median * 0.97 * factor), high: String(median * 1.04 * factor), samples: [] });
  return {
    schema: 1, kind: "lathe-bench", program: { version: "0.2.0" }, machine: { processor: "Xeon 2.5 GHz, 2 cores" }, started: "2026-12-01T10:00:00Z", publishable: true,
    models: [{
      model: "qwen3-8b", rows: [row("prefill", 512, "tok/s", 61), row("decode", 128, "tok/s", 7.9), row("decode", 4096, "tok/s", 6.8), row("streams", 8, "tok/s", 24), row("first token, cached", 512, "ms", 31)],
      turns: [{ target: "lathe", serve: { closed: [1, 2, 4, 8].map((people) => ({ arrival: { people }, frontier: people !== 8, summary: { tokens_per_second: String(6 + 3 * people - people * people / 9), first_ms: { median: String(90 + 70 * people) } } })), poisson: [] } }],
    }],
  };
}

export function small_world() {
  const blobs = {};
  const keep = (type, bytes, drawn) => {
    const name = sha256(bytes);
    blobs[name] = { type, bytes, drawn };
    return name;
  };
  const take = keep("audio/wav", tone(2.4));
  const thumb = keep("image/svg+xml", picture(1280, 720));
  const before = keep("text/plain; charset=utf-8", Buffer.from(text.before));
  const after = keep("text/plain; charset=utf-8", Buffer.from(text.after));
  const notes = keep("text/markdown; charset=utf-8", Buffer.from("## Notes\n\nA **short** list:\n\n- one\n- two `code`\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"));
  const asked = keep("text/plain; charset=utf-8", Buffer.from("[system]\nSay it slower.\n\n[user]\nThe lathe turns until the part is true.\n\n"));
  const weighed = keep("text/plain; charset=utf-8", Buffer.from("[user]\nIs it on brief? Answer yes or no.\n\n"));
  const compared = keep("text/plain; charset=utf-8", Buffer.from("[user]\nDo these four go together?\n\n"));
  const page = keep("text/html", Buffer.from("<h1>A page</h1>"), { type: "image/svg+xml", bytes: picture(900, 600) });

  const ears = (wrong) => verdict("ears", wrong ? "fail" : "pass", wrong ? 6.1 : 9.3, {
    exhibits: [{ kind: "sound", words: words(wrong) }],
    critiques: wrong ? [critique("true 1.96 s", "The word is not heard as it is written.", "heard: “through”, 0.71 of its phones")] : [],
    evidence: { loudness: -19.2, words_right: wrong ? 7 : 8 },
  });
  const laps = {
    sound: (index) => [
      lap(1, "sample", [candidate(0, take, "sound", "audio/wav", [ears(true)])]),
      lap(2, "repair", [candidate(0, take, "sound", "audio/wav", [ears(index % 6 === 2)], { prompt: asked })], { reason: "a fault with a place", gained: index % 6 !== 2 }),
    ],
    picture: () => [
      lap(1, "sample", [candidate(0, thumb, "picture", "image/png", [verdict("eyes", "fail", 5.9, {
        exhibits: [{ kind: "picture", title: "", width: 1280, height: 720, boxes: [[36, 270, 640, 110], [650, 130, 500, 440]] }],
        critiques: [critique("box 1", "The title is hard to read at the size of a phone.", "contrast 3.1, wanted 4.5"), critique("box 2", "The figure is cut off at the right edge.")],
      })])], { gained: false }),
    ],
    text: () => [
      lap(1, "sample", [candidate(0, before, "text", "text/plain", [verdict("tests", "fail", 4, { stage: "gate", bar: 10, critiques: [critique("cart_test.py:14", "expected 30, got 10")] })])]),
      lap(2, "repair", [candidate(0, after, "text", "text/plain", [verdict("tests", "pass", 10, { stage: "gate", bar: 10 }), verdict("rubric", "pass", 8.6, { stage: "rubric" })]), candidate(1, notes, "text", "text/markdown", [])]),
    ],
    page: () => [lap(1, "sample", [candidate(0, page, "drawing", "text/html", [verdict("page", "pass", 9.4)])])],
    changes: () => [lap(1, "sample", [candidate(0, after, "changes", "application/vnd.lathe.changes+json", [verdict("tests", "pass", 10)], {
      diff: [{ path: "src/cart.py", lines: [[" ", "    for item in items:"], ["-", "        sum += item.price"], ["+", "        sum += item.price * item.count"], ["…", ""]] }],
    })])],
  };

  const voice = Array.from({ length: 24 }, (_, i) => track_row(i, `L${String(i + 1).padStart(2, "0")}`));
  const mixed = ["title", "notes", "landing", "cart"].map((key, i) => track_row(i, key, "passed", [5, 9]));
  mixed[0] = track_row(0, "title", "gave_up", [5.9]);
  const runs = {};
  const add = (summary, tracks, unit) => (runs[summary.id] = run_of(summary, tracks, unit));
  add(run_summary("20261201-101500-voice-over-3fa1", "voice-over", "running", voice), voice,
    (i) => ({ ...voice[i], rule: voice[i].state === "passed" ? "passed" : voice[i].state === "open" ? "" : "no gain", laps: laps.sound(i) }));
  const kindsOf = ["picture", "text", "page", "changes"];
  add(run_summary("20261201-095900-mockup-77c2", "mockup-to-page", "partial", mixed, { why: "3 of 4 units passed", title: "a shop in four pieces",
    whole: [verdict("set", "pass", 8.4, { stage: "rubric" })], whole_calls: [{ judge_name: "set", under_way: false, ms: 910, prompt: compared }], rubrics: { rubric: { text: "Is it plain?", criteria: ["No sentence needs reading twice.", "Names say what things are."] } } }), mixed,
    (i) => ({ ...mixed[i], rule: "passed", laps: laps[kindsOf[i]](), calls: kindsOf[i] === "text" ? [{ lap: 2, n: 0, judge_name: "rubric", attempt: 0, under_way: false, worker: "judge", reused: false, ms: 840, prompt: weighed }] : [] }));
  const old = ["fix-tests", "red-to-green", "rewrite", "svg-figure", "extract-json"];
  old.forEach((recipe, i) => {
    const tracks = [track_row(0, "U1", ["passed", "passed", "gave_up", "passed", "passed"][i])];
    add(run_summary(`2026113${i}-080000-${recipe}-a${i}`, recipe, ["passed", "passed", "failed", "not_judged", "stopped"][i], tracks, { created_ms: NOW - 9e7 * (i + 1), title: `examples/${recipe}` }), tracks,
      () => ({ ...tracks[0], rule: "passed", laps: laps.text() }));
  });

  const takes = voice.slice(0, 12).map((each, i) => ({ unit: each.units[0].key, index: i, lap: 1, n: 0, blob: keep("audio/wav", tone(1 + i / 40)), media_type: "audio/wav" }));
  const first = runs["20261201-101500-voice-over-3fa1"];
  first.labels = { labels: takes.slice(0, 2).map((each, i) => ({ unit: each.unit, blob: each.blob, accept: i === 0, reason: i === 0 ? "" : "the last word is cut", revision: 1, t_ms: 1, by: "owner" })), takes };
  first.agreement = { labels: 46, judges: [{
    judge: "ears", judged: 46, table: { tt: 29, tf: 2, ft: 3, ff: 12 }, kappa: 0.75, kappa_interval: [0.52, 0.93], false_pass_rate: { rate: 0.2, of: 15, interval: [0.07, 0.45] }, false_fail_rate: { rate: 0.065, of: 31, interval: [0.02, 0.2] }, advisory: true,
    why: "46 labels, at least 50 are needed", criteria: [{ name: "every word is heard", agree: 44, of: 46 }, { name: "no click at the end", agree: 33, of: 46 }],
  }] };

  return {
    runs, blobs,
    pool: {
      models: [
        model("qwen3-8b-q4_k_m", "ready", { weights: 4.9 * GIB, kv: 1.3 * GIB, prefix: 0.6 * GIB, scratch: 310 * MIB, running: 3, waiting: 1, tokens_per_second: 21.4, load_seconds: 2.8 }),
        model("gemma-3-4b-it", "ready", { weights: 2.6 * GIB, kv: 0.2 * GIB, scratch: 240 * MIB, media: 0.85 * GIB, pinned: true, running: 1, tokens_per_second: 9.7, load_seconds: 1.9 }),
        model("whisper-small", "loading", { weights: 180 * MIB, loaded: 0.4 }),
        model("starter-q8_0", "cold"), model("qwen2.5-coder-7b", "cold"),
        model("broken", "failed", { problem: "broken.gguf: tensor 'blk.0.attn_q.weight' ends at byte 81920, the file at 80000; fetch it again" }),
      ],
      memory_limit: 24 * GIB, memory_booked: 11.2 * GIB, devices: { cpu: { limit: 24 * GIB, booked: 11.2 * GIB } }, resident: 11.6 * GIB, queued: 0, interactive: 1,
      energy: { watts: 37.5, why: "", scope: "processor package" }, loops: [first.row],
    },
    models: {
      data: ["qwen3-8b-q4_k_m", "gemma-3-4b-it", "starter-q8_0"].map((id, i) => ({
        id, state: i < 2 ? "ready" : "cold", capabilities: i === 1 ? ["completion", "vision", "audio"] : ["completion", "tools"], max_model_len: 32768,
        meta: { architecture: "qwen3", quantization: "Q4_K_M", n_params: 8e9, size: 4.9 * GIB },
      })),
    },
    consents: [["a1", "asked", []], ["b2", "refused", ["a key of AWS"]], ["c3", "allowed", []]].map(([id, decision, secrets], i) => ({
      id, decision, secrets, at: "2026-12-01T06:40:18Z", sha256: sha256(id), bytes: String(1200 + i), destination: "https://api.example.com:443/v1/messages", model: "big-1",
      tokens: "about 300 in, at most 1000 out", price: "at most 0.0150 USD", run: "20261201-say", call: "make:0:1:0:0:0", purpose: "make", files: i === 0 ? "src/cart.py" : "",
      text: `{"model":"big-1","messages":[{"role":"user","content":"Repair ${id}."}]}`, whole: i !== 2,
    })),
    nodes: {
      fleet: "postgresql://desk/lathe", own: true,
      data: [["desk", "station", "active", 2, ""], ["laptop", "laptop", "active", 4, "something waited for a processor 71 % of the time"], ["attic", "box", "quarantined", 3, ""], ["den", "box", "active", 7200, ""]].map(
        ([name, tier, state, ago, busy]) => ({
          id: `${name}-2q4xk7`, name, tier, clearance: "lan", state, fingerprint: sha256(name), seen: new Date(Date.now() - 1000 * ago).toISOString(),
          caps: [`on:${name}`, `on:${tier}`, "maker:code", "judge:tests", ...(name === "desk" ? ["worker:qwen3-8b"] : [])],
          load: { name, tier, slots: 1, build: "lathe 0.2.0", ...(busy && { busy }), ...(name !== "den" && { canary: { "qwen3-8b": "1f2e" } }) },
        })),
    },
    plans: [
      {
        id: "20261201-084800-plan-1f2e", goal: "Add CSV export to the report", result: null, why: "",
        tasks: [["parser", "passed", "local", [], 1], ["report", "begun", "lan", ["parser"], 2], ["docs", "waits", "lan", ["report"], 1]].map(([id, state, privacy, deps, round]) => ({
          id, state, privacy, deps, round, do: `Write the ${id}.`, maker: "code", writes: [`src/${id}/**`], run: state === "waits" ? "" : Object.keys(runs)[0], why: state === "waits" ? "waits for report" : "",
        })),
        merge: { state: "waits", round: 1, run: "", why: "waits for report" },
      },
      {
        id: "20261130-100000-plan-77aa", goal: "Rename a setting", result: "failed", why: "the merge: 2 of 31 tests fail",
        tasks: [{ id: "rename", state: "passed", privacy: "lan", deps: [], round: 3, do: "Rename it.", maker: "agent", writes: ["src/**"], run: Object.keys(runs)[0], why: "" }],
        merge: { state: "failed", round: 1, run: Object.keys(runs)[1], why: "2 of 31 tests fail" },
      },
    ],
    recipes: [{ name: "red-to-green", summary: "turns red tests green", input: "tasks.jsonl", options: [], workers: [{ name: "starter", needed: true }], demo: { recipe: "red-to-green", input_text: "x", workers: {} } }],
    usage: {
      object: "list", by: "model",
      data: ["qwen3-8b-q4_k_m", "gemma-3-4b-it"].flatMap((name, i) => ["runs", "served"].map((book, k) => ({
        book, name, calls: 420 - 100 * i + k, failed: i, cancelled: 2, lost: 0, uncounted: 0, fresh: 81_000 * (1 + i), cached: 310_000, out: 44_000 * (1 + k), reasoning: 0,
        wall_us: 9.1e8, busy_us: 6.2e8, without_busy: 0, millijoules: { package: 4.1e7 }, without_energy: 0, cash_nano: {}, unpriced: 0,
      }))),
    },
    fit: {
      models: [{ weights: 4.9 * GIB, kv: 1.1 * GIB, step: 90 * MIB, prefix: 0, state: 0, scratch: 310 * MIB, sum: 6.4 * GIB, file: "qwen3-8b-q4_k_m.gguf", architecture: "qwen3", runs: true, context: 8192, streams: 1 }],
      together: { weights: 4.9 * GIB, kv: 1.1 * GIB, step: 90 * MIB, prefix: 0, state: 0, scratch: 310 * MIB, sum: 6.4 * GIB }, kv_type: "f16", threads: 2, memory: 24 * GIB, spare: 17.6 * GIB, fits: true,
    },
    price: { priced_at: [
      { what: "the power it took", low_nano: 2600, high_nano: 2600, currency: "USD", basis: "processor package; the tariff of box.toml" },
      { what: "qwen3-8b, the same open model", low_nano: 466_000, high_nano: 466_000, currency: "USD", basis: "the same tokenizer; a list, 2026-11-30; quality not compared" },
      { what: "big-1, which this machine replaces, you say", low_nano: 44_080_000, high_nano: 1_056_700_000, currency: "USD", basis: "tokenizers not compared; a list, 2026-11-30; quality not compared" },
    ] },
    "audio/voices": { data: [{ id: "flite:rms" }] },
    catalog: {
      directory: "/home/you/.config/lathe/models", pull: true,
      served: [{ name: "starter-q8_0", bytes: 0.016 * GIB, from: "this server", source: null, whole: true }],
      models: [["qwen3-8b-q4_k_m", 4.9, "lathe", "hf:Qwen/Qwen3-8B-GGUF", true], ["gemma-3-4b-it", 2.6, "ollama", null, true], ["qwen2.5-coder-7b", 2.1, "lathe", "hf:Qwen/Qwen2.5-Coder-7B-Instruct-GGUF", false]].map(
        ([name, size, from, source, whole]) => ({ name, bytes: size * GIB, from, source, whole })),
    },
    doctor: {
      findings: [["bubblewrap", "ok", "/usr/bin/bwrap", ""], ["sandbox", "ok", "programs run confined", ""], ["ctags", "note", "not found", "apt-get install universal-ctags"], ["journal", "problem", "the disk is full", "free 200 MiB below /home"]].map(
        ([what, grade, found, remedy]) => ({ what, grade, found, remedy })),
    },
    bench: { records: [{ name: "mine.json", created_ms: NOW, target: "", model: "qwen3-8b" }, { name: "before.json", created_ms: NOW - 9e7, target: "", model: "qwen3-8b" }] },
    "bench/mine.json": bench_record(1.1),
    "bench/before.json": bench_record(1),
    chats: [
      { id: "chat-2", title: "Feeds and speeds of brass", model: "qwen3-8b-q4_k_m", changed_ms: Date.now() - 3_600_000, revision: 4, bytes: 2_400_000, settings: { model: "gemma-3-4b-it", system: "Be brief." },
        turns: [{ role: "user", text: "Feeds and speeds of brass?" }, { role: "assistant", text: "Faster **than** steel.", note: "6 tokens written", seed: 3 }] },
      { id: "chat-1", title: "<img src=x onerror=alert(1)> of old", model: "m", changed_ms: Date.now() - 86_400_000 * 9, revision: 1, bytes: 300, settings: {}, turns: [{ role: "user", text: "An old one" }] },
    ],
    others: [{ key: "anna", chats: 3 }],
    answer: "A lathe **turns** the part and the tool stays still.\n\n1. Face it\n2. Turn it\n\n```\nG01 X20 Z-40 F0.2\n```\n\nThat is all there is to it.",
  };
}
