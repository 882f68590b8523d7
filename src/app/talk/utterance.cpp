// Loud frames, and how many quiet ones there are behind them.
#include "app/talk/utterance.h"

#include <algorithm>
#include <cmath>

namespace lathe::app {

bool utterance_ended(std::span<const std::int16_t> samples) {
  constexpr std::size_t kFrame = 320, kLeastLoud = 10, kPause = 45;
  const double bar = 32768.0 * std::pow(10.0, -40.0 / 20.0);
  std::size_t loud = 0, quiet = 0;
  for (std::size_t from = 0; from + kFrame <= samples.size(); from += kFrame) {
    double squares = 0;
    for (const std::int16_t sample : samples.subspan(from, kFrame))
      squares += static_cast<double>(sample) * sample;
    const bool is_loud = std::sqrt(squares / kFrame) > bar;
    loud += is_loud;
    quiet = is_loud ? 0 : quiet + 1;
  }
  return loud >= kLeastLoud && quiet >= kPause;
}

}  // namespace lathe::app
