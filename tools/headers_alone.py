#!/usr/bin/env python3
"""Compiles every header of src/ by itself, without the precompiled ones: what a header uses, it includes.

usage: headers_alone.py [CXX]
"""
import concurrent.futures
import os
import pathlib
import subprocess
import sys

root = pathlib.Path(__file__).resolve().parent.parent
compiler = sys.argv[1] if len(sys.argv) > 1 else "c++"
flags = subprocess.run(["pkg-config", "--cflags", "librsvg-2.0", "tesseract", "lept"], check=True, capture_output=True,
                       text=True).stdout.split()


def errors_of(header):
    done = subprocess.run([compiler, "-std=c++23", "-fsyntax-only", "-I", root / "src", "-I", root / "tests",
                           '-DLATHE_SOURCE_DIR=""',
                           "-DTOML_HEADER_ONLY=0", *flags, "-x", "c++", "-include", header, os.devnull],
                          capture_output=True, text=True)
    return [line for line in done.stderr.splitlines() if "error" in line][:3] if done.returncode else []


headers = sorted((root / "src").rglob("*.h"))
with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    found = [line for lines in pool.map(errors_of, headers) for line in lines]
print("\n".join(found) or f"{len(headers)} headers compile alone")
sys.exit(bool(found))
