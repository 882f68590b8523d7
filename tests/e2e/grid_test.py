"""Grids of models and evaluations: known outcomes against figures computed here, runs that are killed, judges and models
that break, likelihoods against the model's own logits, and what public harnesses ask of a server."""
import array
import http.server
import json
import math
import re
import signal
import sqlite3
import subprocess
import threading
import unittest

from cli_test import SOURCE, Case
from serve_test import Server

MODEL = SOURCE / "tests/data/models/llama-q4_0.gguf"
OTHER = SOURCE / "tests/data/models/llama-q8_0.gguf"
PROMPTS = [f"p{i}" for i in range(1, 11)]
GRID = """
recipe = "known"
version = 1
[unit]
from = "tasks.jsonl"
split = "jsonl"
seeds = {seeds}
[make]
kind = "reply"
ladder = {ladder}
[[judge]]
kind = "key"
{more}
"""
SLOW = """[[judge]]
name = "slow"
kind = "command"
command = ["sh", "-c", "sleep {}", "judge", "{{file}}"]
"""


def wilson(hits, n, z=1.959963984540054):
    share, square = hits / n, z * z / n
    reach = z * math.sqrt(share * (1 - share) / n + square / (4 * n))
    return (share + square / 2 - reach) / (1 + square), (share + square / 2 + reach) / (1 + square)


def mcnemar(b, c):
    return min(1, 2 * sum(math.comb(b + c, k) for k in range(min(b, c) + 1)) / 2 ** (b + c))


def script(right, wrong=()):
    """A model that is right about these prompts, fails with an error about those, and is wrong about all others."""
    lines = [f'[[reply]]\nwhen = "ask {p}."\ntext = "yes {p}"\n' for p in right]
    lines += [f'[[reply]]\nwhen = "ask {p}."\nerror = "it died"\n' for p in wrong]
    return "".join(lines) + '[[reply]]\ntext = "no"\n'


class Base(Case):
    def tasks(self, prompts=PROMPTS, name="tasks.jsonl", **more):
        lines = [{"key": p, "text": f"ask {p}.", "expect": f"yes {p}", **more} for p in prompts]
        return self.write(name, "".join(json.dumps(line) + "\n" for line in lines))

    def grid(self, *args, seeds=3, ladder=("small", "big"), more="", code=0):
        self.write("grid.toml", GRID.format(seeds=seeds, ladder=json.dumps(list(ladder)), more=more))
        workers = [flag for name in ladder for flag in ("--worker", f"{name}=script:{name}.toml")]
        out, _ = self.lathe("--json", "bench", "grid", "grid.toml", *workers, *args, code=code)
        return json.loads(out)

    def made(self, run="%"):
        """What makers gave, in the journal."""
        with sqlite3.connect(self.journal / "journal.db") as db:
            return [json.loads(body) for body, in
                    db.execute("SELECT body FROM records WHERE kind = 'made' AND run LIKE ?", (run,))]

    def refused(self, *args, say, code=2):
        out, err = self.lathe(*args, code=code)
        self.assertIn(say, err, args)

    def row(self, record, model, of="all", name=""):
        row, = [r for r in record["grid"]["rows"] if (r["model"], r["of"], r["name"]) == (model, of, name)]
        return row

    def counts(self, record, model, **kwargs):
        return tuple(self.row(record, model, **kwargs)[k] for k in ("passed", "judged", "errors", "missing"))

    def without_times(self, record):
        drop = ("make_us", "seconds_a_pass", "run")
        clean = lambda v: ({k: clean(w) for k, w in v.items() if k not in drop} if isinstance(v, dict) else
                           [clean(w) for w in v] if isinstance(v, list) else v)
        return clean(record["grid"])


