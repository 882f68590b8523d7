// The protocol's own client against `lathe mcp` and POST /mcp: lists and calls all tools, has a spoiled take made again until it passes, is
// told of progress, cancels.
// usage: LATHE=… ROOT=… MARK=… node mcp.mjs LATHE-ARGUMENTS…, or MCP_URL=… LATHE=… ROOT=… MARK=… node mcp.mjs
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const { LATHE, ROOT, MCP_URL, MARK } = process.env;
const transport = MCP_URL
  ? new StreamableHTTPClientTransport(new URL(MCP_URL))
  : new StdioClientTransport({ command: LATHE, args: process.argv.slice(2), env: process.env, stderr: "inherit" });
const client = new Client({ name: "mcp.mjs", version: "1" });
await client.connect(transport);

assert.equal(client.getServerVersion().name, "lathe");
assert.match(client.getInstructions(), /only pass is a pass/);
const { tools } = await client.listTools();
assert.deepEqual(tools.map((tool) => tool.name), ["listen", "look", "test", "check", "loop", "run", "ask"].map((name) => `lathe_${name}`));

writeFileSync(`${ROOT}/words.txt`, "one two three\n");
const judged = await client.callTool({ name: "lathe_check", arguments: { judge: "text", file: "words.txt", settings: { max_words: 2 } } });
assert.equal(judged.structuredContent.outcome, "fail");
assert.match(judged.content[0].text, /^fail: judge text/);
const wrong = await client.callTool({ name: "lathe_check", arguments: { judge: "txet", text: "x" } });
assert.equal(wrong.isError, true);

const seen = [];
const tested = await client.callTool({ name: "lathe_test", arguments: { command: "echo 1..1; echo ok 1 fine" } }, undefined, {
  onprogress: (progress) => seen.push(progress),
});
assert.equal(tested.structuredContent.outcome, "pass", tested.content[0].text);
assert.ok(seen.length > 0, "no progress came");

const stop = new AbortController();
const endless = client.callTool({ name: "lathe_test", arguments: { command: `echo ${MARK}; sleep 600` } }, undefined, {
  signal: stop.signal,
  onprogress: () => stop.abort("enough"),
});
await assert.rejects(endless);
assert.equal((await client.callTool({ name: "lathe_run", arguments: { run: tested.structuredContent.run } })).structuredContent.state, "passed");

// A take whose second half is lost is judged, made again, and judged.
const line = "Please put the kettle on the stove";
const speak = (...more) => execFileSync(LATHE, ["speak", line, "--out", `${ROOT}/take.wav`, ...more], { stdio: "ignore" });
const listen = async () => (await client.callTool({ name: "lathe_listen", arguments: { audio: "take.wav", expect: line } })).structuredContent;
speak();
const take = readFileSync(`${ROOT}/take.wav`);
take.fill(0, 44 + 2 * Math.floor((take.length - 44) / 4));
writeFileSync(`${ROOT}/take.wav`, take);
const spoiled = await listen();
assert.equal(spoiled.outcome, "fail");
assert.ok(spoiled.critiques.some((critique) => /stove/.test(critique.locus + critique.claim)), JSON.stringify(spoiled.critiques));
speak("--force");
assert.equal((await listen()).outcome, "pass");

writeFileSync(`${ROOT}/page.html`, "<!doctype html><html lang=en><title>x</title><body><h1>Kettle</h1>");
const looked = await client.callTool({ name: "lathe_look", arguments: { file: "page.html" } });
assert.ok(["pass", "fail"].includes(looked.structuredContent.outcome), looked.content[0].text);
assert.ok(looked.content.some((part) => part.type === "image"));
const asked = await client.callTool({ name: "lathe_ask", arguments: { model: "small", prompt: "The capital of France?" } });
assert.equal(asked.content[0].text, "Paris.");
const begun = await client.callTool({ name: "lathe_loop", arguments: { recipe: "rewrite", input: "notice.md" } });
assert.ok(!begun.isError, begun.content[0].text);
for (;;) {
  const { state } = (await client.callTool({ name: "lathe_run", arguments: { run: begun.structuredContent.run, wait_s: 50 } })).structuredContent;
  if (state === "working") continue;
  assert.equal(state, "passed");
  break;
}
await client.close();
