"""Model files from outside: a Hugging Face directory written here is imported, shown, quantized and run. Its logits are
compared with a forward pass in plain Python that follows the original's definition, not GGUF's."""
import array
import json
import math
import random
import struct
import unittest

from cli_test import Case

BYTES = {b: chr(b) for b in (*range(33, 127), *range(161, 173), *range(174, 256))}
for byte in range(256):
    BYTES.setdefault(byte, chr(256 + len([b for b in BYTES if ord(BYTES[b]) >= 256])))
VOCABULARY = {text: id for id, text in enumerate(BYTES[b] for b in range(256))} | {"th": 256, "the": 257}
END = 258
ROWS = 260  # the last one is padding
QWEN2_EXPRESSION = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
                    r"|\s*[\r\n]+|\s+(?!\S)|\s+")
TOKENIZER = {
    "added_tokens": [{"id": END, "content": "<|end|>", "special": True}],
    "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": QWEN2_EXPRESSION}, "behavior": "Isolated"},
        {"type": "ByteLevel", "use_regex": False}]},
    "model": {"type": "BPE", "vocab": VOCABULARY, "merges": [["t", "h"], ["th", "e"]]},
}
CONFIG = {"max_position_embeddings": 512, "num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 64,
          "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": ROWS,
          "rms_norm_eps": 1e-5, "rope_theta": 10000.0}
IDS = [116, 104, 101, 257, 32, 7, 200, 257, 1]
# The shape of stories260K: heads of 8, and rows of 172 that no block divides; words of two letters in its SentencePiece vocabulary.
SMALL_HEADS = CONFIG | {"architectures": ["LlamaForCausalLM"], "num_hidden_layers": 5, "hidden_size": 64, "intermediate_size": 172,
                        "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 8, "vocab_size": 512,
                        "tie_word_embeddings": True}
LETTERS = "abcdefghijklmnopqrstuvwxyz"
PIECES = ["<unk>", "<s>", "</s>", *(f"<0x{b:02X}>" for b in range(256)), "\u2581", *LETTERS,
          *(a + b for a in LETTERS for b in LETTERS)][:512]
SENTENCEPIECE = {
    "added_tokens": [{"id": i, "content": PIECES[i], "special": True} for i in range(3)],
    "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"},
                                                       {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
    "model": {"type": "BPE", "byte_fallback": True, "unk_token": "<unk>", "vocab": {text: id for id, text in enumerate(PIECES)},
              "merges": [list(text) for text in PIECES[286:]]},
}


def matrix(rng, rows, columns):
    return [[rng.gauss(0, columns ** -0.5) for _ in range(columns)] for _ in range(rows)]


def vector(rng, size, middle):
    return [middle + rng.gauss(0, 0.3) for _ in range(size)]


def make_weights(config, biases, norms):
    rng = random.Random(5)
    d, heads, kv, size = (config[k] for k in ("hidden_size", "num_attention_heads", "num_key_value_heads", "head_dim"))
    hidden, experts, rows = config["intermediate_size"], config.get("num_experts", 0), config["vocab_size"]
    weights = {"model.embed_tokens.weight": matrix(rng, rows, d), "model.norm.weight": vector(rng, d, 1)}
    if not config.get("tie_word_embeddings"):
        weights["lm_head.weight"] = matrix(rng, rows, d)
    for layer in range(config["num_hidden_layers"]):
        block = f"model.layers.{layer}."
        for name, outputs in (("q", heads * size), ("k", kv * size), ("v", kv * size)):
            weights[f"{block}self_attn.{name}_proj.weight"] = matrix(rng, outputs, d)
            if biases:
                weights[f"{block}self_attn.{name}_proj.bias"] = vector(rng, outputs, 0)
            if norms and name != "v":
                weights[f"{block}self_attn.{name}_norm.weight"] = vector(rng, size, 1)
        weights[f"{block}self_attn.o_proj.weight"] = matrix(rng, d, heads * size)
        weights[f"{block}input_layernorm.weight"] = vector(rng, d, 1)
        weights[f"{block}post_attention_layernorm.weight"] = vector(rng, d, 1)
        if experts:
            weights[f"{block}mlp.gate.weight"] = matrix(rng, experts, d)
        for mlp in [f"{block}mlp.experts.{e}." for e in range(experts)] or [f"{block}mlp."]:
            weights[f"{mlp}gate_proj.weight"] = matrix(rng, hidden, d)
            weights[f"{mlp}up_proj.weight"] = matrix(rng, hidden, d)
            weights[f"{mlp}down_proj.weight"] = matrix(rng, d, hidden)
    return weights


