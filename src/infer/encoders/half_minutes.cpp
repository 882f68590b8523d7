// Qwen2-Audio, Ultravox, Voxtral: Whisper's encoder over half minutes of sound, each a piece of its
// own; some rows of it become one of the model.
#include <algorithm>

#include "infer/encoders/sound_model.h"
#include "infer/encoders/whisper_encoder.h"

namespace lathe::infer {
namespace {

constexpr std::size_t kFrames = 3000;  // of a half minute
constexpr std::size_t kRows = kFrames / 2;
constexpr std::size_t kMaxStack = 100;

class HalfMinutes : public SoundModel {
 public:
  // `pooled` rows are averaged, then `stacked` of those stand side by side: (pooled, stacked).
  struct Joined {
    std::size_t pooled = 1, stacked = 1;
  };
  HalfMinutes(const SoundHeader& header, WeightList& list, Joined joined, PromptWords before,
              PromptWords after)
      : bins_(header.bins),
        inner_(header.width),
        joined_(joined),
        before_(std::move(before)),
        after_(std::move(after)),
        encoder_(list, VitSpec::of(header, EncoderNorm::kLayer), header.bins, kRows) {
    post_norm_.ask(list, "a.post_ln", inner_, EncoderNorm::kLayer, header.epsilon);
  }

  std::size_t most_rows() const final { return kRows; }
  std::size_t most_frames() const final { return kFrames; }
  std::uint64_t scratch_bytes() const final { return kFrames * inner_ * sizeof(float); }
  MelSpec mel() const final { return whisper_mel(bins_); }
  // Silence stands behind the sound, and only whole half minutes are taken.
  SoundPlan plan(std::size_t samples) const final {
    SoundPlan plan{.inputs = {}, .before = before_, .after = after_};
    const std::size_t whole = samples == 0 ? 0 : mel().frames_of(samples) / kFrames;
    for (std::size_t i = 0; i < whole; ++i)
      plan.inputs.push_back({0, samples, i * kFrames, kFrames});
    return plan;
  }
  Result<std::vector<float>> encode(EncoderPass& pass, const MelFrames& mel) const final;

 protected:
  std::size_t joined_width() const { return joined_.stacked * inner_; }
  // fill(i, row) writes the i-th of `count` joined rows; any thread. To out (count, width()).
  virtual void project(EncoderPass& pass, std::size_t count,
                       const std::function<void(std::size_t, float*)>& fill, float* out) const = 0;

 private:
  std::size_t bins_, inner_;
  Joined joined_;
  PromptWords before_, after_;
  WhisperEncoder encoder_;
  NormLayer post_norm_;
};

Result<std::vector<float>> HalfMinutes::encode(EncoderPass& pass, const MelFrames& mel) const {
  const KernelTable& kernels = pass.kernels();
  LATHE_TRY_STATUS(encoder_.run(pass, mel));
  const auto [pooled, stacked] = joined_;
  const std::size_t count = kRows / (pooled * stacked);  // what is left over makes no row
  std::vector<float> out(count * width());
  const auto fill = [&](std::size_t i, float* to) {
    for (std::size_t part = 0; part < stacked; ++part, to += inner_) {
      const float* rows = pass.x.data() + (i * stacked + part) * pooled * inner_;
      std::copy_n(rows, inner_, to);
      for (std::size_t p = 1; p < pooled; ++p) kernels.add(rows + p * inner_, inner_, to);
      if (pooled > 1) kernels.train.scale(to, 1 / static_cast<float>(pooled), inner_);
      post_norm_.run(kernels, to, to);
    }
  };
  project(pass, count, fill, out.data());
  return out;
}

class Qwen2Audio final : public HalfMinutes {
 public:
  Qwen2Audio(const SoundHeader& header, WeightList& list)
      : HalfMinutes(header, list, {.pooled = 2}, {"<|audio_bos|>"}, {"<|audio_eos|>"}),
        width_(list.dimension("mm.a.fc.weight", 1)) {
    linear_.ask(list, "mm.a.fc", joined_width(), width_);
  }
  std::size_t width() const override { return width_; }

