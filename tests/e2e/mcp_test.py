"""`lathe mcp` and POST /mcp: what agents are told of what they made."""
import base64
import http.client
import json
import os
import re
import queue
import shutil
import socket
import subprocess
import threading
import time
import unittest
import wave

import jsonschema

from cli_test import EXAMPLES, LATHE, SOURCE, Case
from serve_test import Server

MODERN, LEGACY = "2026-07-28", "2025-11-25"
SCHEMAS = {version: json.loads((SOURCE / f"tests/data/mcp/{version}.json").read_text()) for version in (MODERN, LEGACY)}
META = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"}}
TASKS = {**META, "io.modelcontextprotocol/clientCapabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}}}
RESULTS = {"tools/list": "ListToolsResult", "tools/call": "CallToolResult", "server/discover": "DiscoverResult",
           "initialize": "InitializeResult"}


def check(version, name, value):
    jsonschema.Draft202012Validator({**SCHEMAS[version], "$ref": f"#/$defs/{name}"}).validate(value)


class Client:
    """Speaks to one `lathe mcp`; every message that comes is held against the protocol's own schema."""

    def __init__(self, command, cwd, env, version=MODERN):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cwd, env=env)
        self.version, self.next_id, self.messages = version, 0, queue.Queue()
        self.seen = 0
        threading.Thread(target=self.read, daemon=True).start()
        self.errors = []
        threading.Thread(target=lambda: self.errors.extend(self.process.stderr), daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.messages.put(json.loads(line))
        self.messages.put(None)

    def send(self, message):
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def receive(self):
        message = self.messages.get(timeout=300)
        assert message is not None, b"".join(self.errors).decode()
        self.seen += 1
        check(self.version, "JSONRPCMessage", message)
        return message

    def request(self, method, params=None, meta=META):
        self.next_id += 1
        params = dict(params or {})
        if self.version == MODERN and meta is not None:
            params["_meta"] = {**meta, **params.get("_meta", {})}
        message = {"jsonrpc": "2.0", "id": self.next_id, "method": method, "params": params}
        self.send(message)
        return self.next_id

    def ask(self, method, params=None, meta=META):
        number = self.request(method, params, meta)
        self.notes = []
        while True:
            message = self.receive()
            if message.get("id") == number:
                if "result" in message and method in RESULTS and message["result"].get("resultType") != "task":
                    check(self.version, RESULTS[method], message["result"])
                return message
            self.notes.append(message)

    def call(self, tool, /, meta=META, **arguments):
        return self.ask("tools/call", {"name": tool, "arguments": arguments}, meta)["result"]

    def initialize(self, version=LEGACY):
        self.version = LEGACY
        answer = self.ask("initialize", {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}})
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return answer["result"]

    def end(self):
        self.process.stdin.close()
        code = self.process.wait(60)
        self.process.stdout.close()
        return code


class HttpClient(Client):
    """The same over POST /mcp, each message a request of its own."""

    def __init__(self, port, version=MODERN):
        self.port, self.version, self.next_id, self.messages, self.seen, self.session = port, version, 0, queue.Queue(), 0, None

    def send(self, message, headers=None):
        meta = message.get("params", {}).get("_meta", {}) if isinstance(message, dict) else {}
        version = meta.get("io.modelcontextprotocol/protocolVersion")
        if headers is None and version:
            headers = {"MCP-Protocol-Version": version, "Mcp-Method": message["method"]}
            if message["method"] == "tools/call":
                headers["Mcp-Name"] = message["params"]["name"]
        elif headers is None and self.session:
            headers = {"MCP-Protocol-Version": LEGACY, "Mcp-Session-Id": self.session}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        connection.request("POST", "/mcp", json.dumps(message), {"Content-Type": "application/json", **(headers or {})})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        self.session = answer.getheader("Mcp-Session-Id") or self.session
        self.status = answer.status
        if text:
            self.messages.put(json.loads(text))

    def end(self):
        return 0


