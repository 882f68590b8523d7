// Bundles the page into dist/ (or the directory that is named): the same bytes from the same packages, on any machine.
import { build } from "esbuild";
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const out = resolve(process.argv[2] ?? join(here, "dist"));
process.chdir(here);

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
const { metafile } = await build({
  absWorkingDir: here,
  entryPoints: { app: "src/main.tsx" },
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2022",
  charset: "utf8",
  legalComments: "none",
  jsx: "automatic",
  jsxImportSource: "preact",
  outdir: out,
  metafile: true,
  logLevel: "warning",
});
cpSync("index.html", join(out, "index.html"));
cpSync("icon.svg", join(out, "icon.svg"));

// Every package whose code is in the bundle, with its licence's own words.
function packageOf(file) {
  for (let dir = dirname(file); dir.includes("node_modules"); dir = dirname(dir))
    if (existsSync(join(dir, "package.json")) && JSON.parse(readFileSync(join(dir, "package.json"), "utf8")).version) return dir;
  return null;
}
const packages = new Set(Object.keys(metafile.inputs).map((file) => file.includes("node_modules") && packageOf(file)).filter(Boolean));
let licences = "The page of `lathe serve` is part of Lathe. These packages are in its script:\n";
for (const dir of [...packages].sort()) {
  const { name, version, license } = JSON.parse(readFileSync(join(dir, "package.json"), "utf8"));
  const file = readdirSync(dir).sort().find((each) => /^licen[cs]e/i.test(each));
  if (!file) throw new Error(`${name} has no licence's file`);
  licences += `\n== ${name} ${version} (${license})\n\n${readFileSync(join(dir, file), "utf8").trim()}\n`;
}
writeFileSync(join(out, "LICENSES.txt"), licences);
