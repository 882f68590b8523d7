"""Models that other programs serve: `command` in models.toml and in workers.toml, with a fake program."""
import json
import os
import pathlib
import signal
import time
import unittest

from cli_test import SOURCE, Case
from serve_test import TINY, Server

FAKE = SOURCE / "tests/fakes/program.py"
MIB = 1 << 20


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


class Programs(Server):
    def setUp(self):
        super().setUp()
        self.notes = self.dir / "notes"

    def program(self, *flags, memory="48MiB", more=""):
        command = ["python3", str(FAKE), "--port", "{port}", "--notes", str(self.notes), *flags]
        (self.models / "models.toml").write_text(f'[model.npu]\ncommand = {json.dumps(command)}\nmemory = "{memory}"\n{more}\n')

    def noted(self, name="program"):
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        return [int(line.split()[1]) for line in lines if line.startswith(name + " ")]

    def row(self, name="npu"):
        return next(each for each in self.status()["models"] if each["name"] == name)

    def say(self, text, **more):
        return self.chat(text, model="npu", logprobs=False, top_logprobs=None, **more)

    def test_it_is_started_when_it_is_asked_and_leaves_with_the_server(self):
        self.program("--child", "--hold", "16")
        self.start("--memory", "256MiB")
        self.assertEqual(self.row()["state"], "cold")
        self.assertEqual(self.row()["program"], 0)
        self.assertEqual(self.noted(), [])
        answer = self.say("how are you")
        self.assertEqual(answer["choices"][0]["message"]["content"].strip(), "how are you")
        self.assertEqual(answer["usage"]["completion_tokens"], 3)
        # What it promised is booked in the one account, what it really uses is shown.
        self.eventually(lambda: self.row()["state"] == "ready")
        status, row = self.status(), self.row()
        self.assertEqual((row["state"], row["program"]), ("ready", 48 * MIB))
        self.assertGreater(row["used"], 16 * MIB)
        self.assertLess(row["used"], 48 * MIB)
        self.assertGreaterEqual(status["memory_booked"], 48 * MIB)
        shown = json.loads(self.lathe("ps", "--json", "--server", self.url)[0])
        self.assertEqual(next(each for each in shown["models"] if each["name"] == "npu")["program"], 48 * MIB)
        self.assertIn("npu: a program of its own", self.lathe("ps", "--server", self.url)[0])
        # A stream, embeddings, and what its server does not have.
        client = self.stream("one two", 5, model="npu")
        text = b""
        while b"[DONE]" not in text:
            text += client.recv(1 << 16)
        self.assertIn(b'"two "', text)
        client.close()
        self.assertEqual(self.call("/v1/embeddings", {"model": "npu", "input": ["x"]})["data"][0]["embedding"], [1, 2])
        self.assertEqual(self.call("/tokenize", {"model": "npu", "content": "hi"})["tokens"], [104, 105])
        self.assertEqual(self.call("/detokenize", {"model": "npu", "tokens": [104, 105]})["content"], "hi")
        self.assertEqual(self.call("/apply-template", {"model": "npu", "messages": [{"role": "user", "content": "hi"}]})["prompt"], "hi")
        self.assertIn("no such path", json.dumps(self.call("/rerank", {"model": "npu", "query": "x", "documents": ["y"]}, status=None)))
        self.assertEqual(len(self.noted()), 1)
        pids = self.noted() + self.noted("child")
        self.assertEqual(len(pids), 2)
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.process.wait(60), 0)
        for pid in pids:
            self.assertFalse(alive(pid))

    def test_nothing_of_it_outlives_a_killed_server(self):
        self.program("--child", "--deaf")
        self.start("--memory", "256MiB")
        self.say("x")
        pids = self.noted() + self.noted("child")
        self.assertTrue(all(map(alive, pids)) and len(pids) == 2)
        self.process.kill()
        self.process.wait()
        self.eventually(lambda: not any(map(alive, pids)))

    def test_idle_models_make_room_for_it_and_it_for_them(self):
        self.program(memory="60MiB")
        self.start("--memory", "62MiB")
        self.chat("x")
        self.assertEqual(self.row(TINY[0])["state"], "ready")
        self.say("x")
        self.assertEqual((self.row(TINY[0])["state"], self.row()["state"]), ("cold", "ready"))
        first = self.noted()[0]
        self.chat("x")  # it is idle, and goes
        self.assertEqual((self.row(TINY[0])["state"], self.row()["state"]), ("ready", "cold"))
        self.assertFalse(alive(first))
        self.assertEqual(self.row()["program"], 0)

    def test_what_can_never_fit_is_refused_by_name(self):
        self.program(memory="2GiB")
        self.start("--memory", "64MiB")
        error = self.say("x", status=507)["error"]
        self.assertEqual(error["code"], "does_not_fit")
        self.assertIn("'npu' needs 2.0 GiB (as its program's memory says)", error["message"])
        self.assertEqual(self.noted(), [])

    def test_it_leaves_after_its_keep_alive_and_when_it_is_told(self):
        self.program(more=f'keep_alive = "700ms"\naliases = ["vendor-*"]\n[model.{TINY[0]}]\nkeep_alive = "700ms"')
        self.start("--memory", "256MiB")
        self.chat("x", model="vendor-x", logprobs=False, top_logprobs=None)
        pid = self.noted()[0]
        self.eventually(lambda: self.row()["state"] == "cold" and self.row()["program"] == 0)
        self.assertFalse(alive(pid))
        self.assertEqual(self.call("/models/load", {"model": "npu"})["state"], "ready")
        second = self.noted()[1]
        self.chat("x")  # a file's model keeps to it, too
        self.eventually(lambda: self.row(TINY[0])["state"] == "cold")
        self.call("/models/unload", {"model": "npu"})
        self.eventually(lambda: not alive(second))
        # Not while it is asked something.
        client = self.stream("wait", 5, model="npu")
        self.eventually(lambda: self.row()["running"] == 1)
        time.sleep(1)
        self.assertEqual(self.row()["state"], "ready")
        client.close()
        self.eventually(lambda: self.row()["program"] == 0)

    def test_an_end_in_mid_stream_is_told_and_the_next_request_starts_it_again(self):
        self.program()
        self.start("--memory", "256MiB")
        message = self.say("die", status=503)["error"]["message"]
        self.assertIn("the program 'npu' does not run: it ended: killed by SIGSEGV", message)
        self.assertIn("something is badly wrong", message)
        self.say("x")
        self.assertEqual(len(self.noted()), 2)
        self.assertEqual(self.row()["state"], "ready")

    def test_one_that_cannot_start_is_failed_with_its_last_words(self):
        self.program("--exit", "3")
        self.start("--memory", "256MiB")
        for starts in (1, 2, 3, 3):
            error = self.say("x", status=500)["error"]
            self.assertEqual(error["code"], "model_load_failed")
            self.assertIn("exit code 3; its last words: loading | cannot open the weights", error["message"])
            self.assertEqual(len(self.noted()), starts)
        self.assertIn("3 times in a row", error["message"])
        self.eventually(lambda: self.row()["state"] == "failed")
        self.assertEqual(self.status()["memory_booked"], 0)
        self.chat("x")

    def test_what_it_uses_beyond_its_promise_is_booked_and_has_to_fit(self):
        self.program(memory="24MiB")
        self.start("--memory", "100MiB")
        self.chat("x")
        self.say("grow 40")
        self.eventually(lambda: self.row()["program"] > 40 * MIB)
        self.assertEqual(self.row()["used"], self.row()["program"])
        self.assertEqual(self.row(TINY[0])["state"], "ready")  # there is room
        # More than the budget: it is stopped, with the reason; the others go on.
        client = self.stream("wait", 5, model="npu")
        text = client.recv(1 << 16)
        self.say("grow 80", status=None)
        while b"where its memory promises 24.0 MiB" not in text:
            text += client.recv(1 << 16)
        client.close()
        self.eventually(lambda: self.row()["program"] == 0)
        self.assertFalse(alive(self.noted()[0]))
        self.assertLessEqual(self.status()["memory_booked"], 100 * MIB)
        # It is known from now on.
        self.assertIn("as its program was seen to use", self.say("x", status=507)["error"]["message"])
        self.chat("x")

    def test_models_toml_that_names_programs(self):
        for text, said in (('command = ["python3"]\nmemory = "1MiB"', "put {port} where"),
                           ('command = ["no-such-program", "{port}"]\nmemory = "1MiB"', "no such program in PATH"),
                           ('command = ["python3", "{port}"]\nmemory = "1MiB"\ncontext = 5', "not known of a model that a program serves"),
                           ('ready = "/x"', "this model has no command"),
                           ('command = ["python3", "{port}"]\nmemory = "1MiB"\npinned = true\nkeep_alive = "1s"', "what is pinned never leaves")):
            (self.models / "models.toml").write_text(f"[model.npu]\n{text}\n")
            self.assertIn(said, self.lathe("serve", self.models, "--port", "0", code=2)[1])


