"""Several machines, as processes of one: made here and judged there, a node that dies, one whose model is broken."""
import json
import re
import signal
import subprocess
import time
import unittest

from cli_test import LATHE, SOURCE, Case
from fleet_test import DIAMOND, RUNNER, SOURCES, answers
from pairing_test import Postgres

PATIENCE = 120
RECIPE = '''recipe = "sums"
version = 1
privacy = "lan"
[unit]
from = "numbers.txt"
split = "line"
[make]
kind = "command"
command = ["sh", "-c", "read n; echo $((n + {lap}))"]
on = "maker-box"
[[judge]]
kind = "command"
command = ["sh", "-c", "[ $(cat \\"$1\\") -ge 3 ]", "judge", "{file}"]
on = "judge-box"
[stop]
laps = 4
'''


NOTES = {
    # A diamond, a chain behind it, and leaves that wait for nobody.
    "top": [], "left": ["top"], "right": ["top"], "bottom": ["left", "right"], "next": ["bottom"], "last": ["next"],
    **{f"leaf-{n}": [] for n in range(6)},
}
BOXES = ("box-1", "box-2", "box-3")


def notes_plan():
    judges = "".join(f'[judge.{box}]\nkind = "text"\nstage = "gate"\nmin_words = 1\non = "{box}"\n' for box in BOXES)
    tasks = "".join(f'[[task]]\nid = "{name}"\ndo = "Write the note {name}."\nkind = "text"\ndeps = {json.dumps(deps)}\n'
                    f'writes = ["notes/{name}.md"]\njudges = ["text:{BOXES[i % 3]}"]\n' for i, (name, deps) in enumerate(NOTES.items()))
    return f'plan = 1\ngoal = "Notes"\ninputs = [{{path = "notes", privacy = "lan"}}]\nwhole = ["secrets"]\n{judges}{tasks}'


class Machines(Case):
    """Homes of one directory as machines, each with its own settings, and what is run there."""

    def setUp(self):
        super().setUp()
        self.home = "desk"

    def found(self):
        """A fleet with a database of its own."""
        self.postgres = Postgres()
        self.addCleanup(self.postgres.end)
        self.at("desk", "fleet", "init", "--db", self.postgres.address, "--name", "desk")

    def environment(self):
        return super().environment() | {"HOME": str(self.dir / self.home)}

    def at(self, home, *args, code=0):
        self.home = home
        return self.events(*args, code=code)

    def journal_of(self, home):
        return self.dir / home / "journal"

    def start(self, home, *args):
        self.home = home
        log = open(self.dir / f"{home}.log", "a", encoding="utf-8")
        self.addCleanup(log.close)
        process = subprocess.Popen([LATHE, "--journal", str(self.journal_of(home)), "--json", *map(str, args)], text=True,
                                   stdout=subprocess.PIPE, stderr=log, cwd=self.dir, env=self.environment())
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        return process

    def join(self, *names):
        for name in names:
            inviter = self.start("desk", "fleet", "invite", "--listen", "127.0.0.1:0", "--tier", "box")
            invitation = json.loads(inviter.stdout.readline())["invitation"]
            self.at(name, "fleet", "join", invitation, "--name", name)
            self.assertEqual(inviter.wait(PATIENCE), 0)

    def node(self, name, *args):
        """`lathe serve --node` on a machine of its own."""
        process = self.start(name, "serve", "--node", "--busy-at", "0", "--port", "0", *args)
        self.assertEqual(json.loads(process.stdout.readline())["event"], "ready")
        return process

    def loop(self, recipe, *args):
        return self.start("desk", "loop", recipe, "--fleet", "--allow", "lan", "--out", self.dir / "out", *args)

    def until(self, there):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            found = there()
            if found:
                return found
            time.sleep(0.2)
        logs = "\n".join(f"{path.name}: {path.read_text()[-2000:]}" for path in self.dir.glob("*.log"))
        self.fail(f"nothing came of it\n{logs}")

    def nodes(self):
        return {each["name"]: each for each in self.at("desk", "fleet", "nodes")}

    def records(self):
        self.home = "desk"
        done = subprocess.run([LATHE, "--journal", str(self.dir / "desk/journal"), "--json", "show", "--all", "last"], check=False,
                              capture_output=True, text=True, cwd=self.dir, env=self.environment())
        return [e for e in map(json.loads, done.stdout.splitlines()) if "seq" in e]

    def end(self, run):
        out, _ = run.communicate(timeout=PATIENCE)
        self.assertEqual(run.returncode, 0, out + (self.dir / "desk.log").read_text())


