#!/bin/sh
# Makes the starter model from seeds: tokenizer, random weights, drills, training, a round of accepted takes, Q8_0, and the
# frozen evaluation before and after the round. What is there is not made again: a stopped run goes on, in training from
# its checkpoint. $DRILLS, $ROUND_TASKS: more of them take longer and give a better model.
set -eu
cd "$(dirname "$0")/.."
out=${OUT:-build/starter}
drills=${DRILLS:-100000}
round_tasks=${ROUND_TASKS:-6000}
threads=$(nproc)
lathe=build/release/src/lathe
tool=build/release/src/lathe_make_starter
mkdir -p "$out"

# step FILE COMMAND…: unless FILE is there
step() {
  file=$1
  shift
  [ -s "$file" ] && return
  echo "== $file"
  "$@"
}
# tune MODEL DATA OUT RATE EPOCHS
tune() { "$lathe" tune "$1" "$2" --full --out "$3" --batch 4096 --rate "$4" --epochs "$5" --validation 0.01 --evaluations 8 --patience 0; }
evaluated() { "$tool" evaluate "$1" --threads "$threads" | tee "$2.part" && mv "$2.part" "$2"; }
mixed() { cat "$1" "$2" >"$3.part" && mv "$3.part" "$3"; }

step "$out/random.gguf" "$tool" base --seed 1 --out "$out/random.gguf"
step "$out/drills-a.jsonl" "$tool" drills --seed 12 --depths 1,2,2,2 --count $((drills * 3 / 4)) --out "$out/drills-a.jsonl"
step "$out/drills-b.jsonl" "$tool" drills --seed 13 --depths 1,2,2,2 --count $((drills / 4)) --out "$out/drills-b.jsonl"
step "$out/drills.jsonl" mixed "$out/drills-a.jsonl" "$out/drills-b.jsonl" "$out/drills.jsonl"
step "$out/base.gguf" tune "$out/random.gguf" "$out/drills.jsonl" "$out/base.gguf" 2e-3 1
step "$out/base-q8_0.gguf" "$lathe" quantize "$out/base.gguf" "$out/base-q8_0.gguf" Q8_0
step "$out/base.txt" evaluated "$out/base-q8_0.gguf" "$out/base.txt"

# The round: hard tasks have no gold, so what is learnt of them is what the judge accepted. It begins from the base again.
step "$out/takes.jsonl" "$tool" takes "$out/base.gguf" --seed 21 --depths 2,3,3 --count "$round_tasks" --temperature 0.7 \
  --threads "$threads" --out "$out/takes.jsonl"
lines=$(wc -l <"$out/takes.jsonl")
step "$out/replay.jsonl" "$tool" drills --seed 22 --depths 1,2,2,2 --count "$lines" --out "$out/replay.jsonl"
step "$out/round.jsonl" mixed "$out/takes.jsonl" "$out/replay.jsonl" "$out/round.jsonl"
step "$out/round.gguf" tune "$out/base.gguf" "$out/round.jsonl" "$out/round.gguf" 1e-3 2
step "$out/starter-q8_0.gguf" "$lathe" quantize "$out/round.gguf" "$out/starter-q8_0.gguf" Q8_0
step "$out/starter.txt" evaluated "$out/starter-q8_0.gguf" "$out/starter.txt"
