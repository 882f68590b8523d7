// The real program, for tests: servers that come up on a port, loops that can be held still.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const source = fileURLToPath(new URL("../../", import.meta.url));
const program = process.env.LATHE ?? join(source, "build/release/src/lathe");

// A home of its own, with a tiny model; gone when the test is over.
export function new_home(t) {
  const home = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "lathe-web-"));
  t.after(() => rmSync(home, { recursive: true, force: true }));
  mkdirSync(join(home, "models"));
  copyFileSync(join(source, "tests/data/models/llama-q4_0.gguf"), join(home, "models/tiny.gguf"));
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

  return {
    home,
    write: (name, text) => writeFileSync(join(home, name), text),
    // Its lines as JSON; a run that does not pass is fine.
    run(...list) {
      try {
        return execFileSync(program, args(["--json", ...list]), { cwd: home, env, stdio: ["ignore", "pipe", "pipe"], maxBuffer: 1 << 28 }).toString().trim().split("\n").filter(Boolean).map((line) => JSON.parse(line));
      } catch (problem) {
        throw new Error(`lathe ${list.join(" ")}: ${problem.stderr}`);
      }
    },
    loop(...list) {
      const { child, ended } = begin(["--json", "loop", ...list]);
      child.stdout.resume();
      return { hold: () => child.kill("SIGSTOP"), go_on: () => child.kill("SIGCONT"), ended };
    },
    async serve({ port = 0, args: more = [], key } = {}) {
      const { child, ended } = begin(["--json", "serve", "models", "--port", String(port), "--threads", "1", "--memory", "200MiB", ...(key ? ["--api-key-env", "OWNER"] : []), ...more], key ? { OWNER: key } : {});
      for await (const line of createInterface({ input: child.stdout })) {
        const event = JSON.parse(line);
        if (event.event === "ready") return { url: event.url, port: Number(new URL(event.url).port), kill: async () => (child.kill("SIGKILL"), ended) };
      }
      throw new Error("the server did not start");
    },
  };
}

// 24 units that pass in their first to third lap, each lap better than the one before.
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
protocol = "number"
bar = 6
command = ["cat", "{file}"]
[stop]
laps = 5
no_gain = 5
`;
export const kUnits = Array.from({ length: 24 }, (_, i) => `${(i % 3) + 3}\n`).join("");

export async function eventually(what) {
  for (;;) {
    const found = await what();
    if (found) return found;
    await new Promise((done) => setTimeout(done, 50));
  }
}
