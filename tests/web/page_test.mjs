// The page in a real browser, before a server of made-up answers: what it shows, by whom it can be used, and what it refuses to run.
// One browser for all of it. Waits are for conditions; no test knows how long anything takes.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { launch, open_window } from "./browser.mjs";
import { grey, start, tone } from "./fake_server.mjs";
import { run_summary, small_world, track_row } from "./fake_world.mjs";
import { eventually } from "./lathe.mjs";
import { corpus } from "./xss.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

// A window on a world of its own.
async function visit(t, world, hash, options = {}) {
  const server = await start(world);
  t.after(() => server.stop());
  const opened = await open_window(browser, options);
  t.after(() => opened.context.close());
  await opened.page.goto(`${server.url}/${hash}`);
  return {
    ...opened, server,
    leave: () => assert.deepEqual(opened.sins, []),
  };
}

const settled = (page) => page.waitForFunction(() => document.querySelector("h1") && !document.querySelector(".skeleton"));

async function faults(page) {
  if (!(await page.evaluate(() => "axe" in globalThis))) await page.evaluate(axe);
  return page.evaluate(async () => {
    const { violations } = await globalThis.axe.run(document, { preload: false, runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] });
    return violations.map((each) => `${each.id}: ${each.nodes.map((node) => node.html.slice(0, 200)).join(" | ")}`);
  });
}

function hashes(world) {
  const [first, second] = Object.keys(world.runs);
  return {
    bench: "#/bench", runs: "#/runs", run: `#/runs/${first}`, sound: `#/runs/${first}/units/2`, picture: `#/runs/${second}/units/0`, text: `#/runs/${second}/units/1`,
    page: `#/runs/${second}/units/2`, changes: `#/runs/${second}/units/3`, chat: "#/chat", choose: "#/judge", judge: `#/judge/${first}`, fit: "#/fit", ledger: "#/ledger",
    benchmarks: "#/benchmarks", catalog: "#/catalog", fleet: "#/fleet", consent: "#/consent", secret: "#/consent/b2", doctor: "#/doctor", more: "#/more",
  };
}

for (const theme of ["light", "dark"])
  for (const width of [1280, 360])
    test(`every view has no fault that axe finds, and none is too wide: ${theme}, ${width} pixels`, async (t) => {
      const world = small_world();
      const { page, leave } = await visit(t, world, "#/bench", { theme, width });
      for (const [name, hash] of Object.entries(hashes(world))) {
        await page.evaluate((to) => (location.hash = to), hash);
        await page.waitForFunction((to) => location.hash === to, hash);
        await settled(page);
        const found = await faults(page);
        assert.deepEqual(found, [], `${name}, ${theme}, ${width}`);
        assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), false, `${name} is wider than ${width} pixels`);
      }
      leave();
    });

test("a talk: the answer comes word by word as elements, with what it took, and again from another seed", async (t) => {
  const world = small_world();
  const { page, server, leave } = await visit(t, world, "#/chat");
  await page.getByLabel("Your question").fill("What does a lathe do?");
  await page.keyboard.press("Enter");
  await page.getByText("24 read").or(page.getByText("40 read, 60 % of them remembered")).waitFor();
  assert.equal(await page.locator(".turn.assistant strong").innerText(), "turns");
  assert.equal(await page.locator(".turn.assistant ol li").count(), 2);
  // What it took and what that is priced at, with whose price it is; nobody says that something is saved.
  assert.match(await page.locator(".turn-foot").innerText(), /30 tokens written[^]* s · 31 J/);
  const prices = page.getByRole("list", { name: "What it is priced at" }).getByRole("listitem");
  await prices.first().waitFor();
  assert.deepEqual(await prices.allInnerTexts(), [
    "priced at 0.0000026 USD: the power it took (processor package; the tariff of box.toml)",
    "priced at 0.000466 USD: qwen3-8b, the same open model (the same tokenizer; a list, 2026-11-30; quality not compared)",
    "priced at 0.0441 to 1.06 USD: big-1, which this machine replaces, you say (tokenizers not compared; a list, 2026-11-30; quality not compared)",
  ]);
  assert.doesNotMatch(await page.locator("main").innerText(), /saved/);
  const [asked] = server.asked.filter((each) => each.path === "/price").map((each) => JSON.parse(each.body));
  assert.deepEqual([asked.model, asked.usage.completion_tokens, asked.usage.busy_us], ["qwen3-8b-q4_k_m", 30, 2_400_000]);
  assert.deepEqual(await faults(page), []);
  world.price = undefined; // a server that knows of none
  await page.getByRole("button", { name: "Retry with another seed" }).click();
  await page.waitForFunction(() => document.querySelectorAll(".turn").length === 2 && document.querySelector(".turn-foot")?.textContent.includes("seed 7"));
  const bodies = server.asked.filter((each) => each.path === "/chat/completions").map((each) => JSON.parse(each.body));
  assert.equal(bodies.length, 2);
  await eventually(() => server.asked.filter((each) => each.path === "/price").length === 2);
  assert.equal(await prices.count(), 0, "where nothing is known nothing is said");
  assert.equal(bodies[0].seed, undefined);
  assert.equal(bodies[1].seed, 8, "the seed that the server drew, and one more");
  assert.deepEqual(bodies[1].messages, [{ role: "user", content: "What does a lathe do?" }]);
  // Heard, too: without its marks and its code.
  await Promise.all([page.waitForRequest("**/v1/audio/speech"), page.getByRole("button", { name: "Hear it" }).click()]);
  await page.getByRole("button", { name: "Hear it" }).waitFor();
  const spoken = server.asked.filter((each) => each.path === "/audio/speech").map((each) => JSON.parse(each.body));
  assert.deepEqual(spoken, [{ input: "A lathe turns the part and the tool stays still. 1. Face it 2. Turn it That is all there is to it.", response_format: "wav" }]);
  await page.getByRole("button", { name: "Make this a recipe" }).click();
  assert.match(await page.getByLabel("recipe", { exact: true }).inputValue(), /task = "What does a lathe do\?"/);
  leave();
});

