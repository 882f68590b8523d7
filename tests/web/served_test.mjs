// The page before the real server: a run that is watched live over the server's death, the same figures as the command line has,
// answers of the shapes that the page is compiled by, and changes that nobody else can ask for.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
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

test("24 units by 5 laps are watched live, over the death of the server and of the loop, and end as the command line tells it", async (t) => {
  const place = new_home(t);
  place.write("five.toml", kFive);
  place.write("units.txt", kUnits);
  const first = await place.serve();
  const loop = place.loop("five.toml", "--input", "units.txt", "--out", "out", "--parallel", "2");
  const { id } = await eventually(async () => (await json(`${first.url}/v1/runs`)).runs[0]);
  const { page, context, sins } = await open_window(browser, { height: 1400 });
  t.after(() => context.close());
  await page.goto(`${first.url}/#/runs/${id}`);
  await page.locator(".grid-row .cell.gain").first().waitFor();
  loop.hold();
  await first.kill();
  await page.getByText("connection lost").waitFor();
  await page.getByText("The server does not answer, since").waitFor();
  // It works on while nobody looks, and is killed.
  loop.go_on();
  const before = place.run("show", id).length;
  await eventually(() => place.run("show", id).length > before + 20);
  await loop.kill();
  await place.serve({ port: first.port });
  await page.getByText("The server does not answer").waitFor({ state: "detached" });
  assert.equal(await page.locator('.grid-row[data-state="open"]').count() > 0, true, "it has not ended");
  await place.resume(id).ended;
  await page.locator(".run-line .outcome.doubt").getByText("partial").waitFor();
  await page.waitForFunction(() => document.querySelectorAll('.grid-body .grid-row:not([data-state="open"])').length === 24);
  const told = told_by(place.run("show", id));
  assert.deepEqual(told.map((each) => [each.state, each.scores.length]), Array.from({ length: 24 }, (_, i) => [i % 2 === 1 ? "passed" : "gave_up", 5]));
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
  mkdirSync(join(place.home, ".config/lathe/bench"), { recursive: true });
  place.text("bench", "models/tiny.gguf", "--repeat", "1", "--prompts", "16", "--answer", "4", "--widths", "1", "--streams", "1,2", "--out", ".config/lathe/bench/mine.json");
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
  const bars = page.locator(".bench-table tbody tr");
  await page.evaluate(() => (location.hash = "#/benchmarks"));
  await bars.first().waitFor();
  const measured = (await json(`${server.url}/v1/bench/mine`)).models[0].rows;
  assert.equal(await bars.count(), measured.length);
  assert.ok((await bars.first().innerText()).startsWith(measured[0].what));
  // The models that the server was given can be sized, too.
  await page.evaluate(() => (location.hash = "#/fit"));
  await page.getByRole("checkbox", { name: "tiny" }).check();
  await page.getByText("to spare").waitFor();
  const sized = page.getByLabel("bytes by model").locator("tbody tr").first();
  const [{ models: [alone] }] = place.run("fit", "models/tiny.gguf");
  const whole = alone.context.toLocaleString("en-GB");
  assert.match(await sized.innerText(), new RegExp(`^\\S+\\s+${whole}\\s+1\\s`), "the model's own context");
  await page.getByLabel("Streams of tiny").fill("3");
  await page.keyboard.press("Tab");
  await page.waitForFunction((words) => document.querySelector('[aria-label="bytes by model"] tbody tr')?.innerText.match(words), `\\s${whole}\\s+3\\s`);
  await page.evaluate(() => (location.hash = "#/chat"));
  await page.getByLabel("Most tokens").fill("8");
  await page.getByLabel("Your question").fill("x");
  await page.getByRole("button", { name: "Send" }).click();
  await page.getByText(/\d tokens written/).waitFor();
  assert.deepEqual(sins, []);
});

// A worker that answers from a file.
const kWriter = `[[reply]]
purpose = "make"
text = '''TEXT'''
`;

