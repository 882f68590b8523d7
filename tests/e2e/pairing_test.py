"""A fleet of two machines, here two homes: set up, invited, joined, drained, forgotten; the database is the test's own."""
import glob
import json
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import tomllib
import unittest

from cli_test import LATHE, Case

PATIENCE = 120  # seconds, of a loaded machine


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


class Postgres:
    """On loopback and in a directory of its own; its superuser is `admin`, and `anna` may make roles. Nodes need their password."""

    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="lathe-pg-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
        self.programs = pathlib.Path(sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))[-1]).parent
        self.nobody = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        if self.nobody:
            os.chown(self.dir, self.nobody.pw_uid, self.nobody.pw_gid)
        self.port = free_port()
        self.begin()
        self.sql("CREATE ROLE anna LOGIN CREATEROLE", "admin", "postgres")
        self.sql("CREATE DATABASE fleet OWNER anna", "admin", "postgres")
        self.address = f"postgresql:///fleet?host={self.dir}&port={self.port}&user=anna&sslmode=disable"

    def begin(self):
        """A cluster that holds nothing."""
        data = self.dir / "data"
        shutil.rmtree(data, ignore_errors=True)
        self.run("initdb", "-D", data, "-U", "admin", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
        with open(data / "pg_hba.conf", "w") as file:
            file.write("local all all trust\nhost all +lathe_node 127.0.0.1/32 scram-sha-256\n")
        self.start()

    def start(self):
        """Also after kill(), whose children it waits for."""
        for _ in range(10 * PATIENCE):
            self.server = subprocess.Popen(
                [self.programs / "postgres", "-D", self.dir / "data", "-k", self.dir, "-p", str(self.port), "-c", "listen_addresses=127.0.0.1",
                 "-c", "fsync=off", "-c", "max_connections=100"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **self.user())
            while self.server.poll() is None:
                if subprocess.run([self.programs / "pg_isready", "-q", "-h", self.dir, "-p", str(self.port)], check=False).returncode == 0:
                    return
                time.sleep(0.1)
            time.sleep(0.1)

    def kill(self):
        self.server.kill()
        self.server.wait()

    def user(self):
        return {"user": self.nobody.pw_uid, "group": self.nobody.pw_gid, "extra_groups": []} if self.nobody else {}

    def run(self, program, *args):
        subprocess.run([self.programs / program, *args], check=True, capture_output=True, cwd=self.dir, **self.user())

    def sql(self, text, user, database):
        self.run("psql", "-q", "-h", self.dir, "-p", str(self.port), "-U", user, "-d", database, "-c", text)

    def ask(self, text, database):
        """What it says, as psql prints it."""
        done = subprocess.run([self.programs / "psql", "-qAt", "-h", self.dir, "-p", str(self.port), "-U", "admin", "-d", database, "-c", text],
                              check=True, capture_output=True, text=True, cwd=self.dir, **self.user())
        return done.stdout.strip()

    def end(self):
        self.server.send_signal(signal.SIGQUIT)
        self.server.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


class Pairing(Case):
    def setUp(self):
        super().setUp()
        self.home = "desk"
        self.postgres = Postgres()
        self.addCleanup(self.postgres.end)

    def environment(self):
        return super().environment() | {"HOME": str(self.dir / self.home)}

    def at(self, home, *args, code=0):
        self.home = home
        return self.events("fleet", *args, code=code)

    def invite(self, *args):
        """`lathe fleet invite` at work, and its invitation."""
        self.home = "desk"
        process = subprocess.Popen([LATHE, "--json", "fleet", "invite", "--listen", "127.0.0.1:0", *args], stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, cwd=self.dir, env=self.environment())
        self.addCleanup(process.stdout.close)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        said = json.loads(process.stdout.readline())
        self.assertEqual(said["event"], "invitation")
        return process, said["invitation"]

    def config(self, home):
        return self.dir / home / ".config/lathe"

    def heartbeat(self, node):
        """As the node itself, by what it keeps."""
        kept = tomllib.loads((self.config("laptop") / "fleet.toml").read_text())
        address = kept["database"] + ("&" if "?" in kept["database"] else "?") + "password=" + kept["password"]
        return subprocess.run([self.postgres.programs / "psql", "-Atq", address, "-c", f"SELECT lathe.heartbeat('{node}', '[]', '{{}}')"],
                              check=False, capture_output=True, text=True)

    def test_a_laptop_joins_and_is_forgotten(self):
        (made,) = self.at("desk", "init", "--db", self.postgres.address, "--name", "desk")
        self.assertTrue(made["fresh"])
        # A bare address is no invitation.
        self.home = "laptop"
        _, err = self.lathe("fleet", "join", "127.0.0.1:8443", code=2)
        self.assertIn("no fingerprint", err)

        inviter, invitation = self.invite("--tier", "laptop")
        print_, token = invitation.split("#")[1:]
        self.assertEqual(print_, made["fingerprint"])
        self.home = "laptop"
        _, err = self.lathe("fleet", "join", invitation.replace(print_, "0" * 64), "--name", "small", code=2)
        self.assertIn("fingerprint", err)
        self.assertFalse((self.config("laptop") / "fleet.toml").exists())
        (joined,) = self.at("laptop", "join", invitation, "--name", "small")
        self.assertTrue(joined["reached"])
        self.assertEqual(inviter.wait(PATIENCE), 0)
        events = [json.loads(line) for line in inviter.stdout]
        self.assertEqual([each["event"] for each in events], ["refused", "joined"])
        self.assertEqual(events[-1]["node"], joined["node"])
        for file in ("fleet.toml", "node.key"):
            self.assertEqual((self.config("laptop") / file).stat().st_mode & 0o777, 0o600)

        nodes = {node["name"]: node for node in self.at("desk", "nodes")}
        self.assertEqual(set(nodes), {"desk", "small"})
        small = nodes["small"]
        self.assertEqual((small["id"], small["tier"], small["clearance"], small["state"]), (joined["node"], "laptop", "lan", "active"))
        self.assertEqual(small["caps"], ["on:small", "on:laptop"])
        self.assertIsNotNone(small["seen"])
        self.assertIsNone(nodes["desk"]["seen"])
        self.assertEqual(self.heartbeat(small["id"]).returncode, 0)
        self.assertIn("may not speak for", self.heartbeat(made["node"]).stderr)

        # Names, ids and beginnings of ids all name it.
        self.assertEqual(self.at("desk", "drain", "small")[0]["state"], "draining")
        self.assertEqual(self.at("desk", "admit", small["id"][:8])[0]["state"], "active")
        _, err = self.lathe("fleet", "drain", "smal", code=2)
        self.assertIn("did you mean 'small'", err)
        self.assertEqual(self.at("desk", "forget", small["id"])[0]["state"], "forgotten")
        refused = self.heartbeat(small["id"])
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("password authentication failed", refused.stderr)
        _, err = self.lathe("fleet", "admit", "small", code=2)
        self.assertIn("lathe fleet invite", err)

        # A new invitation lets it in again, with the same key; the old one has ended.
        self.home = "laptop"
        _, err = self.lathe("fleet", "join", invitation, code=3)
        self.assertIn("lathe fleet invite", err)
        inviter, invitation = self.invite()
        self.assertNotIn(token, invitation)
        (again,) = self.at("laptop", "join", invitation, "--name", "small")
        self.assertEqual((again["node"], again["reached"]), (joined["node"], True))
        self.assertEqual(inviter.wait(PATIENCE), 0)
        self.assertEqual({node["name"]: node["state"] for node in self.at("desk", "nodes")}, {"desk": "active", "small": "active"})

    def test_ctrl_c_takes_an_invitation_back(self):
        self.at("desk", "init", "--db", self.postgres.address)
        inviter, _ = self.invite()
        inviter.send_signal(signal.SIGINT)
        self.assertEqual(inviter.wait(PATIENCE), 130)
        self.assertEqual(len(self.at("desk", "nodes")), 1)


if __name__ == "__main__":
    unittest.main()
