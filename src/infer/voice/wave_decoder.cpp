// Frames of codes through all parts of a decoder of waves, some at a time.
#include "infer/voice/wave_decoder.h"

#include <algorithm>

namespace lathe::infer {
namespace {

constexpr std::size_t kFramesAtOnce = 16;
// What the widest part of a frame may take: some ten times what published models do.
constexpr std::uint64_t kMostFrameFloats = std::uint64_t{1} << 22;
constexpr std::size_t kMostWaveBooks = 64, kMostCodeWidth = std::size_t{1} << 16;
constexpr float kUpsamplingEpsilon = 1e-6F;
const std::string kWave = "a.gen.wav.";

// The layers' sizes are the file's tensors', but for what no key says.
CausalSpec wave_layers(const WeightList& list) {
  CausalSpec spec;
  spec.name = kWave + "tfm.blk.";
  spec.width = list.dimension(kWave + "tfm.in_proj.weight", 1);
  spec.hidden = list.dimension(spec.name + "0.ffn_gate.weight", 1);
  spec.layers = 8;
  spec.heads = spec.kv_heads = 16;
  spec.window = 72;
  spec.base = 1e4;
  spec.epsilon = 1e-5F;
  spec.scales = true;
  return spec;
}

}  // namespace

class WaveDecoder::Trail {
 public:
  explicit Trail(std::vector<PastRows>& all) : all_(all) {}
  PastRows& next() {
    if (at_ == all_.size()) all_.emplace_back();
    return all_[at_++];
  }

