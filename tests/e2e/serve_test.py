"""`lathe serve` with real (tiny) models, as its clients meet it."""
import array
import concurrent.futures
import http.client
import json
import math
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import threading
import time
import unittest

from cli_test import LATHE, SOURCE, Case
from model_files_test import write_small_heads

MODELS = SOURCE / "tests/data/models"
TINY = ["llama-q4_0", "qwen2-q4_k_m", "qwen3-q4_k_m"]
LONG = "and so the story goes on and on, " * 12


class Server(Case):
    def setUp(self):
        super().setUp()
        self.models = self.dir / "models"
        self.models.mkdir()
        for name in TINY:
            shutil.copy(MODELS / f"{name}.gguf", self.models)

    def start(self, *args):
        self.process = subprocess.Popen([LATHE, "--json", "serve", str(self.models), "--port", "0", "--threads", "2", *map(str, args)],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=self.dir, env=self.environment())
        self.addCleanup(self.end)
        while True:
            line = self.process.stdout.readline()
            self.assertTrue(line, "the server did not start")
            event = json.loads(line)
            if event["event"] == "ready":
                break
        self.url = event["url"]
        self.port = int(self.url.rsplit(":", 1)[1])
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.assertEqual(self.process.wait(60), 0)
        self.process.stdout.close()

    def call(self, path, body=None, status=200):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        connection.request("POST" if body is not None else "GET", path, None if body is None else json.dumps(body),
                           {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if status is not None:
            self.assertEqual(answer.status, status, text[:500])
        return json.loads(text) if text else None

    def chat(self, text, model=TINY[0], status=200, **more):
        body = {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 12, "seed": 1, "logprobs": True,
                "top_logprobs": 5, **more}
        return self.call("/v1/chat/completions", body, status)

    def stream(self, text, count, model=TINY[0]):
        """An open socket on which an answer is coming."""
        body = json.dumps({"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": count, "stream": True,
                           "logit_bias": {str(i): -100 for i in range(256, 319)}})
        client = socket.create_connection(("127.0.0.1", self.port))
        client.sendall((f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                        f"Content-Length: {len(body)}\r\n\r\n{body}").encode())
        return client

    def status(self):
        return self.call("/status")

    def running(self, model=TINY[0]):
        return next(each for each in self.status()["models"] if each["name"] == model)["running"]

    def eventually(self, what, seconds=30):
        end = time.time() + seconds
        while not what():
            self.assertLess(time.time(), end, "it did not happen")
            time.sleep(0.02)


class Serve(Server):
    def test_the_same_bits_cold_warm_alone_and_beside_seven(self):
        self.start()
        content = lambda answer: answer["choices"][0]["logprobs"]["content"]
        cold = self.chat(LONG)
        self.assertEqual(cold["usage"]["prompt_tokens_details"]["cached_tokens"], 0)
        warm = self.chat(LONG)
        self.assertGreater(warm["usage"]["prompt_tokens_details"]["cached_tokens"], 50)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            neighbours = [pool.submit(self.chat, LONG[i:] * 2, TINY[i % 3], seed=i, max_tokens=60) for i in range(7)]
            beside = self.chat(LONG)
            drafted = self.chat(LONG, prediction={"type": "content", "content": cold["choices"][0]["message"]["content"]})
            for each in neighbours:
                each.result()
        for other in (warm, beside, drafted):
            self.assertEqual(content(other), content(cold))

    def test_a_client_that_goes_is_noticed_wherever_its_request_is(self):
        self.start("--sequences", "2")
        neighbour = self.stream("I stay", 3000)
        self.assertTrue(neighbour.recv(100))
        decoding = self.stream("I go", 30000)
        self.eventually(lambda: self.running() == 2)
        queued = self.stream("I wait and go", 30000)
        self.eventually(lambda: self.status()["queued"] == 1)
        queued.close()
        self.eventually(lambda: self.status()["queued"] == 0, 10)
        decoding.close()
        self.eventually(lambda: self.running() == 1, 10)
        reading = self.stream("z" * 20000, 5)
        self.eventually(lambda: self.running() == 2)
        reading.close()
        self.eventually(lambda: self.running() <= 1, 10)
        # The neighbour never noticed.
        text = b""
        while b"[DONE]" not in text:
            piece = neighbour.recv(1 << 16)
            self.assertTrue(piece)
            text += piece
        self.assertIn(b'"finish_reason":"length"', text)
        neighbour.close()

    def test_prompts_that_others_choke_on(self):
        self.start("--memory", "256MiB")
        before = self.status()
        for text in ("Z" * 131072, " " * 200000, "\n" * 200000, "7" * 200000, "汉" * 100000, "e\u0301" * 50000):
            answer = self.chat(text, status=None)
            if "error" in answer:
                self.assertEqual(answer["error"]["code"], "context_length_exceeded")
                self.assertRegex(answer["error"]["message"], r"has \d+ tokens and the context of '.*' holds 32768")
            else:
                self.assertEqual(answer["usage"]["completion_tokens"], 12)
        # A text that names control tokens stays text.
        ids = self.call("/tokenize", {"model": TINY[0], "content": "<|im_start|>"})["tokens"]
        special = self.call("/tokenize", {"model": TINY[0], "content": "<|im_start|>", "parse_special": True})["tokens"]
        self.assertGreaterEqual(len(ids), len(special))
        # The context to the token.
        room = 32768 - 1
        exact = self.call("/v1/completions", {"model": TINY[0], "prompt": [5] * room, "max_tokens": 5})
        self.assertEqual(exact["usage"]["completion_tokens"], 1)
        self.assertEqual(exact["choices"][0]["finish_reason"], "length")
        over = self.call("/v1/completions", {"model": TINY[0], "prompt": [5] * (room + 1), "max_tokens": 5}, 400)
        self.assertEqual(over["error"]["code"], "context_length_exceeded")
        status = self.status()
        self.assertLessEqual(status["memory_booked"], before["memory_limit"])
        self.assertEqual(status["devices"], {"cpu": {"limit": status["memory_limit"], "booked": status["memory_booked"]}})
        for each in status["models"]:
            self.assertEqual(sum(each["devices"].values()), sum(each[of] for of in ("weights", "kv", "prefix", "scratch")))

    def test_log_likelihoods(self):
        """As harnesses ask for them: the prompt's tokens and one more; by another way, `lathe logits`."""
        self.start()
        prompts = [[(7 * i + k) % 250 + 3 for i in range(90)] for k in (1, 2)]
        choices = self.call("/v1/completions", {"model": TINY[0], "prompt": prompts, "max_tokens": 1, "temperature": 0, "logprobs": 1,
                                                "echo": True, "seed": 1})["choices"]
        for ids, choice in zip(prompts, choices):
            given = choice["logprobs"]
            self.assertEqual({key: len(values) for key, values in given.items()},
                             dict.fromkeys(("tokens", "token_logprobs", "top_logprobs", "text_offset"), len(ids) + 1))
            self.lathe("logits", self.models / f"{TINY[0]}.gguf", "--ids", " ".join(map(str, ids)), "--out", "l.f32", "--force")
            values = array.array("f", (self.dir / "l.f32").read_bytes())
            width = len(values) // len(ids)
            self.assertIsNone(given["token_logprobs"][0])
            for i in range(1, len(ids)):
                row = values[(i - 1) * width:i * width]
                expected = row[ids[i]] - math.log(sum(map(math.exp, row)))
                self.assertAlmostEqual(given["token_logprobs"][i], expected, delta=1e-4)
                best = max(given["top_logprobs"][i].values())
                self.assertAlmostEqual(best, max(row) - math.log(sum(map(math.exp, row))), delta=1e-4)
        nothing = self.call("/v1/completions", {"model": TINY[0], "prompt": prompts, "max_tokens": 0, "logprobs": 1, "echo": True})["choices"]
        for whole, alone in zip(choices, nothing):
            for key, entries in alone["logprobs"].items():
                self.assertEqual(entries, whole["logprobs"][key][:-1])

    def with_template(self, model, source):
        """A model of the same weights with this chat template."""
        name = b"tokenizer.chat_template"
        data = (self.models / f"{TINY[0]}.gguf").read_bytes()
        source += b" " * (-(8 + len(name) + 4 + 8 + len(source)) % 32)  # what follows stays aligned
        text = lambda value: len(value).to_bytes(8, "little") + value
        count = int.from_bytes(data[16:24], "little") + 1
        (self.models / f"{model}.gguf").write_bytes(data[:16] + count.to_bytes(8, "little") + text(name) +
                                                    (8).to_bytes(4, "little") + text(source) + data[24:])

    def test_schemas_hold_in_the_final_channel(self):
        """gpt-oss's form, in every API: the markers are no content, and thinking that is turned off is none."""
        self.with_template("channels", b"{{ messages[0].content }}<|start|>assistant{# <|channel|> #}")
        self.start()
        schema = {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"], "additionalProperties": False}
        form = {"type": "json_schema", "name": "x", "schema": schema}
        said = {"model": "channels", "messages": [{"role": "user", "content": "go"}]}
        chat = {**said, "max_tokens": 200, "reasoning_effort": "none", "response_format": {"type": "json_schema", "json_schema": form}}
        message = self.call("/v1/chat/completions", chat)["choices"][0]["message"]
        texts = [message["content"]]
        self.assertFalse(message.get("reasoning_content"))
        texts += [block["text"] for block in self.call("/v1/messages", {**said, "max_tokens": 200, "thinking": {"type": "disabled"},
                                                                       "output_config": {"format": form}})["content"]]
        texts += [part["text"] for item in self.call("/v1/responses", {"model": "channels", "input": "go", "reasoning": {"effort": "none"},
                                                                      "text": {"format": form}})["output"] for part in item["content"]]
        texts.append(self.call("/api/chat", {**said, "format": schema, "think": False, "stream": False})["message"]["content"])
        # In this program's own process the same holds.
        answer = self.lathe("--json", "run", self.models / "channels.gguf", "go", "--schema", json.dumps(schema), "--no-think",
                            "--max-tokens", "200", "--seed", "1")[0]
        texts.append(json.loads(answer)["text"])
        self.assertEqual(len(texts), 5)
        for text in texts:
            self.assertIsInstance(json.loads(text)["a"], bool, texts)
        # Where nothing is said it may think, and all that it writes is in one of the two channels.
        del chat["reasoning_effort"]
        message = self.call("/v1/chat/completions", {**chat, "max_tokens": 60})["choices"][0]["message"]
        self.assertTrue(message.get("reasoning_content") or message["content"].startswith("{"), message)
        self.assertNotIn("<|", message["content"] or "")

    def test_a_model_is_a_program_of_its_maker(self):
        """A file whose template doubles a text 22 times: refused, in little time and memory, and others do not wait."""
        self.with_template("bomb", b"{% set n = namespace(x=messages[0].content) %}{% for i in range(22) %}"
                                   b"{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x }}")
        self.start("--memory", "256MiB")
        self.chat("warm")
        before = self.status()["resident"]
        with concurrent.futures.ThreadPoolExecutor(24) as pool:
            ends = [pool.submit(self.chat, "a" * 40, "bomb", None) for _ in range(24)]
            self.assertEqual(self.chat("hello")["usage"]["completion_tokens"], 12)
            for end in ends:
                self.assertIn(end.result()["error"]["code"], ("context_length_exceeded", "queue_full"))
        self.assertLess(self.status()["resident"] - before, 600 << 20)

    def test_schemas_and_tools_that_are_wrong_or_large(self):
        self.start()
        schema = lambda s: {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": s}}}
        tool = lambda name, parameters: {"type": "function", "function": {"name": name, "parameters": parameters}}
        good = [{}, {"type": "string", "pattern": "^\\d{3}$"}, {"enum": [f"v{i}" for i in range(2000)]},
                {"$ref": "#/$defs/n", "$defs": {"n": {"type": "object", "properties": {"c": {"$ref": "#/$defs/n"}}}}}]
        for each in good:
            answer = self.chat("x", **schema(each), max_tokens=100, status=None)
            if "error" in answer:
                self.assertEqual(answer["error"]["type"], "invalid_request_error", answer)
        bad = [{"$ref": "http://127.0.0.1:1/x.json"}, {"type": "nothing"}]
        # What a grammar cannot keep is refused where all of it was asked for.
        for each in ({"if": {}, "then": {}}, {"not": {"type": "string"}}, {"type": "string", "pattern": "^(($"},
                     {"type": "string", "pattern": "[z-a]"}):
            strict = schema(each)
            self.chat("x", **strict, max_tokens=20)
            strict["response_format"]["json_schema"]["strict"] = True
            self.assertIn("cannot be kept", self.chat("x", status=400, **strict)["error"]["message"])
        for each in bad:
            error = self.chat("x", status=400, **schema(each))["error"]
            self.assertTrue(error["message"], each)
        for choice, tools in (("required", None), ({"type": "function", "function": {"name": "absent"}}, [tool("there", {})])):
            self.chat("x", status=400, tool_choice=choice, **({"tools": tools} if tools else {}))
        called = self.chat("x", max_tokens=200, tool_choice="required",
                           tools=[tool(f"t{i}", {"type": "object", "properties": {"n": {"type": "boolean"}}, "required": ["n"],
                                                 "additionalProperties": False}) for i in range(200)])
        choice = called["choices"][0]
        if choice["finish_reason"] == "tool_calls":
            self.assertIn("n", json.loads(choice["message"]["tool_calls"][0]["function"]["arguments"]))
        self.chat("x", status=400, grammar='root ::= root "a"')
        self.chat("x", status=400, logit_bias={str(i): -100 for i in range(99999, 100001)})
        self.assertEqual(self.chat("still there?")["usage"]["completion_tokens"], 12)

    def test_names_are_looked_up(self):
        (self.models / "models.toml").write_text('[model.coder]\nfile = "qwen2-q4_k_m.gguf"\naliases = ["gpt-*"]\n')
        self.start()
        for name in ("../../etc/passwd", "%2e%2e/x", "x\0y", "/etc/passwd", "a" * 20000):
            self.assertEqual(self.chat("x", name, status=404)["error"]["code"], "model_not_found")
        self.assertEqual(self.chat("x", "gpt-5")["model"], "coder")
        listed = {each["id"] for each in self.call("/v1/models")["data"]}
        self.assertEqual(listed, {"coder", "llama-q4_0", "qwen3-q4_k_m"})

    def test_more_than_fits(self):
        sizes = self.dir / "sizes"
        self.start()
        for name in TINY:
            self.chat("x", name)
        largest = max(each["weights"] + each["scratch"] for each in self.status()["models"])
        self.end()
        self.start("--memory", str(2 * largest + (3 << 20)))
        limit = self.status()["memory_limit"]
        done = threading.Event()
        peaks = []

        def watch():
            while not done.is_set():
                status = self.status()
                peaks.append(status["memory_booked"])
                time.sleep(0.05)
        watcher = threading.Thread(target=watch)
        watcher.start()
        expected = {name: None for name in TINY}

        def client(seed):
            pick = random.Random(seed)
            for _ in range(8):
                name = pick.choice(TINY)
                answer = self.chat("hello there", name)  # asserts 200
                content = answer["choices"][0]["logprobs"]["content"]
                expected[name] = expected[name] or content
                self.assertEqual(content, expected[name])
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(client, range(8)))
        done.set()
        watcher.join()
        self.assertLessEqual(max(peaks), limit)
        # What can never fit is refused with the arithmetic, and not worth a retry.
        refused = self.call("/v1/completions", {"model": TINY[0], "prompt": [5] * 20000, "max_tokens": 10000, "n": 8}, None)
        self.assertEqual(refused["error"]["code"], "does_not_fit", refused)
        self.assertRegex(refused["error"]["message"], "needs .* and the budget is")
        self.end()
        self.assertFalse(sizes.exists())

    def test_killed_under_load_it_starts_again_warm_or_cold_and_right(self):
        snapshots = self.dir / "snapshots"
        self.start("--snapshots", snapshots)
        content = lambda answer: answer["choices"][0]["logprobs"]["content"]
        expected = self.chat(LONG)
        self.end()
        self.assertTrue((snapshots / f"{TINY[0]}.kv").exists())
        self.start("--snapshots", snapshots)
        warm = self.chat(LONG)
        self.assertGreater(warm["usage"]["prompt_tokens_details"]["cached_tokens"], 50)
        self.assertEqual(content(warm), content(expected))
        streams = [self.stream(LONG * (i + 1), 3000) for i in range(4)]
        for each in streams:
            each.recv(100)
        self.process.kill()
        self.process.wait()
        for each in streams:
            each.close()
        for damage in (lambda b: b, lambda b: b[:len(b) // 2], lambda b: b[:999] + bytes([b[999] ^ 4]) + b[1000:]):
            path = snapshots / f"{TINY[0]}.kv"
            path.write_bytes(damage(path.read_bytes()))
            self.start("--snapshots", snapshots)
            self.assertEqual(content(self.chat(LONG)), content(expected))
            self.process.kill()
            self.process.wait()

    def test_small_heads(self):
        write_small_heads(self)
        self.lathe("import", "model", "--out", self.models / "small.gguf")
        snapshots = self.dir / "snapshots"
        content = lambda answer: answer["choices"][0]["logprobs"]["content"]
        self.start("--snapshots", snapshots)
        expected = self.chat(LONG[:200], "small")
        self.assertGreater(len(content(expected)), 0)
        for started in (True, False):
            warm = self.chat(LONG[:200], "small")
            self.assertGreater(warm["usage"]["prompt_tokens_details"]["cached_tokens"], 50)
            self.assertEqual(content(warm), content(expected))
            if started:
                self.end()
                self.assertTrue((snapshots / "small.kv").exists())
                self.start("--snapshots", snapshots)

    def test_the_other_commands_find_it(self):
        self.start()
        out, _ = self.lathe("ps")
        self.assertIn("llama-q4_0", out)
        self.assertIn("cold", out)
        answer = json.loads(self.lathe("--json", "run", "llama-q4_0", "Hello", "--max-tokens", "8", "--seed", "3")[0])
        self.assertEqual(answer["usage"]["output_tokens"], 8)
        here = json.loads(self.lathe("--json", "run", self.models / "llama-q4_0.gguf", "Hello", "--max-tokens", "8", "--seed", "3")[0])
        self.assertEqual(here["usage"]["output_tokens"], 8)
        out, _ = self.lathe("--json", "ps", "--server", self.url)
        self.assertEqual({each["name"]: each["state"] for each in json.loads(out)["models"]}["llama-q4_0"], "ready")
        _, err = self.lathe("run", "no-such-model", "Hello", code=2)
        self.assertIn("no-such-model", err)
        recipe = self.write("r.toml", RECIPE)
        self.write("in.md", "one line\n")
        out, err = self.lathe("loop", recipe, code=None)
        self.assertIn("lap 1", out + err)
        self.assertNotIn("rung unavailable", out + err)
        self.end()
        _, err = self.lathe("ps", code=2)
        self.assertIn("no server runs here", err)
        # Without a server the same loop loads the model itself.
        out, err = self.lathe("loop", recipe, "--worker", f"llama-q4_0={self.models}/llama-q4_0.gguf", code=None)
        self.assertIn("lap 1", out + err)
        self.assertNotIn("rung unavailable", out + err)

    def test_a_port_in_use_is_named(self):
        self.start()
        _, err = self.lathe("serve", self.models, "--port", str(self.port), code=None)
        self.assertIn(str(self.port), err)
        _, err = self.lathe("serve", self.models, "--listen", "0.0.0.0", code=2)
        self.assertRegex(err, "key")
        _, err = self.lathe("serve", self.dir / "nowhere", code=2)
        self.assertIn("nowhere", err)


RECIPE = """
recipe = "one-line"
version = 1
[unit]
from = "in.md"
split = "line"
[make]
kind = "text"
task = "Write it in capitals."
max_tokens = 16
ladder = ["llama-q4_0"]
[[judge]]
name = "words"
kind = "text"
stage = "gate"
max_words = 5
[stop]
laps = 1
"""


class Remotes(Server):
    def test_the_models_of_another_server(self):
        self.start()
        far, far_port = self.process, self.port
        self.addCleanup(lambda: (far.kill(), far.wait()))
        content = lambda answer: answer["choices"][0]["logprobs"]["content"]
        alone = self.chat(LONG)
        self.models = self.dir / "near"
        self.models.mkdir()
        shutil.copy(MODELS / f"{TINY[1]}.gguf", self.models)
        self.start("--remote", f"far=http://127.0.0.1:{far_port}")
        # The same bits, and what every endpoint says of a model.
        self.assertEqual(content(self.chat(LONG)), content(alone))
        self.assertEqual([each["id"] for each in self.call("/v1/models")["data"]], sorted(TINY))
        self.assertEqual(self.call("/models/load", {"model": TINY[2]})["state"], "ready")
        text = "Hello there"
        ids = self.call("/tokenize", {"model": TINY[0], "content": text})["tokens"]
        self.assertEqual(self.call("/detokenize", {"model": TINY[0], "tokens": ids})["content"].strip(), text)
        vector = self.call("/v1/embeddings", {"model": TINY[0], "input": text})["data"][0]["embedding"]
        self.assertGreater(len(vector), 0)
        self.assertEqual(self.chat("x", n=2, status=400)["error"]["param"], "n")
        # Who goes ends the work there, too.
        client = self.stream(LONG, 500)
        self.eventually(lambda: self.running() == 1)
        client.close()
        self.eventually(lambda: self.running() == 0)
        # Without the other server its models are said to be away; those here answer.
        far.send_signal(signal.SIGTERM)
        far.wait(60)
        self.eventually(lambda: [each["state"] for each in self.status()["models"] if each["name"] == TINY[0]] == ["failed"])
        self.assertIn("nothing answers", self.chat("x", status=503)["error"]["message"])
        self.chat("x", model=TINY[1])

    def test_no_model_here(self):
        self.start()
        far, url = self.process, self.url
        self.addCleanup(lambda: (far.kill(), far.wait()))
        self.models = self.dir / "empty"
        self.models.mkdir()
        self.start("--remote", f"far={url}")
        self.chat("x")
        self.assertEqual(self.call("/v1/models/none", status=404)["error"]["code"], "model_not_found")

    def test_what_cannot_be(self):
        for remote in ("far", "far=", "=http://127.0.0.1:1", "far=ftp://127.0.0.1", "far=http://name:secret7@127.0.0.1"):
            _, err = self.lathe("serve", self.models, "--remote", remote, code=2)
            self.assertNotIn("secret7", err)
        _, err = self.lathe("serve", self.models, "--remote", "far=http://192.168.7.7:8080", code=2)
        self.assertIn("--allow lan", err)


class RealClients(Server):
    """The clients' tests once more, against real weights."""

    def clients(self, name):
        # The likeliest token each time: whatever seed is drawn, the answers are the same.
        (self.models / "models.toml").write_text(
            f'[model.{TINY[0]}]\nfile = "{TINY[0]}.gguf"\ntemperature = 0.0\n')
        self.start()
        done = subprocess.run(["node", "--test", SOURCE / f"tests/clients/{name}.test.mjs"], capture_output=True, timeout=600,
                              env={**self.environment(), "LATHE_URL": self.url, "LATHE_MODEL": TINY[0]})
        self.assertEqual(done.returncode, 0, done.stdout.decode(errors="replace")[-4000:])

    def test_openai(self):
        self.clients("openai")

    def test_anthropic(self):
        self.clients("anthropic")

    def test_ai_sdk(self):
        self.clients("ai_sdk")

    def test_ollama(self):
        self.clients("ollama")


if __name__ == "__main__":
    unittest.main()
