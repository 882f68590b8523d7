"""The recipe work-on: a model that works on a project by tools, judged by the project's tests."""
import json
import shutil
import unittest

from cli_test import EXAMPLES, Case

RIGHT = "    text = text.lstrip(\"-$\").replace(\",\", \"\")"


class WorkOn(Case):
    def project(self, replies):
        repo = self.dir / "repo"
        shutil.copytree(EXAMPLES / "fix-tests/python", repo)
        (repo / "worker.toml").unlink()
        script = "".join("[[reply]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in reply.items()) for reply in replies)
        self.write("coder.toml", script)
        return repo

    def run_on(self, repo, code=0, *more):
        return self.events("loop", "work-on", "--input", repo, "--worker", f"coder=script:{self.dir}/coder.toml",
                           "--set", "unit.command=/usr/bin/python3 tests/run.py", "--set", "unit.format=tap",
                           "--set", "make.may_write=[\"src/**\"]", "--set", "make.protect=[\"tests/**\"]", *more, code=code)

    @staticmethod
    def call(name, **arguments):
        return f"{name} {json.dumps(arguments)}"

    def test_a_second_lap_mends_what_the_tests_found(self):
        source = (EXAMPLES / "fix-tests/python/src/money.py").read_text()
        line = next(l for l in source.splitlines() if "lstrip" in l)
        fixed = "    negative = text.startswith(\"-\") or text.startswith(\"(\")\n"
        old = next(l for l in source.splitlines() if "negative = " in l)
        repo = self.project([
            {"lap": 1, "turn": 0, "call": self.call("search", text="lstrip")},
            {"lap": 1, "turn": 1, "call": self.call("edit_file", path="src/money.py", old=line, new=line + "  # looked at")},
            {"lap": 1, "text": "It is fine now."},
            {"turn": 0, "call": self.call("read_file", path="src/money.py")},
            {"turn": 1, "call": self.call("edit_file", path="src/money.py", old=old, new=fixed)},
            {"turn": 2, "call": self.call("edit_file", path="src/money.py", old=line + "  # looked at", new=RIGHT)},
            {"turn": 3, "call": self.call("run", command="/usr/bin/python3 tests/run.py")},
            {"text": "The sign and the commas were wrong."},
        ])
        before = self.tree(repo)
        events = self.run_on(repo)
        self.assertEqual([e["body"]["state"] for e in events if e["kind"] == "end"], ["passed"])
        made = [e["body"] for e in events if e["kind"] == "made"]
        self.assertEqual([len(m["facts"]["calls"]) for m in made], [2, 4])
        self.assertEqual([m["facts"]["ended"] for m in made], ["done", "done"])
        after = self.tree(repo)
        self.assertEqual([p for p in before if before[p] != after[p]], ["src/money.py"])
        self.lathe("replay", "last")

    def test_its_word_counts_for_nothing(self):
        repo = self.project([
            {"turn": 0, "call": self.call("run", command="echo 'print(\"1..1\\nok 1\")' > tests/run.py")},
            {"turn": 1, "call": self.call("write_file", path="src/notes.txt", text="all tests pass\n")},
            {"text": "All tests pass."},
        ])
        before = self.tree(repo)
        events = self.run_on(repo, 1, "--set", "stop.laps=1")
        self.assertNotIn("passed", [e["body"].get("state") for e in events if e["kind"] == "end"])
        made = next(e["body"] for e in events if e["kind"] == "made")
        self.assertEqual(made["facts"]["left_out"], ["tests/run.py"])
        self.assertEqual(self.tree(repo), before)


if __name__ == "__main__":
    unittest.main()
