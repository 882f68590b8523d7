// Snake (Ziyin et al. 2020), x + β·sin²(α·x), with an α and a β for each channel: what decoders of
// waves have between their convolutions. Immutable once loaded; any thread.
#pragma once

#include <string>
#include <vector>

#include "infer/encoders/weight_list.h"

namespace lathe::infer {

// sin²(x) within 1e-9 for |x| < 1e9, the same bits on every processor.
double sine_squared(double x);

class Snake {
 public:
  // `name`.alpha and .beta.
  void ask(WeightList& list, const std::string& name, std::size_t channels) {
    list.numbers(name + ".alpha", channels, &alpha_);
    list.numbers(name + ".beta", channels, &beta_);
  }
  void run(const float* x, float* out) const;  // (channels); in place allowed

 private:
  std::vector<float> alpha_, beta_;
};

}  // namespace lathe::infer
