"""Runs through a real server: begun, watched over a kill, stopped, gone on with, labelled; the same values as the commands print."""
import http.client
import json
import signal
import threading
import unittest

from cli_test import SOURCE
from fake_hub import FakeHub
from serve_test import Server, TINY

RECIPE = """recipe = "say"
version = 1
[unit]
from = "lines.txt"
[make]
kind = "command"
command = ["sh", "-c", "sleep SECONDS; if [ {lap} = 1 ]; then echo zzz; else cat; fi"]
[[judge]]
kind = "text"
forbidden_patterns = ["zzz"]
[stop]
laps = 5
"""


class RunsApi(Server):
    def setUp(self):
        super().setUp()
        self.start()

    def start(self, *args):
        super().start("--journal", self.dir / "journal", *args)

    def again(self, *args):
        """The same server, started anew with these flags."""
        self.end()
        self.start(*args)

    def ask(self, path, body=None, status=200, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        connection.request("GET" if body is None else "POST", path, None if body is None else json.dumps(body),
                           {"Content-Type": "application/json", "X-Lathe": "1", **(headers or {})})
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        self.assertEqual(answer.status, status, data[:500])
        return json.loads(data)

    def begin(self, units, seconds="0", status=202, **more):
        recipe = self.write("say.toml", RECIPE.replace("SECONDS", seconds))
        text = "".join(f"line {i} of the text\n" for i in range(units))
        return self.ask("/v1/runs", {"recipe": str(recipe), "input_text": text, **more}, status)

    def state(self, run):
        return self.ask(f"/v1/runs/{run}")["state"]

    def recorded(self, run, kind):
        return [record["kind"] for record in self.events("show", run)].count(kind)

    def gone_on_with(self, run):
        before = self.recorded(run, "resume")
        self.ask(f"/v1/runs/{run}/resume", {}, 202)
        self.eventually(lambda: self.recorded(run, "resume") > before, 45)

    def watch(self, run, events, after=-1):
        """Adds the stream's (id, name, data) to `events` until it ends, also by the server's death."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        connection.request("GET", f"/v1/runs/{run}/events?after={after}")
        stream = connection.getresponse()
        name = number = None
        try:
            for line in stream:
                line = line.decode().rstrip("\n")
                if line.startswith("id: "):
                    number = int(line[4:])
                elif line.startswith("event: "):
                    name = line[7:]
                elif line.startswith("data: "):
                    events.append((number, name, json.loads(line[6:])))
        except (http.client.HTTPException, OSError):
            pass
        finally:
            connection.close()

    def test_a_run_is_watched_over_the_servers_death(self):
        run = self.begin(24, "0.05")["id"]
        events = []
        thread = threading.Thread(target=self.watch, args=(run, events))
        thread.start()
        self.eventually(lambda: sum(e[1] == "record" and e[2]["kind"] == "unit" for e in events) >= 4, 120)
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()
        thread.join()
        seen = [e[0] for e in events if e[1] == "record"]
        self.assertNotIn("end", [e[1] for e in events], "it was killed before the run had ended")
        # Its children end with it, and the run waits: the next server goes on with it.
        self.start()
        self.watch(run, events, after=seen[-1])
        self.assertEqual(events[-1][1], "end")
        records = self.events("show", run)
        told = [e[2] for e in events if e[1] == "record"]
        self.assertEqual([(e["seq"], e["kind"], e["t_ms"]) for e in told], [(r["seq"], r["kind"], r["t_ms"]) for r in records])
        head = self.ask(f"/v1/runs/{run}")
        end = records[-1]["body"]
        self.assertEqual((head["state"], head["units_passed"], head["seq"]), (end["state"], end["passed"], records[-1]["seq"]))
        self.assertEqual(head["units_passed"], 24)
        rows = self.ask(f"/v1/runs/{run}/units")["tracks"]
        self.assertEqual({row["index"]: row["state"] for row in rows},
                         {r["body"]["track"]: r["body"]["state"] for r in records if r["kind"] == "unit"})
        self.assertEqual([len(row["laps"]) for row in rows],
                         [sum(r["kind"] == "close" and r["body"]["track"] == i for r in records) for i in range(24)])
        listed = self.ask("/v1/runs")["runs"][0]
        row = self.events("runs")[0]
        self.assertEqual({key: listed[key] for key in row}, row)
        self.lathe("replay", run)

    def test_stopped_and_gone_on_with(self):
        run = self.begin(200, "0.2")["id"]
        self.eventually(lambda: self.state(run) == "running", 60)
        self.assertIn(run, [row["id"] for row in self.ask("/v1/pool")["loops"]])
        self.ask(f"/v1/runs/{run}/stop", {}, 202)
        self.eventually(lambda: self.state(run) == "stopped", 60)
        self.assertIn("pause", [r["kind"] for r in self.events("show", run)], "in order, as by Ctrl-C")
        self.ask(f"/v1/runs/{run}/stop", {}, 409)
        self.gone_on_with(run)
        # At once, while the stopped child still ends: it is gone on with, not put back as one that failed.
        for _ in range(3):
            pauses = self.recorded(run, "pause")
            self.ask(f"/v1/runs/{run}/stop", {}, 202)
            self.eventually(lambda: self.recorded(run, "pause") > pauses, 60)
            self.gone_on_with(run)
        self.end()
        self.assertEqual(self.events("runs")[0]["state"], "stopped", "its children end with the server")

    def test_what_cannot_be_begun_is_said(self):
        for body, words in {
            '{"recipe": "no-such-recipe", "input_text": "x"}': "there is no recipe 'no-such-recipe'",
            '{"recipe": "--journal", "input_text": "x"}': "'recipe'",
            '{"input_text": "x"}': "'recipe' is missing",
            '{"recipe": "rewrite", "input_text": "x", "input_path": "y"}': "either",
            '{"recipe": "voice-over", "input_path": "/no/such/file"}': "/no/such/file",
            '{"recipe": "rewrite", "input_text": "x", "set": {"--journal": "/"}}': "'set'",
            '{"recipe": "rewrite", "input_text": "x", "set": {"make.what": 1}}': "what",
            '{"recipe": "rewrite", "input_text": "x", "set": []}': "'set'",
            '{"recipe": "rewrite", "input_text": "x", "workers": {"a": 1}}': "'workers'",
        }.items():
            self.assertIn(words, self.ask("/v1/runs", json.loads(body), 400)["error"]["message"])
        self.assertEqual(self.ask("/v1/runs")["runs"], [])
        self.ask("/v1/runs/none/stop", {}, 404)

    def finished(self, units):
        run = self.begin(units)["id"]
        self.eventually(lambda: self.state(run) == "passed", 120)
        return run

    def test_labels_of_the_page_and_of_the_terminal_are_one(self):
        run = self.finished(6)
        takes = self.ask(f"/v1/runs/{run}/labels")["takes"]
        self.assertEqual(len(takes), 12, "two takes of each")
        self.assertNotIn("verdict", json.dumps(takes))
        self.assertNotEqual([take["index"] for take in takes], sorted(take["index"] for take in takes))
        said = {}

        def label(take, accept, seen=None, status=200, reason=""):
            return self.ask("/v1/labels", {"run": run, "unit": take["unit"], "blob": take["blob"], "accept": accept, "seen": seen,
                                           "reason": reason}, status)

        # A person who likes second takes, but for one of each kind. The judge passes second takes.
        for i, take in enumerate(takes[:7]):
            said[take["unit"], take["blob"]] = (take["lap"] == 2) != (i in (0, 1))
            self.assertEqual(label(take, said[take["unit"], take["blob"]], reason="märz")["revision"], 1)
        label(takes[0], True, None, 409)
        label(takes[0], True, 2, 409)
        accept = said[takes[0]["unit"], takes[0]["blob"]]
        self.assertEqual(label(takes[0], accept, 1)["revision"], 2)
        label({"unit": "no such unit", "blob": takes[0]["blob"]}, True, None, 404)
        # The rest in the terminal: it goes on where the page stopped, in the same order.
        answers = []
        for take in takes[7:]:
            said[take["unit"], take["blob"]] = take["lap"] == 2
            answers.append("what?\n" + ("a" if take["lap"] == 2 else "r too zzz") + "\n")
        out, _ = self.lathe("judge", "label", run, input="".join(answers).encode())
        self.assertIn("12 takes, 5 to judge", out)
        self.assertNotIn("fail", out)
        labels = self.ask(f"/v1/runs/{run}/labels")["labels"]
        self.assertEqual({(row["unit"], row["blob"]): row["accept"] for row in labels}, said)
        # By hand, from the definition.
        judge = {(take["unit"], take["blob"]): take["lap"] == 2 for take in takes}
        cells = {"tt": 0, "tf": 0, "ft": 0, "ff": 0}
        for key, person in said.items():
            cells[("t" if person else "f") + ("t" if judge[key] else "f")] += 1
        n = sum(cells.values())
        observed = (cells["tt"] + cells["ff"]) / n
        person, machine = (cells["tt"] + cells["tf"]) / n, (cells["tt"] + cells["ft"]) / n
        chance = person * machine + (1 - person) * (1 - machine)
        found = self.ask(f"/v1/runs/{run}/agreement")["judges"][0]
        self.assertEqual(found["table"], cells)
        self.assertAlmostEqual(found["kappa"], (observed - chance) / (1 - chance), 12)
        self.assertLess(found["kappa_interval"][0], found["kappa"])
        self.assertTrue(found["advisory"])
        self.assertIn("12 labels, and needs 50", found["why"])
        # The judge asked again says the same of the same takes.
        record = self.events("judge", "calibrate", "text", "--labels-of", run, "--set", 'forbidden_patterns=["zzz"]')[0]
        self.assertEqual((record["both_pass"], record["false_fail"], record["false_pass"], record["both_fail"]), tuple(cells.values()))
        self.assertAlmostEqual(record["kappa"], found["kappa"], 12)

    def test_an_erased_run_leaves_no_byte_while_the_server_runs(self):
        run = self.finished(2)
        take = self.ask(f"/v1/runs/{run}/labels")["takes"][0]
        self.ask("/v1/labels", {"run": run, "unit": take["unit"], "blob": take["blob"], "accept": True, "reason": "quite unlikely words"})
        journal = self.dir / "journal"
        holds = lambda: [p for p in journal.rglob("*") if p.is_file() and b"quite unlikely words" in p.read_bytes()]
        self.assertTrue(holds())
        self.lathe("rm", "--erase", run)
        self.assertEqual(holds(), [])
        self.ask(f"/v1/runs/{run}", status=404)
        self.ask(f"/v1/blobs/{take['blob']}", status=404)

    def test_views_are_what_the_commands_print(self):
        model = str(self.models / f"{TINY[0]}.gguf")
        fit = self.ask("/v1/fit", {"models": [model + ":64:2"], "kv": "f16", "memory": "1GiB"})
        self.assertEqual(fit, self.events("fit", model + ":64:2", "--memory", "1GiB")[0])
        self.ask("/v1/fit", {"models": []}, 400)
        self.assertIn("no/such", self.ask("/v1/fit", {"models": ["no/such.gguf"]}, 404)["error"]["message"])
        what = lambda findings: [(row["what"], row["remedy"]) for row in findings if row["what"] not in ("memory", "journal")]
        self.assertEqual(what(self.ask("/v1/doctor")["findings"]), what(self.events("doctor", code=None)))
        catalog = self.ask("/v1/catalog")
        self.assertIs(catalog.pop("pull"), False)
        served = {row["name"]: row for row in catalog.pop("served")}
        self.assertEqual(set(served), set(TINY))
        self.assertEqual(served[TINY[0]]["bytes"], (self.models / f"{TINY[0]}.gguf").stat().st_size)
        self.assertEqual(self.ask("/v1/fit", {"models": [TINY[0] + ":64:2"], "kv": "f16", "memory": "1GiB"}), fit)
        self.assertEqual(catalog, self.events("models")[0])
        self.assertIn("--allow-pull", self.ask("/v1/catalog/pull", {"name": "a/b"}, 403)["error"]["message"])
        recipes = {row["name"]: row for row in self.ask("/v1/recipes")}
        self.assertEqual(set(recipes), {row["name"] for row in self.events("recipe", "list")})
        self.assertIn("make.best_of", [option["name"] for option in recipes["voice-over"]["options"]])
        self.assertEqual([name for name, row in recipes.items() if row["demo"]], ["voice-over"])
        pool = self.ask("/v1/pool")
        self.assertEqual({m["name"] for m in pool["models"]}, {m["name"] for m in self.status()["models"]})
        self.assertEqual(pool["loops"], [])
        self.assertTrue(pool["energy"]["watts"] is not None or pool["energy"]["why"])
        self.assertEqual(self.ask("/v1/bench")["records"], [])
        for name in ("x", "..%2f..%2fx", "%00"):
            self.ask(f"/v1/bench/{name}", status=404)

    def test_a_person_begins_runs_of_their_own(self):
        anna, ben = (self.events("key", "add", name)[0]["key"] for name in ("anna", "ben"))
        as_anna, as_ben = ({"x-api-key": key} for key in (anna, ben))
        wanted = {"recipe": "voice-over", "input_text": "The lathe turns.\n"}
        self.ask("/v1/runs", wanted, 401)
        for more, words in (({"recipe": "./mine.toml"}, "recipes that come with lathe"), ({"set": {"make.best_of": 2}}, "'set'"),
                            ({"input_text": "", "input_path": "/etc/passwd"}, "'input_text'")):
            self.assertIn(words, self.ask("/v1/runs", {**wanted, **more}, 403, as_anna)["error"]["message"])
        run = self.ask("/v1/runs", wanted, 202, as_anna)["id"]
        self.ask(f"/v1/runs/{run}", status=404, headers=as_ben)
        self.assertEqual(self.ask("/v1/runs", headers=as_ben)["runs"], [])
        self.eventually(lambda: self.ask(f"/v1/runs/{run}", headers=as_anna)["state"] == "passed", 120)
        row, = self.ask("/v1/runs", headers=as_anna)["runs"]
        self.assertEqual((row["id"], row["by"], row["units_passed"]), (run, "anna", 1))
        take, = self.ask(f"/v1/runs/{run}/labels", headers=as_anna)["takes"][:1]
        self.ask(f"/v1/blobs/{take['blob']}/page.png", status=404, headers=as_ben)
        self.ask(f"/v1/blobs/{take['blob']}/page.png", status=415, headers=as_anna)
        # A session shows what the key shows, begins nothing, and ends with the key.
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("POST", "/v1/session", "{}", {"X-Lathe": "1", "Content-Type": "application/json", **as_anna})
        answer = connection.getresponse()
        answer.read()
        cookie = {"Cookie": answer.getheader("Set-Cookie").split(";")[0]}
        connection.close()
        self.assertEqual(len(self.ask("/v1/runs", headers=cookie)["runs"]), 1)
        self.assertIn("a session is not enough", self.ask("/v1/runs", wanted, 403, cookie)["error"]["message"])
        self.lathe("key", "revoke", "anna")
        self.ask("/v1/runs", status=401, headers=cookie)

    def test_a_model_is_fetched_and_each_step_is_told(self):
        hub = FakeHub()
        self.addCleanup(hub.close)
        data = (SOURCE / "tests/data/models/llama-q4_0.gguf").read_bytes()
        hub.add("o/r", "fresh-Q4_0.gguf", data)
        self.again("--allow-pull", "--hub", hub.url)
        self.assertIs(self.ask("/v1/catalog")["pull"], True)

        def pull(name):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
            connection.request("POST", "/v1/catalog/pull", json.dumps({"name": name}), {"X-Lathe": "1", "Content-Type": "application/json"})
            text = connection.getresponse().read().decode()
            connection.close()
            return [tuple(json.loads(line[6:]) if line.startswith("data: ") else line[7:] for line in reversed(event.split("\n")))
                    for event in text.split("\n\n") if event and not event.startswith(":")]

        *steps, (end, name) = pull("o/r")
        self.assertEqual(name, "end", end)
        self.assertEqual((steps[-1][0]["done"], steps[-1][0]["total"]), (len(data), len(data)))
        self.assertIn("fresh-Q4_0", [model["name"].removesuffix(".gguf") for model in self.ask("/v1/catalog")["served"] + self.ask("/v1/catalog")["models"]])
        (error, name) = pull("o/nothing")[-1]
        self.assertEqual(name, "error")
        self.assertIn("o/nothing", error["message"])


if __name__ == "__main__":
    unittest.main()
