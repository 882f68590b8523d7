// Numbers that depend on nothing but a seed and a place: the same on every machine (std's
// distributions are not), and no state to keep in a checkpoint.
#pragma once

#include <cstdint>

namespace lathe {

// SplitMix64 (Steele, Lea and Flood, 2014): its output from the state x, which then moves on by
// kMixStep.
inline constexpr std::uint64_t kMixStep = 0x9e3779b97f4a7c15u;
inline std::uint64_t mix64(std::uint64_t x) {
  x += kMixStep;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

inline std::uint64_t random_at(std::uint64_t seed, std::uint64_t stream, std::uint64_t place) {
  return mix64(mix64(mix64(seed) ^ stream) ^ place);
}

// In [0, 1).
inline double unit_interval(std::uint64_t bits) {
  return static_cast<double>(bits >> 11) * 0x1p-53;
}
inline double uniform_at(std::uint64_t seed, std::uint64_t stream, std::uint64_t place) {
  return unit_interval(random_at(seed, stream, place));
}

}  // namespace lathe
