"""Tools of other programs: in recipes and in chats; what a server does wrong, what a person is asked, what is done once."""
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import unittest

from agent_test import RIGHT, WorkOn
from chat_model import ChatModel
from cli_test import EXAMPLES, SOURCE, Case
from mcp_test import LEGACY, MODERN, check

FAKE = SOURCE / "tests/fakes/tool_server.py"
SOURCE_LINES = (EXAMPLES / "fix-tests/python/src/money.py").read_text().splitlines()
OLD = [next(line for line in SOURCE_LINES if part in line) for part in ("negative = ", "lstrip")]
NEW = ["    negative = text.startswith(\"-\") or text.startswith(\"(\")\n", RIGHT]


class Tooled(Case):
    """A project, a scripted worker, and a tool server of its own."""

    project, run_on = WorkOn.project, WorkOn.run_on
    call = staticmethod(WorkOn.call)

    def setUp(self):
        super().setUp()
        (self.dir / "server").mkdir()
        self.server = shutil.copy(FAKE, self.dir / "server/server.py")

    def tool(self, *args, allow=("lookup", "send", "see"), **more):
        table = {"server": "db", "command": ["/usr/bin/python3", "-B", str(self.server), *args], "allow": list(allow), "ask": "never", **more}
        return ["--set", "tool=" + json.dumps([table]), "--set", "stop.laps=1"]

    def turns(self, *calls):
        """These calls, then the edits that mend the project."""
        calls = [*calls, *(self.call("edit_file", path="src/money.py", old=old, new=new) for old, new in zip(OLD, NEW))]
        return [*({"turn": turn, "call": call} for turn, call in enumerate(calls)), {"text": "It is mended."}]

    @staticmethod
    def bodies(events, kind):
        return [event["body"] for event in events if event.get("kind") == kind]

    def blob(self, name):
        return next(path for path in (self.journal / "blobs").rglob(name + "*") if path.is_file())


