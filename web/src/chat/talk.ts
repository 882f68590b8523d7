// Asks a model for the next answer, and takes it word by word.
import { ask, fault_of, post } from "../api";
import { count, energy, percent } from "../format";
import { attachments, chatFault, chatSettings, draft, turns, type Attachment, type Turn } from "../store";
import { PricedAt } from "../types";
import { keep_talk } from "./kept";

let stop: AbortController | null = null;
let asked = 0; // what comes late belongs to the answer that it was asked for

const kMostBytes = 32 << 20; // of one file, as the server has it

// What was said, in the API's words.
function messages_of(list: Turn[], system: string): unknown[] {
  const messages: unknown[] = system.trim() === "" ? [] : [{ role: "system", content: system }];
  for (const turn of list) {
    if (turn.role === "assistant") messages.push({ role: "assistant", content: turn.text });
    else if (turn.attachments.length === 0) messages.push({ role: "user", content: turn.text });
    else messages.push({ role: "user", content: [...turn.attachments.map(part_of), { type: "text", text: turn.text }] });
  }
  return messages;
}

function part_of(file: Attachment): unknown {
  if (file.type.startsWith("image/")) return { type: "image_url", image_url: { url: file.data } };
  if (!file.type.startsWith("audio/")) return { type: "file", file: { filename: file.name, file_data: file.data } };
  const format = /\/(?:x-)?(\w+)/.exec(file.type)?.[1] ?? "wav";
  return { type: "input_audio", input_audio: { data: file.data.slice(file.data.indexOf(",") + 1), format: format === "mpeg" ? "mp3" : format } };
}

// The body of a request; a text: what is wrong with the settings.
export function request_of(list: Turn[], seed: number | null): Record<string, unknown> | string {
  const { model, system, temperature, maxTokens, schema } = chatSettings.value;
  const body: Record<string, unknown> = { model, messages: messages_of(list, system), stream: true, stream_options: { include_usage: true } };
  if (seed !== null) body.seed = seed;
  if (temperature.trim() !== "") {
    body.temperature = Number(temperature);
    if (!Number.isFinite(body.temperature)) return "The temperature is not a number.";
  }
  if (maxTokens.trim() !== "") {
    body.max_tokens = Number(maxTokens);
    if (!Number.isInteger(body.max_tokens)) return "The limit of tokens is not a whole number.";
  }
  if (schema.trim() !== "") {
    try {
      body.response_format = { type: "json_schema", json_schema: { name: "answer", schema: JSON.parse(schema) } };
    } catch (problem) {
      return `The JSON schema cannot be read: ${String(problem)}`;
    }
  }
  return body;
}

export async function send(): Promise<void> {
  if (draft.value.trim() === "" && attachments.value.length === 0) return;
  const question: Turn = { role: "user", text: draft.value, thinking: "", attachments: attachments.value, seed: null, note: "", prices: [], fault: null, open: false };
  await answer([...turns.value, question], null);
}

// The last answer once more, from another seed.
export async function retry(): Promise<void> {
  const before = turns.value.at(-1)?.role === "assistant" ? turns.value.slice(0, -1) : turns.value;
  const last = turns.value.at(-1)?.seed ?? null;
  await answer(before, last === null ? Math.floor(Math.random() * 2 ** 31) : (last + 1) % 2 ** 31);
}

export function stop_answer(): void {
  stop?.abort();
}

// Another talk is taken up: what this one has of its answer stays with it.
export function leave_answer(): void {
  if (!turns.value.at(-1)?.open) return;
  put_last(asked, { open: false, note: "stopped" });
  ++asked;
  stop_answer();
  void keep_talk();
}

// `mine`: the answer that is meant, which may no longer be the last one.
function put_last(mine: number, change: Partial<Turn>): void {
  const last = mine === asked ? turns.value.at(-1) : undefined;
  if (last) turns.value = [...turns.value.slice(0, -1), { ...last, ...change }];
}

async function answer(list: Turn[], seed: number | null): Promise<void> {
  const body = request_of(list, seed);
  if (typeof body === "string") {
    chatFault.value = body;
    return;
  }
  chatFault.value = "";
  draft.value = "";
  attachments.value = [];
  turns.value = [...list, { role: "assistant", text: "", thinking: "", attachments: [], seed, note: "", prices: [], fault: null, open: true }];
  const mine = ++asked;
  let usage: Usage | null = null;
  stop = new AbortController();
  const begun = performance.now();
  try {
    const reply = await ask("POST", "/v1/chat/completions", body, { signal: stop.signal });
    usage = await read_stream(mine, reply, begun);
  } catch (problem) {
    if (problem instanceof DOMException && problem.name === "AbortError") put_last(mine, { note: "stopped" });
    else put_last(mine, { fault: fault_of(problem) });
  }
  put_last(mine, { open: false });
  if (mine === asked) stop = null;
  if (usage !== null) put_last(mine, { prices: await prices_of(body.model, usage) });
  if (mine === asked) await keep_talk();
}

