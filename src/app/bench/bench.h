// The product's benchmark of a model on this machine: what a person feels (load, time to the first
// token, tokens a second) and the curves that explain it (step cost by width, streams, depth).
// Every figure is a median of repetitions with its smallest and largest, all repetitions of all
// figures in a random order of a given seed; prompts are new text each, so that nothing is measured
// that was computed before, unless reuse is what is measured. Joules for a token of a prompt and
// for one of an answer stand apart: all that the machine takes, and what it takes above its rest.
// One thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "app/bench/record.h"
#include "infer/cpu/cpu_executor.h"

namespace lathe::app {

struct BenchPlan {
  int repeat = 5;
  std::vector<std::size_t> prompts = {128, 512};
  std::size_t answer = 64;  // tokens of a decode measurement
  std::vector<std::size_t> widths = {1, 2, 4, 8, 16, 32};
  std::vector<std::size_t> streams = {1, 4, 8};
  std::vector<std::size_t> depths = {};  // decode after so many tokens
  infer::KvType kv = infer::KvType::kF16;
  std::uint64_t seed = 1;
  // What the machine has taken so far; empty, or nothing at the start: energy is not measured.
  std::function<std::optional<double>()> joules = {};
  Milliseconds rest{2'000};  // so long it is looked at before, at rest
};

// `heard` is told each row when it is complete; the result has them in the order of the plan. When
// `stop` is raised the rows that are complete are the result. Refuses sizes beyond the context.
Result<std::vector<BenchRow>> bench_model(const infer::Model& model,
                                          const infer::Tokenizer& tokenizer,
                                          infer::ThreadTeam& team, const BenchPlan& plan,
                                          const StopFlag& stop,
                                          const std::function<void(const BenchRow&)>& heard);

}  // namespace lathe::app
