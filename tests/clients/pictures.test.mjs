// Three packages send a picture to a model that sees (LATHE_URL, LATHE_MODEL): it is read, and its rows are counted.
import assert from "node:assert/strict";
import { test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { Ollama } from "ollama";
import OpenAI from "openai";
import { model, picture, url } from "./harness.mjs";

const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none" });
const data = `data:image/png;base64,${picture}`;
const atLeast = (seen, blind) => assert.ok(seen > blind + 10, `${seen} tokens with a picture, ${blind} without`);

test("openai, chat completions", async () => {
  const ask = async (...more) => {
    const content = [{ type: "text", text: "look" }, ...more];
    return (await openai.chat.completions.create({ model, max_tokens: 4, messages: [{ role: "user", content }] })).usage.prompt_tokens;
  };
  atLeast(await ask({ type: "image_url", image_url: { url: data, detail: "low" } }), await ask());
});

test("openai, responses", async () => {
  const ask = async (...more) => {
    const content = [{ type: "input_text", text: "look" }, ...more];
    return (await openai.responses.create({ model, max_output_tokens: 4, input: [{ role: "user", content }] })).usage.input_tokens;
  };
  atLeast(await ask({ type: "input_image", image_url: data, detail: "auto" }), await ask());
});

test("anthropic", async () => {
  const client = new Anthropic({ baseURL: url, apiKey: "none" });
  const ask = async (...more) => {
    const content = [...more, { type: "text", text: "look" }];
    const { usage } = await client.messages.create({ model, max_tokens: 4, messages: [{ role: "user", content }] });
    return usage.input_tokens + (usage.cache_read_input_tokens ?? 0);
  };
  atLeast(await ask({ type: "image", source: { type: "base64", media_type: "image/png", data: picture } }), await ask());
});

test("ollama", async () => {
  const client = new Ollama({ host: url });
  assert.ok((await client.show({ model })).capabilities.includes("vision"));
  const ask = async (message, prompt) =>
    [(await client.chat({ model, messages: [{ role: "user", content: "look", ...message }], options: { num_predict: 4 } })).prompt_eval_count,
      (await client.generate({ model, prompt: "look", ...prompt, options: { num_predict: 4 } })).prompt_eval_count];
  const seen = await ask({ images: [picture] }, { images: [Buffer.from(picture, "base64")] }), blind = await ask({}, {});
  for (const i of [0, 1]) atLeast(seen[i], blind[i]);
});
