// Pictures of every view in both themes, wide and narrow:
//   node tests/web/shots.mjs [--webp] DIRECTORY [URL [NAME-THEME-WIDTH…]]
// Without a URL, or with "-", they are of the fake server's world. What is wider than its window is named.
import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { launch, open_window } from "./browser.mjs";
import { start } from "./fake_server.mjs";
import { small_world } from "./fake_world.mjs";
import { settled } from "./standing.mjs";

// A browser can write what it can show.
async function to_webp(browser, png) {
  const page = await browser.newPage();
  const data = await page.evaluate(async (source) => {
    const picture = new Image();
    picture.src = source;
    await picture.decode();
    const canvas = Object.assign(document.createElement("canvas"), { width: picture.width, height: picture.height });
    canvas.getContext("2d").drawImage(picture, 0, 0);
    return canvas.toDataURL("image/webp", 0.8);
  }, `data:image/png;base64,${png.toString("base64")}`);
  await page.close();
  return Buffer.from(data.slice(data.indexOf(",") + 1), "base64");
}

// The views that lie at any server.
export const kViews = {
  bench: "#/bench", runs: "#/runs", chat: "#/chat", judge: "#/judge", fit: "#/fit", ledger: "#/ledger", benchmarks: "#/benchmarks",
  catalog: "#/catalog", fleet: "#/fleet", consent: "#/consent", doctor: "#/doctor", more: "#/more",
};

// `views`: names and fragments. `only`: beginnings of NAME-THEME-WIDTH; none: all. `before`: by name, what a person does first.
export async function take_shots(base, views, directory, { webp = false, only = [], before = {} } = {}) {
  mkdirSync(directory, { recursive: true });
  const browser = await launch();
  for (const theme of ["light", "dark"])
    for (const width of [1280, 360]) {
      const { page, sins, context } = await open_window(browser, { width, height: width < 500 ? 780 : 860, theme });
      for (const [view, hash] of Object.entries(views)) {
        const name = `${view}-${theme}-${width}`;
        if (only.length > 0 && !only.some((each) => name.startsWith(each))) continue;
        await page.goto("about:blank");
        await page.goto(`${base}/${hash}`);
        await settled(page);
        await before[view]?.(page);
        await settled(page);
        const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        if (wider > 0) console.log(`${name}: ${wider} pixels too wide`);
        const png = await page.screenshot();
        writeFileSync(`${directory}/${name}.${webp ? "webp" : "png"}`, webp ? await to_webp(browser, png) : png);
      }
      if (sins.length > 0) console.log(sins);
      await context.close();
    }
  await browser.close();
}

async function main() {
  const args = process.argv.slice(2);
  const webp = args[0] === "--webp" && args.shift() !== undefined;
  const [directory, url, ...only] = args;
  const fake = url && url !== "-" ? null : await start(small_world());
  const base = fake?.url ?? url;
  const { runs } = await (await fetch(`${base}/v1/runs`)).json();
  const [first, second = first] = runs;
  const of_runs = { run: `#/runs/${first.id}`, unit: `#/runs/${first.id}/units/2`, picture: `#/runs/${second.id}/units/0`, diff: `#/runs/${second.id}/units/1`, take: `#/judge/${first.id}` };
  await take_shots(base, { ...kViews, ...of_runs }, directory, { webp, only });
  await fake?.stop();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
