// Gemma 4: frames through two convolutions, layers of a conformer, two matrices. Half minutes of
// sound are pieces that know nothing of each other.
#include <algorithm>

#include "ground/media/sound.h"
#include "infer/encoders/conformer.h"
#include "infer/encoders/convolution.h"
#include "infer/encoders/sound_model.h"

namespace lathe::infer {
namespace {

constexpr std::size_t kPiece = std::size_t{30} * kSoundRate;  // samples

class Gemma4Audio final : public SoundModel {
 public:
  Gemma4Audio(const SoundHeader& header, WeightList& list)
      : bins_(header.bins),
        inner_(header.width),
        layers_(list, header),
        width_(list.dimension("mm.a.input_projection.weight", 1)) {
    std::size_t channels = 1, bands = bins_;
    for (std::size_t i = 0; i < std::size(convolutions_); ++i) {
      const std::string name = fmt::format("a.conv1d.{}", i);
      convolutions_[i].ask(list, name, channels, HalvingConvolution::Along::kBands);
      channels = convolutions_[i].channels();
      bands = halved(bands);
      channel_norms_[i].ask(list, name + ".norm", channels, EncoderNorm::kLayer,
                            Conformer::kEpsilon);
    }
    joined_.ask(list, "a.input_projection", bands * channels, inner_);
    const std::size_t between = list.dimension("a.pre_encode.out.weight", 1);
    first_.ask(list, "a.pre_encode.out", inner_, between);
    const std::string norm = "mm.a.soft_emb_norm";
    norm_ = NormLayer::plain(between, Conformer::kEpsilon);
    if (list.has(norm + ".weight"))
      norm_.ask(list, norm, between, EncoderNorm::kRms, Conformer::kEpsilon);
    second_.ask(list, "mm.a.input_projection", between, width_);
  }

  std::size_t width() const override { return width_; }
  std::size_t most_rows() const override { return halved(halved(most_frames())); }
  std::size_t most_frames() const override { return mel().frames_of(kPiece); }
  // What the first convolution makes is the largest; the next one's stands beside it.
  std::uint64_t scratch_bytes() const override {
    const std::size_t first = halved(most_frames()) * halved(bins_) * convolutions_[0].channels();
    const std::size_t second = most_rows() * halved(halved(bins_)) * convolutions_[1].channels();
    return (first + second) * sizeof(float) + layers_.scratch_bytes(most_rows());
  }
  MelSpec mel() const override { return gemma4_mel(bins_); }
  SoundPlan plan(std::size_t samples) const override {
    SoundPlan plan{.inputs = {}, .before = {"<|audio>"}, .after = {"<audio|>"}};
    for (std::size_t first = 0; first < samples; first += kPiece) {
      const std::size_t count = std::min(samples - first, kPiece);
      const std::size_t frames = mel().frames_of(count);
      if (frames > 0) plan.inputs.push_back({first, count, 0, frames});
    }
    return plan;
  }
  Result<std::vector<float>> encode(EncoderPass& pass, const MelFrames& mel) const override;

 private:
  std::size_t bins_, inner_;
  HalvingConvolution convolutions_[2];
  NormLayer channel_norms_[2];
  LinearLayer joined_;
  Conformer layers_;
  LinearLayer first_, second_;
  NormLayer norm_;
  std::size_t width_;
};

Result<std::vector<float>> Gemma4Audio::encode(EncoderPass& pass, const MelFrames& mel) const {
  const KernelTable& kernels = pass.kernels();
  SoundMap map = SoundMap::of(mel, 0, mel.frames);
  for (std::size_t i = 0; i < std::size(convolutions_); ++i) {
    map = convolutions_[i].run(pass, map);
    pass.team->run(map.count(), [&](std::size_t place, int) {
      float* channels = map.values.data() + place * map.channels;
      channel_norms_[i].run(kernels, channels, channels);
      for (std::size_t c = 0; c < map.channels; ++c) channels[c] = std::max(channels[c], 0.0f);
    });
  }
  const std::size_t rows = map.frames, row_width = map.bands * map.channels;
  run_linear(
      pass, joined_, rows,
      [&](std::size_t i, float* row) {
        std::copy_n(map.values.data() + i * row_width, row_width, row);
      },
      pass.x.data(), inner_);
  LATHE_TRY_STATUS(layers_.run(pass, rows));

  std::vector<float> out(rows * width_);
  for_blocks(rows, [&](std::size_t at, std::size_t count) {
    const std::size_t between = first_.rows();
    first_.run(pass, pass.x.data() + at * inner_, count, pass.left.data(), between);
    pass.team->run(count, [&](std::size_t i, int) {
      float* row = pass.left.data() + i * between;
      norm_.run(kernels, row, row);
    });
    second_.run(pass, pass.left.data(), count, out.data() + at * width_, width_);
  });
  return out;
}

}  // namespace

Result<std::unique_ptr<SoundModel>> make_gemma4_audio(const SoundHeader& header, WeightList& list) {
  if (header.width % 2 != 0)
    return invalid(
        "{}: clip.audio.embedding_length is {}; half of it are sines, half cosines, so it must be "
        "even",
        header.place(), header.width);
  return std::make_unique<Gemma4Audio>(header, list);
}

}  // namespace lathe::infer
