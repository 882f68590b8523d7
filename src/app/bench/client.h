// The questions of a benchmark and what a target makes of them before it is measured: how many
// tokens a word is there, what prompts share, whether it caches and says so.
#pragma once

#include <map>

#include "app/bench/drive.h"

namespace lathe::app {

struct Shape {
  std::size_t prompt_tokens = 256;  // about
  int answer_tokens = 64;           // at most
  bool warm = false;                // all prompts are the same one, and computed before
  // Against the end of an answer, so that all are of one length; empty: it may end early.
  std::map<int, double> bias = {};
};

// Sends a new prompt, then a few more of them twice each.
struct Calibration {
  double tokens_per_word = 1.3;  // where the target does not count
  bool counts = false;
  std::int64_t shared_tokens = 0;   // that a new prompt has from the cache: the template's head
  std::int64_t cached_tokens = 0;   // of the same prompt again
  double new_ms = 0, again_ms = 0;  // to the first token: the least, and the median
};
Result<Calibration> calibrate(Target& target, const Shape& shape, std::uint64_t seed,
                              const StopFlag& stop);
// What it says of the target; "": nothing.
std::string cache_fault_of(const Calibration& calibration);

// New text for every question (`seed` and its number), but for the first one of a point, which is
// the same everywhere: its answers show whether the bits are. Warm shapes always ask that one.
Questions questions_of(const Shape& shape, const Calibration& calibration, std::uint64_t seed);
// The answers to the fixed question: their hash where all are the same, else how many there are.
struct SameBits {
  std::size_t answers = 0, different = 0;
  std::string hash = {};
};
SameBits same_bits(const std::vector<Point>& points);

}  // namespace lathe::app
