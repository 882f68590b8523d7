"""Three models in a budget for two, many clients, some minutes: is every answer whole and right, and does memory stay within?

usage: soak.py LATHE [--minutes 5] [--clients 16] MODEL.gguf MODEL.gguf MODEL.gguf …

Starts the server with a budget of all models but the smallest, asks in random order (streams, candidates, long prompts,
clients that go), and samples resident memory against what the server has booked. Prints three lines of figures; fails if an
answer was cut, wrong or an error of the server, or if there was none.
"""
import argparse
import http.client
import json
import pathlib
import random
import subprocess
import sys
import threading
import time

PROMPTS = ["hello there", "tell me more " * 30, "a long story " * 120]


class Soak:
    def __init__(self, options):
        self.options = options
        self.names = [pathlib.Path(model).stem for model in options.models]
        self.counts = dict(answers=0, errors_5xx=0, other_errors=0, cut=0, wrong=0, left=0)
        self.lock = threading.Lock()
        self.expected = {}
        self.samples = []
        self.end = time.time() + options.minutes * 60

    def count(self, what):
        with self.lock:
            self.counts[what] += 1

    def start(self, memory):
        self.process = subprocess.Popen([self.options.lathe, "--json", "serve", *self.options.models, "--port", "0", "--memory", str(memory)],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        while True:
            event = json.loads(self.process.stdout.readline())
            if event["event"] == "ready":
                self.port = int(event["url"].rsplit(":", 1)[1])
                break
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def call(self, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=900)
        connection.request("GET" if body is None else "POST", path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer, connection

    def status(self):
        answer, _ = self.call("/status")
        return json.load(answer)

    def ask(self, random_):
        name, prompt = random_.choice(self.names), random_.randrange(len(PROMPTS))
        body = {"model": name, "messages": [{"role": "user", "content": PROMPTS[prompt]}], "max_tokens": 32, "seed": 7,
                "stream": True, "n": random_.choice([1, 1, 1, 2])}
        answer, connection = self.call("/v1/chat/completions", body)
        if answer.status != 200:
            self.count("errors_5xx" if answer.status >= 500 else "other_errors")
            return
        if random_.random() < 0.1:
            answer.read(200)
            connection.close()
            self.count("left")
            return
        text, done = "", False
        for line in answer:
            data = line.decode().strip().removeprefix("data: ")
            if data == "[DONE]":
                done = True
            elif data.startswith("{"):
                chunk = json.loads(data)
                if "error" in chunk:
                    break
                for choice in chunk["choices"]:
                    text += (choice["delta"].get("content") or "") if choice["index"] == 0 else ""
        self.count("answers" if done else "cut")
        with self.lock:
            known = self.expected.setdefault((name, prompt), text)
        if done and known != text:
            self.count("wrong")

    def client(self, seed):
        random_ = random.Random(seed)
        while time.time() < self.end:
            self.ask(random_)

    def watch(self):
        while time.time() < self.end:
            status = self.status()
            self.samples.append((status["resident"], status["memory_booked"], status["memory_limit"]))
            time.sleep(0.25)

    def run(self):
        self.start(1 << 40)
        idle = self.status()["resident"]
        sizes = []
        for name in self.names:
            answer, _ = self.call("/models/load", {"model": name})
            answer.read()
        sizes = [each["weights"] + each["scratch"] for each in self.status()["models"]]
        loaded = self.status()
        self.process.terminate()
        self.process.wait()
        memory = sum(sizes) - min(sizes) + max(64 << 20, min(sizes) // 4)
        self.start(memory)
        threads = [threading.Thread(target=self.client, args=(i,)) for i in range(self.options.clients)]
        threads.append(threading.Thread(target=self.watch))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        answer, _ = self.call("/metrics")
        metrics = dict(line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if not line.startswith("#"))
        self.process.terminate()
        self.process.wait()
        mib = lambda n: f"{n / (1 << 20):.1f} MiB"
        print(f"{self.options.minutes} min, {self.options.clients} clients, {len(self.names)} models of {mib(sum(sizes))} in {mib(memory)}: {self.counts}")
        print(f"loads {metrics['lathe_model_loads_total']}, evictions {metrics['lathe_model_evictions_total']}, "
              f"tokens {metrics['lathe_completion_tokens_total']}, cached {metrics['lathe_cached_tokens_total']}")
        print(f"booked at most {max(b / l for _, b, l in self.samples):.1%} of the budget; resident at most "
              f"{max((r - idle) / l for r, _, l in self.samples):+.1%} of it, above the program's own {mib(idle)} "
              f"(all loaded, before: {mib(loaded['resident'])} resident, {mib(loaded['memory_booked'])} booked)")
        return self.counts["answers"] > 0 and not any(self.counts[bad] for bad in ("errors_5xx", "cut", "wrong"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("lathe")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--clients", type=int, default=16)
    sys.exit(not Soak(parser.parse_args()).run())
