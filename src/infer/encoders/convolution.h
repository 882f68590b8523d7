// Convolutions over frames and bands of a sound, as encoders begin with: a kernel of 3 × 3 at every
// second place both ways, zeros around. A product of gathered rows, as patches of pictures are.
#pragma once

#include "infer/encoders/layers.h"
#include "infer/encoders/mel.h"

namespace lathe::infer {

struct SoundMap {
  std::size_t frames = 0, bands = 0, channels = 0;
  std::vector<float> values;  // (frames, bands, channels)

  std::size_t count() const { return frames * bands; }
  // Frames [first, first + count), one channel.
  static SoundMap of(const MelFrames& mel, std::size_t first, std::size_t count);
};

// What so many frames or bands are halved to.
constexpr std::size_t halved(std::size_t count) {
  return (count + 1) / 2;
}

class HalvingConvolution {
 public:
  static constexpr std::size_t kMaxChannels = 1024;
  // Which of a kernel's two ways lies one number behind the other in the file; the channels it
  // reads come last.
  enum class Along : std::uint8_t { kFrames, kBands };

  // `name`.weight and, if it is there, .bias: of `channels`, as many as the file has for it.
  void ask(WeightList& list, const std::string& name, std::size_t channels, Along along);
  std::size_t channels() const { return channels_; }  // that it makes
  SoundMap run(EncoderPass& pass, const SoundMap& in) const;

 private:
  LinearLayer linear_;
  std::size_t read_ = 0, channels_ = 0;
  Along along_ = Along::kFrames;
};

}  // namespace lathe::infer
