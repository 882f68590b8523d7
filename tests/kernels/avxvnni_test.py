"""The AVX-VNNI kernels: the scalar bits, and no instruction beyond what they are chosen for.

Compares what digest.cpp prints for the AVX-VNNI table, its instruction emulated, with what it
prints for the scalar one; then disassembles the product's object: vpdpbusd must be there in its VEX
form, and nothing of AVX-512, which those processors lack.

usage: avxvnni_test.py NATIVE_DIGEST EMULATED_DIGEST LIBRARY
"""

import re
import subprocess
import sys


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}exit {done.returncode}")
    return done.stdout


def digests_agree(native, emulated):
    want, got = run(native), run(emulated)
    if want.count("\n") < 200:
        sys.exit(f"the scalar digest has only {want.count(chr(10))} lines")
    differ = [f"{a}   <- {b}" for a, b in zip(want.splitlines(), got.splitlines()) if a != b]
    if differ or len(want) != len(got):
        sys.exit(f"{len(differ)} lines differ (scalar <- AVX-VNNI)\n" + "\n".join(differ[:40]))
    print(f"{got.count(chr(10))} digests equal")


def only_vex(library):
    members = re.split(r"\n(?=\S+:\s+file format)", run("objdump", "-d", "--no-show-raw-insn", library))
    listing = [m for m in members if m.lstrip().startswith("avxvnni.cpp")]
    if len(listing) != 1:
        sys.exit(f"{library} has {len(listing)} objects avxvnni.cpp")
    lines = listing[0].splitlines()
    products = [line for line in lines if "vpdpbusd" in line]
    if not products:
        sys.exit("no vpdpbusd in avxvnni.cpp")
    evex = [line for line in lines if re.search(r"%zmm|%[xy]mm(1[6-9]|2\d|3[01])\b|\{%k|%k[0-7]\b|\{1to", line)]
    evex += [line for line in products if "{vex}" not in line]
    if evex:
        sys.exit("instructions of AVX-512:\n" + "\n".join(evex[:20]))
    print(f"{len(products)} vpdpbusd, all VEX; {len(lines)} lines without AVX-512")


def main():
    native, emulated, library = sys.argv[1:]
    digests_agree(native, emulated)
    only_vex(library)


main()
