"""One model on two machines, here two processes on loopback: the same answers, and what is said when one is lost."""
import http.client
import json
import queue
import signal
import subprocess
import threading
import time
import unittest

from cli_test import LATHE
from serve_test import MODELS, Server

MODEL = MODELS / "llama-q4_0.gguf"
PATIENCE = 120  # seconds, of a loaded machine


class Link(Server):
    def setUp(self):
        super().setUp()
        for file in self.models.iterdir():
            file.unlink()
        self.model = self.models / "tiny.gguf"
        self.model.write_bytes(MODEL.read_bytes())

    def partner(self, *args, model=None, address="127.0.0.1:0"):
        """`lathe link`; its lines come in self.said."""
        process = subprocess.Popen([LATHE, "--json", "link", str(model or self.model), "--listen", address, "--threads", "1", *args],
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=self.dir, env=self.environment())
        self.addCleanup(self.finish, process)
        ready = json.loads(process.stdout.readline())
        self.assertEqual(ready["event"], "ready")
        self.said = queue.Queue()

        def listen(said=self.said):
            for line in process.stdout:
                said.put(json.loads(line)["message"])
        threading.Thread(target=listen, daemon=True).start()
        self.address = ready["address"]
        return process

    def finish(self, process):
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(60), 0)
        process.stdout.close()

    def hears(self, text):
        while True:
            line = self.said.get(timeout=PATIENCE)
            if text in line:
                return line

    def ask(self, text, status=200):
        return self.chat(text, "tiny", status, logit_bias={str(i): -100 for i in range(256, 319)})

    def bits(self, text):
        choice = self.ask(text)["choices"][0]
        return choice["message"]["content"], choice["logprobs"]

    def test_the_same_answers_and_a_partner_that_is_lost(self):
        prompts = ["Hello", "Hello there, " * 30, "Hello there, " * 30 + "again", "and " * 200]
        self.start()
        alone = [self.bits(prompt) for prompt in prompts]
        self.end()
        partner = self.partner()
        self.start("--link", self.address, "--link-layers", "1")
        for prompt, expected in zip(prompts, alone):
            self.assertEqual(self.bits(prompt), expected)
        (model,) = self.status()["models"]
        self.assertEqual(model["state"], "ready")
        # In the middle of an answer, and before the next one.
        self.lose(partner)
        refused = self.ask("Hello", 500)
        self.assertIn("nobody is at", refused["error"]["message"])
        self.assertIn("numerics", self.call("/version"))
        # It comes back at the same place.
        self.partner(address=self.address)
        self.assertEqual(self.bits(prompts[0]), alone[0])
        self.hears("the first layers is here")

    def lose(self, partner):
        """In the middle of an answer, which says so and ends."""
        client = self.stream("Hello", 4000, "tiny")
        self.assertIn(b" 200 ", client.recv(4096))
        partner.kill()
        begun = time.monotonic()
        rest = b""
        client.settimeout(PATIENCE)
        while b"is lost" not in rest:
            piece = client.recv(4096)
            self.assertTrue(piece, rest[-500:])
            rest += piece
        print(f"lost after {time.monotonic() - begun:.3f} s")
        client.close()

    def test_by_rows(self):
        """Half of every matrix on each: the same answers, the link measured, and a partner that is lost."""
        prompts = ["Hello", "Hello there, " * 30, "Hello there, " * 30 + "again"]
        self.start()
        alone = [self.bits(prompt) for prompt in prompts]
        self.end()
        partner = self.partner()
        out, _ = self.lathe("--json", "fit", self.model, "--boxes", "2", "--bandwidth", "10GB", "--link", self.address)
        boxes = json.loads(out)["models"][0]["boxes"]
        self.assertGreater(boxes["exchange_seconds"], 0)
        self.assertGreater(boxes["link_bytes_per_second"], 0)
        self.start("--link", self.address, "--link-split", "rows")
        for prompt, expected in zip(prompts, alone):
            self.assertEqual(self.bits(prompt), expected)
        self.hears("the other rows is here")
        self.lose(partner)
        self.assertIn("numerics", self.call("/version"))
        self.partner(address=self.address)
        self.assertEqual(self.bits(prompts[0]), alone[0])

    def test_what_cannot_be_linked(self):
        other = self.dir / "other.gguf"
        other.write_bytes((MODELS / "qwen3-q4_k_m.gguf").read_bytes())
        self.partner(model=other)
        self.start("--link", self.address)
        self.assertIn("another model file", json.dumps(self.ask("Hello", 500)))
        self.end()
        self.start("--link", self.address, "--link-layers", "999")
        self.assertIn("leave one without", json.dumps(self.ask("Hello", None)))
        self.end()
        out, err = self.lathe("serve", self.model, "--link", self.address, "--link-split", "rows", "--link-layers", "1", code=2)
        self.assertIn("all layers are on both machines", err)
        out, err = self.lathe("link", MODELS / "bert.gguf", code=2)
        self.assertIn("encoder", err)
        out, err = self.lathe("link", self.model, "--listen", "desk", code=2)
        self.assertIn("HOST:PORT", err)
        out, err = self.lathe("serve", MODELS, "--link", self.address, code=2)
        self.assertIn("--link is for one GGUF file", err)

    def test_what_must_stay_here_is_not_linked(self):
        """An address beyond this machine: allowed by name, and not for requests that may not leave it."""
        far = ("--link", "10.255.255.1:8090")
        _, err = self.lathe("serve", self.model, *far, code=2)
        self.assertIn("say --allow lan", err)
        self.start(*far, "--allow", "lan")
        body = json.dumps({"model": "tiny", "messages": [{"role": "user", "content": "Hello"}]})
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json", "X-Lathe-Reach": "local"})
        answer = connection.getresponse()
        self.assertEqual((answer.status, b"may not leave this machine" in answer.read()), (403, True))
        connection.close()
        self.assertIn("tiny", json.dumps(self.call("/v1/models")))


if __name__ == "__main__":
    unittest.main()