// What the same tokens, and the power, are priced at; none where nothing is known.
async function prices_of(model: unknown, usage: Usage): Promise<Turn["prices"]> {
  try {
    return (await post("/v1/price", { model, usage }, PricedAt)).priced_at;
  } catch {
    return []; // the answer stands without it
  }
}

interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  prompt_tokens_details?: { cached_tokens?: number };
  millijoules?: number;
}

interface Chunk {
  choices?: { delta?: { content?: string | null; reasoning_content?: string | null } }[];
  seed?: number;
  usage?: Usage;
  warnings?: string[];
  error?: { message?: string };
}

// Gives what it took, where the server said so.
async function read_stream(mine: number, reply: Response, begun: number): Promise<Usage | null> {
  const reader = reply.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let first = 0;
  let text = "";
  let thinking = "";
  let shown = 0;
  let usage: Usage | null = null;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    const lines = (rest + value).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      if (!line.startsWith("data: ") || line === "data: [DONE]") continue;
      const chunk = JSON.parse(line.slice(6)) as Chunk;
      if (chunk.error) throw new Error(chunk.error.message ?? "the answer broke off");
      const delta = chunk.choices?.[0]?.delta;
      text += delta?.content ?? "";
      thinking += delta?.reasoning_content ?? "";
      if (first === 0 && (text !== "" || thinking !== "")) first = performance.now();
      if (typeof chunk.seed === "number") put_last(mine, { seed: chunk.seed });
      if (!chunk.usage) continue;
      usage = chunk.usage;
      put_last(mine, { note: note_of(chunk, begun, first) });
    }
    // A long answer is drawn less often, so that drawing keeps up with it.
    if (performance.now() - shown > Math.max(50, text.length / 200)) {
      shown = performance.now();
      put_last(mine, { text, thinking });
    }
  }
  put_last(mine, { text, thinking });
  return usage;
}

// What it took, in one line.
function note_of(chunk: Chunk, begun: number, first: number): string {
  const { prompt_tokens, completion_tokens, prompt_tokens_details, millijoules } = chunk.usage!;
  const cached = prompt_tokens_details?.cached_tokens ?? 0;
  const writing = (performance.now() - first) / 1000;
  const words = [
    `${count(completion_tokens)} tokens written`,
    ...(writing > 0.05 && completion_tokens > 1 ? [`${((completion_tokens - 1) / writing).toFixed(1)} tokens/s`] : []),
    `${count(prompt_tokens)} read, ${prompt_tokens === 0 ? "none" : percent(cached / prompt_tokens)} of them remembered`,
    `${((performance.now() - begun) / 1000).toFixed(1)} s`,
    ...(millijoules === undefined ? [] : [energy(millijoules)]),
  ];
  return [...words, ...(chunk.warnings ?? [])].join(" · ");
}

export async function attach(files: FileList | null): Promise<void> {
  for (const file of files ?? []) {
    if (file.size > kMostBytes) {
      chatFault.value = `${file.name} has more than 32 MiB.`;
      continue;
    }
    const data = await new Promise<string>((done, fail) => {
      const reader = new FileReader();
      reader.onload = () => done(String(reader.result));
      reader.onerror = () => fail(reader.error);
      reader.readAsDataURL(file);
    });
    attachments.value = [...attachments.value, { name: file.name, type: file.type, data }];
  }
}

// --- A talk as a recipe ---

// JSON's escapes are TOML's, but for one character.
function toml(text: string): string {
  return JSON.stringify(text).replaceAll("\u007f", "\\u007f");
}

// What this talk asks for, as a loop over the paragraphs of a text: the system words and the last question are the task, the
// schema is a judge.
export function recipe_text(): string {
  const { system, schema } = chatSettings.value;
  const question = turns.value.filter((turn) => turn.role === "user").at(-1)?.text ?? draft.value;
  const task = [system, question].filter((each) => each.trim() !== "").join("\n\n");
  const judge = schema.trim() === "" ? `name = "limits"\nkind = "text"\nmin_words = 1\n` : `name = "schema"\nkind = "schema"\nschema_file = "answer.schema.json"   # the schema of this talk, saved beside the recipe\n`;
  return `recipe = "my-recipe"
version = 1
description = "Made from a talk"

[unit]
from = "input.txt"                          # or --input FILE
split = "paragraph"

[make]
kind = "text"
ladder = ["writer"]
task = ${toml(task === "" ? "Say what is to be made of each paragraph." : task)}
${schema.trim() === "" ? "" : `format = "json"\nschema_file = "answer.schema.json"\n`}best_of = 2

[[judge]]
${judge}
[stop]
laps = 5
time = "20m"
`;
}
