// Numbers drawn from a seed, the same on every machine (std's distributions are not).
#pragma once

#include <cstdint>
#include <string_view>

#include "ground/base/result.h"

namespace lathe {

// SplitMix64.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9E3779B97F4A7C15U;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
  }
  std::size_t below(std::size_t count) {
    LATHE_CHECK(count > 0);
    return static_cast<std::size_t>(next() % count);
  }
  int between(int low, int high) {
    return low + static_cast<int>(below(static_cast<std::size_t>(high - low) + 1));
  }
  bool chance(int percent) { return between(0, 99) < percent; }
  double unit() { return static_cast<double>(next() >> 11) * 0x1p-53; }  // in [0, 1)
  template <class Range>
  const auto& pick(const Range& range) {
    return std::begin(range)[below(std::size(range))];
  }

 private:
  std::uint64_t state_;
};

inline std::uint64_t hash_text(std::string_view text, std::uint64_t seed = 0xCBF29CE484222325U) {
  for (const char c : text) seed = (seed ^ static_cast<unsigned char>(c)) * 0x100000001B3U;
  return seed;
}

}  // namespace lathe
