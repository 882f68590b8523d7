// Stretches of a sound in which nobody can have spoken. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace lathe::infer {

// Frames of 10 ms, [first, end).
struct SilentStretch {
  std::size_t first = 0, end = 0;
  bool operator==(const SilentStretch&) const = default;
};

// Of a sound of 16 kHz: two seconds and longer, in which no frame is louder than −60 dB of full
// scale (root mean square), which is below the noise of a quiet room. Of each a third of a second
// at either end is left out, as a word may rise from it.
std::vector<SilentStretch> silent_stretches(std::span<const std::int16_t> samples);

// Where to go on from `at`: the end of the stretch that it lies in, else itself.
std::size_t behind_silence(std::span<const SilentStretch> stretches, std::size_t at);

}  // namespace lathe::infer
