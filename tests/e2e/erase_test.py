"""What is erased is gone: from the database, its log and the blobs; what other runs name stays."""
import sqlite3
import subprocess
import time
import unittest

from cli_test import Case

SECRET, SHARED = "the-secret-of-one-run", "what-both-runs-make"
RECIPE = """recipe = "say"
version = 1
[unit]
from = "{units}"
[make]
kind = "command"
command = ["sh", "-c", "cat"]
[[judge]]
kind = "text"
forbidden_patterns = ["zzz"]
"""
DAY_MS = 86_400_000


class Erase(Case):
    def setUp(self):
        super().setUp()
        for name, text in (("a", f"{SECRET}\n{SHARED}\n"), ("b", f"{SHARED}\n")):
            self.write(f"{name}.txt", text)
            self.write(f"{name}.toml", RECIPE.replace("{units}", f"{name}.txt"))
            self.lathe("loop", f"{name}.toml", "--out", f"out-{name}")
        self.assertTrue(self.holding(SECRET))

    def holding(self, text):
        return [path for path, data in self.tree(self.journal).items() if text.encode() in data]

    def run_of(self, recipe_has):
        rows = self.events("runs")
        return next(row["id"] for row in rows if row["title"].endswith(recipe_has))

    def test_nothing_is_left_and_others_stay(self):
        doomed, other = self.run_of("a.txt"), self.run_of("b.txt")
        out, _ = self.lathe("rm", doomed, "--erase")
        self.assertIn(f"erased {doomed}", out)
        self.assertEqual(self.holding(SECRET), [])
        self.assertEqual([row["id"] for row in self.events("runs")], [other])
        self.assertTrue(self.holding(SHARED))
        self.lathe("replay", other)
        self.lathe("export", other, "exported")

    def test_what_was_only_removed_goes_with_gc(self):
        self.lathe("rm", self.run_of("a.txt"))
        self.lathe("gc")
        self.assertEqual(self.holding(SECRET), [])

    def test_not_while_another_uses_the_journal(self):
        self.write("slow.toml", RECIPE.replace("{units}", "a.txt").replace('"cat"', '"sleep 30"'))
        with subprocess.Popen(self.command("loop", "slow.toml"), cwd=self.dir, env=self.environment(),
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as busy:
            while len(self.events("runs")) < 3:
                time.sleep(0.05)
            _, err = self.lathe("rm", self.run_of("b.txt"), "--erase", code=3)
            self.assertIn("another lathe is using this journal", err)
            self.assertEqual(len(self.events("runs")), 3, "nothing has gone")
            busy.terminate()

    def test_keep_days(self):
        self.write(".config/lathe/lathe.toml", "[journal]\nkeep_days = 30\n")
        old = self.run_of("a.txt")
        db = sqlite3.connect(self.journal / "journal.db")
        db.execute("UPDATE runs SET created_ms = created_ms - ? WHERE id = ?", (31 * DAY_MS, old))
        db.commit()
        db.close()
        _, err = self.lathe("gc")
        self.assertIn("1 run older than 30 days erased", err)
        self.assertEqual(self.holding(SECRET), [])
        self.assertEqual(len(self.events("runs")), 1)
        for text, says in (("[journal]\nkeep_days = 0\n", "from 1 to"), ("[journal]\nkeep = 1\n", "it has keep_days"),
                           ("[jornal]\n", "it has the table [journal]"), ("journal = 1\n", "must be a table")):
            self.write(".config/lathe/lathe.toml", text)
            self.assertIn(says, self.lathe("gc", code=2)[1])


if __name__ == "__main__":
    unittest.main()