class Restored(Machines):
    """The database is lost, and comes back as `lathe fleet init` says."""

    def journal_of(self, home):
        return self.postgres.address if home == "desk" else super().journal_of(home)

    def in_the_database(self, *args):
        self.home = "desk"
        done = subprocess.run([LATHE, "--journal", self.postgres.address, "--json", *args], check=False, capture_output=True, text=True,
                              cwd=self.dir, env=self.environment())
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def test_what_was_dumped_goes_on(self):
        self.found()
        self.home = "desk"
        said = self.lathe("fleet", "init", "--db", self.postgres.address, "--name", "desk")[0]
        steps = [line.split() for line in said.splitlines() if re.match("  (pg_|psql)", line)]
        self.assertEqual([words[0] for words in steps], ["pg_dumpall", "pg_dump", "psql", "pg_restore"])
        self.join("box")
        self.write("numbers.txt", "1\n5\n")
        self.write("sums.toml", RECIPE.replace('"maker-box"', '"box"').replace('"judge-box"', '"box"'))
        node = self.node("box")
        self.end(self.loop("sums.toml"))
        node.kill()
        node.wait()
        # A second one waits for its node, and is killed.
        run = self.loop("sums.toml")
        self.until(lambda: self.postgres.ask("SELECT count(*) FROM lathe.unit WHERE state = 0", "fleet") == "2")
        run.kill()
        run.wait()
        whole = self.in_the_database("runs")
        self.assertEqual(sorted(each["state"] for each in whole), ["passed", "stopped"])

        def do(words):
            subprocess.run([self.postgres.programs / words[0], *words[1:]], check=True, capture_output=True, cwd=self.postgres.dir,
                           env={"PGHOST": str(self.postgres.dir), "PGPORT": str(self.postgres.port), "PGUSER": "admin"},
                           **self.postgres.user())

        for words in steps[:2]:
            do(words)
        self.postgres.kill()
        self.postgres.begin()
        for words in steps[2:]:
            do(words)
        self.assertEqual(self.in_the_database("runs"), whole)
        for each in whole:
            self.in_the_database("replay", each["id"])
        # The node logs in with what it had, and the run goes on with the units that wait there.
        self.node("box")
        self.end(self.start("desk", "resume", next(each["id"] for each in whole if each["state"] == "stopped"), "--fleet", "--allow", "lan"))
        self.assertEqual({each["state"] for each in self.in_the_database("runs")}, {"passed"})


