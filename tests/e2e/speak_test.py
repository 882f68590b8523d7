"""`lathe speak`, speech over HTTP, and a microphone that a script stands for: what is said is heard again by the ears judge."""
import http.client
import io
import json
import os
import shutil
import signal
import subprocess
import unittest
import wave

from cli_test import SOURCE, Case
from serve_test import Server

TEXT = "Please put the kettle on the stove."
EAR = SOURCE / "tests/data/media/ggml-tiny-random-q4_0.bin"
SOUND = SOURCE / "tests/data/media/s3.wav"


def heard(case, name, text):
    """Whether the ears judge hears these words."""
    out, _ = case.lathe("--json", "judge", "run", "ears", name, "--set", "check=words_heard", "--set", f"expect={text}")
    return json.loads(out.splitlines()[-1])


class Speak(Case):
    def test_what_is_said_is_heard(self):
        self.lathe("speak", TEXT, "--out", "a.wav", "--voice", "alloy")
        with wave.open(str(self.dir / "a.wav")) as file:
            self.assertEqual((file.getnchannels(), file.getsampwidth(), file.getframerate()), (1, 2, 16000))
            self.assertEqual(44 + 2 * file.getnframes(), (self.dir / "a.wav").stat().st_size)
        heard(self, "a.wav", TEXT)
        for name in ("a.flac", "a.ogg", "a.mp3"):
            self.lathe("speak", TEXT, "--out", name, "--voice", "flite:slt")
            heard(self, name, TEXT)
        # From a file, from standard input, to a program: the same bytes.
        self.write("text.txt", TEXT)
        whole = (self.dir / "a.wav").read_bytes()
        for args, given in ((("text.txt",), None), (("-",), TEXT.encode()), ((TEXT,), None)):
            done = subprocess.run(self.command("speak", *args, "--voice", "flite:slt"), input=given, capture_output=True, cwd=self.dir,
                                  env=self.environment(), timeout=300)
            self.assertEqual(done.stdout, whole, done.stderr)

    def test_what_cannot_be(self):
        for args, say in ((("x", "--voice", "nobody"), "no voice 'nobody'"), (("x", "--format", "aac"), "'aac'"),
                          (("x", "--out", "a.pdf"), "'pdf'"), (("... !",), "nothing to say"), (("x", "--speed", "9"), "speed")):
            _, err = self.lathe("speak", *args, code=2 if "--speed" not in args else None)
            self.assertIn(say, err)
        self.write("a.wav", "mine")
        self.assertIn("--force", self.lathe("speak", "x", "--out", "a.wav", code=2)[1])


class SpeakModel(Case):
    """A tiny voice with random weights: what it says means nothing, and is the same each time."""

    def setUp(self):
        super().setUp()
        shutil.copy(SOURCE / "tests/data/models/qwen3tts.gguf", self.dir / "voice.gguf")
        shutil.copy(SOURCE / "tests/data/media/qwen3tts.mmproj.gguf", self.dir / "voice-mmproj.gguf")

    def said(self, *args):
        out, _ = self.lathe("--json", "speak", "the stone", "--model", "voice.gguf", "--force", "--out", "a.wav", *args)
        with wave.open(str(self.dir / "a.wav")) as file:
            self.assertEqual((file.getnchannels(), file.getsampwidth(), file.getframerate()), (1, 2, 24000))
            return json.loads(out), file.readframes(file.getnframes())

    def test_a_model_speaks(self):
        report, sound = self.said("--seed", "3")
        self.assertEqual((report["seed"], report["ended"]), (3, True))
        self.assertEqual(len(sound), report["frames"] * 96 * 2)
        self.assertEqual(self.said("--seed", "3", "--threads", "1")[1], sound)
        self.assertNotEqual(self.said("--seed", "4")[1], sound)
        self.assertNotEqual(self.said("--seed", "3", "--language", "English")[1], sound)
        self.assertNotEqual(self.said("--seed", "3", "--voice-from", SOURCE / "tests/data/media/qwen3tts.ref24k.wav")[1], sound)
        done = subprocess.run(self.command("speak", "the stone", "--model", "voice.gguf", "--seed", "3", "--format", "pcm"),
                              capture_output=True, cwd=self.dir, env=self.environment(), timeout=300)
        self.assertEqual(done.stdout, sound, done.stderr)
        # Where nobody takes the rest, nothing more is said.
        process = subprocess.Popen(self.command("speak", "the stone", "--model", "voice.gguf", "--seed", "4", "--format", "pcm"), cwd=self.dir,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment())
        process.stdout.close()
        self.assertIn(b"nobody takes the sound", process.stderr.read())
        self.assertNotEqual(process.wait(300), 0)
        process.stderr.close()

    def test_what_cannot_be(self):
        for args, say in ((("--language", "klingon"), "chinese, english"), (("--voice-from", "voice.gguf"), "unreadable sound file"),
                          (("--voice", "alloy"), "--voice"), (("--out", "voice.gguf"), "voice.gguf")):
            _, err = self.lathe("speak", "x", "--model", "voice.gguf", *args, code=None)
            self.assertIn(say, err)
        self.assertIn("lathe speak --model", self.lathe("run", "voice.gguf", "x", code=2)[1])
        self.assertIn("--model", self.lathe("speak", "x", "--seed", "3", code=None)[1])
        (self.dir / "voice-mmproj.gguf").unlink()
        self.assertIn("mmproj", self.lathe("speak", "x", "--model", "voice.gguf", code=None)[1])