test("a talk is kept behind each answer, found by its words, gone on with and forgotten", async (t) => {
  const world = small_world();
  const { page, server, leave } = await visit(t, world, "#/chat");
  const talks = page.getByRole("complementary", { name: "Kept talks" });
  const ask = async (words) => {
    await page.getByLabel("Your question").fill(words);
    await page.keyboard.press("Enter");
  };
  const writes = () => server.asked.filter((each) => each.path.startsWith("/chats") && each.method === "POST").map((each) => [each.path, JSON.parse(each.body)]);
  await ask("What does a lathe do?");
  await talks.getByRole("link", { name: "What does a lathe do?" }).waitFor();
  assert.equal(await page.evaluate(() => location.hash), "#/chat/chat-new-1", "it has an address");
  await ask("And a mill?");
  await eventually(() => writes().length === 2);
  const [[first, made], [second, changed]] = writes();
  assert.deepEqual([first, second, changed.seen], ["/chats", "/chats/chat-new-1", 1]);
  assert.deepEqual(made.turns.map((turn) => [turn.role, turn.seed]), [["user", null], ["assistant", 7]]);
  assert.equal(changed.turns.length, 4);
  assert.equal(made.turns[1].prices.length, 3, "what it cost stays with it");
  // Another talk, as it was left: words, settings, what it took.
  await page.getByLabel("Find talks by their words").fill("brass FASTER");
  await eventually(async () => (await talks.getByRole("listitem").count()) === 1);
  await talks.getByRole("link", { name: "Feeds and speeds of brass" }).click();
  await page.getByText("6 tokens written · seed 3").waitFor();
  assert.equal(await page.locator(".turn.assistant strong").innerText(), "than");
  assert.equal(await page.getByLabel("System words").inputValue(), "Be brief.");
  assert.equal(await page.getByRole("combobox", { name: "Model" }).inputValue(), "gemma-3-4b-it");
  await page.getByLabel("Find talks by their words").fill("");
  await talks.getByText("1 other key keeps 3 talks here.").waitFor();
  // Somebody else went on with it meanwhile: nothing is overwritten.
  world.chats.find((chat) => chat.id === "chat-2").revision = 5;
  await ask("And of copper?");
  await page.getByText("it is kept as one of its own").waitFor();
  await eventually(() => page.evaluate(() => location.hash === "#/chat/chat-new-2"));
  assert.equal(world.chats.find((chat) => chat.id === "chat-2").turns.length, 2);
  assert.equal(world.chats[0].turns.length, 4);
  // Forgotten, once that is said twice.
  await talks.getByRole("button", { name: "Forget Feeds and speeds of brass" }).first().click();
  await talks.getByRole("button", { name: "Keep it" }).click();
  assert.equal(server.asked.filter((each) => each.method === "DELETE").length, 0);
  await talks.getByRole("button", { name: /^Forget <img/ }).click();
  await talks.getByRole("button", { name: "Forget it for good" }).click();
  await eventually(() => world.chats.every((chat) => chat.id !== "chat-1"));
  assert.deepEqual(await faults(page), []);
  leave();
});

test("what is not to be kept is not sent, a talk that was left keeps what was said, a forgotten one stays away", async (t) => {
  const world = { ...small_world(), endless: true };
  const { page, server, leave } = await visit(t, world, "#/chat");
  const writes = () => server.asked.filter((each) => each.path.startsWith("/chats") && each.method === "POST").map((each) => [each.path, JSON.parse(each.body)]);
  await page.getByLabel("Your question").fill("Count.");
  await page.getByRole("button", { name: "Send" }).click();
  await page.locator(".turn.assistant strong").waitFor();
  await page.getByRole("button", { name: "New talk" }).click();
  await eventually(() => world.left && writes().length === 1);
  assert.deepEqual(writes()[0][1].turns.map((turn) => turn.note), ["", "stopped"]);
  assert.equal(await page.locator(".turn").count(), 0, "nothing of it comes into the new one");
  await page.getByRole("link", { name: "Count." }).click();
  await page.locator(".turn-foot", { hasText: "stopped" }).waitFor();
  // Forgotten in another window while one writes here.
  world.endless = false;
  world.chats = [];
  await page.getByLabel("Your question").fill("Go on.");
  await page.getByRole("button", { name: "Send" }).click();
  await page.getByText("was forgotten elsewhere").waitFor();
  assert.deepEqual(world.chats, []);
  assert.equal(await page.getByLabel("Keep what is said").isChecked(), false);
  const before = writes().length;
  await page.getByLabel("Your question").fill("Not this.");
  await page.getByRole("button", { name: "Send" }).click();
  await eventually(async () => (await page.locator(".turn-foot", { hasText: "30 tokens written" }).count()) === 2);
  assert.equal(writes().length, before);
  leave();
});

