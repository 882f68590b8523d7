"""What reaches another machine stands in the record, to the byte; what cannot be recorded does not leave. Another
machine is an address of a network namespace of its own that is not loopback."""
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import unittest

from cli_test import LATHE, Case
from serve_test import TINY, Server

HERE = "10.9.8.7"
RECIPE = """recipe = "say"
version = 1
privacy = "lan"
[unit]
from = "units.txt"
[make]
kind = "text"
ladder = ["writer"]
task = "Say it."
[[judge]]
kind = "text"
forbidden_patterns = ["zzz"]
"""


class Box:
    """An endpoint that keeps the bytes of each connection as they came."""

    def __init__(self, test):
        self.seen, self.socket = [], socket.create_server((HERE, 0))
        self.url = f"http://{HERE}:{self.socket.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()
        test.addCleanup(self.socket.close)

    def serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                self.answer(connection)

    def answer(self, connection):
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(65536)
        length = re.search(rb"content-length: (\d+)", data.lower())
        while length and len(data.split(b"\r\n\r\n", 1)[1]) < int(length[1]):
            data += connection.recv(65536)
        chunk = {"choices": [{"index": 0, "delta": {"content": "hello"}, "finish_reason": "stop"}]}
        body = json.dumps({"data": [{"id": "m"}]}) if data.startswith(b"GET") else f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n"
        kind = "application/json" if data.startswith(b"GET") else "text/event-stream"
        reply = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n{body}".encode()
        self.seen.append((data, reply))
        connection.sendall(reply)


class Elsewhere(Case):
    def setUp(self):
        super().setUp()
        self.box = Box(self)
        self.write("say.toml", RECIPE)
        self.write("units.txt", "one\n")

    def loop(self, *more, **kwargs):
        return self.lathe("loop", "say.toml", "--worker", f"writer={self.box.url}/v1#m", *more, **kwargs)

    def test_a_loop(self):
        self.loop("--allow", "lan")
        rows = self.events("egress")
        self.assertEqual(len(rows), len(self.box.seen))
        for row, (data, reply) in zip(rows, self.box.seen):
            self.assertEqual((row["kind"], row["address"], row["reach"]), ("out", HERE, "lan"))
            self.assertEqual((row["sent"], row["received"]), (len(data), len(reply)))
            self.assertEqual(row["sha256"], hashlib.sha256(data).hexdigest())
            self.assertEqual(row["allowed_by"], "worker writer, --allow lan")
            self.assertEqual(row["outcome"], "status 200")
        asked = [row for row in rows if row["what"] == "POST /v1/chat/completions"]
        self.assertEqual([row["labels"]["purpose"] for row in asked], ["make"])
        run = json.loads(self.lathe("--json", "runs")[0])["id"]
        self.assertEqual({row["labels"]["run"] for row in asked}, {run})
        self.assertEqual(self.events("egress", run), [row for row in rows if row["labels"].get("run") == run])
        out, _ = self.lathe("egress", "last")
        self.assertIn(f"{HERE}:", out)
        self.assertIn("allowed by worker writer, --allow lan", out)
        self.assertEqual(self.events("egress", "--since", "2099-01-01"), [])
        self.assertEqual(self.events("egress", "--since", "2001-01-01"), rows)
        self.assertIn("is no day", self.lathe("egress", "--since", "monday", code=2)[1])

    def test_what_was_not_allowed_is_not_there(self):
        self.loop(code=3)
        self.assertEqual(self.box.seen, [])
        self.assertIn(f"nothing left this machine, by the record in {self.journal}", self.lathe("egress")[0])

    def test_what_cannot_be_written_down_does_not_leave(self):
        self.journal.mkdir()
        (self.journal / "contacts.jsonl").mkdir()
        _, err = self.loop("--allow", "lan", code=3)
        self.assertEqual(self.box.seen, [])
        self.assertIn("cannot be written", err)
        self.assertIn("so nothing may leave", err)

    def test_a_killed_process_and_a_broken_line(self):
        self.loop("--allow", "lan")
        record = self.journal / "contacts.jsonl"
        lines = record.read_text().splitlines(True)
        self.assertEqual(oct(record.stat().st_mode & 0o777), "0o600")
        record.write_text("".join(lines[:-1]) + lines[-1][:20])
        out, err = self.lathe("egress")
        self.assertIn("bytes not known", out)
        self.assertIn("1 line cannot be read", err)


class FromElsewhere(Server):
    def setUp(self):
        super().setUp()
        self.journal = self.dir / ".local/share/lathe"

    def environment(self):
        return super().environment() | {"THE_KEY": "sesame"}

    def test_a_client_of_another_machine(self):
        self.start("--listen", HERE, "--api-key-env", "THE_KEY")
        body = json.dumps({"model": TINY[0], "max_tokens": 4, "messages": [{"role": "user", "content": "hi"}]})
        request = (f"POST /v1/chat/completions HTTP/1.1\r\nHost: {HERE}\r\nAuthorization: Bearer sesame\r\n"
                   f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}").encode()
        with socket.create_connection((HERE, self.port)) as client:
            client.sendall(request)
            reply = b"".join(iter(lambda: client.recv(65536), b""))
        self.assertTrue(reply.startswith(b"HTTP/1.1 200"), reply)
        self.end()
        row, = self.events("egress")
        self.assertEqual((row["kind"], row["address"], row["allowed_by"]), ("in", HERE, f"--listen {HERE}"))
        self.assertEqual((row["sent"], row["received"]), (len(reply), len(request)))
        self.assertEqual(row["sha256"], hashlib.sha256(reply).hexdigest())


class Egress(unittest.TestCase):
    def test_in_a_network_of_its_own(self):
        script = f'ip link set lo up && ip addr add {HERE}/32 dev lo && exec "$@"'
        done = subprocess.run(["unshare", "--user", "--map-root-user", "--net", "sh", "-c", script, "sh", sys.executable, "-B",
                               __file__, "Elsewhere", "FromElsewhere"], env=os.environ | {"LATHE": LATHE},
                              capture_output=True, text=True, timeout=600)
        self.assertEqual(done.returncode, 0, done.stderr[-4000:])


if __name__ == "__main__":
    unittest.main()
