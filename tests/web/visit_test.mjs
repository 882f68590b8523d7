// The page as a visitor finds it, before the real server: without models, without a network, and judged by our own judge of pages.
import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { launch, open_window } from "./browser.mjs";
import { kFive, new_home } from "./lathe.mjs";
import { kPlaces, standing } from "./standing.mjs";

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

const json = async (url, more) => (await fetch(url, more)).json();

test("a first visitor without models presses one button, and sees the demo loop pass", async (t) => {
  const place = new_home(t);
  const server = await place.serve({ command: ["open"] });
  assert.deepEqual(await json(`${server.url}/health`), { status: "ok", models: 0 });
  const { page, context, sins } = await open_window(browser);
  t.after(() => context.close());
  await page.goto(server.url);
  await page.getByText("No model is here yet.").waitFor();
  await page.getByRole("button", { name: "Run the demo loop" }).click();
  await page.locator("#grid").waitFor({ timeout: 120_000 });
  await page.locator(".run-line .outcome.pass").waitFor({ timeout: 300_000 });
  await page.locator("#grid").focus();
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await page.locator("article audio").waitFor();
  await page.locator("article .word.right").first().waitFor();
  // Whoever names no models is served without; whoever names a place wants those that are there.
  await server.kill();
  const plain = await place.serve({ command: ["serve"] });
  assert.equal((await json(`${plain.url}/health`)).models, 0);
  assert.throws(() => place.run("serve", "--port", "0", place.home), /there is no GGUF file/);
  assert.deepEqual(sins, []);
});

// A network of its own: loopback, and nothing else. "": this kernel gives nobody one.
function cut_off() {
  for (const way of ["-rn", "-n"]) if (spawnSync("unshare", [way, "true"]).status === 0) return way;
  return "";
}

test("with the network cut the page works", async (t) => {
  const way = cut_off();
  if (way === "") return t.skip("this kernel gives no network namespaces, not even to root");
  const place = new_home(t);
  place.write("five.toml", kFive);
  place.write("units.txt", "3\n5\n");
  place.run("loop", "five.toml", "--input", "units.txt", "--out", "out");
  // SIOCSIFFLAGS: loopback up and running.
  const up = "import fcntl, os, socket, struct, sys; fcntl.ioctl(socket.socket(), 0x8914, struct.pack('16sh14x', b'lo', 0x41)); os.execvp(sys.argv[1], sys.argv[1:])";
  const { stdout } = await promisify(execFile)("unshare", [way, "python3", "-c", up, process.execPath, fileURLToPath(new URL("offline.mjs", import.meta.url)), place.home]);
  const seen = JSON.parse(stdout);
  assert.deepEqual(seen.interfaces, ["lo"]);
  assert.equal(seen.outside, "ENETUNREACH");
  assert.equal(seen.faults.length, kPlaces.length);
  assert.deepEqual(seen.faults.flat(), []);
  assert.deepEqual(seen.sins, []);
});

// A loop over views as they stand: each is opened confined, read and measured by the page judge.
const judged_at = (width) => `recipe = "views-${width}"
version = 1
[unit]
from = "views-${width}.jsonl"
split = "jsonl"
[make]
kind = "command"
command = ["cat"]
media_type = "text/html"
extension = "html"
[[judge]]
kind = "page"
widths = ["${width}"]
links = false   # they lead to other views
[stop]
laps = 1
`;

test("our own judge of pages finds no fault in any view", async (t) => {
  const place = new_home(t);
  place.write("five.toml", kFive);
  place.write("units.txt", "3\n5\n");
  place.run("loop", "five.toml", "--input", "units.txt", "--out", "out");
  const server = await place.serve();
  const [{ id }] = (await json(`${server.url}/v1/runs`)).runs;
  // A judgement takes seconds: on a narrow screen those views stand for all that have the most on them.
  const fullest = ["runs/ID/units/0", "chat", "judge/ID", "ledger"];
  for (const [width, theme, views] of [[1280, "light", kPlaces], [390, "light", fullest], [1280, "dark", fullest]]) {
    const { page, context } = await open_window(browser, { width });
    // Chosen, so that the page stands in it whatever the judge's browser would have.
    await page.addInitScript((choice) => location.protocol === "http:" && localStorage.setItem("lathe-theme", choice), theme);
    const units = [];
    for (const view of views) {
      await page.goto("about:blank");
      await page.goto(`${server.url}/#/${view.replace("ID", id)}`);
      units.push({ key: view, text: await standing(page) });
    }
    await context.close();
    place.write(`${width}.toml`, judged_at(width));
    place.write(`views-${width}.jsonl`, units.map((unit) => JSON.stringify(unit)).join("\n") + "\n");
    place.run("loop", `${width}.toml`, "--input", `views-${width}.jsonl`, "--out", `judged-${width}-${theme}`);
    const verdicts = place.run("show", "last").filter((each) => each.kind === "verdict").map(({ body }) => [units[body.track].key, body.judgement]);
    assert.equal(verdicts.length, units.length);
    for (const [view, judgement] of verdicts) assert.deepEqual([view, theme, judgement.outcome, judgement.critiques.map((each) => each.claim)], [view, theme, "pass", []]);
  }
});
