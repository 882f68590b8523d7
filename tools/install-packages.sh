#!/bin/sh
# Installs the packages of packages.txt that Lathe is built from and runs with. Quick when nothing is missing.
# usage: install-packages.sh run|test|fuzz|pack|lint|elsewhere [--list]   --list only says their names
#        install-packages.sh runtime [--list]   without what only building needs
#        install-packages.sh unit [--list]      test without npm
set -eu
table=$(dirname "$0")/packages.txt

case "${1:-run}" in
  runtime) uses=run ;;
  run) uses="build run" ;;
  unit) uses="build run test" ;;
  elsewhere) uses=elsewhere ;;
  test | fuzz | pack | lint) uses="build run $1" ;;
  *) echo "usage: $0 runtime|run|unit|test|fuzz|pack|lint|elsewhere [--list]" >&2; exit 2 ;;
esac

# The column of this system; a derivative of Debian that the table does not know is taken for Debian 12.
system=$(. /etc/os-release && echo "${ID:-}-${VERSION_ID:-}")
grep -q "^# for .*| $system *\(|\|$\)" "$table" || {
  command -v apt-get >/dev/null || {
    echo "error: $system has no apt-get; install what these stand for, by the names of your system, and build with cmake: $(sed -n 's/^build *| *\([^ ]*\).*/\1/p' "$table" | tr '\n' ' ')" >&2
    exit 1
  }
  echo "$system is not in tools/packages.txt: trying the names of Debian 12" >&2
  system=debian-12
}

names_for() {
  awk -F' *\\| *' -v use="$1" -v name="$system" '
    { gsub(/ +$/, "") }
    /^# for/ { for (i = 2; i <= NF; ++i) if ($i == name) column = i }
    $1 == use && $column != "-" { print $column == "=" ? $2 : $column }' "$table"
}

want=
for use in $uses; do want="$want $(names_for "$use")"; done
# Node.js may have come from elsewhere, with an npm of its own that Debian's would not fit.
[ "${1:-run}" != test ] || command -v npm >/dev/null || want="$want nodejs npm"
[ "${2:-}" != --list ] || { echo $want; exit 0; }

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
