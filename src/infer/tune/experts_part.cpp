// The feed-forward part of a mixture of experts, forward and backward.
#include "infer/tune/experts_part.h"

#include <algorithm>

#include "infer/tune/activation.h"
#include "infer/tune/router.h"

namespace lathe::infer {

ExpertsPart::ExpertsPart(TunePass& pass, std::size_t layer)
    : pass_(pass),
      spec_(pass.model.blueprint().layers[layer].ffn),
      weights_(pass.model.layers()[layer]),
      router_linear_{&weights_.linear[Slot::kRouter]},
      gate_{&weights_.linear[Slot::kGate]},
      up_{&weights_.linear[Slot::kUp]},
      down_{&down_without_bias_},
      down_without_bias_(weights_.linear[Slot::kDown]),
      latent_down_{&weights_.linear[Slot::kLatentDown]},
      latent_up_{&weights_.linear[Slot::kLatentUp]},
      width_(spec_.latent != 0 ? spec_.latent : pass.width()) {
  down_without_bias_.bias = {};
  if (spec_.shared_hidden != 0)
    shared_.emplace(pass, weights_, spec_.activation, Slot::kSharedGate, Slot::kSharedUp,
                    Slot::kSharedDown);
}

void ExpertsPart::for_each_expert(auto&& work) const {
  const std::vector<std::size_t>& first = pass_.choice.first;
  for (std::size_t e = 0; e + 1 < first.size(); ++e)
    if (const std::size_t count = first[e + 1] - first[e]; count != 0) work(e, first[e], count);
}

// The router's logits, which its choice is; what opens the shared expert.
void ExpertsPart::take_exact(TakenRows& rows) {
  router_ = rows.rows(pass_.max_tokens, spec_.experts);
  if (spec_.shared_gate) shared_weights_ = rows.rows(pass_.max_tokens, 1);
}

void ExpertsPart::take_kept(TakenRows& rows) {
  const std::size_t pairs = pass_.max_tokens * spec_.experts_used;
  if (gate_.there()) gate_rows_ = rows.rows(pairs, spec_.hidden);
  up_rows_ = rows.rows(pairs, spec_.hidden);
  hidden_rows_ = rows.rows(pairs, spec_.hidden);
  for (TapedLinear* linear : {&gate_, &up_, &down_}) linear->take(rows, pairs);
  if (spec_.latent != 0)
    for (Rows* each : {&inner_, &sums_}) *each = rows.rows(pass_.max_tokens, width_);
  for (TapedLinear* linear : {&latent_down_, &latent_up_}) linear->take(rows, pass_.max_tokens);
  if (shared_) shared_->take_kept(rows);
}

void ExpertsPart::take_scratch(TakenRows& rows) {
  const std::size_t n = pass_.max_tokens, pairs = n * spec_.experts_used;
  gathered_ = rows.rows(pairs, width_);
  // The shared expert's answer stands there, too.
  expert_out_ = rows.rows(pairs, std::max(width_, pass_.width()));
  if (spec_.latent != 0) d_inner_ = rows.rows(n, width_);
  d_gate_ = rows.rows(pairs, spec_.hidden);
  d_up_ = rows.rows(pairs, spec_.hidden);
  d_router_ = rows.rows(n, spec_.experts);
  d_weights_ = rows.rows(n, spec_.experts_used);
  if (spec_.shared_gate) d_shared_weights_ = rows.rows(n, 1);
  if (shared_) shared_->take_scratch(rows);
}

// The choice of the batch, and d_router_ = the probabilities times their total.
void ExpertsPart::choose() {
  pass_.each_token(
      [&](std::size_t t) { std::copy_n(router_.row(t), spec_.experts, d_router_.row(t)); });
  pass_.choice.choose(pass_.team, pass_.kernels, spec_, pass_.tokens(), d_router_.data,
                      d_router_.stride,
                      spec_.score_bias ? weights_.vector[Slot::kScoreBias].value : nullptr);
}

// gathered_: of each pair its token's row.
void ExpertsPart::gather(Rows x) {
  pass_.team.run(pass_.choice.token_of.size(), [&](std::size_t pair, int) {
    std::copy_n(x.row(pass_.choice.token_of[pair]), width_, gathered_.row(pair));
  });
}

void ExpertsPart::forward(Rows in, Rows out, bool wanted) {
  const bool latent = spec_.latent != 0;
  router_linear_.forward(pass_, in, router_);
  choose();
  if (latent) latent_down_.forward(pass_, in, inner_);
  gather(latent ? inner_ : in);
  const auto through = [&](const TapedLinear& all, Rows x, Rows y) {
    for_each_expert([&](std::size_t e, std::size_t from, std::size_t count) {
      infer::forward(pass_.linear, expert_of(*all.linear, e), count, x.from(from), y.from(from),
                     all.low.from(from));
    });
  };
  if (gate_.there()) through(gate_, gathered_, gate_rows_);
  through(up_, gathered_, up_rows_);
  activate_pairs();
  if (wanted || latent || down_.adapted()) through(down_, hidden_rows_, expert_out_);
  if (wanted || latent) sum_up(latent ? sums_ : out);
  if (latent && wanted) latent_up_.forward(pass_, sums_, out);
  if (shared_) forward_shared(in, out, wanted);
}

void ExpertsPart::activate_pairs() {
  const ExpertChoice& choice = pass_.choice;
  pass_.team.run(choice.pair_of.size(), [&](std::size_t i, int) {
    const std::size_t pair = choice.pair_of[i];
    float* row = hidden_rows_.row(pair);
    activate(pass_.kernels, spec_.activation, gate_rows_.row(pair), up_rows_.row(pair),
             spec_.hidden, row);
    pass_.kernels.train.scale(row, choice.weight[i], spec_.hidden);
  });
}

void ExpertsPart::sum_up(Rows out) {
  const ExpertChoice& choice = pass_.choice;
  const std::size_t width = width_, used = spec_.experts_used;
  const float* bias = weights_.linear[Slot::kDown].bias.value;
  pass_.each_token([&](std::size_t t) {
    float* sum = out.row(t);
    std::fill_n(sum, width, 0.0f);
    for (std::size_t i = t * used; i < (t + 1) * used; ++i) {
      pass_.kernels.add(expert_out_.row(choice.pair_of[i]), width, sum);
      if (bias != nullptr)
        pass_.kernels.add_scaled(bias + choice.chosen[i] * width, choice.weight[i], width, sum);
    }
  });
}

void ExpertsPart::backward(Rows in, Rows d_out, Rows d_in) {
  const std::size_t used = spec_.experts_used;
  const auto through = [&](const TapedLinear& all, Rows x, Rows dy, Rows dx, bool add) {
    for_each_expert([&](std::size_t e, std::size_t from, std::size_t count) {
      infer::backward(pass_.linear, expert_of(*all.linear, e),
                      {.tokens = count,
                       .x = x.from(from),
                       .low = all.low.from(from),
                       .dy = dy.from(from),
                       .dx = dx.from(from),
                       .add = add,
                       .d_low = pass_.d_low});
    });
  };
  const bool latent = spec_.latent != 0;
  choose();
  if (latent) latent_up_.backward(pass_, sums_, d_out, d_inner_, false);
  const Rows d_sums = latent ? d_inner_ : d_out;
  gather(d_sums);
  through(down_, hidden_rows_, gathered_, d_up_, false);
  activate_pairs_backward(d_sums);
  down_bias_backward(d_sums);
  gather(latent ? inner_ : in);
  if (gate_.there()) through(gate_, gathered_, d_gate_, expert_out_, false);
  through(up_, gathered_, d_up_, expert_out_, gate_.there());
  router_backward();
  router_linear_.backward(pass_, in, d_router_, d_in, false);
  const Rows d_read = latent ? d_inner_ : d_in;
  pass_.each_token([&](std::size_t t) {
    if (latent) std::fill_n(d_read.row(t), width_, 0.0f);
    for (std::size_t r = 0; r < used; ++r)
      pass_.kernels.add(expert_out_.row(pass_.choice.pair_of[t * used + r]), width_, d_read.row(t));
  });
  if (latent) latent_down_.backward(pass_, in, d_inner_, d_in, true);
  if (shared_) backward_shared(in, d_out, d_in);
}

// d_up_: from hidden rows to what the up-projection gave; d_gate_ and d_weights_.
void ExpertsPart::activate_pairs_backward(Rows d_out) {
  const ExpertChoice& choice = pass_.choice;
  const std::size_t used = spec_.experts_used, hidden = spec_.hidden, width = width_;
  const float* bias = weights_.linear[Slot::kDown].bias.value;
  pass_.team.run(choice.pair_of.size(), [&](std::size_t i, int) {
    const std::size_t pair = choice.pair_of[i], t = i / used;
    const float *gate = gate_rows_.row(pair), *up = up_rows_.row(pair);
    float *d_gate = d_gate_.row(pair), *d_hidden = d_up_.row(pair);
    // The weight's gradient wants it without weight.
    activate(pass_.kernels, spec_.activation, gate, up, hidden, d_gate);
    float& d_weight = d_weights_.row(t)[i % used];
    d_weight = pass_.kernels.train.dot(d_gate, d_hidden, hidden);
    if (bias != nullptr)
      d_weight += pass_.kernels.train.dot(bias + choice.chosen[i] * width, d_out.row(t), width);
    pass_.kernels.train.scale(d_hidden, choice.weight[i], hidden);
    activate_backward(pass_.kernels, spec_.activation, gate, up, d_hidden, hidden, d_gate,
                      d_hidden);
  });
}

void ExpertsPart::down_bias_backward(Rows d_out) {
  const ExpertChoice& choice = pass_.choice;
  const std::size_t used = spec_.experts_used, width = width_;
  float* gradient = weights_.linear[Slot::kDown].bias.gradient;
  if (gradient == nullptr) return;
  for (std::size_t i = 0; i < choice.chosen.size(); ++i)
    pass_.kernels.add_scaled(d_out.row(i / used), choice.weight[i], width,
                             gradient + choice.chosen[i] * width);
}

// d_router_: from the exponentials or sigmoids to the gradient of the logits.
void ExpertsPart::router_backward() {
  pass_.each_token([&](std::size_t t) {
    pass_.kernels.train.scale(d_router_.row(t), 1 / pass_.choice.total[t], spec_.experts);
    choice_backward(spec_, pass_.choice.chosen.data() + t * spec_.experts_used, d_weights_.row(t),
                    d_router_.row(t));
  });
}

void ExpertsPart::forward_shared(Rows in, Rows out, bool wanted) {
  if (spec_.shared_gate)
    pass_.each_token([&](std::size_t t) {
      float* weight = shared_weights_.row(t);
      *weight = pass_.kernels.train.dot(weights_.vector[Slot::kSharedRouter].value, in.row(t),
                                        pass_.width());
      pass_.kernels.recurrent.sigmoid(weight, 1, weight);
    });
  shared_->forward(in, shared_weights_, expert_out_, wanted);
  if (!wanted) return;
  pass_.each_token(
      [&](std::size_t t) { pass_.kernels.add(expert_out_.row(t), pass_.width(), out.row(t)); });
}

void ExpertsPart::backward_shared(Rows in, Rows d_out, Rows d_in) {
  shared_->backward(in, shared_weights_, d_out, d_in, true, d_shared_weights_);
  if (!spec_.shared_gate) return;
  const Weights& router = weights_.vector[Slot::kSharedRouter];
  pass_.each_token([&](std::size_t t) {
    const float weight = *shared_weights_.row(t);
    float& d = *d_shared_weights_.row(t);
    d *= weight * (1 - weight);
    pass_.kernels.add_scaled(router.value, d, pass_.width(), d_in.row(t));
  });
  if (router.gradient == nullptr) return;
  for (std::size_t t = 0; t < pass_.tokens(); ++t)
    pass_.kernels.add_scaled(in.row(t), *d_shared_weights_.row(t), pass_.width(), router.gradient);
}

}  // namespace lathe::infer
