// From logits to a token: llama.cpp's chain in its order and under its names, every filter over one
// candidate list.
//   logit bias → penalties → dry → top_n_sigma → top_k → typ_p → top_p → min_p → xtc → temperature
//   → draw
// (mirostat replaces everything after the penalties). Random numbers come from a counter keyed by
// (seed, stream, position), so a draw does not depend on what else runs. Ties are broken by token
// id. A Sampler belongs to one sequence and holds its recent tokens. Not thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "ground/base/result.h"
#include "infer/tokens/tokenizer.h"

namespace lathe::infer {

struct SamplerParams {
  float temperature = 0.8f;  // 0: the most likely token
  float dynatemp_range = 0, dynatemp_exponent = 1;
  std::int32_t top_k = 40;  // 0: off
  float top_p = 0.95f;      // 1: off
  float min_p = 0.05f;      // 0: off
  float typical_p = 1;      // 1: off
  float top_n_sigma = 0;    // 0: off
  float xtc_probability = 0, xtc_threshold = 0.1f;
  std::int32_t repeat_last_n =
      64;  // tokens that the penalties look back on, the prompt included; 0: off
  float repeat_penalty = 1, frequency_penalty = 0, presence_penalty = 0;
  float dry_multiplier = 0, dry_base = 1.75f;
  std::int32_t dry_allowed_length = 2, dry_last_n = 1024;
  std::vector<std::string> dry_breakers = {"\n", ":", "\"",
                                           "*"};  // a token that contains one ends a repetition
  std::int32_t mirostat = 0;                      // 1 or 2
  float mirostat_tau = 5, mirostat_eta = 0.1f;
  std::vector<std::pair<TokenId, float>> logit_bias;
  std::uint64_t seed = 0;
};

// Ranges of all values; errors name the parameter, its value and what is allowed.
Status check_sampler(const SamplerParams& params, std::size_t vocabulary);

struct TokenLogprob {
  TokenId id;
  float logprob;
};
// log softmax of raw logits at `token`, and the `top` most likely ones (best first).
TokenLogprob logprob_of(std::span<const float> logits, TokenId token);
std::vector<TokenLogprob> top_logprobs(std::span<const float> logits, std::size_t top);

class Sampler {
 public:
  // `stream` tells the candidates of one request apart. The tokenizer is only read here (for the
  // DRY breakers).
  Sampler(SamplerParams params, std::uint64_t stream, const Tokenizer& tokenizer);

  // The token for `position`, among those that `mask` (bit per token; empty: all) allows; nullopt:
  // the mask and the biases leave none.
  std::optional<TokenId> sample(std::span<const float> logits, std::span<const std::uint32_t> mask,
                                std::size_t position);
  void accept(TokenId token);  // prompt tokens too
  Sampler fork(std::uint64_t stream) const;

 private:
  struct Candidate {
    TokenId id;
    float logit;
    float p;
  };
  void penalize();
  void dry();
  void top_n_sigma();
  void top_k(std::size_t k);
  void typical();
  void top_p();
  void min_p();
  void xtc(std::size_t position);
  void temperature();
  void softmax();  // fills p; sorts first
  void sort();
  TokenId draw(std::size_t position);
  TokenId mirostat(std::size_t position);
  std::size_t zipf_candidates() const;

  SamplerParams params_;
  std::uint64_t stream_;
  std::unordered_set<TokenId> breakers_;
  std::vector<TokenId> recent_;  // as many as the penalties need
  float mu_;
  std::vector<Candidate> candidates_;
  bool sorted_ = false;
};

}  // namespace lathe::infer
