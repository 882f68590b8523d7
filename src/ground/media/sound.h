// Sound as Lathe keeps it: 16 kHz, mono, 16 bit. Pure functions; the same input gives the same
// bits.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ground/base/result.h"

namespace lathe {

inline constexpr int kSoundRate = 16000;

struct Sound {
  std::vector<std::int16_t> samples;
  double seconds() const { return static_cast<double>(samples.size()) / kSoundRate; }
};

inline constexpr std::string_view kWavMediaType = "audio/wav";
std::string wav_bytes(const Sound& sound);
// Of a file of so many bytes of samples.
std::string wav_head(std::uint32_t data_bytes, int rate = kSoundRate);

// Interleaved samples of any rate and channel count, mixed to mono and resampled.
Result<Sound> make_sound(std::span<const float> interleaved, int channels, int rate);
// The same in another rate than a Sound has.
Result<std::vector<std::int16_t>> make_samples(std::span<const float> interleaved, int channels,
                                               int rate, int wanted_rate);

// The same sound in so many samples a second.
Result<std::vector<std::int16_t>> samples_at(std::span<const std::int16_t> samples, int rate,
                                             int wanted_rate);

Sound padded(const Sound& sound, double seconds_each_side);
Sound joined(std::span<const Sound> sounds, double pause_seconds);
Sound with_gain(const Sound& sound, double db);

}  // namespace lathe
