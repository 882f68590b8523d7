// Which experts a token takes, and the order of their tokens.
#include "infer/cpu/experts.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace lathe::infer {
namespace {

constexpr float kLast = -std::numeric_limits<float>::infinity();

// The `count` best by their rank, the best first; of equals the lower one.
void take_best(std::vector<std::uint32_t>& order, const std::vector<float>& rank,
               std::size_t count) {
  order.resize(rank.size());
  std::iota(order.begin(), order.end(), 0u);
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), order.end(),
                    [&](std::uint32_t a, std::uint32_t b) {
                      return rank[a] != rank[b] ? rank[a] > rank[b] : a < b;
                    });
}

// A group is as good as its two best experts together: those of all but the best groups rank last.
void keep_best_groups(const FfnSpec& spec, std::vector<float>& rank) {
  const std::size_t size = spec.experts / spec.groups;
  std::vector<float> sums;
  for (std::size_t g = 0; g < spec.groups; ++g) {
    float best = kLast, second = kLast;
    for (std::size_t e = g * size; e < (g + 1) * size; ++e) {
      second = std::max(second, std::min(best, rank[e]));
      best = std::max(best, rank[e]);
    }
    sums.push_back(best + second);
  }
  std::vector<std::uint32_t> order;
  take_best(order, sums, spec.groups);
  for (std::size_t g = spec.groups_used; g < spec.groups; ++g)
    std::fill_n(rank.begin() + static_cast<std::ptrdiff_t>(order[g] * size), size, kLast);
}

// One token's row: exponentials, sigmoids or, of those whose sigmoids are the weights, logits.
void choose_for_token(const FfnSpec& spec, const KernelTable& kernels, const float* p, float total,
                      const float* bias, std::uint32_t* chosen, float* weight) {
  std::vector<float> rank(spec.experts);
  for (std::size_t e = 0; e < spec.experts; ++e) {
    const float score = bias == nullptr ? p[e] : p[e] / total + bias[e];
    // A NaN (from broken weights) ranks last: the order must stay strict whatever the file holds.
    rank[e] = std::isnan(score) ? kLast : score;
  }
  if (spec.groups != 0) keep_best_groups(spec, rank);
  std::vector<std::uint32_t> order;
  take_best(order, rank, spec.experts_used);
  float sum = 0;
  for (std::size_t r = 0; r < spec.experts_used; ++r) {
    chosen[r] = order[r];
    weight[r] = p[order[r]] / total;
    sum += weight[r];
  }
  if (spec.router == RouterRule::kSigmoidOfChosen)
    kernels.recurrent.sigmoid(weight, spec.experts_used, weight);
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
    } else if (spec.router == RouterRule::kSigmoidOfChosen) {
      total[t] = 1;
    } else {
      total[t] = kernels.exp_sum(p, spec.experts, kernels.max(p, spec.experts));
    }
    choose_for_token(spec, kernels, p, total[t], bias, chosen.data() + t * used,
                     weight.data() + t * used);
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
