// Embeddings of tokens for each layer.
#include "infer/cpu/layer_input.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace lathe::infer {

void prepare_layer_inputs(Step& step) {
  ForwardScratch& s = step.scratch;
  const Model& model = *step.model;
  const KernelTable& kernels = step.kernels();
  const Blueprint& blueprint = model.blueprint();
  const std::size_t size = blueprint.layer_input, all = size * blueprint.layers.size();
  const auto root = [](std::size_t n) { return std::sqrt(static_cast<float>(n)); };
  s.normed.shape(step.width());
  step.team->run(step.tokens.size(), [&](std::size_t t, int) {
    std::copy_n(s.x.data() + t * step.width(), step.width(), s.normed.row(t));
    kernels.train.scale(s.normed.row(t), 1 / root(step.width()), step.width());
    s.normed.quantize(kernels, t, 0, step.width());
  });
  const Product product{.matrix = &model.outside().matrix[Slot::kLayerProjection],
                        .x = &s.normed,
                        .tokens = step.tokens.size(),
                        .out = s.inputs.data(),
                        .stride = all};
  step.multiply({&product, 1});
  const std::vector<float>& norm = model.outside().vector[Slot::kLayerProjectionNorm];
  step.team->run(step.tokens.size(), [&](std::size_t t, int) {
    float *row = s.inputs.data() + t * all, *own = s.own_inputs.data() + t * all;
    // What is no token has the embeddings of the first one.
    model.embed_layers(std::max(step.tokens[t].id, 0), own);
    for (std::size_t i = 0; i < all; i += size)
      kernels.rms_norm(row + i, norm.data(), size, blueprint.norm_epsilon, row + i);
    kernels.add_scaled(own, root(size), all, row);
    kernels.train.scale(row, 1 / std::numbers::sqrt2_v<float>, all);
  });
}

// projection·(gelu(gate·x)·the token's embedding).
void LayerInput::run(Step& step) const {
  ForwardScratch& s = step.scratch;
  const KernelTable& kernels = step.kernels();
  const std::size_t all = size_ * step.model->blueprint().layers.size();
  const Step::Linear gate{Slot::kInputGate, s.own_inputs.data()};
  step.multiply_linears(layer_, s.normed, {&gate, 1});
  s.low.shape(size_);
  step.team->run(step.tokens.size(), [&](std::size_t t, int) {
    kernels.gelu_mul(s.own_inputs.data() + t * size_, s.inputs.data() + t * all + layer_ * size_,
                     size_, s.low.row(t));
    s.low.quantize(kernels, t, 0, size_);
  });
  const Step::Linear projection{Slot::kInputProjection, s.branch.data()};
  step.multiply_linears(layer_, s.low, {&projection, 1});
}

}  // namespace lathe::infer
