"""A coding agent that people use (opencode, from npm), without a person, its model a script behind `lathe serve` and its tools those of
`lathe mcp`: it has a spoiled take judged, reads the verdict, makes the take again and has that judged."""
import http.server
import json
import subprocess
import threading
import unittest
import wave

from chat_model import ChatModel
from cli_test import LATHE, SOURCE
from serve_test import Server

LINE = "Please put the kettle on the stove"


def opencode():
    """The program itself: npm installs the one of this processor."""
    found = sorted((SOURCE / "tests/clients/node_modules").glob("opencode-linux-*/bin/opencode"))
    assert found, "tools/install-clients.sh installs opencode"
    return str(found[0])


class Model(ChatModel):
    """Decides by what the last tool said, as a model does that wants the take to pass."""
    seen = []  # what tools said, in order

    def do_POST(self):
        body = self.request_body()
        offered = [tool["function"]["name"] for tool in body.get("tools", [])]
        listen = next((name for name in offered if name.endswith("lathe_listen")), "")
        last = body["messages"][-1]
        if not listen:  # a title for the session
            return self.answer({"content": "A take"}, "stop")
        if last["role"] != "tool":
            return self.call(len(self.seen), listen, audio="take.wav", expect=LINE)
        said = last["content"] if isinstance(last["content"], str) else "".join(part.get("text", "") for part in last["content"])
        self.seen.append(said)
        if said.startswith("fail"):
            return self.call(len(self.seen), "bash", command=f"{LATHE} speak '{LINE}' --out take.wav --force", description="Speaks it again")
        if said.startswith("pass"):
            return self.answer({"content": "The take passes."}, "stop")
        self.call(len(self.seen), listen, audio="take.wav", expect=LINE)


class AgentClient(Server):
    def test_a_spoiled_take_is_made_again(self):
        models = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Model)
        threading.Thread(target=models.serve_forever, daemon=True).start()
        self.addCleanup(models.server_close)
        self.addCleanup(models.shutdown)
        self.start("--remote", f"script=http://127.0.0.1:{models.server_address[1]}")

        project = self.dir / "project"
        project.mkdir()
        self.lathe("speak", LINE, "--out", project / "take.wav")
        with wave.open(str(project / "take.wav")) as sound:  # its second half is lost
            params, data = sound.getparams(), sound.readframes(sound.getnframes() // 2)
        with wave.open(str(project / "take.wav"), "wb") as sound:
            sound.setparams(params)
            sound.writeframes(data)
        (project / "opencode.json").write_text(json.dumps({
            "$schema": "https://opencode.ai/config.json", "share": "disabled", "autoupdate": False, "permission": "allow",
            "provider": {"lathe": {"npm": "@ai-sdk/openai-compatible", "options": {"baseURL": self.url + "/v1"},
                                   "models": {"scripted": {}}}},
            "model": "lathe/scripted",
            "mcp": {"lathe": {"type": "local", "command": self.command("mcp", "--root", ".")}},
        }))
        done = subprocess.run([opencode(), "run", "--format", "json", "Does take.wav say what it should?"], cwd=project, timeout=600,
                              capture_output=True, env={**self.environment(), "OPENCODE_DISABLE_MODELS_FETCH": "1"})
        out = done.stdout.decode(errors="replace")
        self.assertEqual(done.returncode, 0, out + done.stderr.decode(errors="replace"))
        events = [json.loads(line) for line in out.splitlines()]
        used = [event["part"] for event in events if event["type"] == "tool_use"]
        self.assertEqual([part["tool"].rsplit("_", 1)[-1] for part in used], ["listen", "bash", "listen"], out)
        self.assertEqual([part["state"]["status"] for part in used], ["completed"] * 3)
        self.assertEqual([said.split(":")[0] for said in (Model.seen[0], Model.seen[2])], ["fail", "pass"], Model.seen)
        self.assertIn("stove", Model.seen[0])
        self.assertIn("The take passes.", [event["part"]["text"] for event in events if event["type"] == "text"])
        runs = self.events("runs")
        self.assertEqual([run["state"] for run in runs], ["passed", "failed"], "each verdict is a run, the newest first")


if __name__ == "__main__":
    unittest.main()