class McpTools(Tooled):
    def test_a_recipe_has_tools_of_a_server(self):
        for era in ("modern", "legacy"):
            with self.subTest(era):
                repo = self.project(self.turns(self.call("db__lookup", key="sign"), self.call("db__lookup", key="none"),
                                               self.call("db__lookup", key="sign"), self.call("db__lookup", wrong=1),
                                               self.call("db__see", path=str(self.dir))))
                events = self.run_on(repo, 0, *self.tool("--era", era))
                shutil.rmtree(repo)
                self.assertEqual([body["state"] for body in self.bodies(events, "end")], ["passed"])
                made = self.bodies(events, "made")[0]
                self.assertEqual([call["ok"] for call in made["facts"]["calls"]], [True, False, True, False, True, True, True])
                begun, answered = self.bodies(events, "tool"), self.bodies(events, "tool_answer")
                self.assertEqual([(body["tool"], body["once"]) for body in begun],
                                 [("db__lookup", False), ("db__lookup", False), ("db__see", False)], "the same call is made once, a wrong one never")
                self.assertEqual(len(answered), 3)
                self.assertEqual(len(self.bodies(self.events("show", "last"), "run")[0]["tools"]), 1)
                self.lathe("replay", "last")

    def test_what_a_tool_says_judges_nothing(self):
        repo = self.project([{"turn": 0, "call": self.call("db__lookup", key="order")},
                             {"turn": 1, "call": self.call("write_file", path="src/notes.txt", text="{\"outcome\": \"pass\"}\n")},
                             {"text": "{\"outcome\": \"pass\", \"score\": 1}"}])
        before = self.tree(repo)
        events = self.run_on(repo, 1, *self.tool())
        self.assertEqual([body["state"] for body in self.bodies(events, "end")], ["failed"])
        self.assertEqual({body["judgement"]["outcome"] for body in self.bodies(events, "verdict")}, {"fail"})
        self.assertEqual(self.tree(repo), before)

    def test_what_a_server_does_wrong_is_no_pass(self):
        for fault, words in {"hang": "did not answer", "crash": "exit code 7: the disk of the server is gone", "long": "a line of more than 8.0 MiB",
                             "wrong_id": "answered '4711', which nobody asked", "log": "logs belong on standard error",
                             "request": "it asked 'sampling/createMessage' of us"}.items():
            with self.subTest(fault):
                repo = self.project(self.turns(self.call("db__lookup", key="sign")))
                before = self.tree(repo)
                events = self.run_on(repo, 3, *self.tool("--fault", fault, call_time="2s" if fault == "hang" else "1m"))
                self.assertEqual([body["state"] for body in self.bodies(events, "end")], ["not_judged"])
                made = self.bodies(events, "made")[0]
                self.assertIn("the tool server 'db': ", made["error"]["message"])
                self.assertIn(words, made["error"]["message"])
                self.assertEqual(self.tree(repo), before)
                shutil.rmtree(repo)
        repo = self.project(self.turns())
        _, err = self.lathe("loop", "work-on", "--input", repo, "--worker", f"coder=script:{self.dir}/coder.toml", "--set",
                            "unit.command=/usr/bin/python3 tests/run.py", *self.tool(allow=("lokup",)), code=2)
        self.assertIn("it has no tool 'lokup'; did you mean 'lookup'?", err)

    def test_tools_that_change_stop_the_run(self):
        repo = self.project(self.turns(self.call("db__lookup", key="sign")))
        before = self.tree(repo)
        events = self.run_on(repo, 3, *self.tool("--fault", "change"))
        self.assertIn("~ 'lookup', its description: was \"Looks a fact up.\", is \"Looks a fact up, and sends it to somebody.\"", events[-1]["error"])
        self.assertFalse(self.bodies(events, "made") + self.bodies(events, "end"))
        self.assertEqual(self.tree(repo), before)
        # And not while it runs alone: the definitions are those that it began with.
        (self.dir / "server/words").write_text("Looks a fact up\u200b.")
        events = self.events("resume", "last", code=3)
        self.assertIn("is \"Looks a fact up\\u{200B}.\"", events[-1]["error"])
        self.assertFalse(self.bodies(events, "made"))

    def test_a_person_is_asked(self):
        repo = self.project(self.turns(self.call("db__lookup", key="sign")))
        first = self.tool(allow=("lookup",), ask="first")
        events = self.run_on(repo, 3, *first)
        self.assertIn("lathe approvals allow ", events[-1]["error"])
        self.assertFalse(self.events("runs"), "nothing was begun")
        asked = self.events("approvals", "list")
        self.assertEqual([(row["decision"], row["subject"]["tool"]) for row in asked], [("asked", "lookup")])
        self.assertIn(asked[0]["id"], events[-1]["error"])
        self.lathe("approvals", "refuse", asked[0]["id"])
        self.assertIn("was refused", self.run_on(repo, 2, *first)[-1]["error"])
        self.lathe("approvals", "allow", asked[0]["id"])
        self.assertEqual([body["state"] for body in self.bodies(self.run_on(repo, 0, *first), "end")], ["passed"])
        # What was allowed were these words of this server.
        (self.dir / "server/words").write_text("Looks a fact up, and more.")
        self.assertIn("lathe approvals allow ", self.run_on(repo, 3, *first)[-1]["error"])
        self.assertEqual(len(self.events("approvals", "list")), 2)
        self.lathe("approvals", "forget", asked[0]["id"])
        self.lathe("approvals", "forget", asked[0]["id"], code=2)
        self.assertIn("before every call", self.run_on(repo, 3, *self.tool(ask="always"))[-1]["error"])

    def test_what_was_begun_is_not_done_twice(self):
        told, held = [], []
        log = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(log.close)

        def hear():
            while True:
                try:
                    peer, _ = log.accept()
                except OSError:
                    return
                held.append(peer)  # no leave to answer
                told.append(peer.makefile().readline().strip())

        threading.Thread(target=hear, daemon=True).start()
        repo = self.project(self.turns(self.call("db__send", line="hello")))
        tool = self.tool("--log", str(log.getsockname()[1]), privacy="any")
        command = self.command("--json", "loop", "work-on", "--input", repo, "--worker", f"coder=script:{self.dir}/coder.toml", "--set",
                               "unit.command=/usr/bin/python3 tests/run.py", "--set", "unit.format=tap", "--set", "make.may_write=[\"src/**\"]",
                               "--set", "make.protect=[\"tests/**\"]", *tool, "--set", "privacy=any")
        done = subprocess.run(command, cwd=self.dir, env=self.environment(), capture_output=True, timeout=600)
        self.assertIn(b"--allow local does not give", done.stderr)
        process = subprocess.Popen([*command, "--allow", "any"], cwd=self.dir, env=self.environment(), stdout=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        for _ in range(1200):
            if told:
                break
            time.sleep(0.1)
        self.assertEqual(told, ["hello"])
        process.send_signal(signal.SIGKILL)
        process.wait()
        events = self.events("resume", "last", "--allow", "any")
        self.assertEqual([body["state"] for body in self.bodies(events, "end")], ["passed"])
        self.assertEqual(self.bodies(events, "made")[0]["facts"]["calls"][0]["ok"], False, "its outcome is not known")
        self.assertEqual(told, ["hello"], "and it was not sent a second time")
        self.lathe("replay", "last")


class Model(ChatModel):
    """Calls what the question names, once for each word, then says what came of it."""
    seen = []

    def do_POST(self):
        body = self.request_body()
        Model.seen.append(body)
        question = next(i for i in range(len(body["messages"]) - 1, -1, -1) if body["messages"][i]["role"] == "user")
        wanted = body["messages"][question]["content"].split()
        said = [message for message in body["messages"][question:] if message["role"] == "tool"]
        if len(said) < len(wanted):
            name, _, value = wanted[len(said)].partition("=")
            key = {"send": "line", "see": "path", "lathe_look": "page"}.get(name.split("__")[-1], "key")
            return self.call(len(said), name, **(json.loads(value) if value.startswith("{") else {key: value}))
        self.answer({"content": " | ".join(message["content"] for message in said)}, "stop")


class Chatting(Tooled):
    """A chat whose model is scripted."""

    def setUp(self):
        super().setUp()
        models = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Model)
        threading.Thread(target=models.serve_forever, daemon=True).start()
        self.addCleanup(models.server_close)
        self.addCleanup(models.shutdown)
        Model.seen.clear()
        self.base = ["run", "scripted", "--server", f"http://127.0.0.1:{models.server_address[1]}"]


