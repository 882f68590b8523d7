// Qwen3-ASR, Qwen3-Omni: seconds of sound through three convolutions, each with positions of its
// own; up to eight of them see each other.
#include <algorithm>

#include "infer/encoders/convolution.h"
#include "infer/encoders/sound_model.h"
#include "infer/encoders/vit.h"

namespace lathe::infer {
namespace {

constexpr std::size_t kSecond = 100;                                  // frames
constexpr std::size_t kSecondRows = halved(halved(halved(kSecond)));  // 13
constexpr std::size_t kSeconds = 8;                                   // of an input, at most

class Qwen3Audio final : public SoundModel {
 public:
  Qwen3Audio(const SoundHeader& header, WeightList& list)
      : bins_(header.bins),
        inner_(header.width),
        bands_(halved(halved(halved(header.bins)))),
        layers_(list, "a", VitSpec::of(header, EncoderNorm::kLayer)),
        width_(list.dimension("mm.a.mlp.2.weight", 1)) {
    std::size_t channels = 1;
    for (std::size_t i = 0; i < std::size(convolutions_); ++i) {
      convolutions_[i].ask(list, fmt::format("a.conv2d.{}", i + 1), channels,
                           HalvingConvolution::Along::kFrames);
      channels = convolutions_[i].channels();
    }
    joined_.ask(list, "a.conv_out", channels * bands_, inner_);
    const std::string table = "a.position_embd.weight";
    const std::size_t rows = std::max(list.dimension(table, 1), kSecondRows);
    list.part_of_numbers(table, rows * inner_, 0, kSecondRows * inner_, &positions_);
    post_norm_.ask(list, "a.post_ln", inner_, EncoderNorm::kLayer, header.epsilon);
    mlp_.ask(list, "mm.a.mlp.1", "mm.a.mlp.2", inner_, list.dimension("mm.a.mlp.1.weight", 1),
             width_, EncoderActivation::kGeluExact);
  }

  std::size_t width() const override { return width_; }
  std::size_t most_rows() const override { return kSeconds * kSecondRows; }
  std::size_t most_frames() const override { return kSeconds * kSecond; }
  // What the first convolution makes is the largest; the next one's stands beside it.
  std::uint64_t scratch_bytes() const override {
    const std::size_t first = halved(kSecond) * halved(bins_) * convolutions_[0].channels();
    const std::size_t second =
        halved(halved(kSecond)) * halved(halved(bins_)) * convolutions_[1].channels();
    return (first + second) * sizeof(float);
  }
  MelSpec mel() const override { return qwen3_mel(bins_); }
  SoundPlan plan(std::size_t samples) const override {
    SoundPlan plan{.inputs = {}, .before = {"<|audio_start|>"}, .after = {"<|audio_end|>"}};
    const std::size_t frames = samples == 0 ? 0 : mel().frames_of(samples);
    for (std::size_t first = 0; first < frames; first += most_frames()) {
      const std::size_t seconds = (std::min(frames - first, most_frames()) + kSecond - 1) / kSecond;
      plan.inputs.push_back({0, samples, first, seconds * kSecond});
    }
    return plan;
  }
  Result<std::vector<float>> encode(EncoderPass& pass, const MelFrames& mel) const override;

 private:
  void embed_second(EncoderPass& pass, const MelFrames& mel, std::size_t second) const;

  std::size_t bins_, inner_, bands_;
  HalvingConvolution convolutions_[3];
  LinearLayer joined_;
  std::vector<float> positions_;  // (kSecondRows, inner_)
  Vit layers_;
  NormLayer post_norm_;
  std::size_t width_;
  Mlp mlp_;
};

Result<std::vector<float>> Qwen3Audio::encode(EncoderPass& pass, const MelFrames& mel) const {
  const std::size_t seconds = mel.frames / kSecond, rows = seconds * kSecondRows;
  for (std::size_t second = 0; second < seconds; ++second) embed_second(pass, mel, second);
  LATHE_TRY_STATUS(layers_.run(pass, rows));
  std::vector<float> out(rows * width_);
  mlp_.run(
      pass, rows,
      [&](std::size_t i, float* row) {
        post_norm_.run(pass.kernels(), pass.x.data() + i * inner_, row);
      },
      out.data(), width_);
  return out;
}

void Qwen3Audio::embed_second(EncoderPass& pass, const MelFrames& mel, std::size_t second) const {
  SoundMap map = SoundMap::of(mel, second * kSecond, kSecond);
  for (const HalvingConvolution& convolution : convolutions_) {
    map = convolution.run(pass, map);
    pass.team->run(map.frames, [&](std::size_t i, int) {
      const std::size_t row = map.bands * map.channels;
      activate(pass.kernels(), EncoderActivation::kGeluExact, map.values.data() + i * row, row);
    });
  }
  float* x = pass.x.data() + second * kSecondRows * inner_;
  run_linear(
      pass, joined_, kSecondRows,
      [&](std::size_t i, float* row) {  // channel by channel
        for (std::size_t c = 0; c < map.channels; ++c)
          for (std::size_t b = 0; b < bands_; ++b)
            row[c * bands_ + b] = map.values[(i * bands_ + b) * map.channels + c];
      },
      x, inner_);
  pass.kernels().add(positions_.data(), positions_.size(), x);
}

}  // namespace

Result<std::unique_ptr<SoundModel>> make_qwen3_audio(const SoundHeader& header, WeightList& list) {
  return std::make_unique<Qwen3Audio>(header, list);
}

}  // namespace lathe::infer
