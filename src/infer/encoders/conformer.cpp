// The layers of a conformer, strung from linear layers, norms and a narrow attention.
#include "infer/encoders/conformer.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace lathe::infer {
namespace {

constexpr float kScoreCap = 50;

// Sines, then cosines of the distance over timescales from 1 to 10 000.
std::vector<float> distance_table(std::size_t count, std::size_t width) {
  const std::size_t half = width / 2;
  const double step = std::log(10000.0) / static_cast<double>(std::max<std::size_t>(half, 2) - 1);
  std::vector<float> table(count * width);
  for (std::size_t distance = 0; distance < count; ++distance)
    for (std::size_t i = 0; i < half; ++i) {
      const double turn = static_cast<double>(distance) * std::exp(-static_cast<double>(i) * step);
      table[distance * width + i] = static_cast<float>(std::sin(turn));
      table[distance * width + half + i] = static_cast<float>(std::cos(turn));
    }
  return table;
}

}  // namespace

Conformer::Conformer(WeightList& list, const EncoderHeader& header)
    : width_(header.width),
      heads_(header.heads),
      distances_(distance_table(kSeen, header.width)),
      layers_(header.layers) {
  for (std::size_t i = 0; i < layers_.size(); ++i)
    ask(list, fmt::format("a.blk.{}.", i), header.hidden, layers_[i]);
}

void Conformer::ask(WeightList& list, const std::string& name, std::size_t hidden,
                    Layer& layer) const {
  const auto norm = [&](const char* own, NormLayer& to) {
    to.ask(list, name + own, width_, EncoderNorm::kRms, kEpsilon);
  };
  const auto feed = [&](const std::string& behind, Feed& to) {
    to.norm.ask(list, name + "ffn_norm" + behind, width_, EncoderNorm::kRms, kEpsilon);
    to.mlp.ask(list, name + "ffn_up" + behind, name + "ffn_down" + behind, width_, hidden, width_,
               EncoderActivation::kSilu);
    to.post.ask(list, name + "ffn_post_norm" + behind, width_, EncoderNorm::kRms, kEpsilon);
  };
  feed("", layer.first);
  norm("attn_pre_norm", layer.attention_norm);
  layer.q.ask(list, name + "attn_q", width_, width_);
  layer.k.ask(list, name + "attn_k", width_, width_);
  layer.v.ask(list, name + "attn_v", width_, width_);
  layer.distance.ask(list, name + "attn_k_rel", width_, width_);
  list.numbers(name + "per_dim_scale.weight", width_ / heads_, &layer.scales);
  layer.out.ask(list, name + "attn_out", width_, width_);
  norm("attn_post_norm", layer.attention_post);
  // Files have these two norms' names the wrong way round.
  norm("conv_norm", layer.mix_norm);
  norm("norm_conv", layer.mix_inner_norm);
  layer.mix_in.ask(list, name + "conv_pw1", width_, 2 * width_);
  list.numbers(name + "conv_dw.weight", width_ * kTaps, &layer.taps);
  layer.mix_out.ask(list, name + "conv_pw2", width_, width_);
  feed("_1", layer.last);
  norm("ln2", layer.norm);
}

Status Conformer::run(EncoderPass& pass, std::size_t count) const {
  Rows rows{.count = count,
            .keys = std::vector<float>(count * width_),
            .values = std::vector<float>(count * width_)};
  for (const Layer& layer : layers_) {
    LATHE_TRY_STATUS(pass.check_stop());
    feed(pass, layer.first, count);
    attend(pass, layer, rows);
    mix(pass, layer, rows);
    feed(pass, layer.last, count);
    pass.team->run(count, [&](std::size_t i, int) {
      float* row = pass.x.data() + i * width_;
      layer.norm.run(pass.kernels(), row, row);
    });
  }
  return {};
}

// x += half of what a feed-forward part makes of its norm.
void Conformer::feed(EncoderPass& pass, const Feed& part, std::size_t rows) const {
  part.mlp.run(
      pass, rows,
      [&](std::size_t i, float* row) {
        part.norm.run(pass.kernels(), pass.x.data() + i * width_, row);
      },
      pass.q.data(), width_);
  add(pass, &part.post, 0.5f, rows);
}

