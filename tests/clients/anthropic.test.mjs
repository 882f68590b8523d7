// The @anthropic-ai/sdk package.
import assert from "node:assert/strict";
import { test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { eventually, model, onlyScripted, picture, running, scripted, url } from "./harness.mjs";

const client = new Anthropic({ baseURL: url, apiKey: "none" });
const say = (content) => [{ role: "user", content }];
const weather = {
  name: "weather",
  description: "The weather of a city",
  input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};

test("message", async () => {
  const done = await client.messages.create({
    model, max_tokens: 16, messages: say("hello you"),
    system: [{ type: "text", text: "x-anthropic-billing-header: cc_version=1; cch=12345;" }, { type: "text", text: "Be short." }],
  });
  assert.equal(done.type, "message");
  assert.equal(done.content[0].type, "text");
  if (!scripted) return;
  assert.equal(done.content[0].text, "You said: hello you");
  assert.equal(done.stop_reason, "end_turn");
  assert.equal(done.usage.cache_read_input_tokens, 4);
  assert.equal(done.usage.input_tokens + 4, "<system>Be short.<user>hello you".length);
});

test("what ends a message", onlyScripted, async () => {
  const stop = await client.messages.create({ model, max_tokens: 16, messages: say("!stop"), stop_sequences: [" three"] });
  assert.equal(stop.stop_reason, "stop_sequence");
  assert.equal(stop.stop_sequence, " three");
  const length = await client.messages.create({ model, max_tokens: 2, messages: say("a b c d") });
  assert.equal(length.stop_reason, "max_tokens");
});

test("a picture", onlyScripted, async () => {
  const source = { type: "base64", media_type: "image/png", data: picture };
  const done = await client.messages.create({ model, max_tokens: 16, messages: say([{ type: "image", source }, { type: "text", text: "look" }]) });
  assert.equal(done.content[0].text, "You said: look");
});

test("stream", async () => {
  const stream = client.messages.stream({ model, max_tokens: 16, messages: say("one two") });
  let text = "";
  stream.on("text", (delta) => (text += delta));
  const done = await stream.finalMessage();
  assert.equal(done.content[0].text, text);
  if (scripted) assert.equal(text, "You said: one two");
  assert.ok(done.usage.output_tokens > 0);
  assert.ok(done.stop_reason);
});

test("stream with thinking: blocks one after the other", onlyScripted, async () => {
  const stream = client.messages.stream({ model, max_tokens: 2000, messages: say("!think"), thinking: { type: "enabled", budget_tokens: 1024 } });
  const done = await stream.finalMessage();
  assert.deepEqual(done.content.map((block) => block.type), ["thinking", "text"]);
  assert.equal(done.content[0].thinking, "Let me see. Yes.");
  assert.equal(done.content[1].text, "It is so.");
});

test("tools, there and back", onlyScripted, async () => {
  const messages = say("weather");
  const first = await client.messages.stream({ model, max_tokens: 100, messages, tools: [weather, { type: "web_search_20250305", name: "web_search" }] }).finalMessage();
  assert.equal(first.stop_reason, "tool_use");
  assert.deepEqual(first.content.map((block) => block.input), [{ city: "Paris" }, { city: "Oslo" }]);
  messages.push({ role: "assistant", content: first.content });
  messages.push({ role: "user", content: first.content.map((call) => ({ type: "tool_result", tool_use_id: call.id, content: "snow" })) });
  const second = await client.messages.create({ model, max_tokens: 100, messages, tools: [weather] });
  assert.equal(second.content[0].text, "You said: snow");
  const forced = await client.messages.create({
    model, max_tokens: 100, messages: say("weather"), tools: [weather], tool_choice: { type: "tool", name: "weather", disable_parallel_tool_use: true },
  });
  assert.equal(forced.content.length, 1);
});

test("structured output", async () => {
  const schema = {
    type: "object", additionalProperties: false, required: ["name", "age"],
    properties: { name: { type: "string", maxLength: 20 }, age: { type: "integer" } },
  };
  const done = await client.messages.create({
    model, max_tokens: 200, messages: say("a person"), output_config: { format: { type: "json_schema", schema } },
  });
  assert.equal(typeof JSON.parse(done.content[0].text).age, "number");
});

test("count tokens", async () => {
  const { input_tokens } = await client.messages.countTokens({ model, messages: say("hello") });
  if (scripted) assert.equal(input_tokens, "<user>hello".length);
  assert.ok(input_tokens > 0);
  assert.ok((await client.beta.messages.countTokens({ model, messages: say("hello") })).input_tokens > 0);
});

test("names of other models stand for one that is here", onlyScripted, async () => {
  const done = await client.messages.create({ model: "claude-haiku-4-5", max_tokens: 8, messages: say("hi") });
  assert.equal(done.model, "large");
});

test("models", async () => {
  const ids = [];
  for await (const each of client.models.list()) ids.push(each.id);
  assert.ok(ids.includes(model));
});

test("errors: their classes, and no second try of what must fail", async () => {
  const fails = (more, type, status, kind) =>
    assert.rejects(client.messages.create({ model, max_tokens: 8, messages: say("hi"), ...more }), (error) => {
      assert.ok(error instanceof type, String(error));
      assert.equal(error.status, status);
      assert.equal(error.error.type, "error");
      assert.equal(error.error.error.type, kind);
      return true;
    });
  await fails({ model: "no-such-model" }, Anthropic.NotFoundError, 404, "not_found_error");
  await fails({ max_tokens: -1 }, Anthropic.BadRequestError, 400, "invalid_request_error");
  await fails({ messages: say([{ type: "image", source: { type: "url", url: "http://127.0.0.1/x" } }]) }, Anthropic.BadRequestError, 400, "invalid_request_error");
  const shown = say([{ type: "image", source: { type: "base64", media_type: "image/png", data: picture } }, { type: "text", text: "look" }]);
  if (!scripted) await fails({ messages: shown }, Anthropic.BadRequestError, 400, "invalid_request_error");
  if (!scripted) return;
  const before = await running();
  await fails({ messages: say("x".repeat(5000)) }, Anthropic.BadRequestError, 400, "invalid_request_error");
  await fails({ messages: say("!huge") }, Anthropic.InternalServerError, 507, "api_error");
  assert.equal((await running()).requests - before.requests, 2, "tried again");
  const broken = client.messages.stream({ model, max_tokens: 8, messages: say("!break") });
  await assert.rejects(broken.finalMessage(), /the engine failed/);
});

test("abort ends the work", onlyScripted, async () => {
  const before = (await running()).cancelled;
  const stream = client.messages.stream({ model, max_tokens: 100000, messages: say("!endless") });
  stream.on("text", () => stream.abort());
  await assert.rejects(stream.finalMessage(), Anthropic.APIUserAbortError);
  await eventually(async () => (await running()).cancelled === before + 1);
});
