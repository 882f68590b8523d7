"""The program as a new user runs it: from outside, by its command line."""
import json
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
LATHE = os.environ.get("LATHE", str(SOURCE / "build/release/src/lathe"))
EXAMPLES = SOURCE / "examples"


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="lathe-e2e-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.journal = self.dir / "journal"

    def command(self, *args):
        return [LATHE, "--journal", str(self.journal), *map(str, args)]

    def environment(self):
        return {"PATH": os.environ["PATH"], "HOME": str(self.dir), "LANG": "C.UTF-8"}

    def lathe(self, *args, code=0, prefix=(), **kwargs):
        done = subprocess.run([*prefix, *self.command(*args)], capture_output=True, cwd=self.dir,
                              env=self.environment(), timeout=600, **kwargs)
        out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        if code is not None:
            self.assertEqual(done.returncode, code, f"{args}\n{out}\n{err}")
        # Whatever happens, no crash.
        self.assertGreaterEqual(done.returncode, 0, f"{args} died of a signal\n{out}\n{err}")
        self.assertNotIn("internal error", err)
        self.assertNotRegex(err, "Sanitizer:|runtime error:")
        return out, err

    def events(self, *args, **kwargs):
        out, _ = self.lathe("--json", *args, **kwargs)
        return [json.loads(line) for line in out.splitlines()]

    def write(self, name, text):
        path = self.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def tree(self, root):
        return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


FAST = """
recipe = "fast"
version = 1
[unit]
from = "units.txt"
[make]
kind = "command"
command = ["sh", "-c", "read unit; echo $((unit + {lap}))"]
[[judge]]
kind = "command"
command = ["sh", "-c", "[ $(cat \\"$1\\") -ge 3 ]", "judge", "{file}"]
[[judge]]
name = "whole"
kind = "command"
scope = "whole"
command = ["true"]
"""