class ProgramWorkers(Case):
    RECIPE = """
recipe = "echo"
version = 1
[unit]
from = "units.txt"
[make]
kind = "text"
task = "Repeat it."
ladder = ["npu"]
[[judge]]
kind = "command"
command = ["grep", "-q", "hello", "{file}"]
"""

    def test_a_loop_starts_it_and_leaves_nothing(self):
        command = ["python3", str(FAKE), "--port", "{port}", "--notes", str(self.dir / "notes")]
        self.write(".config/lathe/workers.toml", f'[worker.npu]\ncommand = {json.dumps(command)}\nmemory = "48MiB"\n')
        self.write("units.txt", "hello\n")
        recipe = self.write("echo.toml", self.RECIPE)
        self.lathe("loop", recipe, "--out", self.dir / "out")
        pids = [int(line.split()[1]) for line in (self.dir / "notes").read_text().splitlines()]
        self.assertEqual(len(pids), 1)
        self.assertFalse(alive(pids[0]))

    def test_mistakes_are_named(self):
        for text, said in (('command = ["python3", "{port}"]', "a program needs memory"),
                           ('command = ["python3", "{port}"]\nmemory = "1MiB"\nurl = "http://x"', "not known of a worker that is a program"),
                           ('command = ["no-such-program", "{port}"]\nmemory = "1MiB"', "no such program in PATH"),
                           ('ready = "/health"', "'ready' is not known here")):
            self.write(".config/lathe/workers.toml", f"[worker.npu]\n{text}\n")
            self.write("units.txt", "hello\n")
            recipe = self.write("echo.toml", self.RECIPE)
            self.assertIn(said, self.lathe("loop", recipe, code=2)[1])


if __name__ == "__main__":
    unittest.main()
