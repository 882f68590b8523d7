#!/usr/bin/env python3
"""How people who share one server slow each other down: client A sends all its requests at once, client B one a second, each with a key
of its own; first each alone, then both, then both beside background work that never ends.

usage: fairness.py [--lathe PATH] [--model GGUF] [--requests 64] [--tokens 100] [--seconds 20] [--threads N] [--serve FLAGS]

It starts the server itself. Every answer has the same length: one word again and again. Printed are the 50th and 95th percentile of B's times (from the server's own ledger: this program, with its 64 threads, is not
measured), A's tokens a second while B is there, and how many tokens of the background work were written meanwhile.
"""
import argparse
import concurrent.futures
import http.client
import json
import os
import pathlib
import signal
import sqlite3
import subprocess
import tempfile
import threading
import time

SOURCE = pathlib.Path(__file__).resolve().parents[1]


class Server:
    def __init__(self, args):
        self.home = tempfile.TemporaryDirectory()
        self.environment = {**os.environ, "HOME": self.home.name, "OWNER_KEY": "owner"}
        for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME"):
            self.environment.pop(name, None)
        self.lathe = args.lathe
        self.model = pathlib.Path(args.model).stem
        self.keys = {name: self.make_key(name, *flags) for name, flags in
                     {"a": [], "b": [], "night": ["--class", "background"]}.items()}
        command = [args.lathe, "--json", "serve", args.model, "--port", "0", "--api-key-env", "OWNER_KEY", "--queue", "512", *args.serve.split()]
        if args.threads:
            command += ["--threads", str(args.threads)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, env=self.environment)
        while True:
            event = json.loads(self.process.stdout.readline())
            if event["event"] == "ready":
                break
        self.port = int(event["url"].rsplit(":", 1)[1])
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        os.nice(10)  # the 64 threads here take nothing from the server
        tokens = json.loads(self.call("owner", "/tokenize", {"model": self.model, "content": "x"}))["tokens"]
        self.word = str(tokens[0])

    def make_key(self, name, *flags):
        made = subprocess.run([self.lathe, "--json", "key", "add", name, *flags], env=self.environment, capture_output=True, check=True)
        return json.loads(made.stdout)["key"]

    def call(self, key, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=3600)
        connection.request("POST" if body is not None else "GET", path, None if body is None else json.dumps(body),
                           {"Content-Type": "application/json", "Authorization": f"Bearer {key}"})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        if answer.status != 200:
            raise SystemExit(f"{path}: {answer.status} {text[:300]}")
        return text

    def ask(self, name, text, tokens):
        body = {"model": self.model, "prompt": text, "max_tokens": tokens, "temperature": 0, "logit_bias": {self.word: 100}}
        written = json.loads(self.call(self.keys[name], "/v1/completions", body))["usage"]["completion_tokens"]
        if written != tokens:
            raise SystemExit(f"{written} tokens instead of {tokens}")

    def times(self, key, since):
        """Seconds from arrival to end of the key's calls that began since then, as the ledger has them."""
        time.sleep(0.3)  # rows are written in groups
        with sqlite3.connect(pathlib.Path(self.home.name) / ".local/share/lathe/journal.db") as db:
            rows = [json.loads(body) for body, in db.execute("SELECT body FROM ledger WHERE start_ms >= ?", (int(since * 1000),))]
        return [row["wall_us"] / 1e6 for row in rows if row["key"] == key]

    def counters(self):
        lines = [line.split() for line in self.call("owner", "/metrics").splitlines() if not line.startswith("#")]
        return {line[0]: float(line[1]) for line in lines}

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def run(server, args, a, b, tag):
    """B's times, and A's tokens a second until its last answer: each `None` where it was not there."""
    begun, rates = time.time(), []
    stop = threading.Event()

    def one_a_second():
        started = time.time()
        with concurrent.futures.ThreadPoolExecutor(64) as pool:
            asked = []
            while not stop.is_set() and (a or time.time() - started < args.seconds):
                asked.append(pool.submit(server.ask, "b", f"{tag} b {len(asked)}", args.tokens))
                stop.wait(1)
            for each in asked:
                each.result()

    other = threading.Thread(target=one_a_second)
    if b:
        other.start()
    if a:
        start, done = time.time(), 0
        with concurrent.futures.ThreadPoolExecutor(args.requests) as pool:
            while done == 0 or time.time() - start < args.seconds:
                list(pool.map(lambda i: server.ask("a", f"{tag} a {done} {i}", args.tokens), range(args.requests)))
                done += args.requests
        rates.append(done * args.tokens / (time.time() - start))
        stop.set()
    if b:
        other.join()
    return server.times("b", begun) if b else None, rates[0] if rates else None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lathe", default=str(SOURCE / "build/release/src/lathe"))
    parser.add_argument("--model", default=str(SOURCE / "models/starter-q8_0.gguf"))
    parser.add_argument("--requests", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--serve", default="", help="further flags of the server")
    args = parser.parse_args()
    server = Server(args)
    try:
        server.ask("a", "warm", 10)
        alone, _ = run(server, args, False, True, "b alone")
        _, rate = run(server, args, True, False, "a alone")
        both, shared = run(server, args, True, True, "both")
        show = lambda values: f"p50 {percentile(values, 0.5):.3f} s, p95 {percentile(values, 0.95):.3f} s, of {len(values)}"
        print(f"B alone: {show(alone)}")
        print(f"B beside A: {show(both)}; p95 {percentile(both, 0.95) / percentile(alone, 0.95):.2f} times as long")
        print(f"A alone: {rate:.0f} tokens/s; beside B: {shared:.0f} ({100 * shared / rate:.0f} %)")
        night = threading.Event()

        written = []

        def work():
            while not night.is_set():
                server.ask("night", f"night {time.time()}", args.tokens)
                written.append(args.tokens)

        workers = [threading.Thread(target=work) for _ in range(4)]
        for each in workers:
            each.start()
        time.sleep(1)
        before, known, start = server.counters(), sum(written), time.time()
        beside, busy = run(server, args, True, True, "night")
        after, nightly = server.counters(), (sum(written) - known) / (time.time() - start)
        night.set()
        for each in workers:
            each.join()
        steps = after["lathe_step_microseconds_total"] - before["lathe_step_microseconds_total"]
        print(f"with background work: B {show(beside)}; A {busy:.0f} tokens/s ({100 * busy / rate:.0f} %), the work "
              f"{nightly:.0f} tokens/s ({100 * nightly / rate:.1f} % of what A gets alone); "
              f"{after['lathe_preemptions_total'] - before['lathe_preemptions_total']:.0f} gave way, "
              f"{(after['lathe_recomputed_microseconds_total'] - before['lathe_recomputed_microseconds_total']) / steps * 100:.1f} % of the "
              f"steps' time computed again")
    finally:
        server.end()


if __name__ == "__main__":
    main()
