"""Plans: read, checked, written by a model, carried out, killed and gone on with."""
import json
import os
import signal
import subprocess
import time
import unittest

from cli_test import Case
from serve_test import Server

RUNNER = '''import importlib, sys
sys.path.insert(0, "src")
CHECKS = {"parse": lambda m: m.parse("1,2") == [1, 2], "total": lambda m: m.total("1,2") == 3,
          "count": lambda m: m.count("1,2,3") == 3, "report": lambda m: m.report("1,2") == "2 numbers, 3 in all"}
names = sys.argv[1:] or sorted(CHECKS)
print(f"1..{len(names)}")
for i, name in enumerate(names, 1):
    try:
        fine = CHECKS[name](importlib.import_module(name))
    except Exception as error:
        print("#", error)
        fine = False
    print("ok" if fine else "not ok", i, "-", name)
'''

HEAD = '''plan = 1
goal = "A report of numbers"
protect = ["tests/**"]
whole = ["tests:all"]
[judge.all]
kind = "tests"
command = "/usr/bin/python3 tests/run.py"
format = "tap"
'''

SOURCES = {
    "parse": "def parse(text):\n    return [int(n) for n in text.split(\",\")]\n",
    "total": "from parse import parse\n\n\ndef total(text):\n    return sum(parse(text))\n",
    "count": "from parse import parse\n\n\ndef count(text):\n    return len(parse(text))\n",
    "report": "from count import count\nfrom total import total\n\n\ndef report(text):\n"
              "    return f\"{count(text)} numbers, {total(text)} in all\"\n",
}


def judge(name):
    return f'[judge.{name}]\nkind = "tests"\ncommand = "/usr/bin/python3 tests/run.py {name}"\nformat = "tap"\n'


def task(name, deps=(), do=None):
    return (f'[[task]]\nid = "{name}"\ndo = "{do or f"Write the module {name}."}"\nkind = "code"\ndeps = {json.dumps(list(deps))}\n'
            f'reads = {json.dumps([f"src/{dep}.py" for dep in deps])}\nwrites = ["src/{name}.py"]\njudges = ["tests:{name}"]\n')


DIAMOND = (HEAD + "".join(judge(name) for name in SOURCES) + task("parse") + task("total", ["parse"]) +
           task("count", ["parse"]) + task("report", ["total", "count"]))


def answers(sources):
    return "".join(f"[[reply]]\nwhen = \"module {name}\"\ntext = {json.dumps(f'FILE: src/{name}.py' + chr(10) + '```' + chr(10) + text + '```' + chr(10))}\n"
                   for name, text in sources.items())


