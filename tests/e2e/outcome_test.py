"""What a run comes to, as its user sees it: exit codes, the tree, the patch, the journal; with endpoints that fail."""
import http.server
import json
import os
import sqlite3
import shutil
import stat
import subprocess
import threading
import unittest

from cli_test import FAST, Case

CART = "def total(prices):\n    return 0\n\n\ndef vat(amount):\n    return amount * 19 // 100\n"
RUNNER = """import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "src"))
import cart
tests = {"total_of_two": lambda: cart.total([1, 2]) == 3, "total_of_one": lambda: cart.total([4]) == 4,
         "total_of_many": lambda: cart.total([1] * 9) == 9, "vat": lambda: cart.vat(100) == 19}
print(f"1..{len(tests)}")
good = {name: bool(test()) for name, test in tests.items()}
for i, (name, ok) in enumerate(good.items(), 1):
    print(f"{'ok' if ok else 'not ok'} {i} - {name}")
sys.exit(0 if all(good.values()) else 1)
"""
RECIPE = """recipe = "fix"
version = 1
[unit]
from = "failing_tests"
command = "/usr/bin/python3 tests/run.py"
format = "tap"
[make]
kind = "code"
ladder = ["coder"]
may_write = ["src/**"]
protect = ["tests/**"]
[[judge]]
kind = "tests"
[stop]
laps = 2
"""
RIGHT = CART.replace("return 0", "return sum(prices)")
BREAKS_VAT = RIGHT.replace("// 100", "// 10")
HALF = CART.replace("return 0", "return prices[0] if len(prices) == 1 else 3")


def answer(text, path="src/cart.py"):
    return f"FILE: {path}\n```python\n{text}```\n"


