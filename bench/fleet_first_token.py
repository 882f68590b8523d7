#!/usr/bin/env python3
"""How long a person at a node waits for the first token: alone, and while the node works on leases of its fleet.

usage: fleet_first_token.py [--lathe PATH] [--model GGUF] [--pairs 20] [--words 200] [--slots 1] [--threads N]

The fleet is two homes of one machine and a PostgreSQL of its own in memory (that of tests/e2e): the desk drives a run whose every call goes
to the node, which is a server of the model. A pair is a request that comes while the node's model writes for a lease, and one after that has
ended, within the ten seconds for which the node takes nothing because a person was there. Which of both counts as what is looked at from
outside: `running` in /status just before the request and just behind its first token. What was not so is no pair and is asked again.
"""
import argparse
import http.client
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time

SOURCE = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(SOURCE / "tests/e2e"))
from pairing_test import Postgres  # noqa: E402

# Each answer is a list of so many truths, so that the model is at work for a while, whatever it is.
RECIPE = '''recipe = "night"
version = 1
privacy = "lan"
[unit]
from = "night.txt"
split = "line"
[make]
kind = "text"
task = "True or false, many times."
format = "json"
schema = {{ type = "object", required = ["a"], additionalProperties = false, properties = {{ a = {{ type = "array", minItems = {items}, maxItems = {items}, items = {{ type = "boolean" }} }} }} }}
ladder = ["{model}"]
max_tokens = {tokens}
on = "box"
[[judge]]
kind = "text"
min_words = 1
[stop]
laps = 1
'''


class Fleet:
    def __init__(self, args, directory):
        self.lathe, self.dir = str(pathlib.Path(args.lathe).resolve()), pathlib.Path(directory)
        self.model = pathlib.Path(args.model).stem
        self.postgres = Postgres()
        self.processes = []
        self.run("desk", "fleet", "init", "--db", self.postgres.address, "--name", "desk")
        inviter = self.start("desk", "fleet", "invite", "--listen", "127.0.0.1:0", "--tier", "box")
        self.run("box", "fleet", "join", json.loads(inviter.stdout.readline())["invitation"], "--name", "box")
        inviter.wait()
        threads = ["--threads", str(args.threads)] if args.threads else []
        server = self.start("box", "serve", args.model, "--node", "--busy-at", "0", "--slots", str(args.slots), "--port", "0", *threads)
        self.port = int(json.loads(server.stdout.readline())["url"].rsplit(":", 1)[1])
        (self.dir / "night.txt").write_text("".join(f"{n}\n" for n in range(5_000)))
        (self.dir / "night.toml").write_text(RECIPE.format(model=self.model, items=args.items, tokens=8 * args.items))
        while f"worker:{self.model}" not in (node := self.nodes()["box"])["caps"] or not (node.get("load") or {}).get("canary"):
            time.sleep(0.2)
        self.start("desk", "loop", self.dir / "night.toml", "--fleet", "--allow", "lan", "--out", self.dir / "out")

    def environment(self, home):
        return {"PATH": os.environ["PATH"], "HOME": str(self.dir / home), "LANG": "C.UTF-8"}

    def command(self, home, *args):
        return [self.lathe, "--journal", str(self.dir / home / "journal"), "--json", *map(str, args)]

    def run(self, home, *args):
        done = subprocess.run(self.command(home, *args), env=self.environment(home), cwd=self.dir, capture_output=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr.decode())
        return [json.loads(line) for line in done.stdout.splitlines()]

    def start(self, home, *args):
        out = subprocess.PIPE if args[0] != "loop" else subprocess.DEVNULL
        log = open(self.dir / f"{home}.log", "a", encoding="utf-8")
        process = subprocess.Popen(self.command(home, *args), env=self.environment(home), cwd=self.dir, stdout=out, stderr=log)
        self.processes.append(process)
        return process

    def nodes(self):
        return {node["name"]: node for node in self.run("desk", "fleet", "nodes")}

    def running(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", "/status")
        return json.loads(connection.getresponse().read())["models"][0]["running"]

    def first_token(self, text):
        """Seconds to the first event with text, and how many answers the model then wrote at once."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        body = json.dumps({"model": self.model, "prompt": text, "max_tokens": 64, "stream": True, "temperature": 0})
        begun = time.perf_counter()
        connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        for line in answer:
            if line.startswith(b"data: {") and json.loads(line[6:])["choices"][0]["text"]:
                took, running = time.perf_counter() - begun, self.running()
                answer.read()
                connection.close()
                return took, running
        raise SystemExit("an answer without text")

    def until(self, fine):
        deadline = time.monotonic() + 300
        while not fine(self.running()):
            if time.monotonic() > deadline:
                raise SystemExit("the node does not take what it should, or does not end it:\n" + (self.dir / "box.log").read_text()[-2000:])
            time.sleep(0.01)

    def end(self):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        for process in self.processes:
            process.wait()
        self.postgres.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lathe", default=str(SOURCE / "build/release/src/lathe"))
    parser.add_argument("--model", default=str(SOURCE / "models/starter-q8_0.gguf"))
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--words", type=int, default=200, help="of a person's prompt")
    parser.add_argument("--items", type=int, default=100, help="in what a lease has written")
    parser.add_argument("--slots", type=int, default=1)
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        fleet = Fleet(args, directory)
        try:
            pairs, asked, missed = [], 0, 0

            def prompt():
                nonlocal asked
                asked += 1
                return " ".join(str((asked * 7919 + i * 104729) % 1000) for i in range(args.words))

            fleet.first_token(prompt())
            while len(pairs) < args.pairs:
                fleet.until(lambda running: running > 0)
                beside, others = fleet.first_token(prompt())
                fleet.until(lambda running: running == 0)
                alone, self_alone = fleet.first_token(prompt())
                if others > 1 and self_alone <= 1:
                    pairs.append((alone, beside))
                else:
                    missed += 1
        finally:
            fleet.end()
    ratios = [beside / alone for alone, beside in pairs]
    show = lambda values, unit, scale: (f"median {scale * statistics.median(values):.2f}{unit} ({scale * min(values):.2f} to "
                                        f"{scale * max(values):.2f})")
    print(f"first token of {args.words} words, {len(pairs)} pairs ({missed} more were none)")
    print(f"alone:          {show([alone for alone, _ in pairs], ' ms', 1000)}")
    print(f"beside a lease: {show([beside for _, beside in pairs], ' ms', 1000)}")
    print(f"ratio of a pair: {show(ratios, '', 1)}")


if __name__ == "__main__":
    main()