class Protocol:
    """What holds on every transport: `client(version)` opens one."""

    def session(self, client):
        listed = client.ask("tools/list")
        for _ in range(100):
            again = client.ask("tools/list")
            self.assertEqual(json.dumps(again["result"]), json.dumps(listed["result"]))
        tools = listed["result"]["tools"]
        self.assertEqual([t["name"] for t in tools],
                         [f"lathe_{n}" for n in ("listen", "look", "test", "check", "loop", "run", "ask")])
        for tool in tools:
            jsonschema.Draft202012Validator.check_schema(tool["inputSchema"])
        for i in range(20):
            good = client.call("lathe_check", judge="text", text="one two three", settings={"min_words": 2})
            self.assertEqual(good["structuredContent"]["outcome"], "pass", good)
            bad = client.call("lathe_check", judge="text", text="one two three", settings={"min_words": 4 + i})
            self.assertEqual(bad["structuredContent"]["outcome"], "fail")
            self.assertNotIn("isError", bad)
            none = client.call("lathe_check", judge="text", text="x", settings={"min_wrods": 2})
            self.assertTrue(none["isError"])
            self.assertIn("did you mean 'min_words'", none["content"][0]["text"])
        self.assertGreater(client.seen, 60)
        return listed

    def test_both_eras(self):
        client = self.client()
        found = client.ask("server/discover")["result"]
        self.assertIn(MODERN, found["supportedVersions"])
        self.assertLess(len(found["instructions"].split()), 120)
        first = self.session(client)
        self.assertEqual(client.end(), 0)
        old = self.client(version=LEGACY)
        self.assertEqual(old.initialize()["protocolVersion"], LEGACY)
        second = self.session(old)
        self.assertEqual(first["result"]["tools"], second["result"]["tools"])
        # Models of several makers read the list: by each one's own tokenizer.
        for tokenizer in ("gpt-2", "deepseek-coder", "phi-3"):
            ids, _ = self.lathe("tokenize", SOURCE / f"tests/data/tokenizer/{tokenizer}.gguf", input=json.dumps(first["result"]).encode())
            self.assertTrue(1000 < len(ids.split()) <= 2500, f"{tokenizer}: {len(ids.split())} tokens")

    def test_what_clients_open_with(self):
        # A client that looks first and goes back.
        both = self.client()
        both.ask("server/discover")
        self.assertEqual(both.initialize()["protocolVersion"], LEGACY)
        self.assertEqual(len(both.ask("tools/list")["result"]["tools"]), 7)
        # A revision that nobody has: of the old era it is answered with ours, of the new one with what there is.
        self.assertEqual(self.client().initialize("1999-01-01")["protocolVersion"], LEGACY)
        later = self.client().ask("tools/list", meta={**META, "io.modelcontextprotocol/protocolVersion": "2099-01-01"})
        self.assertEqual(later["error"]["code"], -32022)
        self.assertIn(MODERN, later["error"]["data"]["supported"])
        # What says nothing at all.
        answer = self.client(version=LEGACY).ask("tools/list", meta=None)
        self.assertEqual(answer.get("error", {}).get("code"), self.says_nothing)
        # State that was never given out.
        for forged in ({"requestState": "eyJmb3JnZWQiOnRydWV9"}, {"inputResponses": {"q": {"action": "accept"}}}):
            answer = self.client().ask("tools/call", {"name": "lathe_check", "arguments": {"judge": "text", "text": "x"}, **forged})
            self.assertEqual(answer["error"]["code"], -32602)


