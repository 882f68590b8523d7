"""Sounds written down by `lathe serve`, with a tiny Whisper: the same as `lathe transcribe`, in the memory account of all models."""
import hashlib
import http.client
import json
import shutil
import socket
import struct
import subprocess
import threading
import unittest
import uuid

from cli_test import SOURCE
from serve_test import Server

MEDIA = SOURCE / "tests/data/media"
EAR = "ggml-tiny-random-q4_0"


def wav(seconds, rate=16000, bits=16, data=None):
    size = int(seconds * rate * bits // 8)
    data = bytes(size) if data is None else data
    return b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, rate, rate * bits // 8, bits // 8, bits) + \
        b"data" + struct.pack("<I", size) + data


def form(sound, fields, name="file"):
    """As curl and browsers write it."""
    boundary = uuid.uuid4().hex
    parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode() for key, value in fields]
    if sound is not None:
        parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="a.wav"\r\n'
                     f"Content-Type: audio/wav\r\n\r\n".encode() + sound + b"\r\n")
    return f"multipart/form-data; boundary={boundary}", b"".join(parts) + f"--{boundary}--\r\n".encode()


class SoundServer(Server):
    def setUp(self):
        super().setUp()
        shutil.copy(MEDIA / f"{EAR}.bin", self.models)
        (self.models / "pytorch_model.bin").write_bytes(b"PK\x03\x04 not ours")
        self.sound = (MEDIA / "s3.wav").read_bytes()

    def write_down(self, sound=None, status=200, path="/v1/audio/transcriptions", key=None, **fields):
        fields = [(name, each) for name, value in ({"model": EAR} | fields).items() for each in (value if isinstance(value, list) else [value])]
        type_, body = form(self.sound if sound is None else sound, [(name.replace("__", "[]"), value) for name, value in fields])
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        connection.request("POST", path, body, {"Content-Type": type_} | ({"Authorization": f"Bearer {key}"} if key else {}))
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        self.assertEqual(answer.status, status, text[:500])
        return json.loads(text) if answer.headers["content-type"].startswith("application/json") else text

    def model(self, name=EAR):
        return next(each for each in self.status()["models"] if each["name"] == name)