test("a talk becomes a recipe that runs, and each unit shows the prompt as it was sent", async (t) => {
  const place = new_home(t);
  const server = await place.serve();
  const { page, context, sins } = await open_window(browser);
  t.after(() => context.close());
  await page.goto(`${server.url}/#/chat`);
  await page.getByLabel("System words").fill('Be "brief".\\ \t');
  await page.getByLabel("Most tokens").fill("4");
  await page.getByLabel("Your question").fill("Say it\nplainly.");
  await page.getByRole("button", { name: "Send" }).click();
  await page.getByText(/\d tokens written/).waitFor();
  await page.getByRole("button", { name: "Make this a recipe" }).click();
  const recipe = page.getByLabel("recipe", { exact: true });
  place.write("input.txt", "The first paragraph.\n\nThe second one.\n");
  const run = async (text) => {
    place.write("my-recipe.toml", await recipe.inputValue());
    place.write("writer.toml", kWriter.replace("TEXT", text));
    const [{ warnings, missing }] = place.run("recipe", "check", "my-recipe.toml");
    assert.deepEqual(missing, []);
    assert.deepEqual(warnings.filter((warning) => !warning.includes('scope = "whole"')), []);
    place.run("loop", "my-recipe.toml", "--input", "input.txt", "--out", "made", "--worker", "writer=script:writer.toml");
    const [row] = (await json(`${server.url}/v1/runs?limit=1`)).runs;
    assert.deepEqual([row.recipe, row.state, row.units_passed], ["my-recipe", "passed", 2]);
    return row.id;
  };
  const id = await run("In plain words.");
  await page.getByLabel("JSON schema of the answer").fill('{"type": "object", "required": ["title"]}');
  place.write("answer.schema.json", '{"type": "object", "required": ["title"]}');
  await run('{"title": "plain"}');
  await page.evaluate((to) => (location.hash = to), `#/runs/${id}/units/1`);
  await page.getByText("The prompt as it was sent").click();
  const prompt = page.locator("details[open] pre");
  await prompt.getByText("The second one.").waitFor();
  const words = await prompt.innerText();
  assert.match(words, /^\[system\]/);
  assert.ok(words.includes('Be "brief".\\') && words.includes("Say it\nplainly."), words);
  assert.deepEqual(sins, []);
});

test("a page that a model made is shown as it is drawn, and runs nothing", async (t) => {
  const place = new_home(t);
  place.write("page.toml", `recipe = "page"\nversion = 1\n[unit]\nfrom = "brief.md"\nsplit = "file"\n[make]\nkind = "html"\nladder = ["writer"]\ntask = "Write it."\n[[judge]]\nkind = "text"\nmin_words = 1\n[stop]\nlaps = 1\n`);
  place.write("brief.md", "A page.\n");
  place.write("writer.toml", kWriter.replace("TEXT", '<!doctype html><html><head><title>x</title><style>body{margin:0;background:#2040c0}</style></head><body><h1>Hello</h1><script>document.body.style.background = "#c02020"; alert(1)</script><img src="http://evil.test/x.png"></body></html>'));
  place.run("loop", "page.toml", "--input", "brief.md", "--out", "out", "--worker", "writer=script:writer.toml");
  const server = await place.serve();
  const [{ id }] = (await json(`${server.url}/v1/runs`)).runs;
  const { page, context, sins } = await open_window(browser);
  t.after(() => context.close());
  await page.goto(`${server.url}/#/runs/${id}/units/0`);
  const picture = page.locator(".artifact img");
  await picture.waitFor();
  await page.waitForFunction(() => document.querySelector(".artifact img")?.naturalWidth === 1280);
  const { src, colour } = await picture.evaluate((image) => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 8, height: 8 });
    const drawing = canvas.getContext("2d");
    drawing.drawImage(image, 1200, 50, 8, 8, 0, 0, 8, 8);
    return { src: image.src, colour: [...drawing.getImageData(4, 4, 1, 1).data] };
  });
  assert.ok(colour[0] === 0xc0 && colour[2] === 0x20, `its own script has drawn it: ${colour}`);
  assert.match(src, /\/v1\/blobs\/[0-9a-f]{64}\/page\.png$/);
  const { headers } = await fetch(src);
  assert.deepEqual([headers.get("content-type"), headers.get("content-security-policy")], ["image/png", "sandbox; default-src 'none'"]);
  const unit = await json(`${server.url}/v1/runs/${id}/units/0`);
  const { prompt } = unit.laps[0].candidates[0];
  assert.equal((await fetch(`${server.url}/v1/blobs/${prompt}/page.png`)).status, 415, "a prompt is no page");
  assert.equal((await fetch(`${server.url}/v1/blobs/${"0".repeat(64)}/page.png`)).status, 404);
  assert.deepEqual(sins, []);
});

