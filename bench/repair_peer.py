"""Times a server of llama.cpp on the cases that `lathe_repair_bench --emit` wrote.

usage: repair_peer.py CASES.jsonl SERVER_URL FORCE_FILE

Any weights will do here too, if the server replays an answer: it must take its tokens from FORCE_FILE, which this
script writes before each request (a build with a sampler that does so; without one the server's own text counts).
Prints the decode seconds of every timed case, as the server reports them, and their sums by size.
"""
import collections
import json
import sys
import urllib.request


def complete(url, prompt, count):
    body = {"prompt": prompt, "n_predict": count, "temperature": 0, "cache_prompt": False, "ignore_eos": True}
    request = urllib.request.Request(url + "/completion", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=600) as answer:
        return json.load(answer)["timings"]


def main(path, url, force):
    sums = collections.defaultdict(lambda: [0, 0, 0.0, 0, 0, 0.0, 0.0])
    for line in open(path):
        case = json.loads(line)
        if not case["timed"]:
            continue
        with open(force, "w") as file:
            file.write(" ".join(map(str, case["answer"])))
        timings = complete(url, case["prompt"], len(case["answer"]))
        for row in (case["size"], "all"):
            total = sums[row]
            total[0] += 1
            total[1] += len(case["answer"])
            total[2] += timings["predicted_ms"] / 1e3
            total[3] += timings.get("draft_n", 0)
            total[4] += timings.get("draft_n_accepted", 0)
            total[5] += case["plain_seconds"]
            total[6] += case["drafted_seconds"]
    print(f"{'hunks':<8} {'cases':>5} {'tokens':>7} {'server s':>9} {'drafted':>8} {'accepted':>8} "
          f"{'ours plain s':>12} {'ours drafted s':>14}")
    for row in ("small", "medium", "large", "all"):
        cases, tokens, seconds, drafted, accepted, plain, ours = sums[row]
        print(f"{row:<8} {cases:>5} {tokens:>7} {seconds:>9.2f} {drafted:>8} {accepted:>8} {plain:>12.2f} {ours:>14.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
