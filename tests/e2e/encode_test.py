"""lathe encode: what a model is given in place of a picture or a sound, from its file and an encoder's file."""
import array
import hashlib
import json
import math
import unittest

from cli_test import SOURCE, Case

MEDIA = SOURCE / "tests/data/media"
ENCODER, PICTURE = MEDIA / "qwen3vl_merger.mmproj.gguf", MEDIA / "img_97x61.png"


SOUND = MEDIA / "s3.wav"


def floats(path):
    numbers = array.array("f")
    numbers.frombytes(path.read_bytes())
    return numbers


def distance(ours, truth):
    return math.sqrt(sum((a - b) ** 2 for a, b in zip(ours, truth)) / sum(b * b for b in truth))


class Encode(Case):
    def test_rows_and_inputs(self):
        out, _ = self.lathe("--json", "encode", ENCODER, PICTURE, "--out", "rows.f32", "--input", "pixels.f32")
        said = json.loads(out)
        self.assertEqual((said["rows"], said["width"], said["inputs"]), (12, 96, [{"width": 128, "height": 96}]))
        self.assertEqual(said["pieces"], [{"words": ["<|vision_start|>"]}, {"rows": 12, "mutual": False, "grid_columns": 4},
                                          {"words": ["<|vision_end|>"]}])
        ours, truth = floats(self.dir / "rows.f32"), floats(MEDIA / "qwen3vl_merger.97x61.embd.truth.f32")
        self.assertEqual(len(ours), len(truth))
        self.assertLess(distance(ours, truth), 5e-5)
        pixels = hashlib.sha256((self.dir / "pixels.f32").read_bytes()).hexdigest()
        self.assertIn(f"qwen3vl_merger.97x61 128 96 {pixels}\n", (MEDIA / "pixels.txt").read_text())
        text, _ = self.lathe("encode", ENCODER, PICTURE, "--out", "again.f32", "--threads", "1")
        self.assertEqual(text.splitlines(), ["<|vision_start|>", "12 rows, a grid of 4 columns", "<|vision_end|>",
                                             "again.f32: 12 rows × 96, float32"])
        self.assertEqual((self.dir / "again.f32").read_bytes(), (self.dir / "rows.f32").read_bytes())

    def test_whisper(self):
        model = MEDIA / "ggml-tiny-random.bin"
        said = json.loads(self.lathe("--json", "encode", model, SOUND, "--out", "rows.f32")[0])
        self.assertEqual((said["rows"], said["width"], said["inputs"]), (1500, 32, [{"frames": 3000, "bins": 80}]))
        self.assertLess(distance(floats(self.dir / "rows.f32"), floats(MEDIA / "ggml-tiny-random.s3.enc.truth.f32")), 5e-5)
        samples = SOUND.read_bytes()[44:] * 11  # 33 s
        self.write("long.wav", SOUND.read_bytes()[:40] + len(samples).to_bytes(4, "little") + samples)
        said = json.loads(self.lathe("--json", "encode", model, "long.wav", "--out", "more.f32")[0])
        self.assertEqual((said["rows"], len(said["inputs"])), (3000, 2))

    def test_sounds(self):
        out, _ = self.lathe("--json", "encode", MEDIA / "qwen3a.mmproj.gguf", SOUND, "--out", "rows.f32", "--input", "mel.f32")
        said = json.loads(out)
        self.assertEqual((said["rows"], said["width"], said["inputs"]), (52, 32, [{"frames": 400, "bins": 128}]))
        self.assertEqual(said["pieces"], [{"words": ["<|audio_start|>"]}, {"rows": 52, "mutual": False},
                                          {"words": ["<|audio_end|>"]}])
        ours, truth = floats(self.dir / "rows.f32"), floats(MEDIA / "qwen3a.s3.embd.truth.f32")
        self.assertEqual(len(ours), len(truth))
        self.assertLess(distance(ours, truth), 5e-5)
        # (bins, frames); the other program's has frames 0 … 95 and 320 alone.
        mel, known = floats(self.dir / "mel.f32"), floats(MEDIA / "qwen3a.s3.mel.f32")
        self.assertEqual((len(mel), len(known)), (128 * 400, 128 * 97))
        for b in range(128):
            for i, frame in enumerate([*range(96), 320]):
                self.assertLess(abs(mel[b * 400 + frame] - known[b * 97 + i]), 3e-4)
        self.write("no.wav", "this is no sound")
        for args, says in (((MEDIA / "qwen3a.mmproj.gguf", "no.wav"), "no.wav"),
                           ((MEDIA / "qwen3a.mmproj.gguf", PICTURE), "unreadable sound file"),
                           ((ENCODER, SOUND), "unreadable picture")):
            _, err = self.lathe("encode", *args, "--out", "a.f32", code=2)
            self.assertIn(says, err)

    def test_what_is_wrong_is_told(self):
        self.write("there.f32", "worth keeping")
        self.write("no.png", "this is no picture")
        model = MEDIA / "gemma3.llm.gguf"
        for args, says in (((ENCODER, PICTURE, "--out", "there.f32"), "there.f32"),
                           ((ENCODER, PICTURE, "--out", "a.f32", "--input", "a.f32"), "same file"),
                           ((ENCODER, "no.png", "--out", "a.f32"), "no.png"),
                           ((ENCODER, "gone.png", "--out", "a.f32"), "gone.png"),
                           ((model, PICTURE, "--out", "a.f32"), "architecture gemma3"),
                           ((PICTURE, PICTURE, "--out", "a.f32"), "img_97x61.png")):
            _, err = self.lathe("encode", *args, code=2)
            self.assertIn(says, err)
        self.assertEqual(sorted(p.name for p in self.dir.glob("*.f32")), ["there.f32"])
        self.assertEqual((self.dir / "there.f32").read_text(), "worth keeping")


if __name__ == "__main__":
    unittest.main()