class Grid(Base):
    def setUp(self):
        super().setUp()
        self.tasks()
        self.write("small.toml", script(["p1", "p2", "p3", "p4"]))
        self.write("big.toml", script([p for p in PROMPTS if p != "p2"]))

    def test_known_outcomes(self):
        record = self.grid("--out", "r.json")
        self.assertEqual(self.counts(record, "small"), (12, 30, 0, 0))
        self.assertEqual(self.counts(record, "big"), (27, 30, 0, 0))
        for model, hits in (("small", 12), ("big", 27)):
            row, (low, high) = self.row(record, model), wilson(hits, 30)
            for key, expected in (("rate", hits / 30), ("low", low), ("high", high)):
                self.assertAlmostEqual(float(row[key]), expected, delta=1e-6)
            self.assertEqual((row["money_a_pass"], row["currency"], row["unpriced"]), (None, None, 0))
        pair, = record["grid"]["pairs"]
        self.assertEqual([pair[k] for k in ("both", "only_a", "only_b", "neither", "left_out")], [9, 3, 18, 0, 0])
        self.assertAlmostEqual(float(pair["p"]), mcnemar(3, 18), delta=1e-9)
        self.assertEqual(len(record["grid"]["cells"]), 60)
        self.assertTrue(record["publishable"])
        # An ordinary run: replayed, shown, reported; what was written adds up again, and nothing else does.
        self.assertEqual(json.loads((self.dir / "r.json").read_text()), record)
        self.lathe("bench", "verify", "r.json")
        self.lathe("replay", "last")
        self.lathe("report", "last", "--out", "r.html")
        self.assertEqual(record, json.loads(self.lathe("--json", "bench", "grid", "--run", "last")[0]), "shown again")
        record["grid"]["cells"][0]["state"] = "failed"
        self.write("t.json", json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n")
        self.refused("bench", "verify", "t.json", say="grid.rows[0]")

    def test_as_a_page(self):
        self.grid("--html", "grid.html", seeds=1)
        page = (self.dir / "grid.html").read_text()
        self.assertIn("40.0 % <span class=dim>(16.8 … 68.7)</span>", page)
        self.assertIn("<td>3<td>1<td>6<td>0<td>0<td>0.125</tr>", page)
        self.assertEqual(page.count("<svg"), 2, "an interval a model")
        self.refused("bench", "grid", "--run", "last", "--html", "grid.html", say="grid.html")

    def test_signed(self):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.dir / "key")], check=True)
        self.grid("--out", "r.json", "--sign", "key", seeds=1)
        key = (self.dir / "key.pub").read_text()
        self.write("signers", "me " + key)
        self.lathe("bench", "verify", "r.json", "--allowed", "signers", "--identity", "me")

    def test_the_table(self):
        self.grid(seeds=1)
        out, _ = self.lathe("bench", "grid", "--run", "last")
        self.assertRegex(out, r"small +all +4/10 +40\.0 % \(16\.8 … 68\.7\) +0 +0 .* no money")
        self.assertIn("small against big, all: both 3, the first alone 1, the second alone 6, neither 0; p = 0.125", out)

    def test_killed_and_gone_on_with(self):
        slow = SLOW.format(0.05)
        whole = self.grid(more=slow)
        workers = [flag for name in ("small", "big") for flag in ("--worker", f"{name}=script:{name}.toml")]
        run = subprocess.Popen(self.command("bench", "grid", "grid.toml", *workers), cwd=self.dir, env=self.environment(),
                               stdout=subprocess.PIPE, text=True)
        seen = 0
        for line in run.stdout:
            seen += line.endswith(", passed\n")
            if seen == 8:
                break
        run.send_signal(signal.SIGKILL)
        run.wait()
        run.stdout.close()
        self.assertIn(len(self.made()) - 60, range(8, 60), "killed midway")
        again = json.loads(self.lathe("--json", "bench", "grid", "--run", "last", *workers)[0])
        self.assertNotEqual(again["grid"]["run"], whole["grid"]["run"])
        self.assertEqual(self.without_times(again), self.without_times(whole))
        self.lathe("replay", again["grid"]["run"])
        made = [(m["track"], m["lap"], m["n"]) for m in self.made(again["grid"]["run"])]
        self.assertEqual((len(made), len(set(made))), (60, 60), "each cell once")

    def test_a_judge_that_errors(self):
        self.write("judge.sh", 'grep -q "p[12]$" "$1" && echo nonsense || echo "{\\"candidate\\":\\"$LATHE_CANDIDATE\\",\\"outcome\\":\\"pass\\"}"\n')
        more = ('[[judge]]\nname = "odd"\nkind = "command"\nfiles = ["judge.sh"]\n'
                'command = ["sh", "judge.sh", "{file}"]\nprotocol = "json"\n')
        record = self.grid(more=more, seeds=1, code=3)
        self.assertEqual(self.counts(record, "small"), (2, 8, 2, 0))
        self.assertEqual(self.counts(record, "big"), (8, 9, 1, 0))
        self.assertEqual(record["grid"]["pairs"][0]["left_out"], 2)
        self.assertFalse(record["publishable"])
        self.assertEqual(record["objections"], ["3 cells without a verdict"])
        self.assertIn("judge 'odd'", [c for c in record["grid"]["cells"] if c["state"] == "error"][0]["why"])
        # By judge, too: the key was there for all of them.
        self.assertEqual(self.row(record, "small", "mark", "exact_match")["passed"], 4)

    def test_a_model_that_dies_midway(self):
        self.write("big.toml", script(PROMPTS[:4], PROMPTS[6:]))
        record = self.grid(seeds=1, code=3)
        self.assertEqual(self.counts(record, "small"), (4, 10, 0, 0))
        self.assertEqual(self.counts(record, "big"), (4, 6, 4, 0))
        # It is there again: only what had no verdict is asked.
        self.write("big.toml", script(PROMPTS))
        again = json.loads(self.lathe("--json", "bench", "grid", "--run", "last")[0])
        self.assertEqual(self.counts(again, "big"), (8, 10, 0, 0))

    def test_a_budget_that_ends_leaves_cells_missing(self):
        record = self.grid(more=SLOW.format(1) + '[stop]\ntime = "300ms"\n', seeds=3, code=3)
        missing = self.row(record, "small")["missing"] + self.row(record, "big")["missing"]
        self.assertGreater(missing, 40)
        self.assertIn("without an end", record["objections"][0])

    def test_one_model_and_one_cell(self):
        self.tasks(["p1"])
        record = self.grid(seeds=1, ladder=["small"])
        self.assertEqual((self.counts(record, "small"), record["grid"]["pairs"]), ((1, 1, 0, 0), []))
        self.assertAlmostEqual(float(self.row(record, "small")["low"]), wilson(1, 1)[0], delta=1e-6)

    def test_groups(self):
        self.write("tasks.jsonl", "".join(json.dumps({"key": p, "text": f"ask {p}.", "expect": f"yes {p}",
                                                      "group": "easy" if p < "p3" else "hard"}) + "\n" for p in PROMPTS))
        record = self.grid(seeds=1)
        self.assertEqual(self.counts(record, "small", of="group", name="easy"), (2, 3, 0, 0))
        self.assertEqual(self.counts(record, "small", of="group", name="hard"), (2, 7, 0, 0))

    def test_what_is_refused(self):
        self.write("grid.toml", GRID.format(seeds=1, ladder='["small"]', more=""))
        ask = ("bench", "grid", "grid.toml", "--worker", "small=script:small.toml")
        self.refused("bench", "grid", say="name a recipe, or a run")
        self.refused("bench", "grid", "grid.toml", "--worker", "smal=script:small.toml", say="did you mean 'small'")
        self.refused("bench", "grid", "grid.toml", say="there is no worker 'small'")
        self.refused(*ask, "--set", "unit.seeds=-1", say="unit.seeds is -1")
        self.refused(*ask, "--set", "unit.seeds=10000", say="are 100000 cells, and a grid has at most 10000")
        self.refused(*ask, "--sign", "key", say="--sign needs --out")
        self.refused("bench", "grid", "rewrite", say="is no grid")
        self.write("tasks.jsonl", "")
        self.refused(*ask, say="is empty")
        self.tasks(["p1", "p1"])
        self.refused(*ask, say="the key 'p1' stands twice")
        self.assertEqual(self.events("runs"), [], "nothing was begun")


