// OpenAI's client: texts spoken, whole and as streams.
import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { url } from "./harness.mjs";

const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
const wish = { model: "gpt-4o-mini-tts", voice: "alloy", input: "Hello there. How are you?" };

test("a whole file", async () => {
  const answer = await client.audio.speech.create({ ...wish, response_format: "wav" });
  assert.equal(answer.headers.get("content-type"), "audio/wav");
  const bytes = Buffer.from(await answer.arrayBuffer());
  assert.equal(bytes.toString("latin1", 0, 4), "RIFF");
  assert.equal(bytes.readUInt32LE(40), bytes.length - 44);
  const usual = Buffer.from(await (await client.audio.speech.create(wish)).arrayBuffer());
  assert.ok(usual.length > 1000);
});

test("bytes from the first sentence on", async () => {
  const answer = await client.audio.speech.create({ ...wish, response_format: "pcm", stream_format: "audio" });
  let bytes = 0, pieces = 0;
  for await (const piece of answer.body) {
    bytes += piece.length;
    ++pieces;
  }
  assert.ok(pieces >= 1 && bytes > 24000);
});

test("events", async () => {
  const answer = await client.audio.speech.create({ ...wish, response_format: "pcm", stream_format: "sse" });
  const events = (await answer.text()).split("\n\n").filter((each) => each.startsWith("data: ")).map((each) => JSON.parse(each.slice(6)));
  assert.equal(events.at(-1).type, "speech.audio.done");
  const bytes = events.slice(0, -1).map((event) => Buffer.from(event.audio, "base64").length).reduce((a, b) => a + b, 0);
  const whole = await client.audio.speech.create({ ...wish, response_format: "pcm" });
  assert.equal(bytes, (await whole.arrayBuffer()).byteLength);
});

test("errors are OpenAI's", async () => {
  const error = await client.audio.speech.create({ ...wish, voice: "nobody" }).then(assert.fail, (error) => error);
  assert.ok(error instanceof OpenAI.BadRequestError);
  assert.equal(error.param, "voice");
});