class Mcp(Protocol, Case):
    says_nothing = -32602  # on a connection that has not begun

    def setUp(self):
        super().setUp()
        self.root = self.dir / "work"
        self.root.mkdir()

    def client(self, *args, version=MODERN):
        client = Client(self.command("mcp", "--root", self.root, *args), self.dir, self.environment(), version)
        self.addCleanup(client.process.wait)
        self.addCleanup(client.process.kill)
        return client

    def take(self, line):
        """A good take of a line, in the root."""
        self.write("script.md", line + "\n")
        self.lathe("loop", "voice-over", "--input", "script.md", "--out", "take")
        shutil.copy(self.dir / "take/L001.wav", self.root / "take.wav")
        return self.root / "take.wav"

    # --- The protocol ---

    def test_only_some_tools(self):
        client = self.client("--tools", "test,listen")
        self.assertEqual([t["name"] for t in client.ask("tools/list")["result"]["tools"]], ["lathe_test", "lathe_listen"])
        self.assertEqual(client.ask("tools/call", {"name": "lathe_ask", "arguments": {}})["error"]["code"], -32602)
        self.lathe("mcp", "--tools", "tset", code=2)
        self.lathe("mcp", "--root", "nowhere", code=2)

    def test_a_run_is_left_of_every_call(self):
        client = self.client()
        verdict = client.call("lathe_check", judge="text", text="one", settings={"min_words": 2})["structuredContent"]
        self.assertEqual((verdict["judge"], verdict["outcome"]), ("text", "fail"))
        self.assertTrue(verdict["critiques"][0]["claim"])
        client.end()
        out, _ = self.lathe("show", verdict["run"])
        self.assertIn("failed", out)
        self.lathe("replay", verdict["run"])
        records = self.events("show", verdict["run"])
        kept = next(r for r in records if r["seq"] == verdict["seq"])
        self.assertEqual(kept["kind"], "verdict")
        self.assertEqual(kept["body"]["judge_hash"], verdict["judge_hash"])
        self.assertEqual(kept["body"]["judgement"]["candidate"], verdict["blob"])

    # --- Files ---

    def test_nothing_outside_the_root(self):
        secret = self.write("secret.txt", "secret words")
        (self.root / "link.txt").symlink_to(secret)
        (self.root / "up").symlink_to(self.dir)
        os.mkfifo(self.root / "pipe")
        (self.root / "huge.wav").touch()
        os.truncate(self.root / "huge.wav", 4 << 30)
        client = self.client()
        for name in ("../secret.txt", str(secret), "link.txt", "up/secret.txt", "pipe", "/dev/zero", "/etc/passwd", "", ".", "huge.wav",
                     "missing.txt", "a\0b", "x" * 5000):
            result = client.call("lathe_check", judge="text", file=name, settings={"min_words": 1})
            self.assertTrue(result["isError"], name)
            self.assertNotIn("secret words", json.dumps(result))
            self.assertEqual(result["structuredContent"]["outcome"], "error")
        for name in ("up", "..", "/tmp", "pipe"):
            self.assertTrue(client.call("lathe_test", dir=name, command="true")["isError"], name)
        self.assertTrue(client.call("lathe_loop", recipe="rewrite", input="../secret.txt")["isError"])
        self.assertTrue(client.call("lathe_loop", recipe="../x.toml")["isError"])
        (self.root / "own.txt").write_text("fine words here")
        for name in ("own.txt", str(self.root / "own.txt")):
            result = client.call("lathe_check", judge="text", file=name, settings={"min_words": 1})
            self.assertEqual(result["structuredContent"]["outcome"], "pass")

    # --- The tools ---

    def test_listen(self):
        line = "Please put the kettle on the stove"
        take = self.take(line)
        client = self.client()
        good = client.call("lathe_listen", audio="take.wav", expect=line)
        self.assertEqual(good["structuredContent"]["outcome"], "pass", good)
        words = good["structuredContent"]["words"]
        kettle = next(w for w in words if w["expected"] == "kettle")
        # The word is cut out of the take: it must be named, with its second.
        self.without(take, kettle)
        bad = client.call("lathe_listen", audio="cut.wav", expect=line)
        verdict = bad["structuredContent"]
        self.assertEqual(verdict["outcome"], "fail", bad)
        self.assertTrue(any("kettle" in c["claim"] + c["locus"] for c in verdict["critiques"]), verdict["critiques"])
        self.assertIn("kettle", bad["content"][0]["text"])
        self.assertLess(verdict["score"], verdict["bar"])
        self.assertEqual(client.call("lathe_listen", audio="take.wav", expect="Please put the cat out")["structuredContent"]["outcome"],
                         "fail")
        (self.root / "no.wav").write_text("this is no sound")
        self.assertEqual(client.call("lathe_listen", audio="no.wav", expect=line)["structuredContent"]["outcome"], "fail")

    def without(self, take, word):
        """The take with silence in the word's place, as cut.wav."""
        with wave.open(str(take)) as sound:
            params, rate = sound.getparams(), sound.getframerate()
            size = sound.getsampwidth() * sound.getnchannels()
            data = bytearray(sound.readframes(sound.getnframes()))
        start, end = int(word["start"] * rate) * size, int(word["end"] * rate) * size
        data[start:end] = bytes(end - start)
        with wave.open(str(self.root / "cut.wav"), "wb") as sound:
            sound.setparams(params)
            sound.writeframes(bytes(data))

    def test_twelve_spoiled_takes(self):
        client = self.client()
        named = 0
        for line in ("Please put the kettle on the stove", "The morning train to London leaves at seven"):
            take = self.take(line)
            good = client.call("lathe_listen", audio="take.wav", expect=line)["structuredContent"]
            for word in sorted(good["words"], key=lambda word: word["start"] - word["end"])[:6]:
                self.without(take, word)
                verdict = client.call("lathe_listen", audio="cut.wav", expect=line)["structuredContent"]
                self.assertEqual(verdict["outcome"], "fail", (line, word))
                for critique in verdict["critiques"]:
                    found = re.match(r"(\w+) @ ([\d.]+)-([\d.]+) s", critique["locus"])
                    if found and found[1] == word["expected"]:
                        self.assertLess(float(found[2]), word["end"])
                        self.assertGreater(float(found[3]), word["start"])
                        named += 1
                        break
        self.assertGreaterEqual(named, 10, "with its second")

    def test_look_at_a_page_touches_no_network(self):
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)
        port = server.getsockname()[1]
        (self.root / "page.html").write_text(
            f"<!doctype html><html lang=en><title>t</title><h1>Welcome home</h1><img alt='' src='http://127.0.0.1:{port}/x.png'>"
            f"<script>fetch('http://127.0.0.1:{port}/y')</script>")
        client = self.client()
        seen = client.call("lathe_look", file="page.html", expect="Welcome home")
        self.assertIn(seen["structuredContent"]["outcome"], ("pass", "fail"), seen)
        server.settimeout(0)
        with self.assertRaises(BlockingIOError):
            server.accept()
        other = client.call("lathe_look", file="page.html", expect="Quarterly report")
        self.assertEqual(other["structuredContent"]["outcome"], "fail")
        self.assertIn("Quarterly", json.dumps(other["structuredContent"]["critiques"]))
        for picture in (c for c in other["content"] if c["type"] == "image"):
            self.assertEqual(base64.b64decode(picture["data"])[:4], b"\x89PNG")

    def test_look_like(self):
        mockup = (EXAMPLES / "mockup-to-page/mockup.svg").read_bytes()
        (self.root / "a.svg").write_bytes(mockup)
        (self.root / "b.svg").write_bytes(b'<svg xmlns="http://www.w3.org/2000/svg" width="400" height="300"><rect width="400" height="300"/></svg>')
        client = self.client()
        client_like = client.call("lathe_look", file="b.svg", like="a.svg")
        self.assertEqual(client_like["structuredContent"]["outcome"], "fail")
        same = client.call("lathe_look", file="a.svg", like="a.svg")
        judges = [same["structuredContent"], *same["structuredContent"].get("others", [])]
        self.assertEqual([v["outcome"] for v in judges if v["judge"] == "same_as"], ["pass"])

    def project(self, body, test=None):
        (self.root / "calc.py").write_text(f"def add(a, b):\n    return {body}\n")
        (self.root / "test_calc.py").write_text(test or
            "import unittest, calc\nclass T(unittest.TestCase):\n    def test_add(self):\n        self.assertEqual(calc.add(2, 3), 5)\n"
            "    def test_zero(self):\n        self.assertEqual(calc.add(0, 0), 0)\n")

    def test_tests(self):
        client = self.client()
        run = {"command": "python3 -m unittest -v test_calc"}
        self.project("a - b")
        first = client.call("lathe_test", **run)["structuredContent"]
        self.assertEqual(first["outcome"], "fail")
        self.assertIn("test_add", json.dumps(first["critiques"]))
        self.project("a + b")
        now = client.call("lathe_test", **run)["structuredContent"]
        self.assertEqual(now["outcome"], "pass", now)
        since = client.call("lathe_test", since=first["run"], protect=["test_*.py"], **run)["structuredContent"]
        self.assertEqual(since["outcome"], "pass", since)
        repaired = [t for t in since["tests"] if t["before"] == "fail"]
        self.assertEqual([t["after"] for t in repaired], ["pass"], since["tests"])
        # The test made to fit the fault.
        self.project("a - b", "import unittest, calc\nclass T(unittest.TestCase):\n    def test_add(self):\n        pass\n"
                              "    def test_zero(self):\n        pass\n")
        cheat = client.call("lathe_test", since=first["run"], protect=["test_*.py"], **run)["structuredContent"]
        self.assertEqual(cheat["outcome"], "fail", cheat)
        nothing = client.call("lathe_test", command="true", format="auto")
        self.assertNotEqual(nothing["structuredContent"]["outcome"], "pass")
        self.assertTrue(client.call("lathe_test", since=now["run"][:3] + "zzz", **run)["isError"])

    def test_tests_see_no_home(self):
        (self.dir / "private.txt").write_text("do not read")
        (self.root / "test_x.py").write_text(
            "import os, socket, unittest\nclass T(unittest.TestCase):\n"
            f"    def test_home(self):\n        self.assertFalse(os.path.exists({str(self.dir / 'private.txt')!r}))\n"
            "    def test_net(self):\n        with self.assertRaises(OSError):\n"
            "            socket.create_connection(('127.0.0.1', 9), 1)\n")
        verdict = self.client().call("lathe_test", command="python3 -m unittest -v test_x")["structuredContent"]
        self.assertEqual(verdict["outcome"], "pass", verdict)

    def test_cancel_leaves_no_process(self):
        mark = f"lathe-mcp-mark-{os.getpid()}-{time.monotonic_ns()}"
        client = self.client()
        number = client.request("tools/call", {"name": "lathe_test", "arguments": {"command": f"sleep 600; : {mark}"},
                                               "_meta": {"progressToken": 1}})

        self.until(lambda: self.alive(mark) > 0)
        client.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": number}})
        self.until(lambda: self.alive(mark) == 0)
        self.assertEqual(client.ask("tools/list")["id"], number + 1, "nothing is said of what was cancelled")
        self.assertFalse([n for n in client.notes if "id" in n])

    @staticmethod
    def alive(mark):
        count = 0
        for entry in os.listdir("/proc"):
            if entry.isdigit() and int(entry) != os.getpid():
                try:
                    with open(f"/proc/{entry}/cmdline", "rb") as line:
                        count += mark.encode() in line.read()
                except OSError:
                    pass
        return count

    def test_the_protocols_own_client(self):
        mark = f"lathe-sdk-mark-{os.getpid()}-{time.monotonic_ns()}"
        self.workers()
        command = self.command("mcp", "--root", self.root)
        done = subprocess.run(["node", SOURCE / "tests/clients/mcp.mjs", *command[1:]], capture_output=True, timeout=600, cwd=self.dir,
                              env={**self.environment(), "LATHE": command[0], "ROOT": str(self.root), "MARK": mark})
        self.assertEqual(done.returncode, 0, done.stderr.decode(errors="replace")[-4000:])
        self.until(lambda: self.alive(mark) == 0)

    def workers(self):
        """Scripted models for lathe_ask and lathe_loop, and the loop's input."""
        self.write("model.toml", '[[reply]]\ntext = "Paris."\n')
        script = EXAMPLES / "rewrite/worker.toml"
        self.write(".config/lathe/workers.toml", "".join(f'[worker.{name}]\nscript = "{file}"\n' for name, file in (
            ("writer", script), ("judge", script), ("small", self.dir / "model.toml"))))
        shutil.copy(EXAMPLES / "rewrite/notice.md", self.dir / "work")

    def until(self, what):
        end = time.monotonic() + 120
        while not what():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)

    def loop(self, client, **more):
        shutil.copy(EXAMPLES / "rewrite/notice.md", self.root)
        return client.call("lathe_loop", recipe="rewrite", input="notice.md", **more)

    def test_a_loop_to_its_end(self):
        script = f"script:{EXAMPLES}/rewrite/worker.toml"
        client = self.client("--worker", f"writer={script}", "--worker", f"judge={script}")
        begun = self.loop(client)
        self.assertNotIn("isError", begun, begun)
        run = begun["structuredContent"]["run"]
        while True:
            seen = client.call("lathe_run", run=run, wait_s=50)["structuredContent"]
            if seen["state"] != "working":
                break
        self.assertEqual(seen["state"], "passed", seen)
        self.assertEqual(seen["units_passed"], seen["units"])
        self.assertTrue(seen["files"])
        for path in seen["files"]:
            self.assertTrue(path.startswith(str(self.root)), path)
            self.assertTrue(os.path.getsize(path))
        # As a task, to a client that takes those.
        task = self.loop(client, meta=TASKS)
        self.assertEqual((task["resultType"], task["status"]), ("task", "working"))
        self.until(lambda: client.ask("tasks/get", {"taskId": task["taskId"]}, TASKS)["result"]["status"] == "completed")
        done = client.ask("tasks/get", {"taskId": task["taskId"]}, TASKS)["result"]["result"]
        self.assertEqual(done["structuredContent"]["state"], "passed")
        client.end()
        # The task outlives the process that began it.
        again = self.client().ask("tasks/get", {"taskId": task["taskId"]}, TASKS)["result"]
        self.assertEqual(again["status"], "completed")

    def test_loops_that_cannot_begin(self):
        client = self.client()
        self.assertIn("rewrite", self.loop(client)["content"][0]["text"] + "rewrite")
        result = self.loop(client)
        self.assertTrue(result["isError"])
        self.assertIn("writer", result["content"][0]["text"])
        self.assertTrue(client.call("lathe_loop", recipe="no-such")["isError"])
        self.assertTrue(client.call("lathe_run", run="no-such")["isError"])
        self.assertEqual(client.ask("tasks/get", {"taskId": "no-such"}, TASKS)["error"]["code"], -32602)

    def test_ask(self):
        self.write("model.toml", '[[reply]]\nwhen = "capital"\ntext = "Paris."\n[[reply]]\nwhen = "number"\n'
                                 'text = \'{"city": 3}\'\n[[reply]]\nwhen = "city"\ntext = \'{"city": "Paris"}\'\n')
        client = self.client("--worker", f"small=script:{self.dir}/model.toml")
        plain = client.call("lathe_ask", prompt="The capital of France?")
        self.assertEqual(plain["content"][0]["text"], "Paris.")
        schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
        made = client.call("lathe_ask", prompt="Which city?", schema=schema)
        self.assertEqual(made["structuredContent"]["json"], {"city": "Paris"})
        wrong = client.call("lathe_ask", prompt="Which number?", schema=schema)
        self.assertTrue(wrong["isError"], wrong)
        self.assertTrue(client.call("lathe_ask", prompt="x", model="nobody")["isError"])


