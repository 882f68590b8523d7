"""How fast a model's voice is, by files of random weights in the shape of Qwen3-TTS-12Hz-0.6B: speed does not depend on the weights.

usage: speak_speed.py LATHE --work DIR [--seconds 10] [--type q8_0] [--rest f16] [--threads N]

Writes DIR/TYPE-REST/tts.gguf and tts-mmproj.gguf, where they are not there yet, out of the tiny voice's vocabulary in tests/data:
F16, then quantized as --type and --rest (of the predictor, the decoder of waves and the rest) say. Has a text spoken to a pipe, and
prints how many seconds of time, and of all threads' processor time, a second of sound takes, from the first second on that came.
"""
import argparse
import array
import os
import pathlib
import random
import struct
import subprocess
import time

TINY = pathlib.Path(__file__).resolve().parents[1] / "tests/data"
F32, F16 = 0, 1
WIDTH, HIDDEN, LAYERS, HEADS, KV, HEAD = 1024, 3072, 28, 16, 8, 128
CODES, BOOKS = 2048, 16
TALKER = {"embedding_length": WIDTH, "block_count": LAYERS, "feed_forward_length": HIDDEN, "attention.head_count": HEADS,
          "attention.head_count_kv": KV, "attention.key_length": HEAD, "attention.value_length": HEAD, "rope.dimension_count": HEAD}
REST = {"clip.audio.projection_dim": WIDTH, "clip.gen.audio.projection_dim": WIDTH, "clip.gen.audio.embedding_length": WIDTH,
        "clip.gen.audio.feed_forward_length": HIDDEN, "clip.gen.audio.block_count": 5, "clip.gen.audio.attention.head_count": HEADS,
        "clip.gen.audio.attention.head_count_kv": KV}
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}


def read(path):
    """Keys as {name: bytes of type and value}, tensors as {name: shape}."""
    data = path.read_bytes()
    tensors, count = struct.unpack_from("<QQ", data, 8)
    at, keys, shapes = 24, {}, {}

    def text(at):
        size = struct.unpack_from("<Q", data, at)[0]
        return data[at + 8:at + 8 + size].decode(), at + 8 + size

    for _ in range(count):
        name, at = text(at)
        begin, kind = at, struct.unpack_from("<I", data, at)[0]
        at += 4
        if kind == 8:
            _, at = text(at)
        elif kind == 9:
            kind, size = struct.unpack_from("<IQ", data, at)
            at += 12
            for _ in range(size if kind == 8 else 0):
                _, at = text(at)
            at += 0 if kind == 8 else size * SIZES[kind]
        else:
            at += SIZES[kind]
        keys[name] = data[begin:at]
    for _ in range(tensors):
        name, at = text(at)
        dims = struct.unpack_from("<I", data, at)[0]
        shapes[name] = struct.unpack_from(f"<{dims}Q", data, at + 4)
        at += 4 + 8 * dims + 12
    return keys, shapes


