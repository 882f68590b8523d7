#!/bin/sh
# Runs a test program that was built with a sanitizer: a finding fails, also one in a child whose failure the test expects.
# usage: run_clean.sh PROGRAM…
set -eu
for program in "$@"; do
  echo "== $program"
  log=$(mktemp)
  TMPDIR=/dev/shm "$program" --gtest_brief=1 >"$log" 2>&1 && status=0 || status=$?
  cat "$log"
  ! grep -qE 'Sanitizer:|runtime error:' "$log" || status=99
  rm -f "$log"
  [ "$status" = 0 ] || exit "$status"
done
