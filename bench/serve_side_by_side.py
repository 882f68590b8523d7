"""Two servers on one model, in turns: aggregate tokens a second of 1 and 8 streams, best of 8 from a long prompt, the first
token of a lap whose prefix is known, and the overhead of a request.

usage: serve_side_by_side.py LATHE_URL PEER_URL [--model NAME] [--rounds 5]

Both servers run already, with the same file and the same number of threads. Random weights will do: token ids are sent as
the prompt and end tokens are ignored or banned by both.
"""
import argparse
import concurrent.futures
import http.client
import json
import random
import statistics
import time
import urllib.parse

WORDS = "the a of and to in that is was he for it with as his on be at by had not are but from or have an they".split()


def text(seed, words):
    pick = random.Random(seed)
    return " ".join(pick.choice(WORDS) for _ in range(words))


class Client:
    def __init__(self, url, model, options):
        self.host, self.model, self.options = urllib.parse.urlparse(url).netloc, model, options

    def complete(self, prompt, tokens, n=1):
        """Seconds to the first piece and to the end, and the server's counts."""
        body = {"model": self.model, "prompt": prompt, "max_tokens": tokens, "temperature": 0.8, "seed": 1, "n": n, "stream": True,
                "stream_options": {"include_usage": True}, **self.options}
        connection = http.client.HTTPConnection(self.host, timeout=900)
        start = time.time()
        connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise SystemExit(f"{self.host}: {answer.status} {answer.read()[:300]}")
        first = None
        usage, pieces = {}, 0
        for line in answer:
            if not line.startswith(b"data: {"):
                continue
            chunk = json.loads(line[6:])
            if chunk.get("choices") and first is None:
                first = time.time() - start
            pieces += bool(chunk.get("choices") and chunk["choices"][0].get("text"))
            usage = chunk.get("usage") or usage
        usage.setdefault("completion_tokens", pieces)
        return first, time.time() - start, usage

    def streams(self, count, seed, tokens=64):
        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            start = time.time()
            done = list(pool.map(lambda i: self.complete(text(seed * 100 + i, 6), tokens), range(count)))
            return sum(each[2]["completion_tokens"] for each in done) / (time.time() - start)

    def best_of(self, n, seed):
        return self.complete(text(seed, 1500), 32, n)[1]

    def lap(self, seed):
        """The first token of a prompt of 1,500 words and 60 new ones, once the 1,500 are known; and the rate of new prompts."""
        prefix = text(seed, 1500)
        cold, _, usage = self.complete(prefix, 1)
        self.complete(prefix + " " + text(seed + 1, 60), 1)
        warm, _, more = self.complete(prefix + " " + text(seed + 2, 60), 1)
        return warm, usage.get("prompt_tokens", 0) / cold, more


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("ours")
    parser.add_argument("peer")
    parser.add_argument("--model", default="")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    clients = {"ours": Client(options.ours, options.model, {"ignore_eos": True}),
               "peer": Client(options.peer, options.model, {"ignore_eos": True})}
    for client in clients.values():
        client.complete("a first word, so that the model is there", 4)
    rows = {}
    for round_ in range(options.rounds):
        for name, client in clients.items():
            seed = 1 + round_ * 10 + (name == "peer") * 5
            for what, value in (("1 stream, tok/s", client.streams(1, seed)), ("8 streams, tok/s", client.streams(8, seed)),
                                ("best of 8, s", client.best_of(8, seed))):
                rows.setdefault((what, name), []).append(value)
            warm, rate, usage = client.lap(seed + 1000)
            rows.setdefault(("lap, first token, s", name), []).append(warm)
            cached = usage.get("prompt_tokens_details", {}).get("cached_tokens", 0)
            fresh = usage.get("prompt_tokens", 0) - cached
            rows.setdefault(("lap, new tokens / prefill rate, s", name), []).append(fresh / rate)
        print(f"round {round_ + 1} of {options.rounds}", flush=True)
    print(f"{'median (lowest … highest)':<36} {'ours':>28} {'peer':>28}  ratio")
    for what in dict.fromkeys(what for what, _ in rows):
        cells = [rows[what, name] for name in ("ours", "peer")]
        medians = [statistics.median(cell) for cell in cells]
        print(f"{what:<36} " + " ".join(f"{m:>10.3f} ({min(c):.3f} … {max(c):.3f})".rjust(28) for m, c in zip(medians, cells)) +
              f"  {medians[0] / medians[1]:.2f}")


if __name__ == "__main__":
    main()