class Fleet(Server):
    def setUp(self):
        super().setUp()
        self.write("repo/tests/run.py", RUNNER)
        self.write("repo/src/__init__.py", "")
        self.write("plan.toml", DIAMOND)
        self.write("coder.toml", answers(SOURCES))

    def run_plan(self, *more, code=0, plan="plan.toml"):
        return self.events("fleet", "run", plan, "--input", "repo", "--worker", f"coder=script:{self.dir}/coder.toml", *more, code=code)

    def test_a_diamond_is_made_and_put_together(self):
        before = self.tree(self.dir / "repo")
        events = self.run_plan()
        states = {e["part"]: e["state"] for e in events if e["kind"] == "part" and e["what"] == "ended"}
        self.assertEqual(states, {name: "passed" for name in [*SOURCES, "merge"]})
        order = [e["part"] for e in events if e["kind"] == "part" and e["what"] == "begun"]
        self.assertEqual((order[0], order[-2], order[-1]), ("parse", "report", "merge"))
        self.assertEqual([e["state"] for e in events if e["kind"] == "plan_end"], ["passed"])
        after = self.tree(self.dir / "repo")
        self.assertEqual({p: after[p].decode() for p in after if p not in before}, {f"src/{n}.py": t for n, t in SOURCES.items()})
        # Each part is a run as any other.
        runs = self.events("runs")
        self.assertEqual(len(runs), 5)
        for run in runs:
            self.assertEqual(run["state"], "passed")
            self.lathe("replay", run["id"])
        shown = self.events("fleet", "show", "last")
        self.assertEqual([e["state"] for e in shown], ["passed"] * 6)
        # The page has it, too.
        self.models = self.dir / "none"
        self.models.mkdir()
        self.start("--allow-pull", "--journal", self.journal)
        (plan,) = self.call("/v1/plans")["data"]
        self.assertEqual((plan["goal"], plan["result"], plan["merge"]["state"]), ("A report of numbers", "passed", "passed"))
        self.assertEqual({each["id"]: each["run"] for each in plan["tasks"]}, {e["part"]: e["run"] for e in shown[:4]})
        self.assertEqual(plan["tasks"][-1]["deps"], ["total", "count"])
        self.end()
        # The same as a patch; and the next plan knows what this one took.
        patch = next(e["files"] for e in events if e["kind"] == "written")
        self.assertIn("+def report(text):", (self.dir / patch[0]).read_text())
        forecast = self.events("plan", "show", "plan.toml", "--input", "repo")[0]["tasks"]["parse"]["forecast"]
        self.assertEqual(forecast["basis"], "from 4 takes of code")

    def test_whom_the_task_does_not_fit_is_not_asked(self):
        """By what workers.toml says: how much a server's model reads, and the memory that a program takes."""
        for path in self.models.glob("*.gguf"):
            if path.stem != "llama-q4_0":
                path.unlink()
        self.start()
        self.write(".config/lathe/workers.toml", f'[worker.llama-q4_0]\nurl = "{self.url}/v1"\nmodel = "llama-q4_0"\ncontext = 1\n'
                                                 '[worker.large]\ncommand = ["/bin/sh", "{port}"]\nmemory = "90000GiB"\n')
        out, err = self.lathe("fleet", "run", "plan.toml", "--input", "repo", code=3)
        self.assertRegex(out + err, "llama-q4_0: it takes 1 tokens, and [0-9]+ are needed")
        self.assertRegex(out + err, "large: it has .*, and .* are needed")

    def test_the_merge_sends_back_what_it_names(self):
        # Alone each passes; together the total is wrong, and the judge of the whole says where.
        self.write("repo/whole.py", "import sys\nsys.path.insert(0, 'src')\nfrom total import total\n"
                                    "try:\n    value = total('')\nexcept ValueError:\n    value = None\n"
                                    "if value != 0:\n    sys.exit('src/total.py: total(\"\") must be 0')\n")
        plan = DIAMOND.replace('whole = ["tests:all"]', 'whole = ["command:whole"]') + \
            '[judge.whole]\nkind = "command"\ncommand = ["python3", "whole.py", "{file}"]\n'
        self.write("plan.toml", plan)
        better = SOURCES["total"].replace("sum(parse(text))", "sum(parse(text)) if text else 0")
        self.write("coder.toml", answers({"total": better}).replace('when = "module total"', 'when = "does not pass yet"') + answers(SOURCES))
        events = self.run_plan()
        merges = [e["state"] for e in events if e["kind"] == "part" and e["part"] == "merge" and e["what"] == "ended"]
        self.assertEqual(merges, ["failed", "passed"])
        self.assertEqual((self.dir / "repo/src/total.py").read_text(), better)
        begun = [e["part"] for e in events if e["kind"] == "part" and e["what"] == "begun"]
        self.assertEqual((begun.count("total"), begun.count("parse")), (2, 1))

    def test_a_write_outside_is_refused(self):
        # It makes its own file, and the tests' too.
        text = answers(SOURCES).replace("FILE: src/total.py", "FILE: tests/run.py\\n```\\nprint(1)\\n```\\nFILE: src/total.py")
        self.write("coder.toml", text)
        before = self.tree(self.dir / "repo")
        events = self.run_plan(code=1)
        states = {e["part"]: e["state"] for e in events if e["kind"] == "part" and e["what"] == "ended"}
        self.assertEqual(states, {"parse": "passed", "total": "failed", "count": "passed"}, "what does not wait for it is made")
        self.assertEqual(self.tree(self.dir / "repo"), before)

    def test_killed_and_gone_on_with(self):
        # A maker that takes its time, so that there is a time to be killed in.
        parts = [f'[[task]]\nid = "t{i}"\ndo = "{i}"\nkind = "command"\ndeps = {json.dumps([f"t{i - 1}"] if i else [])}\n'
                 f'writes = ["out/t{i}.txt"]\njudges = ["secrets"]\n[task.make]\ncommand = ["sh", "-c", "sleep 0.3; cat"]\n' for i in range(4)]
        self.write("slow.toml", 'plan = 1\ngoal = "Numbers"\nwhole = ["secrets"]\n' + "".join(parts))
        process = subprocess.Popen(self.command("--json", "fleet", "run", "slow.toml", "--input", "repo"), stdout=subprocess.PIPE,
                                   cwd=self.dir, env=self.environment(), start_new_session=True)
        ended = 0
        for line in process.stdout:
            ended += json.loads(line).get("what") == "ended"
            if ended == 2:
                break
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        done = {run["id"]: run["records"] for run in self.events("runs") if run["state"] == "passed"}
        self.assertGreaterEqual(len(done), 2)
        events = self.events("fleet", "resume", "last")
        self.assertEqual([e["state"] for e in events if e["kind"] == "plan_end"], ["passed"])
        runs = {run["id"]: run["records"] for run in self.events("runs")}
        self.assertEqual({run: runs[run] for run in done}, done, "what had passed was touched again")
        self.assertEqual(len(runs), 5)
        self.assertEqual([(self.dir / f"repo/out/t{i}.txt").read_text().strip() for i in range(4)], ["0", "1", "2", "3"])
        # What has ended stays so.
        before = self.tree(self.dir / "repo")
        self.lathe("fleet", "resume", "last")
        self.assertEqual(self.tree(self.dir / "repo"), before)