class Eval(Base):
    CHOICES = [("The sky is", ["blue", "green and yellow"], 0), ("A dog can", ["fly", "bark", "x"], 1),
               ("Zürich liegt in", ["der Schweiz", "Österreich"], 0)]

    def softmax_sums(self, model):
        """Of each choice, from `lathe logits` and nothing else of ours but the tokenizer."""
        sums = []
        for text, choices, _ in self.CHOICES:
            row = []
            for choice in choices:
                whole = f"{text} {choice}".encode()
                tokens = json.loads(self.lathe("--json", "tokenize", model, "--pieces", input=whole)[0])
                ids = tokens["ids"]
                sizes = [1 if "\ufffd" in piece else len(piece.encode()) for piece in tokens["pieces"]]
                self.lathe("logits", model, "--ids", " ".join(map(str, ids)), "--out", "l.f32", "--force")
                values = array.array("f", (self.dir / "l.f32").read_bytes())
                width = len(values) // len(ids)
                total, end = 0, len(whole)
                for i in range(len(ids) - 1, 0, -1):
                    if end <= len(text.encode()):
                        break
                    logits = values[(i - 1) * width:i * width]
                    most = max(logits)
                    total += logits[ids[i]] - most - math.log(sum(math.exp(v - most) for v in logits))
                    end -= sizes[i]
                row.append(total)
            sums.append(row)
        return sums

    def write_choices(self):
        self.write("c.jsonl", "".join(json.dumps({"key": f"c{i}", "text": t, "choices": c, "answer": a}) + "\n"
                                      for i, (t, c, a) in enumerate(self.CHOICES)))

    def test_exact_match(self):
        self.write("t.jsonl", "\n".join(json.dumps({"key": k, "text": "ask", "expect": e}) for k, e in
                                        (("a", "Zürich"), ("b", "zürich"), ("c", "Zu\u0308rich"), ("d", ["x", "Zürich"]))) + "\n")
        self.write("w.toml", '[[reply]]\ntext = "Zürich"\n')
        ask = ("--json", "eval", "t.jsonl", "--worker", "w=script:w.toml")
        states = lambda *more: [c["state"] for c in json.loads(self.lathe(*ask, *more)[0])["grid"]["cells"]]
        self.assertEqual(states(), ["passed", "failed", "failed", "passed"])
        self.assertEqual(states("--ignore", "case,blanks"), ["passed", "passed", "failed", "passed"])
        self.refused(*ask, "--ignore", "cas", say="did you mean 'case'")

    def test_code_by_its_tests(self):
        tests = "assert double(4) == 8\nassert double(-1) == -2\n"
        self.write("t.jsonl", json.dumps({"key": "d", "text": "double", "tests": tests}) + "\n")
        code = "Here:\\n```python\\ndef double(n):\\n    return {}\\n```\\n"
        self.write("good.toml", f'[[reply]]\ntext = "{code.format("n * 2")}"\n')
        self.write("bad.toml", f'[[reply]]\ntext = "{code.format("n * n")}"\n')
        self.write("exits.toml", '[[reply]]\ntext = "import sys\\nsys.exit(0)"\n')
        record = json.loads(self.lathe("--json", "eval", "t.jsonl", "--worker", "good=script:good.toml", "--worker",
                                       "bad=script:bad.toml", "--worker", "exits=script:exits.toml")[0])
        self.assertEqual([c["state"] for c in record["grid"]["cells"]], ["passed", "failed", "failed"])
        self.assertEqual(record["grid"]["cells"][0]["marks"], {"tests": True})

    def test_line_errors(self):
        ask = ("eval", "t.jsonl", "--worker", "w=script:w.toml")
        self.write("w.toml", '[[reply]]\ntext = "x"\n')
        good = json.dumps({"key": "a", "text": "ask", "expect": "x"})
        for line, say in (('{"key": "b"', "t.jsonl:2"), ('{"key": "b", "expect": "x"}', 't.jsonl:2: needs a "key" and a "text"'),
                          ('{"key": "b", "text": "t"}', 't.jsonl:2: needs one of "choices"'),
                          ('{"key": "b", "text": "t", "choices": ["a", "b"], "answer": 2}', 't.jsonl:2: "answer" must be'),
                          ('{"key": "b", "text": "t", "expect": 3}', 't.jsonl:2: "expect" must be')):
            self.write("t.jsonl", good + "\n" + line + "\n")
            self.refused(*ask, say=say)
        self.refused("eval", "t.jsonl", say="name a model")
        self.refused("eval", "--worker", "w=script:w.toml", say="name a file of tasks")

    def test_who_cannot_weigh_is_refused_before_any_work(self):
        self.write_choices()
        self.write("w.toml", '[[reply]]\ntext = "x"\n')
        self.refused("eval", "c.jsonl", "--worker", "w=script:w.toml", say="give w=FILE.gguf")
        self.assertEqual(self.made(), [])

    def completions(self, logprobs):
        """A server whose /completions answers with this of a prompt."""
        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self, value):
                body = json.dumps(value).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                self.answer({"data": [{"id": "m"}]})

            def do_POST(self):
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                asked_for.append(asked)
                self.answer({"choices": [{"text": asked["prompt"], "logprobs": logprobs(asked["prompt"])}]})

            def log_message(self, *args):
                pass

        asked_for = []
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(lambda: (server.shutdown(), server.server_close()))
        return f"w=http://127.0.0.1:{server.server_port}/v1", asked_for

    def test_choices_of_another_server(self):
        def words(text, size=len):
            """A word a token, the last one the answer's; each as unlikely as it has letters."""
            tokens = re.findall(r" ?[^ ]+", text) + [" more"]
            offsets = [sum(size(t) for t in tokens[:i]) for i in range(len(tokens))]
            return {"tokens": tokens, "token_logprobs": [None] + [-len(t) for t in tokens[1:]], "text_offset": offsets,
                    "top_logprobs": None}

        self.write("c.jsonl", json.dumps({"key": "a", "text": "It is", "choices": ["a long one", "short"], "answer": 1}) + "\n" +
                   json.dumps({"key": "b", "text": "Zürich ist", "choices": ["groß", "x"], "answer": 0}) + "\n")
        worker, asked = self.completions(lambda text: words(text, lambda t: len(t.encode())))
        cells = json.loads(self.lathe("--json", "eval", "c.jsonl", "--worker", worker)[0])["grid"]["cells"]
        # −11 against −6; by the byte −1.1 against −1.2. −5 against −2; −5/5 against −2.
        self.assertEqual([c["marks"] for c in cells], [{"acc": True, "acc_norm": False}, {"acc": False, "acc_norm": True}])
        self.assertEqual(asked[-1], {"model": "m", "prompt": asked[-1]["prompt"], "max_tokens": 1, "temperature": 0,
                                     "echo": True, "logprobs": 1})
        # Offsets in characters agree with bytes until a character has two.
        worker, _ = self.completions(words)
        cells = json.loads(self.lathe("--json", "eval", "c.jsonl", "--worker", worker, code=3)[0])["grid"]["cells"]
        self.assertEqual([c["state"] for c in cells], ["passed", "error"])
        self.assertIn("its offsets are not in bytes", cells[1]["why"])
        worker, _ = self.completions(lambda text: None)
        self.refused("eval", "c.jsonl", "--worker", worker, say="gives no log probabilities of the prompt's tokens")

    def test_choices_against_the_logits(self):
        self.write_choices()
        out, _ = self.lathe("--json", "eval", "c.jsonl", "--models", f"{MODEL},{OTHER}", "--out", "r.json")
        record = json.loads(out)
        self.lathe("bench", "verify", "r.json")
        for n, model in enumerate((MODEL, OTHER)):
            for i, (sums, (_, choices, answer)) in enumerate(zip(self.softmax_sums(model), self.CHOICES)):
                by_byte = [s / len(c.encode()) for s, c in zip(sums, choices)]
                expected = {"acc": sums.index(max(sums)) == answer, "acc_norm": by_byte.index(max(by_byte)) == answer}
                self.assertEqual(record["grid"]["cells"][2 * i + n]["marks"], expected, (model, i))
        self.assertEqual({(r["of"], r["name"]) for r in record["grid"]["rows"]},
                         {("all", ""), ("mark", "acc"), ("mark", "acc_norm")})


