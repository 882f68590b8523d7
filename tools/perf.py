#!/usr/bin/env python3
"""Compares how fast ways are beside each other with what bench/ratios.json records: ratios of one run, never times.

usage: perf.py RATIOS_PROGRAM LATHE [--record] [--rounds 15]     (make perf, make perf RECORD=1)

Kernels: lathe_ratios, each beside its scalar twin, beside plain reads, eight tokens beside one by one. Steps: `lathe bench` of
the starter model on one thread, where every figure, the best of nine (what else runs here only slows), is divided by another of
the same run. A ratio stands as the interval that
holds the true median of its rounds with at least 95 in 100. It fails where that interval ends more than the tolerance below the
beginning of the recorded one. Records are by instruction set and name their processor; on another one ratios are shown and
nothing fails.
"""
import argparse
import datetime
import json
import math
import pathlib
import re
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
RECORD = ROOT / "bench" / "ratios.json"
MODEL = ROOT / "models" / "starter-q8_0.gguf"
# Two runs on one machine beside two busy builds differed by at most 15 % of the median in 122 kernel ratios.
TOLERANCE = 0.15
# How near a kernel comes to plain reads depends on what memory gives at the moment: 0.84 and 1.01, an hour apart.
MEMORY_TOLERANCE = 0.3


def interval(values):
    """(low, median, high): the narrowest pair of ranks that holds the true median with at least 95 in 100."""
    ordered = sorted(values)
    n, outside, rank = len(ordered), 0.0, 0
    while 2 * (outside + math.comb(n, rank) / 2**n) <= 0.05:
        outside += math.comb(n, rank) / 2**n
        rank += 1
    low = max(rank - 1, 0)
    return [round(x, 3) for x in (ordered[low], statistics.median(ordered), ordered[n - 1 - low])]


def verdict(recorded, measured, tolerance=TOLERANCE):
    """"slower", "faster" or "same": beyond the recorded interval by more than the tolerance, wholly."""
    if measured[2] < recorded[0] * (1 - tolerance):
        return "slower"
    if measured[0] > recorded[2] * (1 + tolerance):
        return "faster"
    return "same"


def compare(recorded, measured, same_processor):
    """The lines to print and whether nothing failed, of one set: names to intervals."""
    lines, good = [], True
    for name in sorted(recorded.keys() | measured.keys()):
        if name not in measured:
            lines.append(f"MISSING  {name}: recorded, but not measured")
            good = False
        elif name not in recorded:
            lines.append(f"NEW      {name}: {show(measured[name])}, not recorded")
            good = False
        else:
            found = verdict(recorded[name], measured[name], MEMORY_TOLERANCE if "from memory" in name else TOLERANCE)
            if found == "same":
                continue
            lines.append(f"{found.upper():<8} {name}: {show(measured[name])}, recorded {show(recorded[name])}")
            good = good and (found == "faster" or not same_processor)
    return lines, good


def show(ratio):
    return f"{ratio[1]:.2f} ({ratio[0]:.2f} … {ratio[2]:.2f})"


def processor():
    """Vendor, family and model: names are not the same on virtual machines."""
    text = pathlib.Path("/proc/cpuinfo").read_text()
    fields = [re.search(rf"^{name}\s*: (.*)$", text, re.M)
              for name in ("vendor_id", "cpu family", "model", "CPU implementer", "CPU part")]
    return " ".join(field[1] for field in fields if field)


def step_ratios(report):
    """Of one run of `lathe bench`: what it gains to do tokens together."""
    rows = {(row["what"], row["size"]): float(row["low" if row["unit"] == "ms" else "high"]) for row in report["rows"]}
    return {
        "a token of prefill over one of decode": rows["prefill", 128] / rows["decode", 64],
        "8 steps of one token over one step of 8": 8 * rows["step", 1] / rows["step", 8],
        "8 streams over one": rows["streams", 8] / rows["streams", 1],
        "a cached prompt over a new one": rows["first token, new prompt", 128] / rows["first token, cached prompt", 128],
    }


def run(*command):
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def measure(args):
    """{set: {ratio: [one a round]}}"""
    found = run(args.ratios, "--rounds", str(args.rounds))
    for _ in range(args.rounds):
        report = run(args.lathe, "bench", str(MODEL), "--json", "--repeat", "9", "--threads", "1", "--prompts", "128",
                     "--answer", "64", "--widths", "1,8", "--streams", "1,8")["models"][0]
        for name, ratio in step_ratios(report).items():
            found.setdefault(f"steps, {report['kernels']}", {}).setdefault(name, []).append(ratio)
    return {name: {ratio: interval(values) for ratio, values in ratios.items()} for name, ratios in found.items()}


def record(found, here):
    records = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    for name, ratios in found.items():
        records[name] = {"processor": here, "date": datetime.date.today().isoformat(), "ratios": ratios}
    text = json.dumps(records, indent=1, sort_keys=True, ensure_ascii=False)
    RECORD.write_text(re.sub(r"\[\s+([\d.]+),\s+([\d.]+),\s+([\d.]+)\s+\]", r"[\1, \2, \3]", text) + "\n")
    print(f"recorded in {RECORD.relative_to(ROOT)}: {', '.join(found)}")


def judge(found, here):
    records, good = json.loads(RECORD.read_text()), True
    for name, ratios in found.items():
        if name not in records:
            print(f"{name}: no record; `make perf RECORD=1` makes one")
            continue
        recorded = records[name]
        same = recorded["processor"] == here
        lines, passed = compare(recorded["ratios"], ratios, same)
        print("\n".join([f"{name}: {len(ratios)} ratios, recorded {recorded['date']} on {recorded['processor']}"
                         + ("" if same else f"; this is {here}: shown, not judged")] + ["  " + line for line in lines]))
        good = good and passed
    print("make perf: " + ("no ratio is slower than recorded" if good else "FAILED"))
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ratios")
    parser.add_argument("lathe")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    found = measure(args)
    if args.record:
        record(found, processor())
    elif not judge(found, processor()):
        sys.exit(1)


if __name__ == "__main__":
    main()
