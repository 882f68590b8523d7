// Answers of several streams with a device that is lost again and again, at kernels that a seed
// chooses, and comes back each time.
#pragma once

#include <cstdint>
#include <functional>

namespace lathe::infer {

struct SoakWish {
  std::size_t losses = 1000, streams = 8, tokens = 200;
  std::uint32_t seed = 1;
};
struct SoakResult {
  std::size_t answers = 0;  // that were compared
  std::size_t differ = 0;   // of them, with the processor's
  std::size_t losses = 0, back = 0;
};
// `told` (may be empty) hears of each round of answers.
SoakResult soak(const SoakWish& wish, const std::function<void(const SoakResult&)>& told = {});

}  // namespace lathe::infer
