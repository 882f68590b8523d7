// The protocol's own client against `lathe mcp` and POST /mcp: lists and calls tools, is told of progress, cancels.
// usage: LATHE=… ROOT=… node mcp.mjs LATHE-ARGUMENTS…, or MCP_URL=… ROOT=… node mcp.mjs
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
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
await client.close();
