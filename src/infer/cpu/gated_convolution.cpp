// A short convolution between two gates, over the tokens of one step.
#include "infer/cpu/gated_convolution.h"

#include "infer/cpu/short_convolution.h"

namespace lathe::infer {

GatedConvolution::GatedConvolution(const Model& model, std::size_t layer)
    : spec_(std::get<ShortConvolutionSpec>(model.blueprint().layers[layer].mixer)),
      weights_(model.layers()[layer]),
      layer_(layer) {}

// scratch.mixed: of each token b, c and x.
void GatedConvolution::run(Step& step) const {
  ForwardScratch& s = step.scratch;
  const KernelTable& kernels = step.kernels();
  const std::size_t width = spec_.width, row = 3 * width;
  const Step::Linear input{Slot::kShortInput, s.mixed.data()};
  step.multiply_linears(layer_, s.normed, {&input, 1});
  step.team->run(step.tokens.size(), [&](std::size_t t, int) {
    float* b = s.mixed.data() + t * row;
    kernels.mul(b, width, b + 2 * width);
  });
  s.heads.shape(width);
  const ShortConvolution convolution{.weights = weights_.vector[Slot::kShortConvolution].data(),
                                     .bias = nullptr,
                                     .channels = width,
                                     .taps = spec_.taps};
  for (const Step::Run& run : step.runs) {
    std::byte* state = step.tokens[run.first].memory->state() + step.layout->place(layer_).offset;
    convolution.run(step, run.count,
                    {.input = s.mixed.data() + run.first * row + 2 * width,
                     .input_stride = row,
                     .output = s.heads.row(run.first),
                     .output_stride = width},
                    reinterpret_cast<float*>(state));
  }
  step.team->run(step.tokens.size(), [&](std::size_t t, int) {
    kernels.mul(s.mixed.data() + t * row + width, width, s.heads.row(t));
    s.heads.quantize(kernels, t, 0, width);
  });
  const Step::Linear output{Slot::kShortOutput, s.branch.data()};
  step.multiply_linears(layer_, s.heads, {&output, 1});
}

}  // namespace lathe::infer