test("pictures and sounds are asked about where the model takes them, documents always; a schema goes along", async (t) => {
  const { page, server, leave } = await visit(t, small_world(), "#/chat");
  const kinds = () => page.locator('input[type="file"]').getAttribute("accept");
  const file = (name, mimeType, words) => ({ name, mimeType, buffer: Buffer.from(words) });
  await page.getByRole("combobox", { name: "Model" }).selectOption("qwen3-8b-q4_k_m");
  await page.getByText("Add a document").waitFor();
  assert.doesNotMatch(await kinds(), /image|audio/);
  await page.getByRole("combobox", { name: "Model" }).selectOption("gemma-3-4b-it");
  await page.getByText("Add a picture, sound or document").waitFor();
  assert.match(await kinds(), /image\/png.*audio.*\.pdf/);
  await page.locator('input[type="file"]').setInputFiles([
    file("<img src=x onerror=alert(1)>.png", "image/png", grey(8, 8)), file("said.wav", "audio/wav", tone(0.1)), file("notes.md", "text/markdown", "# Notes"), file("wrong.md", "text/markdown", "x"),
  ]);
  await page.getByRole("button", { name: "Leave out wrong.md" }).click();
  await page.getByLabel("JSON schema of the answer").fill('{"type": "object"}');
  await page.getByLabel("System words").fill("Be brief.");
  await page.getByLabel("Your question").fill("What are these?");
  await page.getByRole("button", { name: "Send" }).click();
  await page.locator(".turn-foot").waitFor();
  const [body] = server.asked.filter((each) => each.path === "/chat/completions").map((each) => JSON.parse(each.body));
  assert.equal(body.model, "gemma-3-4b-it");
  assert.deepEqual(body.response_format, { type: "json_schema", json_schema: { name: "answer", schema: { type: "object" } } });
  assert.deepEqual(body.messages, [{ role: "system", content: "Be brief." }, { role: "user", content: [
    { type: "image_url", image_url: { url: `data:image/png;base64,${grey(8, 8).toString("base64")}` } },
    { type: "input_audio", input_audio: { data: tone(0.1).toString("base64"), format: "wav" } },
    { type: "file", file: { filename: "notes.md", file_data: `data:text/markdown;base64,${Buffer.from("# Notes").toString("base64")}` } },
    { type: "text", text: "What are these?" },
  ] }]);
  await page.waitForFunction(() => document.querySelector(".turn.user img.attached")?.naturalWidth === 8);
  assert.deepEqual(await faults(page), []);
  leave();
});

test("an answer is stopped where it is, and what was said of it stays", async (t) => {
  const world = { ...small_world(), endless: true };
  const { page, leave } = await visit(t, world, "#/chat");
  await page.getByLabel("Your question").fill("Count.");
  await page.getByRole("button", { name: "Send" }).click();
  await page.locator(".turn.assistant strong").waitFor();
  await page.getByRole("button", { name: "Stop" }).click();
  await page.locator(".turn-foot", { hasText: "stopped" }).waitFor();
  await eventually(() => world.left);
  assert.equal(await page.locator(".turn.assistant strong").innerText(), "turns");
  await page.getByRole("button", { name: "Send" }).waitFor();
  leave();
});

test("a schema that cannot be read is said before anything is asked", async (t) => {
  const { page, server, leave } = await visit(t, small_world(), "#/chat");
  await page.getByLabel("JSON schema of the answer").fill("{");
  await page.getByLabel("Your question").fill("x");
  await page.getByRole("button", { name: "Send" }).click();
  await page.getByText("The JSON schema cannot be read").waitFor();
  assert.equal(server.asked.filter((each) => each.path === "/chat/completions").length, 0);
  leave();
});

test("a plan is seen task by task, each with its run, and the merge behind them", async (t) => {
  const world = small_world();
  const { page, leave } = await visit(t, world, "#/fleet");
  await page.getByRole("heading", { name: "Add CSV export to the report" }).waitFor();
  const rows = await page.locator("section.panel", { hasText: "Add CSV export" }).locator("tbody tr").allInnerTexts();
  assert.deepEqual(rows.map((row) => row.split(/\s+/)[0]), ["parser", "report", "docs", "merge"]);
  assert.match(rows[1], /begun[\s\S]*code, lan, writes src\/report\/\*\*, after parser[\s\S]*round 2: the merge sent it back/);
  await page.getByText("1 of 3 tasks passed").waitFor();
  await page.getByText("lathe fleet resume 20261201-084800-plan-1f2e").waitFor();
  assert.equal(await page.getByText("lathe fleet resume 20261130-100000-plan-77aa").count(), 0, "it has ended");
  assert.deepEqual(await faults(page), []);
  await page.getByRole("link", { name: "parser" }).click();
  await page.waitForFunction((id) => location.hash === `#/runs/${id}`, Object.keys(world.runs)[0]);
  leave();
});

test("who is in the fleet is seen, and who is broken, away or busy", async (t) => {
  const world = small_world();
  const { page, leave } = await visit(t, world, "#/fleet");
  const panel = page.locator("section.panel", { hasText: "of the fleet at postgresql://desk/lathe" });
  await panel.waitFor();
  const rows = await panel.locator("tbody tr").allInnerTexts();
  assert.deepEqual(rows.map((row) => row.split(/\s+/)[0]), ["desk", "laptop", "attic", "den"]);
  assert.match(rows[0], /takes work[\s\S]*workers: qwen3-8b[\s\S]*canaries of qwen3-8b/);
  assert.match(rows[1], /busy[\s\S]*waited for a processor 71 % of the time/);
  assert.match(rows[2], /in quarantine/);
  assert.match(rows[3], /away[\s\S]*2 h ago/);
  await panel.getByText("lathe fleet admit attic").waitFor();
  assert.deepEqual(await faults(page), []);
  world.nodes = { fleet: "postgresql://desk/lathe", own: false, data: [] };
  await page.getByText("This machine was invited").waitFor();
  leave();
});

