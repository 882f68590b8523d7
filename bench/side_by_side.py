#!/usr/bin/env python3
"""Measures Lathe and other engines on the same files in one run, taking turns, and prints medians and ratios.

usage: side_by_side.py --lathe LATHE [--peer NAME=LLAMA_BENCH[,FLAG…]]… [--batched NAME=LLAMA_BATCHED_BENCH[,FLAG…]]…
                       [--rounds 5] [--threads 2] [--prompt 256] [--answer 32] MODEL…

A peer is any program that takes llama-bench's options and prints its JSON; its streams are measured by a program that
takes llama-batched-bench's options and prints its table. Each round runs every program once.
"""
import argparse
import json
import statistics
import subprocess
import sys


def lathe(args, model):
    command = [args.lathe, "bench", model, "--json", "--repeat", "1", "--threads", str(args.threads), "--prompts",
               str(args.prompt), "--answer", str(args.answer), "--widths", ",".join(map(str, args.widths or [1])),
               "--streams", f"1,{args.streams}" if args.batched else "1"]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)[0]
    figures = {}
    for row in report["rows"]:
        if row["what"] == "prefill":
            figures["prefill"] = row["median"]
        elif row["what"] == "decode":
            figures["decode"] = row["median"]
        elif row["what"] == "decode, of plain reads":
            figures["decode, % of plain reads"] = row["median"]
        elif row["what"] == "step" and row["size"] in args.widths:
            figures[f"step {row['size']}"] = 1e3 / row["median"]
        elif row["what"] == "streams" and row["size"] == args.streams:
            figures[f"{args.streams} streams"] = row["median"]
    return figures


def peer(args, program, flags, model):
    base = [program, "-m", model, "-t", str(args.threads), "-fa", "1", "-r", "1", "-o", "json", *flags]
    figures = {}

    def run(extra):
        done = subprocess.run(base + extra, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{program} ended with {done.returncode}: {done.stderr[-400:]}")
        return json.loads(done.stdout[done.stdout.index("["):])

    for row in run(["-p", str(args.prompt), "-n", str(args.answer)]):
        figures["prefill" if row["n_prompt"] else "decode"] = row["avg_ts"]
    for width in args.widths:
        for row in run(["-p", str(8 * width), "-n", "0", "-ub", str(width), "-b", str(width)]):
            figures[f"step {width}"] = row["avg_ts"] / width
    return figures


def batched(args, program, flags, model):
    command = [program, "-m", model, "-t", str(args.threads), "-npp", "8", "-ntg", str(args.answer),
               "-npl", str(args.streams), "-c", "8192", *flags]
    out = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
    rows = [line.split("|")[1:-1] for line in out.splitlines() if line.startswith("|")]
    figures = [float(row[7]) for row in rows if len(row) == 10 and row[0].strip().isdigit()]  # S_TG t/s
    return {f"{args.streams} streams": figures[-1]} if figures else {}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="+")
    parser.add_argument("--lathe", required=True)
    parser.add_argument("--peer", action="append", default=[])
    parser.add_argument("--batched", action="append", default=[])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prompt", type=int, default=256)
    parser.add_argument("--answer", type=int, default=32)
    parser.add_argument("--widths", type=int, nargs="*", default=[1, 8])
    parser.add_argument("--streams", type=int, default=8)
    args = parser.parse_args()
    peers, streams = {}, {}
    for into, texts in ((peers, args.peer), (streams, args.batched)):
        for text in texts:
            name, rest = text.split("=", 1)
            program, *flags = rest.split(",")
            into[name] = (program, flags)
    for model in args.models:
        results = {"lathe": []} | {name: [] for name in peers}
        for round_number in range(args.rounds):
            print(f"\r{model}: round {round_number + 1} of {args.rounds}", end="", file=sys.stderr)
            results["lathe"].append(lathe(args, model))
            for name, (program, flags) in peers.items():
                figures = peer(args, program, flags, model)
                if name in streams:
                    figures |= batched(args, *streams[name], model)
                results[name].append(figures)
        print(file=sys.stderr)
        print(f"{model}  (tokens or steps a second, or %, medians of {args.rounds})")
        for what in results["lathe"][0]:
            all_ours = [r[what] for r in results["lathe"]]
            ours = statistics.median(all_ours)
            line = f"  {what:<26} lathe {ours:8.1f} ({min(all_ours):.1f} … {max(all_ours):.1f})"
            for name in peers:
                theirs = [r[what] for r in results[name] if what in r]
                if theirs:
                    median = statistics.median(theirs)
                    line += f"   {name} {median:8.1f} ({min(theirs):.1f} … {max(theirs):.1f}) ×{ours / median:.2f}"
            print(line, flush=True)


main()
