// The ai package, over @ai-sdk/openai-compatible (chat completions) and @ai-sdk/openai (responses).
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { APICallError, embedMany, generateObject, generateText, stepCountIs, streamText, tool } from "ai";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { z } from "zod";
import { eventually, model, onlyScripted, picture, running, scripted, shapesHold, url, watchedFetch } from "./harness.mjs";

const compatible = createOpenAICompatible({ name: "lathe", baseURL: `${url}/v1`, fetch: watchedFetch, supportsStructuredOutputs: true });
const plain = createOpenAICompatible({ name: "lathe", baseURL: `${url}/v1`, fetch: watchedFetch });
const openai = createOpenAI({ baseURL: `${url}/v1`, apiKey: "none", fetch: watchedFetch });
const weather = tool({
  description: "The weather of a city",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `sunny in ${city}`,
});
const Person = z.object({ name: z.string().max(20), age: z.number().int() });
afterEach(shapesHold, { timeout: 10_000 });

for (const [name, language] of [["compatible", compatible(model)], ["responses", openai(model)], ["openai chat", openai.chat(model)]]) {
  test(`${name}: text`, async () => {
    const { text, usage, finishReason } = await generateText({ model: language, prompt: "hello you", maxOutputTokens: 16 });
    if (scripted) assert.equal(text, "You said: hello you");
    assert.match(finishReason, /stop|length/);
    assert.ok(usage.inputTokens > 0);
  });

  test(`${name}: a picture`, onlyScripted, async () => {
    const content = [{ type: "text", text: "look" }, { type: "image", image: Buffer.from(picture, "base64") }];
    const { text } = await generateText({ model: language, messages: [{ role: "user", content }] });
    assert.equal(text, "You said: look");
  });

  test(`${name}: stream`, async () => {
    const { textStream, finishReason } = streamText({ model: language, prompt: "one two", maxOutputTokens: 16 });
    let text = "";
    for await (const part of textStream) text += part;
    if (scripted) assert.equal(text, "You said: one two");
    assert.match(await finishReason, /stop|length/);
  });

  test(`${name}: tools, there and back`, onlyScripted, async () => {
    const { text, steps } = await generateText({ model: language, prompt: "weather", tools: { weather }, stopWhen: stepCountIs(3) });
    assert.equal(steps[0].finishReason, "tool-calls");
    assert.deepEqual(steps[0].toolCalls.map((call) => call.input.city), ["Paris", "Oslo"]);
    assert.equal(text, "You said: sunny in Oslo");
    const stream = streamText({ model: language, prompt: "weather", tools: { weather }, stopWhen: stepCountIs(3) });
    assert.equal(await stream.text, "You said: sunny in Oslo");
  });

  test(`${name}: structured output`, async () => {
    const { object } = await generateObject({ model: language, schema: Person, prompt: "a person", maxOutputTokens: 200 });
    Person.parse(object);
  });

  test(`${name}: reasoning`, onlyScripted, async () => {
    const { text, reasoningText } = await generateText({ model: language, prompt: "!think" });
    assert.equal(text, "It is so.");
    if (name === "compatible") assert.equal(reasoningText, "Let me see. Yes.");
  });

  test(`${name}: errors`, async () => {
    await assert.rejects(generateText({ model: language, messages: [{ role: "user", content: [{ type: "image", image: new URL("http://127.0.0.1:9/x.png") }] }] }));
    if (!scripted) return;
    const before = await running();
    await assert.rejects(generateText({ model: language, prompt: "x".repeat(5000) }), (error) => {
      assert.ok(APICallError.isInstance(error), String(error));
      assert.equal(error.statusCode, 400);
      assert.equal(error.isRetryable, false);
      assert.match(error.message, /5\d\d\d tokens.* 4096/);
      return true;
    });
    assert.equal((await running()).requests - before.requests, 1, "tried again");
  });

  test(`${name}: abort ends the work`, onlyScripted, async () => {
    const before = (await running()).cancelled;
    const control = new AbortController();
    const { textStream } = streamText({ model: language, prompt: "!endless", abortSignal: control.signal, onError() {}, onAbort() {} });
    for await (const _ of textStream) control.abort();
    await eventually(async () => (await running()).cancelled === before + 1);
  });
}

test("an object without a schema on the wire", onlyScripted, async () => {
  const { object } = await generateObject({ model: plain(model), schema: Person, prompt: "a person" });
  assert.deepEqual(object, { name: "Ada", age: 36 });
});

test("embeddings", async () => {
  const { embeddings } = await embedMany({ model: compatible.textEmbeddingModel(model), values: ["four", "seven77"] });
  assert.equal(embeddings.length, 2);
  const other = await embedMany({ model: openai.textEmbeddingModel(model), values: ["four", "seven77"] });
  assert.deepEqual(other.embeddings, embeddings);
});