test("what would leave is read, let go and kept by keyboard; a secret goes only when it is named", async (t) => {
  const world = small_world();
  const { page, server, leave } = await visit(t, world, "#/consent");
  await page.getByText("One request waits for your word.").waitFor();
  await page.keyboard.press("j");
  await page.getByText('"content":"Repair a1."').waitFor();
  assert.equal(await page.locator("pre.artifact-text").innerText(), world.consents[0].text, "the exact text");
  await page.getByText("Files: src/cart.py").waitFor();
  await page.keyboard.press("a");
  await page.getByText("Nothing waits for your word.").waitFor();
  await page.keyboard.press("d");
  await page.waitForFunction(() => document.querySelector("section.panel .outcome.fail"));
  await page.keyboard.press("j");
  await page.getByText('"content":"Repair b2."').waitFor();
  const decisions = () => server.asked.filter((each) => each.method === "POST" && each.path.startsWith("/consents/")).map((each) => [each.path.slice(10), JSON.parse(each.body)]);
  assert.equal(await page.getByRole("button", { name: "Let it go" }).isDisabled(), true);
  await page.keyboard.press("a");
  assert.equal(decisions().length, 2, "nothing was asked of the server");
  await page.getByLabel("a key of AWS may go all the same").check();
  await page.getByRole("button", { name: "Let it go" }).click();
  await page.waitForFunction(() => document.querySelector("section.panel .outcome.pass"));
  assert.deepEqual(decisions(), [["a1", { decision: "allow", secret_ok: [] }], ["a1", { decision: "deny" }], ["b2", { decision: "allow", secret_ok: ["a key of AWS"] }]]);
  await page.evaluate(() => (location.hash = "#/consent/c3"));
  await page.getByText("Not all of it can be shown here").waitFor();
  assert.deepEqual(await faults(page), []);
  leave();
});

test("ten takes are judged by keyboard alone, and a label of somebody else's is not written over", async (t) => {
  const world = small_world();
  const id = Object.keys(world.runs)[0];
  const { page, server, leave } = await visit(t, world, `#/judge/${id}`);
  await page.getByText("2 of 12 takes judged").waitFor();
  assert.equal(await page.getByText("6.1").count(), 0, "what judges said is not there");
  for (let i = 0; i < 10; ++i) {
    const take = await page.locator("#take").innerText();
    await page.keyboard.press(i % 3 === 0 ? "r" : "a");
    await page.getByText(`${i % 3 === 0 ? "Rejected" : "Accepted"}: ${take}`).waitFor();
  }
  await page.getByText("Every take has been judged.").waitFor();
  const given = server.asked.filter((each) => each.path === "/labels").map((each) => JSON.parse(each.body));
  assert.deepEqual(given.map((each) => each.accept), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map((i) => i % 3 !== 0));
  assert.equal(new Set(given.map((each) => each.blob)).size, 10);
  // Another tab has judged the first take since this one looked.
  await page.getByRole("button", { name: "Go through them again" }).click();
  const { labels } = world.runs[id];
  const first = labels.takes[0];
  labels.labels.find((each) => each.blob === first.blob).revision = 5;
  await page.keyboard.press("r");
  await page.getByText("somebody else has judged this take since").waitFor();
  assert.equal(labels.labels.find((each) => each.blob === first.blob).revision, 5);
  // Now that it is seen, one may disagree.
  await page.keyboard.press("r");
  await page.getByText(`Rejected: ${first.unit}`).waitFor();
  assert.equal(labels.labels.find((each) => each.blob === first.blob).revision, 6);
  leave();
});

test("a run of 10,000 units by keyboard: few rows are in the document, and all can be reached", async (t) => {
  const world = small_world();
  const tracks = Array.from({ length: 10_000 }, (_, i) => track_row(i, `unit ${i}`));
  const summary = run_summary("big", "rewrite", "partial", tracks);
  world.runs = { big: { row: { id: "big", recipe: "rewrite", title: "", state: "partial", created: "", created_ms: 0, records: 1, units: 10_000, units_passed: 1 }, summary, tracks, unit: (i) => ({ ...tracks[i], rule: "no gain", laps: [] }), labels: {}, agreement: { labels: 0, judges: [] } } };
  const { page, leave } = await visit(t, world, "#/runs/big");
  const rows = () => page.locator(".grid-body .grid-row").count();
  await page.getByText("10,000 of 10,000").waitFor();
  assert.ok((await rows()) < 80, `${await rows()} rows`);
  await page.locator("#grid").focus();
  await page.keyboard.press("End");
  await page.locator("#row-9999").waitFor();
  assert.equal(await page.locator("#grid").getAttribute("aria-activedescendant"), "row-9999");
  assert.ok((await rows()) < 80);
  await page.keyboard.press("k");
  await page.keyboard.press("Enter");
  await page.locator("article").getByRole("heading", { name: "unit 9998" }).waitFor();
  await page.keyboard.press("Escape");
  await page.locator("article").waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Failed" }).click();
  await page.getByText(`${tracks.filter((each) => each.state === "gave_up").length.toLocaleString("en-GB")} of 10,000`).waitFor();
  await page.getByPlaceholder("Find a unit").fill("unit 9998");
  await page.getByText("1 of 10,000").waitFor();
  assert.ok((await rows()) < 80);
  assert.ok((await page.evaluate(() => document.querySelectorAll("*").length)) < 3000);
  leave();
});

