#!/bin/sh
# Installs what tests need from npm, as lock files name it: the clients of tests/clients, the browser's driver of tests/web, and what the
# page in web/ is bundled from. Quick when they are there.
set -eu
cd "$(dirname "$0")/.."
for place in tests/clients tests/web web; do
  cmp -s "$place/package-lock.json" "$place/node_modules/.installed" && continue
  echo "Installing the packages of $place"
  (cd "$place" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
  cp "$place/package-lock.json" "$place/node_modules/.installed"
done
