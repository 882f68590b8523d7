"""What a command writes never destroys what it reads, nor what somebody else put there."""
import json
import os
import pathlib
import resource
import signal
import subprocess
import time
import unittest

from cli_test import FAST, LATHE, Case

MODEL = pathlib.Path(__file__).resolve().parents[1] / "data/models/llama-q4_0.gguf"


class Outputs(Case):
    def refused(self, *args, say):
        before = self.tree(self.dir)
        _, err = self.lathe(*args, code=2)
        self.assertIn(say, err, args)
        self.assertEqual({k: v for k, v in self.tree(self.dir).items() if not k.startswith("journal")},
                         {k: v for k, v in before.items() if not k.startswith("journal")}, args)

    def test_no_output_destroys_an_input(self):
        model = self.write("m.gguf", MODEL.read_bytes())
        os.link(model, self.dir / "hard.gguf")
        os.symlink("m.gguf", self.dir / "soft.gguf")
        (self.dir / "sub").mkdir()
        for out in ("m.gguf", "./m.gguf", "sub/../m.gguf", "hard.gguf", "soft.gguf", model):
            for force in ((), ("--force",)):
                self.refused("quantize", model, out, "Q8_0", *force, say="is read by this command")
        parts = [self.write(f"p-0000{i}-of-00002.gguf", MODEL.read_bytes()) for i in (1, 2)]
        self.refused("quantize", parts[0], parts[1], "Q8_0", "--force", say="is read by this command")
        self.refused("merge", model, model, model, say="is read by this command")
        self.refused("tune", model, self.write("d.jsonl", '{"text": "x"}\n'), "--out", model, "--force",
                     say="is read by this command")
        self.refused("logits", model, "--ids", "1", "--out", model, "--force", say="is read by this command")
        self.refused("quantize", model, "sub", "Q8_0", "--force", say="no file")
        self.refused("quantize", model, "nowhere/x.gguf", "Q8_0", say="there is no directory nowhere")

    def test_what_is_there_stays_without_force(self):
        keep = self.write("keep.gguf", "a letter")
        data = self.write("d.jsonl", '{"text": "x"}\n')
        for args in (("quantize", MODEL, keep, "Q8_0"), ("logits", MODEL, "--ids", "1", "--out", keep),
                     ("merge", MODEL, MODEL, keep), ("tune", MODEL, data, "--out", keep),
                     ("bench", MODEL, "--out", keep), ("import", self.dir, "--out", keep)):
            self.refused(*args, say="--force to write over it")
        self.lathe("quantize", MODEL, keep, "Q8_0", "--force")
        self.assertEqual(keep.read_bytes()[:4], b"GGUF")
        self.assertEqual([p for p in os.listdir(self.dir) if ".part" in p], [])

    def test_directories_of_others_stay(self):
        self.write("t.toml", FAST)
        self.write("in.txt", "one\ntwo\n")
        self.write("mine/notes.txt", "do not touch")
        self.refused("loop", "t.toml", "--out", "mine", say="not of a run")
        self.refused("loop", "t.toml", "--out", "in.txt", say="no directory")

    def test_a_file_that_a_killed_process_left_is_cleaned(self):
        out = self.dir / "big.gguf"
        left = self.dir / "big.gguf.part"
        left.write_bytes(b"x" * 1000)
        self.lathe("quantize", MODEL, out, "Q8_0")
        self.assertFalse(left.exists())
        # Killed at any moment: nothing partial under the name, and the next one cleans up.
        for i in range(8):
            process = subprocess.Popen(self.command("quantize", MODEL, out, "Q4_0", "--force"), cwd=self.dir,
                                       env=self.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(0.004 * i)
            process.send_signal(signal.SIGKILL)
            process.wait()
            self.lathe("show", out)
        self.lathe("quantize", MODEL, out, "Q4_0", "--force")
        self.assertEqual([p for p in os.listdir(self.dir) if ".part" in p], [])

    def test_a_limit_on_files_is_an_error(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        done = subprocess.run(self.command("quantize", MODEL, "small.gguf", "Q8_0"), cwd=self.dir, capture_output=True,
                              env=self.environment(), preexec_fn=limit, timeout=120)
        self.assertGreater(done.returncode, 0)
        self.assertIn(b"File too large", done.stderr)
        self.assertEqual([p for p in os.listdir(self.dir) if p.startswith("small")], [])


if __name__ == "__main__":
    unittest.main()