class ServeSpeech(Server):
    def ask(self, status=200, **body):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        connection.request("POST", "/v1/audio/speech", json.dumps({"model": "tts-1", "input": TEXT, "voice": "nova"} | body))
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        self.assertEqual(answer.status, status, data[:300])
        return data, answer.headers

    def test_heard_again(self):
        self.start()
        data, headers = self.ask(response_format="wav")
        self.assertEqual(headers["content-type"], "audio/wav")
        self.assertEqual(wave.open(io.BytesIO(data)).getframerate(), 16000)
        self.write("a.wav", data)
        heard(self, "a.wav", TEXT)
        data, headers = self.ask(stream_format="audio", response_format="opus")
        self.assertEqual((headers["content-type"], headers["transfer-encoding"]), ("audio/ogg", "chunked"))
        self.write("a.ogg", data)
        heard(self, "a.ogg", TEXT)
        voices = self.call("/v1/audio/voices")
        self.assertIn("flite:slt", [each["id"] for each in voices["data"]])
        self.assertIn("no voice", self.call("/v1/audio/speech", {"input": "x", "voice": "nobody"}, 400)["error"]["message"])

    def test_clients(self):
        self.start()
        done = subprocess.run(["node", "--test", SOURCE / "tests/clients/speech.test.mjs"], capture_output=True, timeout=300,
                              env={**self.environment(), "LATHE_URL": self.url, "LATHE_MODEL": "none"})
        self.assertEqual(done.returncode, 0, done.stdout.decode(errors="replace")[-4000:])


