// Numbers drawn from a seed, one after the other.
#pragma once

#include <cstdint>
#include <string_view>

#include "ground/base/random.h"
#include "ground/base/result.h"

namespace lathe::app {

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    const std::uint64_t state = state_;
    state_ += kMixStep;
    return mix64(state);
  }
  std::size_t below(std::size_t count) {
    LATHE_CHECK(count > 0);
    return static_cast<std::size_t>(next() % count);
  }
  int between(int low, int high) {
    return low + static_cast<int>(below(static_cast<std::size_t>(high - low) + 1));
  }
  bool chance(int percent) { return between(0, 99) < percent; }
  double unit() { return unit_interval(next()); }  // in [0, 1)
  template <class Range>
  const auto& pick(const Range& range) {
    return std::begin(range)[static_cast<std::ptrdiff_t>(below(std::size(range)))];
  }

 private:
  std::uint64_t state_;
};

inline std::uint64_t hash_text(std::string_view text, std::uint64_t seed = 0xCBF29CE484222325U) {
  for (const char c : text) seed = (seed ^ static_cast<unsigned char>(c)) * 0x100000001B3U;
  return seed;
}

}  // namespace lathe::app
