"""Engines of many machines behind a worker and behind the server: vLLM on Ray and llama-server with --rpc, as fakes."""
import json
import socket
import subprocess
import time
import unittest

from cli_test import SOURCE, Case
from serve_test import Server

FAKE = SOURCE / "tests/fakes/cluster_engine.py"
PATIENCE = 120
DEAD = "EngineCore encountered an issue"
BROKEN = "nothing answers|the exchange broke|was cut off"  # by when it was asked
RECIPE = """
recipe = "echo"
version = 1
[unit]
from = "units.txt"
split = "line"
[make]
kind = "text"
task = "Repeat: {unit}"
ladder = ["big"]
[[judge]]
kind = "command"
command = ["grep", "-q", "kettle", "{file}"]
[stop]
laps = 3
"""


class Engine:
    """An engine that somebody else started."""

    def __init__(self, case, engine, *flags):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.case, self.notes = case, case.dir / "notes"
        self.command = ["python3", str(FAKE), "--engine", engine, "--port", str(self.port), "--notes", str(self.notes), *flags]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self.start()

    def start(self):
        self.process = process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.case.addCleanup(process.wait)
        self.case.addCleanup(lambda: process.poll() is None and process.kill())
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and process.poll() is None:
            with socket.socket() as there:
                if there.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        self.case.fail("the engine does not listen")


def program(notes, engine, *flags):
    """The lines of a file that have it started."""
    command = ["python3", str(FAKE), "--engine", engine, "--port", "{port}", "--notes", str(notes), *flags]
    return f'command = {json.dumps(command)}\nmemory = "64MiB"\n'


def bodies(notes):
    return [json.loads(line[5:]) for line in notes.read_text().splitlines() if line.startswith("body ")]


class ClusterWorkers(Case):
    def setUp(self):
        super().setUp()
        self.write("units.txt", "the kettle sings\nthe kettle is off\n")
        self.recipe = self.write("echo.toml", RECIPE)
        self.notes = self.dir / "notes"

    def loop(self, engine, code=0, model=""):
        return self.events("loop", self.recipe, "--out", self.dir / "out", "--worker", f"big={engine.url}{model}", code=code)

    def records(self):
        return [e for e in self.events("show", "--all", "last") if "seq" in e]

    def test_what_each_of_them_says_is_understood(self):
        for engine, model, *flags in (("vllm", "org/big", "--strict"), ("llama", "big-00001-of-00003.gguf", "--load", "2")):
            with self.subTest(engine):
                self.notes.unlink(missing_ok=True)
                self.loop(Engine(self, engine, *flags))
                made = [r["body"] for r in self.records() if r["kind"] == "made"]
                self.assertEqual({m["facts"]["model"] for m in made}, {model})
                self.assertTrue(all(m["usage"]["prompt_tokens"] == 7 and m["usage"]["completion_tokens"] > 9 for m in made), made)
                self.assertTrue(all(body["model"] == model and "prediction" not in body for body in bodies(self.notes)))

    def test_one_that_loses_a_machine_passes_nothing(self):
        for kind, mode, said in (("llama", "cut", BROKEN), ("vllm", "exit", f"{BROKEN}|{DEAD}"), ("vllm", "unwell", DEAD)):
            with self.subTest(mode):
                self.notes.unlink(missing_ok=True)
                engine = Engine(self, kind, "--die", mode)
                events = self.loop(engine, code=3)
                (end,) = [e["body"] for e in events if e["kind"] == "end"]
                self.assertEqual((end["state"], end["passed"]), ("not_judged", 0))
                self.assertRegex(end["reason"], said)
                self.assertEqual([e for e in events if e["kind"] == "verdict"], [])
                # Somebody starts it again, and the loop too.
                engine.process.kill()
                engine.process.wait()
                engine.start()
                self.loop(engine)

    def test_one_that_the_loop_starts_is_started_again(self):
        for kind, mode in (("llama", "cut"), ("vllm", "exit")):
            with self.subTest(mode):
                self.notes.unlink(missing_ok=True)
                self.write(".config/lathe/workers.toml", f"[worker.big]\n{program(self.notes, kind, '--die', mode, '--load', '0.5')}")
                events = self.events("loop", self.recipe, "--out", self.dir / "out")
                self.assertEqual([e["body"]["passed"] for e in events if e["kind"] == "end"], [2])
                self.assertEqual(self.notes.read_text().count("start "), 2)


class ClusterServer(Server):
    def setUp(self):
        super().setUp()
        self.notes = self.dir / "notes"
        for file in self.models.iterdir():
            file.unlink()

    def say(self, text, status=200, model="big"):
        return self.chat(text, model, status, logprobs=False, top_logprobs=None)

    def row(self, name):
        return next(each for each in self.status()["models"] if each["name"] == name)

    def test_one_that_somebody_else_started(self):
        engine = Engine(self, "vllm", "--die", "exit")
        self.start("--remote", f"cluster={engine.url}")
        (model,) = self.call("/v1/models")["data"]
        self.assertEqual((model["id"], model["max_model_len"]), ("org/big", 32768))
        self.assertIn(DEAD, self.say("a b c", 503, "org/big")["error"]["message"])
        engine.process.wait(PATIENCE)
        self.say("a b c", 503, "org/big")
        engine.start()
        self.eventually(lambda: self.row("org/big")["state"] == "ready", PATIENCE)
        answer = self.say("a b c", model="org/big")
        self.assertEqual(answer["choices"][0]["message"]["content"].split(), ["a", "b", "c"])
        self.assertEqual((answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"]), (7, 3))

    def test_one_that_the_server_starts(self):
        for kind, mode, said in (("llama", "cut", "Remote RPC server crashed"), ("vllm", "exit", f"{DEAD}|the Ray worker of rank 9 died"),
                                 ("vllm", "unwell", DEAD)):
            with self.subTest(mode):
                self.notes.unlink(missing_ok=True)
                (self.models / "models.toml").write_text(f"[model.big]\n{program(self.notes, kind, '--die', mode)}")
                self.start()
                self.assertRegex(self.say("a b c", 503)["error"]["message"], said)
                self.eventually(lambda: self.row("big")["state"] != "ready", PATIENCE)
                self.assertEqual(self.say("a b c")["choices"][0]["message"]["content"].split(), ["a", "b", "c"])
                self.assertEqual(self.notes.read_text().count("start "), 2)
                self.end()


if __name__ == "__main__":
    unittest.main()
