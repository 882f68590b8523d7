// Run where there is no network but loopback: a server, a browser, every view. Prints what was seen as JSON.
import { connect } from "node:net";
import { networkInterfaces } from "node:os";
import { launch, open_window } from "./browser.mjs";
import { new_home } from "./lathe.mjs";
import { kPlaces, settled } from "./standing.mjs";

const ends = [];
const place = new_home({ after: (end) => ends.push(end) }, process.argv[2]);
const outside = await new Promise((done) => connect(80, "192.0.2.1").on("error", (problem) => done(problem.code)).on("connect", () => done("connected")));
const server = await place.serve();
const browser = await launch();
const { page, sins } = await open_window(browser);
const [{ id }] = (await (await fetch(`${server.url}/v1/runs`)).json()).runs;
const faults = [];
for (const view of kPlaces) {
  await page.goto("about:blank");
  await page.goto(`${server.url}/#/${view.replace("ID", id)}`);
  await settled(page);
  faults.push(await page.locator(".fault").allInnerTexts());
}
console.log(JSON.stringify({ interfaces: Object.keys(networkInterfaces()), outside, faults, sins }));
await browser.close();
for (const end of ends) await end();
