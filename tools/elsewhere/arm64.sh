#!/bin/sh
# Run in a Debian 12 by ../elsewhere.sh: the rooms of ground, infer and loop for ARM64 by the cross compiler, against Debian's
# libraries of that architecture; then their unit tests through qemu.
set -eu
dpkg --add-architecture arm64
apt-get update -q
# Programs and data are this machine's, libraries are ARM64's; a package of no architecture serves both.
wanted=
for package in $(/lathe/tools/install-packages.sh unit --list); do
  case "$package" in
    g++ | chromium-*) continue ;;
    lib*-dev | flite1-dev)
      apt-cache show --no-all-versions "$package" | grep -q '^Architecture: all$' || package=$package:arm64 ;;
  esac
  wanted="$wanted $package"
done
# shellcheck disable=SC2086  # the lists are words on purpose
apt-get install -y -q --no-install-recommends ${CCACHE_DIR:+ccache} libc6:arm64 libstdc++-12-dev:arm64 $wanted

export PKG_CONFIG_LIBDIR=/usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig
cmake --preset arm64 -S /lathe -B /build -DLATHE_TESTS=ON
tests=$(sed -nE 's,^(ground|infer|loop)/([a-z]+) .*,lathe_\2_test,p' /lathe/src/rooms.txt)
# shellcheck disable=SC2086
cmake --build /build -j "$JOBS" --target $tests
/lathe/tools/elsewhere/emulated.py qemu-aarch64 "$JOBS" $(for test in $tests; do echo "/build/src/$test"; done)
