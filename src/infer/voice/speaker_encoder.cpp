// Mel frames to a row that says who speaks.
#include "infer/voice/speaker_encoder.h"

#include <algorithm>
#include <cmath>

#include "infer/voice/wave_decoder.h"

namespace lathe::infer {
namespace {

constexpr std::size_t kParts = 8;  // of the channels in a block; the first one stays as it is
constexpr std::size_t kMostSamples = std::size_t{60} * kVoiceRate, kLeastSamples = kVoiceRate / 4;
constexpr double kLeastVariance = 1e-12;

MelSpec speaker_mel(std::size_t bins) {
  MelSpec spec;
  spec.rate = kVoiceRate;
  spec.fft = spec.window = spec.span = 1024;
  spec.hop = 256;
  spec.bins = bins;
  spec.magnitude = true;
  spec.front = spec.back = 384;
  spec.log = MelSpec::Log::kLn;
  spec.floor = 1e-5;
  return spec;
}

// Row `at` − `reach` of so many, mirrored at both ends.
std::size_t mirrored(std::size_t at, std::size_t reach, std::size_t count) {
  if (at < reach) return reach - at;
  const std::size_t row = at - reach;
  return row < count ? row : 2 * (count - 1) - row;
}

}  // namespace

SpeakerEncoder::SpeakerEncoder(const VoiceHeader& header, WeightList& list)
    : bank_(speaker_mel(std::max<std::size_t>(header.bins, 1))) {
  const auto ask = [&](Convolution& part, const std::string& name, std::size_t in, std::size_t out,
                       std::size_t taps, std::size_t dilation) {
    part.taps = taps;
    part.dilation = dilation;
    part.linear.ask(list, name, taps * in, out);
  };
  channels_ = list.dimension("a.conv1d.0.weight", 2);
  ask(first_, "a.conv1d.0", header.bins, channels_, 5, 1);
  const std::size_t part = channels_ / kParts;
  for (std::size_t i = 0; i < std::size(blocks_); ++i) {
    Block& block = blocks_[i];
    const std::string name = fmt::format("a.blk.{}.", i + 1);
    const std::size_t hidden = list.dimension(name + "se_conv1.weight", 2);
    ask(block.in, name + "conv_pw1", channels_, channels_, 1, 1);
    for (std::size_t j = 0; j < kParts - 1; ++j)
      ask(block.parts[j], fmt::format("{}res2.{}", name, j), part, part, 3, i + 2);
    ask(block.out, name + "conv_pw2", kParts * part, channels_, 1, 1);
    block.squeeze.ask(list, name + "se_conv1", channels_, hidden);
    block.excite.ask(list, name + "se_conv2", hidden, channels_);
  }
  const std::size_t width = list.dimension("a.conv_out.weight", 2);
  const std::size_t seen = list.dimension("a.asp_tdnn.weight", 2);
  ask(joined_, "a.conv_out", std::size(blocks_) * channels_, width, 1, 1);
  ask(look_, "a.asp_tdnn", 3 * width, seen, 1, 1);
  ask(attention_, "a.asp_attn", seen, width, 1, 1);
  attention_.relu = false;
  last_.ask(list, "mm.a.fc", 2 * width, header.embedding);
}

EncoderSizes SpeakerEncoder::sizes(const WeightList& list, const KernelTable& kernels,
                                   int threads) const {
  EncoderSizes sizes;
  sizes.kernels = &kernels;
  sizes.rows = sizes.width = sizes.heads = 1;  // nothing here has heads
  sizes.max_k = list.max_k();
  sizes.max_rows = list.max_rows();
  sizes.threads = static_cast<std::size_t>(threads);
  return sizes;
}

Status SpeakerEncoder::reserve(const WeightList& list, const WeightLoading& loading,
                               ThreadTeam& team) {
  pass_.team = &team;
  return pass_.reserve(sizes(list, *loading.kernels, team.size()));
}

// Those of a block, of all blocks joined, of what they become, and what each of these weighs.
std::uint64_t SpeakerEncoder::row_bytes() const {
  const std::uint64_t frames = kMostSamples / speaker_mel(1).hop;
  return frames * (bank_.spec().bins + (std::size(blocks_) + 12) * channels_) * sizeof(float);
}

Result<std::vector<float>> SpeakerEncoder::embed(std::span<const std::int16_t> samples,
                                                 const StopFlag* stop) {
  if (samples.size() < kLeastSamples)
    return invalid("the recording of the voice is {:.2f} s long; a quarter of a second is needed",
                   static_cast<double>(samples.size()) / kVoiceRate);
  pass_.stop = stop;
  const MelReader reader(samples.first(std::min(samples.size(), kMostSamples)), bank_, *pass_.team);
  MelFrames mel = reader.read(0, reader.frames());
  RowBuffer rows = convolve(first_, {mel.frames, mel.bins, std::move(mel.values)});
  RowBuffer all = RowBuffer::of(rows.count, std::size(blocks_) * channels_);
  for (std::size_t i = 0; i < std::size(blocks_); ++i) {
    LATHE_TRY_STATUS(pass_.check_stop());
    rows = run(blocks_[i], rows);
    for (std::size_t t = 0; t < rows.count; ++t)
      std::copy_n(rows.row(t), channels_, all.row(t) + i * channels_);
  }
  const std::vector<float> pooled = pool(convolve(joined_, all));
  std::vector<float> row(last_.rows());
  last_.run(pass_, pooled.data(), 1, row.data(), row.size());
  return row;
}

RowBuffer SpeakerEncoder::convolve(const Convolution& part, const RowBuffer& in) {
  const std::size_t reach = part.taps / 2 * part.dilation;
  RowBuffer out = RowBuffer::of(in.count, part.linear.rows());
  run_linear(
      pass_, part.linear, in.count,
      [&](std::size_t i, float* to) {  // channel by channel, as the file has the kernel
        for (std::size_t tap = 0; tap < part.taps; ++tap) {
          const float* row = in.row(mirrored(i + tap * part.dilation, reach, in.count));
          for (std::size_t c = 0; c < in.width; ++c) to[c * part.taps + tap] = row[c];
        }
      },
      out.values.data(), out.width);
  if (part.relu)
    for (float& value : out.values) value = std::max(value, 0.0F);
  return out;
}

// Each part of the channels reads what came of the one before it, too (Gao et al. 2019, "Res2Net").
RowBuffer SpeakerEncoder::run(const Block& block, const RowBuffer& in) {
  const RowBuffer rows = convolve(block.in, in);
  const std::size_t width = rows.width / kParts;
  RowBuffer joined = RowBuffer::of(rows.count, kParts * width), before;
  for (std::size_t j = 0; j < kParts; ++j) {
    RowBuffer part = RowBuffer::of(rows.count, width);
    for (std::size_t t = 0; t < rows.count; ++t) {
      std::copy_n(rows.row(t) + j * width, width, part.row(t));
      if (j > 1) pass_.kernels().add(before.row(t), width, part.row(t));
    }
    if (j > 0) part = convolve(block.parts[j - 1], part);
    for (std::size_t t = 0; t < rows.count; ++t)
      std::copy_n(part.row(t), width, joined.row(t) + j * width);
    before = std::move(part);
  }
  RowBuffer out = convolve(block.out, joined);
  weigh(block, out);
  pass_.kernels().add(in.values.data(), in.values.size(), out.values.data());
  return out;
}

// Channels times what their means over time say (Hu et al. 2018, "Squeeze-and-Excitation").
void SpeakerEncoder::weigh(const Block& block, RowBuffer& rows) {
  std::vector<double> sums(rows.width);
  for (std::size_t t = 0; t < rows.count; ++t)
    for (std::size_t c = 0; c < rows.width; ++c) sums[c] += double{rows.row(t)[c]};
  std::vector<float> means(rows.width), hidden(block.squeeze.rows()), weights(rows.width);
  for (std::size_t c = 0; c < rows.width; ++c)
    means[c] = static_cast<float>(sums[c] / static_cast<double>(rows.count));
  block.squeeze.run(pass_, means.data(), 1, hidden.data(), hidden.size());
  for (float& value : hidden) value = std::max(value, 0.0F);
  block.excite.run(pass_, hidden.data(), 1, weights.data(), weights.size());
  pass_.kernels().recurrent.sigmoid(weights.data(), weights.size(), weights.data());
  for (std::size_t t = 0; t < rows.count; ++t)
    pass_.kernels().mul(weights.data(), rows.width, rows.row(t));
}

// (2 · width): each channel's mean and deviation over time, weighed by attention, which reads the
// row and the mean and the deviation that weigh all alike.
std::vector<float> SpeakerEncoder::pool(const RowBuffer& rows) {
  const std::size_t width = rows.width, count = rows.count;
  const auto statistics = [&](const auto& weight) {
    std::vector<float> both(2 * width);
    pass_.team->run(width, [&](std::size_t c, int) {
      double mean = 0, variance = 0;
      for (std::size_t t = 0; t < count; ++t) mean += weight(t, c) * double{rows.row(t)[c]};
      for (std::size_t t = 0; t < count; ++t)
        variance += weight(t, c) * std::pow(double{rows.row(t)[c]} - mean, 2);
      both[c] = static_cast<float>(mean);
      both[width + c] = static_cast<float>(std::sqrt(std::max(variance, kLeastVariance)));
    });
    return both;
  };
  const double even = 1 / static_cast<double>(count);
  const std::vector<float> plain = statistics([&](std::size_t, std::size_t) { return even; });
  RowBuffer told = RowBuffer::of(count, 3 * width);
  for (std::size_t t = 0; t < count; ++t) {
    std::copy_n(rows.row(t), width, told.row(t));
    std::ranges::copy(plain, told.row(t) + width);
  }
  RowBuffer looked = convolve(look_, told);
  pass_.kernels().soft_cap(looked.values.data(), looked.values.size(), 1);
  const RowBuffer scores = convolve(attention_, looked);
  std::vector<float> weights(count * width);  // (width, count)
  pass_.team->run(width, [&](std::size_t c, int) {
    float* own = &weights[c * count];
    for (std::size_t t = 0; t < count; ++t) own[t] = scores.row(t)[c];
    const float sum = pass_.kernels().exp_sum(own, count, pass_.kernels().max(own, count));
    pass_.kernels().train.scale(own, 1 / sum, count);
  });
  return statistics([&](std::size_t t, std::size_t c) { return double{weights[c * count + t]}; });
}

}  // namespace lathe::infer
