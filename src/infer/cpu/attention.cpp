// Attention of one step: projections, norms and rotation around the walk over the cache.
#include "infer/cpu/attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace lathe::infer {
namespace {

void layer_norm(const KernelTable& kernels, float* x, const PerSlot<std::vector<float>>& weights,
                Slot weight, Slot bias, float epsilon) {
  const std::size_t n = weights[weight].size();
  kernels.layer_norm(x, weights[weight].data(), n, epsilon, x);
  kernels.add(weights[bias].data(), n, x);
}

}  // namespace

Attention::Attention(const Model& model, std::size_t layer, std::size_t rope)
    : spec_(*model.blueprint().layers[layer].attention()),
      weights_(model.layers()[layer]),
      layer_(layer),
      rope_(rope),
      epsilon_(model.blueprint().norm_epsilon),
      ones_(spec_.plain_qk_norm || spec_.value_norm ? spec_.head_dim : 0, 1.0f),
      walk_(spec_.attends(), layer, spec_.sinks ? weights_.vector[Slot::kSinks].data() : nullptr) {
  if (!spec_.qkv_bias) return;
  const PerSlot<std::vector<float>>& all = weights_.vector;
  const std::size_t q_size = spec_.heads * spec_.head_dim, kv = spec_.kv_heads * spec_.head_dim;
  q_bias_ = all[spec_.joint_qkv ? Slot::kMixedBias : Slot::kQBias].data();
  k_bias_ = spec_.joint_qkv ? q_bias_ + q_size : all[Slot::kKBias].data();
  v_bias_ = spec_.joint_qkv ? k_bias_ + kv : all[Slot::kVBias].data();
}

void Attention::run(Step& step) const {
  ForwardScratch& s = step.scratch;
  float* q = spec_.output_gate ? s.mixed.data() : s.q.data();
  const Step::Linear inputs[] = {{Slot::kQ, q}, {Slot::kK, s.k.data()}, {Slot::kV, s.v.data()}};
  step.multiply_linears(layer_, s.normed, std::span(inputs).first(inputs_count()));
  step.team->run(step.tokens.size(), [&](std::size_t t, int thread) {
    finish_heads(step, t, walk_.scratch(step, thread));
  });
  s.heads.shape(spec_.heads * spec_.head_dim);
  walk_.run(step, {s.heads.row(0), s.heads.k(), spec_.head_dim});
  step.team->run(step.tokens.size(), [&](std::size_t t, int) {
    if (spec_.output_gate) open_gates(step, t);
    s.heads.quantize(step.kernels(), t, 0, s.heads.k());
  });
  const Step::Linear output{Slot::kAttentionOutput, s.branch.data()};
  step.multiply_linears(layer_, s.heads, {&output, 1});
}

const std::vector<float>* Attention::bias() const {
  return spec_.output_bias ? &weights_.vector[Slot::kAttentionOutputBias] : nullptr;
}

bool Attention::record(Step& step, Chain& chain) const {
  if (spec_.output_gate || spec_.qk_norm == QkNorm::kWhole || spec_.qk_norm == QkNorm::kWholeLayer)
    return false;
  ForwardScratch& s = step.scratch;
  const std::size_t tokens = step.tokens.size(), dim = spec_.head_dim;
  const std::size_t kv = spec_.kv_heads * dim;
  const auto memory = walk_.record_memory(step, chain);
  auto* const scale = chain.stage_for<float>(tokens);
  if (!memory || scale == nullptr) return false;
  for (std::size_t t = 0; t < tokens; ++t) scale[t] = scale_at(step.tokens[t].position);

  const auto bias = [&](const float* at, std::size_t n) {
    return at == nullptr ? Constant() : Constant(at, n);
  };
  const bool normed = spec_.qk_norm != QkNorm::kNone && !spec_.plain_qk_norm;
  const bool before = spec_.qk_norm == QkNorm::kHead;
  HeadsOp heads{.kv = step.layout->format().type,
                .tokens = tokens,
                .heads = spec_.heads,
                .kv_heads = spec_.kv_heads,
                .dim = dim,
                .q = s.q.data(),
                .q_bias = bias(q_bias_, spec_.heads * dim),
                .k_bias = bias(k_bias_, kv),
                .v_bias = bias(v_bias_, kv),
                .norm = spec_.qk_norm == QkNorm::kNone ? HeadsOp::Norm::kNone
                        : before                       ? HeadsOp::Norm::kBefore
                                                       : HeadsOp::Norm::kBehind,
                .q_norm = normed ? Constant(weights_.vector[Slot::kQNorm]) : Constant(),
                .k_norm = normed ? Constant(weights_.vector[Slot::kKNorm]) : Constant(),
                .value_norm = spec_.value_norm,
                .epsilon = epsilon_,
                .turned = spec_.rope.dimensions,
                .neox = spec_.rope.neox,
                .angles = spec_.rope.dimensions == 0 ? nullptr : step.angles(rope_, 0),
                .angle_stride = step.ropes.all.size() * step.ropes.stride,
                .scale = scale,
                .memory = *memory};
  if (!spec_.kv_of) {
    heads.k = s.k.data();
    heads.v = spec_.values_of_keys ? s.k.data() : s.v.data();
  }
  s.heads.shape(spec_.heads * dim);
  const Step::Linear inputs[] = {
      {Slot::kQ, s.q.data()}, {Slot::kK, s.k.data()}, {Slot::kV, s.v.data()}};
  const Step::Linear output{Slot::kAttentionOutput, s.branch.data()};
  return step.record_linears(chain, layer_, s.normed, std::span(inputs).first(inputs_count())) &&
         chain.heads(heads) && walk_.record(step, chain, *memory, s.heads) &&
         step.record_linears(chain, layer_, s.heads, {&output, 1});
}

