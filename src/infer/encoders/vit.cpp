// The layers of a vision transformer, strung from linear layers, norms and attention.
#include "infer/encoders/vit.h"

#include <algorithm>
#include <cmath>

namespace lathe::infer {

VitSpec VitSpec::of(const EncoderHeader& header, EncoderNorm norm) {
  VitSpec spec;
  spec.width = header.width;
  spec.heads = header.heads;
  spec.layers = header.layers;
  spec.hidden = header.hidden;
  spec.norm = norm;
  spec.epsilon = header.epsilon;
  spec.activation = header.activation;
  return spec;
}

Vit::Vit(WeightList& list, const std::string& prefix, const VitSpec& spec)
    : spec_(spec), layers_(spec.layers) {
  if (spec.value_norm) value_norm_ = NormLayer::plain(spec.width / spec.heads, spec.epsilon);
  for (std::size_t i = 0; i < layers_.size(); ++i)
    ask(list, fmt::format("{}.blk.{}.", prefix, i), layers_[i]);
}

void Vit::ask(WeightList& list, const std::string& name, Layer& layer) const {
  const std::size_t width = spec_.width, head_dim = width / spec_.heads;
  const auto norm_if_there = [&](const std::string& norm, std::size_t size,
                                 std::optional<NormLayer>& to) {
    if (!list.has(name + norm + ".weight")) return;
    to.emplace().ask(list, name + norm, size, EncoderNorm::kRms, spec_.epsilon);
  };
  const auto scale_if_there = [&](const std::string& scale, std::vector<float>& to) {
    if (list.has(name + scale + ".weight")) list.numbers(name + scale + ".weight", width, &to);
  };
  layer.norm1.ask(list, name + "ln1", width, spec_.norm, spec_.epsilon);
  layer.norm2.ask(list, name + "ln2", width, spec_.norm, spec_.epsilon);
  if (const std::string joint = name + "attn_qkv"; list.has(joint + ".weight")) {
    layer.q.ask_part(list, joint, width, 3 * width, 0, width);
    layer.k.ask_part(list, joint, width, 3 * width, width, width);
    layer.v.ask_part(list, joint, width, 3 * width, 2 * width, width);
  } else {
    layer.q.ask(list, name + "attn_q", width, width);
    layer.k.ask(list, name + "attn_k", width, width);
    layer.v.ask(list, name + "attn_v", width, width);
  }
  norm_if_there("attn_q_norm", head_dim, layer.q_norm);
  norm_if_there("attn_k_norm", head_dim, layer.k_norm);
  layer.out.ask(list, name + "attn_out", width, width);
  scale_if_there("ls1", layer.attention_scale);
  norm_if_there("attn_post_norm", width, layer.attention_post);
  // Old converters named the two the wrong way round: what gives the width is the second.
  const bool swapped = spec_.hidden != width && list.dimension(name + "ffn_up.weight", 1) == width;
  layer.up.ask(list, name + (swapped ? "ffn_down" : "ffn_up"), width, spec_.hidden);
  if (list.has(name + "ffn_gate.weight"))
    layer.gate.emplace().ask(list, name + "ffn_gate", width, spec_.hidden);
  layer.down.ask(list, name + (swapped ? "ffn_up" : "ffn_down"), spec_.hidden, width);
  scale_if_there("ls2", layer.ffn_scale);
  norm_if_there("ffn_post_norm", width, layer.ffn_post);
}

Status Vit::run(EncoderPass& pass, const Run& run) const {
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    LATHE_TRY_STATUS(pass.check_stop());
    mix(pass, layers_[i], run, run.spans(i));
    feed(pass, layers_[i], run.rows);
    if (run.after) run.after(i);
  }
  return {};
}

Status Vit::run(EncoderPass& pass, std::size_t rows, const Rotation* rotation) const {
  const Spans all{rows};
  Run whole;
  whole.rows = rows;
  whole.rotation = rotation;
  whole.spans = [&all](std::size_t) -> const Spans& { return all; };
  return run(pass, whole);
}