// x += what attention makes of its norm. With q' = q · scales · log2(e) / sqrt(head_dim) and k' =
// k · log2(1 + e), the score of a row `distance` back is q'·(k' + what the distance is told as),
// cut off softly.
void Conformer::attend(EncoderPass& pass, const Layer& layer, Rows& rows) const {
  const KernelTable& kernels = pass.kernels();
  const std::size_t dim = width_ / heads_;
  std::vector<float> distances(kSeen * width_);
  layer.distance.run(pass, distances_.data(), kSeen, distances.data(), width_);
  for_blocks(rows.count, [&](std::size_t first, std::size_t count) {
    float* normed = pass.input.data();
    pass.team->run(count, [&](std::size_t i, int) {
      layer.attention_norm.run(kernels, pass.x.data() + (first + i) * width_, normed + i * width_);
    });
    layer.q.run(pass, normed, count, pass.q.data() + first * width_, width_);
    layer.k.run(pass, normed, count, rows.keys.data() + first * width_, width_);
    layer.v.run(pass, normed, count, rows.values.data() + first * width_, width_);
  });
  const auto query_scale =
      static_cast<float>(std::numbers::log2e / std::sqrt(static_cast<double>(dim)));
  const auto key_scale = static_cast<float>(std::log2(1 + std::numbers::e));
  pass.team->run(rows.count, [&](std::size_t i, int) {
    float* q = pass.q.data() + i * width_;
    kernels.train.scale(q, query_scale, width_);
    for (std::size_t h = 0; h < heads_; ++h) kernels.mul(layer.scales.data(), dim, q + h * dim);
    kernels.train.scale(rows.keys.data() + i * width_, key_scale, width_);
  });
  pass.team->run(rows.count, [&](std::size_t i, int) { see(pass, rows, distances.data(), i); });
  run_linear(
      pass, layer.out, rows.count,
      [&](std::size_t i, float* row) { std::copy_n(pass.q.data() + i * width_, width_, row); },
      pass.q.data(), width_);
  add(pass, &layer.attention_post, 1, rows.count);
}

// The queries of a row become what its heads give.
void Conformer::see(EncoderPass& pass, const Rows& rows, const float* distances,
                    std::size_t row) const {
  const KernelTable& kernels = pass.kernels();
  const std::size_t dim = width_ / heads_, seen = std::min(row + 1, kSeen);
  for (std::size_t h = 0; h < heads_; ++h) {
    float* q = pass.q.data() + row * width_ + h * dim;
    float scores[kSeen];  // by distance
    for (std::size_t d = 0; d < seen; ++d)
      scores[d] = kernels.train.dot(q, rows.keys.data() + (row - d) * width_ + h * dim, dim) +
                  kernels.train.dot(q, distances + d * width_ + h * dim, dim);
    kernels.soft_cap(scores, seen, kScoreCap);
    const float sum = kernels.exp_sum(scores, seen, kernels.max(scores, seen));
    std::fill_n(q, dim, 0.0f);
    for (std::size_t d = seen; d-- > 0;)
      kernels.add_scaled(rows.values.data() + (row - d) * width_ + h * dim, scores[d] / sum, dim,
                         q);
  }
}

// x += what the convolution makes of its norm: a gated layer, kTaps rows channel by channel, a
// norm, SiLU, a layer.
void Conformer::mix(EncoderPass& pass, const Layer& layer, Rows& rows) const {
  const KernelTable& kernels = pass.kernels();
  std::vector<float>& gated = rows.keys;
  for_blocks(rows.count, [&](std::size_t first, std::size_t count) {
    float* normed = pass.input.data();
    pass.team->run(count, [&](std::size_t i, int) {
      layer.mix_norm.run(kernels, pass.x.data() + (first + i) * width_, normed + i * width_);
    });
    layer.mix_in.run(pass, normed, count, pass.left.data(), 2 * width_);
    pass.team->run(count, [&](std::size_t i, int) {
      const float* both = pass.left.data() + i * 2 * width_;
      float* row = gated.data() + (first + i) * width_;
      std::copy_n(both, width_, row);
      kernels.sigmoid_mul(both + width_, width_, row);
    });
  });
  const std::vector<float> silence(width_);
  run_linear(
      pass, layer.mix_out, rows.count,
      [&](std::size_t i, float* row) {
        const float* last[kTaps];  // the oldest first
        for (std::size_t tap = 0; tap < kTaps; ++tap)
          last[tap] =
              i + tap + 1 < kTaps ? silence.data() : gated.data() + (i + tap + 1 - kTaps) * width_;
        kernels.recurrent.convolve(last, layer.taps.data(), nullptr, kTaps, width_, row);
        layer.mix_inner_norm.run(kernels, row, row);
        kernels.recurrent.silu(row, width_);
      },
      pass.q.data(), width_);
  add(pass, nullptr, 1, rows.count);
}

// x += pass.q, which a part has left, after its norm.
void Conformer::add(EncoderPass& pass, const NormLayer* post, float scale, std::size_t rows) const {
  const KernelTable& kernels = pass.kernels();
  pass.team->run(rows, [&](std::size_t i, int) {
    float* branch = pass.q.data() + i * width_;
    if (post != nullptr) post->run(kernels, branch, branch);
    kernels.add_scaled(branch, scale, width_, pass.x.data() + i * width_);
  });
}

}  // namespace lathe::infer
