"""Fine-tuning as a user meets it: an adapter and what becomes of it, a training that is killed, and everything that
can be wrong."""
import array
import hashlib
import json
import pathlib
import re
import shutil
import signal
import subprocess
import time
import unittest

import model_files_test as hf
from cli_test import EXAMPLES, Case

MODELS = pathlib.Path(__file__).resolve().parents[1] / "data/models"
MODEL = MODELS / "llama-q4_0.gguf"
FACTS = [(f"The colour of box {n} is", f" {'red green blue black white'.split()[n % 5]}{n * 7 % 10}") for n in range(20)]


def digest(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


CHATML = ("{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
          "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")


class Tune(Case):
    def data(self, lines=None, name="data.jsonl"):
        lines = lines or [{"prompt": p, "completion": c} for p, c in FACTS]
        return self.write(name, "".join((x if isinstance(x, str) else json.dumps(x)) + "\n" for x in lines))

    def tune(self, *args, code=0):
        out, err = self.lathe("--json", "tune", *args, "--force", code=code)
        return [json.loads(line) for line in out.splitlines()], err

    def hf_model(self, architecture, context=512, **parts):
        """A Hugging Face directory with random weights and a chat template, and model.gguf imported from it."""
        config = hf.CONFIG | {"architectures": [architecture], "max_position_embeddings": context}
        weights = hf.make_weights(config, parts.get("biases"), parts.get("norms"))
        names = ["<|im_start|>", "<|im_end|>"]
        added = [{"id": hf.END, "content": names[1], "special": True}, {"id": hf.END + 1, "content": names[0], "special": True}]
        self.write("model/config.json", json.dumps(config))
        self.write("model/tokenizer.json", json.dumps(hf.TOKENIZER | {"added_tokens": added}))
        self.write("model/tokenizer_config.json", json.dumps({"eos_token": names[1], "chat_template": CHATML}))
        self.write("model/model.safetensors", hf.safetensors(weights))
        self.lathe("import", "model", "--out", "model.gguf")
        return config, weights

    def peft_on(self, weights, directory):
        """What PEFT computes with: W + (alpha / r) B A, under Hugging Face's names."""
        config = json.loads((directory / "adapter_config.json").read_text())
        raw = (directory / "adapter_model.safetensors").read_bytes()
        size = int.from_bytes(raw[:8], "little")
        header = json.loads(raw[8:8 + size])

        def rows(name):
            begin, end = header[name]["data_offsets"]
            width = header[name]["shape"][1]
            flat = array.array("f", raw[8 + size + begin:8 + size + end])
            return [flat[i:i + width] for i in range(0, len(flat), width)]

        out = dict(weights)
        for name in header:
            if not name.endswith(".lora_A.weight"):
                continue
            a, b = rows(name), rows(name.replace("lora_A", "lora_B"))
            plain = name.removeprefix("base_model.model.").replace(".lora_A.weight", ".weight")
            scale = config["lora_alpha"] / config["r"]
            columns = list(zip(*a))
            out[plain] = [[w + scale * sum(x * y for x, y in zip(b_row, column)) for w, column in zip(row, columns)]
                          for row, b_row in zip(weights[plain], b)]
        return out

    def check_peft(self, *args, **parts):
        config, weights = self.hf_model(*args, **parts)
        self.tune("model.gguf", self.data(), "--out", "a.gguf", "--epochs", "12", "--rate", "2e-2", "--batch", "200",
                  "--rank", "4", "--alpha", "6")
        self.lathe("logits", "model.gguf", "--adapter", "a.gguf", "--ids", " ".join(map(str, hf.IDS)), "--out", "l.f32", "--force",
                   "--kv", "f32")
        got = array.array("f", (self.dir / "l.f32").read_bytes())
        plain = [x for row in hf.logits(config, weights, hf.IDS) for x in row]
        expected = [x for row in hf.logits(config, self.peft_on(weights, self.dir / "a.peft"), hf.IDS) for x in row]
        self.assertLess(max(abs(x - y) for x, y in zip(got, expected)), 1e-3)
        self.assertGreater(max(abs(x - y) for x, y in zip(plain, expected)), 1)

    def test_peft_computes_what_the_engine_does_with_llama(self):
        self.check_peft("LlamaForCausalLM")

    def test_peft_computes_what_the_engine_does_with_qwen3(self):
        self.check_peft("Qwen3ForCausalLM", norms=True)

    def refused(self, *args, says):
        _, err = self.lathe("tune", *args, code=2)
        self.assertIn(says, err)

    def check_adapter(self, model, module):
        """facts.gguf, of this model: for PEFT; and it says what was learnt beside the base and merged into it."""
        # safetensors: 8 bytes of length, a JSON header, the data.
        raw = (self.dir / "facts.peft/adapter_model.safetensors").read_bytes()
        size = int.from_bytes(raw[:8], "little")
        header = json.loads(raw[8:8 + size])
        ends = [v["data_offsets"][1] for k, v in header.items() if k != "__metadata__"]
        self.assertEqual(max(ends), len(raw) - 8 - size)
        self.assertIn(f"base_model.model.model.layers.0.{module}.lora_A.weight", header)
        self.lathe("merge", model, "facts.gguf", "merged.gguf", "F16", "--force")
        prompt, answer = FACTS[7]
        ask = ("--raw", "--temp", "0", "--max-tokens", str(len(answer)))
        texts = [json.loads(self.lathe("--json", "run", *which, prompt, *ask)[0])["text"]
                 for which in ((model,), (model, "--adapter", "facts.gguf"), ("merged.gguf",))]
        self.assertNotEqual(texts[0], answer)
        self.assertEqual(texts[1:], [answer, answer])

    def test_an_adapter_and_its_uses(self):
        before = digest(MODEL)
        lines, _ = self.tune(MODEL, self.data(), "--out", "facts.gguf", "--epochs", "60", "--rate", "1e-2",
                             "--batch", "200", "--validation", "0")
        self.assertLess(lines[-1]["loss"], 0.2 * lines[0]["loss"])
        self.assertEqual(digest(MODEL), before)
        self.assertFalse((self.dir / "facts.gguf.checkpoint").exists())
        self.assertIn("<svg", (self.dir / "facts.loss.svg").read_text())
        config = json.loads((self.dir / "facts.peft/adapter_config.json").read_text())
        self.assertEqual((config["peft_type"], config["r"], config["lora_alpha"]), ("LORA", 16, 32))
        self.check_adapter(MODEL, "self_attn.q_proj")
        self.refused("facts.gguf", "data.jsonl", "--out", "x.gguf", says="facts.gguf")

    def test_adapters_of_mixtures(self):
        """Quantized experts: learnt beside them, run with them, merged into them; and without the experts."""
        for name, module in ("qwen3moe-mxfp4_moe", "mlp.experts.0.gate_proj"), ("mixtral-q4_0", "block_sparse_moe.experts.0.w1"):
            model = MODELS / f"{name}.gguf"
            lines, _ = self.tune(model, self.data(), "--out", "facts.gguf", "--epochs", "60", "--rate", "1e-2",
                                 "--batch", "200", "--validation", "0", "--rank", "8", "--force")
            self.assertLess(lines[-1]["loss"], 0.2 * lines[0]["loss"])
            self.check_adapter(model, module)
        self.tune(model, "data.jsonl", "--out", "heads.gguf", "--epochs", "1", "--targets", "attn_q,attn_v")
        self.assertNotIn(b"_exps", (self.dir / "heads.gguf").read_bytes())
        self.lathe("run", model, "--adapter", "heads.gguf", "a", "--raw", "--max-tokens", "2")

    def test_killed_at_any_moment_it_goes_on_bit_for_bit(self):
        self.lathe("quantize", MODELS / "llama-q8_0.gguf", "base.gguf", "F16")
        self.data()
        command = ("base.gguf", "data.jsonl", "--full", "--epochs", "12", "--batch", "100", "--validation", "0.2",
                   "--checkpoint-every", "0s")
        whole, _ = self.tune(*command, "--out", "whole.gguf")
        for _ in range(3):
            with subprocess.Popen(self.command() + ["--json", "tune", *command, "--out", "killed.gguf"],
                                  cwd=self.dir, env=self.environment(), stdout=subprocess.PIPE, text=True) as process:
                for _ in range(7):
                    process.stdout.readline()
                time.sleep(0.01)
                process.kill()
        # Another process has it now; some steps after a checkpoint may be computed a second time.
        rest, _ = self.tune(*command, "--out", "killed.gguf")
        self.assertGreater(rest[-1]["resumed_at"], 6)
        by_step = {line["step"]: line for line in whole[:-1]}
        self.assertLess(len(rest), len(whole))
        for line in rest[:-1]:
            for key in ("loss", "gradient_norm", "validation_loss"):
                self.assertEqual(line.get(key), by_step[line["step"]].get(key), line)
        self.assertEqual(digest(self.dir / "killed.gguf"), digest(self.dir / "whole.gguf"))
        self.assertEqual(sorted(p.name for p in self.dir.glob("killed*")), ["killed.gguf", "killed.loss.svg"])

    def test_ctrl_c_keeps_a_checkpoint(self):
        self.data()
        command = [MODEL, "data.jsonl", "--out", "a.gguf", "--epochs", "4000", "--batch", "100"]
        with subprocess.Popen(self.command() + ["--json", "tune", *map(str, command)], cwd=self.dir,
                              env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True) as process:
            process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130)
        self.assertIn("the same command goes on", err)
        self.assertTrue((self.dir / "a.gguf.checkpoint").exists())
        # Not for another training, unless it is told to start again.
        self.refused(MODEL, "data.jsonl", "--out", "a.gguf", "--epochs", "1", says="another training")
        self.refused(*command, "--activations", "bf16", says="another training")
        self.tune(MODEL, "data.jsonl", "--out", "a.gguf", "--epochs", "1", "--fresh")

    def test_preview(self):
        self.data([{"prompt": "2+2=", "completion": "4"}])
        out, _ = self.lathe("tune", MODEL, "data.jsonl", "--out", "x.gguf", "--preview", "1")
        self.assertIn("2+2=⟦4<|endoftext|>⟧", out)
        self.assertFalse((self.dir / "x.gguf").exists())

    def test_accepted_takes_of_a_run_are_data(self):
        """The text loop of the examples: each letter's first prompt, and its repairs, lead to what was accepted."""
        shutil.copytree(EXAMPLES / "extract-json", self.dir / "letters")
        self.lathe("loop", "extract-json", "--input", "letters/letters.txt", "--out", "out",
                   "--worker", "writer=script:letters/worker.toml", "--worker", "judge=script:letters/worker.toml")
        self.hf_model("LlamaForCausalLM", context=16384)
        chat = "model.gguf"
        out, err = self.lathe("tune", chat, "--from-runs", "last", "--out", "x.gguf", "--preview", "99")
        self.assertRegex(err, r"1 runs: 4 accepted takes, [1-9] repairs that lead to them; 0 left out")
        examples = out.split("\nline ")
        firsts = [e for e in examples if "The best version so far" not in e]
        repairs = [e for e in examples if "The best version so far" in e]
        self.assertEqual(len(firsts), 4)
        accepted = json.loads(re.search("⟦(.*?)<\\|im_end\\|>⟧", firsts[0], re.S)[1])
        self.assertEqual(accepted["ordered"], "2026-03-04")
        self.assertIn("Brightwater", firsts[0])
        # The failed take is shown, with its fault; the accepted one is the answer.
        self.assertTrue(any('4 March 2026"' in e.split("⟦")[0] and '"2026-03-04"' in e.split("⟦")[1] for e in repairs))
        self.tune(chat, "--from-runs", "all", "--out", "x.gguf", "--epochs", "1", "--validation", "0")
        self.refused(chat, "--out", "x.gguf", says="give either DATA or --from-runs")
        self.refused(chat, "--from-runs", "nothing", "--out", "x.gguf", says="nothing")

    def test_answers_that_are_edits_are_data_too(self):
        """The starter model learns of its own loop: prompts of repairs end with edits, and the adapter works in a loop."""
        starter = EXAMPLES.parent / "models/starter-q8_0.gguf"
        loop = ("loop", "red-to-green", "--input", EXAMPLES / "red-to-green/tasks.jsonl", "--out", "out")
        worker = f"starter={starter}"
        self.lathe(*loop, "--worker", worker, code=None)  # whether or not each unit is solved
        out, err = self.lathe("tune", starter, "--from-runs", "last", "--out", "x.gguf", "--preview", "99")
        accepted, repairs, left_out = map(int, re.search(
            r"1 runs: (\d+) accepted takes, (\d+) repairs that lead to them; (\d+) left out", err).groups())
        self.assertGreater(accepted, 15)
        self.assertGreater(repairs, 0)
        self.assertEqual(left_out, 0)
        answers = re.findall("#\n⟦(.*?)<\\|end\\|>⟧", out, re.S)
        self.assertTrue(any(re.match(r"[+-]?\d", answer) for answer in answers), answers)
        self.tune(starter, "--from-runs", "last", "--out", "x.gguf", "--epochs", "1", "--validation", "0")
        out, _ = self.lathe(*loop, "--worker", f"{worker}+x.gguf", code=None)
        self.assertRegex(out, r"(1[5-9]|2\d) of 24 units passed")
        _, err = self.lathe(*loop, "--worker", f"{worker}+none.gguf", code=2)
        self.assertIn("none.gguf: there is no such file", err)

    def test_bad_input(self):
        good = {"prompt": "a", "completion": "b"}
        self.data([good, "{not json"])
        self.refused(MODEL, "data.jsonl", "--out", "x.gguf", says="data.jsonl:2: ")
        lines, err = self.tune(MODEL, "data.jsonl", "--out", "x.gguf", "--skip-bad", "--epochs", "1")
        self.assertIn("left out: data.jsonl:2: ", err)
        self.assertEqual(lines[-1]["steps"], 1)
        self.data([good, {"messages": [{"role": "user", "content": "a"}]}])
        self.refused(MODEL, "data.jsonl", "--out", "x.gguf", says="data.jsonl:2: there is no turn of the assistant")
        self.data([good, {"conversations": [{"from": "elf", "value": "a"}]}])
        self.refused(MODEL, "data.jsonl", "--out", "x.gguf", says="the role 'elf' is unknown")
        self.data([good, {"prompt": "a " * 100_000, "completion": "b"}])
        _, err = self.tune(MODEL, "data.jsonl", "--out", "x.gguf", "--epochs", "1")
        self.assertRegex(err, r"data.jsonl:2: \d+ tokens; the context holds \d+")
        self.data([good])
        self.refused(MODEL, "data.jsonl", "--out", "x.gguf", "--full", says="leave --full out")
        self.refused(MODEL, "data.jsonl", "--out", "x.gguf", "--targets", "attn_z", says="'attn_z' is no linear layer")
        self.refused(MODEL, "data.jsonl", "--out", "x.gguf", "--schedule", "steep", says="cosine or wsd")
        self.refused(MODEL, "missing.jsonl", "--out", "x.gguf", says="missing.jsonl")

    def test_a_full_disk_keeps_the_last_checkpoint(self):
        """The checkpoint lies on a file system that fills up: the training says so and goes on, the one before stays."""
        self.data()
        (self.dir / "small").mkdir()
        script = """
            mount -t tmpfs -o size=64m tmpfs small || exit 90
            "$@" --epochs 3000 > first.log 2>&1 & pid=$!
            for i in $(seq 200); do [ -e small/a.gguf.checkpoint ] && break; sleep 0.1; done
            head -c 64m /dev/zero > small/filler 2> /dev/null
            sleep 2; kill -9 $pid; wait $pid
            ls small; rm small/filler
            "$@" --epochs 3000 > second.log 2>&1 & pid=$!
            sleep 2; kill -INT $pid; wait $pid; echo "second $?"
        """
        done = subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "bash", "-c", script, "sh",
                               *self.command(), "tune", str(MODEL), "data.jsonl", "--out", "small/a.gguf", "--batch", "100",
                               "--checkpoint-every", "0s"],
                              cwd=self.dir, env=self.environment(), capture_output=True, text=True, timeout=120)
        first, second = (self.dir / "first.log").read_text(), (self.dir / "second.log").read_text()
        self.assertIn("a.gguf.checkpoint", done.stdout, done.stdout + done.stderr + first)
        self.assertRegex(first, "warning: small/a.gguf.checkpoint.*No space left")
        self.assertIn("second 130", done.stdout, second)
        self.assertIn("the same command goes on", second)


if __name__ == "__main__":
    unittest.main()
