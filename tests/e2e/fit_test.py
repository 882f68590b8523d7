"""lathe fit, from headers alone: those of well-known models are built here from their published configs, with holes for
weights. The figures are worked out by hand from the same configs, in another way than Lathe does.

`fit_test.py write DIR` leaves those headers in a directory, for the table of docs/fit.md."""
import json
import os
import struct
import sys
import unittest

from cli_test import Case

F32, Q4_K, Q5_K, Q6_K, Q8_0, MXFP4 = 0, 12, 13, 14, 8, 39
BLOCK = {F32: (1, 4), Q4_K: (256, 144), Q5_K: (256, 176), Q6_K: (256, 210), Q8_0: (32, 34), MXFP4: (32, 17)}
GIB = 1 << 30


def text(value):
    return struct.pack("<Q", len(value.encode())) + value.encode()


def value(v):
    if isinstance(v, str):
        return struct.pack("<I", 8) + text(v)
    if isinstance(v, float):
        return struct.pack("<If", 6, v)
    if isinstance(v, list):  # of texts
        return struct.pack("<IIQ", 9, 8, len(v)) + b"".join(map(text, v))
    if isinstance(v, tuple):  # u16
        return struct.pack("<IH", 2, v[0])
    return struct.pack("<II", 4, v)


def size(kind, shape):
    elements = 1
    for n in shape:
        elements *= n
    return elements // BLOCK[kind][0] * BLOCK[kind][1]


