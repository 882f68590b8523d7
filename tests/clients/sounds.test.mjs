// OpenAI's client: sounds written down, in every form and as a stream.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import OpenAI, { toFile } from "openai";
import { model, url } from "./harness.mjs";

const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
const bytes = readFileSync(new URL("../data/media/s3.wav", import.meta.url));
const file = () => toFile(bytes, "talk.wav");

test("a transcript in five forms", async () => {
  const { text, usage } = await client.audio.transcriptions.create({ model, file: await file() });
  assert.ok(text.length > 0);
  assert.deepEqual(usage, { type: "duration", seconds: 3 });
  const plain = await client.audio.transcriptions.create({ model, file: await file(), response_format: "text" });
  assert.equal(String(plain).trim(), text);
  const verbose = await client.audio.transcriptions.create({
    model, file: await file(), response_format: "verbose_json", timestamp_granularities: ["word", "segment"], language: "en",
  });
  assert.equal(verbose.text, text);
  assert.equal(Number(verbose.duration), 3);
  assert.equal(verbose.segments.map((segment) => segment.text).join("").trim(), text);
  assert.ok(verbose.words.every((word) => word.start <= word.end));
  for (const response_format of ["srt", "vtt"]) {
    const lines = await client.audio.transcriptions.create({ model, file: await file(), response_format, temperature: 0, prompt: "" });
    assert.match(String(lines), /-->/);
  }
});

test("a stream", async () => {
  const { text } = await client.audio.transcriptions.create({ model, file: await file() });
  let pieces = "", done;
  for await (const event of await client.audio.transcriptions.create({ model, file: await file(), stream: true })) {
    if (event.type === "transcript.text.delta") pieces += event.delta;
    else done = event;
  }
  assert.equal(done.type, "transcript.text.done");
  assert.equal(done.text, text);
  assert.equal(pieces, text);
});

test("errors are OpenAI's", async () => {
  const refused = (more) => client.audio.transcriptions.create({ model, ...more }).then(assert.fail, (error) => error);
  const broken = await refused({ file: await toFile(Buffer.from("no sound"), "a.wav") });
  assert.ok(broken instanceof OpenAI.BadRequestError);
  assert.equal(broken.param, "file");
  const none = await refused({ model: "none", file: await file() });
  assert.ok(none instanceof OpenAI.NotFoundError);
  const english = await client.audio.translations.create({ model, file: await file() }).then(assert.fail, (error) => error);
  assert.match(english.message, /English only/);
});