class Harness(Server):
    """What public log-likelihood harnesses send to /v1/completions, and what they make of the answers."""

    def test_a_choice_through_the_server(self):
        self.start()
        model, question, choices = "llama-q4_0", "The capital of France is", ["Paris", "a dog", "Zürich"]
        ids = lambda text: json.loads(self.lathe("--json", "tokenize", MODEL, input=text.encode())[0])["ids"]
        texts = [f"{question} {choice}" for choice in choices]
        body = {"model": model, "max_tokens": 1, "logprobs": 1, "seed": 1234, "echo": True, "temperature": 0}
        sums = {}
        for kind, prompts in (("texts", texts), ("ids", [ids(text) for text in texts])):
            answer = self.call("/v1/completions", {**body, "prompt": prompts})
            self.assertEqual([c["index"] for c in answer["choices"]], [0, 1, 2])
            sums[kind] = []
            for choice in answer["choices"]:
                given = choice["logprobs"]
                self.assertEqual({len(given[k]) for k in given}, {len(given["tokens"])})
                begin = next(i for i, o in enumerate(given["text_offset"]) if o >= len(question))
                sums[kind].append(sum(given["token_logprobs"][begin:-1]))
        for a, b in zip(sums["texts"], sums["ids"]):
            self.assertAlmostEqual(a, b, delta=1e-6)
        # One prompt, not a list, is the same; and so is what `lathe eval` asks this server.
        alone = self.call("/v1/completions", {**body, "prompt": texts[0], "max_tokens": 0})["choices"][0]["logprobs"]
        begin = next(i for i, o in enumerate(alone["text_offset"]) if o >= len(question))
        self.assertAlmostEqual(sum(alone["token_logprobs"][begin:]), sums["texts"][0], delta=1e-6)
        best = sums["texts"].index(max(sums["texts"]))
        self.write("t.jsonl", json.dumps({"key": "k", "text": question, "choices": choices, "answer": best}) + "\n")
        for worker in (f"w={self.url}/v1#{model}", f"w={MODEL}"):
            record = json.loads(self.lathe("--json", "eval", "t.jsonl", "--worker", worker)[0])
            self.assertTrue(record["grid"]["cells"][0]["marks"]["acc"], worker)


if __name__ == "__main__":
    unittest.main()
