#!/bin/sh
# Installs the Debian 12 packages that Lathe is built from and runs with. Quick when nothing is missing.
set -eu

BUILD="g++ cmake ninja-build pkg-config
  libfmt-dev nlohmann-json3-dev libtomlplusplus-dev libcli11-dev libpcre2-dev libpugixml-dev libssl-dev
  libsqlite3-dev libcurl4-openssl-dev libboost1.81-dev libseccomp-dev libedit-dev
  flite1-dev libpocketsphinx-dev libsphinxbase-dev libsndfile1-dev libsamplerate0-dev libebur128-dev
  libtesseract-dev libleptonica-dev librsvg2-dev libcairo2-dev libfontconfig-dev libzbar-dev"
RUN="bubblewrap pocketsphinx-en-us espeak-ng python3 git universal-ctags
  tesseract-ocr-eng fonts-dejavu-core fonts-liberation"
# Only the tests need these: their oracles, their peers and the tools they drive.
TEST="libgtest-dev libgmock-dev clang-format python3-jsonschema python3-jinja2 python3-pytest strace iproute2 procps
  binutils g++-aarch64-linux-gnu qemu-user
  chromium-headless-shell tesseract-ocr-deu fonts-freefont-ttf libqrencode-dev"
# Node.js may have come from elsewhere, with an npm of its own that Debian's would not fit.
command -v npm >/dev/null || TEST="$TEST nodejs npm"

# Only `cmake --preset fuzz` needs these. clang 14 cannot read libstdc++ 12's <expected>.
FUZZ="clang-16 libclang-rt-16-dev"

want="$BUILD $RUN"
case "${1:-run}" in
  run) ;;
  test) want="$want $TEST" ;;
  fuzz) want="$want $FUZZ" ;;
  *) echo "usage: $0 run|test|fuzz" >&2; exit 2 ;;
esac

missing=
for package in $want; do
  state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

echo "Installing Debian packages:$missing"
if [ "$(id -u)" = 0 ]; then as_root=; elif command -v sudo >/dev/null; then as_root=sudo; else
  echo "error: these packages need root: become root or install sudo, then run this again" >&2
  exit 1
fi
$as_root apt-get update -q
# shellcheck disable=SC2086  # the lists are words on purpose
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing
