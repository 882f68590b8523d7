"""What goes to a cloud goes by a person's word on the exact bytes. The cloud is a server on loopback that is called one."""
import hashlib
import http.server
import json
import signal
import subprocess
import threading
import time
import unittest

from cli_test import Case
from outcome_test import CART, RECIPE as FIX, RIGHT, RUNNER, answer

KEY = "key-of-the-cloud"
SECRET = "AKIAIOSFODNN7EXAMPLE"
RECIPE = """recipe = "say"
version = 1
privacy = "any"
[unit]
from = "units.txt"
[make]
kind = "text"
ladder = {ladder}
task = "Say it."
max_tokens = 1000
[[judge]]
kind = "text"
forbidden_patterns = ["draft"]
"""
PRICES = """table = "test"
date = "2026-01-01"
currency = "USD"
unit = "million tokens"
source = "the test"
[[price]]
model = "big-1"
in = 0.1
out = 400.0
"""


class Cloud:
    """`busy`: so many requests are told to come again at once. Whoever connects is counted, whether a byte comes or not."""

    def __init__(self, test, api="openai", busy=0, says="hello"):
        self.connections, self.requests, self.busy, self.says = 0, [], busy, says
        cloud = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_GET(self):
                cloud.requests.append((self.path, dict(self.headers), b""))
                self.send_error(404)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                cloud.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
                if cloud.busy:
                    cloud.busy -= 1
                    self.send_response(429)
                    self.send_header("Retry-After", "0")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                for event in getattr(cloud, api)():
                    self.wfile.write(f"event: {event.get('type', 'x')}\ndata: {json.dumps(event)}\n\n".encode())

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def verify_request(self, *args):
                cloud.connections += 1
                return True

        self.server = Server(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        test.addCleanup(self.server.server_close)
        test.addCleanup(self.server.shutdown)

    def bodies(self):
        return [body for _, _, body in self.requests]

    def openai(self):
        yield {"model": "big-1", "choices": [{"index": 0, "delta": {"content": self.says}, "finish_reason": None}]}
        yield {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 9, "completion_tokens": 1}}

    def anthropic(self):
        yield {"type": "message_start", "message": {"model": "big-1", "usage": {"input_tokens": 9, "output_tokens": 1}}}
        yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        yield {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": self.says}}
        yield {"type": "content_block_stop", "index": 0}
        yield {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}}
        yield {"type": "message_stop"}

    def gemini(self):
        yield {"candidates": [{"content": {"parts": [{"text": self.says}], "role": "model"}, "finishReason": "STOP"}],
               "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 1}, "modelVersion": "big-1"}


class ConsentCase(Case):
    def setUp(self):
        super().setUp()
        self.write("units.txt", "one\n")
        # Never the same twice, and never right: after a repair and a fresh start the next rung is asked.
        self.write("small.toml", "".join(f'[[reply]]\npurpose = "make"\nlap = {lap}\ntext = "draft number {lap}"\n' for lap in range(1, 7)))
        self.recipe("big")

    def environment(self):
        return super().environment() | {"CLOUD_KEY": KEY}

    def recipe(self, *ladder):
        self.write("say.toml", RECIPE.format(ladder=json.dumps(ladder)))

    def cloud(self, api="openai", **kwargs):
        cloud = Cloud(self, api, **kwargs)
        self.write(".config/lathe/workers.toml", f"""[worker.big]
url = "{cloud.origin}"
model = "big-1"
api = "{api}"
tier = "cloud"
key_env = "CLOUD_KEY"
[worker.small]
script = "{self.dir}/small.toml"
""")
        return cloud

    def loop(self, *more, wait="0s", **kwargs):
        return self.lathe("loop", "say.toml", "--allow", "any", "--consent-wait", wait, *more, **kwargs)

    def asked(self, decision="asked"):
        return [row for row in self.events("consent", "list") if row["decision"] == decision]

    def started(self, *args):
        process = subprocess.Popen(self.command(*args), cwd=self.dir, env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def until_asked(self):
        end = time.monotonic() + 120
        while time.monotonic() < end:
            if rows := self.asked():
                return rows[0]
            time.sleep(0.1)
        self.fail("nobody was asked for consent")

    def until_said(self, words, *args):
        end = time.monotonic() + 120
        while time.monotonic() < end:
            if words in (out := self.lathe(*args, code=None)[0]):
                return
            time.sleep(0.1)
        self.fail(f"{words!r} is not in {out}")

    def consents_in_journal(self):
        self.lathe("export", "last", "exported")
        records = [json.loads(line) for line in (self.dir / "exported/records.jsonl").read_text().splitlines()]
        return [(each["kind"], each["body"]["consent"], each["body"].get("given")) for each in records if each["kind"].startswith("consent")]


class Consent(ConsentCase):
    def test_no_byte_leaves_before_and_these_bytes_leave_after(self):
        cloud = self.cloud()
        out, _ = self.loop(code=3)
        self.assertEqual(cloud.connections, 0, "not a byte")
        row, = self.asked()
        self.assertIn(f"lathe consent show {row['id']}", out)
        self.assertEqual(row["destination"], cloud.origin + "/v1/chat/completions")
        self.assertEqual((row["model"], row["purpose"]), ("big-1", "make"))
        shown = subprocess.run(self.command("consent", "show", row["id"]), capture_output=True, env=self.environment(), check=True).stdout
        self.assertEqual(hashlib.sha256(shown).hexdigest(), row["sha256"])
        self.assertEqual(self.events("consent", "show", row["id"])[0]["text"].encode(), shown)
        self.assertIn(b"Say it.", shown)
        self.lathe("resume", "last", "--consent-wait", "0s", code=3)
        self.assertEqual((cloud.connections, len(self.asked())), (0, 1), "the same bytes, asked once")
        self.lathe("consent", "approve", row["id"])
        self.lathe("resume", "last", "--consent-wait", "0s")
        self.assertEqual(cloud.bodies(), [shown])
        self.assertEqual(cloud.requests[0][1]["authorization"], f"Bearer {KEY}")
        # One byte more is another question.
        self.write("units.txt", "one!\n")
        self.loop(code=3)
        self.assertEqual((len(cloud.requests), len(self.asked())), (1, 1))
        self.lathe("consent", "forget", row["id"])
        self.lathe("consent", "show", row["id"], code=None)
        self.write("units.txt", "one\n")
        self.loop(code=3)
        self.assertEqual(len(cloud.requests), 1, "what is forgotten is asked for again")

    def test_what_was_asked_goes_with_its_run(self):
        self.cloud()
        words = b"the words of one unit"
        holding = lambda: [path for path, data in self.tree(self.dir).items() if words in data and path != "units.txt"]
        self.write("units.txt", words.decode() + "\n")
        self.loop(code=3)
        row, = self.asked()
        self.assertTrue(any(row["id"] in str(path) for path in holding()))
        self.write("units.txt", "two\n")
        self.loop(code=3)
        out, _ = self.lathe("rm", row["run"], "--erase")
        self.assertIn("and 1 consent", out)
        self.assertEqual(holding(), [])
        other, = self.asked()
        self.assertNotEqual(other["run"], row["run"])

    def test_both_the_recipe_and_the_command_line_must_reach_that_far(self):
        cloud = self.cloud()
        self.lathe("loop", "say.toml", code=3)
        self.write("say.toml", RECIPE.format(ladder='["big"]').replace('"any"', '"lan"'))
        out, _ = self.loop(code=3)
        self.assertIn('privacy = "any"', out)
        self.assertEqual((cloud.connections, self.asked()), (0, []))

    def test_a_run_waits_and_goes_on(self):
        cloud = self.cloud()
        process = self.started("loop", "say.toml", "--allow", "any", "--consent-wait", "10m")
        row = self.until_asked()
        self.assertEqual(cloud.connections, 0)
        self.until_said(f"waits for consent {row['id']}", "show", "last")
        self.lathe("consent", "approve", row["id"])
        out, err = process.communicate(timeout=300)
        self.assertEqual(process.returncode, 0, (out, err))
        self.assertIn(f"waits for consent {row['id']}", err.decode())
        self.assertEqual([hashlib.sha256(body).hexdigest() for body in cloud.bodies()], [row["sha256"]])
        # The waiting stands in the journal, and the decisions are the same without it.
        self.assertNotIn("waits for consent", self.lathe("show", "last")[0])
        self.assertEqual(self.consents_in_journal(), [("consent", row["id"], None), ("consent_answer", row["id"], True)])
        self.lathe("replay", "last")

    def test_killed_while_it_waits_it_asks_again(self):
        cloud = self.cloud()
        process = self.started("loop", "say.toml", "--allow", "any", "--consent-wait", "10h")
        row = self.until_asked()
        self.until_said(f"waits for consent {row['id']}", "show", "last")
        process.kill()
        process.communicate(timeout=120)
        self.lathe("consent", "approve", row["id"])
        self.lathe("resume", "last")
        self.assertEqual([hashlib.sha256(body).hexdigest() for body in cloud.bodies()], [row["sha256"]])
        self.assertEqual(self.consents_in_journal(), [("consent", row["id"], None)])
        self.assertNotIn("waits for consent", self.lathe("show", "last")[0])
        self.lathe("replay", "last")

    def test_ctrl_c_ends_the_wait(self):
        cloud = self.cloud()
        process = self.started("loop", "say.toml", "--allow", "any", "--consent-wait", "10h")
        self.until_asked()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=120)
        self.assertEqual(process.returncode, 130)
        self.assertEqual(cloud.connections, 0)

    def test_denied_is_the_next_rung(self):
        cloud = self.cloud()
        self.write("small.toml", '[[reply]]\npurpose = "make"\ntext = "hello"\n')
        self.recipe("big", "small")
        process = self.started("loop", "say.toml", "--allow", "any", "--consent-wait", "10m")
        row = self.until_asked()
        self.lathe("consent", "deny", row["id"])
        out, err = process.communicate(timeout=300)
        self.assertEqual(process.returncode, 0, (out, err))
        self.assertIn(f"consent {row['id']} was denied", out.decode())
        self.assertEqual(cloud.connections, 0)

    def test_the_last_rung_is_a_cloud(self):
        cloud = self.cloud()
        self.recipe("small", "big")
        self.loop(code=3)
        self.assertEqual(cloud.connections, 0)
        row, = self.asked()
        text = self.events("consent", "show", row["id"])[0]["text"]
        self.assertIn("draft number 1", text, "the best so far, and what is wrong with it")
        self.lathe("consent", "approve", row["id"])
        self.lathe("resume", "last", "--consent-wait", "0s")
        self.assertEqual([body.decode() for body in cloud.bodies()], [text])

    def test_a_secret_stays(self):
        cloud = self.cloud()
        self.write("units.txt", f"say {SECRET}\n")
        out, _ = self.loop(wait="10h", code=3)  # nobody is waited for
        self.assertIn("denied: secret", out)
        row, = self.asked("refused")
        self.assertEqual(row["secrets"], ["a key of AWS"])
        for command in (["consent", "approve", row["id"]], ["approvals", "allow", row["id"]]):
            self.assertIn("--secret-ok", self.lathe(*command, code=None)[1])
        self.lathe("resume", "last", code=3)
        self.assertEqual(cloud.connections, 0)
        self.lathe("consent", "approve", row["id"], "--secret-ok", "a key of AWS")
        self.lathe("resume", "last")
        self.assertEqual(len(cloud.requests), 1)

    def test_a_key_file_is_for_its_owner_alone(self):
        cloud = self.cloud()
        workers = self.dir / ".config/lathe/workers.toml"
        workers.write_text(workers.read_text().replace('key_env = "CLOUD_KEY"', 'key_file = "big.key"'))
        key = self.write(".config/lathe/big.key", KEY + "\n")
        key.chmod(0o644)
        self.assertIn("chmod 600", self.loop(code=None)[1])
        key.chmod(0o600)
        self.loop(code=3)
        self.lathe("consent", "approve", self.asked()[0]["id"])
        self.lathe("resume", "last")
        self.assertEqual(cloud.requests[0][1]["authorization"], f"Bearer {KEY}")


class ConsentRules(ConsentCase):
    def rule(self, cloud, *more):
        self.lathe("consent", "rule", "add", "--to", cloud.origin + "/v1", "--money", "1.00 USD", "--until", "2099-01-01", *more)

    def test_its_money_runs_out(self):
        cloud = self.cloud()
        self.write(".config/lathe/prices/test.toml", PRICES)
        self.write("units.txt", "one\ntwo\nthree\n")
        self.rule(cloud, "--unknown-paths")
        self.loop(code=3)  # at most 0.4 USD each
        self.assertEqual((len(cloud.requests), len(self.asked())), (2, 1))
        rule, = self.events("consent", "rule", "list")
        self.assertTrue(rule["charged_today"].startswith("0.80"), rule)
        self.lathe("consent", "rule", "remove", rule["id"])
        self.assertEqual(self.events("consent", "rule", "list"), [])

    def test_a_request_that_tells_no_files_needs_a_rule_that_says_so(self):
        cloud = self.cloud()
        self.write(".config/lathe/prices/test.toml", PRICES)
        self.rule(cloud, "--path", "**")
        self.loop(code=3)
        self.assertEqual(cloud.connections, 0)

    def test_the_files_of_a_tree(self):
        for glob, code in (("lib/**", 3), ("src/**", 0)):
            with self.subTest(glob):
                cloud = self.cloud(says=answer(RIGHT))
                self.write(".config/lathe/prices/test.toml", PRICES)
                self.rule(cloud, "--path", glob)
                for name, text in {"src/cart.py": CART, "tests/run.py": RUNNER}.items():
                    self.write(f"tree/{name}", text)
                self.write("tree/recipe.toml", FIX.replace("version = 1", 'version = 1\nprivacy = "any"').replace('"coder"', '"big"')
                           .replace('may_write', 'max_tokens = 1000\nmay_write'))
                self.lathe("loop", "tree/recipe.toml", "--input", "tree", "--allow", "any", "--consent-wait", "0s", code=code)
                self.assertEqual(len(cloud.requests), 1 if code == 0 else 0)
                if code:
                    self.assertEqual(self.asked()[0]["files"], "src/cart.py")


class ConsentApis(ConsentCase):
    def through(self, api, path, header):
        cloud = self.cloud(api, busy=1)
        self.loop(code=3)
        self.assertEqual(cloud.connections, 0)
        row, = self.asked()
        self.assertEqual(row["destination"], cloud.origin + path.partition("?")[0])
        self.lathe("consent", "approve", row["id"])
        self.lathe("resume", "last", "--consent-wait", "0s")
        self.assertEqual([hashlib.sha256(body).hexdigest() for body in cloud.bodies()], [row["sha256"]] * 2, "once more, as it was busy")
        self.assertEqual({where for where, _, _ in cloud.requests}, {path})
        self.assertEqual(cloud.requests[-1][1][header], KEY)
        return json.loads(cloud.bodies()[-1])

    def test_anthropic(self):
        body = self.through("anthropic", "/v1/messages", "x-api-key")
        self.assertEqual((body["model"], body["max_tokens"]), ("big-1", 1000))
        self.assertIn("Say it.", body["system"] + json.dumps(body["messages"]))

    def test_gemini(self):
        body = self.through("gemini", "/v1beta/models/big-1:streamGenerateContent?alt=sse", "x-goog-api-key")
        self.assertEqual(body["generationConfig"]["maxOutputTokens"], 1000)
        self.assertIn("Say it.", json.dumps(body))


if __name__ == "__main__":
    unittest.main()