class Code(Case):
    """Three small repositories, each with a scripted model: a wrong fix, a fix of the tests, an edit that does not
    apply, then the right one."""

    def repair(self, name, recipe, changed):
        repo = self.dir / name
        shutil.copytree(EXAMPLES / "fix-tests" / name, repo)
        before = self.tree(repo)
        recipe = repo / "recipe.toml" if recipe is None else recipe
        events = self.events("loop", recipe, "--input", repo, "--worker", f"coder=script:{repo}/worker.toml")
        ends = [e["body"]["state"] for e in events if e["kind"] == "end"]
        self.assertEqual(ends, ["passed"])
        asked = {e["kind"]: e["body"]["worker"] for e in events if e["kind"] in ("made", "verdict")}
        self.assertEqual(asked, {"made": "coder", "verdict": ""}, "the tests ask nobody")
        after = self.tree(repo)
        self.assertEqual(set(before), set(after), "no file more, no file less")
        self.assertEqual([p for p in before if before[p] != after[p]], [changed])
        errors = [e["body"]["error"]["message"] for e in events if e["kind"] == "made" and not e["body"]["ok"]]
        self.assertTrue(any("protected" in m for m in errors), errors)
        first = next(e for e in events if e["kind"] == "verdict")
        self.assertEqual(first["body"]["judgement"]["outcome"], "fail", "the wrong fix must fail")
        self.lathe("replay", "last")
        return events

    def test_python(self):
        self.repair("python", None, "src/money.py")

    def test_shell(self):
        self.repair("shell", None, "src/slug.sh")

    def test_cpp(self):
        self.repair("cpp", "fix-tests", "src/wrap.cpp")

    def project(self, files, path, old, new):
        """A project of these files; the model exchanges one line of one of them. What was printed."""
        repo = self.dir / "project"
        for name, text in files.items():
            self.write(f"project/{name}", text)
        edit = f"FILE: {path}\n```\n<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n```\n"
        self.write("coder.toml", f"[[reply]]\npurpose = \"make\"\ntext = '''\n{edit}'''\n")
        out, _ = self.lathe("loop", "fix-tests", "--input", repo, "--worker", f"coder=script:{self.dir}/coder.toml")
        self.assertEqual((repo / path).read_text(), files[path].replace(old, new))
        return out

    def test_a_python_project_with_a_venv(self):
        repo = self.dir / "project"
        subprocess.run(["/usr/bin/python3", "-m", "venv", "--without-pip", "--system-site-packages", repo / ".venv"], check=True)
        # Only in the venv.
        site = next((repo / ".venv/lib").glob("python3*/site-packages"))
        (site / "only_here.py").write_text("LIMIT = 3\n")
        out = self.project({"pyproject.toml": "[project]\nname = 'p'\n",
                            "src/p.py": "import only_here\n\ndef f():\n    return only_here.LIMIT + 2\n",
                            "tests/test_p.py": "import p\n\ndef test_f():\n    assert p.f() == 4\n"},
                           "src/p.py", "    return only_here.LIMIT + 2", "    return only_here.LIMIT + 1")
        self.assertIn("project: Python by pyproject.toml", out)
        self.assertIn(".venv", out)

    def test_a_node_project(self):
        out = self.project({"package.json": '{"scripts": {"test": "node --test"}}',
                            "node_modules/three/index.js": "module.exports = 3;\n",
                            "lib/p.js": "const three = require('three');\nexports.f = () => three + 2;\n",
                            "test/p.test.js": "const { f } = require('../lib/p');\nrequire('node:test')('f', () => "
                                              "require('node:assert').strictEqual(f(), 4));\n"},
                           "lib/p.js", "exports.f = () => three + 2;", "exports.f = () => three + 1;")
        self.assertIn("project: Node by package.json", out)

    def test_a_project_with_a_makefile(self):
        out = self.project({"Makefile": "check:\n\t@sh test/run.sh\n", "src/p.sh": "f() {\n  echo 5\n}\n",
                            "test/run.sh": '. src/p.sh\necho 1..1\n[ "$(f)" = 4 ] && echo ok 1 - f || echo not ok 1 - f\n'},
                           "src/p.sh", "  echo 5", "  echo 4")
        self.assertIn("project: Make by Makefile", out)

    def one_line(self, files, command, edits, code=0, *flags):
        """`lathe fix COMMAND` in a project of these files; the model gives these answers, a lap each."""
        for name, text in files.items():
            self.write(f"project/{name}", text)
        replies = "".join(f"[[reply]]\npurpose = \"make\"\nlap = {lap}\ntext = '''\n{edit}'''\n" for lap, edit in enumerate(edits, 1))
        worker = self.write("coder.toml", replies)
        return self.lathe(*flags, "fix", command, "--input", self.dir / "project", "--worker", f"coder=script:{worker}",
                          "--set", f"stop.laps={len(edits)}", "--set", "make.best_of=1", code=code)

    CHECKED = {"p.py": "def f():\n    return 5\n", "check.py": "import p\nprint('looking')\nassert p.f() == 4\nprint('fine')\n"}

    def test_one_line_for_a_command_that_only_ends(self):
        """The command's own file is the test: it stays. What it prints is shown with -v."""
        right, cheat = "FILE: p.py\n```\ndef f():\n    return 4\n```\n", "FILE: check.py\n```\nprint('fine')\n```\n"
        wrong = right.replace("4", "6")
        out, _ = self.one_line(self.CHECKED, "python3 check.py", [cheat, wrong, right])
        self.assertRegex(out, "the edit of 'check.py' is refused: the file is protected")
        self.assertIn("changed in", out)
        self.assertEqual((self.dir / "project/p.py").read_text(), "def f():\n    return 4\n")
        self.assertNotIn(" │ looking", out)
        (self.dir / "project/p.py").write_text(self.CHECKED["p.py"])
        (self.dir / "lathe-out").rename(self.dir / "old")
        out, _ = self.one_line(self.CHECKED, "python3 check.py", [wrong, right], 0, "--json")
        told = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([e for e in told if e["kind"] == "output"], [])

    def test_what_tests_print_is_shown(self):
        right = "FILE: p.py\n```\ndef f():\n    return 4\n```\n"
        files = self.CHECKED | {"check.py": "import p\nprint('looking\\x1b[31m')\nassert p.f() == 4\nprint('fine', end='')\n"}
        for name, text in files.items():
            self.write(f"project/{name}", text)
        worker = self.write("coder.toml", f"[[reply]]\npurpose = \"make\"\ntext = '''\n{right}'''\n")
        command = ("fix", "python3 check.py", "--input", self.dir / "project", "--worker", f"coder=script:{worker}", "-v",
                   "--set", "make.best_of=1", "--no-apply")
        out, _ = self.lathe(*command)
        self.assertIn("before │ looking␛[31m\n", out)
        self.assertRegex(out, "before │ .*AssertionError\n")
        self.assertIn("lap 1.1 │ fine\n", out)
        self.assertEqual(out.count("AssertionError"), 1, "what the wrong twin does is no news")
        told = [e for e in self.events(*command) if e["kind"] == "output"]
        self.assertEqual([e["text"] for e in told if e["call"]], ["looking␛[31m", "fine"])

    def test_a_command_whose_tests_cannot_even_begin(self):
        """Before, only its exit status; then a report of tests: each of them counts."""
        runner = ("import p\nfor n, x in enumerate((1, 2), 1):\n    print(('' if p.f(x) == x + 3 else 'not ') + f'ok {n} - f{x}')\n"
                  "print('1..2')\n")
        half, right = (f"FILE: p.py\n```\ndef f(x):\n    return {x}\n```\n" for x in ("4", "x + 3"))
        out, _ = self.one_line({"p.py": "def f(x) return 5\n", "check.py": runner}, "python3 check.py", [half, right])
        self.assertIn("test f2 fails", out)
        self.assertIn("1 of 1 units passed", out.replace("1 of 1 unit passed", "1 of 1 units passed"))
        self.assertEqual((self.dir / "project/p.py").read_text(), "def f(x):\n    return x + 3\n")

    def test_one_line_for_a_project_of_no_known_kind(self):
        files = {"lib/f.awk": "{ print $1 + 2 }\n", "t/run": "test \"$(echo 1 | awk -f lib/f.awk)\" = 4\n", "go": "sh t/run\n"}
        for path in "t/run", "go", ".bashrc":
            out, _ = self.one_line(files, "sh ./go", [f"FILE: {path}\n```\ntrue\n```\n"], 1)
            self.assertIn(f"the edit of '{path}' is refused", out)
            self.assertEqual({str(k): v.decode() for k, v in self.tree(self.dir / "project").items()}, files)
        right = "FILE: lib/f.awk\n```\n{ print $1 + 3 }\n```\n"
        out, _ = self.one_line(files, "sh ./go", [right])
        self.assertIn("project: of no kind that is known", out)
        self.assertEqual((self.dir / "project/lib/f.awk").read_text(), "{ print $1 + 3 }\n")
        self.assertRegex(out, "passed: .*whether the tests test this change is not known", "of awk no wrong twin can be made")

    def test_one_line_knows_the_project_s_own_tests(self):
        files = {"pyproject.toml": "[project]\nname = 'p'\n", "p.py": "def f():\n    return 5\n",
                 "tests/test_p.py": "import p\n\ndef test_f():\n    assert p.f() == 4\n"}
        edit = "FILE: p.py\n```\ndef f():\n    return 4\n```\n"
        for command in "", "python3 -m pytest -q":
            with self.subTest(command):
                shutil.rmtree(self.dir / "project", ignore_errors=True)
                out, _ = self.one_line(files, command, [edit])
                self.assertIn("tests/test_p.py", out.replace(".test_p", "/test_p.py"))
                self.assertIn("changed in", out)

    def test_a_project_that_is_none(self):
        self.write("project/README.md", "x\n")
        _, err = self.lathe("loop", "fix-tests", "--input", self.dir / "project", code=2)
        self.assertIn("no kind of project is recognised", err)

    def test_nothing_beyond_the_code_is_applied(self):
        """A right fix with a git repository beside it, whose configuration would run commands."""
        for name, extra in {"directory": "FILE: src/.git/config\n```\n[core]\n```\n", "file": "FILE: src/.git\n```\ngitdir: g\n```\n",
                            "bare": "FILE: src/g/HEAD\n```\nref: refs/heads/main\n```\n",
                            "conftest": "FILE: src/conftest.py\n```\nx = 1\n```\n"}.items():
            repo = self.dir / name
            shutil.copytree(EXAMPLES / "fix-tests/python", repo)
            before = self.tree(repo)
            good = (repo / "worker.toml").read_text().rsplit("text = '''\n", 1)[1].rsplit("'''", 1)[0]
            self.write("coder.toml", f"[[reply]]\npurpose = \"make\"\ntext = '''\n{good}\n{extra}'''\n")
            out, _ = self.lathe("loop", repo / "recipe.toml", "--input", repo, "--set", "stop.laps=1",
                                "--set", 'make.may_write=["**"]', "--worker", f"coder=script:{self.dir}/coder.toml", code=None)
            self.assertIn("is refused", out)
            self.assertEqual(before, self.tree(repo))

    def test_no_apply_leaves_the_tree_alone(self):
        repo = self.dir / "python"
        shutil.copytree(EXAMPLES / "fix-tests/python", repo)
        before = self.tree(repo)
        self.lathe("loop", repo / "recipe.toml", "--no-apply", "--worker", f"coder=script:{repo}/worker.toml")
        self.assertEqual(before, self.tree(repo))

    def test_nothing_to_do(self):
        repo = self.dir / "python"
        shutil.copytree(EXAMPLES / "fix-tests/python", repo)
        self.lathe("loop", repo / "recipe.toml", "--worker", f"coder=script:{repo}/worker.toml")
        out, _ = self.lathe("loop", repo / "recipe.toml", "--worker", f"coder=script:{repo}/worker.toml")
        self.assertIn("nothing to do", out)

    def test_a_person_s_edit_is_not_overwritten(self):
        repo = self.dir / "python"
        shutil.copytree(EXAMPLES / "fix-tests/python", repo)
        # The scripted model's last answer arrives after the person has saved the file.
        recipe = (repo / "recipe.toml").read_text()
        recipe = recipe.replace('command = "', f'command = "sleep 0.5; ')
        (repo / "recipe.toml").write_text(recipe)
        run = subprocess.Popen(self.command("loop", repo / "recipe.toml", "--worker", f"coder=script:{repo}/worker.toml"),
                               cwd=self.dir, env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while not (self.journal / "journal.db").exists() or b" lap 1" not in run.stdout.readline():
            time.sleep(0.01)
        mine = (repo / "src/money.py").read_text() + "\n# mine\n"
        (repo / "src/money.py").write_text(mine)
        _, err = run.communicate(timeout=120)
        self.assertEqual(run.returncode, 2)
        self.assertIn(b"was changed since the run began", err)
        self.assertEqual((repo / "src/money.py").read_text(), mine)


class Speech(Case):
    def test_lines_are_spoken_heard_and_spoken_again(self):
        self.write("script.md", "# Please put the kettle on\nThe mitochondria are the powerhouse of the cell.\n\n"
                                "She sold 15,000 tickets in 2 weeks.\n")
        events = self.events("loop", "voice-over", "--input", "script.md", "--out", "out")
        self.assertEqual([e["body"]["state"] for e in events if e["kind"] == "end"], ["passed"])
        laps = {}
        for event in events:
            if event["kind"] == "made":
                laps[event["body"]["track"]] = laps.get(event["body"]["track"], 0) + 1
        self.assertEqual(laps[0], 1, "a line that passed is not spoken again")
        self.assertGreater(laps[1], 1, "flite says mitochondria wrongly at first")
        wavs = sorted(p.name for p in (self.dir / "out").glob("*.wav"))
        self.assertEqual(wavs, ["L001.wav", "L002.wav", "L004.wav", "narration.wav"])
        self.lathe("judge", "run", "ears", "out/L001.wav", "--set", "check=words_heard", "--set",
                   "expect=Please put the kettle on", "--set", "script=script.md")
        out, _ = self.lathe("--json", "judge", "run", "ears", "out/L001.wav", "--set", "check=words_heard", "--set",
                            "expect=Please put the cat out", "--set", "script=script.md", code=1)
        verdict = json.loads(out)
        self.assertEqual(verdict["outcome"], "fail")
        self.assertLess(verdict["score"], 0.9)
        self.lathe("report", "last", "--out", "r.html")
        page = (self.dir / "r.html").read_text()
        self.assertGreaterEqual(page.count("<audio"), 4)
        self.assertNotIn("<script", page)
        self.assertNotRegex(page, r"(src|href)=['\"]?https?:")

    def test_what_is_not_verified_is_said(self):
        self.write("script.md", "She said damen and left the room.\n---\nThe API returns JSON over HTTP/2.\n")
        out, _ = self.lathe("loop", "voice-over", "--input", "script.md", "--out", "out")
        self.assertRegex(out, r"passed: all 2 units passed · 1 word not verified: damen")
        self.assertRegex(out, r"L001 .*passed +· 1 word not verified: damen")
        self.lathe("report", "last", "--out", "r.html")
        self.assertIn("</span> · 1 word not verified: damen</h1>", (self.dir / "r.html").read_text())

    def test_other_languages_are_not_judged(self):
        self.write("script.md", "Please put the kettle on.\nGuten Morgen, meine Damen und Herren.\n")
        out, _ = self.lathe("loop", "voice-over", "--input", "script.md", "--out", "out", code=3)
        self.assertIn("the line seems to be in German", out)

    def test_files_that_are_no_sound(self):
        for name, data in {"empty.wav": b"", "text.wav": b"hello", "cut.wav": b"RIFF\xff\xff\xff\xffWAVEfmt "}.items():
            self.write(name, data)
            self.lathe("--json", "judge", "run", "ears", name, "--set", "check=words_heard", "--set", "expect=hello",
                       code=None)
            done = subprocess.run(self.command("judge", "run", "ears", name, "--set", "check=words_heard", "--set",
                                               "expect=hello"), cwd=self.dir, env=self.environment(), capture_output=True)
            self.assertIn(done.returncode, (1, 3), f"{name}: {done.stdout}")


class Text(Case):
    def run_example(self, name, source):
        example = EXAMPLES / name
        script = f"script:{example}/worker.toml"
        return self.events("loop", name, "--input", example / source, "--out", "out", "--worker", f"writer={script}",
                           "--worker", f"judge={script}")

    def test_extract_json(self):
        events = self.run_example("extract-json", "letters.txt")
        self.assertEqual([e["body"]["state"] for e in events if e["kind"] == "end"], ["passed"])
        self.assertIn("fail", [e["body"]["judgement"]["outcome"] for e in events if e["kind"] == "verdict"])

    def test_rewrite(self):
        events = self.run_example("rewrite", "notice.md")
        self.assertEqual([e["body"]["state"] for e in events if e["kind"] == "end"], ["passed"])
        self.assertIn("fail", [e["body"]["judgement"]["outcome"] for e in events if e["kind"] == "verdict"])
        asked = {(e["body"].get("judge_name"), e["body"]["worker"]) for e in events if e["kind"] in ("made", "verdict")}
        self.assertEqual(asked, {(None, "writer"), ("limits", ""), ("nothing-lost", ""), ("meaning", "judge")})


class Runs(Case):
    def setUp(self):
        super().setUp()
        self.write("fast.toml", FAST)
        self.write("units.txt", "1\n0\n5\n")

    def test_the_life_of_a_run(self):
        out, _ = self.lathe("loop", "fast.toml", "--out", "out")
        self.assertIn("all 3 units passed", out)
        self.assertEqual((self.dir / "out/L002.txt").read_text(), "3\n")
        run = json.loads(self.lathe("--json", "runs")[0])
        self.assertEqual((run["state"], run["recipe"]), ("passed", "fast"))
        self.assertIn("passed", self.lathe("show", run["id"])[0])
        self.assertIn("lap 2: score 10.0, passed", self.lathe("show", "last", "--all")[0])
        self.assertIn("the same", self.lathe("replay", run["id"])[0])
        self.lathe("export", "last", "ex")
        records = [json.loads(line) for line in (self.dir / "ex/records.jsonl").read_text().splitlines()]
        self.assertEqual([r["seq"] for r in records], list(range(len(records))))
        for record in records:
            if record["kind"] == "made":
                self.assertTrue((self.dir / "ex/artifacts" / record["body"]["blob"]).exists())
        out, _ = self.lathe("report", "last", "--baseline", "--out", "r.html")
        self.assertIn("Against no loop", (self.dir / "r.html").read_text())
        self.lathe("rm", run["id"])
        self.assertEqual(len(self.lathe("--json", "runs")[0].splitlines()), 1, "the baseline run is left")
        self.assertIn("removed", self.lathe("gc")[0])
        _, err = self.lathe("show", run["id"], code=2)
        self.assertIn("there is no run", err)

    def test_rejudge_generates_nothing(self):
        self.lathe("loop", "fast.toml")
        strict = FAST.replace("-ge 3", "-ge 100")
        self.write("strict.toml", strict)
        out, _ = self.lathe("rejudge", "last", "--recipe", "strict.toml", code=1)
        self.assertIn("0 of 3 units passed", out)
        self.assertRegex(out, r"3 of \d+ outcomes differ")
        made = [json.loads(line) for line in self.lathe("--json", "show", "last")[0].splitlines()]
        made = [r for r in made if r["kind"] == "made"]
        self.assertTrue(made and all(r["body"]["reused"] for r in made))
        self.lathe("replay", "last")
        out, _ = self.lathe("rejudge", "last", code=1)
        self.assertRegex(out, r"0 of \d+ outcomes differ")

    def test_a_changed_journal_does_not_replay(self):
        self.lathe("loop", "fast.toml")
        db = sqlite3.connect(self.journal / "journal.db")
        body = json.loads(db.execute("SELECT body FROM records WHERE kind='close' LIMIT 1").fetchone()[0])
        seq = db.execute("SELECT seq FROM records WHERE kind='close' LIMIT 1").fetchone()[0]
        body["rank"]["score"] = 0.123
        db.execute("UPDATE records SET body=? WHERE seq=?", (json.dumps(body), seq))
        db.commit()
        _, err = self.lathe("replay", "last", code=1)
        self.assertIn(f"record {seq}", err)

    def test_ctrl_c_and_resume(self):
        self.write("slow.toml", FAST.replace("read unit;", "read unit; sleep 0.3;"))
        run = subprocess.Popen(self.command("loop", "slow.toml", "--parallel", "1"), cwd=self.dir, env=self.environment(),
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while b"passed" not in run.stdout.readline():
            pass
        run.send_signal(signal.SIGINT)
        out, _ = run.communicate(timeout=20)
        self.assertEqual(run.returncode, 130)
        self.assertIn(b"lathe resume", out)
        self.assertEqual(json.loads(self.lathe("--json", "runs")[0])["state"], "stopped")
        out, _ = self.lathe("resume", "last")
        self.assertIn("all 3 units passed", out)
        self.lathe("replay", "last")

    def test_kill_from_outside_at_any_moment(self):
        self.write("slow.toml", FAST.replace("read unit;", "read unit; sleep 0.05;"))
        for delay in range(20):
            run = subprocess.Popen(self.command("loop", "slow.toml"), cwd=self.dir, env=self.environment(),
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(0.05 + 0.03 * delay)
            run.kill()
            run.wait()
            if not self.lathe("--json", "runs")[0]:
                continue  # killed before the run was recorded
            self.lathe("resume", "last")
            self.lathe("replay", "last")

    def test_the_recipe_s_snapshot_counts_not_the_edited_file(self):
        self.write("check.sh", "[ $(cat \"$1\") -ge 3 ]\n")
        self.write("file.toml", FAST.replace("read unit;", "read unit; sleep 0.2;").replace(
            'command = ["sh", "-c", "[ $(cat \\"$1\\") -ge 3 ]", "judge", "{file}"]',
            'command = ["sh", "check.sh", "{file}"]\nfiles = ["check.sh"]'))
        run = subprocess.Popen(self.command("loop", "file.toml", "--parallel", "1"), cwd=self.dir, env=self.environment(),
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while b"passed" not in run.stdout.readline():
            pass
        run.kill()
        run.communicate()
        (self.dir / "check.sh").unlink()
        (self.dir / "units.txt").unlink()
        (self.dir / "file.toml").unlink()
        self.assertIn("all 3 units passed", self.lathe("resume", "last")[0])

    def test_recipe_commands(self):
        names = [line.split()[0] for line in self.lathe("recipe", "list")[0].splitlines()]
        self.assertEqual(names, ["clip-drawn", "clip-script", "clip", "eval", "extract-json", "fix-tests", "mockup-to-page", "red-to-green", "rewrite", "svg-figure", "thumbnail", "voice-over", "work-on"])
        for name in names:
            self.lathe("recipe", "check", name)
            explained, _ = self.lathe("recipe", "explain", name)
            self.write("again.toml", explained)
            self.lathe("recipe", "check", "again.toml")
        self.assertIn("best_of = 7", self.lathe("recipe", "explain", "fast.toml", "--set", "make.best_of=7")[0])

    def test_doctor_has_a_remedy_for_each_finding(self):
        findings = self.events("doctor", code=None)
        for what in "sandbox", "browser", "workers", "server":
            self.assertIn(what, [f["what"] for f in findings])
        for finding in findings:
            self.assertTrue(finding["grade"] == "ok" or finding["remedy"], finding)


class BadInput(Case):
    """Each gives a clear error that names the thing and the place; nothing crashes."""

    def expect(self, recipe, *words, files=(), code=2):
        self.write("r.toml", recipe)
        for name, data in files:
            self.write(name, data)
        _, err = self.lathe("loop", "r.toml", code=code)
        for word in words:
            self.assertIn(word, err)

    def test_inputs(self):
        for data, *words in [
            (b"", "units.txt", "empty"),
            (b"\n \n\t\n", "empty"),
            (b"1\n" * 100_000, "more than 10000 units"),
            (b"x" * (10 << 20), "too many"),
            (b"1\n\xff\xfe\n", "units.txt:2", "UTF-8"),
            (b"1\n\x00\n", "NUL"),
        ]:
            self.expect(FAST, *words, files=[("units.txt", data)])
        (self.dir / "units.txt").unlink()
        self.expect(FAST, "units.txt", "No such file")
        (self.dir / "units.txt").mkdir()
        self.expect(FAST, "is a directory")
        (self.dir / "units.txt").rmdir()
        os.mkfifo(self.dir / "units.txt")
        self.expect(FAST, "not a regular file")

    def test_a_circle(self):
        lines = [{"key": "a", "text": "1", "after": ["b"]}, {"key": "b", "text": "1", "after": ["a"]}]
        self.expect(FAST.replace('from = "units.txt"', 'from = "u.jsonl"\nsplit = "jsonl"'), "circle", "a → b → a",
                    files=[("u.jsonl", "\n".join(map(json.dumps, lines)))])

    def test_recipes(self):
        for change, *words in [
            (('recipe = "fast"', 'recipe = "fast'), "r.toml:2"),
            (("version = 1", "version = 2"), "r.toml:3", "version"),
            (("version = 1", "verson = 1"), "r.toml:3", "did you mean 'version'"),
            (('kind = "command"', 'kind = "comand"'), "r.toml:7", "did you mean 'command'"),
            (('command = ["sh"', 'comand = ["sh"'), "r.toml:8", "did you mean 'command'"),
            (('scope = "whole"', 'scope = "hole"'), "r.toml:15", "did you mean 'whole'"),
            (('name = "whole"', 'name = "command"'), "name 'command' of another judge"),
            (('from = "units.txt"', "from = 7"), "r.toml:5", "must be a string"),
            (("[make]", "[make]\nbest_of = 0"), "best_of", "from 1 to 64"),
            (("[make]", '[stop]\ntime = "soon"\n[make]'), "r.toml:7", "duration"),
            (("[make]", '[combine]\ngate = "2-of-9"\n[make]'), "combine.gate", "judges"),
        ]:
            self.assertIn(change[0], FAST)
            self.expect(FAST.replace(*change, 1), *words, files=[("units.txt", "1\n")])
        self.expect("", "recipe", "required")
        self.expect("a" + ".a" * 50_000 + " = 1", "r.toml")
        self.expect("x = " + "[" * 50_000, "r.toml")
        self.expect(b"\xff\xfe".decode("latin1"), "r.toml")

    def test_no_judge_means_nothing_can_pass(self):
        self.expect(FAST[: FAST.index("[[judge]]")], "judge", files=[("units.txt", "1\n")])

    def test_a_missing_judge_program_is_not_judged(self):
        self.write("units.txt", "1\n")
        self.write("r.toml", FAST.replace('command = ["true"]', 'command = ["no-such-judge"]'))
        out, _ = self.lathe("loop", "r.toml", code=3)
        self.assertIn("not judged", out)
        self.write("r.toml", FAST.replace('"sh", "-c", "[', '"no-such-judge", "-c", "['))
        out, _ = self.lathe("loop", "r.toml", code=3)
        self.assertIn("no-such-judge", out)

    def test_a_missing_worker_is_said(self):
        _, err = self.lathe("loop", "rewrite", "--input", self.write("t.md", "some text\n"), code=2)
        self.assertIn("there is no worker 'writer'", err)
        self.assertEqual(self.lathe("--json", "runs")[0], "", "nothing was begun")

    def test_a_worker_that_does_not_listen(self):
        out, _ = self.lathe("loop", "rewrite", "--input", self.write("t.md", "some text\n"), "--worker",
                            "writer=http://127.0.0.1:9/v1#m", code=3)
        self.assertIn("127.0.0.1:9", out)

    def test_nothing_leaves_loopback_unless_both_allow_it(self):
        text = self.write("t.md", "some text\n")
        for extra in ([], ["--allow", "any"], ["--set", 'privacy="any"']):
            out, _ = self.lathe("loop", "rewrite", "--input", text, "--worker", "writer=http://192.0.2.1/v1#m", *extra,
                                code=3)
            self.assertIn("allow", out)

    def test_command_lines(self):
        for args, *words in [
            ((), "subcommand"),
            (("nonsense",), "nonsense"),
            (("loop",), "recipe"),
            (("loop", "voice-ovr"), "did you mean 'voice-over'"),
            (("loop", "nowhere/x.toml"), "No such file"),
            (("loop", "voice-over", "--set", "x"), "key=value"),
            (("loop", "voice-over", "--worker", "x"), "NAME=URL"),
            (("loop", "voice-over", "--allow", "mars"), "mars"),
            (("loop", "voice-over", "--parallel", "0"), "parallel"),
            (("show", "nothing"), "there is no run"),
            (("judge", "run", "eras", "f"), "did you mean 'ears'"),
            (("judge", "run", "text", "/nonexistent", "--set", "max_words=3"), "/nonexistent"),
            (("judge", "run", "text", "/etc/hostname"), "max_words"),
            (("judge", "run", "text", "/etc/hostname", "--set", "min_wrds=3"), "did you mean 'min_words'"),
            (("judge", "calibrate", "text", "/nonexistent", "--set", "max_words=3"), "/nonexistent"),
        ]:
            out, err = self.lathe(*args, code=2)
            for word in words:
                self.assertIn(word, out + err, args)

    def test_a_journal_of_a_newer_lathe(self):
        self.lathe("runs")
        db = sqlite3.connect(self.journal / "journal.db")
        db.execute("PRAGMA user_version=99")
        db.commit()
        for command in (("runs",), ("gc",), ("show", "last")):
            _, err = self.lathe(*command, code=2)
            self.assertIn("newer lathe", err)

    def test_a_journal_that_is_none(self):
        self.journal.mkdir()
        (self.journal / "journal.db").write_bytes(os.urandom(10_000))
        _, err = self.lathe("runs", code=3)
        self.assertIn("journal.db", err)


class TwoAtOnce(Case):
    def test_two_runs_on_one_journal(self):
        self.write("r.toml", FAST.replace("read unit;", "read unit; sleep 0.05;"))
        self.write("units.txt", "".join(f"{i % 4}\n" for i in range(20)))
        runs = [subprocess.Popen(self.command("loop", "r.toml", "--out", f"out{i}"), cwd=self.dir, env=self.environment(),
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE) for i in range(2)]
        for run in runs:
            out, err = run.communicate(timeout=120)
            self.assertEqual(run.returncode, 0, err)
        rows = [json.loads(line) for line in self.lathe("--json", "runs")[0].splitlines()]
        self.assertEqual([row["state"] for row in rows], ["passed", "passed"])
        for row in rows:
            self.lathe("replay", row["id"])
        self.assertEqual(self.tree(self.dir / "out0"), self.tree(self.dir / "out1"))

    def test_one_run_is_driven_once(self):
        self.write("r.toml", FAST.replace("read unit;", "read unit; sleep 1;"))
        self.write("units.txt", "1\n2\n3\n")
        run = subprocess.Popen(self.command("loop", "r.toml", "--parallel", "1"), cwd=self.dir, env=self.environment(),
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(run.kill)
        run.stdout.readline()
        while '"kind":"call"' not in self.lathe("--json", "show", "last")[0]:
            pass
        # It waits for its maker now. Held there, it is not over however long the others take.
        run.send_signal(signal.SIGSTOP)
        for command in ("resume", "rm"):
            _, err = self.lathe(command, "last", code=3)
            self.assertIn("another process", err)
        _, err = self.lathe("gc", code=3)
        self.assertEqual(json.loads(self.lathe("--json", "runs")[0])["state"], "running")
        run.send_signal(signal.SIGCONT)
        run.communicate(timeout=60)
        self.assertEqual(run.returncode, 0)


class FullDisk(Case):
    def test_a_full_disk_loses_nothing(self):
        """The journal lies on a file system of 600 KiB; when it is full the run says so, and goes on after it has grown."""
        self.write("r.toml", FAST.replace("echo $((unit + {lap}))", "echo $((unit + {lap})); head -c 30000 /dev/urandom | base64"
                                          ).replace("$(cat \\\"$1\\\")", "$(head -1 \\\"$1\\\")"))
        self.write("units.txt", "".join(f"{i % 4}\n" for i in range(12)))
        self.journal.mkdir()
        script = f"""
            mount -t tmpfs -o size=600k tmpfs {self.journal} || exit 90
            "$@" loop r.toml > first.log 2>&1; echo "first $?"
            mount -o remount,size=64m {self.journal} || exit 91
            "$@" resume last > second.log 2>&1; echo "second $?"
            "$@" replay last; echo "replay $?"
        """
        done = subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", *self.command()],
                              cwd=self.dir, env=self.environment(), capture_output=True, text=True, timeout=120)
        self.assertIn("first 3", done.stdout, done.stdout + done.stderr)
        first = (self.dir / "first.log").read_text()
        self.assertRegex(first, "full|No space left", first)
        self.assertIn("lathe resume", first)
        self.assertIn("second 0", done.stdout, (self.dir / "second.log").read_text())
        self.assertIn("all 12 units passed", (self.dir / "second.log").read_text())
        self.assertIn("replay 0", done.stdout)


class NoNetwork(Case):
    """The loops do the same in a network namespace without interfaces, and never connect outside loopback."""

    def setUp(self):
        super().setUp()
        self.write("script.md", "Please put the kettle on\nThe Fourier transform\n")
        shutil.copytree(EXAMPLES / "fix-tests/shell", self.dir / "shell")

    def loops(self, prefix=()):
        results = []
        for args in (["loop", "voice-over", "--input", "script.md", "--out", "out"],
                     ["loop", "shell/recipe.toml", "--no-apply", "--worker", "coder=script:shell/worker.toml"]):
            events = self.events(*args, prefix=prefix)
            results.append([(e["kind"], e["body"].get("track"), e["body"].get("blob"), e["body"].get("rule"))
                            for e in events if e["kind"] in ("made", "close", "unit", "end")])
        return [sorted(map(str, result)) for result in results]

    def test_without_interfaces(self):
        self.assertEqual(self.loops(), self.loops(["unshare", "--user", "--map-root-user", "--net"]))

    def test_no_connect_outside_loopback(self):
        log = self.dir / "strace.log"
        # A leak checker, where one is built in, is a tracer too, and there can be only one.
        self.loops(["strace", "-E", "ASAN_OPTIONS=detect_leaks=0", "-f", "-e", "trace=connect,sendto,sendmsg", "-o",
                    str(log)])
        for line in log.read_text(errors="replace").splitlines():
            for address in re.findall(r'inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)"', line):
                self.assertIn("".join(address), ("127.0.0.1", "::1"), line)
        self.assertTrue(log.read_text(errors="replace"), "strace saw something")


if __name__ == "__main__":
    unittest.main()
