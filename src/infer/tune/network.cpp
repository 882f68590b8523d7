// The network forward and backward, with activations kept or computed again.
#include "infer/tune/network.h"

#include <algorithm>
#include <cmath>

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

NormRows Network::norm_of(bool has, std::size_t layer, Slot slot) const {
  if (!has) return {};
  return {.kind = model_.blueprint().norm,
          .weight = model_.layers()[layer].vector[slot],
          .size = model_.blueprint().embedding};
}

NormRows Network::final_norm() const {
  return {.kind = model_.blueprint().norm,
          .weight = model_.output_norm(),
          .size = model_.blueprint().embedding};
}

void Network::make_layers() {
  pass_.ropes = ropes_of(model_.blueprint());
  pass_.max_tokens = options_.max_tokens;
  pass_.longest = options_.longest;
  for (std::size_t i = 0; i < model_.layers().size(); ++i) {
    const LayerSpec& spec = model_.blueprint().layers[i];
    std::vector<Step>& steps = layers_.emplace_back();
    if (auto mixer = make_tune_mixer(pass_, i))
      steps.push_back({.part = std::move(mixer),
                       .pre = norm_of(spec.pre_norms, i, Slot::kAttentionNorm),
                       .post = norm_of(spec.post_norms, i, Slot::kPostAttentionNorm)});
    if (auto ffn = make_tune_ffn(pass_, i))
      steps.push_back({.part = std::move(ffn),
                       .reads = !spec.parallel,
                       .pre = norm_of(spec.pre_norms && !spec.parallel, i, ffn_norm(spec)),
                       .post = norm_of(spec.post_norms, i, Slot::kPostFfnNorm)});
  }
}

void Network::take_exact(std::size_t layer, TakenRows& taken) {
  for (const Step& step : layers_[layer]) step.part->take_exact(taken);
}

void Network::take_kept(std::size_t layer, TakenRows& taken) {
  const std::size_t n = options_.max_tokens, width = model_.blueprint().embedding;
  std::vector<Step>& steps = layers_[layer];
  for (std::size_t s = 0; s < steps.size(); ++s) {
    Step& step = steps[s];
    if (!step.reads) {
      step.in = steps[s - 1].in;
    } else {
      step.x = s == 0 ? x_[layer] : taken.rows(n, width);
      step.in = step.pre.size != 0 ? taken.rows(n, width) : step.x;
    }
    if (step.post.size != 0) step.branch = taken.rows(n, width);
    step.part->take_kept(taken);
  }
}

// What each layer keeps has a place of its own, or all have one.
void Network::lay_out_kept(TakenRows& taken) {
  const auto each = [&](bool in_one, void (Network::*take)(std::size_t, TakenRows&)) {
    const std::size_t start = taken.floats;
    std::size_t end = start;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      if (in_one) taken.floats = start;
      (this->*take)(i, taken);
      end = std::max(end, taken.floats);
    }
    taken.floats = end;
    return Rows{taken.memory == nullptr ? nullptr : taken.memory + start, end - start};
  };
  each(options_.checkpointing, &Network::take_exact);
  kept_rows_ = each(options_.checkpointing || options_.bf16, &Network::take_kept);
}

// What the scratch that all layers share is made for.
struct Network::Largest {
  std::size_t rank = 1, head_dim = 0, pieces = 1, thread_floats = 0;
  std::size_t k = 0;      // of any linear layer
  std::size_t pairs = 0;  // of tokens and experts
};
Network::Largest Network::largest() const {
  const Blueprint& blueprint = model_.blueprint();
  Largest largest{.k = blueprint.embedding};
  for (std::size_t i = 0; i < blueprint.layers.size(); ++i) {
    const LayerSpec& spec = blueprint.layers[i];
    if (const AttentionSpec* attention = spec.attention()) {
      largest.head_dim = std::max(largest.head_dim, attention->head_dim);
      largest.pieces = std::max(largest.pieces, attention->heads);
    }
    if (const auto* net = std::get_if<DeltaNetSpec>(&spec.mixer))
      largest.pieces = std::max(largest.pieces, net->value_heads);
    if (const auto* mamba = std::get_if<Mamba2Spec>(&spec.mixer))
      largest.pieces = std::max(largest.pieces, mamba->groups);
    largest.pairs = std::max(largest.pairs, options_.max_tokens * spec.ffn.experts_used);
    for (const Linear& linear : model_.layers()[i].linear) {
      largest.rank = std::max(largest.rank, linear.rank);
      largest.k = std::max(largest.k, linear.k);
    }
    for (const Step& step : layers_[i])
      largest.thread_floats = std::max(largest.thread_floats, step.part->thread_floats());
  }
  return largest;
}

