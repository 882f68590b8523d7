"""The queue: what is in it is worked on in order, rests, goes on after a kill, leaves its results."""
import signal
import subprocess
import time
import unittest

from cli_test import Case

RECIPE = """recipe = "say"
version = 1
[unit]
from = "{name}.txt"
[make]
kind = "command"
command = ["sh", "-c", "sleep {seconds}; cat"]
[[judge]]
kind = "text"
forbidden_patterns = ["zzz"]
"""


class Queue(Case):
    def add(self, name, units=1, seconds=0, command=("queue", "add")):
        self.write(f"{name}.txt", "".join(f"{name} {i}\n" for i in range(units)))
        self.write(f"{name}.toml", RECIPE.replace("{name}", name).replace("{seconds}", str(seconds)))
        args = [f"{name}.toml", "--background"] if command == ("loop",) else [f"{name}.toml"]
        return self.events(*command, *args)[-1]["run"]

    def queue(self):
        return {row["id"]: row["state"] for row in self.events("queue", "list")}

    def states(self):
        return {row["id"]: row["state"] for row in self.events("runs")}

    def worker(self, *more):
        process = subprocess.Popen(self.command("queue", "run", "--parallel", "1", *more), cwd=self.dir, env=self.environment(),
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def until(self, what, seconds=60):
        end = time.monotonic() + seconds
        while not what():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)

    def test_in_order_to_the_end(self):
        first, second = self.add("first"), self.add("second", command=("loop",))
        self.assertEqual(self.queue(), {first: "waiting", second: "waiting"})
        out, _ = self.lathe("queue", "run", "--until-empty")
        self.assertLess(out.index(first), out.index(second))
        self.assertEqual(self.states(), {first: "passed", second: "passed"})
        self.assertEqual(self.queue(), {})
        for run in (first, second):
            self.assertTrue(list((self.dir / "lathe-out" / run).glob("*")), "results are where it was added")
            self.lathe("replay", run)
        self.assertIn("the queue is empty", self.lathe("queue", "list")[0])

    def test_killed_it_goes_on_where_it_was(self):
        run = self.add("slow", units=6, seconds=0.3)
        worker = self.worker()
        self.until(lambda: sum(e["kind"] == "verdict" for e in self.events("show", run)) >= 2)
        self.assertEqual(self.queue(), {run: "running"})
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        self.assertEqual(self.queue(), {run: "waiting"})
        self.lathe("queue", "run", "--until-empty")
        events = self.events("show", run)
        self.assertEqual([e["body"]["state"] for e in events if e["kind"] == "end"], ["passed"])
        self.assertEqual(sum(e["kind"] == "verdict" for e in events), 6, "none is judged twice")

    def test_what_is_stopped_stops_and_the_next_one_comes(self):
        slow, quick = self.add("slow", units=200, seconds=0.2), self.add("quick")
        worker = self.worker("--until-empty")
        self.until(lambda: self.queue().get(slow) == "running")
        self.lathe("queue", "pause", slow)
        self.assertEqual(worker.wait(60), 0, worker.stdout.read())
        self.assertEqual(self.states(), {slow: "stopped", quick: "passed"})
        self.assertEqual(self.queue(), {slow: "paused"})
        self.lathe("queue", "resume", slow)
        self.assertEqual(self.queue(), {slow: "waiting"})
        self.lathe("queue", "rm", slow)
        self.assertEqual(self.queue(), {})
        self.assertEqual(self.states()[slow], "stopped", "it stays in the journal")
        self.assertIn("is not in the queue", self.lathe("queue", "pause", slow, code=2)[1])

    def test_two_workers_share_it(self):
        runs = {self.add(f"r{i}", units=3, seconds=0.2) for i in range(4)}
        workers = [self.worker("--until-empty") for _ in range(2)]
        said = [worker.communicate(timeout=120)[0] for worker in workers]
        self.assertEqual(set(self.states().values()), {"passed"})
        for run in runs:
            events = self.events("show", run)
            self.assertEqual(sum(e["kind"] == "made" for e in events), 3, said)

    def test_a_worker_that_does_not_answer_is_tried_later(self):
        self.write("u.txt", "one\n")
        self.write("r.toml", RECIPE.replace("{name}", "u").replace('kind = "command"\ncommand = ["sh", "-c", "sleep {seconds}; cat"]',
                                                                   'kind = "text"\nladder = ["w"]\ntask = "Say it."'))
        run = self.events("queue", "add", "r.toml", "--worker", "w=http://127.0.0.1:9/v1#m")[-1]["run"]
        good = self.add("good")
        worker = self.worker()
        self.until(lambda: self.states()[good] == "passed")
        self.assertEqual(self.queue(), {run: "waiting"})
        worker.send_signal(signal.SIGTERM)
        self.assertEqual(worker.wait(60), 130)


if __name__ == "__main__":
    unittest.main()
