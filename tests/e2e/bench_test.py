"""Benchmarks under load: servers of known times and their faults, records that are signed and verified, capacity."""
import concurrent.futures
import hashlib
import json
import math
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import struct
import sys
import time
import unittest

import fit_test
from cli_test import SOURCE, Case

MODEL = SOURCE / "tests/data/models/llama-q4_0.gguf"
FAKE = SOURCE / "tests/fakes/bench_server.py"
QUICK = ("--repeat", "1", "--prompts", "16", "--answer", "4", "--widths", "1", "--streams", "1,2")


class Base(Case):
    def fake(self, *flags):
        server = subprocess.Popen([sys.executable, "-B", str(FAKE), *map(str, flags)], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (server.kill(), server.wait(), server.stdin.close(), server.stdout.close()))
        return f"http://127.0.0.1:{int(server.stdout.readline())}"

    def serve(self, *flags, people="1,2", shares="0.5", seconds="1s", answer=12, code=0, **kwargs):
        return self.lathe("bench", "--profile", "serve", "--people", people, "--shares", shares, "--seconds", seconds,
                          "--prompt", "24", "--answer", answer, *flags, code=code, **kwargs)

    def refused(self, *args, say):
        out, err = self.lathe(*args, code=2)
        self.assertEqual(out, "", args)
        self.assertIn(say, err, args)

    def without_faults(self, serve):
        # What is a matter of times may be suspected on a busy machine.
        for fault in serve["faults"]:
            self.assertRegex(fault, "in secret|buffers its stream")

    def record(self, name="r.json"):
        return json.loads((self.dir / name).read_text())


class BenchServers(Base):
    def test_a_server_over_http(self):
        url = self.fake()
        out, _ = self.serve("--against", url, "--out", "r.json", "--html", "r.html")
        model, = self.record()["models"]
        self.assertEqual((model["model"], model["sha256"], model["quality"]), (url + "/v1#fake", None, "not checked"))
        serve = model["turns"][0]["serve"]
        self.assertEqual([point["arrival"] for point in serve["closed"]],
                         [{"people": 1, "think_s": "0"}, {"people": 2, "think_s": "0"}])
        self.assertEqual(len(serve["poisson"]), 1)
        self.assertEqual((serve["same_bits"]["answers"], serve["same_bits"]["different"]), (3, 1))
        # It cannot be faster than it is: 30 ms to the first token, 22 ms for the rest.
        for point in serve["closed"] + serve["poisson"]:
            self.assertGreaterEqual(float(point["summary"]["first_ms"]["low"]), 30)
            self.assertGreaterEqual(float(point["summary"]["whole_ms"]["low"]), 52)
            for sample in point["samples"]:
                self.assertEqual((sample["answer_tokens"], len(sample["pieces_us"]), sample["error"]), (12, 12, ""))
        self.without_faults(serve)
        for words in ("1 at once", "2 at once", "a second", "same bits: yes", "quality: not checked", "publishable:"):
            self.assertIn(words, out)
        page = (self.dir / "r.html").read_text()
        self.assertIn("<svg", page)
        self.assertNotIn("<script", page)
        self.lathe("bench", "verify", "r.json")

    def test_each_fault_is_found_and_named(self):
        expected = {"buffers": "buffers its stream", "empty": "begin with an event without text",
                    "secret": "caches prefixes in secret", "cuts": "answers are cut", "errors": "status 500",
                    "breaks": "cut off", "dies": "stopped answering"}

        def said(fault):
            return self.serve("--against", self.fake("--fault", fault, "--first", 300 if fault == "secret" else 60),
                              people="2", shares="0.01", seconds="2s")[0]

        with concurrent.futures.ThreadPoolExecutor() as together:
            for (fault, words), out in zip(expected.items(), together.map(said, expected)):
                with self.subTest(fault):
                    self.assertIn(words, out)

    def test_what_is_not_there_or_not_allowed(self):
        out, err = self.serve("--against", "http://127.0.0.1:9", code=None)
        self.assertIn("127.0.0.1:9", err)
        out, err = self.serve("--against", "http://192.0.2.7", code=None)
        self.assertIn("nothing was sent", err)
        self.assertIn("--allow", err)

    def test_beside_another_server_in_turns(self):
        self.serve(MODEL, "--beside", f"llama-server:{FAKE}:--notes {self.dir}/notes --tokens 12", "--out", "r.json",
                   people="1")
        turns = self.record()["models"][0]["turns"]
        self.assertEqual([turn["target"] for turn in turns],
                         ["lathe, turn 1", "llama-server, turn 1", "lathe, turn 2", "llama-server, turn 2"])
        notes = (self.dir / "notes").read_text().splitlines()
        self.assertEqual(len(notes), 2)
        for line in notes:
            self.assertIn(str(MODEL), line)
            self.assertFalse(pathlib.Path(f"/proc/{line.split()[0]}").exists(), "it was ended")
        self.lathe("bench", "verify", "r.json")
        _, err = self.serve(MODEL, "--beside", "llama-server:/bin/false", people="1", code=None)
        self.assertIn("ended before it was ready", err)