void Network::lay_out(TakenRows& taken) {
  const Blueprint& blueprint = model_.blueprint();
  const std::size_t n = options_.max_tokens, width = blueprint.embedding;
  const Largest most = largest();
  x_.clear();
  for (std::size_t i = 0; i <= layers_.size(); ++i) x_.push_back(taken.rows(n, width));
  lay_out_kept(taken);
  for (Rows* rows : {&branch_, &dx_, &d_in_, &d_branch_}) *rows = taken.rows(n, width);
  const bool parallel = std::ranges::any_of(blueprint.layers, &LayerSpec::parallel);
  if (parallel) d_skipped_ = taken.rows(n, width);
  pass_.d_low = taken.rows(n, most.rank);
  pass_.factors = taken.rows(n, 2 * most.pieces);
  const std::size_t start = taken.floats;
  std::size_t end = start;
  for (const std::vector<Step>& steps : layers_)
    for (const Step& step : steps) {
      taken.floats = start;
      step.part->take_scratch(taken);
      end = std::max(end, taken.floats);
    }
  taken.floats = end;
  head_rows_ = std::clamp<std::size_t>(kHeadFloats / blueprint.vocabulary, 1, n);
  head_in_ = taken.rows(head_rows_, width);
  d_head_in_ = taken.rows(head_rows_, width);
  logits_ = taken.rows(head_rows_, blueprint.vocabulary);
}

std::size_t Network::kept_numbers() const {
  return options_.bf16 && !options_.checkpointing ? layers_.size() * kept_rows_.stride : 0;
}

std::uint64_t Network::bytes(const TuneModel& model, std::size_t threads,
                             const NetworkOptions& options) {
  ThreadTeam nobody(1);
  Network network(model, nobody, *kernel_tables().front());
  network.options_ = options;
  network.make_layers();
  TakenRows counted;
  network.lay_out(counted);
  const Largest most = network.largest();
  const std::size_t linear =
      std::max(LinearScratch::kFloats, most.k * kTileColumns) + threads * most.k * kTileColumns;
  const std::size_t attention = AttentionScratch::floats(options.longest, most.head_dim, threads);
  return (counted.floats + linear + attention + threads * most.thread_floats) * sizeof(float) +
         network.kept_numbers() * sizeof(std::uint16_t) + most.pairs * ExpertChoice::kPairBytes;
}

Result<std::unique_ptr<Network>> Network::create(const TuneModel& model, ThreadTeam& team,
                                                 const KernelTable& kernels,
                                                 const NetworkOptions& options) {
  std::unique_ptr<Network> network(new Network(model, team, kernels));
  network->options_ = options;
  network->make_layers();
  TakenRows taken;
  network->lay_out(taken);
  LATHE_TRY_STATUS(network->floats_.reserve(taken.floats));
  taken = {network->floats_.data(), 0};
  network->lay_out(taken);
  LATHE_TRY_STATUS(network->kept_.reserve(network->kept_numbers()));
  const Largest most = network->largest();
  TunePass& pass = network->pass_;
  LATHE_TRY_STATUS(pass.linear.reserve(most.k, threads_of(team)));
  LATHE_TRY_STATUS(pass.attention.reserve(options.longest, most.head_dim, threads_of(team)));
  pass.thread_floats = most.thread_floats;
  LATHE_TRY_STATUS(pass.of_threads.reserve(most.thread_floats * threads_of(team)));
  network->turn_positions();
  return network;
}

// The turns of all positions, and back. Which of a file's two sets of factors counts follows from
// the longest document, as it does from the context that the engine is given.
void Network::turn_positions() {
  const bool turns_long = model_.blueprint().turns_long(options_.longest);
  for (const RopeSpec& rope : pass_.ropes.all) {
    const Slot factors = rope.factors == RopeFactors::kOne ? Slot::kRopeFactors
                         : turns_long                      ? Slot::kRopeFactorsLong
                                                           : Slot::kRopeFactorsShort;
    const auto frequencies =
        rope_frequencies(rope, rope.factors == RopeFactors::kNone ? std::span<const float>()
                                                                  : model_.rope_factors(factors));
    std::vector<float>& turn = pass_.turn.emplace_back(options_.longest * rope.dimensions);
    for (std::size_t p = 0; p < options_.longest; ++p)
      rope_row(rope, frequencies, RopePosition::of_text(p), turn.data() + p * rope.dimensions);
    std::vector<float>& back = pass_.turn_back.emplace_back(turn);
    for (std::size_t i = 0; i < back.size(); ++i)
      if (i % rope.dimensions >= rope.dimensions / 2) back[i] = -back[i];
  }
}

double Network::run(std::span<const Example* const> batch, float weight) {
  place(batch);
  embed();
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    forward_layer(i, true);
    if (weight != 0) keep(i);
  }
  const double loss = head(weight);
  if (weight == 0) return loss;
  for (std::size_t i = layers_.size(); i-- > 0;) {
    bring_back(i);
    backward_layer(i);
  }
  backward_embedding();
  return loss;
}