class McpHttp(Protocol, Server):
    """The same tools at POST /mcp, behind the server's gate."""
    says_nothing = None  # clients of the oldest revision do not say which one they are of

    def client(self, version=MODERN):
        if not hasattr(self, "process"):
            (self.dir / "work").mkdir()
            self.start("--mcp", self.dir / "work", "--journal", self.journal)
        return HttpClient(self.port, version)

    def test_messages_that_are_none(self):
        self.client()
        ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        deep = "[" * 1000 + "]" * 1000
        for body, code in ((b"", -32700), (b'{"jsonrpc":"2.0","id":NaN}', -32700),
                           (deep.encode(), -32700), (json.dumps([ping]).encode(), -32600), (json.dumps({**ping, "id": None}).encode(), -32600),
                           (json.dumps({**ping, "id": 1.5}).encode(), -32600)):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
            connection.request("POST", "/mcp", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            self.assertEqual(answer.status, 400, body[:80])
            refused = json.loads(answer.read())
            connection.close()
            check(MODERN, "JSONRPCErrorResponse", refused)
            self.assertEqual(refused["error"]["code"], code, body[:80])
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        connection.request("POST", "/mcp", b"\xef\xbb\xbf" + json.dumps(ping).encode(), {"Content-Type": "application/json"})
        self.assertEqual(json.loads(connection.getresponse().read())["result"], {}, "a mark of the order of bytes is passed over")
        connection.close()
        # What a line's end in Mcp-Name would make another header of stays outside.
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "lathe_run", "arguments": {"run": "x"}, "_meta": META}}
        text = json.dumps(call).encode()
        with socket.create_connection(("127.0.0.1", self.port)) as raw:
            raw.sendall(b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nMCP-Protocol-Version: " + MODERN.encode() +
                        b"\r\nMcp-Method: tools/call\r\nMcp-Name: lathe_\r\n run\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(text) + text)
            answer = raw.makefile("rb").read()
        self.assertIn(b" 400 ", answer.splitlines()[0])

    def post(self, message, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        connection.request("POST", "/mcp", json.dumps(message), {"Content-Type": "application/json", **headers})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, json.loads(text) if text else None

    def test_the_protocols_own_client(self):
        root = self.dir / "work"
        root.mkdir()
        Mcp.workers(self)
        self.start("--mcp", root, "--journal", self.journal)
        mark = f"lathe-http-mark-{os.getpid()}-{time.monotonic_ns()}"
        done = subprocess.run(["node", SOURCE / "tests/clients/mcp.mjs"], capture_output=True, timeout=600, cwd=self.dir,
                              env={**self.environment(), "MCP_URL": self.url + "/mcp", "LATHE": LATHE, "ROOT": str(root), "MARK": mark})
        self.assertEqual(done.returncode, 0, done.stderr.decode(errors="replace")[-4000:])
        end = time.monotonic() + 120
        while Mcp.alive(mark):
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)

    def test_the_gate(self):
        root = self.dir / "work"
        root.mkdir()
        self.start("--mcp", root, "--journal", self.journal)
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": META}}
        headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/list"}
        status, listed = self.post(call, **headers)
        self.assertEqual(status, 200)
        check(MODERN, "ListToolsResultResponse", listed)
        self.assertEqual(self.post(call, Origin="http://evil.example", **headers)[0], 403)
        self.assertEqual(self.post(call, Host="evil.example", **headers)[0], 403)
        self.assertEqual(self.post(call, **{**headers, "Mcp-Method": "tools/call"})[1]["error"]["code"], -32020)
        self.assertEqual(self.call("/mcp", status=405)["error"]["type"], "invalid_request_error")
        self.end()
        self.start("--journal", self.journal)
        self.assertEqual(self.post(call, **headers)[0], 404, "no tools unless they are asked for")


if __name__ == "__main__":
    unittest.main()
