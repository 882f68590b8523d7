#!/usr/bin/env python3
"""Decode deep in a context, several servers in turns: each is given the same prompt of so many tokens once (which takes as long as it
takes), and every round asks for a few tokens after that known prompt.

usage: depth_side_by_side.py NAME=URL… [--depth 8192] [--tokens 24] [--rounds 5] [--model NAME]

The servers run already, with the same file, KV type and number of threads, and remember prompts. Token ids are sent, and end tokens ignored.
"""
import argparse
import http.client
import json
import random
import statistics
import time
import urllib.parse


def complete(url, model, prompt, tokens):
    """Tokens a second after the first one, and how many of the prompt were known."""
    body = {"model": model, "prompt": prompt, "max_tokens": tokens, "temperature": 0, "ignore_eos": True, "cache_prompt": True,
            "stream": True, "stream_options": {"include_usage": True}}
    connection = http.client.HTTPConnection(urllib.parse.urlparse(url).netloc, timeout=7200)
    connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    if answer.status != 200:
        raise SystemExit(f"{url}: {answer.status} {answer.read()[:300]}")
    times, usage = [], {}
    for line in answer:
        if line.startswith(b"data: {"):
            chunk = json.loads(line[6:])
            if chunk.get("choices"):
                times.append(time.time())
            usage = chunk.get("usage") or usage
    return (tokens - 1) / (times[-1] - times[0]), (usage.get("prompt_tokens_details") or {}).get("cached_tokens")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("servers", nargs="+")
    parser.add_argument("--depth", type=int, default=8192)
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", default="")
    options = parser.parse_args()
    pick = random.Random(5)
    prompt = [pick.randrange(256, 50000) for _ in range(options.depth)]
    servers = dict(server.split("=", 1) for server in options.servers)
    for name, url in servers.items():
        start = time.time()
        complete(url, options.model, prompt, 2)
        print(f"{name}: the prompt took {time.time() - start:.0f} s", flush=True)
    rates = {name: [] for name in servers}
    for _ in range(options.rounds):
        for name, url in servers.items():
            rate, known = complete(url, options.model, prompt, options.tokens)
            rates[name].append(rate)
            if known is not None and known < options.depth - 64:
                raise SystemExit(f"{name} knew only {known} of {options.depth} tokens")
    first = statistics.median(next(iter(rates.values())))
    for name, values in rates.items():
        median = statistics.median(values)
        print(f"{name:<12} {median:8.2f} tok/s ({min(values):.2f} … {max(values):.2f})   {next(iter(rates))} is × {first / median:.2f}")


if __name__ == "__main__":
    main()
