#!/usr/bin/env python3
"""Says how many lines of each room the unit tests run, from what a build with --coverage left behind.

usage: coverage.py BUILD_DIR [GCOV]     (make coverage)

A line counts once however many programs contain it, and as run if any of them ran it. Tests do not count, headers do. Lines that
the kernels of other instruction sets have are lines not run: the figure is this machine's.
"""
import collections
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def lines_of(notes, gcov):
    """{(file, line): runs} of one object, from its notes and counts."""
    done = subprocess.run([gcov, "--json-format", "--stdout", notes], check=True, capture_output=True, text=True, cwd=notes.parent)
    found = collections.Counter()
    for text in filter(None, done.stdout.splitlines()):
        report = json.loads(text)
        where = pathlib.Path(report["current_working_directory"])
        for file in report["files"]:
            path = (where / file["file"]).resolve()
            if path.is_relative_to(ROOT / "src") and not path.name.endswith("_test.cpp"):
                for line in file["lines"]:
                    found[path.relative_to(ROOT / "src"), line["line_number"]] += line["count"]
    return found


def by_room(lines):
    """{room: (lines run, lines)}; a room is the directory of a file."""
    rooms = collections.defaultdict(lambda: [0, 0])
    for (path, _), runs in lines.items():
        for name in (str(path.parent), "all"):
            rooms[name][0] += runs > 0
            rooms[name][1] += 1
    return rooms


def main():
    build, gcov = pathlib.Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "gcov"
    lines = collections.Counter()
    for notes in sorted(build.rglob("*.gcno")):
        lines.update(lines_of(notes, gcov))
    if not lines:
        sys.exit(f"{build} has no counts: build it with --coverage and run its tests")
    rooms = by_room(lines)
    for room in sorted(rooms, key=lambda name: (name == "all", name)):
        run, of = rooms[room]
        print(f"{room:20} {100 * run / of:5.1f} %  {run} of {of} lines")


main()