def write(path, keys, tensors):
    """`tensors`: (name, shape). Matrices are F16 of one random block, over and over; all else is F32, norms are 1."""
    def text(value):
        return struct.pack("<Q", len(value.encode())) + value.encode()

    def is_matrix(name, shape):
        return len(shape) > 1 and name.endswith("weight")

    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(keys)) + b"".join(text(name) + value for name, value in keys.items())
    offset, sizes = 0, []
    for name, shape in tensors:
        elements = 1
        for n in shape:
            elements *= n
        sizes.append(elements * (2 if is_matrix(name, shape) else 4))
        head += text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape)
        head += struct.pack("<IQ", F16 if is_matrix(name, shape) else F32, offset)
        offset += (sizes[-1] + 31) // 32 * 32
    block = struct.pack("<32768e", *(random.Random(1).gauss(0, 0.02) for _ in range(32768)))
    with open(path, "wb") as out:
        out.write(head + bytes(-len(head) % 32))
        for (name, shape), size in zip(tensors, sizes):
            if is_matrix(name, shape):
                out.write((block * (size // len(block) + 1))[:size])
            else:
                out.write(array.array("f", [1.0 if "norm" in name or ".ln" in name else 0.01] * (size // 4)).tobytes())
            out.write(bytes(-size % 32))


def layer(name, width, hidden, heads, kv, head, out="attn_output", norms=("attn_norm", "ffn_norm")):
    for norm in norms:
        yield f"{name}{norm}.weight", (width,)
    for part, rows in (("q", heads), ("k", kv), ("v", kv)):
        yield f"{name}attn_{part}.weight", (width, rows * head)
    yield f"{name}{out}.weight", (heads * head, width)
    yield f"{name}attn_q_norm.weight", (head,)
    yield f"{name}attn_k_norm.weight", (head,)
    for part in ("gate", "up"):
        yield f"{name}ffn_{part}.weight", (width, hidden)
    yield f"{name}ffn_down.weight", (hidden, width)


def talker(path):
    keys, shapes = read(TINY / "models/qwen3tts.gguf")
    for name, value in TALKER.items():
        keys[f"qwen3tts.{name}"] = struct.pack("<II", 4, value)
    keys["qwen3tts.rope.dimension_sections"] = struct.pack("<IIQ4I", 9, 4, 4, 24, 20, 20, 0)
    tensors = [("token_embd.weight", (WIDTH, shapes["token_embd.weight"][1])), ("output_norm.weight", (WIDTH,)),
               ("output.weight", (WIDTH, shapes["output.weight"][1]))]
    for i in range(LAYERS):
        tensors += layer(f"blk.{i}.", WIDTH, HIDDEN, HEADS, KV, HEAD)
    write(path, keys, tensors)


def rest(path):
    keys, shapes = read(TINY / "media/qwen3tts.mmproj.gguf")
    for name, value in REST.items():
        keys[name] = struct.pack("<II", 4, value)
    code, wav = "a.gen.code.", "a.gen.wav."
    # Of the encoder of speakers only what it gives is as wide as the talker: nobody is heard here.
    tensors = [(name, shape) for name, shape in shapes.items() if not name.startswith((code, wav, "mm.a.fc"))]
    tensors += [("mm.a.fc.weight", (1, shapes["mm.a.fc.weight"][1], WIDTH)), ("mm.a.fc.bias", (WIDTH,)),
                (code + "proj_in.weight", (WIDTH, WIDTH)), (code + "proj_in.bias", (WIDTH,)),
                (code + "embd.weight", (WIDTH, CODES, BOOKS - 1)), (code + "head.weight", (WIDTH, CODES, BOOKS - 1)),
                (code + "out_embd.weight", (WIDTH, CODES)), (code + "output_norm.weight", (WIDTH,))]
    for i in range(5):
        tensors += layer(f"{code}blk.{i}.", WIDTH, HIDDEN, HEADS, KV, HEAD, "attn_out", ("ln1", "ln2"))
    for name, books in (("first", ()), ("rest", (BOOKS - 1,))):
        tensors += [(f"{wav}quant.{name}.in_proj.weight", (512, 256)), (f"{wav}quant.{name}.out_proj.weight", (256, 512)),
                    (f"{wav}quant.{name}.codebook.weight", (256, CODES, *books))]
    tensors += [(wav + "pre_conv.weight", (3, 512, 1024)), (wav + "pre_conv.bias", (1024,)), (wav + "tfm.in_proj.weight", (1024, 512)),
                (wav + "tfm.in_proj.bias", (512,)), (wav + "tfm.out_proj.weight", (512, 1024)), (wav + "tfm.out_proj.bias", (1024,)),
                (wav + "tfm.output_norm.weight", (512,))]
    for i in range(8):
        blk = f"{wav}tfm.blk.{i}."
        tensors += [each for each in layer(blk, 512, 1024, 16, 16, 64, "attn_out", ("ln1", "ln2", "ls1", "ls2")) if "_norm" not in each[0]]
    for i in range(2):
        up = f"{wav}up.blk.{i}."
        tensors += [(up + "conv.weight", (2, 1024, 1024)), (up + "conv.bias", (1024,)), (up + "dwconv.weight", (7, 1, 1024)),
                    (up + "dwconv.bias", (1024,)), (up + "norm.weight", (1024,)), (up + "norm.bias", (1024,)), (up + "pw1.weight", (1024, 4096)),
                    (up + "pw1.bias", (4096,)), (up + "pw2.weight", (4096, 1024)), (up + "pw2.bias", (1024,)), (up + "gamma", (1024,))]
    tensors += [(wav + "dac.entry.weight", (7, 1024, 1536)), (wav + "dac.entry.bias", (1536,))]
    width = 1536
    for i, stride in enumerate((8, 5, 4, 3)):
        blk = f"{wav}dac.blk.{i}."
        tensors += [(blk + "snake.alpha", (width,)), (blk + "snake.beta", (width,)), (blk + "conv.weight", (2 * stride, width // 2, width)),
                    (blk + "conv.bias", (width // 2,))]
        width //= 2
        for unit in range(3):
            for act, conv, kernel in (("act1", "conv1", 7), ("act2", "conv2", 1)):
                part = f"{blk}res.{unit}."
                tensors += [(f"{part}{act}.alpha", (width,)), (f"{part}{act}.beta", (width,)),
                            (f"{part}{conv}.weight", (kernel, width, width)), (f"{part}{conv}.bias", (width,))]
    tensors += [(wav + "dac.post_snake.alpha", (width,)), (wav + "dac.post_snake.beta", (width,)), (wav + "dac.post_conv.weight", (7, width, 1)),
                (wav + "dac.post_conv.bias", (1,))]
    write(path, keys, tensors)


def made(lathe, file, kind, write_wide):
    """The file in that type, written where it is not there yet."""
    if file.exists():
        return
    if kind == "f16":
        return write_wide(file)
    wide = file.with_suffix(".wide")
    write_wide(wide)
    subprocess.run([lathe, "quantize", wide, file, kind.upper()], check=True, stdout=subprocess.DEVNULL)
    wide.unlink()


def processor_seconds(process):
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("lathe", type=pathlib.Path)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--type", default="q8_0")
    parser.add_argument("--rest", default="f16")
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    place = args.work / f"{args.type}-{args.rest}"
    place.mkdir(parents=True, exist_ok=True)
    made(args.lathe, place / "tts.gguf", args.type, talker)
    made(args.lathe, place / "tts-mmproj.gguf", args.rest, rest)
    threads = ["--threads", str(args.threads)] if args.threads else []
    process = subprocess.Popen([args.lathe, "speak", "the stone", "--model", place / "tts.gguf", "--seed", "1", "--format", "pcm", *threads],
                               stdout=subprocess.PIPE)
    try:
        marks = []
        for _ in range(args.seconds + 1):
            if len(process.stdout.read(48000)) < 48000:
                raise SystemExit("the sound ended early")
            marks.append((time.monotonic(), processor_seconds(process)))
    finally:
        process.kill()
        process.wait()
    wall, processor = ((marks[-1][i] - marks[0][i]) / args.seconds for i in (0, 1))
    print(f"talker {args.type}, the rest {args.rest}: {wall:.2f} s, {processor:.2f} s of processors for a second of sound, over {args.seconds}")


if __name__ == "__main__":
    main()
