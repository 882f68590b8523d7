"""Mini-Python against Python itself: every call that Mini-Python answers must give the same repr() or the same
exception here. What Mini-Python gives up for a reason of its own (fuel, memory, 64 bits, what it does not support) is
counted and must stay the exception.

usage: mini_oracle_test.py <lathe_mini_driver> [<programs>] [<seed>]
"""
import collections
import json
import subprocess
import sys

OWN = {"!Fuel", "!Memory", "!Overflow", "!Unsupported"}


def python_says(function, arguments):
    try:
        return repr(function(*eval("[" + arguments + "]")))
    except Exception as error:  # the name is what counts
        return "!" + type(error).__name__


def main():
    count = sys.argv[2] if len(sys.argv) > 2 else "12000"
    seed = sys.argv[3] if len(sys.argv) > 3 else "1"
    output = subprocess.run([sys.argv[1], count, seed], capture_output=True, check=True, text=True).stdout
    told = collections.Counter()
    wrong = 0
    for line in output.splitlines():
        case = json.loads(line)
        told["programs"] += 1
        if "refused" in case:
            told["refused"] += 1
            try:
                compile(case["source"], "case", "exec")
                told["refused, though Python takes it"] += 1
            except SyntaxError:
                pass
            continue
        names = {}
        try:
            exec(case["source"], names)
        except SyntaxError:
            wrong += 1
            print("Python does not take:", case["source"], sep="\n")
            continue
        for arguments, said in case["calls"]:
            if said in OWN:
                told["given up: " + said[1:]] += 1
                continue
            truth = python_says(names[case["name"]], arguments)
            told["errors" if truth.startswith("!") else "values"] += 1
            if truth != said:
                wrong += 1
                if wrong < 10:
                    print(case["source"], f"called with {arguments}: {said}, in Python {truth}", sep="\n")
    print(dict(told))
    assert wrong == 0, f"{wrong} differ"
    assert told["programs"] >= int(count)
    assert told["values"] > 3 * int(count) and told["errors"] > int(count) // 2, "the programs say too little"
    given_up = sum(n for key, n in told.items() if key.startswith("given up"))
    assert given_up < (told["values"] + told["errors"]) // 10, "too much is given up"
    assert told["refused"] < told["programs"] // 10, "too much is refused"


main()
