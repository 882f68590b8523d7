// The page before the real server: a run that is watched live over the server's death, the same figures as the command line has,
// answers of the shapes that the page is compiled by, and changes that nobody else can ask for.
import assert from "node:assert/strict";
import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { launch, open_window } from "./browser.mjs";
import { eventually, kFive, kUnits, new_home } from "./lathe.mjs";

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

const json = async (url, more) => (await fetch(url, more)).json();

// What the records of a run say of each track: its state, and its laps' scores.
function told_by(records) {
  const tracks = new Map();
  const track = (index) => tracks.get(index) ?? tracks.set(index, { state: "open", scores: [] }).get(index);
  for (const { kind, body } of records) {
    if (kind === "close") track(body.track).scores[body.lap - 1] = body.best < 0 ? null : Math.round(100 * body.rank.score) / 10;
    if (kind === "unit") track(body.track).state = body.state;
  }
  return [...tracks].sort(([a], [b]) => a - b).map(([, each]) => each);
}

function grid_of(page) {
  return page.evaluate(() =>
    [...document.querySelectorAll(".grid-body .grid-row")]
      .sort((a, b) => a.dataset.track - b.dataset.track)
      .map((row) => ({ state: row.dataset.state, scores: [...row.querySelectorAll(".cell:not(.none)")].map((cell) => (cell.dataset.score === undefined ? null : Math.round(10 * cell.dataset.score) / 10)) })),
  );
}

test("24 units by 3 laps are watched live, over a server that is killed, and end as the command line tells it", async (t) => {
  const place = new_home(t);
  place.write("five.toml", kFive);
  place.write("units.txt", kUnits);
  const first = await place.serve();
  const loop = place.loop("five.toml", "--input", "units.txt", "--out", "out", "--parallel", "1");
  const { id } = await eventually(async () => (await json(`${first.url}/v1/runs`)).runs[0]);
  const { page, context, sins } = await open_window(browser, { height: 1400 });
  t.after(() => context.close());
  await page.goto(`${first.url}/#/runs/${id}`);
  await page.locator('.grid-row[data-state="passed"]').first().waitFor();
  loop.hold();
  await first.kill();
  await page.getByText("connection lost").waitFor();
  await page.getByText("The server does not answer, since").waitFor();
  loop.go_on();
  await loop.ended;
  await place.serve({ port: first.port });
  await page.getByText("The server does not answer").waitFor({ state: "detached" });
  await page.locator(".run-line .outcome.pass").waitFor();
  await page.waitForFunction(() => document.querySelectorAll('.grid-body .grid-row[data-state="passed"]').length === 24);
  const told = told_by(place.run("show", id));
  assert.equal(told.length, 24);
  assert.deepEqual(told.map((each) => each.scores.length), Array.from({ length: 24 }, (_, i) => 3 - (i % 3)));
  assert.deepEqual(await grid_of(page), told);
  // One unit, opened: what its last lap made, and the number it was judged by.
  await page.locator("#grid").focus();
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await page.locator("article .verdict").first().waitFor();
  await page.locator("article .artifact pre").waitFor();
  assert.deepEqual(sins, []);
});

test("every view of the real server has its shape: none is an error", async (t) => {
  const place = new_home(t);
  place.write("five.toml", kFive);
  place.write("units.txt", "3\n5\n");
  place.run("loop", "five.toml", "--input", "units.txt", "--out", "out");
  // What fits is asked of the models of this machine, not of those that a server was given.
  mkdirSync(join(place.home, ".config/lathe/models"), { recursive: true });
  copyFileSync(join(place.home, "models/tiny.gguf"), join(place.home, ".config/lathe/models/tiny.gguf"));
  const server = await place.serve();
  const { page, context, sins } = await open_window(browser);
  t.after(() => context.close());
  const [{ id }] = (await json(`${server.url}/v1/runs`)).runs;
  await page.goto(server.url);
  for (const hash of ["bench", "runs", `runs/${id}`, `runs/${id}/units/0`, "chat", "judge", `judge/${id}`, "fit", "ledger", "benchmarks", "catalog", "doctor"]) {
    await page.evaluate((to) => (location.hash = to), `#/${hash}`);
    await page.waitForFunction((to) => location.hash === to && document.querySelector("h1") && !document.querySelector(".skeleton"), `#/${hash}`);
    assert.deepEqual(await page.locator(".fault").allInnerTexts(), [], hash);
  }
  await page.evaluate(() => (location.hash = "#/fit"));
  await page.getByRole("checkbox").first().check();
  await page.getByText("to spare").waitFor();
  await page.evaluate(() => (location.hash = "#/chat"));
  await page.getByLabel("Most tokens").fill("8");
  await page.getByLabel("Your question").fill("x");
  await page.getByRole("button", { name: "Send" }).click();
  await page.getByText("8 tokens written").waitFor();
  assert.deepEqual(sins, []);
});

