// Sound files to samples.
#include "ground/media/sound_decode.h"

#include <sndfile.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>

namespace lathe {
namespace {

constexpr int kMinRate = 4000;
constexpr int kMaxRate = 192'000;
constexpr int kMaxChannels = 2;
constexpr float kFullScale = 0.9985F;
constexpr int kClipRun = 4;

struct Cursor {
  std::string_view bytes;
  sf_count_t at = 0;
};

sf_count_t cursor_length(void* user) {
  return static_cast<sf_count_t>(static_cast<Cursor*>(user)->bytes.size());
}

sf_count_t cursor_seek(sf_count_t offset, int whence, void* user) {
  auto& cursor = *static_cast<Cursor*>(user);
  const auto size = static_cast<sf_count_t>(cursor.bytes.size());
  const sf_count_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? cursor.at : size;
  // A crafted header may ask for any offset: additions that could overflow are ruled out first.
  if (offset > size || offset < -size) return -1;
  cursor.at = std::clamp<sf_count_t>(base + offset, 0, size);
  return cursor.at;
}

sf_count_t cursor_read(void* to, sf_count_t count, void* user) {
  auto& cursor = *static_cast<Cursor*>(user);
  const auto left = static_cast<sf_count_t>(cursor.bytes.size()) - cursor.at;
  const sf_count_t n = std::clamp<sf_count_t>(count, 0, left);
  std::memcpy(to, cursor.bytes.data() + cursor.at, static_cast<std::size_t>(n));
  cursor.at += n;
  return n;
}

sf_count_t cursor_write(const void*, sf_count_t, void*) {
  return 0;
}

sf_count_t cursor_tell(void* user) {
  return static_cast<Cursor*>(user)->at;
}

int count_clipped_runs(std::span<const float> samples, std::size_t channels) {
  int runs = 0;
  for (std::size_t c = 0; c < channels; ++c) {
    int length = 0;
    for (std::size_t i = c; i < samples.size(); i += channels) {
      length = std::abs(samples[i]) >= kFullScale ? length + 1 : 0;
      if (length == kClipRun) ++runs;
    }
  }
  return runs;
}

}  // namespace

Result<Decoded> decode_sound(std::string_view file) {
  if (file.empty()) return invalid("the sound file is empty");
  if (file.size() > kMaxSoundFile)
    return invalid("the sound file is longer than {} MiB", kMaxSoundFile >> 20);
  Cursor cursor{file};
  SF_VIRTUAL_IO io{cursor_length, cursor_seek, cursor_read, cursor_write, cursor_tell};
  SF_INFO info{};
  const std::unique_ptr<SNDFILE, decltype(&sf_close)> handle(
      sf_open_virtual(&io, SFM_READ, &info, &cursor), &sf_close);
  if (!handle) return invalid("not a readable sound file: {}", sf_strerror(nullptr));
  if (info.channels < 1 || info.channels > kMaxChannels)
    return invalid("the sound has {} channels; mono or stereo is wanted", info.channels);
  if (info.samplerate < kMinRate || info.samplerate > kMaxRate)
    return invalid("the sound has {} samples a second; {} to {} are possible", info.samplerate,
                   kMinRate, kMaxRate);

  // The header's own frame count is not believed: what can be read counts.
  const auto channels = static_cast<std::size_t>(info.channels);
  const auto most = static_cast<std::size_t>(kMaxSoundSeconds * info.samplerate);
  constexpr std::size_t kBlock = 16384;
  std::vector<float> samples;
  for (;;) {
    const std::size_t before = samples.size();
    samples.resize(before + kBlock * channels);
    const sf_count_t got = sf_readf_float(handle.get(), samples.data() + before, kBlock);
    samples.resize(before + static_cast<std::size_t>(std::max<sf_count_t>(got, 0)) * channels);
    if (got <= 0) break;
    if (samples.size() / channels > most)
      return invalid("the sound is longer than {} s", kMaxSoundSeconds);
  }
  if (samples.empty()) return invalid("the sound file holds no samples");
  Decoded decoded;
  decoded.source_rate = info.samplerate;
  decoded.source_channels = info.channels;
  decoded.clipped_runs = count_clipped_runs(samples, channels);
  LATHE_TRY(decoded.sound, make_sound(samples, info.channels, info.samplerate));
  return decoded;
}

}  // namespace lathe
