"""The gate of `make perf`: what it calls slower, and what it does not. Its intervals against those of the tables of order statistics.

usage: perf_test.py TOOLS_DIR
"""
import pathlib
import random
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
import perf  # noqa: E402


def same(got, want, what):
    if got != want:
        sys.exit(f"{what}: {got!r} instead of {want!r}")


def intervals():
    # Ranks of the interval of a median with at least 95 in 100, as printed in tables for the sign test.
    for n, low, high in ((6, 1, 6), (9, 2, 8), (15, 4, 12), (20, 6, 15), (30, 10, 21)):
        values = list(range(1, n + 1))
        random.Random(n).shuffle(values)
        same(perf.interval(values), [low, (n + 1) / 2, high], f"interval of {n}")
    same(perf.interval([7, 1, 4]), [1, 4, 7], "too few for 95 in 100: all of them")
    # An independent truth: the interval must hold the median, 0, of a skewed spread in 95 of 100 draws or more.
    draw, held = random.Random(1), 0
    for _ in range(2000):
        low, _, high = perf.interval([draw.expovariate(1) - 0.693147 for _ in range(15)])
        held += low <= 0 <= high
    if not 1880 <= held <= 1970:
        sys.exit(f"the interval of 15 holds the true median in {held} of 2000 draws")


def verdicts():
    recorded = [10.0, 11.0, 12.0]
    border = 10.0 * (1 - perf.TOLERANCE)
    same(perf.verdict(recorded, [1.0, 2.0, border]), "same", "high end at the border")
    same(perf.verdict(recorded, [1.0, 2.0, border - 0.001]), "slower", "wholly beyond the border")
    same(perf.verdict(recorded, [1.0, 1.0, 99.0]), "same", "a wide interval accuses nobody")
    border = 12.0 * (1 + perf.TOLERANCE)
    same(perf.verdict(recorded, [border, 20.0, 30.0]), "same", "low end at the upper border")
    same(perf.verdict(recorded, [border + 0.001, 20.0, 30.0]), "faster", "wholly above")


def comparisons():
    recorded = {"a": [10.0, 11.0, 12.0], "b": [2.0, 2.0, 2.0]}
    same(perf.compare(recorded, dict(recorded), True), ([], True), "nothing changed")
    lines, good = perf.compare(recorded, recorded | {"a": [5.0, 5.0, 5.0]}, True)
    same((good, lines), (False, ["SLOWER   a: 5.00 (5.00 … 5.00), recorded 11.00 (10.00 … 12.00)"]), "a slower kernel")
    same(perf.compare(recorded, recorded | {"a": [5.0, 5.0, 5.0]}, False)[1], True, "another processor is not judged")
    same(perf.compare(recorded, {"a": recorded["a"]}, True)[1], False, "what is not measured any more fails")
    same(perf.compare(recorded, recorded | {"c": [1, 1, 1]}, True)[1], False, "what was never recorded fails")
    same(perf.compare(recorded, recorded | {"a": [50.0, 50.0, 50.0]}, True)[1], True, "faster passes")
    for name, good in (("Q4_0 over scalar", False), ("Q4_0, from memory over plain reads", True)):
        same(perf.compare({name: [1, 1, 1]}, {name: [0.8, 0.8, 0.8]}, True)[1], good, f"a fifth less, {name}")


def steps():
    rows = [("prefill", 128, 1000), ("decode", 64, 100), ("step", 1, 3), ("step", 8, 6), ("streams", 1, 50), ("streams", 8, 200),
            ("first token, new prompt", 128, 90), ("first token, cached prompt", 128, 9)]
    # Times have their best below, rates above; the other end is what a busy machine made of it.
    report = {"rows": [{"what": what, "size": size, "unit": unit, "median": 7, ("low" if unit == "ms" else "high"): best,
                        ("high" if unit == "ms" else "low"): 7} for what, size, best in rows
                       for unit in ["ms" if what.startswith(("step", "first")) else "tok/s"]]}
    same(list(perf.step_ratios(report).values()), [10, 4, 4, 10], "ratios of steps: more is better in all")


intervals()
verdicts()
comparisons()
steps()
print("the gate's intervals, verdicts and comparisons hold")
