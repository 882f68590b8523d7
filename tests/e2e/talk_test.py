"""`lathe talk`: a scripted thinker, the hook before the voice, interruption; the sound itself is the proof."""
import http.server
import json
import os
import shutil
import signal
import subprocess
import threading
import unittest
import wave

from chat_model import ChatModel
from cli_test import SOURCE, Case

EAR = SOURCE / "tests/data/media/ggml-tiny-random-q4_0.bin"
SOUND = SOURCE / "tests/data/media/s3.wav"
FIRST, SECOND, SECRET, LAST = "Good morning to you.", "The weather is fine.", "The password is hunter22.", "That is all."


class Thinker(http.server.ThreadingHTTPServer):
    """Streams its pieces; at None it waits for `go_on`."""

    def __init__(self, pieces):
        super().__init__(("127.0.0.1", 0), Answer)
        self.pieces, self.go_on, self.asked = pieces, threading.Event(), []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def worker(self):
        return f"thinker=http://127.0.0.1:{self.server_address[1]}/v1#scripted"


class Answer(ChatModel):
    def do_POST(self):
        self.server.asked.append(self.request_body()["messages"])
        self.begin()
        try:
            for piece in self.server.pieces:
                if piece is None:
                    self.server.go_on.wait(300)
                    continue
                self.chunk({"content": piece})
            self.end("stop")
        except OSError:
            pass  # it was interrupted


class Caller(ChatModel):
    """Says so, calls a tool, and answers with what that said."""

    def do_POST(self):
        body = self.request_body()
        self.server.asked.append(body["messages"])
        self.server.tools = [tool["function"]["name"] for tool in body.get("tools", [])]
        told = body["messages"][-1]
        if told["role"] == "tool":
            return self.answer({"content": f"It says {told['content']}."}, "stop")
        self.begin()
        self.chunk({"content": "Let me look"})
        self.chunk({"tool_calls": [{"index": 0, "id": "call_1", "type": "function",
                                    "function": {"name": "db__lookup", "arguments": json.dumps({"key": "sign"})}}]})
        self.end("tool_calls")


