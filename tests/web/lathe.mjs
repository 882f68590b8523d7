// The real program, for tests: servers that come up on a port, loops that can be held still.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const source = fileURLToPath(new URL("../../", import.meta.url));
const program = process.env.LATHE ?? join(source, "build/release/src/lathe");

// A home of its own, with a tiny model; gone when the test is over. Or one that is there already.
export function new_home(t, known) {
  const home = known ?? mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "lathe-web-"));
  if (!known) {
    t.after(() => rmSync(home, { recursive: true, force: true }));
    mkdirSync(join(home, "models"));
    copyFileSync(join(source, "tests/data/models/llama-q4_0.gguf"), join(home, "models/tiny.gguf"));
  }
  const env = { PATH: process.env.PATH, HOME: home, LANG: "C.UTF-8" };
  const args = (list) => ["--journal", join(home, "journal"), ...list];
  const started = new Set();
  t.after(() => started.forEach((child) => child.kill("SIGKILL")));

  const begin = (list, more = {}) => {
    const child = spawn(program, args(list), { cwd: home, env: { ...env, ...more }, stdio: ["ignore", "pipe", "inherit"] });
    started.add(child);
    const ended = once(child, "exit").then(() => started.delete(child));
    return { child, ended };
  };
  const work = (...list) => {
    const { child, ended } = begin(["--json", ...list]);
    child.stdout.resume();
    return { hold: () => child.kill("SIGSTOP"), go_on: () => child.kill("SIGCONT"), kill: async () => (child.kill("SIGKILL"), ended), ended };
  };

  return {
    home,
    write: (name, text) => writeFileSync(join(home, name), text),
    // What it prints; work that does not pass is fine.
    text: (...list) => {
      const { status, stdout, stderr } = spawnSync(program, args(list), { cwd: home, env, stdio: ["ignore", "pipe", "pipe"], maxBuffer: 1 << 28 });
      if (status !== 0 && status !== 1) throw new Error(`lathe ${list.join(" ")}: ${stderr}`);
      return stdout.toString();
    },
    // Its lines as JSON.
    run(...list) {
      return this.text("--json", ...list).trim().split("\n").filter(Boolean).map((line) => JSON.parse(line));
    },
    loop: (...list) => work("loop", ...list),
    resume: (id) => work("resume", id),
    async serve({ port = 0, command = ["serve", "models", "--threads", "1", "--memory", "200MiB"], args: more = [], key } = {}) {
      const { child, ended } = begin(["--json", ...command, "--port", String(port), ...(key ? ["--api-key-env", "OWNER"] : []), ...more], key ? { OWNER: key } : {});
      for await (const line of createInterface({ input: child.stdout })) {
        const event = JSON.parse(line);
        if (event.event === "ready") return { url: event.url, port: Number(new URL(event.url).port), kill: async () => (child.kill("SIGKILL"), ended) };
      }
      throw new Error("the server did not start");
    },
  };
}

// Each lap is better than the one before, by another fault; what reaches 6 passes.
export const kFive = `recipe = "five"
version = 1
[unit]
from = "units.txt"
[make]
kind = "command"
command = ["sh", "-c", "read unit; sleep 0.05; echo $((unit + {lap}))"]
[[judge]]
name = "enough"
kind = "command"
protocol = "json"
command = ["sh", "-c", '''n=$(cat "$1")
if [ $n -ge 6 ]; then printf '{"candidate":"%s","outcome":"pass"}' $LATHE_CANDIDATE
else printf '{"candidate":"%s","outcome":"fail","score":0.%s,"critiques":[{"claim":"%s is too little"}]}' $LATHE_CANDIDATE $n $n; fi''', "judge", "{file}"]
[stop]
laps = 5
no_gain = 5
`;
// 24 units of five laps: each second one passes in its last, the others never do.
export const kUnits = Array.from({ length: 24 }, (_, i) => `${i % 2}\n`).join("");

export async function eventually(what) {
  for (;;) {
    const found = await what();
    if (found) return found;
    await new Promise((done) => setTimeout(done, 50));
  }
}