// A film of three seconds that a loop gave out, as the page plays it.
const kFilm = `recipe = "film"
version = 1
[unit]
from = "films.txt"
[make]
kind = "command"
command = ["base64", "-d"]
media_type = "video/mp4"
extension = "mp4"
[[judge]]
kind = "command"
command = ["true"]
[stop]
laps = 1
`;

test("a clip is played: its length is known, it moves, and it goes where it is told to", async (t) => {
  const place = new_home(t);
  // Films are joined behind a run, with their sound and their words.
  place.write("words.srt", "1\n00:00:00,000 --> 00:00:02,000\nIt turns.\n");
  const drawn = "-v error -f lavfi -i testsrc=size=160x120:rate=10:duration=3 -f lavfi -i sine=duration=3 -i words.srt -c:s mov_text -pix_fmt yuv420p -movflags +faststart clip.mp4";
  const { status } = spawnSync("ffmpeg", drawn.split(" "), { cwd: place.home });
  assert.equal(status, 0);
  place.write("films.txt", readFileSync(`${place.home}/clip.mp4`).toString("base64") + "\n");
  place.write("film.toml", kFilm);
  place.run("loop", "film.toml", "--input", "films.txt", "--out", "out");
  const server = await place.serve();
  const [{ id, state }] = (await json(`${server.url}/v1/runs`)).runs;
  assert.equal(state, "passed");
  const { page, context, sins } = await open_window(browser);
  t.after(() => context.close());
  await page.goto(`${server.url}/#/runs/${id}/units/0`);
  const film = page.locator("article video[controls]");
  await film.waitFor();
  assert.equal(await film.getAttribute("aria-label"), "the clip");
  await page.waitForFunction(() => document.querySelector("video").readyState >= 1);
  assert.deepEqual(await film.evaluate((video) => [Math.round(video.duration), video.videoWidth, video.videoHeight, video.error]), [3, 160, 120, null]);
  await film.evaluate(async (video) => {
    video.muted = true;
    video.currentTime = 2;
    await new Promise((done) => video.addEventListener("seeked", done, { once: true }));
  });
  assert.equal(await film.evaluate((video) => video.currentTime), 2);
  await film.evaluate((video) => video.play());
  await page.waitForFunction(() => document.querySelector("video").ended);
  const saved = page.getByRole("link", { name: "Save the artifact" });
  assert.equal(await saved.getAttribute("href"), new URL(await film.evaluate((video) => video.currentSrc)).pathname);
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

test("whoever begins a loop to be watched is told where, and `open` names the server that runs already", async (t) => {
  const place = new_home(t);
  place.write("five.toml", kFive);
  place.write("units.txt", "5\n");
  const loop = (out) => place.text("loop", "five.toml", "--input", "units.txt", "--out", out, "--watch");
  assert.doesNotMatch(loop("alone"), /watch it at/);
  const server = await place.serve();
  const address = /watch it at (\S+)/.exec(loop("seen"))?.[1] ?? "";
  const [{ id }] = (await json(`${server.url}/v1/runs`)).runs;
  assert.equal(address, `${server.url}/#/runs/${id}`);
  assert.ok(place.text("open").includes(server.url));
  const { page, context, sins } = await open_window(browser);
  t.after(() => context.close());
  await page.goto(address);
  await page.locator(".run-line .outcome.pass").waitFor();
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
