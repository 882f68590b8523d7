// Dense and expert feed-forward parts.
#include "infer/cpu/feed_forward.h"

#include <algorithm>
#include <cstring>

namespace lathe::infer {
namespace {

// Elementwise work on hidden rows is shared out in pieces of this many elements.
constexpr std::size_t kPiece = 2048;

// Gate and up, or up alone.
struct Inputs {
  Inputs(const FfnSpec& spec, ForwardScratch& s, Slot gate, Slot up)
      : all{{up, s.up.data()}, {gate, s.gate.data()}},
        count(spec.activation == Activation::kReluSquared ? 1 : 2) {}
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

}  // namespace

void DenseFfn::run(Step& step) const {
  ForwardScratch& s = step.scratch;
  step.multiply_linears(layer_, s.normed, Inputs(spec_, s, Slot::kGate, Slot::kUp).linears());
  activate(step, spec_.activation, step.tokens.size(), spec_.hidden);
  const Step::Linear down{Slot::kDown, s.branch.data()};
  step.multiply_linears(layer_, s.hidden, {&down, 1});
}

// step.choice, and each chosen pair's row in scratch.gathered.
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
  s.gathered.shape(step.width());
  step.team->run(step.tokens.size(), [&](std::size_t t, int) {
    for (std::size_t r = 0; r < spec_.experts_used; ++r)
      s.gathered.copy_row(s.normed, t, step.choice.pair_of[t * spec_.experts_used + r]);
  });
}

void ExpertFfn::run(Step& step) const {
  ForwardScratch& s = step.scratch;
  const std::size_t used = spec_.experts_used, width = step.width();
  choose(step);
  step.multiply_experts(layer_, s.gathered, Inputs(spec_, s, Slot::kGate, Slot::kUp).linears());
  if (spec_.bias) {
    add_biases(step, Slot::kGateBias, spec_.hidden, s.gate.data());
    add_biases(step, Slot::kUpBias, spec_.hidden, s.up.data());
  }
  activate(step, spec_.activation, step.tokens.size() * used, spec_.hidden);
  const Step::Linear down{Slot::kDown, s.expert_out.data()};
  step.multiply_experts(layer_, s.hidden, {&down, 1});
  if (spec_.bias) add_biases(step, Slot::kDownBias, width, s.expert_out.data());
  const ExpertChoice& choice = step.choice;
  step.team->run(step.tokens.size(), [&](std::size_t t, int) {
    float* sum = s.branch.data() + t * width;
    std::memset(sum, 0, width * sizeof(float));
    for (std::size_t r = 0; r < used; ++r) {
      const std::size_t i = t * used + r;
      step.kernels().add_scaled(s.expert_out.data() + choice.pair_of[i] * width, choice.weight[i],
                                width, sum);
    }
  });
  if (spec_.shared_hidden != 0) add_shared(step);
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
  step.multiply_linears(layer_, s.normed,
                        Inputs(spec_, s, Slot::kSharedGate, Slot::kSharedUp).linears());
  activate(step, spec_.activation, step.tokens.size(), spec_.shared_hidden);
  const Step::Linear down{Slot::kSharedDown, s.expert_out.data()};
  step.multiply_linears(layer_, s.hidden, {&down, 1});
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
