// Which experts a token takes, and the order of their tokens.
#include "infer/cpu/experts.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace lathe::infer {
namespace {

// One token's row of exponentials.
void choose_for_token(const FfnSpec& spec, const float* p, float total, const float* bias,
                      std::uint32_t* chosen, float* weight) {
  std::vector<std::uint32_t> order(spec.experts);
  std::iota(order.begin(), order.end(), 0u);
  // A NaN (from broken weights) ranks last: the order must stay strict whatever the file holds.
  const auto rank = [&](std::uint32_t e) {
    const float score = bias == nullptr ? p[e] : p[e] / total + bias[e];
    return std::isnan(score) ? -std::numeric_limits<float>::infinity() : score;
  };
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(spec.experts_used),
                    order.end(), [&](std::uint32_t a, std::uint32_t b) {
                      return rank(a) != rank(b) ? rank(a) > rank(b) : a < b;
                    });
  float sum = 0;
  for (std::size_t r = 0; r < spec.experts_used; ++r) {
    chosen[r] = order[r];
    weight[r] = p[order[r]] / total;
    sum += weight[r];
  }
  if (spec.normalize_weights || spec.router == RouterRule::kSoftmaxOfChosen)
    for (std::size_t r = 0; r < spec.experts_used; ++r)
      weight[r] /= std::max(sum, ExpertChoice::kLeastSum);
  for (std::size_t r = 0; r < spec.experts_used; ++r) weight[r] *= spec.weight_scale;
}

}  // namespace

void ExpertChoice::choose(ThreadTeam& team, const KernelTable& kernels, const FfnSpec& spec,
                          std::size_t tokens, float* router, std::size_t stride,
                          const float* bias) {
  const std::size_t used = spec.experts_used, pairs = tokens * used;
  chosen.resize(pairs);
  weight.resize(pairs);
  total.resize(tokens);
  team.run(tokens, [&](std::size_t t, int) {
    float* p = router + t * stride;
    if (spec.router == RouterRule::kSigmoid) {
      kernels.recurrent.sigmoid(p, spec.experts, p);
      total[t] = 1;
    } else {
      total[t] = kernels.exp_sum(p, spec.experts, kernels.max(p, spec.experts));
    }
    choose_for_token(spec, p, total[t], bias, chosen.data() + t * used, weight.data() + t * used);
  });
  first.assign(spec.experts + 1, 0);
  for (const std::uint32_t expert : chosen) ++first[expert + 1];
  std::partial_sum(first.begin(), first.end(), first.begin());
  pair_of.resize(pairs);
  token_of.resize(pairs);
  std::vector<std::size_t> next(first.begin(), first.end() - 1);
  for (std::size_t i = 0; i < pairs; ++i) {
    const std::size_t pair = next[chosen[i]]++;
    pair_of[i] = static_cast<std::uint32_t>(pair);
    token_of[pair] = i / used;
  }
}

}  // namespace lathe::infer
