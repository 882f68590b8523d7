// Sound: resampling, WAV files.
#include "ground/media/sound.h"

#include <samplerate.h>

#include <algorithm>
#include <cmath>

namespace lathe {
namespace {

std::int16_t to_sample(double value) {
  return static_cast<std::int16_t>(std::clamp(std::lround(value * 32768.0), -32768L, 32767L));
}

void put(std::string& out, std::uint32_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 0xFFU);
}

Result<std::vector<float>> resampled(const std::vector<float>& mono, int from, int to) {
  const double ratio = static_cast<double>(to) / from;
  std::vector<float> out(static_cast<std::size_t>(static_cast<double>(mono.size()) * ratio) + 16);
  SRC_DATA task{};
  task.data_in = mono.data();
  task.input_frames = static_cast<long>(mono.size());
  task.data_out = out.data();
  task.output_frames = static_cast<long>(out.size());
  task.src_ratio = ratio;
  if (const int failed = src_simple(&task, SRC_SINC_MEDIUM_QUALITY, 1); failed != 0)
    return invalid("cannot resample from {} Hz: {}", from, src_strerror(failed));
  out.resize(static_cast<std::size_t>(task.output_frames_gen));
  return out;
}

}  // namespace

std::string wav_head(std::uint32_t data_bytes, int rate) {
  std::string out = "RIFF";
  put(out, data_bytes > UINT32_MAX - 36 ? UINT32_MAX : 36 + data_bytes, 4);
  out += "WAVEfmt ";
  put(out, 16, 4);
  put(out, 1, 2);  // PCM
  put(out, 1, 2);  // mono
  put(out, static_cast<std::uint32_t>(rate), 4);
  put(out, static_cast<std::uint32_t>(rate) * 2, 4);
  put(out, 2, 2);
  put(out, 16, 2);
  out += "data";
  put(out, data_bytes, 4);
  return out;
}

std::string wav_bytes(const Sound& sound) {
  const auto data = static_cast<std::uint32_t>(sound.samples.size() * 2);
  std::string out = wav_head(data);
  out.reserve(out.size() + data);
  for (const std::int16_t sample : sound.samples) put(out, static_cast<std::uint16_t>(sample), 2);
  return out;
}

Result<Sound> make_sound(std::span<const float> interleaved, int channels, int rate) {
  Sound sound;
  LATHE_TRY(sound.samples, make_samples(interleaved, channels, rate, kSoundRate));
  return sound;
}

Result<std::vector<std::int16_t>> make_samples(std::span<const float> interleaved, int channels,
                                               int rate, int wanted_rate) {
  const std::size_t width = static_cast<std::size_t>(channels);
  const std::size_t frames = interleaved.size() / width;
  std::vector<float> mono(frames);
  for (std::size_t i = 0; i < frames; ++i) {
    float sum = 0;
    for (std::size_t c = 0; c < width; ++c) sum += interleaved[i * width + c];
    // A float file may hold anything, infinities too.
    mono[i] = std::isfinite(sum) ? std::clamp(sum / static_cast<float>(channels), -4.0F, 4.0F) : 0;
  }
  if (rate != wanted_rate) {
    LATHE_TRY(mono, resampled(mono, rate, wanted_rate));
  }
  std::vector<std::int16_t> samples(mono.size());
  std::ranges::transform(mono, samples.begin(), [](float v) { return to_sample(v); });
  return samples;
}

Result<std::vector<std::int16_t>> samples_at(std::span<const std::int16_t> samples, int rate,
                                             int wanted_rate) {
  std::vector<float> mono(samples.size());
  std::ranges::transform(samples, mono.begin(),
                         [](std::int16_t v) { return static_cast<float>(v) / 32768.0F; });
  LATHE_TRY(const std::vector<float> out, resampled(mono, rate, wanted_rate));
  std::vector<std::int16_t> changed(out.size());
  std::ranges::transform(out, changed.begin(), [](float v) { return to_sample(v); });
  return changed;
}

Sound padded(const Sound& sound, double seconds_each_side) {
  const auto pad = static_cast<std::size_t>(seconds_each_side * kSoundRate);
  Sound out;
  out.samples.resize(sound.samples.size() + 2 * pad);
  std::ranges::copy(sound.samples, out.samples.begin() + static_cast<std::ptrdiff_t>(pad));
  return out;
}

Sound joined(std::span<const Sound> sounds, double pause_seconds) {
  const auto pause = static_cast<std::size_t>(pause_seconds * kSoundRate);
  Sound out;
  for (const Sound& sound : sounds) {
    if (!out.samples.empty()) out.samples.resize(out.samples.size() + pause);
    out.samples.insert(out.samples.end(), sound.samples.begin(), sound.samples.end());
  }
  return out;
}

Sound with_gain(const Sound& sound, double db) {
  const double factor = std::pow(10.0, db / 20);
  Sound out;
  out.samples.resize(sound.samples.size());
  std::ranges::transform(sound.samples, out.samples.begin(),
                         [&](std::int16_t v) { return to_sample(v * factor / 32768.0); });
  return out;
}

}  // namespace lathe
