// How far a model is from a bigger file of itself (F16 or Q8_0), token by token over a text: the
// divergence of what the two say comes next, how often both would choose the same token, and the
// perplexity of both. Pure, any thread.
// What is kept of a text are whole nano-nats: their sums are exact, so that whoever has them comes
// to the same figures.
#pragma once

#include <span>

#include "app/bench/statistics.h"
#include "ground/base/result.h"
#include "infer/tokens/tokenizer.h"

namespace lathe::app {

// Nothing sane is further apart, and less likely, than e to the minus this.
inline constexpr double kMostNats = 500;

// Of one position, in nano-nats.
struct Divergence {
  std::int64_t kl = 0;                         // KL(bigger ‖ model) = Σ p·(log p − log q)
  std::int64_t bigger_nll = 0, model_nll = 0;  // −log p and −log q of the token that came
  bool same_top = false;                       // of equal logits the first counts
};
// Of two rows of logits of one length, by softmaxes in double; `next`: the token that the text goes
// on with. A logit of −∞ is a token that cannot come. Refuses logits that are not numbers, and what
// is beyond kMostNats.
Result<Divergence> compare_rows(std::span<const float> bigger, std::span<const float> model,
                                infer::TokenId next);

// A stretch of text that was read from its beginning.
struct QualityChunk {
  std::vector<infer::TokenId> tokens = {};
  std::vector<std::int64_t> kl = {};           // of each position but the last
  std::int64_t bigger_nll = 0, model_nll = 0;  // their sums
  std::size_t same_top = 0;                    // how many positions

  void add(const Divergence& position);
};

struct QualityFigures {
  Spread kl = {};  // nats
  double mean_kl = 0;
  double mean_kl_error = 0;  // the mean's standard error, as if positions were independent
  std::size_t same_top = 0;
  Interval same_top_share = {};  // 95 %
  double bigger_perplexity = 0, model_perplexity = 0;

  double ratio() const { return model_perplexity / bigger_perplexity; }
};
QualityFigures quality_figures(const std::vector<QualityChunk>& chunks);  // at least one position

// The figures, and the chunks that they come from.
Json quality_json(const std::vector<QualityChunk>& chunks);
// The chunks alone; refuses what cannot be.
Result<std::vector<QualityChunk>> quality_from_json(const Json& json);

}  // namespace lathe::app
