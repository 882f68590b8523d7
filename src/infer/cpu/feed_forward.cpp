// Dense and expert feed-forward parts.
#include "infer/cpu/feed_forward.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace lathe::infer {
namespace {

// Elementwise work on hidden rows is shared out in pieces of this many elements.
constexpr std::size_t kPiece = 2048;

// Gate and up, or up alone.
struct Inputs {
  Inputs(const FfnSpec& spec, ForwardScratch& s, Slot gate, Slot up)
      : all{{up, s.up.data()}, {gate, s.gate.data()}}, count(has_gate(spec.activation) ? 2 : 1) {}
  std::span<const Step::Linear> linears() const { return std::span(all).first(count); }
  Step::Linear all[2];
  std::size_t count;
};

void activate_row(const KernelTable& kernels, Activation kind, const float* gate, const float* up,
                  std::size_t n, float* out) {
  switch (kind) {
    case Activation::kSilu:
      return kernels.silu_mul(gate, up, n, out);
    case Activation::kGelu:
      return kernels.gelu_mul(gate, up, n, out);
    case Activation::kGeluAlone:
      return kernels.gelu(up, n, out);
    case Activation::kClampedSilu:
      return kernels.clamped_silu_mul(gate, up, n, out);
    case Activation::kReluSquared:
      return kernels.relu_squared(up, n, out);
  }
}

// scratch.hidden = what becomes of gate and up, quantized, for `rows` rows.
void activate(Step& step, Activation kind, std::size_t rows, std::size_t hidden) {
  const KernelTable& kernels = step.kernels();
  ForwardScratch& s = step.scratch;
  const std::size_t pieces = (hidden + kPiece - 1) / kPiece;
  s.hidden.shape(hidden);
  step.team->run(rows * pieces, [&](std::size_t item, int) {
    const std::size_t row = item / pieces, from = item % pieces * kPiece;
    const std::size_t count = std::min(kPiece, hidden - from), at = row * hidden + from;
    activate_row(kernels, kind, s.gate.data() + at, s.up.data() + at, count,
                 s.hidden.row(row) + from);
    s.hidden.quantize(kernels, row, from, count);
  });
}

ActivateOp::Kind kind_of(Activation activation) {
  switch (activation) {
    case Activation::kSilu:
      return ActivateOp::Kind::kSilu;
    case Activation::kGelu:
      return ActivateOp::Kind::kGelu;
    case Activation::kGeluAlone:
      return ActivateOp::Kind::kGeluAlone;
    case Activation::kReluSquared:
      return ActivateOp::Kind::kReluSquared;
    case Activation::kClampedSilu:
      return ActivateOp::Kind::kClampedSilu;
  }
  return {};
}

}  // namespace

void DenseFfn::run(Step& step) const {
  ForwardScratch& s = step.scratch;
  step.multiply_linears(layer_, s.normed, Inputs(spec_, s, Slot::kGate, Slot::kUp).linears());
  if (spec_.input_bias) {
    if (has_gate(spec_.activation)) add_bias(step, Slot::kGateBias, s.gate.data());
    add_bias(step, Slot::kUpBias, s.up.data());
  }
  activate(step, spec_.activation, step.tokens.size(), spec_.hidden);
  const Step::Linear down{Slot::kDown, s.branch.data()};
  step.multiply_linears(layer_, s.hidden, {&down, 1});
}

bool DenseFfn::record(Step& step, Chain& chain) const {
  ForwardScratch& s = step.scratch;
  const Step::Linear down{Slot::kDown, s.branch.data()};
  const bool gated = has_gate(spec_.activation);
  const auto bias = [&](bool has, Slot slot) {
    return spec_.input_bias && has ? Constant(weights_.vector[slot]) : Constant();
  };
  s.hidden.shape(spec_.hidden);
  return step.record_linears(chain, layer_, s.normed,
                             Inputs(spec_, s, Slot::kGate, Slot::kUp).linears()) &&
         chain.activate({.kind = kind_of(spec_.activation),
                         .rows = step.tokens.size(),
                         .width = spec_.hidden,
                         .gate = gated ? s.gate.data() : nullptr,
                         .up = s.up.data(),
                         .gate_bias = bias(gated, Slot::kGateBias),
                         .up_bias = bias(true, Slot::kUpBias),
                         .to = &s.hidden}) &&
         step.record_linears(chain, layer_, s.hidden, {&down, 1});
}