class Bench(Base):
    def test_a_model_of_this_process(self):
        # Few arrivals: at half of what so small a model can, a machine that stalls leaves more waiting than a server takes.
        self.serve(MODEL, "--out", "r.json", people="2", shares="0.01", answer=8)
        model, = self.record()["models"]
        self.assertEqual(model["sha256"], hashlib.sha256(MODEL.read_bytes()).hexdigest())
        serve = model["turns"][0]["serve"]
        self.assertEqual((serve["same_bits"]["different"], serve["ends_held_off"]), (1, True))
        for point in serve["closed"] + serve["poisson"]:
            for sample in point["samples"]:
                self.assertEqual((sample["answer_tokens"], sample["error"]), (8, ""))
        self.without_faults(serve)
        self.lathe("bench", "verify", "r.json")

    def test_warm_prompts_come_from_the_cache(self):
        self.serve(MODEL, "--cache", "warm", "--out", "r.json", people="2", shares="0.01", answer=8)
        serve = self.record()["models"][0]["turns"][0]["serve"]
        self.assertEqual(serve["cache"], "warm")
        self.without_faults(serve)
        for sample in serve["closed"][0]["samples"]:
            self.assertGreater(sample["cached_tokens"], sample["prompt_tokens"] / 2)

    def test_sustained(self):
        out, _ = self.lathe("bench", MODEL, "--profile", "sustained", "--minutes", "0.05", "--people", "1", "--seconds", "1s",
                            "--prompt", "24", "--answer", "8", "--out", "r.json", "--html", "r.html")
        sustained = self.record()["models"][0]["turns"][0]["sustained"]
        self.assertEqual(len(sustained["tokens_each_second"]), 3)
        self.assertEqual((sustained["first_s"], sustained["last_s"]), ("1", "1"))
        self.assertIn("ratio", out)
        self.assertIn("Sustained", (self.dir / "r.html").read_text())
        self.lathe("bench", "verify", "r.json")

    def test_ctrl_c_keeps_what_was_measured(self):
        process = subprocess.Popen(self.command("bench", MODEL, "--profile", "sustained", "--minutes", "30", "--people", "1",
                                                "--seconds", "1s", "--prompt", "24", "--answer", "8", "--out", "r.json"),
                                   cwd=self.dir, env=self.environment(), stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        for line in process.stdout:
            if line.startswith("sustained:"):
                break
        time.sleep(2.5)
        process.send_signal(signal.SIGINT)
        out = process.stdout.read()
        self.assertEqual(process.wait(60), 130)
        self.assertIn("what was measured is kept", out)
        self.assertTrue(self.record()["models"][0]["turns"][0]["sustained"]["point"]["stopped"])
        self.lathe("bench", "verify", "r.json")

    def test_a_model_that_is_replaced_meanwhile(self):
        copy = self.dir / "m.gguf"
        shutil.copy(MODEL, copy)
        process = subprocess.Popen(self.command("bench", copy, "--profile", "serve", "--people", "1", "--shares", "0.5",
                                                "--seconds", "2s", "--prompt", "24", "--answer", "8", "--out", "r.json"),
                                   cwd=self.dir, env=self.environment(), stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        for line in process.stdout:
            if line.startswith("1 at once"):
                break
        other = self.write("other", MODEL.read_bytes() + b"x")
        os.replace(other, copy)
        out = process.stdout.read()
        self.assertEqual(process.wait(60), 0)
        self.assertIn("was replaced while it was measured", out)
        self.assertFalse(self.record()["publishable"])

    def test_what_cannot_be_measured(self):
        for flags, say in ((("--slo-first", "0"), "must be above 0"), (("--seconds", "1ms"), "0.001 s"),
                           (("--beside", "other:x"), "llama-server:PROGRAM"), (("--sign", "key"), "--sign needs --out"),
                           (("--shares", "1e9"), "--shares"), (("--people", "0"), "--people")):
            self.refused("bench", MODEL, "--profile", "serve", *flags, say=say)
        self.refused("bench", MODEL, "--profile", "sustained", "--minutes", "0", say="--minutes")
        self.refused("bench", MODEL, "--against", "http://127.0.0.1:9", say="--against needs")
        self.refused("bench", MODEL, "--profile", "quick", "--beside", "llama-server:x", say="--beside needs")


class BenchRecords(Base):
    RECORD = []

    def setUp(self):
        super().setUp()
        if not self.RECORD:
            self.lathe("bench", MODEL, *QUICK, "--out", "r.json")
            self.RECORD.append((self.dir / "r.json").read_text())
        self.write("r.json", self.RECORD[0])

    def key(self, name="key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.dir / name], check=True)
        return self.dir / name

    def test_signed_by_ssh_keygen_and_verified_by_it_alone(self):
        key = self.key()
        self.lathe("bench", MODEL, *QUICK, "--out", "s.json", "--sign", key)
        (self.dir / "allowed").write_text("box " + (self.dir / "key.pub").read_text())
        record = (self.dir / "s.json").read_bytes()
        verify = ["ssh-keygen", "-Y", "verify", "-f", "allowed", "-I", "box", "-n", "lathe-bench", "-s", "s.json.sig"]
        subprocess.run(verify, cwd=self.dir, input=record, check=True, stdout=subprocess.DEVNULL)
        who = ("--allowed", "allowed", "--identity", "box")
        self.assertIn('Good "lathe-bench" signature for box', self.lathe("bench", "verify", "s.json", *who)[0])
        self.assertIn("SHA256:", self.lathe("bench", "verify", "s.json")[0])
        self.refused("bench", "verify", "s.json", "--allowed", "allowed", "--identity", "other", say="does not hold")
        self.refused("bench", "verify", "s.json", "--allowed", "allowed", say="belong together")
        # One digit of what no figure follows from: only the signature sees it.
        changed = re.sub(rb'"seed":1,', b'"seed":2,', record)
        self.assertNotEqual(changed, record)
        self.write("s.json", changed)
        self.refused("bench", "verify", "s.json", say="does not hold")
        # A signature for something else.
        self.write("s.json", record)
        (self.dir / "s.json.sig").unlink()
        subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-n", "file", "-f", key, "s.json"], cwd=self.dir, check=True,
                       stderr=subprocess.DEVNULL)
        self.refused("bench", "verify", "s.json", say="does not hold")
        (self.dir / "s.json.sig").unlink()
        self.assertIn("not signed", self.lathe("bench", "verify", "s.json")[0])
        out, err = self.lathe("bench", "verify", "s.json", *who, code=None)
        self.assertIn("there is no signature", err)

    def test_a_key_that_others_can_read(self):
        key = self.key()
        key.chmod(0o640)
        out, err = self.lathe("bench", MODEL, *QUICK, "--out", "s.json", "--sign", key, code=None)
        self.assertIn(str(key), err)
        self.assertIn("chmod 600", err)
        self.assertFalse((self.dir / "s.json").exists(), "it is refused before anything is measured")

    def test_a_changed_figure_is_refused(self):
        self.assertIn("every figure follows", self.lathe("bench", "verify", "r.json")[0])
        text = (self.dir / "r.json").read_text()
        median = re.search(r'"median":"(\d)', text)
        digit = str((int(median[1]) + 1) % 10)
        self.write("c.json", text[:median.start(1)] + digit + text[median.end(1):])
        self.refused("bench", "verify", "c.json", say="its samples come to")
        self.write("c.json", json.dumps(json.loads(text), indent=1))
        self.refused("bench", "verify", "c.json", say="not written as records are")
        self.write("c.json", text.replace('"schema":1', '"schema":2'))
        self.refused("bench", "verify", "c.json", say="a newer lathe is needed")
        self.write("c.json", "[]\n")
        self.refused("bench", "verify", "c.json", say="no record")
        sample = re.search(r'"samples":\["([^"]+)"', text)
        self.write("c.json", text[:sample.start(1)] + "nan" + text[sample.end(1):])
        self.refused("bench", "verify", "c.json", say="must be a finite decimal")

    def test_capacity_from_a_record_and_measured(self):
        answer = json.loads(self.lathe("--json", "capacity", MODEL, "--bench", "r.json", "--think", "10s", "--answer", "50",
                                       "--fresh", "16")[0])
        self.assertEqual([row["slowdown"] for row in answer["people"]], [1.5, 2, 3])
        people = [row["people"] for row in answer["people"]]
        self.assertEqual(people, sorted(people))
        self.assertAlmostEqual(answer["table"][0]["slowdown"], 1)
        rows = {(row["what"], row["size"]): float(row["median"]) for row in self.record()["models"][0]["rows"]}
        self.assertAlmostEqual(answer["table"][0]["seconds"], 50 / rows["streams", 1] + 16 / rows["prefill", 16], 6)
        self.refused("capacity", MODEL, "--bench", "r.json", "--think", "0s", say="--think")
        self.refused("capacity", MODEL, "--bench", "r.json", "--answer", "0", say="--answer")
        out, err = self.lathe("capacity", STARTER, "--bench", "r.json", code=None)
        self.assertIn("holds no figures of starter-q8_0.gguf", err)
        verified = json.loads(self.lathe("--json", "capacity", MODEL, "--bench", "r.json", "--think", "200ms", "--answer", "8",
                                         "--fresh", "24", "--verify", "--people", "2", "--seconds", "1s")[0])["verified"]
        self.assertEqual((verified["people"], verified["failed"]), (2, 0))
        self.assertGreater(verified["answers"], 2)
        self.assertGreater(verified["ratio"], 0)
        out, _ = self.lathe("capacity", MODEL, "--bench", "r.json")
        for words in ("one alone waits", "1.5 × as slow", "what this assumes"):
            self.assertIn(words, out)


def log_softmax(row):
    most = max(row)
    total = most + math.log(math.fsum(math.exp(value - most) for value in row))
    return [value - total for value in row]


class BenchQuality(Base):
    TINY = SOURCE / "tests/data/models/gemma3.gguf"
    ROWS = 10  # of QUICK

    def quality(self, model, bigger, *flags, tokens=64):
        self.lathe("bench", model, *QUICK, "--quality", bigger, "--quality-tokens", tokens, *flags, "--out", "q.json",
                   "--html", "q.html", "--force")
        self.assertIn("every figure follows", self.lathe("bench", "verify", "q.json")[0])
        return self.record("q.json")["models"][0]["quality"]

    def quantized(self, kind):
        path = self.dir / f"{kind}.gguf"
        self.lathe("quantize", self.TINY, path, kind)
        return path

    def logits(self, model, ids):
        out = self.dir / "logits"
        self.lathe("logits", model, "--ids", " ".join(map(str, ids)), "--out", out, "--force")
        values = struct.unpack(f"<{out.stat().st_size // 4}f", out.read_bytes())
        width = len(values) // len(ids)
        return [values[i * width:(i + 1) * width] for i in range(len(ids))]

    def test_the_figures_are_those_of_the_logits(self):
        model = self.quantized("Q4_0")
        quality = self.quality(model, self.TINY, tokens=600)
        kl, bigger_nll, model_nll, same = [], [], [], 0
        for chunk in quality["chunks"]:
            ids = chunk["tokens"]
            pairs = zip(self.logits(self.TINY, ids), self.logits(model, ids), ids[1:])
            for (bigger, ours, following) in pairs:
                p, q = log_softmax(bigger), log_softmax(ours)
                kl.append(math.fsum(math.exp(a) * (a - b) for a, b in zip(p, q)))
                bigger_nll.append(-p[following])
                model_nll.append(-q[following])
                same += bigger.index(max(bigger)) == ours.index(max(ours))
        self.assertEqual([len(chunk["tokens"]) for chunk in quality["chunks"]], [512, 88])
        self.assertEqual((quality["positions"], quality["same_top"]["positions"]), (len(kl), same))
        self.assertEqual(len(kl), 511 + 87)
        for said, expected in ((quality["kl"]["mean"], statistics.fmean(kl)), (quality["kl"]["median"], statistics.median(kl)),
                               (quality["kl"]["error"], statistics.stdev(kl) / math.sqrt(len(kl))),
                               (quality["kl"]["p99"], sorted(kl)[math.ceil(0.99 * len(kl)) - 1]),
                               (quality["kl"]["most"], max(kl))):
            self.assertAlmostEqual(float(said), expected, delta=1e-8)
        ppl = [math.exp(statistics.fmean(nll)) for nll in (bigger_nll, model_nll)]
        self.assertAlmostEqual(float(quality["perplexity"]["bigger"]) / ppl[0], 1, delta=1e-6)
        self.assertAlmostEqual(float(quality["perplexity"]["model"]) / ppl[1], 1, delta=1e-6)
        self.assertAlmostEqual(float(quality["perplexity"]["ratio"]), ppl[1] / ppl[0], delta=1e-6)

    def test_a_file_beside_itself_and_fewer_bits(self):
        itself = self.quality(self.TINY, self.TINY)
        self.assertEqual((itself["kl"]["most"], itself["same_top"]["share"], itself["perplexity"]["ratio"]), ("0", "1", "1"))
        eight, four = self.quantized("Q8_0"), self.quantized("Q4_0")
        far = {path: float(self.quality(path, self.TINY)["kl"]["mean"]) for path in (eight, four)}
        self.assertGreater(far[eight], 0)
        self.assertLess(far[eight], far[four])
        # What a small cache costs counts, too: the bigger one keeps its own.
        self.assertGreater(float(self.quality(MODEL, MODEL, "--kv", "q4_0")["kl"]["mean"]), 0)

    def test_threads_change_no_bit(self):
        eight = MODEL.with_name("llama-q8_0.gguf")
        self.assertEqual(*(self.quality(MODEL, eight, "--threads", n, tokens=600) for n in (1, 2)))

    def test_it_is_shown_and_a_changed_figure_is_refused(self):
        out, _ = self.lathe("bench", MODEL, *QUICK, "--quality", MODEL, "--quality-tokens", "64", "--out", "q.json", "--html",
                            "q.html")
        for words in ("quality, beside", "KL divergence 0.000000", "same token first 100.00 %", "of 63 positions", "ratio 1"):
            self.assertIn(words, out)
        self.assertNotIn("not checked", out)
        self.assertIn("same token first", (self.dir / "q.html").read_text())
        text = (self.dir / "q.json").read_text()
        for changed, place in ((text.replace('"error":"0"', '"error":"0.1"'), "models[0].quality.kl.error"),
                               (re.sub(r'"kl_nanonats":\[0', '"kl_nanonats":[9', text), "models[0].quality.kl"),
                               (re.sub(r'("bigger_nll_nanonats":\d)', r"\g<1>0", text), "models[0].quality.perplexity.bigger"),
                               (re.sub(r'"positions":63', '"positions":64', text), "models[0].quality")):
            self.assertNotEqual(changed, text)
            self.write("c.json", changed)
            self.refused("bench", "verify", "c.json", say=place)

    def test_what_cannot_be_compared(self):
        refused = lambda model, bigger, say: self.refused("bench", model, "--quality", bigger, say=say)
        models = MODEL.parent
        refused(MODEL, self.TINY, "different vocabularies: 160 tokens and 319")
        refused(MODEL, models / "bert.gguf", "is an encoder")
        refused(models / "bert.gguf", MODEL, "is an encoder")
        refused(MODEL, models / "qwen2-q4_k_m.gguf", "is another model than")
        refused(MODEL, self.dir / "none.gguf", "none.gguf")
        self.refused("bench", MODEL, "--quality", MODEL, "--quality-tokens", "3", say="--quality-tokens")
        self.refused("bench", "--against", "http://127.0.0.1:9", "--profile", "serve", "--quality", MODEL,
                     say="--quality needs a model's file")
        renamed = self.write("renamed.gguf", MODEL.read_bytes().replace(b"the", b"hte", 1))
        refused(MODEL, renamed, "different vocabularies: token")
        # Of what is bigger than any memory only the header is read.
        tensors = [("token_embd.weight", fit_test.F32, (8192, 4)), ("output_norm.weight", fit_test.F32, (8192,))]
        for i in range(2):
            tensors += [(f"blk.{i}.{name}.weight", fit_test.F32, shape) for name, shape in (
                ("attn_norm", (8192,)), ("attn_q", (8192, 8192)), ("attn_k", (8192, 8192)), ("attn_v", (8192, 8192)),
                ("attn_output", (8192, 8192)), ("ffn_norm", (8192,)), ("ffn_gate", (8192, 1 << 24)),
                ("ffn_up", (8192, 1 << 24)), ("ffn_down", (1 << 24, 8192)))]
        big = self.dir / "big.gguf"
        for context, say in ((4096, "there is memory for"), (8, "a context of 8 tokens; at least 16 are needed")):
            keys = fit_test.keys_of("llama", sizes=fit_test.sizes(2, 8192, 64, 64, 128, 1 << 24, context)) | {
                "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "llama-bpe",
                "tokenizer.ggml.tokens": ["a", "b", "c", "d"], "tokenizer.ggml.merges": ["a b"]}
            fit_test.write(big, keys, tensors)
            refused(big, big, say)

    def test_broken_weights_are_named_and_the_speeds_kept(self):
        eight = MODEL.with_name("llama-q8_0.gguf")
        weights = bytearray(eight.read_bytes())
        weights[-34:-32] = b"\xff\x7f"  # the scale of the last block: no number
        broken = self.write("broken.gguf", bytes(weights))
        out, _ = self.lathe("bench", broken, *QUICK, "--quality", eight, "--out", "q.json")
        self.assertIn("quality not checked: chunk 0: position 0: the model's logit of token", out)
        record = self.record("q.json")
        self.assertEqual(len(record["models"][0]["rows"]), self.ROWS)
        self.assertFalse(record["publishable"])
        self.assertIn("the model's logit", record["faults"][0])
        self.lathe("bench", "verify", "q.json")

    def test_ctrl_c_keeps_what_was_complete(self):
        process = subprocess.Popen(self.command("bench", MODEL, *QUICK, "--quality", MODEL, "--quality-tokens", 1 << 20, "--out",
                                                "q.json"),
                                   cwd=self.dir, env=self.environment(), stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        rows = (line for line in process.stdout if "…" in line)
        for _ in range(self.ROWS):
            next(rows)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        self.assertEqual(process.wait(60), 130)
        record = self.record("q.json")
        self.assertFalse(record["publishable"])
        quality = record["models"][0]["quality"]
        if quality != "not checked":  # on a slow machine nothing may be complete
            self.assertTrue(quality["stopped"])
            self.assertLess(quality["positions"], 1 << 20)
        self.lathe("bench", "verify", "q.json")


STARTER = SOURCE / "models/starter-q8_0.gguf"

if __name__ == "__main__":
    unittest.main()