class TalkAloud(Case):
    def start(self, thinker, *args, **env):
        self.addCleanup(thinker.server_close)
        self.addCleanup(thinker.shutdown)
        self.addCleanup(thinker.go_on.set)
        command = self.command("talk", "thinker", "--worker", thinker.worker(), *args)
        self.process = subprocess.Popen([command[0], "--json", *command[1:]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=self.dir,
                                        stderr=subprocess.PIPE, text=True, env={**self.environment(), **env})
        self.addCleanup(self.close)
        self.events_seen = []

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def next(self, name):
        """The next event of that name; those before it are kept in events_seen."""
        while True:
            line = self.process.stdout.readline()
            self.assertTrue(line, f"no {name}: {self.events_seen} {self.process.stderr.read() if not line else ''}")
            event = json.loads(line)
            self.events_seen.append(event)
            if event["event"] == name:
                return event

    def leave(self):
        out, err = self.process.communicate(timeout=300)
        self.assertEqual(self.process.returncode, 0, err)
        self.events_seen += [json.loads(line) for line in out.splitlines()]
        return self.events_seen

    def all(self, name):
        return [event for event in self.events_seen if event["event"] == name]

    def samples(self, name):
        with wave.open(str(self.dir / name)) as file:
            return file.readframes(file.getnframes())

    def spoken_alone(self, text):
        self.lathe("speak", text, "--out", "alone.wav", "--force")
        return self.samples("alone.wav")

    def test_a_secret_is_not_spoken(self):
        # The third sentence is thought only after the first is heard: the voice does not wait for the whole answer.
        thinker = Thinker([FIRST + " The wea", "ther is fine. The pass", None, "word is hunter22. ", LAST])
        self.start(thinker, "--out", "a.wav", "--on-hold", "stop", "--budget", "60000")
        self.say("hello")
        sound = self.next("sound")
        self.assertEqual((sound["n"], sound["thinking"]), (1, True))
        thinker.go_on.set()
        answer = self.next("answer")
        self.assertEqual((answer["text"], answer["whole"]), (f"{FIRST} {SECOND}", False))
        self.leave()
        self.assertEqual([(s["n"], s["text"], s["passed"]) for s in self.all("sentence")],
                         [(1, FIRST, True), (2, SECOND, True), (3, SECRET, False)])
        held = self.all("sentence")[2]
        self.assertEqual((held["by"], held["why"], held["spoken"]), ("rules:no_secrets", "holds a password", ""))
        self.assertEqual([s["n"] for s in self.all("sound")], [1, 2])
        self.assertEqual(self.samples("a.wav"), self.spoken_alone(f"{FIRST} {SECOND}"))
        # All of it is written down, in the order in which it happened.
        kept = [json.loads(line) for file in (self.journal / "talks").iterdir() for line in file.read_text().splitlines()]
        for event in kept:
            self.assertGreater(event.pop("unix_ms"), 0)
        key = lambda event: json.dumps(event, sort_keys=True)
        self.assertEqual(sorted(map(key, kept)), sorted(map(key, self.events_seen)))

    def test_another_line_in_its_place_and_what_the_model_is_told(self):
        thinker = Thinker([f"{FIRST} {SECRET} {LAST}"])
        self.start(thinker, "--out", "a.wav", "--instead", "Let us not.", "--budget", "60000")
        self.say("one")
        self.assertTrue(self.next("answer")["whole"])
        self.say("two")
        self.next("answer")
        self.leave()
        told = f"{FIRST} Let us not. {LAST}"
        self.assertEqual([m["content"] for m in thinker.asked[1][1:]], ["one", told, "two"])
        self.assertEqual(self.samples("a.wav"), self.spoken_alone(told) * 2)

    def test_hooks_that_do_not_answer_in_time_or_well(self):
        self.write("slow", "#!/bin/sh\nsleep 600\n").chmod(0o755)
        self.write("crash", "#!/bin/sh\nkill -9 $$\n").chmod(0o755)
        self.write("short.toml", 'kind = "text"\nmax_words = 3\n')
        for hook, budget, words in (("command:./slow", 400, "took longer than 400 ms"), ("command:./crash", 60000, ""),
                                    ("judge:short.toml", 60000, "")):
            with self.subTest(hook):
                thinker = Thinker([FIRST])
                self.start(thinker, "--out", "a.wav", "--force", "--hook", hook, "--budget", budget, "--on-hold", "stop")
                self.say("hello")
                sentence = self.next("sentence")
                self.assertEqual((sentence["passed"], sentence["by"]), (False, hook))
                self.assertIn(words, sentence["why"])
                self.next("answer")
                self.leave()
                self.assertEqual(self.samples("a.wav"), b"")

    def test_interrupted(self):
        tools = self.dir / "tools"
        tools.mkdir()
        player = tools / "pw-play"
        player.write_text(f"#!/bin/sh\necho $$ >> {self.dir}/players\n[ -e {self.dir}/quick ] || exec sleep 600\n")
        player.chmod(0o755)
        thinker = Thinker([FIRST + " ", None, LAST])
        self.start(thinker, "--budget", "60000", PATH=f"{tools}:{os.environ['PATH']}")
        self.say("hello")
        self.next("sound")
        players = self.dir / "players"
        while not players.exists() or not players.read_text():
            self.assertIsNone(self.process.poll())
        self.process.send_signal(signal.SIGINT)
        answer = self.next("answer")
        self.assertEqual((answer["text"], answer["whole"]), ("", False))
        self.assertIn("stopped_after_ms", answer)
        self.assertFalse(os.path.exists(f"/proc/{players.read_text().split()[0]}"), "the player is gone")
        # The talk goes on.
        (self.dir / "quick").touch()
        thinker.go_on.set()
        self.say("and now?")
        self.assertEqual(self.next("answer")["text"], f"{FIRST} {LAST}")
        self.leave()

    def test_heard_by_microphone(self):
        with wave.open(str(SOUND)) as file:
            params, data = file.getparams(), file.readframes(file.getnframes())
        with wave.open(str(self.dir / "said.wav"), "wb") as file:
            file.setparams(params)
            file.writeframes(data + bytes(2 * 16000 * 2))
        tools = self.dir / "tools"
        tools.mkdir()
        recorder = tools / "arecord"
        recorder.write_text(f"#!/bin/sh\nfor last; do :; done\ncat {self.dir}/said.wav > \"$last\"\nexec sleep 600\n")
        recorder.chmod(0o755)
        said = self.lathe("transcribe", EAR, self.dir / "said.wav")[0]
        thinker = Thinker([FIRST])
        self.start(thinker, "--listen", EAR, "--out", "a.wav", "--budget", "60000", PATH=f"{tools}:{os.environ['PATH']}")
        self.assertEqual(self.next("heard")["text"].split(), said.split())
        self.next("answer")
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=300)

    def test_tools(self):
        """What the model calls is answered, under the same rules as elsewhere, and written down; what it says before is heard at once."""
        thinker = Thinker([])
        thinker.RequestHandlerClass = Caller
        server = shutil.copy(SOURCE / "tests/fakes/tool_server.py", self.dir / "server.py")
        tools = ("--mcp", f"db=/usr/bin/python3 -B {server}", "--mcp-ask")
        self.start(thinker, "--out", "a.wav", "--budget", "60000", *tools, "never")
        self.say("what is the sign?")
        answer = self.next("answer")
        call, = self.all("tool")
        self.assertEqual((call["turn"], call["tool"], json.loads(call["arguments"]), call["ok"]), (1, "db__lookup", {"key": "sign"}, True))
        self.assertEqual([s["text"] for s in self.all("sentence")], ["Let me look", f"It says {call['answer']}."])
        self.assertEqual(answer["text"], f"Let me look It says {call['answer']}.")
        self.assertIn("db__lookup", thinker.tools)
        self.say("and?")
        self.next("answer")
        self.leave()
        # The second question comes behind the call, its answer, and what was heard.
        self.assertEqual([m["role"] for m in thinker.asked[2]], ["system", "user", "assistant", "tool", "assistant", "user"])
        self.assertEqual(thinker.asked[2][4]["content"], answer["text"])
        # Where a person would have to be asked and nobody is here, nothing is called.
        self.start(thinker, "--out", "a.wav", "--force", "--budget", "60000", *tools, "first")
        self.say("what is the sign?")
        self.next("answer")
        _, err = self.process.communicate(timeout=300)
        self.assertNotEqual(self.process.returncode, 0)
        self.assertIn("lathe approvals allow", err)
        self.assertEqual(self.all("tool"), [])

    def test_interrupted_by_a_voice(self):
        """The microphone is open while the voice speaks; who speaks then is heard from the beginning."""
        with wave.open(str(SOUND)) as file:
            data = file.readframes(file.getnframes())
        head = SOUND.read_bytes()[:44]
        tools = self.dir / "tools"
        tools.mkdir()
        # Each recording is the next file: what it holds, and what is added to it.
        (tools / "arecord").write_text(f"#!/bin/sh\nfor last; do :; done\nn=$(cat {self.dir}/n)\necho $((n + 1)) > {self.dir}/n\n"
                                       f"exec tail -c +1 -f {self.dir}/heard$n.wav > \"$last\"\n")
        (tools / "pw-play").write_text(f"#!/bin/sh\necho $$ >> {self.dir}/players\nexec sleep 600\n")
        for tool in tools.iterdir():
            tool.chmod(0o755)
        (self.dir / "n").write_text("1")
        (self.dir / "heard1.wav").write_bytes(head + data + bytes(2 * 16000 * 2))
        (self.dir / "heard2.wav").write_bytes(head + bytes(16000 * 2))
        thinker = Thinker([FIRST + " ", None, LAST])
        self.start(thinker, "--listen", EAR, "--barge-in", "--budget", "60000", PATH=f"{tools}:{os.environ['PATH']}")
        first = self.next("heard")["text"]
        self.next("sound")
        players = self.dir / "players"
        while not players.exists() or not players.read_text():
            self.assertIsNone(self.process.poll())
        with open(self.dir / "heard2.wav", "ab") as file:
            file.write(data + bytes(2 * 16000 * 2))
        answer = self.next("answer")
        self.assertEqual((answer["text"], answer["whole"], answer.get("stopped_by")), ("", False, "voice"), answer)
        self.assertFalse(os.path.exists(f"/proc/{players.read_text().split()[0]}"), "the player is gone")
        second = self.next("heard")
        self.assertEqual(second["turn"], 2)
        self.assertEqual(second["text"].split()[:3], first.split()[:3])
        self.assertEqual((self.dir / "n").read_text().strip(), "3", "what interrupts is what is heard next: one recording")

    def test_what_cannot_be(self):
        self.write("a.wav", "mine")
        for args, code, words in ((("nobody",), None, "there is no worker 'nobody'"),
                                  (("w", "--hook", "no_secrets"), 2, "hook 'no_secrets'"),
                                  (("w", "--on-hold", "shrug"), 2, "shrug"), (("w", "--on-hold", "ask"), 2, "terminal"),
                                  (("w", "--barge-in"), 2, "--listen"), (("w", "--mcp", "'"), 2, "quote"),
                                  (("w", "--voice", "nobody"), 2, "no voice 'nobody'"), (("w", "--out", "a.wav"), 2, "--force")):
            self.write("w.toml", '[[reply]]\ntext = "x"\n')
            _, err = self.lathe("talk", *args, "--worker", f"w=script:{self.dir}/w.toml", code=code)
            self.assertIn(words, err)


if __name__ == "__main__":
    unittest.main()