class Endpoint:
    """An OpenAI-compatible endpoint on loopback. `answers`: what each call gets, the last one again and again: a text,
    a status, or (content type, bytes)."""

    def __init__(self, test, *answers, key=None):
        self.bodies, self.answers = [], list(answers)
        endpoint = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def reply(self, status, kind, data):
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.end_headers()
                self.wfile.write(data)

            def do_GET(self):
                self.reply(200, "application/json", json.dumps({"data": [{"id": "m"}]}).encode())

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                now = endpoint.answers[min(len(endpoint.bodies), len(endpoint.answers) - 1)]
                endpoint.bodies.append(body)
                if isinstance(now, int):
                    return self.reply(now, "application/json", b'{"error": {"message": "scripted"}}')
                if isinstance(now, tuple):
                    return self.reply(200, *now)
                events = [{"choices": [{"index": 0, "delta": {"content": now}}]},
                          {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]
                data = "".join(f"data: {json.dumps(e)}\n\n" for e in events) + "data: [DONE]\n\n"
                self.reply(200, "text/event-stream", data.encode())

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        test.addCleanup(self.close)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1#m"

    def close(self):
        self.server.shutdown()
        self.server.server_close()


CUT = ("text/event-stream", b'data: {"choices": [{"index": 0, "delta": {"content": "FILE: src"}}]}\n\n')


class Fix(Case):
    def setUp(self):
        super().setUp()
        self.repo = self.dir / "repo"
        self.write("repo/src/cart.py", CART)
        self.write("repo/tests/run.py", RUNNER)
        self.write("repo/fix.toml", RECIPE)
        self.before = self.tree(self.repo)

    def fix(self, endpoint, *more, code=0):
        url = endpoint if isinstance(endpoint, str) else endpoint.url
        return self.lathe("loop", self.repo / "fix.toml", "--out", "out", "--worker", f"coder={url}", *more, code=code)

    def apply_patch(self):
        subprocess.run(["git", "apply", self.dir / "out/changes.patch"], cwd=self.repo, check=True)


class Gate(Fix):
    def test_repairs_the_red_and_breaks_a_green(self):
        out, _ = self.fix(Endpoint(self, answer(BREAKS_VAT)), code=1)
        self.assertIn("failed: 3 of 3 units passed, but what was made does not", out)
        self.assertIn("vat passed before this change and fails now", out)
        self.assertNotIn("changed in", out)
        self.assertEqual(self.tree(self.repo), self.before)
        self.assertEqual(json.loads(self.lathe("--json", "runs")[0])["state"], "failed")
        self.lathe("report", "last", "--out", "r.html")
        self.assertIn("<span class=bad>failed</span>", (self.dir / "r.html").read_text())
        self.lathe("replay", "last")

    def test_an_old_run_that_said_passed_wrongly(self):
        self.fix(Endpoint(self, answer(BREAKS_VAT)), code=1)
        db = sqlite3.connect(self.journal / "journal.db")
        end, seq = db.execute("SELECT body, seq FROM records WHERE kind='end'").fetchone()
        end = json.loads(end) | {"state": "passed", "reason": "all 3 units passed"}
        db.execute("UPDATE records SET body=? WHERE seq=?", (json.dumps(end), seq))
        db.execute("UPDATE runs SET state='passed'")
        db.commit()
        _, err = self.lathe("replay", "last", code=1)
        self.assertIn("the run said passed, wrongly", err)
        self.assertIn("vat passed before", err)
        self.assertEqual(json.loads(self.lathe("--json", "runs")[0])["state"], "failed")
        self.assertNotIn(": passed", self.lathe("show", "last")[0])
        self.lathe("report", "last", "--out", "r.html")
        self.assertIn("<span class=bad>failed</span>", (self.dir / "r.html").read_text())
        self.lathe("resume", "last", code=1)
        self.assertEqual(self.tree(self.repo), self.before)

    def test_a_partial_run_says_which_and_leaves_a_patch(self):
        out, _ = self.fix(Endpoint(self, answer(HALF)), code=1)
        self.assertIn("partial: 2 of 3 units passed", out)
        self.assertRegex(out, r"fails +total_of_many")
        self.assertRegex(out, r"passed +total_of_one")
        self.assertIn("git apply", out)
        self.assertEqual(self.tree(self.repo), self.before)
        self.apply_patch()
        self.assertEqual((self.repo / "src/cart.py").read_text(), HALF)

    def test_a_passed_run_leaves_a_patch_too(self):
        out, _ = self.fix(Endpoint(self, answer(RIGHT)), "--no-apply")
        self.assertIn("changes.patch", out)
        self.assertEqual(self.tree(self.repo), self.before)
        self.lathe("export", "last", "ex")
        self.assertEqual((self.dir / "ex/changes.patch").read_bytes(), (self.dir / "out/changes.patch").read_bytes())
        self.apply_patch()
        self.assertEqual((self.repo / "src/cart.py").read_text(), RIGHT)
        (self.repo / "src/cart.py").write_text(CART)
        out, _ = self.fix(Endpoint(self, answer(RIGHT)))
        self.assertIn("changed in", out)
        self.assertEqual((self.repo / "src/cart.py").read_text(), RIGHT)


REWRITE = """recipe = "r"
version = 1
[unit]
from = "t.md"
split = "paragraph"
[make]
kind = "text"
ladder = ["writer"]
task = "Rewrite."
[[judge]]
kind = "text"
max_words = 5
[[judge]]
name = "meaning"
kind = "rubric"
worker = "judge"
criteria = ["Is it good?"]
[stop]
laps = 2
"""


class Workers(Fix):
    def test_a_misspelt_worker_is_refused_before_the_run(self):
        endpoint = Endpoint(self, answer(RIGHT))
        _, err = self.lathe("loop", self.repo / "fix.toml", "--worker", f"code={endpoint.url}", code=2)
        self.assertIn("did you mean 'coder'", err)
        _, err = self.fix(endpoint, "--worker", f"extra={endpoint.url}", code=2)
        self.assertIn("--worker extra", err)
        _, err = self.lathe("loop", self.repo / "fix.toml", code=2)
        self.assertIn("--worker coder=URL", err)
        self.assertEqual((endpoint.bodies, self.lathe("--json", "runs")[0]), ([], ""))

    def test_an_adviser_spoils_nothing(self):
        self.write("r.toml", REWRITE)
        self.write("t.md", "Some text.\n")
        writer = Endpoint(self, "Few words.")
        for judge in (["--worker", f"judge={Endpoint(self, 'I think it is fine, pass!').url}"],
                      ["--worker", f"judge={Endpoint(self, 500).url}"],
                      ["--worker", "judge=http://127.0.0.1:1/v1#m"], []):
            out, _ = self.lathe("loop", "r.toml", "--worker", f"writer={writer.url}", *judge)
            self.assertIn("all 1 unit passed", out)
            self.assertIn("'meaning' gave no advice", out)
        self.assertIn("has no worker 'judge'", out)

    def test_a_judge_that_counts_is_asked_first(self):
        counts = REWRITE.replace('criteria = [', 'calibration = "c.json"\ncriteria = [')
        self.write("r.toml", counts)
        self.write("c.json", "{}")
        self.write("t.md", "Some text.\n")
        writer = Endpoint(self, "Few words.")
        _, err = self.lathe("loop", "r.toml", "--worker", f"writer={writer.url}", code=2)
        self.assertIn("there is no worker 'judge'", err)
        out, _ = self.lathe("loop", "r.toml", "--worker", f"writer={writer.url}", "--worker",
                            "judge=http://127.0.0.1:1/v1#m", code=3)
        self.assertIn("nothing was done", out)
        self.assertEqual(writer.bodies, [], "nothing was paid for")


class Endpoints(Fix):
    def test_nothing_judged_is_3_and_resume_tries_again(self):
        for broken in (401, 404, 400, 500, CUT, ("text/html", b"<html>nginx</html>")):
            endpoint = Endpoint(self, broken)
            out, _ = self.fix(endpoint, "--set", "stop.laps=1", code=3)
            self.assertIn("not judged: 0 of 3 units passed", out)
            self.assertIn("lathe resume", out)
            self.assertIn("lathe resume", self.lathe("show", "last")[0])
            self.lathe("replay", "last")
        endpoint.answers = [answer(RIGHT)]
        out, _ = self.lathe("resume", "last")
        self.assertIn("all 3 units passed", out)
        self.assertEqual((self.repo / "src/cart.py").read_text(), RIGHT)
        self.lathe("replay", "last")

    def test_a_server_that_is_down(self):
        endpoint = Endpoint(self, answer(RIGHT))
        out, _ = self.fix("http://127.0.0.1:1/v1#m", code=3)
        self.assertIn("nothing answers at http://127.0.0.1:1/v1", out)
        self.lathe("resume", "last", code=3)
        out, _ = self.lathe("resume", "last", "--worker", f"coder={endpoint.url}")
        self.assertIn("all 3 units passed", out)

    def test_an_answer_that_breaks_off_is_asked_for_again(self):
        for broken in (CUT, ("text/event-stream", b'data: {"error": {"message": "out of memory"}}\n\n'),
                       ("text/html", b"<html>"), 500):
            (self.repo / "src/cart.py").write_text(CART)
            endpoint = Endpoint(self, broken, answer(RIGHT))
            self.fix(endpoint, "--set", "stop.laps=1")
            self.assertEqual(len(endpoint.bodies), 2)

    def test_thoughts_are_no_work(self):
        thinking = "<think>Let me try\n" + answer("garbage\n") + "\nNo.</think>\n" + answer(RIGHT)
        self.fix(Endpoint(self, thinking), "--set", "stop.laps=1")
        self.assertEqual((self.repo / "src/cart.py").read_text(), RIGHT)

    def test_no_money_for_what_nobody_asked(self):
        endpoint = Endpoint(self, answer(RIGHT))
        self.fix(endpoint)
        self.assertNotIn("prediction", endpoint.bodies[0])
        self.assertNotIn("prompt_cache_retention", endpoint.bodies[0])


class Results(Case):
    def setUp(self):
        super().setUp()
        self.write("fast.toml", FAST)
        self.write("units.txt", "1\n0\n5\n")

    def test_a_killed_run_says_how_to_go_on(self):
        self.write("slow.toml", FAST.replace("read unit;", "read unit; sleep 5;"))
        run = subprocess.Popen(self.command("loop", "slow.toml"), cwd=self.dir, env=self.environment(),
                               stdout=subprocess.PIPE)
        while b" lap 1" not in run.stdout.readline():
            pass
        run.kill()
        run.communicate()
        out, _ = self.lathe("show", "last")
        self.assertRegex(out, r"lathe resume \S+ goes on")

    def test_a_foreign_journal_writes_nowhere(self):
        self.lathe("loop", "fast.toml")
        db = sqlite3.connect(self.journal / "journal.db")
        db.execute("PRAGMA foreign_keys=OFF")
        for table, column in (("runs", "id"), ("records", "run")):
            db.execute(f"UPDATE {table} SET {column}='../PWN'")
        db.commit()
        for command in (("report", "last"), ("report", "../PWN"), ("export", "last", "ex"), ("resume", "last"),
                        ("rm", "last"), ("show", "last")):
            self.lathe(*command, code=2)
        self.lathe("runs")
        self.assertEqual(list(self.dir.rglob("PWN*")) + list(self.dir.parent.glob("PWN*")), [])

    def test_many_ids_are_not_one_line(self):
        for _ in range(5):
            self.lathe("loop", "fast.toml")
        _, err = self.lathe("show", "2", code=2)
        self.assertIn("or one of 2 older ones", err)
        self.lathe("rejudge", "last")
        self.assertIn("judged again: ", self.lathe("runs")[0])

    def test_a_journal_on_a_read_only_disk(self):
        self.lathe("loop", "fast.toml")
        script = f"mount --bind -o ro {self.journal} {self.journal} && mount -o remount,bind,ro {self.journal}"
        if subprocess.run(["unshare", "-rm", "sh", "-c", script], capture_output=True).returncode != 0:
            self.skipTest("no private mounts here")
        for command in (["runs"], ["show", "last"], ["report", "last", "--out", "r.html"], ["replay", "last"]):
            shell = script + ' && exec "$@"'
            done = subprocess.run(["unshare", "-rm", "sh", "-c", shell, "sh", *self.command(*command)], cwd=self.dir,
                                  env=self.environment(), capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class Recipes(Case):
    def setUp(self):
        super().setUp()
        self.write("units.txt", "1\n")

    def test_check_looks_for_what_is_named(self):
        self.write("r.toml", FAST.replace('scope = "whole"', 'scope = "whole"\nfiles = ["nope.py"]')
                   .replace('["true"]', '["no-such-program"]').replace("units.txt", "nothing.txt"))
        out, _ = self.lathe("recipe", "check", "r.toml")
        for word in ("nope.py", "no-such-program", "nothing.txt", "--input"):
            self.assertIn(word, out)
        self.assertNotIn(": fine", out)
        self.write("r.toml", FAST.replace('scope = "whole"', 'scope = "whole"\nfiles = ["nope.py"]'))
        _, err = self.lathe("loop", "r.toml", code=2)
        self.assertIn("nope.py", err)
        self.assertNotIn("/tmp/lathe", err)
        self.write("r.toml", FAST)
        self.assertIn(": fine", self.lathe("recipe", "check", "r.toml")[0])

    def test_without_input(self):
        _, err = self.lathe("loop", "voice-over", code=2)
        self.assertIn("--input FILE", err)

    def test_one_that_cannot_be_used_here_hides_no_other(self):
        for name in ("bin", "recipes"):
            (self.dir / name).mkdir()
        shutil.copy(self.command()[0], self.dir / "bin/own")  # recipes are looked for beside the file itself
        self.write("recipes/voice-over.toml", "format = 99\n")
        self.write("recipes/working.toml", FAST)
        done = subprocess.run([self.dir / "bin/own", "recipe", "list"], text=True, capture_output=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, "voice-over +not usable here: .*voice-over.toml")
        self.assertIn("\nworking ", done.stdout)

    def test_every_key_has_a_meaning(self):
        for line in self.lathe("recipe", "list")[0].splitlines():
            self.assertRegex(line, r"^\S+ +\S", "what it is for")
            out, _ = self.lathe("recipe", "explain", line.split()[0])
            for row in out.splitlines():
                if " = " in row.split("#")[0]:
                    self.assertRegex(row, r"# \S", f"{line}: {row}")


class Homes(Case):
    def run_in(self, **environment):
        return subprocess.run([self.command()[0], "--json", "runs"], cwd=self.dir, text=True,
                              env={"PATH": os.environ["PATH"], **environment}, capture_output=True)

    def test_the_journal_is_the_owner_s_alone(self):
        self.assertEqual(self.run_in(HOME=str(self.dir)).returncode, 0)
        home = self.dir / ".local/share/lathe"
        self.assertEqual(stat.S_IMODE(home.stat().st_mode), 0o700)
        for path in home.rglob("*"):
            self.assertEqual(stat.S_IMODE(path.stat().st_mode) & 0o077, 0, path)

    def test_without_a_home_the_password_database_has_one(self):
        for home in ({}, {"HOME": ""}, {"HOME": "relative"}):
            done = self.run_in(XDG_DATA_HOME=str(self.dir / "data"), **home)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertFalse((self.dir / "relative").exists())


if __name__ == "__main__":
    unittest.main()