class Nodes(Machines):
    def setUp(self):
        super().setUp()
        self.found()
        self.write("numbers.txt", "0\n1\n2\n3\n")
        self.write("sums.toml", RECIPE)

    def test_made_here_and_judged_there(self):
        self.join("maker-box", "judge-box")
        self.node("maker-box")
        run = self.loop("sums.toml")
        # Nobody judges yet: the run waits. Then somebody does, dies and is there again.
        self.until(lambda: [r for r in self.records() if r["kind"] == "made"])
        self.assertIsNone(run.poll())
        judge = self.node("judge-box")
        self.until(lambda: [r for r in self.records() if r["kind"] == "verdict"])
        judge.kill()
        judge.wait()
        self.node("judge-box")
        self.end(run)
        records = self.records()
        ids = {name: node["id"] for name, node in self.nodes().items()}
        self.assertEqual({r["body"]["node"] for r in records if r["kind"] == "made"}, {ids["maker-box"]})
        self.assertEqual({r["body"]["node"] for r in records if r["kind"] == "verdict"}, {ids["judge-box"]})
        calls = [r["body"]["call"] for r in records if r["kind"] in ("made", "verdict")]
        self.assertEqual(len(calls), len(set(calls)))
        self.assertEqual(sorted(path.read_text() for path in (self.dir / "out").rglob("*.txt")), ["3\n", "3\n", "3\n", "4\n"])

    def test_spoken_here_and_heard_there(self):
        self.join("mouth-box", "ears-box")
        recipe = (SOURCE / "recipes/voice-over.toml").read_text()
        recipe = recipe.replace('kind = "voice"\n', 'kind = "voice"\non = "mouth-box"\n').replace('kind = "ears"\n', 'kind = "ears"\non = "ears-box"\n')
        self.write("voice.toml", re.sub("(?m)^privacy = .*$", "", recipe).replace("version = 1\n", 'version = 1\nprivacy = "lan"\n'))
        lines = ["The kettle is on the stove.", "We leave for the coast at noon.", "Nobody had seen the letter before.", "A quiet engine is a happy engine."]
        self.write("lines.txt", "\n".join(lines) + "\n")
        self.node("mouth-box", "--slots", "2")
        ears = self.node("ears-box")
        run = self.loop("voice.toml", "--input", "lines.txt")
        self.until(lambda: [r for r in self.records() if r["kind"] == "verdict"])
        ears.kill()
        ears.wait()
        judged = len([r for r in self.records() if r["kind"] == "verdict"])
        self.until(lambda: len([r for r in self.records() if r["kind"] == "made"]) >= len(lines))
        self.assertIsNone(run.poll(), "nobody hears: it waits")
        self.assertLess(judged, 2 * len(lines))
        self.node("ears-box")
        events = [json.loads(line) for line in run.stdout]
        self.assertEqual(run.wait(PATIENCE), 0, (self.dir / "desk.log").read_text())
        records = self.records()
        ids = {name: node["id"] for name, node in self.nodes().items()}
        self.assertEqual({r["body"]["node"] for r in records if r["kind"] == "made"}, {ids["mouth-box"]})
        self.assertEqual({r["body"]["node"] for r in records if r["kind"] == "verdict"}, {ids["ears-box"]})
        calls = [r["body"]["call"] for r in records if r["kind"] in ("made", "verdict")]
        self.assertEqual(len(calls), len(set(calls)))
        # What went between the boxes: the takes came here, and the ears found them where they were.
        (traffic,) = [e for e in events if e.get("kind") == "traffic"]
        takes = sum({r["body"]["blob"]: r["body"]["bytes"] for r in records if r["kind"] == "made"}.values())
        self.assertGreater(traffic["received"], takes)
        self.assertLess(1_000, traffic["sent"])
        self.assertLess(traffic["sent"], takes)

    def test_a_plan_over_nodes(self):
        self.join("coder-box", "test-box")
        # The one has a coder, whom the desk does not have.
        self.write("coder.toml", answers(SOURCES))
        self.write("coder-box/.config/lathe/workers.toml", f'[worker.coder]\nscript = "{self.dir}/coder.toml"\n')
        self.write("repo/tests/run.py", RUNNER)
        self.write("plan.toml", DIAMOND.replace("\n", '\ninputs = [{path = "src", privacy = "lan"}, {path = "tests", privacy = "lan"}]\n', 1)
                   .replace('kind = "tests"\n', 'kind = "tests"\non = "test-box"\n'))
        self.write("repo/src/__init__.py", "")
        # What no input names is "local" outside a repository, and the judge of the whole sees it.
        plan = ("fleet", "run", "plan.toml", "--input", "repo", "--fleet", "--allow", "lan")
        self.home = "desk"
        self.assertIn("task 'parse': code asks a worker, and there is none", self.lathe(*plan, code=2)[1])
        self.node("coder-box")
        self.node("test-box")
        self.until(lambda: "worker:coder" in self.nodes()["coder-box"]["caps"] and "judge:tests" in self.nodes()["test-box"]["caps"])
        self.home = "desk"
        self.assertIn('whole: the judge \'all\': on = "test-box" sends it to another machine', self.lathe(*plan, code=2)[1])
        self.write("repo/.git/HEAD", "")
        events = self.events(*plan)
        self.assertEqual([e["state"] for e in events if e["kind"] == "plan_end"], ["passed"])
        self.assertEqual({n: (self.dir / f"repo/src/{n}.py").read_text() for n in SOURCES}, SOURCES)
        ids = {name: node["id"] for name, node in self.nodes().items()}
        runs = {e["part"]: e["run"] for e in events if e["kind"] == "part"}
        self.assertEqual(set(runs), {*SOURCES, "merge"})
        self.home = "desk"
        for part, run in runs.items():
            records = [e for e in self.events("show", "--all", run) if "seq" in e]
            by = {kind: {r["body"].get("node") for r in records if r["kind"] == kind} for kind in ("made", "verdict")}
            self.assertEqual(by["verdict"], {ids["test-box"]})
            self.assertEqual(by["made"], {None if part == "merge" else ids["coder-box"]})

    def test_twelve_tasks_over_three_nodes(self):
        self.join(*BOXES)
        for box in BOXES:
            self.write(f"{box}/writer.toml", '[[reply]]\ntext = "A note."\n')
            self.write(f"{box}/.config/lathe/workers.toml", f'[worker.writer]\nscript = "{self.dir}/{box}/writer.toml"\n')
            self.node(box)
        self.until(lambda: all("worker:writer" in self.nodes()[box]["caps"] for box in BOXES))
        self.write("repo/.git/HEAD", "")
        self.write("repo/notes/README.md", "Notes.\n")
        self.write("plan.toml", notes_plan())
        events = self.at("desk", "fleet", "run", "plan.toml", "--input", "repo", "--fleet", "--allow", "lan")
        self.assertEqual([e["state"] for e in events if e["kind"] == "plan_end"], ["passed"])
        parts = [e for e in events if e["kind"] == "part"]
        self.assertEqual({e["part"]: e["state"] for e in parts if e["what"] == "ended"}, {part: "passed" for part in [*NOTES, "merge"]})
        # Nothing begins before what it waits for has ended: as it was said, and by the records.
        said = [(e["what"], e["part"]) for e in parts]
        runs = {e["part"]: [r for r in self.at("desk", "show", "--all", e["run"]) if "seq" in r] for e in parts if e["what"] == "ended"}
        begun = {part: records[0]["body"]["created_ms"] for part, records in runs.items()}
        for part, deps in [*NOTES.items(), ("merge", NOTES)]:
            for dep in deps:
                self.assertLess(said.index(("ended", dep)), said.index(("begun", part)))
                self.assertLessEqual(begun[dep] + runs[dep][-1]["t_ms"], begun[part])
        ids = {self.nodes()[box]["id"] for box in BOXES}
        of_tasks = [r for part in NOTES for r in runs[part]]
        self.assertEqual({r["body"]["node"] for r in of_tasks if r["kind"] == "verdict"}, ids)
        self.assertLessEqual({r["body"]["node"] for r in of_tasks if r["kind"] == "made"}, ids)
        self.assertEqual(len([r for r in of_tasks if r["kind"] == "made"]), len(NOTES))

    def test_a_node_that_stood_still_counts_for_nothing(self):
        self.join("slow-box", "quick-box", "judge-box")
        self.write("numbers.txt", "5\n")
        self.write("sums.toml", RECIPE.replace("read n;", "read n; sleep 3;").replace('"maker-box"', '"box"'))
        slow = self.node("slow-box")
        run = self.loop("sums.toml")
        self.until(lambda: self.postgres.ask("SELECT epoch FROM lathe.unit WHERE state = 1 AND holder <> ''", "fleet") == "1")
        slow.send_signal(signal.SIGSTOP)
        self.addCleanup(lambda: slow.poll() is None and slow.send_signal(signal.SIGCONT))
        # Its lease runs out, and another one does it under the next epoch.
        self.node("quick-box")
        self.until(lambda: [r for r in self.records() if r["kind"] == "made"])
        ids = {name: node["id"] for name, node in self.nodes().items()}
        done = "SELECT done_by || ' ' || done_epoch FROM lathe.unit WHERE kind LIKE 'make%'"
        self.assertEqual(self.postgres.ask(done, "fleet"), f"{ids['quick-box']} 2")
        # Awake again it hands in: that is thrown away.
        slow.send_signal(signal.SIGCONT)
        self.until(lambda: "stale, another node has it by now" in (self.dir / "slow-box.log").read_text())
        self.assertEqual(self.postgres.ask(done, "fleet"), f"{ids['quick-box']} 2")
        self.node("judge-box")
        self.end(run)
        records = self.records()
        self.assertEqual([r["body"]["node"] for r in records if r["kind"] == "made"], [ids["quick-box"]])
        # The run's own record has it, too, and so has whoever looks at the run.
        self.assertEqual([(r["body"]["node"], r["body"]["within"]["call"]) for r in records if r["kind"] == "stale"],
                         [(ids["slow-box"], "make:0:1:0:0:0")])
        self.journal = self.journal_of("desk")
        self.lathe("replay", "last")
        self.assertIn(f"node {ids['slow-box']} came too late with making", self.lathe("show", "last")[0])

    def test_a_broken_model_is_put_into_quarantine(self):
        self.join("good-box", "bad-box")
        model = (SOURCE / "models/starter-q8_0.gguf").read_bytes()
        broken = bytearray(model)
        broken[-(len(model) // 3)] ^= 0x40  # of a weight
        for name, data in (("desk", model), ("good-box", model), ("bad-box", broken)):
            self.write(f"{name}/models/starter.gguf", bytes(data))
            self.node(name, f"{self.dir}/{name}/models")
        self.until(lambda: all("canary" in (node.get("load") or {}) and node["load"]["canary"] for node in self.nodes().values()))
        said = {name: node["load"]["canary"]["starter"] for name, node in self.nodes().items()}
        self.assertEqual(said["desk"], said["good-box"])
        self.assertNotEqual(said["desk"], said["bad-box"])
        # Whoever drives a run over the fleet looks.
        self.write("sums.toml", RECIPE.replace('on = "maker-box"\n', "").replace('on = "judge-box"\n', ""))
        run = self.loop("sums.toml")
        self.until(lambda: self.nodes()["bad-box"]["state"] == "quarantined")
        self.end(run)
        self.assertEqual(self.nodes()["good-box"]["state"], "active")
        self.assertIn("quarantine", (self.dir / "desk.log").read_text())

    def test_an_invited_machine_begins_nothing(self):
        self.join("maker-box")
        self.home = "maker-box"
        _, err = self.lathe("loop", "sums.toml", "--fleet", "--allow", "lan", code=2)
        self.assertIn("takes work and makes none", err)
        # What may not leave is refused before anything runs; without a fleet, too.
        self.write("local.toml", RECIPE.replace('"lan"', '"local"'))
        self.home = "desk"
        _, err = self.lathe("loop", "local.toml", "--fleet", code=2)
        self.assertIn('privacy = "lan"', err)
        _, err = self.lathe("loop", "sums.toml", "--allow", "lan", code=3)
        self.assertIn("--fleet", err)


if __name__ == "__main__":
    unittest.main()