test("the prompt as it was sent is fetched when it is looked at", async (t) => {
  const world = small_world();
  const { page, server, leave } = await visit(t, world, `#/runs/${Object.keys(world.runs)[0]}/units/2`);
  const prompt = page.getByText("The prompt as it was sent");
  await prompt.waitFor();
  const blobs = () => server.asked.filter((each) => each.path.startsWith("/blobs/") && world.blobs[each.path.slice(7)]?.bytes.includes("Say it slower")).length;
  assert.equal(blobs(), 0);
  await prompt.click();
  await page.locator("article pre").getByText("[user]").waitFor();
  assert.equal(blobs(), 1);
  await page.goto(`${server.url}/#/runs/${Object.keys(world.runs)[1]}/units/1`);
  await page.getByText("What rubric was asked").click();
  await page.locator("article pre").getByText("Is it on brief?").waitFor();
  const whole = page.locator("section.panel", { hasText: "The whole" });
  await whole.getByText("What set was asked of the whole").click();
  await whole.locator("pre").getByText("Do these four go together?").waitFor();
  assert.deepEqual(await faults(page), []);
  leave();
});

test("a run is begun with a text, with a path, and by a person with a key of their own", async (t) => {
  const world = small_world();
  const { page, server, leave } = await visit(t, world, "#/runs");
  const begun = () => server.asked.filter((each) => each.method === "POST" && each.path === "/runs");
  await page.getByText("Begin a run").click();
  assert.equal(await page.getByRole("button", { name: "Begin", exact: true }).isDisabled(), true);
  await page.getByLabel("What it works on").fill("Two lines.\nOf text.");
  await page.getByLabel("starter is").selectOption("gemma-3-4b-it");
  assert.deepEqual(await faults(page), []);
  await page.getByRole("button", { name: "Begin", exact: true }).click();
  await page.locator("#grid").waitFor();
  assert.deepEqual(JSON.parse(begun()[0].body), { recipe: "red-to-green", input_text: "Two lines.\nOf text.", workers: { starter: `${server.url}/v1#gemma-3-4b-it` } });
  world.session = { keys: true, owner: false, name: "ben" };
  await page.goto(`${server.url}/?#/runs`);
  await page.getByText("Begin a run").click();
  await page.getByLabel("What it works on").fill("One line.");
  assert.equal(await page.getByLabel("Or a file or directory").count(), 0);
  await page.getByLabel("Your key").fill("sk-ben");
  await page.getByRole("button", { name: "Begin", exact: true }).click();
  await page.locator("#grid").waitFor();
  assert.deepEqual(JSON.parse(begun()[1].body), { recipe: "red-to-green", input_text: "One line." });
  assert.equal(begun()[1].headers.authorization, "Bearer sk-ben");
  leave();
});

test("a model is fetched, and how far it is can be seen; what is wrong is said", async (t) => {
  const world = small_world();
  const step = (done) => `data: ${JSON.stringify({ words: "pulling 0123", done, total: 2048 })}\n\n`;
  world.pulling = [step(0), step(512), "event: end\ndata: {}\n\n"];
  const { page, leave } = await visit(t, world, "#/catalog");
  const fetch = async () => {
    await page.getByLabel("Its name").fill("hf:o/r");
    await page.getByRole("button", { name: "Fetch" }).click();
  };
  await fetch();
  await page.getByText("0 B of 2.00 KiB").waitFor();
  world.pulled();
  await page.getByText("512 B of 2.00 KiB, 25 %").waitFor();
  world.catalog.models.push({ name: "r-q4", bytes: 2048, from: "lathe", source: "hf:o/r", whole: true });
  world.pulled();
  await page.getByRole("heading", { name: "r-q4" }).waitFor();
  world.pulling = [`event: error\ndata: ${JSON.stringify({ message: "the hub has no o/r" })}\n\n`];
  await fetch();
  await page.getByText("the hub has no o/r").waitFor();
  leave();
});

