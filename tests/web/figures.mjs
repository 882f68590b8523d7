// The figures of docs/web.md, with the machine and the day: node tests/web/figures.mjs
import { cpSync, readFileSync, readdirSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { launch, open_window } from "./browser.mjs";
import { start } from "./fake_server.mjs";
import { run_summary, small_world, track_row } from "./fake_world.mjs";
import { eventually, new_home } from "./lathe.mjs";

const dist = fileURLToPath(new URL("../../web/dist/", import.meta.url));
const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];
const kilobytes = (count) => `${(count / 1000).toFixed(1)} kB`;

const files = readdirSync(dist).map((name) => readFileSync(dist + name));
console.log(`${cpus().length} cores, ${cpus()[0].model}, ${new Date().toISOString().slice(0, 10)}, load ${loadavg()[0].toFixed(1)}`);
console.log(`bundle: ${kilobytes(files.reduce((sum, each) => sum + gzipSync(each, { level: 9 }).length, 0))} packed, ${kilobytes(files.reduce((sum, each) => sum + each.length, 0))} unpacked`);

const world = small_world();
const tracks = Array.from({ length: 10_000 }, (_, i) => track_row(i, `unit ${i}`));
const summary = run_summary("big", "rewrite", "partial", tracks);
world.runs.big = { row: { id: "big", recipe: "rewrite", title: "", state: "partial", created: "", created_ms: 0, records: 1, units: 10_000, units_passed: 1 }, summary, tracks, unit: (i) => ({ ...tracks[i], rule: "", laps: [] }) };
const server = await start(world);
const browser = await launch();

async function look(hash, enough) {
  const { page, context } = await open_window(browser);
  await page.goto(`${server.url}/${hash}`);
  await page.waitForFunction(enough);
  const paint = await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0].startTime);
  const session = await context.newCDPSession(page);
  await session.send("HeapProfiler.collectGarbage");
  const { usedSize } = await session.send("Runtime.getHeapUsage");
  const rows = await page.locator(".grid-body .grid-row").count();
  await context.close();
  return { paint, usedSize, rows };
}

const say = async (name, hash, enough) => {
  const looks = [];
  for (let i = 0; i < 9; ++i) looks.push(await look(hash, enough));
  console.log(`${name}: first paint ${median(looks.map((each) => each.paint)).toFixed(0)} ms (median of 9), ${(median(looks.map((each) => each.usedSize)) / 1e6).toFixed(1)} MB of heap, ${looks[0].rows} rows in the document`);
};
await say("Bench", "#/bench", () => document.querySelector(".model") !== null);
await say("Run of 24 units", `#/runs/${Object.keys(world.runs)[0]}`, () => document.querySelector(".grid-row[data-state]") !== null);
await say("Run of 10,000 units", "#/runs/big", () => document.querySelector(".grid-tools .note")?.textContent === "10,000 of 10,000" && document.querySelector("#row-0[data-state]") !== null);
await server.stop();

// What pages that look at a run cost a model that answers meanwhile: with and without them in turns, on a real server.
const ends = [];
const place = new_home({ after: (end) => ends.unshift(end) });
cpSync(fileURLToPath(new URL("../../models/starter-q8_0.gguf", import.meta.url)), join(place.home, "models/starter.gguf"));
place.write("slow.toml", `recipe = "slow"\nversion = 1\n[unit]\nfrom = "units.txt"\n[make]\nkind = "command"\ncommand = ["sleep", "1"]\n[[judge]]\nkind = "text"\nmin_words = 1\n[stop]\nlaps = 50\nno_gain = 50\n`);
place.write("units.txt", "a unit\n".repeat(200));
const real = await place.serve();
const loop = place.loop("slow.toml", "--input", "units.txt", "--out", "out", "--parallel", "1");
const { id } = await eventually(async () => (await (await fetch(`${real.url}/v1/runs`)).json()).runs[0]);

// The marks that could end the answer are never drawn, so that each is 400 tokens long.
const logit_bias = Object.fromEntries([0, 1, 2, 3, 4, 5].map((mark) => [mark, -100]));

async function step_ms() {
  const begun = Date.now();
  const body = JSON.stringify({ model: "starter", prompt: "def f(x):\n    return", max_tokens: 400, logit_bias, seed: 1, stream: true, stream_options: { include_usage: true } });
  const text = await (await fetch(`${real.url}/v1/completions`, { method: "POST", headers: { "Content-Type": "application/json" }, body })).text();
  const { completion_tokens } = JSON.parse(text.trim().split("\n").filter((line) => line.startsWith("data: {")).at(-1).slice(6)).usage;
  if (completion_tokens !== 400) throw new Error(`${completion_tokens} tokens are too few to measure a step`);
  return (Date.now() - begun) / completion_tokens;
}

// Windows side by side are all drawn; of a browser's tabs one is, and the others let go of their streams as soon as they are hidden.
const tabs = await Promise.all(Array.from({ length: 8 }, async () => (await browser.newContext()).newPage()));
const watch = async (tab) => {
  await tab.goto(`${real.url}/#/runs/${id}`);
  await tab.locator(".live.live").waitFor();
};
const hide = (tab) => tab.evaluate(() => {
  Object.defineProperty(document, "hidden", { get: () => true, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
});
const ways = { without: () => {}, window: () => watch(tabs[0]), tabs: async () => {
  await Promise.all(tabs.map(watch));
  await Promise.all(tabs.slice(1).map(hide));
}, windows: () => Promise.all(tabs.map(watch)) };
await step_ms();
const times = { without: [], window: [], tabs: [], windows: [] };
for (let turn = 0; turn < 8; ++turn)
  for (let i = 0; i < 4; ++i) {
    const [way, look_at] = Object.entries(ways)[(turn + i) % 4]; // none of them always behind the same one
    await Promise.all(tabs.map((tab) => tab.goto("about:blank")));
    await look_at();
    await new Promise((done) => setTimeout(done, 2000));
    const answers = [];
    for (let answer = 0; answer < 9; ++answer) answers.push(await step_ms());
    times[way].push(median(answers));
  }
const without = median(times.without);
console.log(`a token: ${without.toFixed(2)} ms with nobody watching (medians of 8 turns of 9 answers)`);
for (const [way, name] of [["window", "1 window on a running loop"], ["tabs", "8 tabs of a browser, one of them seen"], ["windows", "8 windows side by side"]])
  console.log(`${name}: ${median(times[way]).toFixed(2)} ms, ${(100 * (median(times[way]) / without - 1)).toFixed(1)} % more`);
await loop.kill();
await browser.close();
for (const end of ends) await end();
