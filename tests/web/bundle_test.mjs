// The bundle that is committed is what its sources make, to the byte; it keeps its budget, and says whose code is in it.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const web = fileURLToPath(new URL("../../web/", import.meta.url));
const dist = join(web, "dist");
const files = readdirSync(dist).sort();
const made = mkdtempSync(join(tmpdir(), "lathe-bundle-"));
after(() => rmSync(made, { recursive: true }));

test("bundled again it is the same, byte for byte", () => {
  execFileSync(process.execPath, [join(web, "build.mjs"), made]);
  assert.deepEqual(readdirSync(made).sort(), files);
  for (const file of files) assert.ok(readFileSync(join(made, file)).equals(readFileSync(join(dist, file))), `${file}: run \`npm run build\` in web/ and commit it`);
});

test("the compiler has nothing to say about the sources", () => {
  execFileSync(process.execPath, [join(web, "node_modules/typescript/bin/tsc"), "--noEmit"], { cwd: web, stdio: "pipe" });
});

test("at most 120 KB packed and 400 KB unpacked", () => {
  const all = files.map((file) => readFileSync(join(dist, file)));
  assert.ok(all.reduce((sum, bytes) => sum + gzipSync(bytes, { level: 9 }).length, 0) <= 120_000);
  assert.ok(all.reduce((sum, bytes) => sum + bytes.length, 0) <= 400_000);
});

test("the licences name every package that the page depends on, with its words", () => {
  const licences = readFileSync(join(dist, "LICENSES.txt"), "utf8");
  const { packages } = JSON.parse(readFileSync(join(web, "package-lock.json"), "utf8"));
  // Of the command line alone, not of the bundle.
  const unused = ["node_modules/argparse"];
  for (const [path, { version, dev, license }] of Object.entries(packages)) {
    if (path === "" || dev || unused.includes(path)) continue;
    assert.ok(licences.includes(`== ${path.replace("node_modules/", "")} ${version} (${license})`), path);
  }
  assert.ok((licences.match(/permission|redistribution/gi) ?? []).length >= (licences.match(/^== /gm) ?? []).length);
});

test("nothing in it asks another place, and no text becomes markup by it", () => {
  const script = readFileSync(join(dist, "app.js"), "utf8");
  for (const file of ["index.html", "app.css"]) assert.doesNotMatch(readFileSync(join(dist, file), "utf8"), /https?:\/\/|@import|url\(/, file);
  assert.doesNotMatch(script, /\beval\(|new Function|document\.write|insertAdjacentHTML|serviceWorker|XMLHttpRequest|WebSocket/);
  // Preact's own way for pages that ask for it by name; none does.
  for (const file of readdirSync(join(web, "src"), { recursive: true }))
    if (/\.tsx?$/.test(file)) assert.doesNotMatch(readFileSync(join(web, "src", file), "utf8"), /innerHTML|outerHTML|dangerouslySet|srcdoc|sessionStorage|indexedDB/, file);
});