// What the layer keeps, rounded, out of the place that the next one wants.
void Network::keep(std::size_t layer) {
  if (!options_.bf16 || options_.checkpointing) return;
  std::uint16_t* kept = kept_.data() + layer * kept_rows_.stride;
  in_pieces(team_, kept_rows_.stride, [&](std::size_t from, std::size_t end) {
    for (std::size_t i = from; i < end; ++i) kept[i] = f32_to_bf16(kept_rows_.data[i]);
  });
}

// The same, as the backward pass is to see it.
void Network::bring_back(std::size_t layer) {
  float* rows = kept_rows_.data;
  if (options_.checkpointing) {
    forward_layer(layer, false);
    if (!options_.bf16) return;
    in_pieces(team_, kept_rows_.stride, [&](std::size_t from, std::size_t end) {
      for (std::size_t i = from; i < end; ++i) rows[i] = bf16_to_f32(f32_to_bf16(rows[i]));
    });
  } else if (options_.bf16) {
    const std::uint16_t* kept = kept_.data() + layer * kept_rows_.stride;
    in_pieces(team_, kept_rows_.stride, [&](std::size_t from, std::size_t end) {
      for (std::size_t i = from; i < end; ++i) rows[i] = bf16_to_f32(kept[i]);
    });
  }
}

void Network::place(std::span<const Example* const> batch) {
  ids_.clear();
  pass_.positions.clear();
  pass_.documents.clear();
  targets_.clear();
  for (const Example* example : batch) {
    const std::size_t first = ids_.size(), count = example->tokens.size();
    LATHE_CHECK(count <= options_.longest);
    pass_.documents.push_back({first, count});
    for (std::size_t i = 0; i < count; ++i) {
      ids_.push_back(example->tokens[i]);
      pass_.positions.push_back(static_cast<std::uint32_t>(i));
      if (i != 0 && example->trained[i] != 0)
        targets_.push_back({first + i - 1, example->tokens[i]});
    }
  }
  LATHE_CHECK(ids_.size() <= options_.max_tokens);
}

void Network::embed() {
  const float scale = model_.blueprint().embedding_scale;
  pass_.each_token([&](std::size_t t) {
    model_.embed(ids_[t], x_[0].row(t));
    if (scale != 1) kernels_.train.scale(x_[0].row(t), scale, pass_.width());
  });
}

// x_[layer] → x_[layer + 1] (which a second pass leaves out).
void Network::forward_layer(std::size_t layer, bool first_pass) {
  for (std::size_t s = 0; s < layers_[layer].size(); ++s) forward_step(layer, s, first_pass);
}

// The stream behind a part goes where the next one reads it, or where the layer ends.
void Network::forward_step(std::size_t layer, std::size_t place, bool first_pass) {
  std::vector<Step>& steps = layers_[layer];
  Step& step = steps[place];
  const std::size_t width = pass_.width();
  if (step.reads && step.pre.size != 0) norm_rows(pass_, step.pre, step.x, step.in);
  const bool ends = place + 1 == steps.size() || !steps[place + 1].reads;
  const bool post = step.post.size != 0;
  step.part->forward(step.in, post ? step.branch : branch_, post || first_pass || !ends);
  if (ends && !first_pass) return;
  if (post) norm_rows(pass_, step.post, step.branch, branch_);
  const float scale = model_.blueprint().residual_scale;
  const Rows behind = ends ? x_[layer + 1] : steps[place + 1].x;
  const Rows before = step.reads ? step.x : behind;
  pass_.each_token([&](std::size_t t) {
    if (scale != 1) kernels_.train.scale(branch_.row(t), scale, width);
    if (before.data != behind.data) std::copy_n(before.row(t), width, behind.row(t));
    kernels_.add(branch_.row(t), width, behind.row(t));
  });
}

// What the residual stream's gradient says of what the part gave.
Rows Network::branch_gradient(const Step& step) {
  const float scale = model_.blueprint().residual_scale;
  if (scale == 1 && step.post.size == 0) return dx_;
  pass_.each_token([&](std::size_t t) {
    std::copy_n(dx_.row(t), pass_.width(), d_branch_.row(t));
    if (scale != 1) kernels_.train.scale(d_branch_.row(t), scale, pass_.width());
  });
  if (step.post.size != 0) norm_rows_backward(pass_, step.post, step.branch, d_branch_, d_branch_);
  return d_branch_;
}

