// Loudness by EBU R128.
#include "loop/senses/loudness.h"

#include <ebur128.h>

#include <algorithm>
#include <cmath>
#include <memory>

namespace lathe::loop {
namespace {

constexpr double kFloorDb = -70;

double finite_db(double db) {
  return std::isfinite(db) ? std::max(db, kFloorDb) : kFloorDb;
}

}  // namespace

Loudness loudness_of(const Sound& sound) {
  Loudness loudness;
  if (sound.samples.empty()) return loudness;
  ebur128_state* raw = ebur128_init(1, kSoundRate, EBUR128_MODE_I | EBUR128_MODE_TRUE_PEAK);
  if (!raw) return loudness;
  const std::unique_ptr<ebur128_state*, void (*)(ebur128_state**)> state(&raw, ebur128_destroy);
  // R128 gates blocks of 400 ms: a shorter clip is measured as if it went on.
  constexpr std::size_t kAtLeast = kSoundRate;
  for (std::size_t fed = 0; fed < kAtLeast; fed += sound.samples.size())
    ebur128_add_frames_short(raw, sound.samples.data(), sound.samples.size());
  double value = 0;
  if (ebur128_loudness_global(raw, &value) == EBUR128_SUCCESS) loudness.lufs = finite_db(value);
  if (ebur128_true_peak(raw, 0, &value) == EBUR128_SUCCESS)
    loudness.true_peak_db = finite_db(20 * std::log10(value));
  return loudness;
}

Sound levelled(const Sound& sound, double lufs, double peak_db) {
  const Loudness now = loudness_of(sound);
  if (now.lufs <= kFloorDb) return sound;
  return with_gain(sound, std::min(lufs - now.lufs, peak_db - now.true_peak_db));
}

}  // namespace lathe::loop
