#!/bin/sh
# The main job on examples/: the starter model turns red tests green; lines are spoken, heard, scored and spoken again until they pass; pictures are
# laid out, looked at and laid out again; a film of a brief is made scene by scene; code is repaired until its tests
# pass; text is shaped until it keeps its limits. Nothing leaves the machine.
set -eu
cd "$(dirname "$0")/.."
lathe=$PWD/build/release/src/lathe
demo=$PWD/build/demo
mkdir -p "$demo"
rm -rf "$demo/work" && mkdir "$demo/work"

run() {
  name=$1
  shift
  printf '\n== %s\n' "$name"
  # A run that does not pass is a result too: the table says which units and why.
  "$lathe" --journal "$demo/journal" loop "$@" || [ $? = 1 ]
  "$lathe" --journal "$demo/journal" report last --out "$demo/$name.html" >/dev/null
}

run red-to-green red-to-green --input examples/red-to-green/tasks.jsonl --out "$demo/red-to-green" \
  --worker starter=models/starter-q8_0.gguf
run voice-over voice-over --input examples/voice-over/script.md --out "$demo/voice-over"
run thumbnail thumbnail --input examples/thumbnail/titles.jsonl --set unit.split=jsonl --out "$demo/thumbnail"
run clip clip --input examples/clip/brief.txt --out "$demo/clip"

printf '\nNo larger model is here: from now on a script answers in its place (a wrong fix, a forbidden one, then the\nright one). The tests, the sandbox and the judging are real.\n'
for language in cpp python shell; do
  cp -r "examples/fix-tests/$language" "$demo/work/$language"
  recipe=$demo/work/$language/recipe.toml
  [ -f "$recipe" ] || recipe=fix-tests
  run "fix-tests-$language" "$recipe" --input "$demo/work/$language" --out "$demo/fix-tests-$language" \
    --worker "coder=script:examples/fix-tests/$language/worker.toml"
done

for recipe in extract-json rewrite; do
  run "$recipe" "$recipe" --input "$(ls examples/$recipe/*.txt examples/$recipe/*.md 2>/dev/null)" --out "$demo/$recipe" \
    --worker "writer=script:examples/$recipe/worker.toml" --worker "judge=script:examples/$recipe/worker.toml"
done
run svg-figure svg-figure --input examples/svg-figure/figures.jsonl --out "$demo/svg-figure" \
  --worker artist=script:examples/svg-figure/worker.toml

printf '\n== all runs\n'
"$lathe" --journal "$demo/journal" runs
printf '\nreports:\n'
ls "$demo"/*.html
