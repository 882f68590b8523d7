#!/usr/bin/env python3
"""Decode deep in a context, several servers in turns: each is given the same prompt of so many tokens once (which takes as long as it
takes), and every round asks for a few tokens after that known prompt.

usage: depth_side_by_side.py NAME=URL… [--depth 8192] [--tokens 25] [--rounds 5] [--model NAME] [--word 262]

The servers run already, with the same file, KV type and number of threads, and remember prompts. Token ids are sent, end tokens ignored,
and every answer is one word again and again (--word: its id), since what random weights write is no text to some servers. A rate is that of the tokens after the first: how much longer so many take than one alone, since servers hold pieces of characters back.
"""
import argparse
import http.client
import json
import random
import statistics
import time
import urllib.parse


def complete(url, model, word, prompt, tokens):
    """Seconds, and how many tokens of the prompt were known."""
    body = {"model": model, "prompt": prompt, "max_tokens": tokens, "temperature": 0, "ignore_eos": True, "cache_prompt": True,
            "logit_bias": {str(word): 100}}
    connection = http.client.HTTPConnection(urllib.parse.urlparse(url).netloc, timeout=7200)
    start = time.time()
    connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != 200:
        raise SystemExit(f"{url}: {answer.status} {text[:300]}")
    usage = json.loads(text)["usage"]
    if usage["completion_tokens"] != tokens:
        raise SystemExit(f"{url}: {usage['completion_tokens']} tokens instead of {tokens}")
    return time.time() - start, (usage.get("prompt_tokens_details") or {}).get("cached_tokens")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("servers", nargs="+")
    parser.add_argument("--depth", type=int, default=8192)
    parser.add_argument("--tokens", type=int, default=25)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", default="")
    parser.add_argument("--word", type=int, default=262)
    options = parser.parse_args()
    pick = random.Random(5)
    prompt = [pick.randrange(256, 50000) for _ in range(options.depth)]
    servers = dict(server.split("=", 1) for server in options.servers)
    for name, url in servers.items():
        print(f"{name}: the prompt took {complete(url, options.model, options.word, prompt, 2)[0]:.0f} s", flush=True)
    rates = {name: [] for name in servers}
    for _ in range(options.rounds):
        for name, url in servers.items():
            one, known = complete(url, options.model, options.word, prompt, 1)
            all_, _ = complete(url, options.model, options.word, prompt, options.tokens)
            rates[name].append((options.tokens - 1) / (all_ - one))
            if known is not None and known < options.depth - 64:
                raise SystemExit(f"{name} knew only {known} of {options.depth} tokens")
    first = statistics.median(next(iter(rates.values())))
    for name, values in rates.items():
        median = statistics.median(values)
        print(f"{name:<12} {median:8.2f} tok/s ({min(values):.2f} … {max(values):.2f})   {next(iter(rates))} is × {first / median:.2f}")


if __name__ == "__main__":
    main()
