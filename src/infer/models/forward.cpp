// The forward pass: tokens to logits, layer by layer.
#include "infer/models/forward.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "infer/models/rope.h"

namespace lathe::infer {
namespace {

// Elementwise work on hidden rows is shared out in pieces of this many elements.
constexpr std::size_t kPiece = 2048;

bool same_rope(const RopeSpec& a, const RopeSpec& b) {
  return a.neox == b.neox && a.dimensions == b.dimensions && a.base == b.base &&
         a.scale == b.scale && a.extrapolation == b.extrapolation && a.magnitude == b.magnitude;
}

std::vector<RopeSpec> distinct_ropes(const Blueprint& blueprint) {
  std::vector<RopeSpec> ropes;
  for (const LayerSpec& layer : blueprint.layers) {
    if (layer.recurrent.state_bytes != 0) continue;
    if (std::ranges::none_of(
            ropes, [&](const RopeSpec& rope) { return same_rope(rope, layer.attention.rope); }))
      ropes.push_back(layer.attention.rope);
  }
  return ropes;
}

}  // namespace

Forward::Forward(const Model& model, ThreadTeam& team, const BlockLayout& layout)
    : model_(&model), team_(&team), layout_(&layout) {}

ForwardSizes Forward::sizes(const Blueprint& blueprint, std::size_t threads, std::size_t max_tokens,
                            std::size_t max_outputs) {
  ForwardSizes sizes{.tokens = max_tokens,
                     .outputs = std::min(max_outputs, max_tokens),
                     .width = blueprint.embedding,
                     .output_width = std::max(blueprint.embedding, blueprint.vocabulary)};
  std::size_t angles = 0, head_scratch = 0;
  for (const LayerSpec& layer : blueprint.layers) {
    const std::size_t rows = max_tokens * std::max<std::size_t>(1, layer.ffn.experts_used);
    sizes.hidden = std::max(sizes.hidden, rows * layer.ffn.hidden);
    if (layer.ffn.experts != 0) sizes.pairs = std::max(sizes.pairs, rows);
    sizes.experts = std::max(sizes.experts, layer.ffn.experts);
    sizes.q = std::max(sizes.q, layer.recurrent.width);
    if (layer.recurrent.state_bytes != 0) continue;
    const AttentionSpec& attention = layer.attention;
    sizes.q = std::max(sizes.q, attention.heads * attention.head_dim);
    sizes.kv = std::max(sizes.kv, attention.kv_heads * attention.head_dim);
    head_scratch = std::max(head_scratch, attention_scratch(attention));
    angles = std::max(angles, attention.rope.dimensions);
  }
  sizes.angles = distinct_ropes(blueprint).size() * angles;
  sizes.threads = threads * head_scratch;
  return sizes;
}

std::uint64_t ForwardSizes::bytes() const {
  const std::size_t floats = tokens * (2 * width + q + 2 * kv + angles + experts) + 2 * hidden +
                             outputs * output_width + threads + pairs * width;
  return floats * sizeof(float) + Activations::bytes_for(tokens, width) +
         Activations::bytes_for(tokens, q) + Activations::bytes_for(1, hidden) +
         Activations::bytes_for(pairs, width);
}

Result<Forward> Forward::create(const Model& model, ThreadTeam& team, const BlockLayout& layout,
                                std::size_t max_tokens, std::size_t max_outputs) {
  Forward forward(model, team, layout);
  const Blueprint& blueprint = model.blueprint();
  const ForwardSizes sizes =
      Forward::sizes(blueprint, static_cast<std::size_t>(team.size()), max_tokens, max_outputs);
  forward.max_tokens_ = max_tokens;
  forward.max_outputs_ = sizes.outputs;
  forward.ropes_ = distinct_ropes(blueprint);
  for (const RopeSpec& rope : forward.ropes_)
    forward.frequencies_.push_back(rope_frequencies(rope, model.rope_factors()));
  for (const LayerSpec& layer : blueprint.layers) {
    const auto rope = std::ranges::find_if(
        forward.ropes_, [&](const RopeSpec& r) { return same_rope(r, layer.attention.rope); });
    forward.rope_of_layer_.push_back(static_cast<std::size_t>(rope - forward.ropes_.begin()));
  }
  LATHE_TRY_STATUS(forward.x_.reserve(max_tokens * sizes.width));
  LATHE_TRY_STATUS(forward.branch_.reserve(max_tokens * sizes.width));
  LATHE_TRY_STATUS(forward.q_.reserve(max_tokens * sizes.q));
  LATHE_TRY_STATUS(forward.k_.reserve(max_tokens * sizes.kv));
  LATHE_TRY_STATUS(forward.v_.reserve(max_tokens * sizes.kv));
  LATHE_TRY_STATUS(forward.gate_.reserve(sizes.hidden));
  LATHE_TRY_STATUS(forward.up_.reserve(sizes.hidden));
  LATHE_TRY_STATUS(forward.angles_.reserve(max_tokens * sizes.angles));
  LATHE_TRY_STATUS(forward.output_.reserve(sizes.outputs * sizes.output_width));
  LATHE_TRY_STATUS(forward.threads_.reserve(sizes.threads));
  LATHE_TRY_STATUS(forward.normed_.reserve(max_tokens, sizes.width));
  LATHE_TRY_STATUS(forward.heads_.reserve(max_tokens, sizes.q));
  LATHE_TRY_STATUS(forward.hidden_.reserve(1, sizes.hidden));
  LATHE_TRY_STATUS(forward.router_.reserve(max_tokens * sizes.experts));
  LATHE_TRY_STATUS(forward.expert_out_.reserve(sizes.pairs * sizes.width));
  LATHE_TRY_STATUS(forward.gathered_.reserve(sizes.pairs, sizes.width));
  return forward;
}

std::uint64_t Forward::scratch_bytes() const {
  return x_.bytes() + branch_.bytes() + q_.bytes() + k_.bytes() + v_.bytes() + gate_.bytes() +
         up_.bytes() + angles_.bytes() + output_.bytes() + threads_.bytes() + partials_.bytes() +
         router_.bytes() + expert_out_.bytes() + normed_.bytes() + heads_.bytes() +
         hidden_.bytes() + gathered_.bytes();
}

std::span<const float> Forward::output(std::size_t row) const {
  return {output_.data() + row * output_width_, output_width_};
}

void Forward::run(std::span<const Slice> slices, OutputKind kind) {
  const Blueprint& blueprint = model_->blueprint();
  place_tokens(slices);
  compute_angles();
  team_->run(tokens_.size(), [&](std::size_t t, int) {
    model_->embed(tokens_[t].id, x_.data() + t * blueprint.embedding);
  });
  for (std::size_t layer = 0; layer < blueprint.layers.size(); ++layer) {
    const LayerWeights& weights = model_->layers()[layer];
    add_and_norm(layer == 0 ? nullptr : branch_.data(), weights.attention_norm);
    attention(layer);
    add_and_norm(branch_.data(), weights.ffn_norm);
    if (blueprint.layers[layer].ffn.experts == 0) {
      dense_ffn(layer);
    } else {
      expert_ffn(layer);
    }
  }
  write_outputs(slices, kind);
}

void Forward::place_tokens(std::span<const Slice> slices) {
  tokens_.clear();
  tiles_.clear();
  adapted_.clear();
  for (const Slice& slice : slices) {
    const std::size_t first = tokens_.size();
    if (slice.adapter != nullptr) adapted_.push_back({slice.adapter, first, slice.tokens.size()});
    for (std::size_t i = 0; i < slice.tokens.size(); ++i) {
      tokens_.push_back({slice.tokens[i], slice.first_position + i, slice.table});
    }
    // Sized for the widest group; a layer with smaller ones just has fewer columns.
    std::size_t group = 1;
    for (const LayerSpec& layer : model_->blueprint().layers) {
      group = std::max(group, layer.attention.heads / layer.attention.kv_heads);
    }
    const std::size_t step = std::max<std::size_t>(1, kTileColumns / group);
    for (std::size_t i = 0; i < slice.tokens.size(); i += step) {
      tiles_.push_back({first + i, std::min(step, slice.tokens.size() - i)});
    }
  }
  LATHE_CHECK(tokens_.size() <= max_tokens_);
}

void Forward::compute_angles() {
  for (std::size_t r = 0; r < ropes_.size(); ++r) {
    float* base = angles_.data() + r * max_tokens_ * ropes_[r].dimensions;
    team_->run(tokens_.size(), [&](std::size_t t, int) {
      rope_row(ropes_[r], frequencies_[r], tokens_[t].position, base + t * ropes_[r].dimensions);
    });
  }
}

// x += add, and its norm, quantized, becomes the next input.
void Forward::add_and_norm(const float* add, const std::vector<float>& norm) {
  const KernelTable& kernels = model_->kernels();
  const std::size_t width = model_->blueprint().embedding;
  normed_.shape(width);
  team_->run(tokens_.size(), [&](std::size_t t, int) {
    float* x = x_.data() + t * width;
    if (add != nullptr) kernels.add(add + t * width, width, x);
    kernels.rms_norm(x, norm.data(), width, model_->blueprint().norm_epsilon, normed_.row(t));
    normed_.quantize(kernels, t, 0, width);
  });
}

void Forward::attention(std::size_t layer) {
  const AttentionSpec& spec = model_->blueprint().layers[layer].attention;
  const LayerWeights& weights = model_->layers()[layer];
  project_heads(layer);
  const std::size_t scratch = attention_scratch(spec);
  team_->run(tokens_.size(), [&](std::size_t t, int thread) {
    finish_heads(layer, t, threads_.data() + static_cast<std::size_t>(thread) * scratch);
  });
  attend(layer);
  team_->run(tokens_.size(),
             [&](std::size_t t, int) { heads_.quantize(model_->kernels(), t, 0, heads_.k()); });
  const std::size_t width = model_->blueprint().embedding;
  const Product product{.matrix = &weights.output,
                        .x = &heads_,
                        .tokens = tokens_.size(),
                        .out = branch_.data(),
                        .stride = width};
  multiply(*team_, {&product, 1});
  adapt(layer, LinearPart::kOutput, heads_, branch_.data());
  if (spec.output_bias) {
    for (std::size_t t = 0; t < tokens_.size(); ++t) {
      model_->kernels().add(weights.output_bias.data(), width, branch_.data() + t * width);
    }
  }
}

void Forward::project_heads(std::size_t layer) {
  const AttentionSpec& spec = model_->blueprint().layers[layer].attention;
  const LayerWeights& weights = model_->layers()[layer];
  const std::size_t q = spec.heads * spec.head_dim, kv = spec.kv_heads * spec.head_dim;
  const Product products[] = {
      {.matrix = &weights.q,
       .x = &normed_,
       .tokens = tokens_.size(),
       .out = q_.data(),
       .stride = q},
      {.matrix = &weights.k,
       .x = &normed_,
       .tokens = tokens_.size(),
       .out = k_.data(),
       .stride = kv},
      {.matrix = &weights.v,
       .x = &normed_,
       .tokens = tokens_.size(),
       .out = v_.data(),
       .stride = kv},
  };
  multiply(*team_, products);
  adapt(layer, LinearPart::kQ, normed_, q_.data());
  adapt(layer, LinearPart::kK, normed_, k_.data());
  adapt(layer, LinearPart::kV, normed_, v_.data());
}

// y += the adapters' products with x, for the tokens that have one.
void Forward::adapt(std::size_t layer, LinearPart part, const Activations& x, float* y) {
  for (const Adapted& run : adapted_) {
    const LowRank& low = run.adapter->part(layer, part);
    if (low.rank == 0) continue;
    low_.resize(std::max(low_.size(), run.count * low.rank));
    const LowRankProduct product{
        .tokens = run.count, .x = x.row(run.first), .y = y + run.first * low.rows};
    add_low_rank(*team_, model_->kernels(), low, {&product, 1}, x.k(), low_.data());
  }
}

// The same where the rows are (token, expert) pairs.
void Forward::adapt_experts(std::size_t layer, LinearPart part, const Activations& x, float* y) {
  for (const Adapted& run : adapted_) {
    const LowRank& low = run.adapter->part(layer, part);
    if (low.rank == 0) continue;
    std::size_t pairs = 0;
    low_products_.clear();
    for (std::size_t e = 0; e < low.experts; ++e) {
      // An expert's pairs are in the order of the tokens: those of the run stand together.
      const auto all = choice_.token_of.begin();
      const auto end = all + static_cast<std::ptrdiff_t>(choice_.first[e + 1]);
      const auto from =
          std::lower_bound(all + static_cast<std::ptrdiff_t>(choice_.first[e]), end, run.first);
      const auto to = std::lower_bound(from, end, run.first + run.count);
      if (from == to) continue;
      const auto at = static_cast<std::size_t>(from - all),
                 count = static_cast<std::size_t>(to - from);
      low_products_.push_back({e, count, x.row(at), y + at * low.rows});
      pairs += count;
    }
    low_.resize(std::max(low_.size(), pairs * low.rank));
    add_low_rank(*team_, model_->kernels(), low, low_products_, x.k(), low_.data());
  }
}

// Bias, norm and rotation of one token's heads, its K and V into the cache.
void Forward::finish_heads(std::size_t layer, std::size_t t, float* scratch) {
  const KernelTable& kernels = model_->kernels();
  const AttentionSpec& spec = model_->blueprint().layers[layer].attention;
  const LayerWeights& weights = model_->layers()[layer];
  const std::size_t dim = spec.head_dim, padded = padded_head(dim);
  float* q = q_.data() + t * spec.heads * dim;
  float* k = k_.data() + t * spec.kv_heads * dim;
  float* v = v_.data() + t * spec.kv_heads * dim;
  if (spec.qkv_bias) {
    kernels.add(weights.q_bias.data(), spec.heads * dim, q);
    kernels.add(weights.k_bias.data(), spec.kv_heads * dim, k);
    kernels.add(weights.v_bias.data(), spec.kv_heads * dim, v);
  }
  const std::size_t rope = rope_of_layer_[layer];
  const std::size_t rotated = spec.rope.dimensions;
  const float* cos = angles_.data() + rope * max_tokens_ * rotated + t * rotated;
  const auto turn = [&](float* head, const std::vector<float>& norm) {
    if (spec.qk_norm)
      kernels.rms_norm(head, norm.data(), dim, model_->blueprint().norm_epsilon, head);
    kernels.rope(head, cos, cos + rotated / 2, rotated, spec.rope.neox);
  };
  for (std::size_t h = 0; h < spec.heads; ++h) {
    turn(q + h * dim, weights.q_norm);
    for (std::size_t i = 0; i < dim; ++i) q[h * dim + i] *= spec.scale;
  }
  std::byte* block = tokens_[t].table->data(tokens_[t].position);
  for (std::size_t h = 0; h < spec.kv_heads; ++h) {
    turn(k + h * dim, weights.k_norm);
    layout_->format().store(block + layout_->offset(layer, h), padded, tokens_[t].position % kChunk,
                            pad_head(k + h * dim, dim, scratch),
                            pad_head(v + h * dim, dim, scratch + padded));
  }
}

void Forward::dense_ffn(std::size_t layer) {
  const LayerWeights& weights = model_->layers()[layer];
  const std::size_t hidden = weights.gate.rows, width = model_->blueprint().embedding;
  const Product inputs[] = {
      {.matrix = &weights.gate,
       .x = &normed_,
       .tokens = tokens_.size(),
       .out = gate_.data(),
       .stride = hidden},
      {.matrix = &weights.up,
       .x = &normed_,
       .tokens = tokens_.size(),
       .out = up_.data(),
       .stride = hidden},
  };
  multiply(*team_, inputs);
  adapt(layer, LinearPart::kGate, normed_, gate_.data());
  adapt(layer, LinearPart::kUp, normed_, up_.data());
  activate(tokens_.size(), hidden);
  const Product output{.matrix = &weights.down,
                       .x = &hidden_,
                       .tokens = tokens_.size(),
                       .out = branch_.data(),
                       .stride = width};
  multiply(*team_, {&output, 1});
  adapt(layer, LinearPart::kDown, hidden_, branch_.data());
}

// hidden_ = silu(gate)·up, quantized, for `rows` rows.
void Forward::activate(std::size_t rows, std::size_t hidden) {
  const KernelTable& kernels = model_->kernels();
  const std::size_t pieces = (hidden + kPiece - 1) / kPiece;
  hidden_.shape(hidden);
  team_->run(rows * pieces, [&](std::size_t item, int) {
    const std::size_t row = item / pieces, from = item % pieces * kPiece;
    const std::size_t count = std::min(kPiece, hidden - from), at = row * hidden + from;
    kernels.silu_mul(gate_.data() + at, up_.data() + at, count, hidden_.row(row) + from);
    hidden_.quantize(kernels, row, from, count);
  });
}

// Each expert multiplies the tokens that chose it, as one batch; a token adds its experts' answers
// in the order of its own ranking, whoever else is in the step.
void Forward::expert_ffn(std::size_t layer) {
  const KernelTable& kernels = model_->kernels();
  const LayerWeights& weights = model_->layers()[layer];
  const FfnSpec& spec = model_->blueprint().layers[layer].ffn;
  const std::size_t count = tokens_.size(), used = spec.experts_used, pairs = count * used;
  const std::size_t hidden = spec.hidden, width = model_->blueprint().embedding;
  const Product route{.matrix = &weights.router,
                      .x = &normed_,
                      .tokens = count,
                      .out = router_.data(),
                      .stride = spec.experts};
  multiply(*team_, {&route, 1});
  choice_.choose(*team_, kernels, spec, count, router_.data(), spec.experts);
  const std::vector<std::size_t>& first = choice_.first;
  gathered_.shape(width);
  team_->run(count, [&](std::size_t t, int) {
    for (std::size_t r = 0; r < used; ++r)
      gathered_.copy_row(normed_, t, choice_.pair_of[t * used + r]);
  });

  std::vector<Product> products;
  const auto for_each_expert = [&](const PackedMatrix& matrix, const Activations& x, float* out,
                                   std::size_t stride) {
    for (std::size_t e = 0; e < spec.experts; ++e) {
      const std::size_t tokens = first[e + 1] - first[e];
      if (tokens == 0) continue;
      products.push_back({&matrix, e, &x, first[e], tokens, out + first[e] * stride, stride});
    }
  };
  for_each_expert(weights.gate, gathered_, gate_.data(), hidden);
  for_each_expert(weights.up, gathered_, up_.data(), hidden);
  multiply(*team_, products);
  adapt_experts(layer, LinearPart::kGate, gathered_, gate_.data());
  adapt_experts(layer, LinearPart::kUp, gathered_, up_.data());
  activate(pairs, hidden);
  products.clear();
  for_each_expert(weights.down, hidden_, expert_out_.data(), width);
  multiply(*team_, products);
  adapt_experts(layer, LinearPart::kDown, hidden_, expert_out_.data());
  team_->run(count, [&](std::size_t t, int) {
    float* sum = branch_.data() + t * width;
    std::memset(sum, 0, width * sizeof(float));
    for (std::size_t r = 0; r < used; ++r) {
      const std::size_t i = t * used + r;
      kernels.add_scaled(expert_out_.data() + choice_.pair_of[i] * width, choice_.weight[i], width,
                         sum);
    }
  });
}

void Forward::write_outputs(std::span<const Slice> slices, OutputKind kind) {
  const KernelTable& kernels = model_->kernels();
  const Blueprint& blueprint = model_->blueprint();
  const std::size_t width = blueprint.embedding;
  std::vector<std::size_t> rows;
  std::size_t end = 0;
  for (const Slice& slice : slices) {
    end += slice.tokens.size();
    for (std::size_t i = slice.outputs; i > 0; --i) rows.push_back(end - i);
  }
  LATHE_CHECK(rows.size() <= max_outputs_);
  output_width_ = kind == OutputKind::kLogits ? blueprint.vocabulary : width;
  normed_.shape(width);
  team_->run(rows.size(), [&](std::size_t i, int) {
    float* x = x_.data() + rows[i] * width;
    kernels.add(branch_.data() + rows[i] * width, width, x);
    float* out = kind == OutputKind::kLogits ? normed_.row(i) : output_.data() + i * width;
    kernels.rms_norm(x, model_->output_norm().data(), width, blueprint.norm_epsilon, out);
    if (kind == OutputKind::kLogits) normed_.quantize(kernels, i, 0, width);
  });
  if (kind == OutputKind::kHidden || rows.empty()) return;
  const Product product{.matrix = &model_->output(),
                        .x = &normed_,
                        .tokens = rows.size(),
                        .out = output_.data(),
                        .stride = output_width_};
  multiply(*team_, {&product, 1});
}

}  // namespace lathe::infer
