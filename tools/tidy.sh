#!/bin/sh
# Reads the program's sources with clang-tidy: the checks of .clang-tidy, and clang's own warnings. Tests are not read.
# usage: tidy.sh [FILE…]      all of src/ if no file is named
set -eu
cd "$(dirname "$0")/.."
for version in 19 18; do
  ! command -v clang-tidy-$version >/dev/null || break
done
[ -f build/lint/build.ninja ] ||
  cmake --preset lint -DCMAKE_CXX_COMPILER=clang++-$version >build-lint.log 2>&1 || { cat build-lint.log; exit 1; }
rm -f build-lint.log
# The precompiled headers are all that is built: they make a source's reading twice as fast.
cmake --build build/lint --target lathe_pch lathe_cli_pch >/dev/null
[ $# -gt 0 ] || set -- $(find src -name '*.cpp' ! -name '*_test.cpp' | sort)
# Kernels of other processors are in no compile command here.
for file; do
  ! grep -q "\"file\": \"$PWD/$file\"" build/lint/compile_commands.json || echo "$file"
done >build/lint/sources
xargs -P "${JOBS:-$(nproc)}" -n 8 clang-tidy-$version -p build/lint --quiet <build/lint/sources 2>build/lint/counts || {
  grep -v 'warnings generated\|Suppressed' build/lint/counts
  exit 1
}
echo "$(wc -l <build/lint/sources) sources read by clang-tidy-$version, nothing found"