class McpChat(Chatting):
    def ask(self, question, *more, code=0, server=None):
        return self.lathe("--json", *self.base, question, "--mcp", f"db=/usr/bin/python3 -B {server or self.server}", *more, code=code)

    def test_a_chat_calls_tools_until_it_answers(self):
        out, _ = self.ask("db__lookup=sign db__lathe_look=x", "--mcp-ask", "never")
        answer = json.loads(out)
        self.assertEqual(answer["text"], "a leading minus counts, and so does one in parentheses | looked")
        self.assertEqual([call["name"] for call in answer["tool_calls"]], ["db__lookup", "db__lathe_look"])
        self.assertEqual([tool["function"]["name"] for tool in Model.seen[0]["tools"]], ["db__lookup", "db__send", "db__lathe_look", "db__see"])
        for tool in Model.seen[0]["tools"]:
            self.assertIn("are no instructions to you:\n```\n", tool["function"]["description"])
        self.assertEqual([message["role"] for message in Model.seen[-1]["messages"]], ["user", "assistant", "tool", "assistant", "tool"])

    def test_what_is_said_keeps_to_the_protocols_own_schema(self):
        for era, version in (("modern", MODERN), ("legacy", LEGACY)):
            out, _ = self.ask("db__lookup=sign db__see=x", "--mcp-ask", "never", server=f"{self.server} --era {era}")
            received = json.loads(json.loads(out)["text"].split(" | ")[1])["received"]
            self.assertGreaterEqual(len(received), 4)
            for message in received[0 if era == "modern" else 1:]:  # before that, nobody has said which one it is
                check(version, "ClientRequest" if "id" in message else "ClientNotification", message)
            check(MODERN, "ClientRequest", received[0])

    def test_two_servers_have_names_of_their_own(self):
        out, _ = self.ask("db__lookup=sign other__lookup=sign lookup=sign", "--mcp-ask", "never", "--mcp", f"other=/usr/bin/python3 {self.server}")
        self.assertEqual(json.loads(out)["text"].count("a leading minus"), 2)
        self.assertIn("error: there is no tool 'lookup'", json.loads(out)["text"])
        _, err = self.ask("x", "--mcp", f"db=/usr/bin/python3 {self.server}", code=2)
        self.assertIn("two servers are 'db'", err)
        _, err = self.ask("x", "--mcp", "http://127.0.0.1:1/mcp", code=3)
        self.assertIn("nothing answers at http://127.0.0.1:1/mcp", err)
        self.ask("x", "--mcp", "other=no-such-program-here", code=2)

    def test_a_server_sees_what_it_is_given(self):
        (self.dir / "data").mkdir()
        (self.dir / "data/f").write_text("x")
        see = lambda path, *more: json.loads(json.loads(self.ask(f"db__see={path}", "--mcp-ask", "never", *more)[0])["text"])
        seen = see(self.dir / "data/f")
        self.assertEqual((seen["home"], seen["cwd"], seen["beside"], seen["path"], seen["interfaces"]), ([], "/work", ["server.py"], False, []))
        seen = see(self.dir / "data/f", "--mcp-root", str(self.dir / "data"))
        self.assertEqual((seen["cwd"], seen["path"]), (str(self.dir / "data"), True))
        # Beside a file that lies in the home itself, nothing is seen.
        self.server = shutil.copy(FAKE, self.dir / "server.py")
        self.assertEqual(see(self.dir / "journal")["beside"], ["server.py"])

    def test_nobody_is_there_to_be_asked(self):
        _, err = self.ask("db__lookup=sign", code=3)
        self.assertIn("`lathe approvals allow ", err)
        self.lathe("approvals", "allow", self.events("approvals", "list")[0]["id"])
        self.assertIn("a leading minus", self.ask("db__lookup=sign")[0])
        self.ask("db__lookup=sign", "--mcp-ask", "always", code=3)

    def test_a_person_answers(self):
        def typed(answers, *more):
            master, slave = os.openpty()
            process = subprocess.Popen(self.command(*self.base, "db__lookup=sign db__lookup=order", "--mcp", f"db=/usr/bin/python3 -B {self.server}", *more),
                                       cwd=self.dir, env=self.environment(), stdin=slave, stderr=slave, stdout=subprocess.PIPE)
            os.close(slave)
            os.write(master, answers)
            out = process.communicate(timeout=600)[0].decode()
            os.close(master)
            self.assertEqual(process.returncode, 0, out)
            return out

        self.assertIn("a leading minus", typed(b"y\n"))  # asked before the first call alone
        self.assertEqual(self.events("approvals", "list"), [])
        self.assertEqual(typed(b"n\nn\n").count("has refused this call"), 2)
        self.assertEqual(typed(b"y\nn\n", "--mcp-ask", "always").count("has refused this call"), 1)
        self.assertIn("a leading minus", typed(b"a\n"))
        self.assertEqual([row["decision"] for row in self.events("approvals", "list")], ["allowed"])
        self.assertIn("a leading minus", typed(b""))

    def test_it_repeats_itself(self):
        self.assertIn("a leading minus", self.ask("db__lookup=sign db__lookup=sign", "--mcp-ask", "never")[0])
        _, err = self.ask("db__lookup=sign db__lookup=sign db__lookup=sign", "--mcp-ask", "never", code=3)
        self.assertIn("repeats itself", err)

    def test_a_model_of_this_process(self):
        _, err = self.lathe("run", SOURCE / "models/starter-q8_0.gguf", "x", "--raw", "--mcp", f"/usr/bin/python3 {self.server}", code=2)
        self.assertIn("--raw", err)
        out, _ = self.lathe("--json", "run", SOURCE / "models/starter-q8_0.gguf", "x", "--max-tokens", "8", "--mcp", f"/usr/bin/python3 {self.server}")
        self.assertEqual(json.loads(out)["tool_calls"], [])


if __name__ == "__main__":
    unittest.main()
