// Sounds as files that other programs play: WAV, raw samples, FLAC, Ogg Opus, MP3. Of one's own
// samples only, so that it may be done in this process.
#pragma once

#include <memory>
#include <optional>

#include "ground/media/sound.h"

namespace lathe {

enum class SoundFormat { kWav, kPcm, kFlac, kOpus, kMp3 };
std::string_view sound_format_name(SoundFormat format);  // "wav" "pcm" "flac" "opus" "mp3"
std::optional<SoundFormat> parse_sound_format(std::string_view name);
std::string_view sound_media_type(SoundFormat format);

inline constexpr int kPcmRate = 24000;  // of kPcm: 16 bit, little-endian, mono, as clients take it

// Whether the system's libsndfile writes it; what is missing is an error that names it.
Status can_write(SoundFormat format);

// A file that grows. One thread.
class SoundWriter {
 public:
  // `streamed`: who reads gets the bytes as they come, so that the head cannot say how long the
  // sound is. `rate`: of what is written to it; kPcm is brought to its own.
  static Result<std::unique_ptr<SoundWriter>> open(SoundFormat format, bool streamed,
                                                   int rate = kSoundRate);
  virtual ~SoundWriter() = default;

  virtual Status write(std::span<const std::int16_t> samples) = 0;
  Status write(const Sound& sound) { return write(std::span(sound.samples)); }
  // The end; nothing is written behind it.
  virtual Status finish() = 0;
  // Bytes so far. Without `streamed` the first ones may change until the end.
  const std::string& bytes() const { return bytes_; }

 protected:
  std::string bytes_;
};

// All of it, with a head that says how long it is.
Result<std::string> encode_sound(const Sound& sound, SoundFormat format);

}  // namespace lathe
