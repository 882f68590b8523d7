// A router of experts, forward and backward.
#include "infer/tune/router.h"

#include <algorithm>

#include "infer/cpu/experts.h"

namespace lathe::infer {

void choice_backward(const FfnSpec& spec, const std::uint32_t* chosen, const float* d_weight,
                     float* p) {
  // weight = scale·p/divisor; where the divisor is the sum of the chosen, a larger one makes the
  // others smaller.
  const std::size_t used = spec.experts_used;
  const bool normalized = spec.normalize_weights || spec.router == RouterRule::kSoftmaxOfChosen;
  float sum = 0, divisor = 1, mean = 0;
  for (std::size_t r = 0; r < used; ++r) sum += p[chosen[r]];
  if (normalized) {
    divisor = std::max(sum, ExpertChoice::kLeastSum);
    if (sum >= ExpertChoice::kLeastSum)
      for (std::size_t r = 0; r < used; ++r) mean += d_weight[r] * (p[chosen[r]] / sum);
  }
  std::vector<float> own(used);
  for (std::size_t r = 0; r < used; ++r)
    own[r] = spec.weight_scale / divisor * (d_weight[r] - mean) * p[chosen[r]];
  if (spec.router == RouterRule::kSigmoid) {
    for (std::size_t r = 0; r < used; ++r) own[r] *= 1 - p[chosen[r]];
    std::fill_n(p, spec.experts, 0.0f);
    for (std::size_t r = 0; r < used; ++r) p[chosen[r]] = own[r];
    return;
  }
  // The softmax over all experts; only the chosen have a gradient of their own.
  float dot = 0;
  for (const float d : own) dot += d;
  for (std::size_t e = 0; e < spec.experts; ++e) p[e] *= -dot;
  for (std::size_t r = 0; r < used; ++r) p[chosen[r]] += own[r];
}

}  // namespace lathe::infer
