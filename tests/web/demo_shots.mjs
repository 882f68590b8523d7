// Pictures of the page of a real server behind which the demo's loops have run:
//   node tests/web/demo_shots.mjs [--webp] DIRECTORY [NAME-THEME-WIDTH…]
// The runs that ask a model larger than the starter have a script answer in its place, as in `make demo`; all else is real.
import { cpSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { new_home } from "./lathe.mjs";
import { kViews, take_shots } from "./shots.mjs";

const args = process.argv.slice(2);
const webp = args[0] === "--webp" && args.shift() !== undefined;
const [directory, ...only] = args;
const source = fileURLToPath(new URL("../../", import.meta.url));
const ends = [];
const place = new_home({ after: (end) => ends.unshift(end) });
cpSync(join(source, "examples"), join(place.home, "examples"), { recursive: true });
cpSync(join(source, "models/starter-q8_0.gguf"), join(place.home, "models/starter-q8_0.gguf"));

// A loop of the demo, to its end: its run.
function demo(recipe, input, ...more) {
  place.run("loop", recipe, "--input", input, "--out", `out-${recipe.replaceAll("/", "-")}`, ...more);
  return place.run("runs")[0].id;
}
const script = (path, ...names) => names.flatMap((name) => ["--worker", `${name}=script:examples/${path}/worker.toml`]);

const runs = {
  red: demo("red-to-green", "examples/red-to-green/tasks.jsonl", "--worker", "starter=models/starter-q8_0.gguf"),
  text: demo("rewrite", "examples/rewrite/notice.md", ...script("rewrite", "writer", "judge")),
  drawing: demo("svg-figure", "examples/svg-figure/figures.jsonl", ...script("svg-figure", "artist")),
  page: demo("examples/mockup-to-page/recipe.toml", "examples/mockup-to-page/brief.md", ...script("mockup-to-page", "artist")),
  picture: demo("thumbnail", "examples/thumbnail/titles.jsonl", "--set", "unit.split=jsonl"),
  diff: demo("examples/fix-tests/python/recipe.toml", "examples/fix-tests/python", ...script("fix-tests/python", "coder")),
  sound: demo("voice-over", "examples/voice-over/script.md"),
};
mkdirSync(join(place.home, ".config/lathe/bench"), { recursive: true });
place.text("bench", "models/starter-q8_0.gguf", "--repeat", "3", "--prompts", "64,256", "--answer", "32", "--widths", "1", "--streams", "1,2,4", "--out", ".config/lathe/bench/starter.json");

const server = await place.serve();
const ask = async (path, body) => (await fetch(`${server.url}/v1${path}`, body && { method: "POST", headers: { "Content-Type": "application/json", "X-Lathe": "1" }, body: JSON.stringify(body) })).json();
const { takes } = await ask(`/runs/${runs.sound}/labels`);
for (const [i, take] of takes.slice(0, Math.floor(takes.length / 2)).entries())
  await ask("/labels", { run: runs.sound, unit: take.unit, blob: take.blob, accept: i % 4 !== 1, reason: "", seen: null });
await ask("/completions", { model: "starter-q8_0", prompt: "def f(x):\n    return", max_tokens: 32 });
// The unit that took most laps tells most.
const most = async (run) => (await ask(`/runs/${run}/units`)).tracks.reduce((best, each) => (each.laps.length > best.laps.length ? each : best)).index;
const of_runs = { run: `#/runs/${runs.sound}`, unit: `#/runs/${runs.sound}/units/${await most(runs.sound)}`, take: `#/judge/${runs.sound}` };
for (const name of ["red", "text", "drawing", "page", "picture", "diff"]) of_runs[name] = `#/runs/${runs[name]}/units/${await most(runs[name])}`;

const before = {
  async bench(page) {
    await ask("/runs", { recipe: "voice-over", input_text: "The tool stays still.\nThe part turns.\nA chip comes off.\n" });
    await page.locator(".loops .card").first().waitFor();
  },
  async fit(page) {
    for (const model of await page.getByRole("checkbox").all()) await model.check();
    await page.getByText(/to spare|too much/).waitFor();
  },
  async chat(page) {
    await page.getByRole("combobox", { name: "Model" }).selectOption("starter-q8_0");
    await page.getByLabel("Most tokens").fill("48");
    await page.getByLabel("Your question").fill("Write a function that adds two numbers.");
    await page.getByRole("button", { name: "Send" }).click();
    await page.getByText("tokens written").waitFor();
  },
};
try {
  await take_shots(server.url, { ...kViews, ...of_runs }, directory, { webp, only, before });
} finally {
  for (const end of ends) await end(); // a server that is left would keep this program from ending
}
