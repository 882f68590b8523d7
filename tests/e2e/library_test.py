"""lathe models: what pull brought, and what other programs have, laid out here as they do it. It is found and used where it
is, and nothing of it changes."""
import json
import random
import socket
import subprocess
import time
import unittest
import urllib.error
import urllib.request

from cli_test import SOURCE, Case
from fake_hub import FakeHub, Fault, sha256

TINY = (SOURCE / "tests/data/models/llama-q4_0.gguf").read_bytes()
OTHER = (SOURCE / "tests/data/models/qwen3-q4_k_m.gguf").read_bytes()
COMMIT = "c0ffee" + "0" * 34


class Library(Case):
    def setUp(self):
        super().setUp()
        self.hub = FakeHub()
        self.addCleanup(self.hub.close)
        self.models = self.dir / ".config/lathe/models"
        self.hub_cache()
        self.ollama(self.dir / ".ollama/models", "library", "tiny", "1b", TINY)
        self.ollama(self.dir / ".ollama/models", "someone", "other", "latest", OTHER)
        self.write(".lmstudio/models/pub/Tiny-GGUF/Tiny-Q4_0.gguf", TINY)
        self.write(".lmstudio/models/pub/Tiny-GGUF/mmproj-Tiny.gguf", b"GGUF")

    def environment(self):
        return super().environment() | {"HF_ENDPOINT": self.hub.url}

    def hub_cache(self):
        repo = self.dir / ".cache/huggingface/hub/models--owner--Tiny-GGUF"
        for commit, data in ((COMMIT, TINY), ("0" * 40, OTHER)):
            self.write(repo / "blobs" / sha256(data), data)
            snapshot = repo / "snapshots" / commit / "below"
            snapshot.mkdir(parents=True)
            (snapshot / "Tiny-Q4_0.gguf").symlink_to(f"../../../blobs/{sha256(data)}")
        self.write(repo / "refs/main", COMMIT)
        self.write(self.dir / ".cache/huggingface/hub/models--evil--x/refs/main", "../../../..")
        self.write(self.dir / ".cache/huggingface/hub/version.txt", "1")

    def ollama(self, root, owner, name, tag, data):
        self.write(root / f"blobs/sha256-{sha256(data)}", data)
        manifest = {"schemaVersion": 2, "layers": [
            {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{sha256(data)}", "size": len(data)}]}
        self.write(root / f"manifests/registry.ollama.ai/{owner}/{name}/{tag}", json.dumps(manifest))

    def listed(self, *args):
        return {m["name"]: m for m in json.loads(self.lathe("--json", "models", *args)[0])["models"]}

    def others(self):
        return {p: (p.lstat().st_mtime_ns, p.read_bytes()) for root in (".cache", ".ollama", ".lmstudio")
                for p in sorted((self.dir / root).rglob("*")) if p.is_file()}

    def test_all_are_found_and_used_in_place(self):
        before = self.others()
        models = self.listed()
        self.assertEqual({name: m["from"] for name, m in models.items()}, {
            "hf:owner/Tiny-GGUF/below/Tiny-Q4_0": "hub cache", "ollama:tiny:1b": "Ollama",
            "ollama:someone/other:latest": "Ollama", "lmstudio:pub/Tiny-GGUF/Tiny-Q4_0": "LM Studio"})
        self.assertTrue(all(m["bytes"] == len(OTHER if "other" in m["name"] else TINY) for m in models.values()))
        self.assertIn("ollama:tiny:1b", self.lathe("models")[0])
        answers = set()
        for name in models:
            out, _ = self.lathe("--json", "run", name, "Hello", "--max-tokens", "4", "--temp", "0")
            answers.add((("other" in name), json.loads(out)["text"]))
            self.lathe("show", name)
            self.lathe("fit", f"{name}:64:2")
        self.assertEqual(len(answers), 2)
        self.lathe("run", "ollama:someone/other", "Hello", "--max-tokens", "1")
        self.assertEqual(self.others(), before)

    def test_they_are_served_by_their_names(self):
        server = subprocess.Popen(self.command("--json", "serve", "ollama:tiny:1b", "lmstudio:pub/Tiny-GGUF/Tiny-Q4_0",
                                               "--port", "0", "--memory", "1GiB"), cwd=self.dir, env=self.environment(),
                                  stdout=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (server.kill(), server.communicate()))
        self.assertEqual(json.loads(server.stdout.readline())["event"], "ready")
        out, _ = self.lathe("--json", "ps")
        self.assertEqual([m["name"] for m in json.loads(out)["models"]], ["lmstudio:pub/Tiny-GGUF/Tiny-Q4_0", "ollama:tiny:1b"])

    def test_settings_of_other_programs(self):
        self.ollama(self.dir / "big disk", "library", "moved", "7b", TINY)
        (self.dir / ".cache/huggingface").rename(self.dir / "hf")
        environment = self.environment() | {"OLLAMA_MODELS": str(self.dir / "big disk"), "HF_HOME": str(self.dir / "hf")}
        self.environment = lambda: environment
        self.assertEqual(sorted(self.listed()), ["hf:owner/Tiny-GGUF/below/Tiny-Q4_0", "lmstudio:pub/Tiny-GGUF/Tiny-Q4_0",
                                                 "ollama:moved:7b"])

    def test_only_what_was_pulled_is_removed(self):
        before = self.others()
        self.hub.add("o/r", "new-Q4_0.gguf", TINY)
        self.hub.add("o/r", "newer-Q8_0.gguf", OTHER)
        self.lathe("pull", "o/r:Q4_0")
        self.lathe("pull", "o/r:Q8_0")
        self.write(self.models / "mine.gguf", TINY)
        models = self.listed()
        self.assertEqual((models["new-Q4_0"]["from"], models["new-Q4_0"]["source"]), ("pull", "o/r:Q4_0"))
        self.assertEqual((models["mine"]["from"], models["mine"]["source"]), ("models", None))
        for name in ("new-Q4_0", "o/r:Q8_0", "mine"):
            self.lathe("run", name, "Hello", "--max-tokens", "1")
        for name, words in (("mine", "yours to remove"), ("ollama:tiny:1b", "another program (Ollama)"),
                            ("hf:owner/Tiny-GGUF/below/Tiny-Q4_0", "hub cache"), ("nothing", "lathe models"),
                            ("../mine", "lathe models")):
            _, err = self.lathe("models", "rm", "new-Q4_0", name, code=2)
            self.assertIn(words, err)
        self.assertTrue((self.models / "new-Q4_0.gguf").exists())
        self.lathe("models", "rm", "new-Q4_0", "o/r:Q8_0")
        self.assertEqual([p.name for p in self.models.iterdir()], ["mine.gguf"])
        self.assertEqual(self.others(), before)

    def test_a_pull_that_was_stopped_is_named(self):
        self.hub.add("o/r", "new-Q4_0.gguf", TINY)
        self.lathe("pull", "o/r")
        (self.models / "new-Q4_0.gguf").rename(self.models / "new-Q4_0.gguf.pull")
        self.assertFalse(self.listed()["new-Q4_0"]["whole"])
        self.assertRegex(self.lathe("models")[0], "new-Q4_0 .*not whole; `lathe pull o/r` goes on")
        _, err = self.lathe("run", "new-Q4_0", "Hello", code=2)
        self.assertIn("lathe models", err)
        self.lathe("models", "rm", "new-Q4_0")
        self.assertEqual(list(self.models.iterdir()), [])

    def test_an_empty_machine(self):
        environment = self.environment() | {"HOME": str(self.dir / "nobody"), "OLLAMA_MODELS": str(self.dir / "nothing")}
        self.environment = lambda: environment
        self.assertRegex(self.lathe("models")[0], "no models in .*lathe pull")
        self.assertEqual(self.listed(), {})


class PullForClients(Case):
    """POST /api/pull of a server that may fetch models, as Ollama's clients use it."""

    def setUp(self):
        super().setUp()
        self.hub = FakeHub()
        self.addCleanup(self.hub.close)
        self.models = self.dir / ".config/lathe/models"
        self.data = TINY + random.Random(3).randbytes((3 << 20) - len(TINY))
        self.hub.add_ollama("library/tiny", "1b", self.data)
        self.hub.add("o/r", "other-Q4_0.gguf", OTHER)

    def serve(self, *args):
        server = subprocess.Popen(self.command("--json", "serve", "--port", "0", "--memory", "1GiB", *args), cwd=self.dir,
                                  env=self.environment(), stdout=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (server.kill(), server.wait(), server.stdout.close()))
        self.url = json.loads(server.stdout.readline())["url"]
        return server

    def ask(self, path, body=None):
        request = urllib.request.Request(self.url + path, None if body is None else json.dumps(body).encode())
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.status, [json.loads(line) for line in answer.read().decode().splitlines()]
        except urllib.error.HTTPError as error:
            return error.code, [json.loads(error.read())]

    def test_without_leave_it_is_refused(self):
        self.write(self.models / "mine.gguf", TINY)
        self.serve("--registry", self.hub.url)
        status, lines = self.ask("/api/pull", {"model": "tiny:1b"})
        self.assertEqual(status, 404)
        self.assertIn("--allow-pull", lines[0]["error"])
        self.assertEqual(self.hub.asked, [])

    def test_a_model_comes_and_answers(self):
        self.serve("--allow-pull", "--registry", self.hub.url, "--hub", self.hub.url)
        status, lines = self.ask("/api/pull", {"model": "tiny:1b"})
        self.assertEqual(status, 200)
        states = [line["status"] for line in lines]
        self.assertEqual(states[0], "pulling manifest")
        self.assertEqual(states[-1], "success")
        steps = [line for line in lines if "digest" in line]
        self.assertEqual({(s["digest"], s["total"]) for s in steps}, {(f"sha256:{sha256(self.data)}", len(self.data))})
        self.assertEqual(steps[-1]["completed"], len(self.data))
        for name in ("tiny:1b", "ollama:tiny:1b", "tiny-1b"):
            status, lines = self.ask("/api/generate", {"model": name, "prompt": "Hi", "stream": False,
                                                       "options": {"num_predict": 2}})
            self.assertEqual(status, 200, lines)
        self.assertIn("tiny-1b", [m["name"] for m in self.ask("/api/tags")[1][0]["models"]])
        self.assertEqual(self.ask("/api/pull", {"model": "hf.co/o/r:Q4_0", "stream": False}), (200, [{"status": "success"}]))
        status, lines = self.ask("/v1/completions", {"model": "hf.co/o/r:Q4_0", "prompt": "Hi", "max_tokens": 1})
        self.assertEqual(status, 200, lines)
        weights = sum(self.hub.sent.values())
        self.assertEqual(self.ask("/api/pull", {"model": "tiny:1b"})[1][-1], {"status": "success"})
        self.assertEqual(sum(self.hub.sent.values()), weights)

    def test_after_a_restart_it_has_its_names(self):
        server = self.serve("--allow-pull", "--registry", self.hub.url)
        self.ask("/api/pull", {"model": "tiny:1b"})
        server.terminate()
        server.wait(60)
        self.serve()
        self.assertEqual(self.ask("/api/generate", {"model": "tiny:1b", "prompt": "", "stream": False})[0], 200)

    def test_what_goes_wrong_is_a_line(self):
        self.serve("--allow-pull", "--registry", self.hub.url)
        status, lines = self.ask("/api/pull", {"model": "nothing:1b"})
        self.assertEqual((status, lines[0]["status"]), (200, "pulling manifest"))
        self.assertIn("ollama:nothing:1b", lines[-1]["error"])
        status, lines = self.ask("/api/pull", {"model": "nothing:1b", "stream": False})
        self.assertEqual(status, 404)
        self.assertEqual(self.ask("/api/pull", {"model": "../../etc"})[1][-1].keys(), {"error"})
        self.assertEqual(self.ask("/api/pull", {})[0], 400)

    def test_a_client_that_goes(self):
        self.hub.faults[f"/blobs/sha256:{sha256(self.data)}"] = Fault(pace=(65536, 0.1))
        self.serve("--allow-pull", "--registry", self.hub.url)
        host, port = self.url.removeprefix("http://").split(":")
        body = b'{"model": "tiny:1b"}'
        client = socket.create_connection((host, int(port)))
        client.sendall(b"POST /api/pull HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        part = self.models / "tiny-1b.gguf.pull"
        while not part.exists() or part.stat().st_size == 0:
            time.sleep(0.01)
        client.close()
        deadline, size = time.monotonic() + 60, -1
        while part.stat().st_size != size:  # until it grows no more
            self.assertLess(time.monotonic(), deadline)
            size = part.stat().st_size
            time.sleep(1)
        self.assertLess(size, len(self.data))
        self.hub.faults.clear()
        self.assertEqual(self.ask("/api/pull", {"model": "tiny:1b"})[1][-1], {"status": "success"})
        self.assertEqual((self.models / "tiny-1b.gguf").read_bytes(), self.data)


if __name__ == "__main__":
    unittest.main()
