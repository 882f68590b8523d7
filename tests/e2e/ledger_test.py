"""The ledger as its users see it: what runs and servers took, added up, verified, priced."""
import http.client
import json
import signal
import shutil
import sqlite3
import subprocess
import unittest

from cli_test import EXAMPLES, FAST, LATHE, Case
from serve_test import LONG, TINY, Server

BOX = """price = 3999.0
currency = "USD"
bought = "2026-06-01"
life_years = 3
watts_idle = 30
watts_load = 140
replaces = "claude-opus-5"
[[tariff]]
from = "2026-01-01"
per_kwh = 0.31
"""
PRICES = """table = "mine"
date = "2026-11-30"
currency = "USD"
unit = "million tokens"
source = "a letter"
[[price]]
model = "script"
in = 3.0
out = 15.0
"""


class Ledger(Case):
    def repaired(self):
        repo = self.dir / "shell"
        shutil.copytree(EXAMPLES / "fix-tests" / "shell", repo)
        return self.events("loop", repo / "recipe.toml", "--input", repo, "--worker", f"coder=script:{repo}/worker.toml")

    def test_rows_of_a_run_add_up_to_its_records(self):
        events = self.repaired()
        calls = [e for e in events if e["kind"] in ("made", "verdict") and not e["body"]["reused"]]
        totals = self.events("ledger")
        self.assertEqual({t["book"] for t in totals}, {"runs"})
        self.assertEqual(sum(t["calls"] for t in totals), len(calls))
        for row, usage in (("out", "completion_tokens"), ("cached", "cached_tokens")):
            self.assertEqual(sum(t[row] for t in totals), sum(e["body"]["usage"][usage] for e in calls), row)
        failed = [e for e in calls if e["kind"] == "made" and not e["body"]["ok"]]
        self.assertTrue(failed)
        self.assertEqual(sum(t["failed"] for t in totals), len(failed))
        self.assertEqual(self.events("ledger", "--verify"), [{"rows": len(calls), "whole": True}])
        cost = self.events("report", "last", "--cost")[0]
        self.assertEqual(cost["sum"]["calls"], len(calls))
        self.assertEqual((cost["accepted"], cost["units"]), (2, 2))
        self.assertEqual(cost["sum"]["out"], sum(t["out"] for t in totals))
        # The run goes, what it took stays.
        self.lathe("rm", "last")
        self.assertEqual(self.events("ledger"), totals)

    def test_groups_days_and_tables(self):
        self.write("units.txt", "1\n\n2\n")
        self.lathe("loop", self.write("fast.toml", FAST))
        for by in ("model", "key", "recipe", "day"):
            csv, _ = self.lathe("ledger", "--by", by, "--csv")
            head, *rows = csv.splitlines()
            self.assertTrue(head.startswith("book,name,calls,"), csv)
            self.assertEqual(len(rows), 1, csv)
        self.assertIn("runs,fast,", self.lathe("ledger", "--by", "recipe", "--csv")[0])
        day = self.events("ledger", "--by", "day")[0]["name"]
        self.assertEqual(self.events("ledger", "--from", day, "--to", day), self.events("ledger"))
        self.assertEqual(self.events("ledger", "--to", "2020-01-01"), [])
        out, _ = self.lathe("ledger")
        self.assertIn("calls that runs made", out)
        for bad in ("yesterday", "2026-02-30", "2026-1-1", "2026-01-31T12:00:00Z"):
            self.assertIn("is no day", self.lathe("ledger", "--from", bad, code=2)[1])
        self.assertIn("later than", self.lathe("ledger", "--from", "2026-02-02", "--to", "2026-02-01", code=2)[1])

    def test_a_row_that_was_taken_out_is_named(self):
        self.write("units.txt", "1\n\n2\n")
        self.lathe("loop", self.write("fast.toml", FAST))
        with sqlite3.connect(self.journal / "journal.db") as db:
            db.execute("DELETE FROM ledger WHERE number=2")
        self.assertIn("row 2 of the ledger is missing", self.lathe("ledger", "--verify", code=2)[1])

    def test_an_account_with_and_without_prices(self):
        self.repaired()
        out, _ = self.lathe("report", "last", "--cost")
        self.assertIn("2 of 2 takes accepted", out)
        self.assertIn("box.toml", out)
        self.assertNotIn("saved", out)
        self.write(".config/lathe/box.toml", BOX)
        self.write(".config/lathe/prices/mine.toml", PRICES)
        out, _ = self.lathe("report", "last", "--cost")
        self.assertIn("priced at", out)
        self.assertIn("claude-opus-5, which this machine replaces, you say", out)
        self.assertIn("OpenRouter /api/v1/models, 2026-08-01", out)
        self.assertIn("quality not compared", out)
        self.assertIn("~", out, "modelled energy is marked")
        self.assertIn("24 are needed", out)
        self.assertNotIn("saved", out)
        self.lathe("report", "last", "--out", "r.html")
        self.assertIn("What it took", (self.dir / "r.html").read_text())

    def test_bad_files_are_named(self):
        self.write("units.txt", "1\n")
        self.lathe("loop", self.write("fast.toml", FAST))
        self.write(".config/lathe/box.toml", BOX.replace("0.31", "0"))
        self.assertIn("box.toml:10: 'tariff.per_kwh' must be a number above 0", self.lathe("report", "last", "--cost", code=2)[1])
        self.assertIn("box.toml:10", self.lathe("payback", code=2)[1])
        self.write(".config/lathe/box.toml", BOX)
        self.write(".config/lathe/prices/mine.toml", PRICES.replace("3.0", "0.000003"))
        self.assertIn("price of one token", self.lathe("prices", code=2)[1])

    def test_payback_says_what_is_missing(self):
        err = self.lathe("payback", code=3)[1]
        for part in ("box.toml", "acceptance rate", "24 are needed"):
            self.assertIn(part, err)
        self.write(".config/lathe/box.toml", BOX)
        err = self.lathe("payback", code=3)[1]
        for part in ("cash basis", "lathe capacity"):
            self.assertIn(part, err)

    def test_prices_are_listed_and_imported(self):
        listed = {p["model"]: p for p in self.events("prices")}
        self.assertEqual(listed["gpt-oss-120b"]["out"], 170_000_000)
        self.assertIn("days old", self.lathe("prices", "list")[0])
        self.write("litellm.json", json.dumps({
            "good": {"input_cost_per_token": 3e-6, "output_cost_per_token": 1.5e-5},
            "wandb/dear": {"input_cost_per_token": 0.015, "output_cost_per_token": 0.06},
            "image": {"output_cost_per_image": 0.04}}))
        events = self.events("prices", "import", "litellm.json", "--date", "2026-11-01")
        self.assertEqual({e["rejected"] for e in events[:-1]}, {"wandb/dear", "image"})
        self.assertEqual((events[-1]["taken"], events[-1]["left_out"]), (1, 2))
        self.assertEqual({p["model"]: p["in"] for p in self.events("prices")}["good"], 3_000_000_000)
        self.assertIn("is there already", self.lathe("prices", "import", "litellm.json", "--date", "2026-11-01", code=2)[1])
        self.assertIn("no JSON object", self.lathe("prices", "import", self.write("list.json", "[]"), code=2)[1])

    def test_an_older_journal_is_taken_over_and_an_older_lathe_is_told(self):
        self.write("units.txt", "1\n")
        self.lathe("loop", self.write("fast.toml", FAST))
        with sqlite3.connect(self.journal / "journal.db") as db:
            self.assertEqual(db.execute("PRAGMA user_version").fetchone(), (3,))
            db.executescript("DROP TABLE ledger; DROP TABLE ledger_tip; DROP TABLE intents; DROP TABLE price_tables; DROP TABLE queue; DROP TABLE labels; PRAGMA user_version=1")
        self.assertEqual(self.events("ledger"), [])
        self.assertIn("the ledger has no call of this run", self.lathe("report", "last", "--cost")[0])
        self.lathe("loop", "fast.toml")
        self.assertEqual(self.events("ledger")[0]["calls"], self.events("ledger", "--verify")[0]["rows"])