test("records that come change the grid, the open unit and the log", async (t) => {
  const world = small_world();
  const id = Object.keys(world.runs)[0];
  const { page, server, leave } = await visit(t, world, `#/runs/${id}`);
  await page.getByText("live", { exact: true }).waitFor();
  await page.locator('[data-track="4"][data-state="open"]').waitFor();
  const { tracks, summary } = world.runs[id];
  Object.assign(tracks[4], { state: "passed", laps: [5.5, 9.4].map((score) => ({ closed: true, gained: true, score })), units: [{ key: "L05", passed: true }] });
  Object.assign(summary, { units_passed: 17, seq: 401 });
  server.send({ seq: 401, t_ms: 84_000, kind: "unit", line: "L05 passed", track: 4 });
  await page.locator('[data-track="4"][data-state="passed"] [data-lap="2"][data-score="9.4"]').waitFor();
  await page.locator(".fact-main").getByText("17").waitFor();
  await page.getByText("What happened while you watched (1)").waitFor();
  // A tab that nobody looks at lets go of its connection, and goes on from where it was.
  const look = (away) => page.evaluate((hidden) => {
    Object.defineProperty(document, "hidden", { get: () => hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, away);
  await look(true);
  await eventually(() => server.watched() === 0);
  await look(false);
  await eventually(() => server.watched() === 1);
  assert.equal(server.asked.filter((each) => each.path === `/runs/${id}/events`).length, 2);
  Object.assign(summary, { units_passed: 18, seq: 402 });
  server.send({ seq: 402, t_ms: 85_000, kind: "unit", line: "L06 passed", track: 4 });
  await page.getByText("What happened while you watched (2)").waitFor();
  leave();
});

test("a run that waits for a person's word says for which, leads there, and says no more when it has it", async (t) => {
  const world = small_world();
  const id = Object.keys(world.runs)[0];
  const { summary } = world.runs[id];
  summary.waits = ["making L05 waits for consent a1 (2143 bytes to https://api.example.com/<b>v1</b>)"];
  const { page, server, leave } = await visit(t, world, `#/runs/${id}`);
  const line = page.locator("p.why", { hasText: "waits for you" });
  await line.getByText(summary.waits[0]).waitFor();
  await page.getByText("live", { exact: true }).waitFor();
  await line.getByRole("link", { name: "Consent" }).click();
  await page.getByText("One request waits for your word.").waitFor();
  await page.goBack();
  await line.waitFor();
  await page.getByText("live", { exact: true }).waitFor();
  Object.assign(summary, { waits: [], seq: 401 });
  server.send({ seq: 401, t_ms: 84_000, kind: "consent_answer", line: "consent a1 was given: consent a1" });
  await line.waitFor({ state: "detached" });
  leave();
});

test("a run that is removed while it is watched says so", async (t) => {
  const world = small_world();
  const id = Object.keys(world.runs)[0];
  const { page, server, leave } = await visit(t, world, `#/runs/${id}`);
  await page.getByText("live", { exact: true }).waitFor();
  await page.locator('[data-track="4"]').waitFor();
  delete world.runs[id];
  server.gone();
  await page.getByText("This run was removed while it was watched.").waitFor();
  assert.deepEqual(await faults(page), []);
  await page.evaluate(() => (location.hash = "#/runs"));
  await page.locator(".run-row").first().waitFor();
  assert.equal(server.asked.filter((each) => each.path === `/runs/${id}/events`).length, 1, "it is not asked for again");
  leave();
});

test("models are chosen for their size, each with its context and its streams", async (t) => {
  for (const width of [1280, 360]) {
    const { page, server, leave } = await visit(t, small_world(), "#/fit", { width });
    await page.getByRole("checkbox", { name: "starter-q8_0" }).check();
    await page.getByText("to spare").waitFor();
    await page.getByLabel("Context of starter-q8_0").fill("512");
    await page.keyboard.press("Tab");
    await page.getByLabel("Streams of starter-q8_0").fill("4");
    await page.keyboard.press("Tab");
    await eventually(() => server.asked.filter((each) => each.path === "/fit").length === 3);
    assert.deepEqual(server.asked.filter((each) => each.path === "/fit").map((each) => JSON.parse(each.body).models), [["starter-q8_0"], ["starter-q8_0:512"], ["starter-q8_0:512:4"]]);
    assert.deepEqual(await faults(page), []);
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), false);
    leave();
  }
});

test("what a run may take is told in the units of each budget", async (t) => {
  const world = small_world();
  const [id, run] = Object.entries(world.runs)[0];
  run.summary.spent = [
    { name: "time", spent: 83_000, limit: 3_600_000 }, { name: "tokens", spent: 18_400, limit: 2_000_000 }, { name: "energy", spent: 900, limit: 720_000 },
    { name: "money", spent: 12_300_000, limit: 2_500_000_000 }, { name: "other", spent: null, limit: 1 },
  ];
  const { page, leave } = await visit(t, world, `#/runs/${id}`);
  await page.locator(".facts").waitFor();
  const facts = await page.locator(".facts > div").evaluateAll((list) => list.map((each) => [each.querySelector("dt").textContent, each.querySelector("dd").textContent]));
  assert.deepEqual(facts.slice(3), [
    ["working time", "1 min 23 s of 1 h 0 min"], ["tokens", "18,400 of 2,000,000"], ["energy", "900 J of 200.00 Wh"], ["money", "0.0123 of 2.5000"], ["other", "not readable of 1"],
  ]);
  leave();
});

test("a page that waits for records stands still", async (t) => {
  const world = small_world();
  const id = Object.keys(world.runs)[0];
  const { page, leave } = await visit(t, world, `#/runs/${id}`, { motion: "no-preference" });
  await page.getByText("live", { exact: true }).waitFor();
  await settled(page);
  // What moves for ever is drawn sixty times a second on somebody's second screen.
  const endless = await page.evaluate(() => document.getAnimations().filter((each) => each.effect.getTiming().iterations === Infinity).length);
  assert.equal(endless, 0);
  // The grid's rows follow the height of the window.
  await page.setViewportSize({ width: 1280, height: 500 });
  const seen = () => page.evaluate(() => document.getElementById("grid").clientHeight);
  const low = await seen();
  await page.setViewportSize({ width: 1280, height: 1400 });
  await eventually(async () => (await seen()) > low);
  leave();
});

test("a server that is gone is said so, and everything is back when it is", async (t) => {
  const world = small_world();
  const first = await start(world);
  t.after(() => first.stop());
  const { page, context, sins } = await open_window(browser);
  t.after(() => context.close());
  await page.goto(`${first.url}/#/bench`);
  await page.getByText("gemma-3-4b-it").waitFor();
  const port = Number(new URL(first.url).port);
  await first.stop();
  await page.getByText("The server does not answer, since").waitFor();
  assert.equal(await page.getByText("gemma-3-4b-it").count(), 1, "what was seen stays");
  assert.deepEqual(await faults(page), []);
  world.pool.models = world.pool.models.slice(0, 1);
  const second = await start(world, port);
  t.after(() => second.stop());
  await page.getByText("The server does not answer").waitFor({ state: "detached" });
  await page.getByText("gemma-3-4b-it").waitFor({ state: "detached" });
  assert.deepEqual(sins, []);
});

test("nothing there, and nothing that can be read: each view says what to do", async (t) => {
  const empty = { ...small_world(), runs: {}, models: { data: [] }, catalog: { directory: "/m", models: [] }, consents: [], plans: [], nodes: { fleet: null, own: true, data: [] }, bench: { records: [] }, usage: { by: "model", data: [] } };
  empty.pool = { ...empty.pool, models: [], loops: [], memory_booked: 0, energy: { watts: null, why: "not readable here: no RAPL" } };
  const { page, leave } = await visit(t, empty, "#/bench");
  const shows = async (hash, words) => {
    await page.evaluate((to) => (location.hash = to), hash);
    await page.getByText(words).first().waitFor();
    assert.deepEqual(await faults(page), [], hash);
  };
  await page.getByRole("button", { name: "Run the demo loop" }).waitFor();
  await shows("#/bench", "not readable here: no RAPL");
  await shows("#/runs", "No run has been begun yet.");
  await shows("#/chat", "No model here can talk.");
  await shows("#/judge", "There is nothing to judge yet.");
  await shows("#/catalog", "No model is on this machine.");
  await shows("#/benchmarks", "Nothing has been measured here yet.");
  await shows("#/ledger", "Nothing has been written down yet.");
  await shows("#/consent", "Nothing was to leave for a cloud yet.");
  await shows("#/fleet", "No plan was carried out here yet.");
  await shows("#/runs/nowhere", "there is no such run");
  empty.doctor = { findings: "none" };
  await shows("#/doctor", "The answer is not what this page expects");
  leave();
});

test("texts that want to be scripts stay texts, wherever they stand", async (t) => {
  assert.equal(corpus.length, 60);
  const world = small_world();
  const tracks = corpus.map((words, i) => ({ ...track_row(i, words, "gave_up"), text: words, fault: words, why: words }));
  const id = corpus[0];
  const summary = run_summary(id, corpus[1], "running", tracks, { title: corpus[2], why: corpus[3], caveats: corpus[4], rubrics: { [corpus[5]]: { text: corpus[6], criteria: corpus } } });
  const texts = {};
  const { sha256 } = await import("./fake_server.mjs");
  corpus.forEach((words, i) => (texts[i] = sha256(words)));
  for (const words of corpus) world.blobs[sha256(words)] = { type: "text/plain; charset=utf-8", bytes: Buffer.from(words), drawn: { type: "text/html", bytes: Buffer.from(words) } };
  const unit = (i) => ({
    ...tracks[i], rule: corpus[i],
    laps: [{ lap: 1, move: "sample", reason: corpus[i], closed: true, gained: true, best: 0, candidates: [{
      n: 0, error: corpus[i], blob: texts[i], kind: ["text", "drawing", "other", "sound", "changes"][i % 5], media_type: ["text/markdown", "text/html", corpus[i], "audio/wav", "application/json"][i % 5], facts: { [corpus[i]]: corpus[i] },
      bytes: 3, worker: corpus[i], ms: 1, usage: null, prompt: texts[i], diff: i % 5 === 4 ? [{ path: corpus[i], lines: [["+", corpus[i]], ["-", corpus[i]]] }] : null,
      verdicts: [{ judge: corpus[5], stage: corpus[i], outcome: "fail", score: 1, bar: 8, evidence: { said: corpus[i] },
        critiques: [{ locus: corpus[i], severity: "must", claim: corpus[i], evidence: corpus[i], fingerprint: "" }],
        exhibits: [{ kind: "sound", words: [{ expected: corpus[i], heard: corpus[i], match: "wrong", start: 0, end: 1 }] }, { kind: "picture", title: corpus[i], width: 10, height: 10, boxes: [[0, 0, 1, 1]], png: i % 5 === 1 ? null : corpus[i] }] }],
    }] }],
  });
  world.runs = { [id]: { row: { id, recipe: corpus[1], title: corpus[2], state: corpus[3], created: corpus[4], created_ms: 0, records: 1, units: 60, units_passed: 0 }, summary, tracks, unit, labels: { labels: [], takes: corpus.map((words, i) => ({ unit: words, index: i, lap: 1, n: 0, blob: texts[i], media_type: "text/markdown" })) }, agreement: { labels: 0, judges: [] } } };
  world.pool.models = corpus.map((words) => ({ ...world.pool.models[0], name: words, problem: words }));
  world.pool.loops = [world.runs[id].row];
  world.models.data = corpus.map((words) => ({ ...world.models.data[0], id: words }));
  world.answer = corpus.join("\n\n");
  const { page, server, leave } = await visit(t, world, "#/bench");
  await page.locator(".model").nth(59).waitFor();
  const to = async (hash) => page.evaluate((address) => (location.hash = address), hash);
  await to("#/runs");
  await page.locator(".run-row").waitFor();
  for (let i = 0; i < 60; ++i) {
    await to(`#/runs/${encodeURIComponent(id)}/units/${i}`);
    await page.waitForFunction((place) => document.querySelector(`article [data-unit="${place}"]`) && document.querySelector(`#row-${place}.open`) && !document.querySelector("article .skeleton"), i);
    await page.evaluate(() => document.querySelectorAll("details").forEach((each) => (each.open = true)));
    if (i % 5 === 1) {
      await page.getByRole("button", { name: "Open it as a page" }).click();
      assert.equal(await page.locator("iframe.framed").getAttribute("sandbox"), "");
    }
  }
  await to("#/judge/" + encodeURIComponent(id));
  await page.locator("#take").waitFor();
  await to("#/chat");
  await page.getByLabel("Your question").fill(corpus.join("\n"));
  await page.getByRole("button", { name: "Send" }).click();
  await page.locator(".turn-foot").waitFor();
  assert.equal(await page.locator(".turn a, .turn img, .turn script, .turn iframe").count(), 0);
  assert.equal(await page.evaluate(() => document.querySelectorAll("#app script, #app object, #app embed, #app base, #app form[action], [onerror], [onload]").length), 0);
  assert.equal(await page.evaluate(() => document.cookie), "");
  assert.ok(server.asked.every((each) => !each.path.includes("evil")));
  leave();
});

test("a key of 100 KB, an empty artifact, a text of 1 MB, a picture that is none, a clock that is wrong: all is shown", async (t) => {
  const world = small_world();
  const { sha256 } = await import("./fake_server.mjs");
  const keep = (words) => {
    world.blobs[sha256(words)] = { type: "text/plain; charset=utf-8", bytes: Buffer.from(words) };
    return sha256(words);
  };
  const long = "x".repeat(100_000) + "\u{1f642}\nsecond line";
  const tracks = [long, "empty", "large", "broken"].map((key, i) => track_row(i, key, "passed", [9]));
  const blobs = [keep("short"), keep(""), keep("line of words\n".repeat(75_000)), "0".repeat(64)];
  const summary = run_summary("odd", "rewrite", "passed", tracks, { created_ms: Date.now() + 9e9 });
  const unit = (i) => ({ ...tracks[i], rule: "passed", laps: [{ lap: 1, move: "sample", reason: "", closed: true, gained: true, best: 0, candidates: [{
    n: 0, error: "", blob: blobs[i], kind: i === 3 ? "picture" : "text", media_type: i === 3 ? "image/png" : "text/plain", facts: null, verdicts: [] }] }] });
  world.runs = { odd: { row: { id: "odd", recipe: "rewrite", title: "", state: "passed", created: "", created_ms: Date.now() + 9e9, records: 1, units: 4, units_passed: 4 }, summary, tracks, unit } };
  const { page, leave } = await visit(t, world, "#/runs/odd/units/0", { width: 320 });
  await page.getByText("short", { exact: true }).waitFor();
  await page.getByText("just now").or(page.locator("article")).first().waitFor();
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), false);
  for (const [i, words] of [[1, "the text"], [2, "line of words"], [3, "There is no picture of it here."]]) {
    await page.evaluate((to) => (location.hash = to), `#/runs/odd/units/${i}`);
    await page.locator(`article [data-unit="${i}"]`).waitFor();
    if (i === 1) await page.getByLabel(words).waitFor({ state: "attached" });
    else await page.getByText(words).first().waitFor();
  }
  leave();
});

