// The network forward and backward, with activations kept or computed again.
#include "infer/tune/network.h"

#include <algorithm>
#include <cmath>

#include "infer/models/rope.h"

namespace lathe::infer {
namespace {

constexpr std::size_t kHeadFloats = std::size_t{8} << 20;  // of logits at a time

std::size_t threads_of(const ThreadTeam& team) {
  return static_cast<std::size_t>(team.size());
}

// work(from, end) for all of them, a few thousand at a time.
void in_pieces(ThreadTeam& team, std::size_t count, auto&& work) {
  constexpr std::size_t kPiece = 16384;
  team.run((count + kPiece - 1) / kPiece, [&](std::size_t piece, int) {
    work(piece * kPiece, std::min(count, (piece + 1) * kPiece));
  });
}

}  // namespace

std::size_t trained_tokens(const Example& example) {
  std::size_t count = 0;
  for (std::size_t i = 1; i < example.trained.size(); ++i) count += example.trained[i] != 0;
  return count;
}

// Rows one after the other; without memory it only counts.
struct Network::Taken {
  float* memory = nullptr;
  std::size_t floats = 0;
  Rows rows(std::size_t count, std::size_t n) {
    const std::size_t stride = padded_row(n), at = floats;
    floats += count * stride;
    return {memory == nullptr ? nullptr : memory + at, stride};
  }
};

// What is never rounded: the attention's sums, which its probabilities are computed from again, and
// the router's logits, which its choice is.
void Network::take_exact(std::size_t layer, Taken& taken) {
  const LayerSpec& spec = model_.blueprint().layers[layer];
  tapes_[layer].sums = taken.rows(options_.max_tokens, spec.attention()->heads);
  if (spec.ffn.experts != 0)
    tapes_[layer].router = taken.rows(options_.max_tokens, spec.ffn.experts);
}

void Network::take_tape(std::size_t layer, Taken& taken) {
  const AttentionSpec& spec = *model_.blueprint().layers[layer].attention();
  const FfnSpec& ffn = model_.blueprint().layers[layer].ffn;
  const TuneLayer& weights = model_.layers()[layer];
  const std::size_t n = options_.max_tokens, width = model_.blueprint().embedding;
  const std::size_t pairs = n * std::max<std::size_t>(1, ffn.experts_used);
  const std::size_t q = spec.heads * spec.head_dim, kv = spec.kv_heads * spec.head_dim;
  Tape& tape = tapes_[layer];
  tape.attention_in = taken.rows(n, width);
  tape.q = taken.rows(n, q);
  tape.k = taken.rows(n, kv);
  tape.q_raw = spec.qk_norm != QkNorm::kNone ? taken.rows(n, q) : tape.q;
  tape.k_raw = spec.qk_norm != QkNorm::kNone ? taken.rows(n, kv) : tape.k;
  tape.v = taken.rows(n, kv);
  tape.heads = taken.rows(n, q);
  tape.ffn_x = taken.rows(n, width);
  tape.ffn_in = taken.rows(n, width);
  tape.gate = taken.rows(pairs, ffn.hidden);
  tape.up = taken.rows(pairs, ffn.hidden);
  tape.hidden = taken.rows(pairs, ffn.hidden);
  for (const SlotInfo& info : slot_infos()) {
    const Linear& linear = weights.linear[info.slot];
    if (linear.rank != 0)
      tape.low[info.slot] = taken.rows(linear.experts > 1 ? pairs : n, linear.rank);
  }
}

// Each layer's tape has a place of its own, or all have one.
void Network::lay_out_tapes(Taken& taken) {
  tapes_.assign(model_.layers().size(), {});
  const auto each = [&](bool in_one, void (Network::*take)(std::size_t, Taken&)) {
    const std::size_t start = taken.floats;
    std::size_t end = start;
    for (std::size_t i = 0; i < tapes_.size(); ++i) {
      if (in_one) taken.floats = start;
      (this->*take)(i, taken);
      end = std::max(end, taken.floats);
    }
    taken.floats = end;
    return Rows{taken.memory == nullptr ? nullptr : taken.memory + start, end - start};
  };
  each(options_.checkpointing, &Network::take_exact);
  tape_ = each(options_.checkpointing || options_.bf16, &Network::take_tape);
}

// What the scratch that all layers share is made for.
struct Network::Largest {
  std::size_t q = 0, kv = 0, hidden = 0, rank = 1, head_dim = 0;
  std::size_t used = 1, experts = 0;  // of a mixture
  std::size_t k = 0;                  // of any linear layer
};
Network::Largest Network::largest() const {
  const Blueprint& blueprint = model_.blueprint();
  Largest largest;
  for (std::size_t i = 0; i < blueprint.layers.size(); ++i) {
    const AttentionSpec& spec = *blueprint.layers[i].attention();
    const FfnSpec& ffn = blueprint.layers[i].ffn;
    const TuneLayer& layer = model_.layers()[i];
    largest.q = std::max(largest.q, spec.heads * spec.head_dim);
    largest.kv = std::max(largest.kv, spec.kv_heads * spec.head_dim);
    largest.head_dim = std::max(largest.head_dim, spec.head_dim);
    largest.hidden = std::max(largest.hidden, ffn.hidden);
    largest.used = std::max(largest.used, ffn.experts_used);
    largest.experts = std::max(largest.experts, ffn.experts);
    for (const Linear& linear : layer.linear) largest.rank = std::max(largest.rank, linear.rank);
  }
  largest.k = std::max({blueprint.embedding, largest.q, largest.hidden});
  return largest;
}

void Network::lay_out(Taken& taken) {
  const Blueprint& blueprint = model_.blueprint();
  const std::size_t n = options_.max_tokens, width = blueprint.embedding;
  const Largest most = largest();
  x_.clear();
  for (std::size_t i = 0; i <= blueprint.layers.size(); ++i) x_.push_back(taken.rows(n, width));
  lay_out_tapes(taken);
  dx_ = taken.rows(n, width);
  dx2_ = taken.rows(n, width);
  d_heads_ = taken.rows(n, most.q);
  dq_ = taken.rows(n, most.q);
  dk_ = taken.rows(n, most.kv);
  dv_ = taken.rows(n, most.kv);
  d_gate_ = taken.rows(n * most.used, most.hidden);
  d_up_ = taken.rows(n * most.used, most.hidden);
  d_low_ = taken.rows(n, most.rank);
  factors_ = taken.rows(n, 1);
  if (most.experts != 0) {
    gathered_ = taken.rows(n * most.used, width);
    expert_out_ = taken.rows(n * most.used, width);
    d_router_ = taken.rows(n, most.experts);
    d_weights_ = taken.rows(n, most.used);
  }
  head_rows_ = std::clamp<std::size_t>(kHeadFloats / blueprint.vocabulary, 1, n);
  head_in_ = taken.rows(head_rows_, width);
  d_head_in_ = taken.rows(head_rows_, width);
  logits_ = taken.rows(head_rows_, blueprint.vocabulary);
}

std::size_t Network::kept_numbers() const {
  return options_.bf16 && !options_.checkpointing ? tapes_.size() * tape_.stride : 0;
}

std::uint64_t Network::bytes(const TuneModel& model, std::size_t threads,
                             const NetworkOptions& options) {
  ThreadTeam nobody(1);
  Network network(model, nobody, *kernel_tables().front());
  network.options_ = options;
  Taken counted;
  network.lay_out(counted);
  const Largest most = network.largest();
  const std::size_t linear =
      std::max(LinearScratch::kFloats, most.k * kTileColumns) + threads * most.k * kTileColumns;
  const std::size_t attention = AttentionScratch::floats(options.longest, most.head_dim, threads);
  const std::size_t pairs = most.experts == 0 ? 0 : options.max_tokens * most.used;
  return (counted.floats + linear + attention) * sizeof(float) +
         network.kept_numbers() * sizeof(std::uint16_t) + pairs * ExpertChoice::kPairBytes;
}

Result<std::unique_ptr<Network>> Network::create(const TuneModel& model, ThreadTeam& team,
                                                 const KernelTable& kernels,
                                                 const NetworkOptions& options) {
  std::unique_ptr<Network> network(new Network(model, team, kernels));
  network->options_ = options;
  Taken taken;
  network->lay_out(taken);
  LATHE_TRY_STATUS(network->floats_.reserve(taken.floats));
  taken = {network->floats_.data(), 0};
  network->lay_out(taken);
  LATHE_TRY_STATUS(network->kept_.reserve(network->kept_numbers()));
  const Blueprint& blueprint = model.blueprint();
  const Largest most = network->largest();
  LATHE_TRY_STATUS(network->linear_.reserve(most.k, threads_of(team)));
  LATHE_TRY_STATUS(network->attention_.reserve(options.longest, most.head_dim, threads_of(team)));
  const RopeSpec& rope = blueprint.attention()->rope;
  const auto frequencies = rope_frequencies(rope, model.rope_factors());
  network->cos_.resize(options.longest * rope.dimensions);
  for (std::size_t p = 0; p < options.longest; ++p)
    rope_row(rope, frequencies, p, network->cos_.data() + p * rope.dimensions);
  network->sin_back_ = network->cos_;
  const std::size_t half = rope.dimensions / 2;
  for (std::size_t i = 0; i < network->sin_back_.size(); ++i)
    if (i % rope.dimensions >= half) network->sin_back_[i] = -network->sin_back_[i];
  return network;
}

double Network::run(std::span<const Example* const> batch, float weight) {
  place(batch);
  embed();
  const std::size_t layers = model_.layers().size();
  for (std::size_t i = 0; i < layers; ++i) {
    forward_layer(i, tapes_[i], true);
    if (weight != 0) keep(i);
  }
  const double loss = head(weight);
  if (weight == 0) return loss;
  for (std::size_t i = layers; i-- > 0;) {
    bring_back(i);
    backward_layer(i, tapes_[i]);
  }
  backward_embedding();
  return loss;
}

// The layer's tape, rounded, out of the place that the next one wants.
void Network::keep(std::size_t layer) {
  if (!options_.bf16 || options_.checkpointing) return;
  std::uint16_t* kept = kept_.data() + layer * tape_.stride;
  in_pieces(team_, tape_.stride, [&](std::size_t from, std::size_t end) {
    for (std::size_t i = from; i < end; ++i) kept[i] = f32_to_bf16(tape_.data[i]);
  });
}

// The layer's tape, as the backward pass is to see it.
void Network::bring_back(std::size_t layer) {
  float* tape = tape_.data;
  if (options_.checkpointing) {
    forward_layer(layer, tapes_[layer], false);
    if (!options_.bf16) return;
    in_pieces(team_, tape_.stride, [&](std::size_t from, std::size_t end) {
      for (std::size_t i = from; i < end; ++i) tape[i] = bf16_to_f32(f32_to_bf16(tape[i]));
    });
  } else if (options_.bf16) {
    const std::uint16_t* kept = kept_.data() + layer * tape_.stride;
    in_pieces(team_, tape_.stride, [&](std::size_t from, std::size_t end) {
      for (std::size_t i = from; i < end; ++i) tape[i] = bf16_to_f32(kept[i]);
    });
  }
}

void Network::place(std::span<const Example* const> batch) {
  ids_.clear();
  positions_.clear();
  documents_.clear();
  targets_.clear();
  for (const Example* example : batch) {
    const std::size_t first = ids_.size(), count = example->tokens.size();
    LATHE_CHECK(count <= options_.longest);
    documents_.push_back({first, count});
    for (std::size_t i = 0; i < count; ++i) {
      ids_.push_back(example->tokens[i]);
      positions_.push_back(static_cast<std::uint32_t>(i));
      if (i != 0 && example->trained[i] != 0)
        targets_.push_back({first + i - 1, example->tokens[i]});
    }
  }
  LATHE_CHECK(ids_.size() <= options_.max_tokens);
}

void Network::embed() {
  team_.run(ids_.size(), [&](std::size_t t, int) { model_.embed(ids_[t], x_[0].row(t)); });
}

void Network::norm(Rows x, const Weights& weight, std::size_t count, std::size_t n, Rows out) {
  const float epsilon = model_.blueprint().norm_epsilon;
  team_.run(count, [&](std::size_t t, int) {
    kernels_.rms_norm(x.row(t), weight.value, n, epsilon, out.row(t));
  });
}

// dx += what d_out says of x; the norm's own gradient, if it has one, in the order of the tokens.
void Network::norm_backward(Rows x, const Weights& weight, Rows d_out, Rows dx) {
  const std::size_t n = model_.blueprint().embedding;
  const float epsilon = model_.blueprint().norm_epsilon;
  team_.run(ids_.size(), [&](std::size_t t, int) {
    *factors_.row(t) = kernels_.train.rms_norm_backward(x.row(t), weight.value, d_out.row(t), n,
                                                        epsilon, dx.row(t));
  });
  if (weight.gradient == nullptr) return;
  constexpr std::size_t kColumns = 64;
  team_.run((n + kColumns - 1) / kColumns, [&](std::size_t piece, int) {
    const std::size_t from = piece * kColumns, count = std::min(kColumns, n - from);
    for (std::size_t t = 0; t < ids_.size(); ++t)
      kernels_.train.rms_weight_backward(x.row(t) + from, *factors_.row(t), d_out.row(t) + from,
                                         count, weight.gradient + from);
  });
}

// x_[layer] → x_[layer + 1] (which a second pass leaves out where it can).
void Network::forward_layer(std::size_t layer, const Tape& tape, bool first_pass) {
  const TuneLayer& weights = model_.layers()[layer];
  const AttentionSpec& spec = *model_.blueprint().layers[layer].attention();
  const std::size_t n = ids_.size(), width = model_.blueprint().embedding;
  const Rows x = x_[layer], out = x_[layer + 1];
  norm(x, weights.vector[Slot::kAttentionNorm], n, width, tape.attention_in);
  forward(linear_, weights.linear[Slot::kQ], n, tape.attention_in, tape.q_raw, tape.low[Slot::kQ]);
  forward(linear_, weights.linear[Slot::kK], n, tape.attention_in, tape.k_raw, tape.low[Slot::kK]);
  forward(linear_, weights.linear[Slot::kV], n, tape.attention_in, tape.v, tape.low[Slot::kV]);
  turn_heads(layer, tape);
  attend(team_, kernels_, spec, documents_, attention_,
         {tape.q, tape.k, tape.v, tape.heads, tape.sums});
  forward(linear_, weights.linear[Slot::kAttentionOutput], n, tape.heads, tape.ffn_x,
          tape.low[Slot::kAttentionOutput]);
  team_.run(n, [&](std::size_t t, int) { kernels_.add(x.row(t), width, tape.ffn_x.row(t)); });
  norm(tape.ffn_x, weights.vector[Slot::kFfnNorm], n, width, tape.ffn_in);
  if (model_.blueprint().layers[layer].ffn.experts == 0) {
    dense_ffn(layer, tape, first_pass);
  } else {
    expert_ffn(layer, tape, first_pass);
  }
  if (first_pass)
    team_.run(n, [&](std::size_t t, int) { kernels_.add(tape.ffn_x.row(t), width, out.row(t)); });
}

// x_[layer + 1] = what the network says of ffn_in; the sum with ffn_x is the caller's.
void Network::dense_ffn(std::size_t layer, const Tape& tape, bool first_pass) {
  const TuneLayer& weights = model_.layers()[layer];
  const std::size_t n = ids_.size();
  forward(linear_, weights.linear[Slot::kGate], n, tape.ffn_in, tape.gate, tape.low[Slot::kGate]);
  forward(linear_, weights.linear[Slot::kUp], n, tape.ffn_in, tape.up, tape.low[Slot::kUp]);
  team_.run(n, [&](std::size_t t, int) {
    kernels_.silu_mul(tape.gate.row(t), tape.up.row(t), weights.linear[Slot::kGate].rows,
                      tape.hidden.row(t));
  });
  if (!first_pass && weights.linear[Slot::kDown].rank == 0) return;  // else low is wanted again
  forward(linear_, weights.linear[Slot::kDown], n, tape.hidden, x_[layer + 1],
          tape.low[Slot::kDown]);
}

// Norm and rotation of every head; q takes the scores' scale.
void Network::turn_heads(std::size_t layer, const Tape& tape) {
  const AttentionSpec& spec = *model_.blueprint().layers[layer].attention();
  const TuneLayer& weights = model_.layers()[layer];
  const std::size_t dim = spec.head_dim, turned = spec.rope.dimensions;
  const float epsilon = model_.blueprint().norm_epsilon;
  team_.run(ids_.size(), [&](std::size_t t, int) {
    const float* angles = cos_.data() + positions_[t] * turned;
    const auto turn = [&](const float* raw, float* head, const Weights& norm) {
      if (norm.value != nullptr) kernels_.rms_norm(raw, norm.value, dim, epsilon, head);
      kernels_.rope(head, angles, angles + turned / 2, turned, spec.rope.neox);
    };
    for (std::size_t h = 0; h < spec.heads; ++h) {
      float* head = tape.q.row(t) + h * dim;
      turn(tape.q_raw.row(t) + h * dim, head, weights.vector[Slot::kQNorm]);
      kernels_.train.scale(head, spec.scale, dim);
    }
    for (std::size_t h = 0; h < spec.kv_heads; ++h)
      turn(tape.k_raw.row(t) + h * dim, tape.k.row(t) + h * dim, weights.vector[Slot::kKNorm]);
  });
}

// dq_ and dk_: from the turned heads to what the projections gave.
void Network::turn_heads_back(std::size_t layer, const Tape& tape) {
  const AttentionSpec& spec = *model_.blueprint().layers[layer].attention();
  const TuneLayer& weights = model_.layers()[layer];
  const std::size_t dim = spec.head_dim, turned = spec.rope.dimensions, n = ids_.size();
  team_.run(n, [&](std::size_t t, int) {
    const float* angles = sin_back_.data() + positions_[t] * turned;
    const auto turn = [&](float* head) {
      kernels_.rope(head, angles, angles + turned / 2, turned, spec.rope.neox);
    };
    for (std::size_t h = 0; h < spec.heads; ++h) {
      turn(dq_.row(t) + h * dim);
      kernels_.train.scale(dq_.row(t) + h * dim, spec.scale, dim);
    }
    for (std::size_t h = 0; h < spec.kv_heads; ++h) turn(dk_.row(t) + h * dim);
  });
  if (spec.qk_norm == QkNorm::kNone) return;
  const auto back = [&](Rows d, Rows raw, std::size_t heads, const Weights& norm) {
    const float epsilon = model_.blueprint().norm_epsilon;
    // The weight's gradient first, all heads of all tokens in order: d is written over after it.
    if (norm.gradient != nullptr)
      for (std::size_t t = 0; t < n; ++t)
        for (std::size_t h = 0; h < heads; ++h) {
          const float* x = raw.row(t) + h * dim;
          const float mean = kernels_.train.dot(x, x, dim) / static_cast<float>(dim);
          kernels_.train.rms_weight_backward(x, 1 / std::sqrt(mean + epsilon), d.row(t) + h * dim,
                                             dim, norm.gradient);
        }
    team_.run(n, [&](std::size_t t, int) {
      std::vector<float> dx(dim);
      for (std::size_t h = 0; h < heads; ++h) {
        std::ranges::fill(dx, 0.0f);
        float* head = d.row(t) + h * dim;
        kernels_.train.rms_norm_backward(raw.row(t) + h * dim, norm.value, head, dim, epsilon,
                                         dx.data());
        std::ranges::copy(dx, head);
      }
    });
  };
  back(dq_, tape.q_raw, spec.heads, weights.vector[Slot::kQNorm]);
  back(dk_, tape.k_raw, spec.kv_heads, weights.vector[Slot::kKNorm]);
}

void Network::through(const Linear& linear, Rows x, Rows low, Rows dy, Rows dx, bool add) {
  backward(
      linear_, linear,
      {.tokens = ids_.size(), .x = x, .low = low, .dy = dy, .dx = dx, .add = add, .d_low = d_low_});
}

// dx_: the gradient of x_[layer + 1] → that of x_[layer].
void Network::backward_layer(std::size_t layer, const Tape& tape) {
  const TuneLayer& weights = model_.layers()[layer];
  const AttentionSpec& spec = *model_.blueprint().layers[layer].attention();
  if (model_.blueprint().layers[layer].ffn.experts == 0) {
    dense_ffn_backward(layer, tape);
  } else {
    expert_ffn_backward(layer, tape);
  }
  norm_backward(tape.ffn_x, weights.vector[Slot::kFfnNorm], dx2_, dx_);

  through(weights.linear[Slot::kAttentionOutput], tape.heads, tape.low[Slot::kAttentionOutput], dx_,
          d_heads_, false);
  attend_backward(team_, kernels_, spec, documents_, attention_,
                  {tape.q, tape.k, tape.v, tape.heads, tape.sums}, {d_heads_, dq_, dk_, dv_});
  turn_heads_back(layer, tape);
  through(weights.linear[Slot::kQ], tape.attention_in, tape.low[Slot::kQ], dq_, dx2_, false);
  through(weights.linear[Slot::kK], tape.attention_in, tape.low[Slot::kK], dk_, dx2_, true);
  through(weights.linear[Slot::kV], tape.attention_in, tape.low[Slot::kV], dv_, dx2_, true);
  norm_backward(x_[layer], weights.vector[Slot::kAttentionNorm], dx2_, dx_);
}

// dx2_ = the gradient of ffn_in, from dx_, that of the sum.
void Network::dense_ffn_backward(std::size_t layer, const Tape& tape) {
  const TuneLayer& weights = model_.layers()[layer];
  through(weights.linear[Slot::kDown], tape.hidden, tape.low[Slot::kDown], dx_, d_up_, false);
  team_.run(ids_.size(), [&](std::size_t t, int) {
    kernels_.train.silu_mul_backward(tape.gate.row(t), tape.up.row(t), d_up_.row(t),
                                     weights.linear[Slot::kGate].rows, d_gate_.row(t),
                                     d_up_.row(t));
  });
  through(weights.linear[Slot::kGate], tape.ffn_in, tape.low[Slot::kGate], d_gate_, dx2_, false);
  through(weights.linear[Slot::kUp], tape.ffn_in, tape.low[Slot::kUp], d_up_, dx2_, true);
}

// The loss of the last layer's output, and its gradient in dx_.
double Network::head(float weight) {
  const Linear& matrix = model_.head();
  const std::size_t width = model_.blueprint().embedding, vocabulary = matrix.rows;
  const Rows x = x_.back();
  if (weight != 0)
    team_.run(ids_.size(), [&](std::size_t t, int) { std::fill_n(dx2_.row(t), width, 0.0f); });
  double loss = 0;
  std::vector<float> losses(head_rows_);
  for (std::size_t from = 0; from < targets_.size(); from += head_rows_) {
    const std::size_t count = std::min(head_rows_, targets_.size() - from);
    const Target* targets = targets_.data() + from;
    team_.run(count, [&](std::size_t i, int) {
      kernels_.rms_norm(x.row(targets[i].row), model_.output_norm().value, width,
                        model_.blueprint().norm_epsilon, head_in_.row(i));
    });
    forward(linear_, matrix, count, head_in_, logits_, {});
    team_.run(count, [&](std::size_t i, int) {
      float* p = logits_.row(i);
      const auto target = static_cast<std::size_t>(targets[i].id);
      const float top = kernels_.max(p, vocabulary), score = p[target];
      const float sum = kernels_.exp_sum(p, vocabulary, top);
      losses[i] = top + std::log(sum) - score;
      kernels_.train.scale(p, weight / sum, vocabulary);
      p[target] -= weight;
    });
    for (std::size_t i = 0; i < count; ++i) loss += static_cast<double>(losses[i]);
    if (weight == 0) continue;
    backward(linear_, matrix,
             {.tokens = count, .x = head_in_, .low = {}, .dy = logits_, .dx = d_head_in_});
    team_.run(count, [&](std::size_t i, int) {
      std::copy_n(d_head_in_.row(i), width, dx2_.row(targets[i].row));
    });
  }
  if (weight == 0) return loss;
  team_.run(ids_.size(), [&](std::size_t t, int) { std::fill_n(dx_.row(t), width, 0.0f); });
  norm_backward(x, model_.output_norm(), dx2_, dx_);
  return loss;
}

void Network::backward_embedding() {
  const Weights& weight = model_.embedding().weight;
  const std::size_t width = model_.blueprint().embedding;
  if (weight.gradient == nullptr) return;
  constexpr std::size_t kColumns = 64;
  team_.run((width + kColumns - 1) / kColumns, [&](std::size_t piece, int) {
    const std::size_t from = piece * kColumns, count = std::min(kColumns, width - from);
    for (std::size_t t = 0; t < ids_.size(); ++t)
      kernels_.add(dx_.row(t) + from, count,
                   weight.gradient + static_cast<std::size_t>(ids_[t]) * width + from);
  });
}

}  // namespace lathe::infer