class Plans(Case):
    def setUp(self):
        super().setUp()
        self.write("repo/a.py", "x = 1\n")

    def refused(self, text, *say):
        self.write("plan.toml", text)
        _, err = self.lathe("plan", "check", "plan.toml", "--input", "repo", code=2)
        for words in say:
            self.assertIn(words, err)

    def test_what_is_wrong_is_said_before_anything_runs(self):
        good = HEAD + judge("a") + task("a") + task("b", do="It comes behind.").replace("tests:b", "tests:a")
        self.write("plan.toml", good)
        self.lathe("plan", "check", "plan.toml", "--input", "repo")
        self.refused(good.replace("deps = []", 'deps = ["b"]'), "plan.toml:", "task 'b'", "names the task itself")
        self.refused(good.replace('"src/a.py"', '"../a.py"'), "leads outside the tree")
        self.refused(good.replace('"src/a.py"', '"tests/a.py"'), "is protected")
        self.refused(good.replace("plan = 1", ""), "plan")
        os.symlink("/etc", self.dir / "repo/src")
        self.refused(good, "symbolic link")
        self.assertEqual(self.events("runs"), [])

    def test_a_model_plans(self):
        plan = {"plan": 1, "goal": "Set x", "protect": [], "judge": {"x": {"kind": "tests", "command": "sh check.sh", "format": "exit"}},
                "whole": ["tests:x"], "task": [{"id": "set-x", "do": "Set x to 2.", "kind": "code", "deps": [], "reads": [],
                                                "writes": ["a.py"], "judges": ["tests:y"], "difficulty": 1}]}
        good = json.loads(json.dumps(plan).replace("tests:y", "tests:x"))
        self.write("task.md", "Set x to 2.\n")
        reply = "[[reply]]\nattempt = {}\ntext = {}\n"
        self.write("planner.toml", reply.format(0, json.dumps(json.dumps(plan))) + reply.format(1, json.dumps(json.dumps(good))))
        worker = ("--worker", f"p=script:{self.dir}/planner.toml", "--input", "repo")
        _, err = self.lathe("plan", "task.md", *worker)
        self.assertIn("goes back once", err)
        self.assertIn("did you mean 'tests:x'", err)
        self.lathe("plan", "check", "plan.toml", "--input", "repo")
        # What is no plan twice is a person's.
        self.write("planner.toml", "[[reply]]\ntext = \"First I would set x.\"\n")
        _, err = self.lathe("plan", "task.md", "--force", *worker, code=2)
        self.assertIn("plan.toml.draft.json", err)
        self.assertEqual((self.dir / "plan.toml.draft.json").read_text(), "First I would set x.")
        _, err = self.lathe("plan", "task.md", *worker, code=2)
        self.assertIn("--force", err)


if __name__ == "__main__":
    unittest.main()
