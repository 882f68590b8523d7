// Loudness, clipping, silence and dropouts of sound.
#include "loop/senses/signal_facts.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace lathe::loop {
namespace {

constexpr std::size_t kFrame = kSoundRate / 100;
constexpr double kFloorDb = -100;
constexpr double kSilentDb = -60;   // full scale; a take whose loud frames are below is silent
constexpr double kSpeechDb = 30;    // speech is what is at most this far below the loud frames
constexpr double kQuietDb = 38;     // and a pause what is at least this far below
constexpr double kHardEdgeDb = 22;  // a pause fades; a drop-out begins or ends within this
constexpr double kLeastGap = 0.1;   // shorter ones are the stops of speech
constexpr int kFullScale = 32718;   // 0.9985
constexpr int kClipRun = 4;

std::vector<double> frame_levels(const Sound& sound) {
  std::vector<double> levels;
  for (std::size_t i = 0; i + kFrame <= sound.samples.size(); i += kFrame) {
    double energy = 0;
    for (std::size_t k = i; k < i + kFrame; ++k)
      energy += static_cast<double>(sound.samples[k]) * sound.samples[k];
    const double rms = std::sqrt(energy / kFrame) / 32768;
    levels.push_back(rms > 0 ? std::max(20 * std::log10(rms), kFloorDb) : kFloorDb);
  }
  return levels;
}

double quantile(std::vector<double> values, double share) {
  const auto at = static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::ranges::nth_element(values, values.begin() + at);
  return values[static_cast<std::size_t>(at)];
}

int clipped_runs(const Sound& sound) {
  int runs = 0, length = 0;
  for (const std::int16_t sample : sound.samples) {
    length = std::abs(int{sample}) >= kFullScale ? length + 1 : 0;
    if (length == kClipRun) ++runs;
  }
  return runs;
}

double seconds_of(std::size_t frames) {
  return static_cast<double>(frames) / 100;
}

// Level of the 20 ms before or after a sample, as a peak.
double edge_db(const Sound& sound, std::size_t from, std::size_t to) {
  int peak = 1;
  for (std::size_t i = from; i < to; ++i) peak = std::max(peak, std::abs(int{sound.samples[i]}));
  return 20 * std::log10(peak / 32768.0);
}

void find_dropouts(const Sound& sound, double loud, SignalFacts& facts) {
  const auto& samples = sound.samples;
  const auto first = static_cast<std::size_t>(facts.speech_start * kSoundRate);
  const auto last =
      std::min(static_cast<std::size_t>(facts.speech_end * kSoundRate), samples.size());
  for (std::size_t i = first; i < last;) {
    if (samples[i] != 0) {
      ++i;
      continue;
    }
    std::size_t end = i;
    while (end < last && samples[end] == 0) ++end;
    const double length = static_cast<double>(end - i) / kSoundRate;
    const double before = edge_db(sound, i > 2 * kFrame ? i - 2 * kFrame : 0, i);
    const double after = edge_db(sound, end, std::min(end + 2 * kFrame, samples.size()));
    if (length >= kLeastGap && std::max(before, after) > loud - kHardEdgeDb)
      facts.dropouts.push_back({static_cast<double>(i) / kSoundRate, length});
    i = end;
  }
}

}  // namespace

SignalFacts signal_facts(const Sound& sound) {
  SignalFacts facts;
  facts.seconds = sound.seconds();
  facts.clipped_runs = clipped_runs(sound);
  facts.loudness = loudness_of(sound);
  const std::vector<double> levels = frame_levels(sound);
  if (levels.empty()) return facts;
  const double loud = quantile(levels, 0.95);
  if (loud < kSilentDb) return facts;
  facts.silent = false;
  facts.range_db = loud - quantile(levels, 0.10);
  const std::size_t edge = std::min<std::size_t>(3, levels.size());
  const auto edge_frames = static_cast<std::ptrdiff_t>(edge);
  facts.start_db = *std::max_element(levels.begin(), levels.begin() + edge_frames) - loud;
  facts.end_db = *std::max_element(levels.end() - edge_frames, levels.end()) - loud;

  const auto is_speech = [&](double level) { return level > loud - kSpeechDb; };
  const auto first = std::ranges::find_if(levels, is_speech);
  const auto last = std::find_if(levels.rbegin(), levels.rend(), is_speech).base();
  facts.speech_start = seconds_of(static_cast<std::size_t>(first - levels.begin()));
  facts.speech_end = seconds_of(static_cast<std::size_t>(last - levels.begin()));
  for (auto it = first; it < last;) {
    const auto quiet_end =
        std::find_if(it, last, [&](double level) { return level > loud - kQuietDb; });
    const double length = seconds_of(static_cast<std::size_t>(quiet_end - it));
    if (length > facts.silence_s) {
      facts.silence_s = length;
      facts.silence_at = seconds_of(static_cast<std::size_t>(it - levels.begin()));
    }
    it = quiet_end == last ? last : quiet_end + 1;
  }
  find_dropouts(sound, loud, facts);
  return facts;
}

double level_between(const Sound& sound, double start, double end) {
  const std::vector<double> levels = frame_levels(sound);
  if (levels.empty()) return kFloorDb;
  const double loud = quantile(levels, 0.95);
  const auto frame = [&](double seconds) {
    return std::min(static_cast<std::size_t>(std::max(seconds, 0.0) * 100), levels.size() - 1);
  };
  double most = kFloorDb;
  for (std::size_t i = frame(start); i <= frame(end); ++i) most = std::max(most, levels[i]);
  return most - loud;
}

}  // namespace lathe::loop
