"""What is remembered from run to run: proposed, accepted, used, forgotten."""
import unittest

from cli_test import Case

RECIPE = """recipe = "say"
version = 1
[unit]
from = "units.txt"
[memory]
{memory}
[make]
kind = "text"
ladder = ["w"]
task = "Answer."
[[judge]]
kind = "text"
forbidden_words = ["wrong"]
[stop]
laps = 2
time = "10m"
"""
FACT = "the harbour gate: opens at swordfish"


class Memory(Case):
    def run_loop(self, question, replies, memory=""):
        self.write("recipe.toml", RECIPE.format(memory=memory))
        self.write("units.txt", question + "\n")
        self.write("w.toml", "".join(f"[[reply]]\n{reply}\n" for reply in replies))
        return self.events("loop", "recipe.toml", "--worker", f"w=script:{self.dir}/w.toml")

    def facts(self):
        return self.events("memory", "list")

    def facts_told(self):
        """Of the newest run's unit, by its record."""
        return next(e["body"]["units"][0]["data"]["facts"] for e in self.events("show", "last") if e["kind"] == "units")

    def holding(self, text):
        return [path for path, data in self.tree(self.journal).items() if text.encode() in data]

    def test_accepted_used_and_forgotten(self):
        events = self.run_loop("When does it open?", [f"text = '''At noon.\nREMEMBER: {FACT}'''"])
        out = next(p for p in (self.dir / "lathe-out").rglob("*.txt"))
        self.assertEqual(out.read_text().strip(), "At noon.", "what is proposed is no part of the work")
        [fact] = self.facts()
        self.assertEqual((fact["text"], fact["state"], fact["scope"]), (FACT, "proposed", "recipe:say"))
        made = next(e for e in events if e["kind"] == "made")
        self.assertEqual(fact["source"]["seq"], made["seq"])
        self.assertEqual(fact["source"]["blob"], made["body"]["facts"]["proposed"][0]["blob"])
        # Not yet: nobody has accepted it.
        told = ["when = 'opens at swordfish'\ntext = 'At swordfish.'", "text = 'Nobody knows.'"]
        self.run_loop("Tell me of the harbour gate.", told)
        self.assertEqual(self.facts_told(), [])
        self.lathe("memory", "accept", fact["id"])
        events = self.run_loop("Tell me of the harbour gate.", told)
        used = self.events("runs")[0]["id"]
        self.assertEqual([each["id"] for each in self.facts_told()], [fact["id"]])
        self.assertEqual(next(e["body"]["bytes"] for e in events if e["kind"] == "made"), len("At swordfish."))
        shown = self.events("memory", "show", fact["id"])[0]
        self.assertEqual((shown["uses"], shown["by"]), (1, "person"))
        self.lathe("replay", used)
        # Of the whole journal, no byte of it is left; the run still leads to its decisions.
        self.assertTrue(self.holding(FACT))
        self.lathe("memory", "forget", fact["id"])
        self.assertEqual(self.holding(FACT), [])
        self.assertEqual(self.holding("harbour gate: opens"), [])
        self.lathe("replay", used)
        self.lathe("show", used)
        self.lathe("gc")
        self.assertEqual([(f["id"], f["text"], f["state"]) for f in self.facts()], [(fact["id"], "", "forgotten")])
        self.run_loop("Tell me of the harbour gate.", told)
        self.assertEqual(self.facts_told(), [])

    def test_contradictions_and_states(self):
        for port in (8080, 9090):
            self.run_loop(f"Which port after {port}?", [f"text = '''It is.\nREMEMBER: the port: {port}'''"], 'scope = "user"')
        self.lathe("memory", "accept", 1)
        out, _ = self.lathe("memory", "accept", 2)
        self.assertIn("the port: 9090", out)
        self.assertIn("it says something else than fact 1, which is retired: the port: 8080", out)
        self.assertEqual([(f["state"], f["by"]) for f in self.facts()], [("retired", "fact 2"), ("accepted", "person")])
        self.lathe("memory", "retire", 2)
        self.assertIn("retired by person", self.lathe("memory", "show", 2)[0])
        self.assertIn("there is no fact 9", self.lathe("memory", "show", 9, code=None)[1])

    def test_judges_accept_what_stands(self):
        """The first answer fails, the second one passes: what that proposes is accepted."""
        self.run_loop("Which port?", ["lap = 1\ntext = '''It is wrong.\nREMEMBER: the port: 1'''",
                                      "lap = 2\ntext = '''It is right.\nREMEMBER: the port: 2'''"], 'accept = "judges"')
        self.assertEqual([(f["text"], f["state"]) for f in self.facts()], [("the port: 1", "proposed"), ("the port: 2", "accepted")])

    def test_facts_stay_where_they_may(self):
        self.write("recipe.toml", RECIPE.format(memory="").replace("version = 1", 'version = 1\nprivacy = "any"'))
        self.write("units.txt", "Which port?\n")
        _, err = self.lathe("loop", "recipe.toml", "--worker", "w=http://192.0.2.1:9/v1", "--allow", "any", code=None)
        self.assertIn("the worker 'w' is beyond what [memory] allows", err)
        self.assertEqual(self.events("runs"), [])


if __name__ == "__main__":
    unittest.main()
