// Which experts the tokens of a step go to: softmax over all of them or the sigmoid of each, the
// best few by probability (ties: the lower index), of the best groups if there are any, their
// weights normalised if the model says so, or takes the softmax of the chosen alone, which is the
// same; and the (token, expert) pairs sorted by expert, an expert's tokens in their order. A
// token's choice depends on its own logits alone. One thread, but for what the team is given.
#pragma once

#include <cstdint>
#include <vector>

#include "infer/kernels/kernels.h"
#include "infer/models/blueprint.h"
#include "infer/tensor/thread_team.h"

namespace lathe::infer {

struct ExpertChoice {
  // The smallest normal f16: what weights are normalised by is at least that, as the reference has
  // it.
  static constexpr float kLeastSum = 6.103515625e-5f;

  // That a pair takes of the arrays below (a token's share of them with one expert).
  static constexpr std::size_t kPairBytes =
      2 * sizeof(std::uint32_t) + 2 * sizeof(float) + sizeof(std::size_t);

  // router (tokens, experts), rows `stride` apart: logits, which become exponentials (probability
  // times the token's total) or sigmoids. `bias` (experts): is added to a probability when it is
  // compared; nullptr: none.
  void choose(ThreadTeam& team, const KernelTable& kernels, const FfnSpec& spec, std::size_t tokens,
              float* router, std::size_t stride, const float* bias = nullptr);

  std::vector<std::uint32_t> chosen;   // (tokens, used): experts, the best first
  std::vector<float> weight;           // (tokens, used)
  std::vector<float> total;            // (tokens): of the exponentials
  std::vector<std::uint32_t> pair_of;  // (tokens, used) → pair
  std::vector<std::size_t> token_of;   // (pairs)
  std::vector<std::size_t> first;      // (experts + 1): an expert's first pair
};

}  // namespace lathe::infer
