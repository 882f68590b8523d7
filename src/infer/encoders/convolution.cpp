// Kernels of 3 × 3 as products.
#include "infer/encoders/convolution.h"

#include <algorithm>

namespace lathe::infer {
namespace {

constexpr std::size_t kSide = 3;

}  // namespace

SoundMap SoundMap::of(const MelFrames& mel, std::size_t first, std::size_t count) {
  const auto begin = mel.values.begin() + static_cast<std::ptrdiff_t>(first * mel.bins);
  return {.frames = count,
          .bands = mel.bins,
          .channels = 1,
          .values = {begin, begin + static_cast<std::ptrdiff_t>(count * mel.bins)}};
}

void HalvingConvolution::ask(WeightList& list, const std::string& name, std::size_t channels,
                             Along along) {
  read_ = channels;
  // Where the file has more, what is asked for is not what it has, which the list tells.
  channels_ = std::min(list.dimension(name + ".weight", 3), kMaxChannels);
  along_ = along;
  linear_.ask(list, name, kSide * kSide * read_, channels_);
}

SoundMap HalvingConvolution::run(EncoderPass& pass, const SoundMap& in) const {
  LATHE_CHECK(in.channels == read_);
  SoundMap out{
      .frames = halved(in.frames), .bands = halved(in.bands), .channels = channels_, .values = {}};
  out.values.resize(out.count() * channels_);
  const auto gather = [&](std::size_t place, float* to) {
    for (std::size_t tap = 0; tap < kSide * kSide; ++tap) {
      const std::size_t slow = tap / kSide, fast = tap % kSide;
      // One further than they are.
      const std::size_t frame = place / out.bands * 2 + (along_ == Along::kFrames ? fast : slow);
      const std::size_t band = place % out.bands * 2 + (along_ == Along::kFrames ? slow : fast);
      const bool there = frame >= 1 && frame <= in.frames && band >= 1 && band <= in.bands;
      const float* from = there ? &in.values[((frame - 1) * in.bands + band - 1) * read_] : nullptr;
      for (std::size_t c = 0; c < read_; ++c) to[c * kSide * kSide + tap] = there ? from[c] : 0;
    }
  };
  run_linear(pass, linear_, out.count(), gather, out.values.data(), channels_);
  return out;
}

}  // namespace lathe::infer
