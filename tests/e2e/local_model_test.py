"""A local model as a new user meets it: one answer, a chat in a terminal, and everything that can be wrong."""
import hashlib
import json
import math
import os
import pathlib
import pty
import re
import select
import signal
import struct
import time
import unittest

from cli_test import LATHE, Case

MODEL = pathlib.Path(__file__).resolve().parents[1] / "data/models/llama-q4_0.gguf"
STARTER = pathlib.Path(__file__).resolve().parents[2] / "models/starter-q8_0.gguf"
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 9},
                                           "ok": {"type": "boolean"}},
          "required": ["n", "ok"], "additionalProperties": False}


class LocalModel(Case):
    def answer(self, *args, **kwargs):
        return json.loads(self.lathe("--json", "run", MODEL, *args, **kwargs)[0])

    def test_one_answer(self):
        out, err = self.lathe("run", MODEL, "Hello", "--max-tokens", "8", "--seed", "1")
        self.assertTrue(out.endswith("\n"))
        self.assertRegex(err, r"8 tokens, .* tok/s · prompt \d+ \(0 cached\)")
        answer = self.answer("Hello", "--max-tokens", "8", "--seed", "1")
        self.assertEqual(answer["usage"]["output_tokens"], 8)
        self.assertEqual((answer["finish"], answer["seed"]), ("length", 1))
        self.assertEqual(self.answer("--max-tokens", "8", "--seed", "1", input=b"Hello")["text"], answer["text"])

    def test_the_same_seed_gives_the_same_bytes(self):
        arguments = ("Hello", "--max-tokens", "24", "--seed", "5")
        first = self.answer(*arguments)["text"]
        for more in (("--threads", "1"), ("--threads", "2"), ("--kernels", "scalar")):
            self.assertEqual(self.answer(*arguments, *more)["text"], first, more)
        self.assertNotEqual(self.answer("Hello", "--max-tokens", "24", "--seed", "6")["text"], first)

    def test_schema_and_grammar(self):
        schema = self.write("schema.json", json.dumps(SCHEMA))
        # What no grammar keeps shows when the answer is there.
        broken = self.write("broken.json", '{"enum": [1, 2], "not": {"type": "integer"}}')
        out, err = self.lathe("run", MODEL, "x", "--schema", broken, "--seed", "2", code=1)
        self.assertIn(out.strip(), ("1", "2"))
        self.assertIn("the answer breaks its schema", err)
        kept = self.write("kept.json", '{"enum": [1, 2], "not": {"type": "string"}}')
        self.assertIn(json.loads(self.answer("x", "--schema", kept, "--seed", "2")["text"]), (1, 2))
        value = json.loads(self.answer("x", "--schema", schema, "--seed", "2", "--max-tokens", "400")["text"])
        self.assertIn(value["n"], range(10))
        self.assertIn(value["ok"], (True, False))
        grammar = self.write("g.gbnf", 'root ::= ("ab" | "cd"){3} "!"')
        text = self.answer("x", "--grammar", grammar, "--seed", "2", "--max-tokens", "50")["text"]
        self.assertRegex(text, r"^(ab|cd){3}!$")

    def test_stop(self):
        grammar = self.write("g.gbnf", 'root ::= "one two three"')
        answer = self.answer("x", "--grammar", grammar, "--stop", " three", "--max-tokens", "50")
        self.assertEqual((answer["text"], answer["finish"]), ("one two", "stop"))

    def test_other_commands(self):
        out, _ = self.lathe("logits", MODEL, "--ids", "1 2 3", "--out", "l.f32")
        self.assertIn("3 positions", out)
        self.assertEqual((self.dir / "l.f32").stat().st_size, 3 * 319 * 4)
        ids, _ = self.lathe("tokenize", MODEL, input=b"Hello")
        self.assertRegex(ids, r"^\d+( \d+)*\n$")
        text = self.write("text.txt", "the cat sat on the mat " * 40)
        score = json.loads(self.lathe("--json", "perplexity", MODEL, text, "--window", "64")[0])
        self.assertGreater(score["perplexity"], 1)
        self.assertIn("llama", self.lathe("show", MODEL)[0])

    def test_importance(self):
        text = self.write("text.txt", "def add(a, b):\n    return a + b\n\n" * 40)
        out = json.loads(self.lathe("--json", "imatrix", STARTER, text, "--out", "m.gguf", "--window", "64")[0])
        self.assertGreater(out["windows"], 2)
        self.assertGreater(out["tensors"], 20)
        self.refused("quantize", STARTER, "q.gguf", "IQ2_S", say=["IQ2_S", "importance matrix", "lathe imatrix"])
        self.refused("imatrix", STARTER, text, "--out", "m.gguf", say=["m.gguf", "--force"])
        self.refused("quantize", STARTER, "q.gguf", "IQ2_S", "--imatrix", STARTER, say=["general.type"])
        self.lathe("quantize", STARTER, "q.gguf", "IQ2_S", "--imatrix", "m.gguf", "--tensor-type", "ffn_down=Q4_K")
        shown = self.lathe("show", "q.gguf")[0]
        for type in ("IQ2_S", "Q4_K", "Q5_K"):
            self.assertIn(type, shown)
        self.lathe("quantize", STARTER, "flat.gguf", "IQ3_S")
        self.lathe("quantize", STARTER, "weighed.gguf", "IQ3_S", "--imatrix", "m.gguf")
        score = {name: json.loads(self.lathe("--json", "perplexity", name, text, "--window", "64")[0])["perplexity"]
                 for name in ("q.gguf", "flat.gguf", "weighed.gguf")}
        self.assertLess(score["weighed.gguf"], score["flat.gguf"])  # on the text it was measured on

    def test_embed(self):
        def floats(name):
            data = (self.dir / name).read_bytes()
            return struct.unpack(f"<{len(data) // 4}f", data)

        models = MODEL.parent
        # The ids of the oracles; pooled vectors, scores, and rows of tokens, in the model's own size.
        for name, vocabulary, width in (("bert", 120, 32), ("gemma-embedding", 160, 32), ("jina-bert-v2", 160, 1),
                                        ("qwen3-reranker", 160, 2)):
            ids = " ".join(str((7 * i * i + 3 * i + 1) % (vocabulary - 1)) for i in range(48))
            truth = models / f"{name}.truth.f32"
            truth = (truth if truth.exists() else models / f"{name}.f32").read_bytes()
            truth = struct.unpack(f"<{width}f", truth)
            self.lathe("embed", models / f"{name}.gguf", "--ids", ids, "--out", "e.f32", "--force")
            off = math.dist(floats("e.f32"), truth) / math.hypot(*truth)
            self.assertLess(off, 1e-5, name)
        answer = json.loads(self.lathe("--json", "embed", models / "bert.gguf", "a cab", "--tokens")[0])
        self.assertEqual((answer["rows"], answer["width"], len(answer["values"])), (answer["tokens"], 32, answer["tokens"] * 32))
        answer = json.loads(self.lathe("--json", "embed", models / "bert-rank.gguf", "a cab", "--query", "cab")[0])
        self.assertAlmostEqual(answer["relevance"], 1 / (1 + math.exp(-answer["values"][0])), 6)
        for arguments, words in ((("bert.gguf",), "either a text or --ids"), (("bert.gguf", "x", "--query", "y"), "is none"),
                                 (("bert-rank.gguf", "x"), "needs --query"),
                                 (("bert.gguf", "--ids", " ".join(["5"] * 129)), "129 tokens")):
            self.refused("embed", models / arguments[0], *arguments[1:], say=[words])
        self.refused("run", models / "bert.gguf", "x", say=["is an encoder"])
        self.refused("logits", models / "bert.gguf", "--ids", "1", "--out", "l.f32", say=["is an encoder"])
        shown = json.loads(self.lathe("--json", "show", models / "gemma-embedding.gguf")[0])
        self.assertEqual(shown["reading"], {"pooling": "mean", "width": 32, "ranks": False, "shortens": True})

    def test_bench(self):
        out, _ = self.lathe("bench", MODEL, "--repeat", "3", "--prompts", "16,40", "--answer", "8", "--widths", "1,4",
                            "--streams", "2", "--depths", "100", "--threads", "2", "--out", "a.json")
        record = json.loads((self.dir / "a.json").read_text())
        report, = record["models"]
        self.assertEqual((report["threads"], report["sha256"]), (2, hashlib.sha256(MODEL.read_bytes()).hexdigest()))
        self.assertEqual([(row["what"], row["size"], row["unit"]) for row in report["rows"]], [
            ("prefill", 16, "tok/s"), ("prefill", 40, "tok/s"), ("decode", 8, "tok/s"), ("decode, weights read", 8, "GB/s"),
            ("plain reads", 8, "GB/s"), ("decode, of plain reads", 8, "%"), ("step", 1, "ms"), ("step", 4, "ms"), ("streams", 2, "tok/s"),
            ("decode at depth", 100, "tok/s"), ("first token, new prompt", 40, "ms"), ("first token, cached prompt", 40, "ms")])
        for row in report["rows"]:
            self.assertIn(row["what"], out)
            self.assertTrue(0 < float(row["low"]) <= float(row["median"]) <= float(row["high"]), row)
        # What decode reads is its rate times the bytes of a token, which are nearly all the weights of this model.
        rate, read = (float(next(r["median"] for r in report["rows"] if r["what"] == w)) for w in ("decode", "decode, weights read"))
        self.assertTrue(0.85 < read * 1e9 / rate / report["weight_bytes"] <= 1, (rate, read, report["weight_bytes"]))
        # A report beside itself, and beside one that is twice as fast.
        for row in report["rows"]:
            row["median"] = str(float(row["median"]) * 2)
        self.write("b.json", json.dumps(record))
        rows = json.loads(self.lathe("--json", "bench", "--compare", "a.json", "b.json")[0])
        self.assertEqual([row["ratio"] for row in rows], [2.0] * 12)

    def test_bench_refuses(self):
        self.lathe("bench", MODEL, "--repeat", "1", "--prompts", "16", "--answer", "4", "--widths", "1", "--streams", "1",
                   "--out", "a.json")
        record = json.loads((self.dir / "a.json").read_text())
        for name, text in (("numbers", "[1, 2]"), ("object", "{}"), ("models", '{"kind": "lathe-bench", "schema": 1}')):
            self.refused("bench", "--compare", "a.json", self.write(name, text), say=[name, "no record"])
        self.refused("bench", "--compare", "a.json", self.write("cut", "["), say=["cut", "not valid JSON"])
        self.refused("bench", "--compare", "a.json", self.write("two", json.dumps({**record, "models": record["models"] * 2})), say=["1 model", "has 2"])
        self.refused("bench", "--compare", "a.json", self.write("none", json.dumps({**record, "models": [{}]})), say=["nothing the same"])
        self.refused("bench", say=["name a model"])
        for flag, size in (("--prompts", "32768"), ("--depths", "32760"), ("--widths", "4096"), ("--answer", "32761")):
            error = json.loads(self.lathe("--json", "bench", MODEL, flag, size, code=2)[0])["error"]
            self.assertIn("the model's context is 32768 tokens", error)
            self.assertIn({"--answer": "8 tokens and 32761 more"}.get(flag, size), error)

    def refused(self, *args, say=(), **kwargs):
        out, err = self.lathe(*args, code=2, **kwargs)
        self.assertEqual(out, "", args)
        for words in say:
            self.assertIn(words, err, args)

    def test_files_that_are_none(self):
        self.refused("run", "none.gguf", "x", say=["none.gguf"])
        self.refused("run", self.dir, "x", say=[str(self.dir)])
        whole = MODEL.read_bytes()
        for size in (0, 4, 23, 24, 100, 1000, 5000, len(whole) // 2, len(whole) - 1):
            cut = self.write("cut.gguf", whole[:size])
            self.refused("run", cut, "x", say=["cut.gguf"])
        self.refused("run", self.write("v.gguf", whole[:4] + b"\x09\0\0\0" + whole[8:]), "x", say=["v.gguf", "9"])
        name = self.write("a.gguf", whole.replace(b"\x05\0\0\0\0\0\0\0llama", b"\x05\0\0\0\0\0\0\0lemur", 1))
        self.refused("run", name, "x", say=["'lemur' is unknown", "qwen3moe"])
        at = whole.index(b"token_embd.weight") + len("token_embd.weight") + 4 + 16
        kind = self.write("t.gguf", whole[:at] + b"\x1f\0\0\0" + whole[at + 4:])
        self.refused("run", kind, "x", say=["Q4_0_4_4", "token_embd.weight"])

    def test_flags_that_are_wrong(self):
        self.refused("run", MODEL, "x", "--ctx", "40000", say=["40000", "32768"])
        self.refused("run", MODEL, "x" * 200, "--ctx", "64", say=["64"])
        self.refused("run", MODEL, "x", "--kv", "q5", say=["--kv is 'q5'", "q8_0"])
        self.refused("run", MODEL, "x", "--kernels", "mmx", say=["--kernels is 'mmx'", "scalar"])
        self.refused("run", MODEL, "x", "--threads", "-1", say=["--threads"])
        self.refused("run", MODEL, "x", "--top-p", "two", say=["--top-p"])
        self.refused("run", MODEL, "x", "--nonsense", say=["--nonsense"])
        self.refused("run", MODEL, "x", "--logit-bias", "a", say=["--logit-bias"])
        self.refused("run", MODEL, input=b"", say=["no prompt"])
        self.refused("run", MODEL, "x", "--schema", self.write("s.json", '{"type": "nothing"}'), say=["s.json", "'nothing'"])
        self.refused("run", MODEL, "x", "--grammar", self.write("g", 'root ::= "a'), say=["line 1, column"])
        for ids, words in (("", "--ids"), ("1 x", "'x'"), ("319", "319"), ("-1", "-1")):
            self.refused("logits", MODEL, "--ids", ids, "--out", "l.f32", say=[words])
            self.assertFalse((self.dir / "l.f32").exists(), "nothing is written for ids that are refused")


class LocalChat(Case):
    def start(self, *flags, term="dumb", model=MODEL, **environment):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(self.dir)
            command = self.command("run", model, "--seed", "1", *flags)
            os.execve(LATHE, command, self.environment() | {"TERM": term} | environment)
        self.addCleanup(os.close, self.fd)
        self.addCleanup(self.end)
        self.hello = self.read("/help")

    def end(self):
        try:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass

    def read(self, words, limit=60):
        text, until = "", time.monotonic() + limit
        while not re.search(words, text):
            self.assertLess(time.monotonic(), until, f"waited for {words!r}, got {text!r}")
            if select.select([self.fd], [], [], 1)[0]:
                try:
                    text += os.read(self.fd, 65536).decode(errors="replace")
                except OSError:
                    self.fail(f"the program ended; waited for {words!r}, got {text!r}")
        return text

    def ended(self, limit=60):
        """The status with which the program ends."""
        until = time.monotonic() + limit
        while time.monotonic() < until:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return status
            if select.select([self.fd], [], [], 0.05)[0]:  # what it still says
                try:
                    os.read(self.fd, 65536)
                except OSError:
                    pass
        self.fail("the program does not end")

    def say(self, line, words):
        os.write(self.fd, line.encode() + b"\n")
        return self.read(words)

    def leave(self):
        os.write(self.fd, b"/exit\n")
        self.assertEqual(self.ended(), 0)

    def questions(self):
        self.say("/save talk.json", r"talk\.json: \d+ messages")
        return [m["content"] for m in json.loads((self.dir / "talk.json").read_text()) if m["role"] == "user"]

    ANSWERED = r"tokens, .*cached\)"

    def test_any_language(self):
        text = "ü€🎉abc Größe 漢字 Привет café"
        for environment in ({"LANG": "C.UTF-8"}, {"LANG": "", "LC_ALL": ""}, {"LC_ALL": "C"}):
            with self.subTest(environment):
                self.start("--max-tokens", "2", **environment)
                self.say(text, self.ANSWERED)
                self.assertEqual(self.questions(), [text])
                self.leave()

    def test_bytes_that_are_no_text_do_no_harm(self):
        self.start("--max-tokens", "2")
        os.write(self.fd, b"a\xff\xc3b\xe2\x82\n")
        self.read(self.ANSWERED)
        self.assertRegex(self.questions()[0], "^a\ufffd.*b")
        self.leave()

    def test_messages_of_many_lines(self):
        self.start("--max-tokens", "2", term="xterm")
        self.say("abc\\", "…")
        self.say("def\\", "…")
        self.say("ghi", self.ANSWERED)
        self.say('\"\"\"first', "…")
        self.say("  second \\", "…")
        self.say('third\"\"\"', self.ANSWERED)
        self.say('\"\"\"', "…")
        self.say("x", "…")
        self.say('\"\"\"', self.ANSWERED)
        self.say('\"\"\"one line\"\"\"', self.ANSWERED)
        self.assertEqual(self.questions(), ["abc\ndef\nghi", "first\n  second \\\nthird", "x\n", "one line"])
        self.leave()

    def test_pasted_lines_are_one_message(self):
        self.start("--max-tokens", "2", term="xterm")
        marks = "\x1b[?2004h"  # asks the terminal to mark pastes
        if marks not in self.hello:
            self.read(re.escape(marks))
        os.write(self.fd, "\x1b[200~def ü():\r\treturn 1\r/not a command\x1b[201~".encode())
        self.read("/not a command")
        self.say("!", self.ANSWERED)
        os.write(self.fd, b"a\rb\rc\r")  # a terminal without marks
        self.read(self.ANSWERED)
        os.write(self.fd, b"hi\r/save both.json\r")  # typed ahead: a command stays one
        self.read(r"both\.json: 6 messages")
        self.assertEqual(self.questions(), ["def ü():\n\treturn 1\n/not a command!", "a\nb\nc", "hi"])
        self.leave()

    def test_ctrl_c_clears_the_line_and_stays(self):
        self.start("--max-tokens", "2", term="xterm")
        # Each is waited for: two at once are one, and one that comes before the last was seen ends the program.
        os.write(self.fd, b"half a thou\x03")
        self.read(r"\^C[^>]*> ")
        os.write(self.fd, b"\x03")
        self.read(r"\^C \(Ctrl-D or /exit leaves\)[^>]*> ")
        self.say("begun\\", "…")
        os.write(self.fd, b"\x03")
        self.read(r"\^C[^>]*> ")
        self.say("whole", self.ANSWERED)
        self.assertEqual(self.questions(), ["whole"])
        os.write(self.fd, b"\x04")
        self.assertEqual(self.ended(), 0)

    def test_ctrl_d_while_it_answers_leaves_afterwards(self):
        grammar = self.write("g.gbnf", 'root ::= [a-z]{150}')
        self.start("--grammar", grammar, term="xterm")
        self.say("Hello", r"[a-z]{5}")
        os.write(self.fd, b"\x04")
        self.assertEqual(self.ended(), 0)

    def test_a_signal_to_end_ends_it(self):
        self.start()
        os.kill(self.pid, signal.SIGTERM)
        self.assertEqual(self.ended(), 0)

    def test_history_is_kept_between_sessions(self):
        self.start("--max-tokens", "2", term="xterm")
        self.say("the first one ü", self.ANSWERED)
        self.leave()
        self.assertEqual((self.journal / "chat_history").stat().st_mode & 0o777, 0o600)
        self.start("--max-tokens", "2", term="xterm")
        os.write(self.fd, b"\x1b[A\x1b[A")  # up, past /exit
        self.read("the first one ü")
        self.say(" again", self.ANSWERED)
        self.assertEqual(self.questions(), ["the first one ü again"])
        self.leave()

    def test_files_and_saved_talks(self):
        self.write("code.py", "print('```')\n")
        self.write("photo.png", b"\x89PNG\0\xff")
        self.start("--max-tokens", "2")
        self.say("/file code.py", r"code\.py: 1 line, with your next message")
        self.say("What is it?", self.ANSWERED)
        self.assertEqual(self.questions(), ["code.py\n````\nprint('```')\n````\n\nWhat is it?"])
        self.say("/file photo.png", r"error: photo\.png: it is no text")
        self.say("/file none.py", r"error: none\.py")
        self.say("/clear", "")
        self.say("/load talk.json", r"talk\.json: 2 messages")
        self.say("More?", self.ANSWERED)
        self.assertEqual(len(self.questions()), 2)
        self.write("bad.json", '[{"role": "judge", "content": "x"}]')
        self.say("/load bad.json", r"error: bad\.json: message 1 of the conversation")
        self.assertEqual(len(self.questions()), 2)
        self.leave()

    def test_another_model_goes_on(self):
        other = self.write("other.gguf", MODEL.read_bytes())
        broken = self.write("broken.gguf", b"GGUF")
        self.start("--max-tokens", "2")
        self.say("Hello", self.ANSWERED)
        self.say("/set temp 0.5", r"temp 0\.5")
        self.say(f"/model {other}", "loaded in")
        self.say("/model", re.escape(str(other)))
        self.say(f"/model {broken}", r"error: .*broken\.gguf")
        self.say("/model nowhere", "error: there is no file 'nowhere', no model of that name here")
        self.say("/set", r"temp 0\.5")
        self.say("Again", self.ANSWERED)
        self.assertEqual(self.questions(), ["Hello", "Again"])
        self.leave()

    def test_what_a_model_says_does_nothing_to_the_terminal(self):
        grammar = self.write("g.gbnf", 'root ::= "a\\x1b]0;owned\\x07b\\x9b"')
        self.start("--grammar", grammar, term="xterm")
        answer = self.say("Hello", self.ANSWERED)
        self.assertIn("a␛]0;owned␇b", answer)
        self.assertNotIn("\x1b]0;", answer)
        self.leave()

    def test_a_conversation(self):
        self.start("--max-tokens", "12")
        self.say("Hello", r"12 tokens, .*cached\)")
        self.say("/set temp 0.5", r"temp 0\.5")
        self.say("/set heat 1", r"error: there is no setting 'heat'")
        self.say("/retry", r"seed|12 tokens, .*cached\)")
        self.say("/save talk.json", r"talk\.json: 2 messages")
        talk = json.loads((self.dir / "talk.json").read_text())
        self.assertEqual([m["role"] for m in talk], ["user", "assistant"])
        self.assertEqual(talk[0]["content"], "Hello")
        os.write(self.fd, b"/clear\n")
        self.say("/retry", "error: there is no question")
        self.say("/nothing", "error: there is no command '/nothing'")
        os.write(self.fd, b"/exit\n")
        self.assertEqual(self.ended(), 0)

    def test_ctrl_c_stops_an_answer_and_the_chat_goes_on(self):
        grammar = self.write("g.gbnf", 'root ::= ([a-z]{1000}){20}')
        self.start("--grammar", grammar)
        self.say("Hello", r"[a-z]{20}")
        os.write(self.fd, b"\x03")
        self.read(r"cached\), [^)]*, stopped\)")
        self.say("/save talk.json", "2 messages")
        answer = json.loads((self.dir / "talk.json").read_text())[1]["content"]
        self.assertRegex(answer, r"^[a-z]{1,19999}$")
        os.write(self.fd, b"/exit\n")
        self.assertEqual(self.ended(), 0)


if __name__ == "__main__":
    unittest.main()