void DenseFfn::add_bias(Step& step, Slot slot, float* out) const {
  const std::vector<float>& bias = weights_.vector[slot];
  step.team->run(step.tokens.size(), [&](std::size_t t, int) {
    step.kernels().add(bias.data(), bias.size(), out + t * bias.size());
  });
}

ExpertFfn::ExpertFfn(const Model& model, std::size_t layer)
    : spec_(model.blueprint().layers[layer].ffn),
      weights_(model.layers()[layer]),
      layer_(layer),
      epsilon_(model.blueprint().norm_epsilon) {
  if (spec_.beside_hidden == 0) return;
  const float root = std::sqrt(static_cast<float>(model.blueprint().embedding));
  for (const float scale : weights_.vector[Slot::kRouterScale])
    router_norm_.push_back(scale / root);
}

void ExpertFfn::run(Step& step) const {
  ForwardScratch& s = step.scratch;
  if (spec_.beside_hidden != 0) begin_beside(step);
  choose(step);
  if (spec_.beside_hidden != 0) read_norm(step, weights_.vector[Slot::kExpertsNorm]);
  gather(step);
  step.multiply_experts(layer_, s.gathered, Inputs(spec_, s, Slot::kGate, Slot::kUp).linears());
  if (spec_.input_bias) {
    if (has_gate(spec_.activation)) add_biases(step, Slot::kGateBias, spec_.hidden, s.gate.data());
    add_biases(step, Slot::kUpBias, spec_.hidden, s.up.data());
  }
  activate(step, spec_.activation, step.tokens.size() * spec_.experts_used, spec_.hidden);
  const Step::Linear down{Slot::kDown, s.expert_out.data()};
  step.multiply_experts(layer_, s.hidden, {&down, 1});
  if (spec_.bias) add_biases(step, Slot::kDownBias, width(step), s.expert_out.data());
  sum_up(step);
  if (spec_.latent != 0) leave_latent(step);
  if (spec_.beside_hidden != 0) finish_beside(step);
  if (spec_.shared_hidden != 0) add_shared(step);
}

// out (tokens, embedding) = what a part of the layer that is no expert makes of scratch.normed.
void ExpertFfn::dense(Step& step, const Slots& slots, std::size_t hidden, float* out) const {
  ForwardScratch& s = step.scratch;
  step.multiply_linears(layer_, s.normed, Inputs(spec_, s, slots.gate, slots.up).linears());
  activate(step, spec_.activation, step.tokens.size(), hidden);
  const Step::Linear down{slots.down, out};
  step.multiply_linears(layer_, s.hidden, {&down, 1});
}

// scratch.normed = the norm of the residual stream.
void ExpertFfn::read_norm(Step& step, const std::vector<float>& weights) const {
  ForwardScratch& s = step.scratch;
  const std::size_t width = step.width();
  step.team->run(step.tokens.size(), [&](std::size_t t, int) {
    step.kernels().rms_norm(s.x.data() + t * width, weights.data(), width, epsilon_,
                            s.normed.row(t));
    s.normed.quantize(step.kernels(), t, 0, width);
  });
}

// The dense part's answer, its norm taken, in scratch.branch; scratch.normed: what the router
// reads.
void ExpertFfn::begin_beside(Step& step) const {
  ForwardScratch& s = step.scratch;
  const std::size_t width = step.width();
  dense(step, {Slot::kBesideGate, Slot::kBesideUp, Slot::kBesideDown}, spec_.beside_hidden,
        s.branch.data());
  step.team->run(step.tokens.size(), [&](std::size_t t, int) {
    float* row = s.branch.data() + t * width;
    step.kernels().rms_norm(row, weights_.vector[Slot::kBesidePostNorm].data(), width, epsilon_,
                            row);
  });
  read_norm(step, router_norm_);
}

// Beside the dense part's answer.
void ExpertFfn::finish_beside(Step& step) const {
  const std::size_t width = step.width();
  step.team->run(step.tokens.size(), [&](std::size_t t, int) {
    float* row = step.scratch.gathered.row(t);
    step.kernels().rms_norm(row, weights_.vector[Slot::kExpertsPostNorm].data(), width, epsilon_,
                            row);
    step.kernels().add(row, width, step.scratch.branch.data() + t * width);
  });
}