// dx_: the gradient of x_[layer + 1] → that of x_[layer]. Both of two parallel parts are told by
// the stream behind them.
void Network::backward_layer(std::size_t layer) {
  std::vector<Step>& steps = layers_[layer];
  const std::size_t width = pass_.width();
  bool skipped = false;
  for (std::size_t s = steps.size(); s-- > 0;) {
    const Step& step = steps[s];
    step.part->backward(step.in, branch_gradient(step), step.reads ? d_in_ : d_skipped_);
    if (!step.reads) {
      skipped = true;
      continue;
    }
    if (std::exchange(skipped, false))
      pass_.each_token(
          [&](std::size_t t) { kernels_.add(d_skipped_.row(t), width, d_in_.row(t)); });
    if (step.pre.size != 0)
      norm_rows_backward(pass_, step.pre, step.x, d_in_, dx_);
    else
      pass_.each_token([&](std::size_t t) { kernels_.add(d_in_.row(t), width, dx_.row(t)); });
  }
}

// logits_ of some targets: their losses, and with a weight the gradients of what the matrix gave.
void Network::loss_of_rows(std::size_t from, std::size_t count, float weight,
                           std::vector<float>& losses) {
  const Blueprint& blueprint = model_.blueprint();
  const std::size_t vocabulary = blueprint.vocabulary;
  const float cap = blueprint.logit_cap;
  team_.run(count, [&](std::size_t i, int) {
    float* p = logits_.row(i);
    const auto target = static_cast<std::size_t>(targets_[from + i].id);
    if (blueprint.logit_scale != 1) kernels_.train.scale(p, blueprint.logit_scale, vocabulary);
    if (cap != 0) kernels_.soft_cap(p, vocabulary, cap);
    std::vector<float> slope(cap != 0 && weight != 0 ? vocabulary : 0);
    for (std::size_t v = 0; v < slope.size(); ++v) slope[v] = 1 - (p[v] / cap) * (p[v] / cap);
    const float top = kernels_.max(p, vocabulary), score = p[target];
    const float sum = kernels_.exp_sum(p, vocabulary, top);
    losses[i] = top + std::log(sum) - score;
    if (weight == 0) return;
    kernels_.train.scale(p, weight / sum, vocabulary);
    p[target] -= weight;
    if (!slope.empty()) kernels_.mul(slope.data(), vocabulary, p);
    if (blueprint.logit_scale != 1) kernels_.train.scale(p, blueprint.logit_scale, vocabulary);
  });
}

// The loss of the last layer's output, and its gradient in dx_.
double Network::head(float weight) {
  const Linear& matrix = model_.head();
  const std::size_t width = pass_.width();
  const NormRows norm = final_norm();
  const auto apply = norm.kind == NormKind::kRms ? kernels_.rms_norm : kernels_.layer_norm;
  const Rows x = x_.back();
  if (weight != 0) pass_.each_token([&](std::size_t t) { std::fill_n(d_in_.row(t), width, 0.0f); });
  double loss = 0;
  std::vector<float> losses(head_rows_);
  for (std::size_t from = 0; from < targets_.size(); from += head_rows_) {
    const std::size_t count = std::min(head_rows_, targets_.size() - from);
    const Target* targets = targets_.data() + from;
    team_.run(count, [&](std::size_t i, int) {
      apply(x.row(targets[i].row), norm.weight.value, width, pass_.epsilon(), head_in_.row(i));
    });
    forward(pass_.linear, matrix, count, head_in_, logits_, {});
    loss_of_rows(from, count, weight, losses);
    for (std::size_t i = 0; i < count; ++i) loss += static_cast<double>(losses[i]);
    if (weight == 0) continue;
    backward(pass_.linear, matrix,
             {.tokens = count, .x = head_in_, .low = {}, .dy = logits_, .dx = d_head_in_});
    team_.run(count, [&](std::size_t i, int) {
      std::copy_n(d_head_in_.row(i), width, d_in_.row(targets[i].row));
    });
  }
  if (weight == 0) return loss;
  pass_.each_token([&](std::size_t t) { std::fill_n(dx_.row(t), width, 0.0f); });
  norm_rows_backward(pass_, norm, x, d_in_, dx_);
  return loss;
}

void Network::backward_embedding() {
  const Weights& weight = model_.embedding().weight;
  const std::size_t width = pass_.width();
  const float scale = model_.blueprint().embedding_scale;
  if (weight.gradient == nullptr) return;
  constexpr std::size_t kColumns = 64;
  team_.run((width + kColumns - 1) / kColumns, [&](std::size_t piece, int) {
    const std::size_t from = piece * kColumns, count = std::min(kColumns, width - from);
    for (std::size_t t = 0; t < ids_.size(); ++t)
      kernels_.add_scaled(dx_.row(t) + from, scale, count,
                          weight.gradient + static_cast<std::size_t>(ids_[t]) * width + from);
  });
}

}  // namespace lathe::infer
