// Loud frames, and how many quiet ones there are behind them.
#include "app/talk/utterance.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace lathe::app {
namespace {

constexpr std::size_t kFrame = 320;

bool is_loud(std::span<const std::int16_t> frame) {
  const double bar = 32768.0 * std::pow(10.0, -40.0 / 20.0);
  double squares = 0;
  for (const std::int16_t sample : frame) squares += static_cast<double>(sample) * sample;
  return std::sqrt(squares / kFrame) > bar;
}

}  // namespace

bool utterance_ended(std::span<const std::int16_t> samples) {
  constexpr std::size_t kLeastLoud = 10, kPause = 45;
  std::size_t loud = 0, quiet = 0;
  for (std::size_t from = 0; from + kFrame <= samples.size(); from += kFrame) {
    const bool speech = is_loud(samples.subspan(from, kFrame));
    loud += speech;
    quiet = speech ? 0 : quiet + 1;
  }
  return loud >= kLeastLoud && quiet >= kPause;
}

std::optional<std::size_t> speech_in(std::span<const std::int16_t> samples) {
  constexpr std::size_t kFrames = 10, kLeastLoud = 6;
  std::vector<bool> loud;
  for (std::size_t from = 0; from + kFrame <= samples.size(); from += kFrame) {
    loud.push_back(is_loud(samples.subspan(from, kFrame)));
    const std::size_t first = loud.size() - std::min(loud.size(), kFrames);
    if (std::count(loud.begin() + static_cast<std::ptrdiff_t>(first), loud.end(), true) >=
        static_cast<std::ptrdiff_t>(kLeastLoud))
      return first * kFrame;
  }
  return std::nullopt;
}

}  // namespace lathe::app
