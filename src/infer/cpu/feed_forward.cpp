// Dense and expert feed-forward parts.
#include "infer/cpu/feed_forward.h"

#include <algorithm>
#include <cstring>

namespace lathe::infer {
namespace {

// Elementwise work on hidden rows is shared out in pieces of this many elements.
constexpr std::size_t kPiece = 2048;

// scratch.hidden = silu(gate)·up, quantized, for `rows` rows.
void activate(Step& step, std::size_t rows, std::size_t hidden) {
  const KernelTable& kernels = step.kernels();
  ForwardScratch& s = step.scratch;
  const std::size_t pieces = (hidden + kPiece - 1) / kPiece;
  s.hidden.shape(hidden);
  step.team->run(rows * pieces, [&](std::size_t item, int) {
    const std::size_t row = item / pieces, from = item % pieces * kPiece;
    const std::size_t count = std::min(kPiece, hidden - from), at = row * hidden + from;
    kernels.silu_mul(s.gate.data() + at, s.up.data() + at, count, s.hidden.row(row) + from);
    s.hidden.quantize(kernels, row, from, count);
  });
}

}  // namespace

void DenseFfn::run(Step& step) const {
  ForwardScratch& s = step.scratch;
  const Step::Linear inputs[] = {{Slot::kGate, s.gate.data()}, {Slot::kUp, s.up.data()}};
  step.multiply_linears(layer_, s.normed, inputs);
  activate(step, step.tokens.size(), step.model->layers()[layer_].matrix[Slot::kGate].rows);
  const Step::Linear down{Slot::kDown, s.branch.data()};
  step.multiply_linears(layer_, s.hidden, {&down, 1});
}

// step.choice, and each chosen pair's row in scratch.gathered.
void ExpertFfn::choose(Step& step) const {
  ForwardScratch& s = step.scratch;
  const Step::Linear router{Slot::kRouter, s.router.data()};
  step.multiply_linears(layer_, s.normed, {&router, 1});
  step.choice.choose(*step.team, step.kernels(), spec_, step.tokens.size(), s.router.data(),
                     spec_.experts);
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
  const Step::Linear inputs[] = {{Slot::kGate, s.gate.data()}, {Slot::kUp, s.up.data()}};
  step.multiply_experts(layer_, s.gathered, inputs);
  activate(step, step.tokens.size() * used, spec_.hidden);
  const Step::Linear down{Slot::kDown, s.expert_out.data()};
  step.multiply_experts(layer_, s.hidden, {&down, 1});
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
}

}  // namespace lathe::infer