def safetensors(weights):
    header, data = {}, b""
    for name, values in weights.items():
        shape = [len(values), len(values[0])] if isinstance(values[0], list) else [len(values)]
        flat = array.array("f", [x for row in values for x in row] if len(shape) == 2 else values).tobytes()
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(flat)]}
        data += flat
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def times(rows, x):
    return [sum(a * b for a, b in zip(row, x)) for row in rows]


def norm(x, weight, epsilon):
    scale = (sum(v * v for v in x) / len(x) + epsilon) ** -0.5
    return [v * scale * w for v, w in zip(x, weight)]


def softmax(x):
    e = [math.exp(v - max(x)) for v in x]
    return [v / sum(e) for v in e]


def frequencies(config):
    size = config["head_dim"]
    scaling = config.get("rope_scaling")
    result = []
    for k in range(size // 2):
        f = config["rope_theta"] ** (-2 * k / size)
        if scaling:
            wavelength, old = 2 * math.pi / f, scaling["original_max_position_embeddings"]
            low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
            if wavelength > old / low:
                f /= scaling["factor"]
            elif wavelength > old / high:
                smooth = (old / wavelength - low) / (high - low)
                f = (1 - smooth) * f / scaling["factor"] + smooth * f
        result.append(f)
    return result


def rotate(x, position, frequency):
    half = len(x) // 2
    out = list(x)
    for k, f in enumerate(frequency):
        c, s = math.cos(position * f), math.sin(position * f)
        out[k], out[k + half] = x[k] * c - x[k + half] * s, x[k + half] * c + x[k] * s
    return out


def mlp(weights, prefix, x):
    gate = times(weights[prefix + "gate_proj.weight"], x)
    up = times(weights[prefix + "up_proj.weight"], x)
    return times(weights[prefix + "down_proj.weight"], [g / (1 + math.exp(-g)) * u for g, u in zip(gate, up)])


def attention(config, weights, block, states):
    size, heads, kv = (config[k] for k in ("head_dim", "num_attention_heads", "num_key_value_heads"))
    frequency = frequencies(config)

    def project(name, x, position):
        y = times(weights[f"{block}self_attn.{name}_proj.weight"], x)
        y = [a + b for a, b in zip(y, weights.get(f"{block}self_attn.{name}_proj.bias", [0] * len(y)))]
        parts = [y[i:i + size] for i in range(0, len(y), size)]
        if scale := weights.get(f"{block}self_attn.{name}_norm.weight"):
            parts = [norm(part, scale, config["rms_norm_eps"]) for part in parts]
        return parts if name == "v" else [rotate(part, position, frequency) for part in parts]

    q, k, v = ([project(name, x, p) for p, x in enumerate(states)] for name in "qkv")
    result = []
    for p in range(len(states)):
        joined = []
        for h in range(heads):
            g = h * kv // heads
            share = softmax([sum(a * b for a, b in zip(q[p][h], k[t][g])) / size ** 0.5 for t in range(p + 1)])
            joined += [sum(share[t] * v[t][g][i] for t in range(p + 1)) for i in range(size)]
        result.append(times(weights[f"{block}self_attn.o_proj.weight"], joined))
    return result


def feed_forward(config, weights, block, x):
    if not config.get("num_experts"):
        return mlp(weights, block + "mlp.", x)
    chances = softmax(times(weights[block + "mlp.gate.weight"], x))
    chosen = sorted(range(len(chances)), key=lambda e: -chances[e])[:config["num_experts_per_tok"]]
    whole = sum(chances[e] for e in chosen)
    parts = [[chances[e] / whole * y for y in mlp(weights, f"{block}mlp.experts.{e}.", x)] for e in chosen]
    return [sum(column) for column in zip(*parts)]


def logits(config, weights, ids):
    epsilon = config["rms_norm_eps"]
    states = [list(weights["model.embed_tokens.weight"][id]) for id in ids]
    for layer in range(config["num_hidden_layers"]):
        block = f"model.layers.{layer}."
        normed = [norm(x, weights[block + "input_layernorm.weight"], epsilon) for x in states]
        states = [[a + b for a, b in zip(x, y)]
                  for x, y in zip(states, attention(config, weights, block, normed))]
        for x in states:
            y = feed_forward(config, weights, block, norm(x, weights[block + "post_attention_layernorm.weight"], epsilon))
            x[:] = [a + b for a, b in zip(x, y)]
    output = weights.get("lm_head.weight", weights["model.embed_tokens.weight"])
    return [times(output, norm(x, weights["model.norm.weight"], epsilon)) for x in states]


def write_model(case, config, biases=False, norms=False, tokenizer=TOKENIZER, end="<|end|>"):
    weights = make_weights(config, biases, norms)
    case.write("model/config.json", json.dumps(config))
    case.write("model/tokenizer.json", json.dumps(tokenizer))
    case.write("model/tokenizer_config.json", json.dumps({"eos_token": end, "chat_template": "{{ messages }}"}))
    case.write("model/model.safetensors", safetensors(weights))
    return weights


def write_small_heads(case):
    return write_model(case, SMALL_HEADS, tokenizer=SENTENCEPIECE, end="</s>")


class ModelFiles(Case):
    def write_model(self, config, **parts):
        return write_model(self, config, **parts)

    def logits_of(self, model, rows=ROWS, more=("--kv", "f32", "--threads", "1")):
        out = self.dir / "logits.f32"
        self.lathe("logits", model, "--ids", " ".join(map(str, IDS)), "--out", out, "--force", *more)
        values = array.array("f", out.read_bytes())
        return [values[i:i + rows] for i in range(0, len(values), rows)]

    def assert_same(self, got, expected, tolerance):
        self.assertEqual(len(got), len(expected))
        worst = max(abs(a - b) for g, e in zip(got, expected) for a, b in zip(g, e))
        self.assertLess(worst, tolerance)
        # Something was computed at all.
        self.assertGreater(max(map(max, expected)), 1)

    def check(self, config, **parts):
        config = CONFIG | config
        weights = self.write_model(config, **parts)
        self.lathe("import", "model", "--out", "model.gguf")
        self.assert_same(self.logits_of("model.gguf"), logits(config, weights, IDS), 1e-4)

    def test_llama(self):
        self.check({"architectures": ["LlamaForCausalLM"], "rope_scaling": {
            "rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64}})

    def test_qwen2(self):
        self.check({"architectures": ["Qwen2ForCausalLM"], "tie_word_embeddings": True}, biases=True)

    def test_qwen3(self):
        self.check({"architectures": ["Qwen3ForCausalLM"]}, norms=True)

    def test_qwen3moe(self):
        self.check({"architectures": ["Qwen3MoeForCausalLM"], "num_experts": 4, "num_experts_per_tok": 2,
                    "moe_intermediate_size": 64, "norm_topk_prob": True}, norms=True)

    def test_small_heads(self):
        weights = write_small_heads(self)
        self.lathe("import", "model", "--out", "model.gguf")
        exact = self.logits_of("model.gguf", 512)
        self.assert_same(exact, logits(SMALL_HEADS, weights, IDS), 1e-4)
        for more in (("--threads", "2"), ("--kernels", "scalar")):
            self.assertEqual(self.logits_of("model.gguf", 512, ("--kv", "f32", *more)), exact, more)
        shown, = self.events("show", "model.gguf")
        self.assertEqual((shown["heads"], shown["kv_heads"], shown["head_dim"]), (8, 4, 8))
        # Five layers of four heads of 8, filled up to 16, K and V, two bytes each.
        self.assertEqual(shown["kv_bytes_per_token"], {"f16": 5 * 4 * 16 * 2 * 2})
        fits = self.events("fit", "model.gguf:256")[0]
        self.assertEqual(fits["models"][0]["kv"], 256 * 5 * 4 * 16 * 2 * 2)
        for kind in ("Q8_0", "Q4_0"):
            _, err = self.lathe("quantize", "model.gguf", f"{kind}.gguf", kind)
            self.assertIn("5 tensors have rows that are no multiple of 32 and take a larger type: blk.0.ffn_down.weight becomes F16", err)
        self.assert_same(self.logits_of("Q8_0.gguf", 512), exact, 0.5)
        for model in ("model.gguf", "Q8_0.gguf", "Q4_0.gguf"):
            run = ("run", model, "ab cd", "--max-tokens", "300", "--seed", "3", "--temp", "0.5", "--raw")
            answer, = self.events(*run)
            self.assertGreater(answer["usage"]["output_tokens"], 0)
            for more in (("--threads", "1"), ("--threads", "2", "--kernels", "scalar")):
                self.assertEqual(self.events(*run, *more)[0]["text"], answer["text"], (model, more))
        for command in (("run", "model.gguf", "x", "--kv", "q8_0"), ("fit", "model.gguf:256", "--kv", "q8_0")):
            out, err = self.lathe(*command, code=2)
            self.assertIn("heads of 8 dimensions do not fit a q8_0 cache, whose blocks have 32; use f16", out + err)

    def test_show_and_quantize(self):
        config = CONFIG | {"architectures": ["LlamaForCausalLM"]}
        self.write_model(config)
        self.lathe("import", "model", "--out", "model.gguf", "--type", "bf16", "--force")
        shown, = self.events("show", "model.gguf")
        self.assertEqual((shown["architecture"], shown["name"], shown["context"]), ("llama", "model", 512))
        self.assertEqual((shown["heads"], shown["kv_heads"], shown["head_dim"]), (4, 2, 16))
        self.assertEqual({t["type"]: t["tensors"] for t in shown["types"]}, {"BF16": 16, "F32": 5})
        # Two layers of two heads of 16, K and V, two bytes each.
        self.assertEqual(shown["kv_bytes_per_token"], {"f16": 2 * 2 * 16 * 2 * 2})
        self.assertEqual(shown["vocabulary"]["eos"], END)
        self.assertEqual(self.lathe("show", "model.gguf", "--template")[0], "{{ messages }}")
        exact = self.logits_of("model.gguf")
        self.lathe("quantize", "model.gguf", "q8.gguf", "Q8_0")
        self.assert_same(self.logits_of("q8.gguf"), exact, 0.5)
        out, _ = self.lathe("show", "q8.gguf")
        self.assertRegex(out, r"Q8_0 +16 tensors")
        # Rows of 32 are too short for blocks of 256.
        _, err = self.lathe("quantize", "model.gguf", "q4.gguf", "q4_k_m")
        self.assertIn("no multiple of 256", err)

    def test_bad_input(self):
        self.write("short.gguf", b"GGUF")
        for args, words in [
            (("show", "short.gguf"), ["short.gguf", "truncated", "version"]),
            (("show", "absent.gguf"), ["absent.gguf"]),
            (("quantize", "short.gguf", "out.gguf", "Q8_0"), ["short.gguf", "truncated"]),
            (("quantize", "short.gguf", "out.gguf", "Q9"), ["'Q9'", "Q4_K_M"]),
            (("quantize", "short.gguf", "out.gguf", "Q8_0", "--threads", "-1"), ["--threads", "-1"]),
            (("import", ".", "--out", "out.gguf"), ["config.json"]),
            (("import", ".", "--out", "out.gguf", "--type", "q8_0"), ["--type", "q8_0", "bf16"]),
            (("import", "."), ["--out"]),
        ]:
            out, err = self.lathe(*args, code=2)
            for word in words:
                self.assertIn(word, err + out, args)
        self.assertFalse((self.dir / "out.gguf").exists())


if __name__ == "__main__":
    unittest.main()
