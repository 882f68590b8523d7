// The openai package.
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";
import { eventually, model, onlyScripted, picture, running, scripted, shapesHold, url, watchedFetch } from "./harness.mjs";

const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", fetch: watchedFetch });
const say = (content) => [{ role: "user", content }];
const weather = {
  type: "function",
  function: {
    name: "weather",
    description: "The weather of a city",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
};
afterEach(shapesHold, { timeout: 10_000 });

test("chat", async () => {
  const done = await client.chat.completions.create({ model, messages: say("hello you"), max_tokens: 16 });
  if (scripted) assert.equal(done.choices[0].message.content, "You said: hello you");
  assert.ok(done.usage.prompt_tokens > 0);
  assert.equal(done.usage.total_tokens, done.usage.prompt_tokens + done.usage.completion_tokens);
});

test("chat, with everything that a request may say", async () => {
  const done = await client.chat.completions.create({
    model,
    messages: [
      { role: "developer", content: "Be short." },
      { role: "user", content: [{ type: "text", text: "hello" }] },
    ],
    n: 2, temperature: 0.5, top_p: 0.9, seed: -1, stop: ["never so", "nor so"], max_completion_tokens: 8,
    logprobs: true, top_logprobs: 2, logit_bias: { 5: -100 }, presence_penalty: 0.1, frequency_penalty: 0.1,
    user: "u", metadata: { a: "b" }, store: false, service_tier: "auto", parallel_tool_calls: true,
    reasoning_effort: "low", prediction: { type: "content", content: "You said" }, unknown_field: { x: 1 },
  });
  assert.deepEqual(done.choices.map((choice) => choice.index), [0, 1]);
  for (const choice of done.choices) {
    assert.ok(choice.logprobs.content.length > 0);
    assert.equal(choice.logprobs.content[0].top_logprobs.length, 2);
    assert.deepEqual(Buffer.from(choice.logprobs.content[0].bytes).toString(), choice.logprobs.content[0].token);
  }
  if (scripted) assert.equal(done.usage.completion_tokens_details.accepted_prediction_tokens, 2);
});

test("a picture", onlyScripted, async () => {
  const content = [{ type: "text", text: "look" }, { type: "image_url", image_url: { url: `data:image/png;base64,${picture}` } }];
  const done = await client.chat.completions.create({ model, messages: say(content) });
  assert.equal(done.choices[0].message.content, "You said: look");
});

test("stream", async () => {
  const stream = await client.chat.completions.create({
    model, messages: say("one two three"), stream: true, stream_options: { include_usage: true }, max_tokens: 16,
  });
  let text = "", finish, usage, last;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? "";
    finish ??= chunk.choices[0]?.finish_reason;
    usage = chunk.usage ?? usage;
    last = chunk;
  }
  if (scripted) assert.equal(text, "You said: one two three");
  assert.match(finish, /stop|length/);
  assert.ok(usage.completion_tokens > 0);
  assert.deepEqual(last.choices, []);
});

test("stream helper, two candidates", async () => {
  const stream = client.chat.completions.stream({ model, messages: say("hi"), n: 2, max_tokens: 8 });
  const done = await stream.finalChatCompletion();
  assert.equal(done.choices.length, 2);
  assert.equal(done.choices[1].message.role, "assistant");
});

test("tools", onlyScripted, async () => {
  const messages = say("weather please");
  const first = await client.chat.completions.create({ model, messages, tools: [weather] });
  const { message, finish_reason } = first.choices[0];
  assert.equal(finish_reason, "tool_calls");
  assert.deepEqual(message.tool_calls.map((call) => JSON.parse(call.function.arguments).city), ["Paris", "Oslo"]);
  messages.push(message, ...message.tool_calls.map((call) => ({ role: "tool", tool_call_id: call.id, content: "sunny" })));
  const second = await client.chat.completions.create({ model, messages, tools: [weather] });
  assert.equal(second.choices[0].message.content, "You said: sunny");
});

test("tools in a stream, two calls at once", onlyScripted, async () => {
  const stream = client.chat.completions.stream({ model, messages: say("weather"), tools: [weather], tool_choice: "required" });
  const { choices } = await stream.finalChatCompletion();
  assert.equal(choices[0].finish_reason, "tool_calls");
  assert.deepEqual(choices[0].message.tool_calls.map((call) => call.function.arguments), ['{"city":"Paris"}', '{"city":"Oslo"}']);
});

test("a tool that is asked for by name", async () => {
  const done = await client.chat.completions.create({
    model, messages: say("weather in Paris"), tools: [weather], parallel_tool_calls: false,
    // (real weights may take their time to close the string)
    tool_choice: { type: "function", function: { name: "weather" } }, max_tokens: 4000, seed: 0,
  });
  assert.equal(done.choices[0].message.tool_calls.length, 1);
  assert.equal(done.choices[0].message.tool_calls[0].function.name, "weather");
});

