"""What language models make of rows of pictures and sounds: every oracle of tests/data/media within its tolerance, whatever
the threads and the instruction set, and descriptions that contradict themselves."""
import array
import json
import math
import pathlib
import unittest

from cli_test import Case

MEDIA = pathlib.Path(__file__).resolve().parents[1] / "data/media"


def floats(path):
    return array.array("f", path.read_bytes())


class MediaLogits(Case):
    def refused(self, *args, say):
        self.assertIn(say, self.lathe(*args, code=2)[1], args)

    def logits(self, model, chunks, embeddings, *flags):
        self.lathe("logits", MEDIA / f"{model}.llm.gguf", "--chunks", chunks, "--embeddings", embeddings,
                   "--out", "l.f32", "--kv", "f32", "--force", *flags)
        return (self.dir / "l.f32").read_bytes()

    def test_oracles(self):
        oracles = sorted(MEDIA.glob("*.json"))
        self.assertEqual(len(oracles), 28)
        for description in oracles:
            name = description.name.removesuffix(".json")
            model = name.rsplit(".", 1)[0].replace("gemma4a", "gemma4v")
            with self.subTest(name):
                ours = array.array("f", self.logits(model, description, MEDIA / f"{name}.embd.f32"))
                truth = floats(next(MEDIA.glob(f"{name}.logits*.f32")))
                self.assertEqual(len(ours), len(truth))
                error = math.sqrt(sum((a - b) ** 2 for a, b in zip(ours, truth)) / sum(b * b for b in truth))
                self.assertLess(error, 1e-4 if model == "gemma4v" else 2e-5)

    def test_the_same_bits(self):
        for name in ("gemma3.97x61", "gemma4v.97x61", "qwen3vl_merger.230x180", "qwen2.5vl_merger.97x61"):
            arguments = name.rsplit(".", 1)[0], MEDIA / f"{name}.json", MEDIA / f"{name}.embd.f32"
            first = self.logits(*arguments)
            for flags in (("--threads", "1"), ("--threads", "5"), ("--kernels", "scalar")):
                self.assertEqual(self.logits(*arguments, *flags), first, (name, flags))

    def test_contradictions(self):
        name = "qwen3vl_merger.97x61"
        whole = json.loads((MEDIA / f"{name}.json").read_text())
        embeddings = MEDIA / f"{name}.embd.f32"
        model = MEDIA / "qwen3vl_merger.llm.gguf"

        def refused(words, chunks, rows=embeddings, model=model):
            self.refused("logits", model, "--chunks", self.write("c.json", json.dumps({"chunks": chunks})),
                         "--embeddings", rows, "--out", "l.f32", say=words)
            self.assertFalse((self.dir / "l.f32").exists())

        def changed(i, **members):
            chunks = json.loads(json.dumps(whole["chunks"]))
            chunks[i].update(members)
            return chunks

        grid = whole["chunks"][1]["pos_t_y_x"]
        refused('chunk 1: "pos0" is 5; by the chunks it is 4', changed(1, pos0=5))
        refused('chunk 1: "n_pos" is 12; by the chunks it is 4', changed(1, n_pos=12))
        refused('chunk 2: "pos0" is 16; by the chunks it is 8', changed(2, pos0=16))
        refused('row 11 of "pos_t_y_x" is [4,6,8]; by the grid it is [4,6,7]', changed(1, pos_t_y_x=grid[:11] + [[4, 6, 8]]))
        refused('three numbers for each of 12 rows', changed(1, pos_t_y_x=grid[:11]))
        refused('three numbers for each of 12 rows', changed(1, pos_t_y_x=[7] * 12))
        refused('no grid of 5 columns', changed(1, pos_t_y_x=[[4, min(i // 5, 1), 0] for i in range(12)]))
        refused('1152 numbers are no rows for 13 positions', changed(1, n_tokens=13, pos_t_y_x=None))
        refused('media have "n_tokens"', changed(1, n_tokens=0))
        refused('media have "n_tokens"', changed(1, n_tokens=1 << 40))
        refused('a text has "ids"', changed(0, ids=[]))
        refused('"ids" are token ids', changed(0, ids=[1, -2]))
        refused('token 9999; the vocabulary has 163', changed(0, ids=[9999, 1, 2, 3]))
        refused('must be a list', [])
        refused('5 bytes are no float32', whole["chunks"], self.write("rows", b"12345"))
        refused('number 1 of row 0 is nan', whole["chunks"],
                self.write("rows", embeddings.read_bytes()[:4] + array.array("f", [math.nan]).tobytes() + embeddings.read_bytes()[8:]))
        refused('rows of 96 numbers; the model reads such of 32', whole["chunks"], model=MEDIA / "qwen2.5vl_merger.llm.gguf")
        self.refused("logits", model, "--chunks", "c.json", "--out", "l.f32", say="--embeddings")
        self.refused("logits", model, "--chunks", "c.json", "--embeddings", "rows", "--ids", "1", "--out", "l.f32",
                     say="--ids")
        self.refused("logits", model, "--out", "l.f32", say="--ids")


if __name__ == "__main__":
    unittest.main()
