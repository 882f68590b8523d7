#!/usr/bin/env python3
"""Runs GoogleTest programs through an emulator, and leaves out what its kernel does not give, in sight: counted and listed.

usage: emulated.py EMULATOR JOBS PROGRAM…      what is needed by which tests stands in needs.txt beside this file
       emulated.py --self-test

A need is asked for once, by running one test of it; where that fails, every test that has the need is left out. All others must pass.
"""
import collections
import concurrent.futures
import fnmatch
import json
import os
import pathlib
import subprocess
import sys
import tempfile

Need = collections.namedtuple("Need", "name asked program patterns")


def read_needs(text):
    rows = [[cell.strip() for cell in line.split("|")] for line in text.splitlines() if line.strip() and line[0] != "#"]
    return [Need(name, tuple(asked.split()), program, patterns.split()) for name, asked, program, patterns in rows]


def tests_in(listing):
    """What --gtest_list_tests prints -> ["Suite.Test", …]"""
    tests, suite = [], ""
    for line in listing.splitlines():
        name = line.split("#")[0].rstrip()
        if name.startswith("  "):
            tests.append(suite + name.strip())
        elif name.endswith("."):
            suite = name
    return tests


def split(tests, program, needs, unmet):
    """(to run, {left out: need}). A pattern that no test has is an error: the table is older than the tests."""
    left_out = {}
    for need in needs:
        if need.program == program:
            for pattern in need.patterns:
                hits = fnmatch.filter(tests, pattern)
                if not hits:
                    raise SystemExit(f"needs.txt: {program} has no test {pattern}")
                if need.name in unmet:
                    left_out |= {test: need.name for test in hits}
    return [test for test in tests if test not in left_out], left_out


def run(emulator, program, *options):
    return subprocess.run([emulator, program, *options], capture_output=True, text=True, errors="replace")


def unmet_needs(emulator, programs, needs):
    unmet = {}
    for program, test in {need.asked for need in needs}:
        done = run(emulator, programs[program], f"--gtest_filter={test}")
        if done.returncode != 0 or "1 test from" not in done.stdout:
            name = next(need.name for need in needs if need.asked == (program, test))
            unmet[name] = f"{program} {test} fails here"
    return unmet


def run_program(emulator, name, path, needs, unmet):
    """(name, tests run, failures as text, left out)"""
    tests, left_out = split(tests_in(run(emulator, path, "--gtest_list_tests").stdout), name, needs, unmet)
    if not tests and not left_out:
        return name, 0, [f"{name} lists no tests"], {}
    with tempfile.TemporaryDirectory() as directory:
        report = pathlib.Path(directory, "report.json")
        done = run(emulator, path, f"--gtest_filter=*:-{':'.join(left_out)}", f"--gtest_output=json:{report}")
        if not report.exists():
            return name, 0, [f"{name} ended with {done.returncode} before its report:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"], left_out
        suites = json.loads(report.read_text())["testsuites"]
    ran = [(f"{suite['name']}.{test['name']}", test) for suite in suites for test in suite["testsuite"] if test["status"] == "RUN"]
    failed = [f"{name} {test}\n" + "\n".join(f["failure"] for f in found["failures"]) for test, found in ran if "failures" in found]
    if len(ran) != len(tests):
        failed.append(f"{name}: {len(ran)} of {len(tests)} tests ran")
    return name, len(ran), failed, left_out


def main():
    emulator, jobs, *paths = sys.argv[1:]
    programs = {pathlib.Path(path).name: path for path in paths}
    needs = read_needs(pathlib.Path(__file__).with_name("needs.txt").read_text())
    needs = [need for need in needs if need.program in programs and need.asked[0] in programs]
    os.environ["TMPDIR"] = "/dev/shm"  # as CTest has it: tests sync their journals after every record
    unmet = unmet_needs(emulator, programs, needs)
    for name, why in unmet.items():
        print(f"not here: {name} ({why})")
    count, failures, left_out = 0, [], collections.Counter()
    with concurrent.futures.ThreadPoolExecutor(int(jobs)) as pool:
        for name, ran, failed, out in pool.map(lambda item: run_program(emulator, *item, needs, unmet), programs.items()):
            print(f"{name}: {ran} ran, {len(failed)} failed, {len(out)} left out", flush=True)
            for test, need in out.items():
                print(f"  left out: {test} ({need})")
            count, failures = count + ran, failures + failed
            left_out.update(out.values())
    print("\n".join(failures))
    parts = "".join(f", {n} left out for want of {need}" for need, n in left_out.items())
    print(f"{count} tests ran, {len(failures)} failed{parts}")
    sys.exit(bool(failures) or count == 0)


def self_test():
    listing = "Running main()\nA.\n  One\n  Two\nP/B.\n  Three/0  # GetParam() = 4\n  Three/1\n"
    tests = tests_in(listing)
    assert tests == ["A.One", "A.Two", "P/B.Three/0", "P/B.Three/1"], tests
    needs = read_needs("# need | asked | program | tests\nboxes | prog A.One | prog | A.T* P/*\n")
    assert split(tests, "prog", needs, {}) == (tests, {}), "a need that is met leaves nothing out"
    ran, out = split(tests, "prog", needs, {"boxes": "why"})
    assert (ran, set(out)) == (["A.One"], {"A.Two", "P/B.Three/0", "P/B.Three/1"}), out
    assert split(tests, "other", needs, {"boxes": "why"}) == (tests, {}), "another program's needs"
    try:
        split(["A.One"], "prog", needs, {})
    except SystemExit as error:
        assert "no test A.T*" in str(error)
    else:
        raise SystemExit("a pattern without tests passes")
    rows = read_needs(pathlib.Path(__file__).with_name("needs.txt").read_text())
    assert rows and all(len(row.asked) == 2 and row.patterns for row in rows), rows
    print("the list of needs is read, and what it leaves out is what it names")


self_test() if sys.argv[1:] == ["--self-test"] else main()