class ServeSounds(SoundServer):
    def test_the_same_as_the_command_in_every_form(self):
        self.start()
        listed = {each["id"]: each["capabilities"] for each in self.call("/v1/models")["data"]}
        self.assertEqual(listed[EAR], ["transcription"])
        self.assertNotIn("pytorch_model", listed)
        self.assertEqual(self.model()["state"], "cold")
        said = lambda *flags: self.lathe("transcribe", MEDIA / f"{EAR}.bin", MEDIA / "s3.wav", *flags)[0]
        for name in ("text", "srt", "vtt"):
            self.assertEqual(self.write_down(response_format=name).strip(), said("--format", name).strip(), name)
        self.assertEqual(self.write_down()["text"], json.loads(said("--format", "json"))["text"])
        verbose = json.loads(said("--format", "verbose_json", "--words"))
        heard = self.write_down(response_format="verbose_json", timestamp_granularities__=["word", "segment"])
        self.assertEqual(heard.pop("usage"), {"type": "duration", "seconds": 3})
        self.assertEqual(heard, verbose)
        hot = self.write_down(response_format="verbose_json", temperature="0.8", prompt="Hello there, world.", language="en")
        self.assertEqual(hot["segments"], json.loads(said("--format", "verbose_json", "--temperature", "0.8", "--prompt",
                                                          "Hello there, world.", "--language", "en"))["segments"])
        # Every name that only stands for some model, and none; and 35 seconds, beside a talk.
        for name in ("whisper-1", "gpt-4o-mini-transcribe", ""):
            self.assertEqual(self.write_down(model=name)["text"], verbose["text"])
        long = wav(35, data=(self.sound[44:] * 12)[:35 * 32000])
        alone = self.write_down(long, response_format="verbose_json")
        chat = threading.Thread(target=lambda: self.chat("beside", max_tokens=60))
        chat.start()
        self.assertEqual(self.write_down(long, response_format="verbose_json"), alone)
        chat.join()
        # A stream's pieces are the text.
        events = [json.loads(line[6:]) for line in self.write_down(long, stream="true").splitlines() if line.startswith("data: ")]
        self.assertEqual([event["type"] for event in events[-1:]], ["transcript.text.done"])
        self.assertEqual("".join(event["delta"] for event in events[:-1]), events[-1]["text"])
        self.assertEqual(events[-1]["text"], alone["text"])

    def test_in_the_account_of_all_models(self):
        self.start()
        before = self.status()["devices"]["cpu"]["booked"]
        self.write_down()
        model = self.model()
        self.assertEqual(model["state"], "ready")
        self.assertGreater(model["weights"], 1 << 20)
        self.assertGreater(model["scratch"], 1 << 20)
        self.assertGreater(model["media"], 90_000_000)
        booked = self.status()["devices"]["cpu"]["booked"]
        self.assertEqual(booked - before, model["weights"] + model["scratch"] + model["media"])
        foretold = json.loads(self.lathe("--json", "fit", self.models / f"{EAR}.bin")[0])["models"][0]
        self.assertEqual((foretold["weights"], foretold["encoder"]), (model["weights"], model["media"]))
        self.assertIn(EAR, self.lathe("ps", "--server", self.url)[0])
        self.call("/models/unload", {"model": EAR})
        self.assertEqual(self.status()["devices"]["cpu"]["booked"], before)
        self.assertEqual(self.model()["weights"], 0)
        self.call("/models/load", {"model": EAR})
        self.assertEqual(self.status()["devices"]["cpu"]["booked"], booked)
        # Two at once: one after the other, both right.
        texts = []
        askers = [threading.Thread(target=lambda: texts.append(self.write_down()["text"])) for _ in range(2)]
        for each in askers:
            each.start()
        for each in askers:
            each.join()
        self.assertEqual(texts[0], texts[1])
        usage = self.call("/v1/usage?by=model")
        row = next(each for each in usage["data"] if EAR in each.values())
        self.assertEqual(row["calls"], 3, usage)

    def test_leaves_for_others_and_by_itself(self):
        (self.models / "models.toml").write_text(f'[model.ear]\nfile = "{EAR}.bin"\nkeep_alive = "1s"\naliases = ["whisper-1"]\n')
        self.start()
        self.write_down(model="ear")
        self.eventually(lambda: self.model("ear")["state"] == "cold")
        self.write_down(model="whisper-1")
        self.assertIn("/v1/audio/transcriptions", self.chat("hi", model="ear", status=400)["error"]["message"])
        self.assertIn("writes no sounds down", self.write_down(model="llama-q4_0", status=400)["error"]["message"])
        # A name that stands for some model of a cloud's is never the one that hears.
        self.chat("hi", model="qwen2-q4_k_m")
        self.assertEqual(self.chat("hi", model="gpt-4o")["model"], "qwen2-q4_k_m")

    def test_bad_uploads(self):
        self.start()
        refused = lambda sound, say, status=400, **fields: self.assertIn(say, self.write_down(sound, status, **fields)["error"]["message"])
        refused(b"", "empty")
        refused(self.sound[:30], "not a readable sound file")
        refused(b"no sound at all", "not a readable sound file")
        refused(b"\x89PNG\r\n\x1a\n" + self.sound, "not a readable sound file")
        # What stands behind the sound is nobody's: a polyglot is the sound that its head says.
        self.assertEqual(self.write_down(self.sound + b"PK\x03\x04<html><script>")["text"], self.write_down()["text"])
        refused(wav(4 * 3600, rate=4000, bits=8), "longer than 50 minutes")
        refused(None, "klingon", language="klingon")
        refused(None, "only English", language="de")
        refused(None, "English only", path="/v1/audio/translations")
        # A head that promises too much is answered before its body.
        client = socket.create_connection(("127.0.0.1", self.port))
        client.sendall(b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
                       b"Content-Length: 200000000\r\n\r\n")
        self.assertIn(b" 413 ", client.recv(1000))
        client.close()
        self.write_down()

    def test_who_goes_ends_the_work(self):
        self.start()
        type_, body = form(wav(1200, data=(self.sound[44:] * 400)[:1200 * 32000]), [("model", EAR), ("stream", "true")])
        client = socket.create_connection(("127.0.0.1", self.port))
        client.sendall((f"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: localhost\r\nContent-Type: {type_}\r\n"
                        f"Content-Length: {len(body)}\r\n\r\n").encode() + body)
        self.eventually(lambda: self.model()["running"] == 1, 120)
        client.close()
        self.eventually(lambda: self.model()["running"] == 0, 120)
        self.write_down()
        self.call("/models/unload", {"model": EAR})
        self.assertEqual(self.model()["media"], 0)

    def test_a_key_and_its_quota(self):
        added = json.loads(self.lathe("--json", "key", "add", "ada", "--tokens-day", "200")[0])
        self.start()
        key = added["key"]
        # 3 seconds are 150 rows, and the words.
        self.write_down(key=key)
        self.write_down(key=key)
        self.assertIn("tokens", self.write_down(key=key, status=429)["error"]["message"])
        self.write_down(status=401)

    def test_clients(self):
        self.start()
        done = subprocess.run(["node", "--test", SOURCE / "tests/clients/sounds.test.mjs"], capture_output=True, timeout=300,
                              env={**self.environment(), "LATHE_URL": self.url, "LATHE_MODEL": EAR})
        self.assertEqual(done.returncode, 0, done.stdout.decode(errors="replace")[-4000:])


class RemoteSounds(SoundServer):
    """The same model, asked through another lathe."""

    def test_forwarded(self):
        self.start()
        there = self.write_down(response_format="verbose_json", timestamp_granularities__=["word", "segment"])
        far = self.url
        self.models = self.dir / "none"
        self.models.mkdir()
        self.start("--remote", f"box={far}")
        here = self.write_down(response_format="verbose_json", timestamp_granularities__=["word", "segment"])
        self.assertEqual(here, there)
        self.assertIn("unreadable", self.write_down(b"no sound", status=400)["error"]["message"])
        self.assertIn("klingon", self.write_down(language="klingon", status=400)["error"]["message"])

    def test_the_judge_that_listens(self):
        """A judge hears by the server what the model hears alone, and by the model in its own process too."""
        self.start()
        said = self.write_down()["text"]
        heard = []
        for worker in (f"{self.url}/v1#{EAR}", str(MEDIA / f"{EAR}.bin")):
            out, err = self.lathe("--json", "judge", "run", "listen", MEDIA / "s3.wav", "--worker", f"ears={worker}", "--set", "worker=ears",
                                  "--set", "expect=Good morning to you", "--show-outgoing", code=None)
            if worker.startswith("http"):
                self.assertIn(hashlib.sha256(self.sound).hexdigest(), err, "a sound is shown by its hash")
                self.assertNotIn("RIFF", err)
            verdict = json.loads(out.splitlines()[-1])
            self.assertEqual(verdict["outcome"], "abstain", "nobody has calibrated it")
            self.assertEqual(verdict["evidence"]["transcript"].split(), said.split())
            heard.append((verdict["score"], verdict["evidence"]["words"]))
        self.assertEqual(heard[0], heard[1])


if __name__ == "__main__":
    unittest.main()