test("a sound that lies about its length and a picture of 30,000 pixels are shown like any other", async (t) => {
  const world = small_world();
  const { sha256, tone, grey } = await import("./fake_server.mjs");
  const keep = (type, bytes) => {
    world.blobs[sha256(bytes)] = { type, bytes };
    return sha256(bytes);
  };
  const sound = tone(0.5);
  sound.writeUInt32LE(0xfffffff0, 4);
  sound.writeUInt32LE(0xfffffff0, 40);
  const blobs = [keep("audio/wav", sound), keep("image/png", grey(30_000, 40)), keep("image/png", grey(40, 30_000))];
  const tracks = ["sound", "wide", "high"].map((key, i) => track_row(i, key, "passed", [9]));
  const unit = (i) => ({ ...tracks[i], rule: "passed", laps: [{ lap: 1, move: "sample", reason: "", closed: true, gained: true, best: 0, candidates: [{
    n: 0, error: "", blob: blobs[i], kind: i === 0 ? "sound" : "picture", media_type: i === 0 ? "audio/wav" : "image/png", facts: null, verdicts: [] }] }] });
  world.runs = { odd: { row: { id: "odd", recipe: "rewrite", title: "", state: "passed", created: "", created_ms: 0, records: 1, units: 3, units_passed: 3 }, summary: run_summary("odd", "rewrite", "passed", tracks), tracks, unit } };
  const { page, leave } = await visit(t, world, "#/runs/odd/units/0");
  await page.waitForFunction(() => document.querySelector("article audio")?.readyState >= 1 || document.querySelector("article audio")?.error);
  for (const [i, size] of [[1, [30_000, 40]], [2, [40, 30_000]]]) {
    await page.keyboard.press("j");
    await page.locator(`article [data-unit="${i}"]`).waitFor();
    await page.waitForFunction(([width, height]) => document.querySelector("article img")?.naturalWidth === width && document.querySelector("article img").naturalHeight === height, size);
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), false);
  }
  leave();
});

