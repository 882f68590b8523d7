#!/bin/sh
# Fails when a C++ file is not as clang-format would write it; `make format` mends it.
set -eu
cd "$(dirname "$0")/.."
find src tests fuzz bench -name '*.cpp' -o -name '*.h' -o -name '*.inl' | sort | xargs clang-format --dry-run -Werror
