// Reads a sound file (wav, flac, ogg, mp3, … by libsndfile). Foreign bytes: call it in a confined
// process only; decode_sound_file() does.
#pragma once

#include "ground/media/sound.h"

namespace lathe {

inline constexpr std::size_t kMaxSoundFile = std::size_t{95} << 20;  // 50 minutes as WAV
inline constexpr double kMaxSoundSeconds = 3000;  // its samples are a message to the parent

struct Decoded {
  Sound sound;  // or samples in the rate that was asked for
  int source_rate = 0;
  int source_channels = 0;
  int clipped_runs = 0;  // of four or more samples at full scale, counted before resampling
};

Result<Decoded> decode_sound(std::string_view file, int wanted_rate = kSoundRate);

}  // namespace lathe
