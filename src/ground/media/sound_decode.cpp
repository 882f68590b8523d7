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
// What the decoder's memory holds, resampled as well.
constexpr std::size_t kMaxFrames = 150'000'000;

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

// What is read, as one channel; and runs at full scale, of each channel.
class Reader {
 public:
  explicit Reader(std::size_t channels) : lengths_(channels) {}

  void add(std::span<const float> interleaved) {
    const std::size_t channels = lengths_.size();
    for (std::size_t i = 0; i < interleaved.size(); i += channels) {
      float sum = 0;
      for (std::size_t c = 0; c < channels; ++c) {
        const float sample = interleaved[i + c];
        lengths_[c] = std::abs(sample) >= kFullScale ? lengths_[c] + 1 : 0;
        if (lengths_[c] == kClipRun) ++clipped_runs;
        sum += sample;
      }
      mono.push_back(sum / static_cast<float>(channels));
    }
  }

  std::vector<float> mono;
  int clipped_runs = 0;

 private:
  std::vector<int> lengths_;
};

}  // namespace

Result<Decoded> decode_sound(std::string_view file, int wanted_rate) {
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
  const auto most = static_cast<std::size_t>(
      std::min(kMaxSoundSeconds * info.samplerate, static_cast<double>(kMaxFrames)));
  constexpr std::size_t kBlock = 16384;
  std::vector<float> block(kBlock * channels);
  Reader reader(channels);
  for (;;) {
    const sf_count_t got = sf_readf_float(handle.get(), block.data(), kBlock);
    if (got <= 0) break;
    reader.add(std::span(block).first(static_cast<std::size_t>(got) * channels));
    if (reader.mono.size() > most)
      return invalid("the sound is longer than {} minutes; cut it into parts",
                     most / static_cast<std::size_t>(info.samplerate) / 60);
  }
  if (reader.mono.empty()) return invalid("the sound file holds no samples");
  Decoded decoded;
  decoded.source_rate = info.samplerate;
  decoded.source_channels = info.channels;
  decoded.clipped_runs = reader.clipped_runs;
  LATHE_TRY(decoded.sound.samples, make_samples(reader.mono, 1, info.samplerate, wanted_rate));
  return decoded;
}

}  // namespace lathe