 private:
  void project(EncoderPass& pass, std::size_t count,
               const std::function<void(std::size_t, float*)>& fill, float* out) const override {
    run_linear(pass, linear_, count, fill, out, width_);
  }
  std::size_t width_;
  LinearLayer linear_;
};

class Voxtral final : public HalfMinutes {
 public:
  Voxtral(const SoundHeader& header, WeightList& list, std::size_t stacked)
      : HalfMinutes(header, list, {.pooled = 2, .stacked = stacked}, {"[BEGIN_AUDIO]"}, {}),
        width_(list.dimension("mm.a.mlp.2.weight", 1)) {
    mlp_.ask(list, "mm.a.mlp.1", "mm.a.mlp.2", joined_width(),
             list.dimension("mm.a.mlp.1.weight", 1), width_, EncoderActivation::kGeluExact);
  }
  std::size_t width() const override { return width_; }

 private:
  void project(EncoderPass& pass, std::size_t count,
               const std::function<void(std::size_t, float*)>& fill, float* out) const override {
    mlp_.run(pass, count, fill, out, width_);
  }
  std::size_t width_;
  Mlp mlp_;
};

class Ultravox final : public HalfMinutes {
 public:
  Ultravox(const SoundHeader& header, WeightList& list, std::size_t stacked)
      : HalfMinutes(header, list, {.stacked = stacked}, {}, {}),
        hidden_(list.dimension("mm.a.mlp.1.weight", 1) / 2),
        width_(list.dimension("mm.a.mlp.2.weight", 1)) {
    constexpr float kEpsilon = 1e-6f;
    before_.ask(list, "mm.a.norm_pre", joined_width(), EncoderNorm::kRms, kEpsilon);
    first_.ask(list, "mm.a.mlp.1", joined_width(), 2 * hidden_);
    between_.ask(list, "mm.a.norm_mid", hidden_, EncoderNorm::kRms, kEpsilon);
    second_.ask(list, "mm.a.mlp.2", hidden_, width_);
  }
  std::size_t width() const override { return width_; }

 private:
  // The second half of what the first layer makes is the first one's gate.
  void project(EncoderPass& pass, std::size_t count,
               const std::function<void(std::size_t, float*)>& fill, float* out) const override {
    const KernelTable& kernels = pass.kernels();
    const std::size_t k = joined_width();
    for_blocks(count, [&](std::size_t at, std::size_t rows) {
      pass.team->run(rows, [&](std::size_t i, int) {
        float* row = pass.input.data() + i * k;
        fill(at + i, row);
        before_.run(kernels, row, row);
      });
      first_.run(pass, pass.input.data(), rows, pass.left.data(), 2 * hidden_);
      pass.team->run(rows, [&](std::size_t i, int) {
        const float* up = pass.left.data() + i * 2 * hidden_;
        float* row = pass.right.data() + i * hidden_;
        kernels.silu_mul(up + hidden_, up, hidden_, row);
        between_.run(kernels, row, row);
      });
      second_.run(pass, pass.right.data(), rows, out + at * width_, width_);
    });
  }
  std::size_t hidden_, width_;
  NormLayer before_, between_;
  LinearLayer first_, second_;
};

Result<std::size_t> read_stack(const SoundHeader& header) {
  return header.size("projector.stack_factor", 1, kMaxStack);
}

}  // namespace

Result<std::unique_ptr<SoundModel>> make_qwen2_audio(const SoundHeader& header, WeightList& list) {
  return std::make_unique<Qwen2Audio>(header, list);
}

Result<std::unique_ptr<SoundModel>> make_voxtral(const SoundHeader& header, WeightList& list) {
  LATHE_TRY(const std::size_t stacked, read_stack(header));
  return std::make_unique<Voxtral>(header, list, stacked);
}

Result<std::unique_ptr<SoundModel>> make_ultravox(const SoundHeader& header, WeightList& list) {
  LATHE_TRY(const std::size_t stacked, read_stack(header));
  return std::make_unique<Ultravox>(header, list, stacked);
}

}  // namespace lathe::infer