class ServeModelSpeech(Server):
    """A model that speaks, served: the bytes are those of `lathe speak --model`."""

    def spoken(self, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        connection.request("POST", "/v1/audio/speech", json.dumps(
            {"model": "voice", "input": "the stone", "seed": 3, "response_format": "pcm", "stream_format": "audio"} | body))
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        self.assertEqual(answer.status, 200, data[:300])
        return data

    def test_a_model_speaks(self):
        models = self.models
        shutil.copy(SOURCE / "tests/data/models/qwen3tts.gguf", models / "voice.gguf")
        shutil.copy(SOURCE / "tests/data/media/qwen3tts.mmproj.gguf", models / "voice-mmproj.gguf")
        shutil.copy(SOURCE / "tests/data/media/qwen3tts.ref24k.wav", models / "anna.wav")
        (models / "models.toml").write_text('[model.voice]\nvoices = {anna = "anna.wav"}\n')
        self.start()
        saids = []
        for args, body in (((), {}), (("--voice-from", models / "anna.wav", "--language", "english"), {"voice": "anna", "language": "english"})):
            said = subprocess.run(self.command("speak", "the stone", "--model", models / "voice.gguf", "--seed", "3", "--format", "pcm", *args),
                                  capture_output=True, cwd=self.dir, env=self.environment(), timeout=300).stdout
            self.assertEqual(self.spoken(body), said)
            saids.append((body, said))
        listed = {each["id"]: each for each in self.call("/v1/models")["data"]}["voice"]
        self.assertEqual((listed["capabilities"], listed["voices"]), (["speech"], ["anna"]))
        # What it takes is what `lathe fit` foretells from the files' heads.
        fit = json.loads(self.lathe("--json", "fit", models / "voice.gguf")[0])
        foretold, booked = fit["models"][0], listed["memory"]
        self.assertEqual((foretold["weights"], foretold["kv"]), (booked["weights"], booked["media"]))
        if fit["threads"] == 2:  # as the server has
            self.assertEqual(foretold["scratch"], booked["scratch"])
        self.assertIn("no context to choose", self.lathe("fit", f"{models / 'voice.gguf'}:4096", code=2)[1])
        error = self.call("/v1/audio/speech", {"model": "voice", "input": "x", "voice": "alloy"}, 400)["error"]
        self.assertEqual(error["param"], "voice")
        self.assertIn("anna", error["message"])
        chat = self.call("/v1/chat/completions", {"model": "voice", "messages": [{"role": "user", "content": "x"}]}, 400)
        self.assertIn("/v1/audio/speech", chat["error"]["message"])
        rows = {row["name"]: row for row in self.call("/v1/usage?by=model")["data"]}
        self.assertEqual((rows["voice"]["calls"], rows["voice"]["failed"]), (4, 2), "what was refused is a row, too")
        self.assertGreater(rows["voice"]["out"], 0)
        # Through another server, which has no such model itself: the same samples, refusals and row.
        far, there = self.process, rows["voice"]["out"]
        self.models = self.dir / "none"
        self.models.mkdir()
        self.start("--remote", f"box={self.url}")
        for body, said in saids:
            self.assertEqual(self.spoken(body), said)
            self.assertEqual(self.spoken(body | {"response_format": "wav", "stream_format": None})[44:], said)
        again = {each["id"]: each for each in self.call("/v1/models")["data"]}["voice"]
        for key in ("capabilities", "voices", "languages"):
            self.assertEqual(again[key], listed[key])
        error = self.call("/v1/audio/speech", {"model": "voice", "input": "x", "voice": "alloy"}, 400)["error"]
        self.assertEqual(error["param"], "voice")
        self.assertIn("anna", error["message"])
        rows = {row["name"]: row for row in self.call("/v1/usage?by=model")["data"]}
        # Both servers write into one ledger: each of these five calls is a row of either.
        self.assertEqual((rows["voice"]["calls"], rows["voice"]["failed"]), (4 + 2 * 5, 2 + 2 * 1))
        self.assertEqual(rows["voice"]["out"], there + 2 * 2 * there)
        far.kill()
        far.wait()
        self.assertIn("box", self.call("/v1/audio/speech", {"model": "voice", "input": "x"}, 503)["error"]["message"])
        self.end()


class Microphone(Case):
    def test_until_ctrl_c(self):
        # A recorder that writes the sound's head and samples, and goes on until it is ended.
        tools = self.dir / "tools"
        tools.mkdir()
        recorder = tools / "arecord"
        recorder.write_text(f"#!/bin/sh\nfor last; do :; done\ncat {SOUND} > \"$last\"\nexec sleep 600\n")
        recorder.chmod(0o755)
        said = self.lathe("transcribe", EAR, SOUND, "--format", "json")[0]
        process = subprocess.Popen(self.command("transcribe", EAR, "--microphone", "--format", "json"), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, cwd=self.dir,
                                   env=self.environment() | {"PATH": f"{tools}:{os.environ['PATH']}"})
        lines = []
        while not any("…" in line for line in lines):
            line = process.stderr.readline().decode()
            self.assertTrue(line, lines)
            lines.append(line)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=300)
        self.assertEqual(process.returncode, 0, err)
        self.assertEqual(json.loads(out), json.loads(said))

    def test_raw_samples(self):
        samples = SOUND.read_bytes()[44:]
        said = self.lathe("transcribe", EAR, SOUND, "--format", "json")[0]
        self.assertEqual(self.lathe("transcribe", EAR, "-", "--raw", "16000", "--format", "json", input=samples)[0], said)
        self.assertIn("sound is wanted", self.lathe("transcribe", EAR, code=2)[1])
        self.assertIn("sound is wanted", self.lathe("transcribe", EAR, SOUND, "--microphone", code=2)[1])
        self.assertIn("--raw", self.lathe("transcribe", EAR, "--microphone", "--raw", "8000", code=2)[1])


if __name__ == "__main__":
    unittest.main()