test("strict tools that the model may call", async () => {
  const parameters = { ...weather.function.parameters, additionalProperties: false };
  const ask = { model, messages: say("hello"), tools: [{ type: "function", function: { ...weather.function, strict: true, parameters } }],
    max_tokens: 40, seed: 0 };
  const whole = (await client.chat.completions.create(ask)).choices[0].message;
  let text = "", calls = [];
  for await (const chunk of await client.chat.completions.create({ ...ask, stream: true })) {
    text += chunk.choices[0]?.delta.content ?? "";
    calls.push(...(chunk.choices[0]?.delta.tool_calls ?? []).map((call) => call.function.arguments));
  }
  assert.equal(text, whole.content ?? "");
  assert.equal(calls.join(""), (whole.tool_calls ?? []).map((call) => call.function.arguments).join(""));
  for (const call of whole.tool_calls ?? []) assert.equal(call.function.name, "weather");
});

test("structured output", async () => {
  const Person = z.object({ name: z.string().max(20), age: z.number().int() });
  const done = await client.chat.completions.parse({
    model, messages: say("a person"), response_format: zodResponseFormat(Person, "person"), max_tokens: 2000, seed: 0,
  });
  Person.parse(done.choices[0].message.parsed);
});

test("reasoning comes apart", onlyScripted, async () => {
  const done = await client.chat.completions.create({ model, messages: say("!think") });
  assert.equal(done.choices[0].message.reasoning_content, "Let me see. Yes.");
  assert.equal(done.choices[0].message.content, "It is so.");
});

test("bytes that are no text become U+FFFD", onlyScripted, async () => {
  const done = await client.chat.completions.create({ model, messages: say("!bytes") });
  assert.equal(done.choices[0].message.content, "a\uFFFDb\uFFFDc");
});

test("completions", async () => {
  const done = await client.completions.create({ model, prompt: ["one", "two"], n: 2, max_tokens: 4, echo: true });
  assert.deepEqual(done.choices.map((choice) => choice.index), [0, 1, 2, 3]);
  assert.ok(done.choices[2].text.startsWith("two"));
  const logprobs = await client.completions.create({ model, prompt: [104, 105], logprobs: 2, max_tokens: 4 });
  assert.equal(logprobs.choices[0].logprobs.tokens.length, logprobs.choices[0].logprobs.text_offset.length);
  let text = "";
  for await (const chunk of await client.completions.create({ model, prompt: "hi", stream: true, max_tokens: 4 }))
    text += chunk.choices[0].text;
  if (scripted) assert.equal(text, "You said: hi");
});

test("log-likelihoods", async () => {
  const { data, request_id } = await client.completions
    .create({ model, prompt: [[104, 105, 106], [105, 106]], max_tokens: 0, echo: true, logprobs: 1 })
    .withResponse();
  assert.match(request_id, /^req_/);
  assert.deepEqual(data.choices.map((choice) => choice.logprobs.tokens.length), [3, 2]);
  for (const { logprobs } of data.choices) {
    assert.equal(logprobs.token_logprobs[0], null);
    assert.ok(logprobs.token_logprobs.slice(1).every((value, i) => value <= Math.max(...Object.values(logprobs.top_logprobs[i + 1]))));
  }
});

test("custom tools", onlyScripted, async () => {
  const tools = [{ type: "custom", custom: { name: "patch", description: "Changes files" } }];
  const done = await client.chat.completions.create({ model, messages: say("change it"), tools, parallel_tool_calls: false });
  assert.equal(done.choices[0].message.tool_calls[0].custom.name, "patch");
  const response = await client.responses.create({ model, input: "change it", tools: [{ type: "custom", name: "patch" }] });
  assert.equal(response.output[0].type, "custom_tool_call");
  assert.ok(response.output[0].input.length > 0);
  const types = [];
  for await (const event of await client.responses.create({ model, input: "change it", tools: [{ type: "custom", name: "patch" }], stream: true }))
    types.push(event.type);
  assert.ok(types.includes("response.custom_tool_call_input.done"));
});

test("embeddings", async () => {
  const base64 = await client.embeddings.create({ model, input: ["four", "seven77"] });  // the client's default
  const floats = await client.embeddings.create({ model, input: ["four", "seven77"], encoding_format: "float" });
  assert.deepEqual(base64.data[1].embedding, floats.data[1].embedding);
  if (scripted) assert.equal(floats.data[1].embedding[0], 7);
});

test("models", async () => {
  const ids = [];
  for await (const each of client.models.list()) ids.push(each.id);
  assert.ok(ids.includes(model));
  assert.equal((await client.models.retrieve(model)).id, model);
});

