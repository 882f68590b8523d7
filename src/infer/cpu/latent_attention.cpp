// Latent attention over the tokens of one step.
#include "infer/cpu/latent_attention.h"

#include <algorithm>

namespace lathe::infer {

LatentAttention::LatentAttention(const Model& model, std::size_t layer, std::size_t rope)
    : spec_(std::get<LatentAttentionSpec>(model.blueprint().layers[layer].mixer)),
      weights_(model.layers()[layer]),
      layer_(layer),
      rope_(rope),
      epsilon_(model.blueprint().norm_epsilon),
      walk_(spec_.attends(), layer) {
  if (spec_.owns_indexer()) indexer_.emplace(model, layer, rope);
}

void LatentAttention::run(Step& step) const {
  ForwardScratch& s = step.scratch;
  const Step::Linear latent{Slot::kKvLatent, s.k.data()};
  step.multiply_linears(layer_, s.normed, {&latent, 1});
  project_queries(step);
  if (indexer_) indexer_->choose(step);
  step.team->run(step.tokens.size(), [&](std::size_t t, int thread) {
    remember(step, t, walk_.scratch(step, thread));
  });
  absorb_queries(step);
  s.heads.shape(spec_.latent);  // a row for each head and token, head by head
  walk_.run(step, {s.heads.row(0), spec_.latent, step.tokens.size() * spec_.latent});
  answer(step);
}

// scratch.mixed (tokens, heads, query): of one matrix, or by way of a few dimensions.
void LatentAttention::project_queries(Step& step) const {
  ForwardScratch& s = step.scratch;
  if (spec_.query_rank == 0) {
    const Step::Linear query{Slot::kQ, s.mixed.data()};
    return step.multiply_linears(layer_, s.normed, {&query, 1});
  }
  const std::size_t rank = spec_.query_rank;
  const Step::Linear down{Slot::kQLatent, s.mixed.data()}, up{Slot::kQOfLatent, s.mixed.data()};
  step.multiply_linears(layer_, s.normed, {&down, 1});
  s.low.shape(rank);
  step.team->run(step.tokens.size(), [&](std::size_t t, int) {
    step.kernels().rms_norm(s.mixed.data() + t * rank, weights_.vector[Slot::kQLatentNorm].data(),
                            rank, epsilon_, s.low.row(t));
    s.low.quantize(step.kernels(), t, 0, rank);
  });
  step.multiply_linears(layer_, s.low, {&up, 1});
}

void LatentAttention::turn(const Step& step, std::size_t t, float* x) const {
  const std::size_t n = spec_.rope.dimensions;
  if (n == 0) return;
  const float* cos = step.angles(rope_, t);
  step.kernels().rope(x, cos, cos + n / 2, n, spec_.rope.neox);
}

// One token's latent, its norm taken, and the part that turns: into the cache.
void LatentAttention::remember(Step& step, std::size_t t, float* scratch) const {
  float* row = step.scratch.k.data() + t * (spec_.latent + spec_.turned);
  step.kernels().rms_norm(row, weights_.vector[Slot::kKvLatentNorm].data(), spec_.latent, epsilon_,
                          row);
  turn(step, t, row + spec_.latent);
  walk_.store(step, t, 0, row, nullptr, scratch);
}

// scratch.q (tokens, heads, latent and turned part), scaled.
void LatentAttention::absorb_queries(Step& step) const {
  ForwardScratch& s = step.scratch;
  const std::size_t tokens = step.tokens.size(), key = spec_.latent + spec_.turned;
  s.heads.shape(spec_.plain);
  step.team->run(tokens, [&](std::size_t t, int) {
    for (std::size_t h = 0; h < spec_.heads; ++h) {
      float* from = s.mixed.data() + (t * spec_.heads + h) * spec_.query();
      float* plain = s.heads.row(h * tokens + t);
      for (std::size_t i = 0; i < spec_.plain; ++i) plain[i] = from[i] * spec_.scale;
      s.heads.quantize(step.kernels(), h * tokens + t, 0, spec_.plain);
      turn(step, t, from + spec_.plain);
      float* to = s.q.data() + (t * spec_.heads + h) * key + spec_.latent;
      for (std::size_t i = 0; i < spec_.turned; ++i) to[i] = from[spec_.plain + i] * spec_.scale;
    }
  });
  multiply_heads(step, Slot::kKeyOfLatent, s.q.data(), spec_.heads * key, key);
}

// out + token·stride + head·head_stride = the head's matrix times its row in scratch.heads.
void LatentAttention::multiply_heads(Step& step, Slot slot, float* out, std::size_t stride,
                                     std::size_t head_stride) const {
  const std::size_t tokens = step.tokens.size();
  std::vector<Product> products;
  for (std::size_t h = 0; h < spec_.heads; ++h)
    products.push_back({.matrix = &weights_.matrix[slot],
                        .expert = h,
                        .x = &step.scratch.heads,
                        .first_token = h * tokens,
                        .tokens = tokens,
                        .out = out + h * head_stride,
                        .stride = stride});
  step.multiply(products);
}

// The heads' answers out of the latent's space, and the layer's.
void LatentAttention::answer(Step& step) const {
  ForwardScratch& s = step.scratch;
  const std::size_t tokens = step.tokens.size(), values = spec_.heads * spec_.value_dim;
  step.team->run(tokens * spec_.heads, [&](std::size_t row, int) {
    s.heads.quantize(step.kernels(), row, 0, spec_.latent);
  });
  multiply_heads(step, Slot::kValueOfLatent, s.mixed.data(), values, spec_.value_dim);
  s.heads.shape(values);
  step.team->run(tokens, [&](std::size_t t, int) {
    std::copy_n(s.mixed.data() + t * values, values, s.heads.row(t));
    s.heads.quantize(step.kernels(), t, 0, values);
  });
  const Step::Linear output{Slot::kAttentionOutput, s.branch.data()};
  step.multiply_linears(layer_, s.heads, {&output, 1});
}

}  // namespace lathe::infer
