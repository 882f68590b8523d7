"""lathe pull, from a hub and a registry that run here and do everything wrong that they can: what comes is whole and the
right one, or nothing is put in place and the error says why."""
import json
import mmap
import os
import pathlib
import random
import signal
import struct
import subprocess
import sys
import time
import unittest

from cli_test import LATHE, SOURCE, Case
from fake_hub import FakeHub, Fault, sha256
import fit_test

MIB = 1 << 20
TINY = (SOURCE / "tests/data/models/llama-q4_0.gguf").read_bytes()
# Readers leave what stands behind the last tensor alone.
MODEL = TINY + random.Random(1).randbytes(5 * MIB - len(TINY))
OTHER = TINY + random.Random(2).randbytes(2 * MIB - len(TINY))
NAME = "tiny-llama-Q4_K_M.gguf"


def split_model():
    """A small model in three files, the first without tensors, as the usual splitters write them."""
    d, layers, vocabulary = 64, 2, 64
    tensors = [("token_embd.weight", [d, vocabulary]), ("output_norm.weight", [d])]
    for i in range(layers):
        tensors += [(f"blk.{i}.{name}.weight", shape) for name, shape in (
            ("attn_norm", [d]), ("ffn_norm", [d]), ("attn_q", [d, d]), ("attn_k", [d, d]), ("attn_v", [d, d]),
            ("attn_output", [d, d]), ("ffn_gate", [d, 128]), ("ffn_up", [d, 128]), ("ffn_down", [128, d]))]
    parts = [[], tensors[:9], tensors[9:]]
    files = []
    for number, part in enumerate(parts):
        keys = {"split.no": (number,), "split.count": (len(parts),), "split.tensors.count": len(tensors)}
        if number == 0:
            keys = fit_test.keys_of("llama", sizes=fit_test.sizes(layers, d, 4, 4, 16, 128, 256)) | keys
        path = f"/tmp/lathe-split-{os.getpid()}"
        fit_test.write(path, keys, [(name, fit_test.F32, shape) for name, shape in part])
        files.append(pathlib.Path(path).read_bytes())
        os.unlink(path)
    return files


class Hub(Case):
    repo = "owner/tiny-llama-GGUF"

    def setUp(self):
        super().setUp()
        self.hub = FakeHub()
        self.addCleanup(self.hub.close)
        self.models = self.dir / ".config/lathe/models"
        self.hub.add(self.repo, NAME, MODEL)
        self.token = None

    def environment(self):
        environment = super().environment() | {"HF_ENDPOINT": self.hub.url}
        return environment | ({"HF_TOKEN": self.token} if self.token else {})

    def pull(self, *args, **kwargs):
        return self.lathe("pull", *args, **kwargs)

    def refused(self, *args, code=2, words=()):
        _, err = self.pull(*args, code=code)
        for word in words:
            self.assertIn(word, err)
        return err

    def names(self):
        return sorted(p.name for p in self.models.iterdir() if p.is_file()) if self.models.is_dir() else []

    def start(self, *args):
        process = subprocess.Popen(self.command("pull", *args), cwd=self.dir, env=self.environment(), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        self.addCleanup(lambda: (process.kill(), process.communicate()))
        return process

    def wait_for_bytes(self, name, count):
        part = self.models / f"{name}.pull"
        deadline = time.monotonic() + 60
        while not part.exists() or part.stat().st_size < count:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.005)

    def stored(self, name=NAME):
        """Requests for the weights themselves: those without an end."""
        return [each for each in self.hub.requests(name) if each[0] == self.hub.store.server_port
                and not each[3].get("Range", "bytes=0-").split("-")[1]]