// x += what attention makes of its norm.
void Vit::mix(EncoderPass& pass, const Layer& layer, const Run& run, const Spans& spans) const {
  const std::size_t width = spec_.width;
  for_blocks(run.rows, [&](std::size_t first, std::size_t count) {
    float* normed = pass.input.data();
    pass.team->run(count, [&](std::size_t i, int) {
      layer.norm1.run(pass.kernels(), pass.x.data() + (first + i) * width, normed + i * width);
    });
    layer.q.run(pass, normed, count, pass.q.data() + first * width, width);
    layer.k.run(pass, normed, count, pass.left.data(), width);
    layer.v.run(pass, normed, count, pass.right.data(), width);
    pass.team->run(count, [&](std::size_t i, int thread) {
      finish_heads(pass, layer, run, first, i, thread);
    });
  });
  attend(pass, pass.memory, pass.q.data(), run.rows,
         [&spans](std::size_t row) { return seen_in(spans, row); });
  for_blocks(run.rows, [&](std::size_t first, std::size_t count) {
    layer.out.run(pass, pass.q.data() + first * width, count, pass.left.data(), width);
    add(pass, layer.attention_post, layer.attention_scale, first, count);
  });
}

// Norms and rotation of the i-th row of a block; its keys and values to where attention reads them.
void Vit::finish_heads(EncoderPass& pass, const Layer& layer, const Run& run, std::size_t first,
                       std::size_t i, int thread) const {
  const KernelTable& kernels = pass.kernels();
  const std::size_t dim = spec_.width / spec_.heads, row = first + i;
  const float scale = spec_.score_scale.value_or(1 / std::sqrt(static_cast<float>(dim)));
  const auto turn = [&](float* head) {
    if (run.rotation == nullptr) return;
    const Rotation& rotation = *run.rotation;
    const std::size_t piece = dim / rotation.parts;
    for (std::size_t p = 0; p < rotation.parts; ++p) {
      const float* cosines = rotation.angles.data() + row * dim + p * piece;
      kernels.rope(head + p * piece, cosines, cosines + piece / 2, piece, rotation.split_halves);
    }
  };
  for (std::size_t h = 0; h < spec_.heads; ++h) {
    float* q = pass.q.data() + row * spec_.width + h * dim;
    float* k = pass.left.data() + i * spec_.width + h * dim;
    float* v = pass.right.data() + i * spec_.width + h * dim;
    if (layer.q_norm) layer.q_norm->run(kernels, q, q);
    if (layer.k_norm) layer.k_norm->run(kernels, k, k);
    if (value_norm_) value_norm_->run(kernels, v, v);
    turn(q);
    turn(k);
    kernels.train.scale(q, scale, dim);
    pass.memory.store(row, h, k, v, pass.room(thread));
  }
}

// x += what the feed-forward part makes of its norm.
void Vit::feed(EncoderPass& pass, const Layer& layer, std::size_t rows) const {
  const std::size_t width = spec_.width, hidden = spec_.hidden;
  const KernelTable& kernels = pass.kernels();
  for_blocks(rows, [&](std::size_t first, std::size_t count) {
    float* normed = pass.input.data();
    pass.team->run(count, [&](std::size_t i, int) {
      layer.norm2.run(kernels, pass.x.data() + (first + i) * width, normed + i * width);
    });
    float *up = pass.left.data(), *gate = pass.right.data();
    layer.up.run(pass, normed, count, up, hidden);
    if (layer.gate) layer.gate->run(pass, normed, count, gate, hidden);
    pass.team->run(count, [&](std::size_t i, int) {
      float* row = up + i * hidden;
      if (!layer.gate) return activate(kernels, spec_.activation, row, hidden);
      activate(kernels, spec_.activation, gate + i * hidden, hidden);
      kernels.mul(gate + i * hidden, hidden, row);
    });
    // In place: a linear layer copies its input first.
    layer.down.run(pass, up, count, pass.left.data(), width);
    add(pass, layer.ffn_post, layer.ffn_scale, first, count);
  });
}

// pass.left, which a part has left, to rows [first, first + count) of x.
void Vit::add(EncoderPass& pass, const std::optional<NormLayer>& post,
              const std::vector<float>& scale, std::size_t first, std::size_t count) const {
  const KernelTable& kernels = pass.kernels();
  pass.team->run(count, [&](std::size_t i, int) {
    float* branch = pass.left.data() + i * spec_.width;
    if (!scale.empty()) kernels.mul(scale.data(), spec_.width, branch);
    if (post) post->run(kernels, branch, branch);
    kernels.add(branch, spec_.width, pass.x.data() + (first + i) * spec_.width);
  });
}

}  // namespace lathe::infer
