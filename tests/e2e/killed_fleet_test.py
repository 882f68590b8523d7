"""Who drives a run, its node and the database are processes that are killed (kill -9): it comes to what it comes to undisturbed."""
import collections
import hashlib
import http.server
import json
import random
import threading
import unittest

from nodes_test import Machines

RECIPE = """recipe = "again"
version = 1
privacy = "lan"
[unit]
from = "units.txt"
split = "line"
[make]
kind = "text"
task = "Repeat it."
ladder = ["echo"]
on = "worker:there"
[[judge]]
kind = "command"
command = ["grep", "-q", "again", "{file}"]
on = "worker:there"
[stop]
laps = 3
"""


class Echo:
    """A server of OpenAI's API: its answer follows from what it is asked, and is right once something was found fault with."""

    def __init__(self, case):
        self.asked = collections.Counter()
        echo = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                self.say(b'{"data": [{"id": "m"}]}', "application/json")

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                question = json.dumps(body)
                echo.asked[question] += 1
                text = hashlib.sha256(question.encode()).hexdigest()[:12] + (" again" if "exit code" in question else "")
                events = [{"choices": [{"index": 0, "delta": {"content": text}}]},
                          {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]
                self.say("".join(f"data: {json.dumps(e)}\n\n" for e in events).encode() + b"data: [DONE]\n\n", "text/event-stream")

            def say(self, data, kind):
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.end_headers()
                self.wfile.write(data)

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        case.addCleanup(server.server_close)
        case.addCleanup(server.shutdown)
        self.url = f"http://127.0.0.1:{server.server_address[1]}/v1"


class Matrix(Machines):
    """What both stores are put through."""
    units = 4

    def setUp(self):
        super().setUp()
        self.journal = self.dir / "desk/journal"
        self.echo = Echo(self)
        self.write("units.txt", "".join(f"line {i} of {self.units}\n" for i in range(self.units)))
        self.write("again.toml", RECIPE)
        self.gets_echo("desk", "echo")

    def gets_echo(self, home, *names):
        """A worker "there" makes a machine one that the calls go to: who drives is a node, too, whose leases go with it."""
        self.write(f"{home}/.config/lathe/workers.toml", "".join(f'[worker.{name}]\nurl = "{self.echo.url}"\n' for name in names))

    def drive(self, *args):
        return self.start("desk", *args)

    def begin(self):
        return self.drive("loop", "again.toml", "--fleet", "--allow", "lan", "--out", self.dir / "out")

    def came_to(self):
        """The artifacts of the newest run by unit; it has passed, agrees with its replay, and no call has two answers."""
        records = self.records()
        self.assertEqual([r["body"]["state"] for r in records if r["kind"] == "end"], ["passed"])
        calls = [r["body"]["call"] for r in records if r["kind"] in ("made", "verdict")]
        self.assertEqual(len(calls), len(set(calls)))
        self.home = "desk"
        self.at("desk", "replay", "last")
        return {tuple(r["body"]["units"]): r["body"]["blob"] for r in records if r["kind"] == "unit"}

    def undisturbed(self):
        self.end(self.begin())
        self.assertEqual(set(self.echo.asked.values()), {1})
        wanted = self.came_to()
        self.assertEqual(len(wanted), self.units)
        self.asked, self.echo.asked = set(self.echo.asked), collections.Counter()
        return wanted

    def killed(self, borders, between=lambda kill: None):
        """The run, whose driver is killed when it has written so many records more, again and again, and goes on."""
        run = self.begin()
        for kill, border in enumerate(borders):
            for line in run.stdout:
                border -= "seq" in json.loads(line)
                if border <= 0:
                    break
            else:
                break  # it has ended
            run.kill()
            run.wait()
            between(kill)
            run = self.drive("resume", "last")
        self.end(run)

    def matrix(self, borders, between=lambda kill: None, lost=0):
        wanted = self.undisturbed()
        self.killed(borders, between)
        self.assertEqual(self.came_to(), wanted)
        self.assertEqual(set(self.echo.asked), self.asked)
        # A lease that is lost with its node is another one's; nothing else is asked twice.
        self.assertLessEqual(sum(self.echo.asked.values()), len(self.asked) + lost)


class KilledOnOneMachine(Matrix):
    """SQLite: one journal, which the driver and the node share."""

    def journal_of(self, home):
        return self.journal

    def setUp(self):
        super().setUp()
        self.gets_echo("box", "echo", "there")
        self.node("box", "--slots", "2")

    def test_the_driver_is_killed(self):
        self.matrix([2, 5, 1, 7, 3, 1, 4])


class KilledOverMachines(Matrix):
    """PostgreSQL: the node is another machine."""

    def setUp(self):
        super().setUp()
        self.found()
        self.join("box")
        self.gets_echo("box", "echo", "there")
        self.box = self.node("box", "--slots", "2")

    def restart_database(self, kill):
        if kill == 2:
            self.postgres.kill()
            self.postgres.start()

    def test_the_driver_and_the_database_are_killed(self):
        self.matrix([2, 5, 1, 7, 3, 1, 4], self.restart_database)


def forty_moments(dice):
    """Records between one kill and the next: who goes on asks again for what was under way, up to one record a unit."""
    return [dice.randint(1, 60) for _ in range(40)]


class ManyTimes(KilledOnOneMachine):
    """Not of `make test`: 20 units; the driver is killed up to forty times."""
    units = 20

    def test_the_driver_is_killed(self):
        self.matrix(forty_moments(random.Random(21)))


class EveryProcess(KilledOverMachines):
    """Not of `make test`: 20 units; the driver is killed up to forty times, between them its two nodes and the database at random."""
    units = 20

    def setUp(self):
        super().setUp()
        self.join("shelf")
        self.gets_echo("shelf", "echo", "there")
        self.boxes = {"box": self.box, "shelf": self.node("shelf", "--slots", "2")}
        self.dice = random.Random(21)
        self.lost = 0

    def some_process(self, _):
        fate = self.dice.random()
        if fate < 0.1:
            self.postgres.kill()
            self.postgres.start()
        elif fate < 0.2:
            name = self.dice.choice(sorted(self.boxes))
            self.boxes[name].kill()
            self.boxes[name].wait()
            self.boxes[name] = self.node(name, "--slots", "2")
            self.lost += 2

    def test_the_driver_and_the_database_are_killed(self):
        wanted = self.undisturbed()
        self.killed(forty_moments(self.dice), self.some_process)
        self.assertEqual(self.came_to(), wanted)
        self.assertEqual(set(self.echo.asked), self.asked)
        self.assertGreater(self.lost, 0)
        # A slow lease may have been copied as well, once each.
        for question, times in self.echo.asked.items():
            self.assertLessEqual(times, 2 + self.lost, question)


if __name__ == "__main__":
    unittest.main()