test("responses", async () => {
  const done = await client.responses.create({ model, input: "hello", max_output_tokens: 16, instructions: "Be short." });
  if (scripted) assert.equal(done.output_text, "You said: hello");
  const turn = await client.responses.create({
    model,
    input: [{ role: "user", content: "a" }, ...done.output, { role: "user", content: [{ type: "input_text", text: "b" }] }],
    max_output_tokens: 2,
  });
  assert.equal(turn.status, "incomplete");
  assert.equal(turn.incomplete_details.reason, "max_output_tokens");
});

test("responses in a stream: reasoning, text, usage", onlyScripted, async () => {
  const stream = client.responses.stream({ model, input: "!think" });
  const types = [];
  for await (const event of stream) types.push(event.type);
  const done = await stream.finalResponse();
  assert.deepEqual(done.output.map((item) => item.content[0].text), ["Let me see. Yes.", "It is so."]);
  assert.deepEqual(done.output.map((item) => item.type), ["reasoning", "message"]);
  assert.equal(types[0], "response.created");
  assert.equal(types.at(-1), "response.completed");
  assert.ok(done.usage.output_tokens > 0);
});

test("responses with tools", onlyScripted, async () => {
  const tools = [{ type: "function", ...weather.function, strict: false }, { type: "web_search" }];
  const input = say("weather");
  const stream = client.responses.stream({ model, input, tools });
  const first = await stream.finalResponse();
  assert.deepEqual(first.output.map((item) => item.arguments), ['{"city":"Paris"}', '{"city":"Oslo"}']);
  input.push(...first.output, ...first.output.map((call) => ({ type: "function_call_output", call_id: call.call_id, output: "rain" })));
  const second = await client.responses.create({ model, input, tools });
  assert.equal(second.output_text, "You said: rain");
});

test("responses that fail in the stream", onlyScripted, async () => {
  const events = [];
  for await (const event of await client.responses.create({ model, input: "x".repeat(5000), stream: true })) events.push(event);
  assert.deepEqual(events.map((event) => event.type), ["response.created", "response.in_progress", "response.failed"]);
  assert.equal(events[2].response.error.code, "context_length_exceeded");
});

test("errors: their classes, and no second try of what must fail", async () => {
  const before = await running();
  const fails = (promise, type, status, code, param) =>
    assert.rejects(promise, (error) => {
      assert.ok(error instanceof type, String(error));
      assert.equal(error.status, status);
      assert.equal(error.code, code);
      if (param !== undefined) assert.equal(error.param, param);
      return true;
    });
  const ask = (more) => client.chat.completions.create({ model, messages: say("hi"), ...more });
  await fails(ask({ model: "no-such-model" }), OpenAI.NotFoundError, 404, "model_not_found", "model");
  await fails(ask({ temperature: "hot" }), OpenAI.BadRequestError, 400, null, "temperature");
  await fails(ask({ messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "http://127.0.0.1/x" } }] }] }),
    OpenAI.BadRequestError, 400, "unsupported_value", "messages[0].content[0].image_url.url");
  const shown = [{ type: "text", text: "look" }, { type: "image_url", image_url: { url: `data:image/png;base64,${picture}` } }];
  if (!scripted) await fails(ask({ messages: [{ role: "user", content: shown }] }), OpenAI.BadRequestError, 400, "unsupported_value", "messages");
  if (!scripted) return;
  await fails(ask({ messages: say("x".repeat(5000)) }), OpenAI.BadRequestError, 400, "context_length_exceeded");
  const seen = await running();
  assert.equal(seen.requests - before.requests, 1, "tried again");
  await fails(ask({ messages: say("!huge") }), OpenAI.InternalServerError, 507, "does_not_fit");
  assert.equal((await running()).requests - seen.requests, 1, "tried again");
  await fails(client.chat.completions.create({ model, messages: say("!full") }, { maxRetries: 1 }), OpenAI.RateLimitError, 429, "queue_full");
  assert.equal((await running()).requests - seen.requests, 3, "not tried again");
  const stream = await ask({ messages: say("!break"), stream: true });
  await assert.rejects(async () => { for await (const _ of stream); }, /the engine failed/);
});

test("abort ends the work", onlyScripted, async () => {
  const before = (await running()).cancelled;
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none" });  // the watching one reads on
  const stream = await client.chat.completions.create({ model, messages: say("!endless"), stream: true });
  for await (const _ of stream) break;
  await eventually(async () => (await running()).cancelled === before + 1);
  const waiting = new AbortController();
  const slow = client.chat.completions.create({ model, messages: say("!slow") }, { signal: waiting.signal });
  setTimeout(() => waiting.abort(), 200);
  await assert.rejects(slow, OpenAI.APIUserAbortError);
  await eventually(async () => (await running()).cancelled === before + 2);
});