 private:
  std::vector<PastRows>& all_;
  std::size_t at_ = 0;
};

WaveDecoder::WaveDecoder(WeightList& list, WeightList& tables) : layers_(list, wave_layers(list)) {
  const std::string first = kWave + "quant.first.", rest = kWave + "quant.rest.";
  const std::string pre = kWave + "pre_conv", entry = kWave + "dac.entry";
  code_width_ = tables.dimension(first + "codebook.weight", 0);
  codes_ = tables.dimension(first + "codebook.weight", 1);
  books_ = 1 + std::min(tables.dimension(rest + "codebook.weight", 2), kMostWaveBooks);
  first_codes_.ask(tables, first + "codebook", code_width_, codes_);
  other_codes_.ask(tables, rest + "codebook", code_width_, (books_ - 1) * codes_);
  const std::size_t joined = list.dimension(first + "out_proj.weight", 1);
  first_out_.ask(list, first + "out_proj", code_width_, joined);
  other_out_.ask(list, rest + "out_proj", code_width_, joined);
  width_ = list.dimension(pre + ".weight", 2);
  before_.ask(list, pre, joined, width_, 3);
  inner_ = list.dimension(kWave + "tfm.in_proj.weight", 1);
  in_.ask(list, kWave + "tfm.in_proj", width_, inner_);
  norm_.ask(list, kWave + "tfm.output_norm", inner_, EncoderNorm::kRms, 1e-5F);
  out_.ask(list, kWave + "tfm.out_proj", inner_, width_);
  for (std::size_t i = 0; i < std::size(upsamplings_); ++i)
    ask_upsampling(list, fmt::format("{}up.blk.{}.", kWave, i), width_, upsamplings_[i]);
  entry_width_ = list.dimension(entry + ".weight", 2);
  entry_.ask(list, entry, width_, entry_width_, 7);
  std::size_t width = entry_width_;
  for (std::size_t i = 0; i < std::size(blocks_); ++i)
    width = ask_block(list, fmt::format("{}dac.blk.{}.", kWave, i), width, blocks_[i]);
  last_snake_.ask(list, kWave + "dac.post_snake", width);
  last_.ask(list, kWave + "dac.post_conv", width, 1, 7);
}

void WaveDecoder::ask_upsampling(WeightList& list, const std::string& name, std::size_t width,
                                 Upsampling& part) const {
  part.widen.ask(list, name + "conv", width, width, 1);
  part.mix.ask(list, name + "dwconv", width, 7);
  part.norm.ask(list, name + "norm", width, EncoderNorm::kLayer, kUpsamplingEpsilon);
  part.mlp.ask(list, name + "pw1", name + "pw2", width, list.dimension(name + "pw1.weight", 1),
               width, EncoderActivation::kGelu);
  list.numbers(name + "gamma", width, &part.gamma);
}

// → the width of its rows.
std::size_t WaveDecoder::ask_block(WeightList& list, const std::string& name, std::size_t width,
                                   Block& block) const {
  const std::size_t out = list.dimension(name + "conv.weight", 1);
  block.snake.ask(list, name + "snake", width);
  block.widen.ask(list, name + "conv", width, out, 2);
  std::size_t dilation = 1;
  for (std::size_t i = 0; i < std::size(block.residuals); ++i, dilation *= 3) {
    const std::string own = fmt::format("{}res.{}.", name, i);
    Residual& residual = block.residuals[i];
    residual.act1.ask(list, own + "act1", out);
    residual.conv1.ask(list, own + "conv1", out, out, 7, dilation);
    residual.act2.ask(list, own + "act2", out);
    residual.conv2.ask(list, own + "conv2", out, out, 1);
  }
  return out;
}

Status WaveDecoder::check(const Gguf& file) const {
  LATHE_TRY_STATUS(layers_.check(file));
  if (frame_floats() <= kMostFrameFloats) return {};
  return invalid("{}: its decoder of waves widens a frame to {} numbers; at most {} are possible",
                 file.path().string(), frame_floats(), kMostFrameFloats);
}

std::size_t WaveDecoder::frame_samples() const {
  std::size_t samples = 1;
  for (const Upsampling& part : upsamplings_) samples *= part.widen.stride();
  for (const Block& block : blocks_) samples *= block.widen.stride();
  return samples;
}

// The most that a part makes of a frame, products included. Strides are bounded, widths are those
// of tensors in the file: nothing overflows.
std::uint64_t WaveDecoder::frame_floats() const {
  std::uint64_t rows = 1, most = 0;
  const auto widened = [&](const WideningConvolution& part) {
    most = std::max<std::uint64_t>(most, rows * part.width() * part.taps());
    rows *= part.stride();
  };
  for (const Upsampling& part : upsamplings_) widened(part.widen);
  most = std::max<std::uint64_t>(most, rows * entry_width_);
  for (const Block& block : blocks_) widened(block.widen);
  return most;
}

EncoderSizes WaveDecoder::sizes(const WeightList& list, const KernelTable& kernels,
                                int threads) const {
  return layers_.sizes(list, kernels, kFramesAtOnce, threads);
}

Status WaveDecoder::reserve(const WeightList& list, const WeightLoading& loading,
                            ThreadTeam& team) {
  pass_.team = &team;
  return pass_.reserve(sizes(list, *loading.kernels, team.size()));
}

// What goes in, what comes out, and what a residual keeps beside them.
std::uint64_t WaveDecoder::row_bytes() const {
  return 3 * kFramesAtOnce * frame_floats() * sizeof(float);
}

Result<std::vector<float>> WaveDecoder::decode(std::span<const std::int32_t> codes, Past& past,
                                               const StopFlag* stop) {
  LATHE_CHECK(codes.size() % books_ == 0);
  pass_.stop = stop;
  std::vector<float> samples;
  for (std::size_t at = 0; at < codes.size(); at += kFramesAtOnce * books_) {
    const auto block = codes.subspan(at, std::min(kFramesAtOnce * books_, codes.size() - at));
    LATHE_TRY(const std::vector<float> more, decode_block(block, past));
    samples.insert(samples.end(), more.begin(), more.end());
  }
  return samples;
}

Result<std::vector<float>> WaveDecoder::decode_block(std::span<const std::int32_t> codes,
                                                     Past& past) {
  Trail trail(past.convolutions);
  RowBuffer rows = before_.run(pass_, embed(codes), trail.next());
  RowBuffer inner = RowBuffer::of(rows.count, inner_);
  in_.run(pass_, rows.values.data(), rows.count, inner.values.data(), inner_);
  LATHE_TRY_STATUS(layers_.run(pass_, inner.values.data(), rows.count, past.layers));
  pass_.team->run(rows.count, [&](std::size_t i, int) {
    norm_.run(pass_.kernels(), inner.row(i), inner.row(i));
  });
  out_.run(pass_, inner.values.data(), rows.count, rows.values.data(), width_);
  for (const Upsampling& part : upsamplings_) rows = upsample(part, std::move(rows), trail);
  rows = entry_.run(pass_, rows, trail.next());
  for (const Block& block : blocks_) {
    LATHE_TRY_STATUS(pass_.check_stop());
    rows = widen(block, std::move(rows), trail);
  }
  bend(last_snake_, rows, rows);
  rows = last_.run(pass_, rows, trail.next());
  for (float& sample : rows.values) sample = std::clamp(sample, -1.0F, 1.0F);
  return std::move(rows.values);
}

// A frame's first code as a row, and the sum of what the others are as another.
RowBuffer WaveDecoder::embed(std::span<const std::int32_t> codes) {
  const std::size_t frames = codes.size() / books_;
  RowBuffer first = RowBuffer::of(frames, code_width_), rest = RowBuffer::of(frames, code_width_);
  std::vector<float> one(code_width_);
  for (std::size_t i = 0; i < frames; ++i)
    for (std::size_t book = 0; book < books_; ++book) {
      const std::int32_t code = codes[i * books_ + book];
      LATHE_CHECK(code >= 0 && static_cast<std::size_t>(code) < codes_);
      if (book == 0) {
        first_codes_.row(static_cast<std::size_t>(code), first.row(i));
        continue;
      }
      other_codes_.row((book - 1) * codes_ + static_cast<std::size_t>(code), one.data());
      pass_.kernels().add(one.data(), code_width_, rest.row(i));
    }
  RowBuffer out = RowBuffer::of(frames, first_out_.rows()), other = out;
  first_out_.run(pass_, first.values.data(), frames, out.values.data(), out.width);
  other_out_.run(pass_, rest.values.data(), frames, other.values.data(), out.width);
  pass_.kernels().add(other.values.data(), other.values.size(), out.values.data());
  return out;
}

// ConvNeXt's block (Liu et al. 2022) behind a convolution that widens.
RowBuffer WaveDecoder::upsample(const Upsampling& part, RowBuffer rows, Trail& trail) {
  rows = part.widen.run(pass_, rows, trail.next());
  const RowBuffer mixed = part.mix.run(pass_, rows, trail.next());
  RowBuffer made = RowBuffer::of(rows.count, rows.width);
  part.mlp.run(
      pass_, rows.count,
      [&](std::size_t i, float* to) { part.norm.run(pass_.kernels(), mixed.row(i), to); },
      made.values.data(), made.width);
  pass_.team->run(rows.count, [&](std::size_t i, int) {
    pass_.kernels().mul(part.gamma.data(), rows.width, made.row(i));
    pass_.kernels().add(made.row(i), rows.width, rows.row(i));
  });
  return rows;
}

RowBuffer WaveDecoder::widen(const Block& block, RowBuffer rows, Trail& trail) {
  bend(block.snake, rows, rows);
  rows = block.widen.run(pass_, rows, trail.next());
  for (const Residual& residual : block.residuals) {
    RowBuffer made = RowBuffer::of(rows.count, rows.width);
    bend(residual.act1, rows, made);
    made = residual.conv1.run(pass_, made, trail.next());
    bend(residual.act2, made, made);
    made = residual.conv2.run(pass_, made, trail.next());
    pass_.team->run(rows.count, [&](std::size_t i, int) {
      pass_.kernels().add(made.row(i), rows.width, rows.row(i));
    });
  }
  return rows;
}

void WaveDecoder::bend(const Snake& snake, const RowBuffer& in, RowBuffer& out) {
  pass_.team->run(in.count, [&](std::size_t i, int) { snake.run(in.row(i), out.row(i)); });
}

}  // namespace lathe::infer
