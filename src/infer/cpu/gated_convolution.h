// A short convolution between two gates (LFM2): out·(c·conv(b·x)), where b, c and x are projections
// of a token. It carries the convolution's last inputs. One thread, but for what the team is given.
#pragma once

#include "infer/cpu/step.h"

namespace lathe::infer {

class GatedConvolution final : public LayerPart {
 public:
  GatedConvolution(const Model& model, std::size_t layer);
  void run(Step& step) const override;

 private:
  ShortConvolutionSpec spec_;
  const LayerWeights& weights_;
  std::size_t layer_;
};

}  // namespace lathe::infer