def write(path, keys, tensors):
    """A GGUF file whose weights are one hole. Returns the bytes of its tensors."""
    header = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(keys))
    for key, v in keys.items():
        header += text(key) + value(v)
    offset = 0
    for name, kind, shape in tensors:
        header += text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape)
        header += struct.pack("<IQ", kind, offset)
        offset += (size(kind, shape) + 31) // 32 * 32
    with open(path, "wb") as out:
        out.write(header)
        out.truncate((len(header) + 31) // 32 * 32 + offset)
    return sum(size(kind, shape) for _, kind, shape in tensors)


def keys_of(arch, **values):
    keys = {"general.architecture": arch, "general.name": arch}
    keys.update({f"{arch}.{k}": v for k, v in values["sizes"].items()})
    return keys


def sizes(layers, width, heads, kv, head, hidden, context, **more):
    return {"block_count": layers, "embedding_length": width, "attention.head_count": heads,
            "attention.head_count_kv": kv, "attention.key_length": head, "attention.value_length": head,
            "feed_forward_length": hidden, "context_length": context,
            "attention.layer_norm_rms_epsilon": 1e-5} | more


def more_bits(i, n):  # where Q4_K_M takes the larger type
    return i < n // 8 or i >= 7 * n // 8 or (i - n // 8) % 3 == 2


def ends(width, vocabulary, embedding, output):
    return [("token_embd.weight", embedding, [width, vocabulary]), ("output_norm.weight", F32, [width]),
            ("output.weight", output, [width, vocabulary])]


def llama3_70b(path, **more):
    layers, d, hidden = 80, 8192, 28672
    tensors = ends(d, 128256, Q4_K, Q6_K)
    for i in range(layers):
        big = Q6_K if more_bits(i, layers) else Q4_K
        for name, kind, shape in (
                ("attn_norm", F32, [d]), ("ffn_norm", F32, [d]), ("attn_q", Q4_K, [d, d]), ("attn_k", Q4_K, [d, 1024]),
                ("attn_v", Q5_K, [d, 1024]), ("attn_output", Q4_K, [d, d]), ("ffn_gate", Q4_K, [d, hidden]),
                ("ffn_up", Q4_K, [d, hidden]), ("ffn_down", big, [hidden, d])):
            tensors.append((f"blk.{i}.{name}.weight", kind, shape))
    keys = keys_of("llama", sizes=sizes(layers, d, 64, 8, 128, hidden, 8192, **{"rope.freq_base": 500000.0, **more}))
    return write(path, keys, tensors)


def mixtral_8x22b(path):
    layers, d, hidden, experts = 56, 6144, 16384, 8
    tensors = ends(d, 32768, Q4_K, Q6_K)
    for i in range(layers):
        big = Q6_K if more_bits(i, layers) else Q4_K
        for name, kind, shape in (
                ("attn_norm", F32, [d]), ("ffn_norm", F32, [d]), ("attn_q", Q4_K, [d, d]), ("attn_k", Q8_0, [d, 1024]),
                ("attn_v", Q8_0, [d, 1024]), ("attn_output", Q5_K, [d, d]), ("ffn_gate_inp", F32, [d, experts]),
                ("ffn_gate_exps", Q4_K, [d, hidden, experts]), ("ffn_up_exps", Q4_K, [d, hidden, experts]),
                ("ffn_down_exps", big, [hidden, d, experts])):
            tensors.append((f"blk.{i}.{name}.weight", kind, shape))
    keys = keys_of("llama", sizes=sizes(layers, d, 48, 8, 128, hidden, 65536, **{
        "rope.freq_base": 1e6, "expert_count": experts, "expert_used_count": 2}))
    return write(path, keys, tensors)


def gpt_oss_120b(path):
    layers, d, experts = 36, 2880, 128
    tensors = ends(d, 201088, Q8_0, Q8_0)
    for i in range(layers):
        for name, kind, shape in (
                ("attn_norm.weight", F32, [d]), ("post_attention_norm.weight", F32, [d]),
                ("attn_q.weight", Q8_0, [d, 4096]), ("attn_q.bias", F32, [4096]), ("attn_k.weight", Q8_0, [d, 512]),
                ("attn_k.bias", F32, [512]), ("attn_v.weight", Q8_0, [d, 512]), ("attn_v.bias", F32, [512]),
                ("attn_output.weight", Q8_0, [4096, d]), ("attn_output.bias", F32, [d]),
                ("attn_sinks.weight", F32, [64]), ("ffn_gate_inp.weight", F32, [d, experts]),
                ("ffn_gate_inp.bias", F32, [experts]), ("ffn_gate_exps.weight", MXFP4, [d, d, experts]),
                ("ffn_gate_exps.bias", F32, [d, experts]), ("ffn_up_exps.weight", MXFP4, [d, d, experts]),
                ("ffn_up_exps.bias", F32, [d, experts]), ("ffn_down_exps.weight", MXFP4, [d, d, experts]),
                ("ffn_down_exps.bias", F32, [d, experts])):
            tensors.append((f"blk.{i}.{name}", kind, shape))
    keys = keys_of("gpt-oss", sizes=sizes(layers, d, 64, 8, 64, d, 131072, **{
        "rope.freq_base": 150000.0, "rope.scaling.type": "yarn", "rope.scaling.factor": 32.0,
        "rope.scaling.original_context_length": 4096, "expert_count": experts, "expert_used_count": 4,
        "expert_feed_forward_length": d, "attention.sliding_window": 128}))
    return write(path, keys, tensors)


def qwen3_next_80b(path):
    """With YaRN to 1,010,000 tokens, as its card describes."""
    layers, d, experts, hidden = 48, 2048, 512, 512
    tensors = ends(d, 151936, Q4_K, Q6_K)
    for i in range(layers):
        big = Q6_K if more_bits(i, layers) else Q4_K
        mixer = [("attn_qkv.weight", Q4_K, [d, 8192]), ("attn_gate.weight", Q4_K, [d, 4096]),
                 ("ssm_ba.weight", Q4_K, [d, 64]), ("ssm_conv1d.weight", F32, [4, 8192]), ("ssm_a", F32, [32]),
                 ("ssm_dt.bias", F32, [32]), ("ssm_norm.weight", F32, [128]), ("ssm_out.weight", Q4_K, [4096, d])]
        if (i + 1) % 4 == 0:
            mixer = [("attn_q.weight", Q4_K, [d, 8192]), ("attn_k.weight", Q4_K, [d, 512]),
                     ("attn_v.weight", big, [d, 512]), ("attn_q_norm.weight", F32, [256]),
                     ("attn_k_norm.weight", F32, [256]), ("attn_output.weight", Q4_K, [4096, d])]
        for name, kind, shape in mixer + [
                ("attn_norm.weight", F32, [d]), ("post_attention_norm.weight", F32, [d]),
                ("ffn_gate_inp.weight", F32, [d, experts]), ("ffn_gate_inp_shexp.weight", F32, [d]),
                ("ffn_gate_exps.weight", Q4_K, [d, hidden, experts]),
                ("ffn_up_exps.weight", Q4_K, [d, hidden, experts]),
                ("ffn_down_exps.weight", big, [hidden, d, experts]), ("ffn_gate_shexp.weight", Q4_K, [d, hidden]),
                ("ffn_up_shexp.weight", Q4_K, [d, hidden]), ("ffn_down_shexp.weight", big, [hidden, d])]:
            tensors.append((f"blk.{i}.{name}", kind, shape))
    keys = keys_of("qwen3next", sizes=sizes(layers, d, 16, 2, 256, 5120, 1010000, **{
        "rope.freq_base": 1e7, "rope.dimension_count": 64, "rope.scaling.type": "yarn", "rope.scaling.factor": 4.0,
        "rope.scaling.original_context_length": 262144, "expert_count": experts, "expert_used_count": 10,
        "expert_feed_forward_length": hidden, "ssm.conv_kernel": 4, "ssm.state_size": 128, "ssm.group_count": 16,
        "ssm.time_step_rank": 32, "ssm.inner_size": 4096}))
    return write(path, keys, tensors)


MODELS = {"Llama-3-70B-Q4_K_M.gguf": llama3_70b, "Mixtral-8x22B-Q4_K_M.gguf": mixtral_8x22b,
          "gpt-oss-120b-MXFP4.gguf": gpt_oss_120b, "Qwen3-Next-80B-Q4_K_M.gguf": qwen3_next_80b}


class Fit(Case):
    def setUp(self):
        super().setUp()
        self.bytes = {}
        for name, make in MODELS.items():
            self.bytes[name] = make(os.path.join(self.dir, name))
        self.llama, self.mixtral, self.gpt_oss, self.qwen = (os.path.join(self.dir, name) for name in MODELS)

    def fit(self, *wishes, code=0):
        return json.loads(self.lathe("--json", "fit", "--memory", "128GiB", *wishes, code=code)[0])

    def kv_of(self, wish, *flags):
        return self.fit(wish, *flags)["models"][0]

    def test_bytes_of_a_token(self):
        for path, heads, expected in ((self.llama, 80 * 8 * 128, 327680), (self.mixtral, 56 * 8 * 128, 229376),
                                      (self.gpt_oss, 18 * 8 * 64, 36864), (self.qwen, 12 * 2 * 256, 24576)):
            self.assertEqual(2 * 2 * heads, expected)  # K and V, two bytes each
            less, more = self.kv_of(f"{path}:1280"), self.kv_of(f"{path}:6400")
            self.assertEqual((more["kv"] - less["kv"]) / 5120, expected)
            less, more = self.kv_of(f"{path}:1280", "--kv", "q8_0"), self.kv_of(f"{path}:6400", "--kv", "q8_0")
            self.assertEqual((more["kv"] - less["kv"]) / 5120, expected * 34 / 64)
            shown = json.loads(self.lathe("--json", "show", path)[0])
            self.assertEqual(shown["kv_bytes_per_token"]["f16"], expected)

    def test_without_a_context_it_is_the_models_own(self):
        self.assertEqual(self.kv_of(f"{self.llama}::3"), self.kv_of(f"{self.llama}:8192:3"))
        self.assertEqual(self.kv_of(self.llama), self.kv_of(f"{self.llama}:8192:1"))

    def test_windows_and_states_do_not_grow(self):
        window = 18 * 2 * 2 * 8 * 64  # a position in all windows
        for context in (6400, 128000):
            self.assertEqual(self.kv_of(f"{self.gpt_oss}:{context}")["kv"] - 36864 * context,
                             (128 + 64) * window)  # and one block, because windows do not end where blocks do
        # A step of 512 tokens adds as many, and no more than a block; each checkpoint is what lies at rest.
        got = self.kv_of(f"{self.gpt_oss}:128000:2")
        self.assertEqual(got["step"], 2 * 512 * window)
        self.assertEqual(got["prefix"], 2 * (128000 // 512 + 1) * (128 + 64) * window)
        self.assertEqual(got["devices"], {"cpu": got["sum"]})
        self.assertEqual(got["sum"], sum(got[column] for column in ("weights", "kv", "step", "state", "scratch")))
        got = self.kv_of(f"{self.llama}:8192")
        self.assertEqual((got["step"], got["prefix"]), (0, 0))
        state = 36 * 4 * (32 * 128 * 128 + 3 * (2 * 16 + 32) * 128)
        self.assertAlmostEqual(state / 1e6, 79, delta=0.1)
        self.assertEqual(self.kv_of(f"{self.qwen}:64")["state"], state)
        self.assertEqual(self.kv_of(f"{self.qwen}:1M:1")["state"], state)
        self.assertEqual(self.kv_of(f"{self.qwen}:64:5")["state"], 5 * state)
        self.assertEqual(json.loads(self.lathe("--json", "show", self.qwen)[0])["state_bytes"],
                         {"window_f16": 0, "recurrent": state})

    def test_weights_are_as_large_as_in_the_file(self):
        for name, expected in self.bytes.items():
            got = self.kv_of(os.path.join(self.dir, name) + ":1024")["weights"]
            self.assertLess(abs(got - expected), 0.002 * expected, name)  # panels are padded
        for name, published in (("Llama-3-70B-Q4_K_M.gguf", 42.5), ("Mixtral-8x22B-Q4_K_M.gguf", 85.6),
                                ("gpt-oss-120b-MXFP4.gguf", 63.4), ("Qwen3-Next-80B-Q4_K_M.gguf", 48.5)):
            self.assertAlmostEqual(self.bytes[name] / 1e9, published, delta=0.02 * published)

    def test_three_questions(self):
        both = self.fit(f"{self.llama}:8K", f"{self.mixtral}:8K")
        self.assertTrue(both["fits"])
        for column in ("weights", "kv", "scratch", "sum"):
            self.assertEqual(both["together"][column], sum(model[column] for model in both["models"]))
        self.assertEqual(both["spare"], 128 * GIB - both["together"]["sum"])
        longer = self.fit(f"{self.llama}:8K", f"{self.mixtral}:64K", code=1)
        self.assertFalse(longer["fits"])
        self.assertLess(longer["spare"], 0)
        gpt_oss = self.fit(f"{self.gpt_oss}:100K")
        self.assertAlmostEqual(gpt_oss["models"][0]["kv"] / 1e9, 3.7, delta=0.05)
        qwen = self.fit(f"{self.qwen}:1M")
        self.assertAlmostEqual(qwen["models"][0]["kv"] / 1e9, 24.6, delta=0.05)

    def test_what_people_read(self):
        lines = self.lathe("fit", "--memory", "128GiB", f"{self.llama}:8K", f"{self.mixtral}:8K:2")[0].splitlines()
        self.assertEqual(lines[0].split(), "model context streams weights KV state scratch sum".split())
        self.assertEqual(lines[2].split()[:3], ["Mixtral-8x22B-Q4_K_M.gguf", "8000", "2"])
        self.assertTrue(lines[3].startswith("together"))
        self.assertRegex(lines[4], r"^memory 128\.0 GiB, to spare \d+\.\d GiB$")
        out, _ = self.lathe("fit", "--memory", "16GiB", self.gpt_oss, code=1)
        self.assertIn("131072", out)  # as long as the model was made for
        self.assertEqual(out.splitlines()[0].split(),
                         "model context streams weights KV state scratch step (prefix) sum".split())
        self.assertIn("missing", out)
        self.assertNotIn("not run", out)

    def test_without_memory_it_is_what_the_machine_has(self):
        tiny = os.path.join(os.path.dirname(__file__), "../data/models/llama-q4_0.gguf")
        result = json.loads(self.lathe("--json", "fit", f"{tiny}:256")[0])
        with open("/proc/meminfo") as meminfo:
            total = 1024 * int(next(line for line in meminfo if line.startswith("MemTotal")).split()[1])
        self.assertTrue(0 < result["memory"] <= total)
        self.assertTrue(result["fits"])

    def test_split_files(self):
        whole = self.kv_of(f"{self.qwen}:1024")
        keys = keys_of("qwen3next", sizes=sizes(48, 2048, 16, 2, 256, 5120, 262144, **{
            "rope.dimension_count": 64, "expert_count": 512, "expert_used_count": 10, "expert_feed_forward_length": 512,
            "ssm.conv_kernel": 4, "ssm.state_size": 128, "ssm.group_count": 16, "ssm.time_step_rank": 32}))
        split = {"split.count": (2,), "split.tensors.count": 3}
        first, second = (os.path.join(self.dir, f"a-0000{i}-of-00002.gguf") for i in (1, 2))
        write(first, keys | split | {"split.no": (0,)}, ends(2048, 151936, Q4_K, Q6_K)[:1])
        write(second, split | {"split.no": (1,)}, ends(2048, 151936, Q4_K, Q6_K)[1:])
        got = self.kv_of(f"{first}:1024")
        self.assertEqual((got["kv"], got["state"], got["scratch"]), (whole["kv"], whole["state"], whole["scratch"]))
        self.assertLess(abs(got["weights"] - size(Q4_K, [2048, 151936]) - size(Q6_K, [2048, 151936])), 20000)

    def test_refused(self):
        for arguments, message in (
                ((f"{self.llama}:8193",), "8193.*8192"),
                ((f"{self.llama}:100K",), "100000.*8192"),
                ((f"{self.llama}:many",), "context is 'many'"),
                ((f"{self.llama}:8K:0",), "streams is '0'"),
                ((f"{self.llama}:8K:99999",), "streams is '99999'.*4096"),
                ((self.llama, "--memory", "much"), "--memory"),
                ((self.llama, "--kv", "q5"), "--kv is 'q5'"),
                ((os.path.join(self.dir, "none.gguf:8K"),), "none.gguf"),
                ((self.dir,), "directory"),
                ((), "MODEL")):
            out, err = self.lathe("fit", *arguments, code=2)
            self.assertEqual(out, "", arguments)
            self.assertRegex(err, message)

    def test_what_can_be_sized_is_not_run(self):
        path = os.path.join(self.dir, "reranker.gguf")
        llama3_70b(path, pooling_type=4)
        for command in (("run", path, "Hi"), ("logits", path, "--ids", "1", "--out", "x")):
            out, err = self.lathe(*command, code=2)
            self.assertEqual(out, "")
            self.assertIn(f"{path}: llama can be sized but not run yet (see lathe fit): "
                          "it has the head of a reranker, for which there is no recipe", err)
        for command in (("show",), ("fit", "--memory", "128GiB")):
            shown = self.lathe(*command, path)[0]
            self.assertIn("llama can be sized but not run yet", shown)


if __name__ == "__main__":
    if sys.argv[1:2] == ["write"]:
        for name, make in MODELS.items():
            make(os.path.join(sys.argv[2], name))
    else:
        unittest.main()
