// The feed-forward part of a mixture of experts. Each expert takes the tokens that chose it as one
// batch, in their order, so its gradients are summed in the order of the batch; a token adds its
// experts' answers, and their gradients, in the order of its own ranking.
#include <algorithm>

#include "infer/tune/network.h"
#include "infer/tune/router.h"

namespace lathe::infer {
namespace {

// work(expert, its first pair, how many)
void for_each_expert(const ExpertChoice& choice, auto&& work) {
  for (std::size_t e = 0; e + 1 < choice.first.size(); ++e)
    if (const std::size_t count = choice.first[e + 1] - choice.first[e]; count != 0)
      work(e, choice.first[e], count);
}

}  // namespace

// choice_ of the batch, and d_router_ = the probabilities times their total.
void Network::choose_experts(std::size_t layer, const Tape& tape) {
  const FfnSpec& spec = model_.blueprint().layers[layer].ffn;
  team_.run(ids_.size(), [&](std::size_t t, int) {
    std::copy_n(tape.router.row(t), spec.experts, d_router_.row(t));
  });
  choice_.choose(team_, kernels_, spec, ids_.size(), d_router_.data, d_router_.stride);
}

// gathered_: of each pair its token's row.
void Network::gather(Rows x) {
  team_.run(choice_.token_of.size(), [&](std::size_t pair, int) {
    std::copy_n(x.row(choice_.token_of[pair]), model_.blueprint().embedding, gathered_.row(pair));
  });
}

// x_[layer + 1] = what the experts say of ffn_in; the sum with ffn_x is the caller's.
void Network::expert_ffn(std::size_t layer, const Tape& tape, bool first_pass) {
  const TuneLayer& weights = model_.layers()[layer];
  const std::size_t used = model_.blueprint().layers[layer].ffn.experts_used;
  const std::size_t n = ids_.size(), width = model_.blueprint().embedding;
  const std::size_t hidden = weights.linear[Slot::kGate].rows;
  forward(linear_, weights.linear[Slot::kRouter], n, tape.ffn_in, tape.router, {});
  choose_experts(layer, tape);
  gather(tape.ffn_in);
  for_each_expert(choice_, [&](std::size_t e, std::size_t from, std::size_t count) {
    const Rows x = gathered_.from(from);
    forward(linear_, expert_of(weights.linear[Slot::kGate], e), count, x, tape.gate.from(from),
            tape.low[Slot::kGate].from(from));
    forward(linear_, expert_of(weights.linear[Slot::kUp], e), count, x, tape.up.from(from),
            tape.low[Slot::kUp].from(from));
  });
  team_.run(n * used, [&](std::size_t i, int) {
    const std::size_t pair = choice_.pair_of[i];
    float* row = tape.hidden.row(pair);
    kernels_.silu_mul(tape.gate.row(pair), tape.up.row(pair), hidden, row);
    kernels_.train.scale(row, choice_.weight[i], hidden);
  });
  if (!first_pass && weights.linear[Slot::kDown].rank == 0) return;  // else low is wanted again
  for_each_expert(choice_, [&](std::size_t e, std::size_t from, std::size_t count) {
    forward(linear_, expert_of(weights.linear[Slot::kDown], e), count, tape.hidden.from(from),
            expert_out_.from(from), tape.low[Slot::kDown].from(from));
  });
  team_.run(n, [&](std::size_t t, int) {
    float* sum = x_[layer + 1].row(t);
    std::fill_n(sum, width, 0.0f);
    for (std::size_t r = 0; r < used; ++r)
      kernels_.add(expert_out_.row(choice_.pair_of[t * used + r]), width, sum);
  });
}

// dx2_ = the gradient of ffn_in, from dx_, that of the sum.
void Network::expert_ffn_backward(std::size_t layer, const Tape& tape) {
  const TuneLayer& weights = model_.layers()[layer];
  const std::size_t used = model_.blueprint().layers[layer].ffn.experts_used;
  const std::size_t n = ids_.size(), width = model_.blueprint().embedding;
  const std::size_t hidden = weights.linear[Slot::kGate].rows;
  choose_experts(layer, tape);
  gather(dx_);
  for_each_expert(choice_, [&](std::size_t e, std::size_t from, std::size_t count) {
    backward(linear_, expert_of(weights.linear[Slot::kDown], e),
             {.tokens = count,
              .x = tape.hidden.from(from),
              .low = tape.low[Slot::kDown].from(from),
              .dy = gathered_.from(from),
              .dx = d_up_.from(from),
              .d_low = d_low_});
  });
  team_.run(n * used, [&](std::size_t i, int) {
    const std::size_t pair = choice_.pair_of[i];
    const float *gate = tape.gate.row(pair), *up = tape.up.row(pair);
    float *d_gate = d_gate_.row(pair), *d_hidden = d_up_.row(pair);
    kernels_.silu_mul(gate, up, hidden, d_gate);  // the weight's gradient wants it without weight
    d_weights_.row(i / used)[i % used] = kernels_.train.dot(d_gate, d_hidden, hidden);
    kernels_.train.scale(d_hidden, choice_.weight[i], hidden);
    kernels_.train.silu_mul_backward(gate, up, d_hidden, hidden, d_gate, d_hidden);
  });
  gather(tape.ffn_in);
  for_each_expert(choice_, [&](std::size_t e, std::size_t from, std::size_t count) {
    const auto through = [&](const Linear& linear, Rows low, Rows dy, bool add) {
      backward(linear_, linear,
               {.tokens = count,
                .x = gathered_.from(from),
                .low = low.from(from),
                .dy = dy.from(from),
                .dx = expert_out_.from(from),
                .add = add,
                .d_low = d_low_});
    };
    through(expert_of(weights.linear[Slot::kGate], e), tape.low[Slot::kGate], d_gate_, false);
    through(expert_of(weights.linear[Slot::kUp], e), tape.low[Slot::kUp], d_up_, true);
  });
  router_backward(layer);
  through(weights.linear[Slot::kRouter], tape.ffn_in, {}, d_router_, dx2_, false);
  team_.run(n, [&](std::size_t t, int) {
    for (std::size_t r = 0; r < used; ++r)
      kernels_.add(expert_out_.row(choice_.pair_of[t * used + r]), width, dx2_.row(t));
  });
}

// d_router_: from the exponentials to the gradient of the logits.
void Network::router_backward(std::size_t layer) {
  const FfnSpec& spec = model_.blueprint().layers[layer].ffn;
  team_.run(ids_.size(), [&](std::size_t t, int) {
    kernels_.train.scale(d_router_.row(t), 1 / choice_.total[t], spec.experts);
    choice_backward(spec, choice_.chosen.data() + t * spec.experts_used, d_weights_.row(t),
                    d_router_.row(t));
  });
}

}  // namespace lathe::infer
