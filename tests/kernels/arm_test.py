"""The NEON kernels against the scalar ones of this processor, bit for bit.

Builds digest.cpp for aarch64 without any library, runs it under qemu-aarch64 and compares what it
prints with what the digest program of this machine prints for its scalar kernels.

usage: arm_test.py SOURCE_DIR WORK_DIR NATIVE_DIGEST COMPILER EMULATOR
"""

import pathlib
import subprocess
import sys

FLAGS = "-std=c++23 -O2 -ffp-contract=off -Wall -Wextra -Wconversion -Werror".split()
DIGEST = "tests/kernels/digest.cpp"
SHARED = [
    "src/infer/kernels/scalar.cpp",
    "src/infer/kernels/int_blocks.cpp",
    "src/infer/kernels/packed.cpp",
    "src/infer/kernels/grid_panels.cpp",
    "src/infer/quant/half.cpp",
    "src/infer/quant/legacy.cpp",
    "src/infer/quant/k_quants.cpp",
    "src/infer/quant/four_bit.cpp",
    "src/infer/quant/ternary.cpp",
    "src/infer/quant/codebook.cpp",
    "src/infer/quant/grids.cpp",
]
NEON = {"src/infer/kernels/neon_dotprod.cpp": "-march=armv8.2-a+dotprod", "src/infer/kernels/neon_i8mm.cpp": "-march=armv8.2-a+dotprod+i8mm"}
TABLES = ["kNeonDotprodTable", "kNeonI8mmTable"]


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}exit {done.returncode}")
    return done.stdout


def main():
    source, work, native, compiler, emulator = sys.argv[1:]
    source, work = pathlib.Path(source), pathlib.Path(work)
    work.mkdir(parents=True, exist_ok=True)
    want = run(native)
    if want.count("\n") < 200:
        sys.exit(f"the digest of this machine has only {want.count(chr(10))} lines")
    parts = []
    for file, *architecture in [[file] for file in SHARED] + list(NEON.items()):
        parts.append(work / (pathlib.Path(file).stem + ".o"))
        run(compiler, *FLAGS, *architecture, "-I", source / "src", "-c", source / file, "-o", parts[-1])
    for table in TABLES:
        program = work / table
        run(compiler, *FLAGS, "-static", f"-DLATHE_TABLE={table}", "-I", source / "src", source / DIGEST, *parts, "-o", program)
        got = run(emulator, "-cpu", "max", program)
        differ = [f"{a}   <- {b}" for a, b in zip(want.splitlines(), got.splitlines()) if a != b]
        if differ or len(want) != len(got):
            sys.exit(f"{table}: {len(differ)} lines differ (scalar <- NEON)\n" + "\n".join(differ[:40]))
        print(f"{table}: {got.count(chr(10))} digests equal")


main()
