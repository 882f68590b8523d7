"""What is said in a sound: a tiny Whisper with random weights, so that its words mean nothing, in every form and from every place."""
import json
import re
import struct
import unittest

from cli_test import SOURCE, Case

MODEL = SOURCE / "tests/data/media/ggml-tiny-random-q4_0.bin"
SOUND = SOURCE / "tests/data/media/s3.wav"


class Transcribe(Case):
    def verbose(self, *flags, **kwargs):
        return json.loads(self.lathe("transcribe", MODEL, SOUND, "--beams", "1", "--format", "verbose_json", *flags, **kwargs)[0])

    def test_every_form_says_the_same(self):
        said = self.verbose()
        self.assertEqual((said["task"], said["language"], said["duration"]), ("transcribe", "english", 3.0))
        self.assertTrue(said["segments"])
        self.assertEqual("".join(segment["text"] for segment in said["segments"]).strip(), said["text"])
        self.assertEqual(self.verbose(), said, "the same again")
        self.assertEqual(self.verbose("--threads", "1"), said)
        form = lambda name: self.lathe("transcribe", MODEL, SOUND, "--beams", "1", "--format", name)[0]
        self.assertEqual(json.loads(form("json")), {"text": said["text"]})
        self.assertEqual(form("text").split(), said["text"].split())
        times = lambda text, point: [tuple(float(h) * 3600 + float(m) * 60 + float(s.replace(point, ".")) for h, m, s in
                                           (part.split(":") for part in line.split(" --> ")))
                                     for line in re.findall(r".*-->.*", text)]
        expected = [(segment["start"], segment["end"]) for segment in said["segments"]]
        for name, point in (("srt", ","), ("vtt", ".")):
            for found, segment in zip(times(form(name), point), expected, strict=True):
                for ours, theirs in zip(found, segment):
                    self.assertAlmostEqual(ours, theirs, places=3)
        self.assertEqual(json.loads(self.lathe("--json", "transcribe", MODEL, SOUND, "--beams", "1")[0]), said)

    def test_words_have_times(self):
        said = self.verbose("--words")
        self.assertEqual("".join(word["word"] for word in said["words"]), "".join(said["text"].split()))
        times = [time for word in said["words"] for time in (word["start"], word["end"])]
        self.assertEqual(times, sorted(times))
        self.assertNotIn("words", self.verbose())

    def test_from_standard_input_to_a_file(self):
        self.lathe("transcribe", MODEL, "-", "--beams", "1", "--format", "vtt", "--out", "a.vtt", input=SOUND.read_bytes())
        text = (self.dir / "a.vtt").read_text()
        self.assertTrue(text.startswith("WEBVTT\n"))
        _, err = self.lathe("transcribe", MODEL, SOUND, "--out", "a.vtt", code=2)
        self.assertIn("a.vtt", err)
        self.assertEqual((self.dir / "a.vtt").read_text(), text)

    def test_a_seed_and_a_prompt_decide(self):
        hot = lambda seed: self.verbose("--temperature", "0.8", "--seed", seed)
        self.assertEqual(hot("1"), hot("1"))
        self.assertNotEqual(hot("1")["segments"], hot("2")["segments"])
        self.assertNotEqual(self.verbose("--prompt", "Hello there, world.")["segments"], self.verbose()["segments"])

    def test_what_cannot_be(self):
        def refused(*args, say, **kwargs):
            out, err = self.lathe("transcribe", *args, code=2, **kwargs)
            self.assertEqual(out, "")
            self.assertIn(say, err)

        refused(MODEL, SOUND, "--language", "klingon", say="klingon")
        refused(MODEL, SOUND, "--language", "de", say="only English")
        refused(MODEL, SOUND, "--translate", say="English only")
        refused(MODEL, SOUND, "--format", "pdf", say="'pdf'")
        refused(MODEL, self.dir / "no.wav", say="no.wav")
        refused(MODEL, self.write("text.wav", b"no sound at all"), say="text.wav")
        refused(SOURCE / "tests/data/models/llama-q4_0.gguf", SOUND, say="no Whisper model")
        refused(self.write("cut.bin", MODEL.read_bytes()[:1_000_000]), SOUND, say="cut.bin")
        # Four hours, of which the header only is there.
        samples = 4 * 3600 * 16000
        header = b"RIFF" + struct.pack("<I", 36 + 2 * samples) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 16000, 32000, 2, 16)
        with open(self.dir / "long.wav", "wb") as file:
            file.write(header + b"data" + struct.pack("<I", 2 * samples))
            file.truncate(44 + 2 * samples)
        refused(MODEL, self.dir / "long.wav", say="long.wav")


if __name__ == "__main__":
    unittest.main()