test("the owner is shown whose a run is, and no way into it", async (t) => {
  const world = small_world();
  const [hers, own] = Object.values(world.runs);
  Object.assign(hers.row, { by: "anna", title: "" });
  own.row.by = "owner";
  const { page, leave } = await visit(t, world, "#/runs");
  await page.getByText("of anna").waitFor();
  const address = (words) => page.locator(".run-row", { hasText: words }).first().getAttribute("href");
  assert.equal(await address("of anna"), null);
  assert.match(await address(own.row.title), /^#\/runs\//);
  assert.deepEqual(await faults(page), []);
  leave();
});

test("the key of a server that asks for one is typed, and is kept nowhere that a script can read", async (t) => {
  const world = small_world();
  world.key = "right";
  const { page, leave } = await visit(t, world, "#/runs");
  const field = page.getByLabel("Key");
  await field.fill("wrong");
  await page.getByRole("button", { name: "Enter" }).click();
  await page.getByText("an API key is needed").waitFor();
  assert.deepEqual(await faults(page), []);
  await field.fill("right");
  await page.getByRole("button", { name: "Enter" }).click();
  await page.locator(".run-row").first().waitFor();
  assert.equal(await page.evaluate(() => document.cookie), "");
  await page.evaluate(() => (document.querySelector('[aria-label="Dark"]').click()));
  assert.deepEqual(await page.evaluate(() => ({ ...localStorage })), { "lathe-theme": "dark" });
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  leave();
});
