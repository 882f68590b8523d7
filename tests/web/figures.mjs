// The figures of docs/web.md, with the machine and the day: node tests/web/figures.mjs
import { readFileSync, readdirSync } from "node:fs";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { launch, open_window } from "./browser.mjs";
import { start } from "./fake_server.mjs";
import { run_summary, small_world, track_row } from "./fake_world.mjs";

const dist = fileURLToPath(new URL("../../web/dist/", import.meta.url));
const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];
const kilobytes = (count) => `${(count / 1000).toFixed(1)} kB`;

const files = readdirSync(dist).map((name) => readFileSync(dist + name));
console.log(`${cpus().length} cores, ${cpus()[0].model}, ${new Date().toISOString().slice(0, 10)}`);
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
await browser.close();
await server.stop();
