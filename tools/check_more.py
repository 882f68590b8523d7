#!/usr/bin/env python3
"""What `make test` has no time for, within an hour on two cores: sanitizers, fuzzers, leases, a long run, Debian 13, ARM64.

usage: check_more.py [--jobs 2] [PART…]     the parts by name, all of them if none is named      (make check-more)

Each part has its minutes; what takes longer is cut off, and that is a failure. The summary says of every part whether it passed,
failed, was cut off or could not be run here and why; output goes to build/check-more/PART.log.
"""
import argparse
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
LOGS = ROOT / "build" / "check-more"

# Rooms that read what others wrote, and rooms with threads: what the two sanitizers are for.
FOREIGN = ("base sys schema formats tokens templates answers constraints models convert sqlite record mini media senses makers judges "
           "conductor net server")
THREADS = "sys tensor cpu engine media senses conductor net pool server hosts"


def under_sanitizer(preset, rooms):
    tests = [f"lathe_{room}_test" for room in rooms.split()]
    return " && ".join([
        "./tools/install-packages.sh unit", f"cmake --preset {preset} >/dev/null",
        f"cmake --build build/{preset} -j $JOBS --target {' '.join(tests)}",
        *(f"./tools/run_clean.sh build/{preset}/src/{test}" for test in tests)])


PARTS = {  # name: (minutes, needs root, command)
    "asan": (14, False, under_sanitizer("asan", FOREIGN)),
    "tsan": (8, False, under_sanitizer("tsan", THREADS)),
    "fuzz": (6, False, "make fuzz JOBS=$JOBS FUZZ_SECONDS=10"),
    "leases": (3, False, "./tools/install-packages.sh unit && cmake --preset release -DLATHE_TESTS=ON >/dev/null && "
                         "cmake --build build/release -j $JOBS --target lathe_lease_stores_test lathe_fleet_database_test && "
                         "for test in lease_stores fleet_database; do build/release/tests/lathe_${test}_test "
                         "--gtest_also_run_disabled_tests --gtest_filter='*Whole*:*TheLargest*' || exit 1; done"),
    "long-run": (3, False, "make build JOBS=$JOBS && python3 -B bench/soak.py build/release/src/lathe --minutes 1.5 "
                           "tests/data/models/llama-q4_0.gguf tests/data/models/qwen3-q4_k_m.gguf tests/data/models/qwen2-q4_k_m.gguf"),
    "debian-13": (14, True, "./tools/elsewhere.sh debian-13"),
    "arm64": (12, True, "./tools/elsewhere.sh arm64"),
}


def run(name, minutes, command, jobs):
    """"passed", "failed" or "cut off", and what the log says of things left out."""
    LOGS.mkdir(parents=True, exist_ok=True)
    path = LOGS / f"{name}.log"
    with path.open("w") as log:
        process = subprocess.Popen(["sh", "-c", command], cwd=ROOT, env=os.environ | {"JOBS": str(jobs)}, stdout=log,
                                   stderr=subprocess.STDOUT, start_new_session=True)
        try:
            outcome = "passed" if process.wait(minutes * 60) == 0 else "failed"
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            outcome = "cut off"
    return outcome, path.read_text(errors="replace")


def left_out(log):
    """Of the last line that counts tests: "45 left out for want of sandbox"."""
    found = re.findall(r"^\d+ tests ran, \d+ failed, (.*)$", log, re.M)
    return found[-1] if found else ""


def summary(rows):
    return "\n".join(f"{name:10} {outcome:8} {minutes:5.1f} min  {note}".rstrip() for name, outcome, minutes, note in rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    args = parser.parse_args()
    unknown = set(args.parts) - set(PARTS)
    if unknown:
        parser.error(f"no part {' '.join(sorted(unknown))}: {', '.join(PARTS)}")
    rows = []
    for name in args.parts or PARTS:
        minutes, needs_root, command = PARTS[name]
        if needs_root and os.geteuid() != 0:
            rows.append((name, "left out", 0, "needs root, to bootstrap a system and to mount in it"))
            continue
        print(f"== {name}, at most {minutes} minutes", flush=True)
        start = time.monotonic()
        outcome, log = run(name, minutes, command, args.jobs)
        if outcome != "passed":
            print("\n".join(log.splitlines()[-40:]))
        rows.append((name, outcome, (time.monotonic() - start) / 60, left_out(log)))
    rows += [(name, "left out", 0, "not asked for") for name in PARTS if args.parts and name not in args.parts]
    print("== what ran\n" + summary(rows))
    sys.exit(any(outcome in ("failed", "cut off") for _, outcome, _, _ in rows))


if __name__ == "__main__":
    main()
