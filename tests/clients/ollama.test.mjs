// The ollama package.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Ollama } from "ollama";
import { eventually, model, onlyScripted, picture, running, scripted, url } from "./harness.mjs";

const client = new Ollama({ host: url });
const say = (content) => [{ role: "user", content }];
const options = { num_predict: 16 };
const weather = {
  type: "function",
  function: { name: "weather", description: "The weather", parameters: { type: "object", properties: { city: { type: "string" } } } },
};

test("chat", async () => {
  const done = await client.chat({ model, messages: say("hello you"), options });
  assert.equal(done.message.role, "assistant");
  if (scripted) assert.equal(done.message.content, "You said: hello you");
  assert.equal(done.done, true);
  assert.ok(done.prompt_eval_count > 0 && done.eval_count > 0 && done.total_duration > 0);
});

test("a picture", onlyScripted, async () => {
  const done = await client.chat({ model, messages: [{ role: "user", content: "look", images: [picture] }], options });
  assert.equal(done.message.content, "You said: look");
  const generated = await client.generate({ model, prompt: "look", images: [Buffer.from(picture, "base64")], options });
  assert.equal(generated.response, "You said: look");
});

test("stream", async () => {
  let text = "", last;
  for await (const part of await client.chat({ model, messages: say("one two"), stream: true, options })) {
    text += part.message.content;
    last = part;
  }
  if (scripted) assert.equal(text, "You said: one two");
  assert.match(last.done_reason, /stop|length/);
});

test("generate", async () => {
  const done = await client.generate({ model, prompt: "hello", system: "Be short.", options });
  if (scripted) assert.equal(done.response, "You said: hello");
  const raw = await client.generate({ model, prompt: "hello", raw: true, options });
  if (scripted) assert.equal(raw.prompt_eval_count, 5);
});

test("thinking", onlyScripted, async () => {
  const done = await client.chat({ model, messages: say("!think"), think: true });
  assert.equal(done.message.thinking, "Let me see. Yes.");
  assert.equal(done.message.content, "It is so.");
});

test("tools, there and back", onlyScripted, async () => {
  const messages = say("weather");
  const first = await client.chat({ model, messages, tools: [weather] });
  assert.deepEqual(first.message.tool_calls.map((call) => call.function.arguments), [{ city: "Paris" }, { city: "Oslo" }]);
  messages.push(first.message, { role: "tool", content: "fog", tool_name: "weather" });
  const second = await client.chat({ model, messages, tools: [weather] });
  assert.equal(second.message.content, "You said: fog");
});

test("structured output", async () => {
  const format = { type: "object", properties: { age: { type: "integer" } }, required: ["age"] };
  const done = await client.chat({ model, messages: say("a person"), format, options: { num_predict: 2000, seed: 0, temperature: 0.8 } });
  assert.equal(typeof JSON.parse(done.message.content).age, "number");
});

test("embed", async () => {
  const { embeddings } = await client.embed({ model, input: ["four", "seven77"] });
  assert.equal(embeddings.length, 2);
  const { embedding } = await client.embeddings({ model, prompt: "seven77" });
  assert.deepEqual(embedding, embeddings[1]);
});

test("models", async () => {
  assert.ok((await client.list()).models.some((each) => each.name === model));
  assert.ok(Array.isArray((await client.ps()).models));
  assert.ok((await client.show({ model })).capabilities.includes("completion"));
  assert.ok((await client.version()).version);
  assert.equal((await client.pull({ model })).status, "success");
  await assert.rejects(client.pull({ model: "not-here" }), /fetches no models/);
});

test("bringing in and letting go", onlyScripted, async () => {
  const done = await client.generate({ model: "large", prompt: "", keep_alive: 0 });
  assert.equal(done.done_reason, "unload");
  assert.ok(!(await client.ps()).models.some((each) => each.name === "large"));
  assert.equal((await client.chat({ model: "large:latest", messages: [] })).done_reason, "load");
});

test("errors", async () => {
  const fails = (more, status, words) =>
    assert.rejects(client.chat({ model, messages: say("hi"), ...more }), (error) => {
      assert.equal(error.name, "ResponseError");
      assert.equal(error.status_code, status);
      assert.match(error.message, words);
      return true;
    });
  await fails({ model: "no-such-model" }, 404, /no-such-model/);
  await fails({ options: { temperature: "hot" } }, 400, /options\.temperature/);
  await fails({ messages: [{ role: "user", content: "look", images: ["aGk="] }] }, 400, /no PNG/);
  if (!scripted) await fails({ messages: [{ role: "user", content: "look", images: [picture] }] }, 400, /takes text only.*picture \(image\/png\)/);
  if (!scripted) return;
  await fails({ messages: say("x".repeat(5000)) }, 400, /4096/);
  await assert.rejects(async () => {
    for await (const _ of await client.chat({ model, messages: say("!break"), stream: true }));
  }, /the engine failed/);
});

test("abort ends the work", onlyScripted, async () => {
  const before = (await running()).cancelled;
  const stream = await client.chat({ model, messages: say("!endless"), stream: true });
  await assert.rejects(async () => { for await (const _ of stream) stream.abort(); }, { name: "AbortError" });
  await eventually(async () => (await running()).cancelled === before + 1);
});
