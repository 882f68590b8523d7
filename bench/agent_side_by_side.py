"""What two recipes cost for the same repairs: fix-tests, which shows the sources and asks for the edit, and work-on, in which the model
works by tools. The 42 cases of bench/edits, each a project whose test wants the edited text, and the small ones once more as "wide", among
all the other texts, where the model has to search first; the model is a script that knows the edit, so that the figures are those of the
recipes and not of a model's luck. Counted by that model's server: requests, bytes of what is sent,
of those the bytes behind what the request before had sent (a cache of prefixes computes only these), and bytes of answers.

usage: agent_side_by_side.py LATHE
"""
import difflib
import hashlib
import http.server
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/e2e"))
from chat_model import ChatModel  # noqa: E402

EDITS = pathlib.Path(__file__).resolve().parent / "edits"


def cases():
    for part in ("\n" + (EDITS / "cases.txt").read_text()).split("\n=== ")[1:]:
        head, critique, rest = part.split("\n", 2)
        name, size = head.split()
        before = after = (EDITS / name).read_text()
        for hunk in ("\n" + rest).split("\n<<<")[1:]:
            everywhere, body = hunk.split("\n", 1)
            old, new = body.split("\n>>>")[0].split("\n---\n", 1) if "\n---\n" in body else (body.split("\n---")[0], "")
            after = after.replace(old, new, -1 if everywhere.strip() == "all" else 1)
        yield name.removesuffix(".txt"), size, critique, before, after


def blocks(before, after):
    """Whole lines that go and those in their place, with as many lines around them as make each unique; in order, each behind those
    before it. Where they would get in each other's way: one, from the first change to the last."""
    old, new = before.splitlines(), after.splitlines()
    changes = [code[1:] for code in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes() if code[0] != "equal"]
    for spans in (changes, [(changes[0][0], changes[-1][1], changes[0][2], changes[-1][3])]):
        found, text = [], before
        for a, b, c, d in spans:
            up = down = 0
            gone = lambda: "\n".join(old[a - up:b + down])
            while not gone().strip() or d - c + up + down == 0 or ("\n" + before).count("\n" + gone() + "\n") != 1:
                up, down = (up + 1, down) if a - up > 0 else (up, down + 1)
            found.append((gone(), "\n".join(old[a - up:a] + new[c:d] + old[b:b + down])))
            text = ("\n" + text).replace(*("\n" + each + "\n" for each in found[-1]), 1)[1:]
        if text == after:
            return found
    raise SystemExit("an edit that cannot be written as one of lines")


class Coder(http.server.ThreadingHTTPServer):
    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def begin(self, path, edits, wide):
        self.path, self.edits, self.wide, self.turn, self.before = path, edits, wide, 0, b""
        self.requests = self.sent = self.fresh = self.answered = 0


class Answer(ChatModel):
    def do_POST(self):
        body = self.request_body()
        server = self.server
        sent = json.dumps([body.get("tools", []), body["messages"]], ensure_ascii=False).encode()
        server.requests += 1
        server.sent += len(sent)
        server.fresh += len(sent) - len(os.path.commonprefix([sent, server.before]))
        server.before = sent
        delta = self.next_call() if body.get("tools") else {"content": self.edit()}
        server.answered += len(json.dumps(delta, ensure_ascii=False).encode())
        self.answer(delta, "tool_calls" if "tool_calls" in delta else "stop")

    def edit(self):
        fence = "````"
        hunks = "".join(f"<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n" for old, new in self.server.edits)
        return f"FILE: {self.server.path}\n{fence}\n{hunks}{fence}\n"

    def next_call(self):
        server = self.server
        turn, server.turn = server.turn, server.turn + 1
        if server.wide:
            if turn == 0:
                return self.one_call("search", text=max(server.edits[0][0].splitlines(), key=len))
            turn -= 1
        if turn == 0:
            return self.one_call("read_file", path=server.path)
        if turn <= len(server.edits):
            old, new = server.edits[turn - 1]
            return self.one_call("edit_file", path=server.path, old=old, new=new)
        return {"content": "Done."}

    def one_call(self, name, **arguments):
        return {"tool_calls": [{"index": 0, "id": f"c{self.server.turn}", "type": "function",
                                "function": {"name": name, "arguments": json.dumps(arguments)}}]}


def repair(lathe, recipe, coder, case, wide):
    name, _, critique, before, after = case
    with tempfile.TemporaryDirectory() as place:
        repo = pathlib.Path(place) / "repo"
        (repo / "src").mkdir(parents=True)
        (repo / "tests").mkdir()
        for other in EDITS.glob("*.txt") if wide else ():
            if other.name != "cases.txt":
                (repo / "src" / other.stem).write_text(other.read_text())
        (repo / "src" / name).write_text(before)
        wanted = hashlib.sha256(after.encode()).hexdigest()
        (repo / "tests/critique.txt").write_text(critique + "\n")
        (repo / "tests/run.sh").write_text(
            f'echo 1..1\nif [ "$(sha256sum < src/{name} | cut -d" " -f1)" = {wanted} ]; then echo "ok 1 - the text"\n'
            'else echo "not ok 1 - the text"; sed "s/^/# /" tests/critique.txt; fi\n')
        coder.begin(f"src/{name}", blocks(before, after), wide)
        done = subprocess.run(
            [lathe, "--journal", f"{place}/journal", "loop", recipe, "--input", repo, "--out", f"{place}/out", "--worker",
             f"coder=http://127.0.0.1:{coder.server_address[1]}/v1#scripted", "--set", "unit.command=sh tests/run.sh", "--set", "unit.format=tap",
             "--set", 'make.may_write=["src/**"]', "--set", 'make.protect=["tests/**"]', "--set", "stop.laps=1"],
            capture_output=True, text=True, env={**os.environ, "HOME": place})
        if done.returncode not in (0, 1):
            raise SystemExit(f"{recipe} {name}: {done.stdout[-2000:]} {done.stderr[-2000:]}")
        return done.returncode == 0


def main(lathe):
    coder = Coder()
    print("| recipe | edits | repaired | requests | sent, kB | of it fresh, kB | answers, kB |\n|---|---|---|---|---|---|---|")
    for recipe in ("fix-tests", "work-on"):
        rows = {}
        for case in cases():
            for wide in (False, True) if case[1] == "small" else (False,):
                passed = repair(lathe, recipe, coder, case, wide)
                rows.setdefault("wide" if wide else case[1], []).append(
                    (passed, coder.requests, coder.sent / 1e3, coder.fresh / 1e3, coder.answered / 1e3))
        for size in ("small", "medium", "large", "wide"):
            columns = list(zip(*rows[size]))
            medians = [f"{statistics.median(column):.1f}" for column in columns[2:]]
            print(f"| `{recipe}` | {size} | {sum(columns[0])} of {len(columns[0])} | {statistics.median(columns[1]):g} | {' | '.join(medians)} |")


if __name__ == "__main__":
    main(os.path.abspath(sys.argv[1]))