class Pull(Hub):
    def test_a_model_comes(self):
        out, err = self.pull(f"{self.repo}:q4_k_m")
        self.assertEqual((self.models / NAME).read_bytes(), MODEL)
        self.assertEqual(self.names(), [NAME])
        self.assertIn(str(self.models / NAME), out)
        self.assertIn("5.0 MiB in 1 file", err)
        self.assertEqual(len(self.stored()), 1)
        out, _ = self.pull(self.repo)
        self.assertIn("was here already", out)
        self.assertEqual(len(self.stored()), 1)
        self.lathe("show", self.models / NAME)

    def test_events_for_programs(self):
        self.hub.faults[f"/files/{self.repo}/{NAME}"] = Fault(pace=(MIB, 0.5))
        events = self.events("pull", self.repo)
        self.assertEqual([e["event"] for e in events[:1] + events[-1:]], ["plan", "pulled"])
        self.assertEqual(events[0]["files"], [{"name": NAME, "bytes": len(MODEL), "sha256": sha256(MODEL)}])
        steps = [e for e in events if e["event"] == "progress"]
        self.assertTrue(steps)
        self.assertEqual(sorted(e["done"] for e in steps), [e["done"] for e in steps])
        self.assertTrue(all(e["total"] == len(MODEL) for e in steps))
        self.assertEqual(events[-1] | {"was_here": False}, events[-1])

    def test_what_is_chosen(self):
        self.hub.add("o/many", "m-Q8_0.gguf", OTHER)
        self.hub.add("o/many", "m-Q4_K_M.gguf", MODEL)
        self.hub.add("o/many", "m-UD-Q4_K_M.gguf", OTHER)
        self.hub.add("o/many", "mmproj-m-Q4_K_M.gguf", OTHER)
        self.hub.add("o/many", "below/m-IQ2_XS.gguf", OTHER)
        self.hub.add("o/many", "README.md", b"hello", sha256="")
        self.pull("o/many")
        self.assertEqual(self.names(), ["m-Q4_K_M.gguf"])
        self.pull("o/many:below/m-IQ2_XS.gguf")
        self.pull("o/many:UD-Q4_K_M")
        self.assertEqual(self.names(), ["m-IQ2_XS.gguf", "m-Q4_K_M.gguf", "m-UD-Q4_K_M.gguf"])
        self.refused("o/many:Q5_K_M", words=["nothing in Q5_K_M", "m-Q8_0", "m-IQ2_XS"])
        self.refused("o/many:m-Q5.gguf", words=["no file m-Q5.gguf"])
        self.hub.add("o/two", "a-Q4_K_M.gguf", OTHER)
        self.hub.add("o/two", "b-Q4_K_M.gguf", OTHER)
        self.refused("o/two", words=["a-Q4_K_M, b-Q4_K_M", "o/two:QUANT"])
        self.refused("o/two:Q4_K_M", words=["may be a-Q4_K_M, b-Q4_K_M"])
        self.hub.add("o/none", "model.safetensors", b"x" * 100)
        self.refused("o/none", words=["no GGUF", "lathe import"])
        self.refused("nonsense", words=["OWNER/REPO"])

    def test_a_split_model(self):
        files = split_model()
        names = [f"big-Q8_0-{i + 1:05}-of-00003.gguf" for i in range(3)]
        for name, data in zip(names, files):
            self.hub.add("o/split", f"Q8_0/{name}", data)
        self.pull("o/split:Q8_0")
        self.assertEqual(self.names(), names)
        for name, data in zip(names, files):
            self.assertEqual((self.models / name).read_bytes(), data)
        weights = [each[2] for each in self.hub.asked if each[0] == self.hub.store.server_port and "Range" not in each[3]]
        self.assertEqual([path.split("?")[0][-19:-14] for path in weights], ["00003", "00002", "00001"])
        self.lathe("show", self.models / names[0])
        self.hub.add("o/split", "Q4_0/less-Q4_0-00001-of-00002.gguf", files[0])
        self.refused("o/split:Q4_0", words=["has 2 parts, and 1 of them"])

    def test_a_registry(self):
        self.hub.add_ollama("library/tiny", "1b", MODEL)
        self.hub.add_ollama("someone/tiny", "latest", OTHER)
        self.pull("ollama:tiny:1b", "--registry", self.hub.url)
        self.pull("ollama:someone/tiny", "--registry", self.hub.url)
        self.assertEqual(self.names(), ["someone-tiny-latest.gguf", "tiny-1b.gguf"])
        self.assertEqual((self.models / "tiny-1b.gguf").read_bytes(), MODEL)
        self.refused("ollama:tiny:2b", "--registry", self.hub.url, words=["ollama:tiny:2b", "404"])
        self.hub.add_ollama("library/bad", "latest", OTHER, digest="sha256:../../etc/passwd")
        self.refused("ollama:bad", "--registry", self.hub.url, words=["digest"])

    def test_a_list_without_digests(self):
        self.hub.listed[f"{self.repo}/{NAME}"] = {"sha256": ""}
        self.pull(self.repo)
        self.assertEqual((self.models / NAME).read_bytes(), MODEL)

    def test_names_that_lead_elsewhere(self):
        for path in ("../../evil.gguf", "/etc/evil.gguf", "a/.evil.gguf", "ev\x1bil.gguf", "e" * 300 + ".gguf"):
            self.hub.files = {}
            self.hub.add("o/evil", path, MODEL)
            self.pull("o/evil", code=None)
            written = [p for p in self.dir.rglob("*evil*") if p.is_file()]
            self.assertTrue(all(p.parent in (self.models, self.models / ".pulled") for p in written), written)
            self.assertFalse([n for n in self.names() if n != "evil.gguf"], path)
        for name in ("../..", "o/../x", "o/r:../x.gguf", "o/r:/etc/x.gguf", "ollama:../x", "ollama:x:../y", "o/r?x=1:Q4"):
            self.refused(name)

    def test_something_is_in_the_way(self):
        self.models.mkdir(parents=True)
        (self.models / NAME).write_bytes(b"mine")
        self.refused(self.repo, words=["is there, and is not", "--to"])
        self.assertEqual((self.models / NAME).read_bytes(), b"mine")
        (self.models / NAME).write_bytes(MODEL)
        self.assertIn("here already", self.pull(self.repo)[0])
        self.assertFalse((self.models / ".pulled").exists())
        self.hub.add("someone/else", NAME, OTHER)
        self.pull("someone/else", "--to", self.dir / "elsewhere")
        self.assertEqual((self.dir / "elsewhere" / NAME).read_bytes(), OTHER)
        self.refused(self.repo, "--to", self.dir / "elsewhere", words=["someone/else", "lathe models rm"])

    def test_a_model_that_changes(self):
        """The hub has a new version of the same size: half of the old one is of no use, and a whole old one is not taken for
        it, however the update is stopped."""
        path, new = f"/files/{self.repo}/{NAME}", MODEL[:-1] + bytes([MODEL[-1] ^ 1])
        self.hub.faults[path] = Fault(cut=2 * MIB)
        process = self.start(self.repo)
        self.wait_for_bytes(NAME, 2 * MIB)
        process.kill()
        process.wait()
        self.hub.faults.clear()
        self.hub.add(self.repo, NAME, new)
        self.hub.digests.clear()
        self.pull(self.repo)
        self.assertEqual((self.models / NAME).read_bytes(), new)
        self.hub.add(self.repo, NAME, MODEL)
        self.hub.digests.clear()
        self.hub.faults[path] = Fault(pace=(MIB // 16, 0.05))
        process = self.start(self.repo)
        self.wait_for_bytes(NAME, MIB)
        process.kill()
        process.wait()
        self.assertEqual((self.models / NAME).read_bytes(), new)
        self.hub.faults.clear()
        self.pull(self.repo)
        self.assertEqual((self.models / NAME).read_bytes(), MODEL)
        self.assertEqual(self.names(), [NAME])

    def test_two_at_once(self):
        self.hub.faults[f"/files/{self.repo}/{NAME}"] = Fault(pace=(MIB // 2, 0.2))
        first = self.start(self.repo)
        self.wait_for_bytes(NAME, MIB)
        self.refused(self.repo, code=3, words=["another lathe is fetching it"])
        self.assertEqual(first.wait(60), 0)
        self.assertEqual((self.models / NAME).read_bytes(), MODEL)


class PullFit(Hub):
    """What cannot run here is known before its weights come."""

    def test_a_model_that_is_too_large(self):
        header = self.dir / "header.gguf"
        fit_test.llama3_70b(header)
        with open(header, "rb") as file:
            weights = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        name = "Llama-3-70B-Q4_K_M.gguf"
        self.hub.digests[f"o/big/{name}"] = "0" * 64
        self.hub.add("o/big", name, weights)
        self.refused("o/big", "--memory", "16GiB", words=[name, "memory for 16.0 GiB", "--anyway"])
        self.assertEqual(self.names(), [])
        self.assertEqual(self.stored(name), [])
        self.assertLess(sum(self.hub.sent.values()), 2 * MIB)

    def test_what_cannot_run_here(self):
        odd = bytearray(MODEL)
        at = odd.index(b"general.architecture")
        at = odd.index(b"llama", at)
        for place in range(len(TINY)):
            if odd[place:place + 5] == b"llama" and place >= at:
                odd[place:place + 5] = b"zebra"
        self.hub.add("o/odd", "odd.gguf", bytes(odd))
        self.refused("o/odd", words=["zebra"])
        self.hub.add("o/odd", "odd.gguf", b"GGUG" + MODEL[4:])
        self.hub.digests.clear()
        self.refused("o/odd", words=["odd.gguf", "not a GGUF file"])
        self.hub.add("o/odd", "odd.gguf", MODEL[:5000])
        self.hub.digests.clear()
        self.refused("o/odd", words=["odd.gguf", "truncated"])
        self.assertEqual(self.names(), [])
        self.pull("o/odd", "--anyway")
        self.assertEqual(self.names(), ["odd.gguf"])

    def test_a_long_header(self):
        """It comes in pieces, and the model with it."""
        magic, version, tensors, keys = struct.unpack("<4sIQQ", TINY[:24])
        length = 3 * MIB + 8  # with 24 bytes before it a multiple of 32: the weights stay aligned
        entry = struct.pack("<Q", 4) + b"long" + struct.pack("<IQ", 8, length) + b"x" * length
        header = struct.pack("<4sIQQ", magic, version, tensors, keys + 1)
        self.hub.add("o/long", "long.gguf", header + entry + TINY[24:])
        self.pull("o/long")
        heads = [each[3]["Range"] for each in self.hub.requests("long.gguf") if each[0] == self.hub.store.server_port
                 and "Range" in each[3]]
        self.assertEqual(heads, [f"bytes=0-{MIB - 1}", f"bytes={MIB}-{2 * MIB - 1}", f"bytes={2 * MIB}-{len(TINY) + len(entry) - 1}"])


class PullFaults(Hub):
    def test_a_transfer_that_breaks_goes_on(self):
        self.hub.faults[f"/files/{self.repo}/{NAME}"] = Fault(cut=MIB + 12345, times=4)
        self.pull(self.repo, "--anyway")
        self.assertEqual((self.models / NAME).read_bytes(), MODEL)
        starts = [each[3].get("Range") for each in self.stored()]
        self.assertEqual(starts, [None, *(f"bytes={i * (MIB + 12345)}-" for i in range(1, 5))])

    def test_without_ranges_it_begins_again(self):
        path = f"/files/{self.repo}/{NAME}"
        self.hub.faults[path] = Fault(cut=MIB, times=1)
        self.hub.faults[path[1:]] = Fault(ranges=False)
        self.pull(self.repo, "--anyway")
        self.assertEqual((self.models / NAME).read_bytes(), MODEL)

    def test_a_server_that_only_breaks(self):
        self.hub.faults[f"/files/{self.repo}/{NAME}"] = Fault(cut=0)
        self.refused(self.repo, "--anyway", code=3, words=[NAME])
        self.assertEqual([n for n in self.names() if not n.endswith(".pull")], [])

    def test_silence(self):
        self.hub.faults[f"/files/{self.repo}/{NAME}"] = Fault(stall=MIB, times=1)
        self.pull(self.repo, "--anyway", "--patience", "500ms")
        self.assertEqual((self.models / NAME).read_bytes(), MODEL)

    def test_killed_midway(self):
        for ending in (signal.SIGKILL, signal.SIGKILL, signal.SIGINT):
            self.hub.faults[f"/files/{self.repo}/{NAME}"] = Fault(pace=(MIB // 16, 0.05))
            before = self.hub.sent[f"/files/{self.repo}/{NAME}"]
            process = self.start(self.repo)
            self.wait_for_bytes(NAME, (self.models / f"{NAME}.pull").stat().st_size + MIB // 2
                                if (self.models / f"{NAME}.pull").exists() else MIB)
            process.send_signal(ending)
            _, err = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 130 if ending == signal.SIGINT else -ending, err)
            self.assertFalse((self.models / NAME).exists())
            self.assertGreater(self.hub.sent[f"/files/{self.repo}/{NAME}"], before)
        self.assertIn(b"goes on where it was", err)
        there = (self.models / f"{NAME}.pull").stat().st_size
        self.hub.faults.clear()
        _, err = self.pull(self.repo)
        self.assertIn("are here", err)
        self.assertEqual(self.stored()[-1][3]["Range"], f"bytes={there}-")
        self.assertEqual((self.models / NAME).read_bytes(), MODEL)
        self.assertEqual(self.names(), [NAME])

    def test_a_flipped_byte(self):
        self.hub.faults[f"/files/{self.repo}/{NAME}"] = Fault(flip=3 * MIB, times=2)  # the header's request, and the weights'
        self.refused(self.repo, words=[NAME, "SHA-256", sha256(MODEL)])
        self.assertEqual(self.names(), [])
        self.pull(self.repo)
        self.assertEqual((self.models / NAME).read_bytes(), MODEL)

    def test_a_byte_that_flipped_on_disk(self):
        self.hub.faults[f"/files/{self.repo}/{NAME}"] = Fault(cut=2 * MIB)
        self.hub.faults[f"files/{self.repo}/{NAME}"] = Fault()
        process = self.start(self.repo, "--anyway")
        self.wait_for_bytes(NAME, 2 * MIB)
        process.kill()
        process.wait()
        part = self.models / f"{NAME}.pull"
        data = bytearray(part.read_bytes())
        data[1000] ^= 1
        part.write_bytes(data)
        self.hub.faults.clear()
        self.refused(self.repo, words=["SHA-256"])
        self.assertEqual(self.names(), [])

    def test_lengths_that_lie(self):
        path = f"/files/{self.repo}/{NAME}"
        for fault, listed, words in (
                (Fault(said=len(MODEL) + 100), {}, ["has 5242980 bytes of it where 5242880"]),
                (Fault(), {"size": len(MODEL) - 1}, ["where 5242879 were said"]),
                (Fault(), {"size": len(MODEL) + 1}, ["where 5242881 were said"]),
                (Fault(length=False, extra=b"more"), {}, ["sends more than the 5242880"]),
                (Fault(), {"size": 1 << 60}, ["does not say how large"]),
                (Fault(), {"size": -1}, ["does not say how large"])):
            self.hub.faults = {path: fault}
            self.hub.listed[f"{self.repo}/{NAME}"] = listed
            self.refused(self.repo, "--anyway", words=words)
            self.assertEqual([n for n in self.names() if not n.endswith(".pull")], [])
            for part in self.models.glob("*.pull"):
                part.unlink()

    def test_answers_that_are_none(self):
        listing, file = f"/{self.repo}/revision/main", f"/resolve/c0ffee{'0' * 34}/{NAME}"
        for where, fault, code, words in (
                (listing, Fault(status=401), 2, ["gated", "HF_TOKEN", f"{self.hub.url}/{self.repo}"]),
                (listing, Fault(status=403), 2, ["accept the terms"]),
                (listing, Fault(status=404), 2, [self.repo, "404"]),
                (listing, Fault(status=429, headers={"Retry-After": "3600"}), 3, ["429", "try again in 1h"]),
                (listing, Fault(status=503), 3, ["503", "--hub"]),
                (file, Fault(status=401), 2, ["HF_TOKEN"]),
                (file, Fault(status=403), 2, [NAME, "accept the terms"]),
                (file, Fault(status=404), 2, [NAME]),
                (f"/files/{self.repo}/{NAME}", Fault(status=403), 2, [NAME])):
            self.hub.faults = {where: fault}
            self.refused(self.repo, code=code, words=words)
            self.assertEqual(self.names(), [])
        # A busy server is asked again.
        self.hub.faults = {listing: Fault(status=429, headers={"Retry-After": "1"}, times=1), file: Fault(status=503, times=2)}
        self.pull(self.repo)
        self.hub.close()
        self.refused("other/model", code=3, words=["nothing answers"])

    def test_redirects(self):
        file = f"/resolve/c0ffee{'0' * 34}/{NAME}"
        self.write("secret.gguf", TINY)
        for to, words in ((f"file://{self.dir}/secret.gguf", "neither http nor https"),
                          ("ftp://127.0.0.1/x", "neither http nor https"),
                          (f"{self.hub.url}/{self.repo}{file}", "more than 5 times"),
                          ("http://me:word@127.0.0.1/x", "a user or a password"), ("http://[broken", "no URL")):
            self.hub.faults = {file: Fault(to=to)}
            err = self.refused(self.repo, words=[words])
            self.assertNotIn("me:word", err)
        self.assertEqual(self.names(), [])

    def test_tokens(self):
        self.hub.token = "hf_secret"
        self.refused(self.repo, words=["gated"])
        self.token = "hf_wrong"
        self.refused(self.repo, words=["the token is not taken"])
        self.token = "hf_secret"
        self.pull(self.repo)
        # The store, another host, refuses credentials.
        self.assertTrue(self.stored())
        self.assertTrue(all("Authorization" not in each[3] for each in self.stored()))
        self.token = None
        token = self.write("token", "hf_secret\n")
        token.chmod(0o644)
        self.refused(self.repo, "--token-file", "token", words=["others may read", "chmod 600"])
        token.chmod(0o600)
        self.pull(self.repo, "--to", "elsewhere", "--token-file", "token")
        self.write("token", "hf_sec\nret")
        err = self.refused(self.repo, "--token-file", "token", words=["one word"])
        self.assertNotIn("hf_sec", err)

    def namespace(self, kinds, script, timeout=120):
        return subprocess.run(["unshare", "--user", "--map-root-user", *kinds, "sh", "-c", script, "sh", *self.command("pull")],
                              cwd=self.dir, env=self.environment(), capture_output=True, text=True, timeout=timeout)

    def test_a_full_disk(self):
        self.models.mkdir(parents=True)
        self.hub.faults[f"/files/{self.repo}/{NAME}"] = Fault(pace=(MIB // 2, 0.2))
        done = self.namespace(["--mount"], f"""
            mount -t tmpfs -o size=8m tmpfs {self.models} || exit 90
            "$@" {self.repo} 2> early.log; echo "early $?"
            mount -o remount,size=24m {self.models} || exit 91
            "$@" {self.repo} 2> full.log & pull=$!
            while [ ! -s {self.models}/{NAME}.pull ]; do sleep 0.01; done
            head -c 30m /dev/zero > {self.models}/filler 2> filler.log
            wait $pull; echo "full $?"; ls {self.models}
            rm {self.models}/filler
            "$@" {self.repo} 2> after.log; echo "after $?"; sha256sum {self.models}/{NAME}; ls {self.models}
            """)
        logs = {name: (self.dir / f"{name}.log").read_text() for name in ("early", "full", "after")}
        self.assertIn("early 3", done.stdout, done.stdout + done.stderr)
        self.assertIn("has room for 8.0 MiB, and tiny-llama-Q4_K_M needs 5.0 MiB more", logs["early"])
        self.assertIn("full 3", done.stdout, logs)
        self.assertIn("the disk is full", logs["full"])
        self.assertIn(f"filler\n{NAME}.pull\n", done.stdout)
        self.assertIn("after 0", done.stdout, logs)
        self.assertIn("are here", logs["after"])
        self.assertIn(sha256(MODEL), done.stdout)
        self.assertTrue(done.stdout.endswith(f"{NAME}\n"))


class PullAlone(unittest.TestCase):
    """All of it in a network namespace that has nothing but loopback."""

    def test_without_a_network(self):
        script = 'ip link set lo up && exec "$@"'
        done = subprocess.run(["unshare", "--user", "--map-root-user", "--net", "sh", "-c", script, "sh", sys.executable, "-B",
                               __file__, "Pull", "PullFaults.test_killed_midway", "PullFaults.test_a_flipped_byte",
                               "PullFaults.test_a_full_disk"], env=os.environ | {"LATHE": LATHE},
                              capture_output=True, text=True, timeout=600)
        self.assertEqual(done.returncode, 0, done.stderr[-4000:])


if __name__ == "__main__":
    unittest.main()