// step.choice, by what stands in scratch.normed.
void ExpertFfn::choose(Step& step) const {
  ForwardScratch& s = step.scratch;
  const Step::Linear router{Slot::kRouter, s.router.data()};
  step.multiply_linears(layer_, s.normed, {&router, 1});
  if (spec_.bias)
    for (std::size_t t = 0; t < step.tokens.size(); ++t)
      step.kernels().add(weights_.vector[Slot::kRouterBias].data(), spec_.experts,
                         s.router.data() + t * spec_.experts);
  step.choice.choose(*step.team, step.kernels(), spec_, step.tokens.size(), s.router.data(),
                     spec_.experts,
                     spec_.score_bias ? weights_.vector[Slot::kScoreBias].data() : nullptr);
}

// Each chosen pair's row in scratch.gathered: the token's, or what its latent or its weight makes
// of it.
void ExpertFfn::gather(Step& step) const {
  ForwardScratch& s = step.scratch;
  const std::size_t width = this->width(step), used = spec_.experts_used;
  if (spec_.latent != 0) {
    const Step::Linear down{Slot::kLatentDown, s.branch.data()};
    step.multiply_linears(layer_, s.normed, {&down, 1});
  }
  s.gathered.shape(width);
  step.team->run(step.tokens.size(), [&](std::size_t t, int) {
    for (std::size_t r = 0; r < used; ++r) {
      const std::size_t pair = step.choice.pair_of[t * used + r];
      if (spec_.latent == 0 && !spec_.weighs_input) {
        s.gathered.copy_row(s.normed, t, pair);
        continue;
      }
      const float* from = spec_.latent != 0 ? s.branch.data() + t * width : s.normed.row(t);
      std::copy_n(from, width, s.gathered.row(pair));
      if (spec_.weighs_input)
        step.kernels().train.scale(s.gathered.row(pair), step.choice.weight[t * used + r], width);
      s.gathered.quantize(step.kernels(), pair, 0, width);
    }
  });
}

// Each token's experts, in the order of its ranking: into scratch.branch, or, where that has
// something else or a latent is left first, scratch.gathered.
void ExpertFfn::sum_up(Step& step) const {
  ForwardScratch& s = step.scratch;
  const ExpertChoice& choice = step.choice;
  const std::size_t width = this->width(step), used = spec_.experts_used;
  const bool apart = spec_.latent != 0 || spec_.beside_hidden != 0;
  step.team->run(step.tokens.size(), [&](std::size_t t, int) {
    float* sum = apart ? s.gathered.row(t) : s.branch.data() + t * width;
    std::memset(sum, 0, width * sizeof(float));
    for (std::size_t r = 0; r < used; ++r) {
      const std::size_t i = t * used + r;
      step.kernels().add_scaled(s.expert_out.data() + choice.pair_of[i] * width,
                                spec_.weighs_input ? 1 : choice.weight[i], width, sum);
    }
  });
}

void ExpertFfn::leave_latent(Step& step) const {
  ForwardScratch& s = step.scratch;
  step.team->run(step.tokens.size(), [&](std::size_t t, int) {
    s.gathered.quantize(step.kernels(), t, 0, spec_.latent);
  });
  const Step::Linear up{Slot::kLatentUp, s.branch.data()};
  step.multiply_linears(layer_, s.gathered, {&up, 1});
}

// Each pair's row gets the bias of its expert.
void ExpertFfn::add_biases(Step& step, Slot slot, std::size_t rows, float* out) const {
  const std::vector<std::size_t>& first = step.choice.first;
  step.team->run(spec_.experts, [&](std::size_t e, int) {
    for (std::size_t pair = first[e]; pair < first[e + 1]; ++pair)
      step.kernels().add(weights_.vector[slot].data() + e * rows, rows, out + pair * rows);
  });
}

// The buffers of the chosen experts are free by now.
void ExpertFfn::add_shared(Step& step) const {
  ForwardScratch& s = step.scratch;
  const KernelTable& kernels = step.kernels();
  const std::size_t width = step.width();
  dense(step, {Slot::kSharedGate, Slot::kSharedUp, Slot::kSharedDown}, spec_.shared_hidden,
        s.expert_out.data());
  step.team->run(step.tokens.size(), [&](std::size_t t, int) {
    float weight = 1;
    if (spec_.shared_gate) {
      weight =
          kernels.train.dot(weights_.vector[Slot::kSharedRouter].data(), s.normed.row(t), width);
      kernels.recurrent.sigmoid(&weight, 1, &weight);
    }
    kernels.add_scaled(s.expert_out.data() + t * width, weight, width, s.branch.data() + t * width);
  });
}

}  // namespace lathe::infer
