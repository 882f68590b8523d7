#!/bin/sh
# Installs the clients that tests/clients runs against the server, as its lock file names them. Quick when they are there.
set -eu
cd "$(dirname "$0")/../tests/clients"
cmp -s package-lock.json node_modules/.installed && exit 0
echo "Installing the clients of tests/clients"
npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
cp package-lock.json node_modules/.installed
