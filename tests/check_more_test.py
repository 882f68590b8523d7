"""`make check-more`: its parts fit an hour and name rooms that exist; what fails, hangs or was left out is called so.

usage: check_more_test.py SOURCE_DIR
"""
import pathlib
import sys
import tempfile
import time

sys.dont_write_bytecode = True
root = pathlib.Path(sys.argv[1])
sys.path.insert(0, str(root / "tools"))
import check_more  # noqa: E402


def same(got, want, what):
    if got != want:
        sys.exit(f"{what}: {got!r} instead of {want!r}")


def parts():
    minutes = sum(part[0] for part in check_more.PARTS.values())
    if minutes > 60:
        sys.exit(f"the parts may take {minutes} minutes")
    tested = {test.parent.name for test in (root / "src").rglob("*_test.cpp")}
    same(set((check_more.FOREIGN + " " + check_more.THREADS).split()) - tested, set(), "rooms that have no tests")


def lives(pid):
    try:
        return pathlib.Path("/proc", pid, "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def ends(pid):
    """A signal is on its way when the call that sent it returns."""
    for _ in range(200):
        if not lives(pid):
            return True
        time.sleep(0.05)
    return False


def outcomes():
    with tempfile.TemporaryDirectory() as directory:
        check_more.LOGS = pathlib.Path(directory)
        same(check_more.run("good", 1, "echo out; echo $JOBS >&2", 7), ("passed", "out\n7\n"), "a part that passes")
        same(check_more.run("bad", 1, "echo why; exit 3", 1), ("failed", "why\n"), "a part that fails")
        outcome, log = check_more.run("slow", 0.05, "sleep 600 & echo $!; wait", 1)
        same((outcome, ends(log.strip())), ("cut off", True), "a part that hangs, and its child")


def words():
    log = "lathe_a_test: 3 ran\n9 tests ran, 0 failed, 4 left out for want of sandbox, 1 left out for want of openat2\n"
    same(check_more.left_out(log), "4 left out for want of sandbox, 1 left out for want of openat2", "what an emulator left out")
    same(check_more.left_out("9 tests ran, 0 failed\n"), "", "nothing left out")
    same(check_more.summary([("arm64", "cut off", 12, ""), ("fuzz", "left out", 0, "not asked for")]),
         "arm64      cut off   12.0 min\nfuzz       left out   0.0 min  not asked for", "the summary")


parts()
outcomes()
words()
print("the parts fit, and their outcomes are called what they are")
