#!/bin/sh
# Run in a Debian 13 by ../elsewhere.sh: the whole program and its tests, built by that system's own compiler and libraries.
set -eu
apt-get update -q
apt-get install -y -q --no-install-recommends ca-certificates ${CCACHE_DIR:+ccache}
/lathe/tools/install-packages.sh unit
cmake --preset release -S /lathe -B /build -DLATHE_TESTS=ON
cmake --build /build -j "$JOBS"
# Not here: what needs npm, and the format, which is that of Debian 12's clang-format.
ctest --test-dir /build --output-on-failure -j "$JOBS" -E '^(clients\..*|e2e\.RealClients|e2e\.AxeCore|format)$'