class LedgerServe(Server):
    """A server's calls: every one a row, whatever comes of it. Its journal is the user's own."""

    def command(self, *args):
        return [LATHE, *map(str, args)]

    def counters(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        connection.close()
        return {line.split()[0].removeprefix("lathe_"): int(line.split()[1]) for line in lines
                if line.startswith("lathe_") and line.split()[0].endswith("_total")}

    def raw(self, path, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    def sum(self, totals):
        return {key: sum(t[key] for t in totals) for key in ("calls", "cancelled", "failed", "fresh", "cached", "out", "uncounted", "busy_us")}

    def test_rows_metrics_and_usage_are_one_account(self):
        self.start()
        model, said = TINY[0], [{"role": "user", "content": LONG}]
        for stream in (False, True):
            for path, body in (("/v1/chat/completions", {"messages": said, "max_tokens": 6}),
                               ("/v1/completions", {"prompt": "once", "max_tokens": 6}),
                               ("/v1/responses", {"input": LONG, "max_output_tokens": 16}),
                               ("/v1/messages", {"messages": said, "max_tokens": 6}),
                               ("/api/chat", {"messages": said, "options": {"num_predict": 6}}),
                               ("/api/generate", {"prompt": "once", "options": {"num_predict": 6}})):
                greedy = {"options": {"temperature": 0, **body.pop("options")}} if "options" in body else {"temperature": 0}
                status, text = self.raw(path, {"model": model, "stream": stream, **body, **greedy})
                self.assertEqual(status, 200, text)
        self.raw("/v1/embeddings", {"model": model, "input": ["one", "two"]})
        self.raw("/v1/chat/completions", {"model": model, "messages": [{"role": "user", "content": LONG * 200}]})
        client = self.stream("a long story", 1000)
        client.recv(1000)  # it answers: a thousand tokens are soon written
        client.close()
        self.eventually(lambda: self.running() == 0)
        self.eventually(lambda: self.call("/v1/usage")["data"][0]["cancelled"] == 1)
        sums, counters = self.sum(self.call("/v1/usage")["data"]), self.counters()
        self.assertEqual(sums["calls"], 15)
        self.assertEqual((sums["cancelled"], sums["failed"], sums["uncounted"]), (1, 1, 0))
        self.assertEqual(sums["fresh"] + sums["cached"], counters["prompt_tokens_total"])
        self.assertEqual(sums["cached"], counters["cached_tokens_total"])
        self.assertEqual(sums["out"], counters["completion_tokens_total"])
        self.assertEqual(counters["requests_total"] + counters["requests_refused_total"], 15)
        self.assertAlmostEqual(sums["busy_us"], counters["busy_microseconds_total"], delta=15)
        # What the program says of it, beside the server.
        self.assertEqual(self.sum(self.events("ledger")), sums)
        self.assertEqual(self.events("ledger", "--verify"), [{"rows": 15, "whole": True}])
        self.lathe("gc")  # others may clean up while a server keeps its books
        # A streamed answer is a row like the one that came whole; its prompt is remembered by then.
        with sqlite3.connect(self.dir / ".local/share/lathe/journal.db") as db:
            rows = [json.loads(body) for (body,) in db.execute("SELECT body FROM ledger ORDER BY number")]
        self.assertNotIn("and so the story", json.dumps(rows), "rows hold no texts")
        by_endpoint = {}
        for row in rows:
            if row["finish"] in ("length", "stop"):
                tokens = row["tokens"]
                by_endpoint.setdefault(row["endpoint"], set()).add((tokens["fresh"] + tokens["cached"], tokens["out"]))
        self.assertEqual(len(by_endpoint), 6)
        for endpoint, counts in by_endpoint.items():
            self.assertEqual(len(counts), 1, endpoint)

    def test_what_an_answer_is_priced_at(self):
        self.write(".config/lathe/box.toml", BOX)
        self.write(".config/lathe/prices/mine.toml", PRICES.replace("script", "tiny"))
        shutil.copy(self.models / f"{TINY[0]}.gguf", self.models / "tiny-q8_0.gguf")
        self.start()
        usage = self.call("/v1/chat/completions", {"model": "tiny-q8_0", "messages": [{"role": "user", "content": LONG}], "max_tokens": 6})["usage"]
        self.assertGreater(usage["busy_us"], 0)
        power, same, other = self.price({"model": "tiny-q8_0", "usage": usage})
        joules = usage["millijoules"] / 1e3 if "millijoules" in usage else 140 * usage["busy_us"] / 1e6
        self.assertAlmostEqual(power["low_nano"], joules / 3.6e6 * 0.31e9, delta=1)
        self.assertIn("the tariff of box.toml", power["basis"])
        cached = usage["prompt_tokens_details"]["cached_tokens"]
        tokens = (usage["prompt_tokens"] - cached, cached, usage["completion_tokens"])
        self.assertEqual(same["low_nano"], 3000 * tokens[0] + 3000 * tokens[1] + 15000 * tokens[2])
        self.assertEqual((same["what"], same["currency"]), ("tiny, the same open model", "USD"))
        self.assertIn("a letter, 2026-11-30", same["basis"])
        self.assertIn("claude-opus-5, which this machine replaces", other["what"])
        # Nothing is known: nothing is said.
        (self.dir / ".config/lathe/box.toml").unlink()
        self.assertEqual(self.price({"model": TINY[0], "usage": usage}), [])
        for bad in ({}, {"model": 1}, {"model": "m", "usage": []}, {"model": "m", "usage": {"prompt_tokens": -1}},
                    {"model": "m", "usage": {"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 2}}},
                    {"model": "m", "usage": {"completion_tokens": 1e300}}, {"model": "m", "usage": {"millijoules": "1"}}):
            self.price(bad, 400)

    def price(self, body, status=200):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("POST", "/v1/price", json.dumps(body), {"Content-Type": "application/json", "X-Lathe": "1"})
        answer = connection.getresponse()
        said = json.loads(answer.read())
        connection.close()
        self.assertEqual(answer.status, status, said)
        return said["priced_at"] if status == 200 else None

    def test_calls_of_a_killed_server_are_lost(self):
        self.start()
        client = self.stream("a long story", 1000)
        client.recv(1000)
        self.process.send_signal(signal.SIGSTOP)  # a thousand tokens are soon written
        self.assertEqual(self.events("ledger"), [], "it has not ended")
        self.process.kill()
        self.process.wait()
        client.close()
        self.start()
        total = self.events("ledger")[0]
        self.assertEqual((total["calls"], total["lost"], total["uncounted"]), (1, 1, 1))
        self.assertIn("≥", self.lathe("ledger")[0])

    def test_a_server_whose_ledger_cannot_be_written_does_not_start(self):
        place = self.dir / ".local/share/lathe"
        place.mkdir(parents=True)
        blocked = place / "journal.db"
        blocked.mkdir()
        done = subprocess.run([LATHE, "serve", str(self.models), "--port", "0"], capture_output=True, cwd=self.dir,
                              env=self.environment(), timeout=60)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(b"--journal", done.stderr)


if __name__ == "__main__":
    unittest.main()
