// Starts the scripted server (LATHE_FAKE_SERVER) for one test file, or uses a running one (LATHE_URL,
// LATHE_MODEL), and checks whatever OpenAI-shaped JSON a client receives against shapes.json.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { after } from "node:test";
import Ajv from "ajv/dist/2020.js";

const ajv = new Ajv({ strict: false, allErrors: true });
ajv.addSchema(JSON.parse(readFileSync(new URL("shapes.json", import.meta.url))), "shapes");

export function check(name, object) {
  const validate = ajv.getSchema(`shapes#/$defs/${name}`);
  assert.ok(validate, `shapes.json knows no ${name}`);
  assert.ok(validate(object), `${name}: ${ajv.errorsText(validate.errors)}\n${JSON.stringify(object, null, 1)}`);
}

function checkBody(text) {
  const body = JSON.parse(text);
  if (body.type === "error" || body.type === "message" || body.input_tokens !== undefined) return;
  check(body.error && !body.object ? "error" : body.object, body);
}

// Every event is whole, and its name, where it has one, is its type.
function checkEvents(text) {
  let sequence = 0;
  for (const event of text.split("\n\n").slice(0, -1)) {
    const fields = event.split("\n").filter((line) => !line.startsWith(":"));
    if (fields.length === 0) continue;
    const data = fields.at(-1).replace(/^data: /, "");
    if (data === "[DONE]") continue;
    const body = JSON.parse(data);
    if (fields.length === 2) assert.equal(fields[0], `event: ${body.type}`);
    if (body.type?.startsWith("response.")) assert.equal(body.sequence_number, sequence++);
    if (body.type?.startsWith("response.")) check(body.type, body);
    else if (body.object) check(body.object, body);
    else if (body.error && !body.type) check("error", body);
  }
}

const pending = [];
// Clients that are given this instead of fetch do not notice.
export async function watchedFetch(input, init) {
  const response = await fetch(input, init);
  const copy = response.clone();
  pending.push(
    (async () => {
      const type = copy.headers.get("content-type") ?? "";
      const text = await copy.text().catch(() => "");  // aborted
      if (type.startsWith("text/event-stream")) checkEvents(text);
      else if (type === "application/json" && text) checkBody(text);
    })(),
  );
  return response;
}
export async function shapesHold() {
  await Promise.all(pending.splice(0));
}

export const scripted = !process.env.LATHE_URL;
export const model = process.env.LATHE_MODEL ?? "small";
// A picture of one pixel, for requests that show one.
export const picture = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=";
// For tests that need an answer which only the script gives.
export const onlyScripted = { skip: scripted ? false : "needs the scripted models" };

async function start() {
  if (!scripted) return process.env.LATHE_URL;
  const child = spawn(process.env.LATHE_FAKE_SERVER, [], { stdio: ["pipe", "pipe", "inherit"] });
  const port = await new Promise((resolve, reject) => {
    child.stdout.once("data", (data) => resolve(String(data).trim()));
    child.once("exit", (code) => reject(new Error(`the server ended with ${code}`)));
  });
  after(async () => {
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.stdin.end();
    assert.equal(await ended, 0, "the server did not end well");
  });
  return `http://127.0.0.1:${port}`;
}
export const url = await start();

export async function running() {
  const text = await (await fetch(`${url}/metrics`)).text();
  return {
    requests: Number(/^lathe_requests_total (\d+)/m.exec(text)[1]),
    cancelled: Number(/^lathe_requests_cancelled_total (\d+)/m.exec(text)[1]),
  };
}
export async function eventually(condition) {
  for (let i = 0; i < 100; ++i) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.fail(`never: ${condition}`);
}
