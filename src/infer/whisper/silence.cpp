// How loud each hundredth of a second is.
#include "infer/whisper/silence.h"

#include <algorithm>

namespace lathe::infer {
namespace {

constexpr std::size_t kFrame = 160;  // samples
constexpr std::size_t kLeast = 200, kMargin = 33;
// Mean square of a frame: −60 dB of full scale.
constexpr double kLoudest = 32768.0 * 32768.0 * 1e-6;

bool is_silent(std::span<const std::int16_t> frame) {
  std::int64_t sum = 0;
  for (const std::int16_t sample : frame) sum += std::int64_t{sample} * sample;
  return static_cast<double>(sum) <= kLoudest * static_cast<double>(frame.size());
}

}  // namespace

std::vector<SilentStretch> silent_stretches(std::span<const std::int16_t> samples) {
  std::vector<SilentStretch> stretches;
  const std::size_t frames = samples.size() / kFrame;
  std::size_t first = 0;  // of the silence so far
  for (std::size_t frame = 0; frame <= frames; ++frame) {
    if (frame < frames && is_silent(samples.subspan(frame * kFrame, kFrame))) continue;
    // Before the sound and behind it there is no word to be cut.
    const std::size_t begin = first == 0 ? 0 : first + kMargin;
    const std::size_t end = frame == frames ? frames : frame - std::min(frame, kMargin);
    if (frame - first >= kLeast) stretches.push_back({begin, end});
    first = frame + 1;
  }
  return stretches;
}

std::size_t behind_silence(std::span<const SilentStretch> stretches, std::size_t at) {
  const auto next = std::ranges::upper_bound(stretches, at, {}, &SilentStretch::end);
  return next != stretches.end() && next->first <= at ? next->end : at;
}

}  // namespace lathe::infer