test("a key is typed once, and a change is the page's alone", async (t) => {
  const place = new_home(t);
  place.write("five.toml", kFive);
  place.write("units.txt", "5\n");
  place.run("loop", "five.toml", "--input", "units.txt", "--out", "out");
  const server = await place.serve({ key: "secret" });
  const bearer = { Authorization: "Bearer secret" };
  const [{ id }] = (await json(`${server.url}/v1/runs`, { headers: bearer })).runs;
  const labels = () => json(`${server.url}/v1/runs/${id}/labels`, { headers: bearer });
  const [take] = (await labels()).takes;
  const body = JSON.stringify({ run: id, unit: take.unit, blob: take.blob, accept: true, reason: "", seen: null });
  const label = async (headers) => (await fetch(`${server.url}/v1/labels`, { method: "POST", headers: { ...bearer, ...headers }, body })).status;
  assert.equal(await label({ "Content-Type": "application/json" }), 403, "no X-Lathe");
  assert.equal(await label({ "Content-Type": "application/x-www-form-urlencoded" }), 403, "a form");
  assert.equal(await label({ "X-Lathe": "1", "Content-Type": "multipart/form-data; boundary=x" }), 415);
  assert.equal(await label({ "X-Lathe": "1", Origin: "http://evil.example" }), 403);
  assert.deepEqual((await labels()).labels, []);
  // Another origin's page, in the same browser and with the person's session.
  const { page, context, sins } = await open_window(browser);
  t.after(() => context.close());
  await page.goto(`${server.url}/#/judge/${id}`);
  await page.getByLabel("Key").fill("secret");
  await page.getByRole("button", { name: "Enter" }).click();
  await page.locator("#take").waitFor();
  assert.equal(await page.evaluate(() => document.cookie), "");
  const [cookie] = await context.cookies();
  assert.deepEqual([cookie.httpOnly, cookie.sameSite], [true, "Strict"]);
  const stranger = await context.newPage();
  await stranger.goto(`http://localhost:${server.port}/health`);
  const refused = await stranger.evaluate(async ([url, text]) => {
    const answers = [];
    for (const headers of [{}, { "X-Lathe": "1" }])
      answers.push(await fetch(`${url}/v1/labels`, { method: "POST", mode: headers["X-Lathe"] ? "cors" : "no-cors", credentials: "include", headers, body: text }).then((answer) => answer.type, () => "refused"));
    return answers;
  }, [server.url, body]);
  assert.deepEqual(refused, ["opaque", "refused"]);
  assert.deepEqual((await labels()).labels, []);
  await page.keyboard.press("a");
  await page.getByText(`Accepted: ${take.unit}`).waitFor();
  assert.equal((await labels()).labels.length, 1);
  assert.deepEqual(sins, []);
});

test("curl gets Ollama's line, a browser the page, and --no-web none", async (t) => {
  const place = new_home(t);
  const server = await place.serve();
  const root = async (url, accept) => (await fetch(url, { headers: { Accept: accept } })).text();
  assert.match(await root(server.url, "*/*"), /Ollama is running/);
  assert.match(await root(server.url, "text/html"), /<!doctype html>/);
  const plain = await place.serve({ args: ["--no-web"] });
  assert.match(await root(plain.url, "text/html"), /Ollama is running/);
  assert.equal((await fetch(`${plain.url}/v1/session`)).status, 404);
});