// Of q, k and v, the matrices that there are.
std::size_t Attention::inputs_count() const {
  return spec_.kv_of ? 1 : spec_.values_of_keys ? 2 : 3;
}

// A head's gate stands behind its q in scratch.mixed.
void Attention::open_gates(Step& step, std::size_t t) const {
  const std::size_t dim = spec_.head_dim;
  for (std::size_t h = 0; h < spec_.heads; ++h)
    step.kernels().sigmoid_mul(step.scratch.mixed.data() + ((t * spec_.heads + h) * 2 + 1) * dim,
                               dim, step.scratch.heads.row(t) + h * dim);
}

float Attention::scale_at(std::size_t position) const {
  if (spec_.temperature == 0) return spec_.scale;
  const std::size_t periods = (position + spec_.temperature_offset) / spec_.temperature_length;
  return static_cast<float>(double{spec_.scale} *
                            (1 + spec_.temperature * std::log(1 + static_cast<double>(periods))));
}

// Bias, norm and rotation of one token's heads, its K and V into the cache.
void Attention::finish_heads(Step& step, std::size_t t, float* scratch) const {
  const KernelTable& kernels = step.kernels();
  const std::size_t dim = spec_.head_dim;
  float* q = step.scratch.q.data() + t * spec_.heads * dim;
  float* k = step.scratch.k.data() + t * spec_.kv_heads * dim;
  float* v = step.scratch.v.data() + t * spec_.kv_heads * dim;
  if (spec_.values_of_keys && !spec_.kv_of) std::copy_n(k, spec_.kv_heads * dim, v);
  if (spec_.output_gate)
    for (std::size_t h = 0; h < spec_.heads; ++h)
      std::memcpy(q + h * dim, step.scratch.mixed.data() + (t * spec_.heads + h) * 2 * dim,
                  dim * sizeof(float));
  if (spec_.qkv_bias) {
    kernels.add(q_bias_, spec_.heads * dim, q);
    kernels.add(k_bias_, spec_.kv_heads * dim, k);
    kernels.add(v_bias_, spec_.kv_heads * dim, v);
  }
  const std::size_t rotated = spec_.rope.dimensions;
  const float* cos = step.angles(rope_, t);
  const auto norm_of = [&](float* x, Slot norm, std::size_t n) {
    const std::vector<float>& weights = spec_.plain_qk_norm ? ones_ : weights_.vector[norm];
    kernels.rms_norm(x, weights.data(), n, epsilon_, x);
  };
  if (spec_.qk_norm == QkNorm::kWhole) {
    norm_of(q, Slot::kQNorm, spec_.heads * dim);
    norm_of(k, Slot::kKNorm, spec_.kv_heads * dim);
  }
  if (spec_.qk_norm == QkNorm::kWholeLayer) {
    layer_norm(kernels, q, weights_.vector, Slot::kQNorm, Slot::kQNormBias, epsilon_);
    layer_norm(kernels, k, weights_.vector, Slot::kKNorm, Slot::kKNormBias, epsilon_);
  }
  const auto turn = [&](float* head, Slot norm) {
    if (spec_.qk_norm == QkNorm::kHead) norm_of(head, norm, dim);
    kernels.rope(head, cos, cos + rotated / 2, rotated, spec_.rope.neox);
    if (spec_.qk_norm == QkNorm::kHeadAfterRope) norm_of(head, norm, dim);
  };
  const float scale = scale_at(step.tokens[t].position);
  for (std::size_t h = 0; h < spec_.heads; ++h) {
    turn(q + h * dim, Slot::kQNorm);
    for (std::size_t i = 0; i < dim; ++i) q[h * dim + i] *= scale;
  }
  if (spec_.kv_of) return;
  for (std::size_t h = 0; h < spec_.kv_heads; ++h) {
    turn(k + h * dim, Slot::kKNorm);
    if (spec_.value_norm) kernels.rms_norm(v + h * dim, ones_.data(), dim, epsilon_, v + h * dim);
    walk_.store(step, t, h, k + h * dim, v + h * dim, scratch);
  }
}

}  // namespace lathe::infer
