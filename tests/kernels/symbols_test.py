"""Kernel objects for an instruction set must not define anything that other files could pick up.

A weak or unique symbol (an inline function, a template's instance) of a file compiled with, say,
AVX-512 may be the copy that the linker keeps for the whole program; it would then crash on a
processor without it. Only the kernel table itself may be visible.

usage: symbols_test.py LIBRARY
"""

import re
import subprocess
import sys


def main():
    listing = subprocess.run(["nm", "-C", sys.argv[1]], check=True, capture_output=True, text=True)
    checked, bad, member = [], [], ""
    for line in listing.stdout.splitlines():
        if line.endswith(":"):
            member = line[:-1]
            if re.match(r"(avx|neon)", member):
                checked.append(member)
            continue
        fields = re.match(r"[0-9a-f ]{16} (\w) (.*)", line)
        if not fields or member not in checked:
            continue
        kind, name = fields.groups()
        if kind in "WVuiG" or (kind.isupper() and kind != "U" and not name.endswith("Table")):
            bad.append(f"{member}: {kind} {name}")
    if not checked:
        sys.exit(f"{sys.argv[1]} has no kernels for an instruction set")
    if bad:
        sys.exit("symbols that baseline code could pick up:\n" + "\n".join(bad))
    print(f"{len(checked)} kernel objects define their tables only: {', '.join(checked)}")


main()
