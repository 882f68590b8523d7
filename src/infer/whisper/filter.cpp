// The rules of Whisper's transcripts (Radford et al. 2022, §4.5), as whisper.cpp applies them.
#include "infer/whisper/filter.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

namespace lathe::infer {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

// log Σ exp
double log_sum(std::span<const float> values) {
  const float most = values.empty() ? kNever : std::ranges::max(values);
  if (most == kNever) return kNever;
  double sum = 0;
  for (const float value : values) sum += std::exp(static_cast<double>(value) - most);
  return most + std::log(sum);
}

}  // namespace

void log_softmax(std::span<float> logits) {
  const double all = log_sum(logits);
  for (float& logit : logits)
    if (logit != kNever) logit = static_cast<float>(logit - all);
}

void filter_next(const WhisperTokens& tokens, const WhisperRules& rules,
                 std::span<const WhisperTokens::Id> written, WhisperTokens::Id earliest,
                 std::span<float> logits) {
  using Id = WhisperTokens::Id;
  const auto never = [&](Id from, Id to) {
    if (from < to) std::fill(logits.begin() + from, logits.begin() + to, kNever);
  };
  const Id all = static_cast<Id>(logits.size());
  if (written.empty()) {
    never(tokens.end, tokens.end + 1);
    if (tokens.blank >= 0) never(tokens.blank, tokens.blank + 1);
  }
  never(tokens.end + 1, tokens.first_time);
  if (!rules.times) {
    never(tokens.first_time, all);
    return log_softmax(logits);
  }
  const auto is_time = [&](std::size_t from_end) {
    return written.size() < from_end || tokens.is_time(written[written.size() - from_end]);
  };
  if (!written.empty() && is_time(1)) {
    if (is_time(2))
      never(tokens.first_time, all);
    else
      never(0, tokens.end);
  }
  if (written.empty())
    never(tokens.first_time +
              static_cast<Id>(std::lround(rules.latest_first / rules.seconds_a_time)) + 1,
          all);
  never(tokens.first_time, earliest);
  log_softmax(logits);
  const double time = log_sum(logits.subspan(static_cast<std::size_t>(tokens.first_time)));
  const float text = std::ranges::max(logits.first(static_cast<std::size_t>(tokens.first_time)));
  if (time > text) never(0, tokens.first_time);
}

double entropy_of(std::span<const WhisperTokens::Id> tokens) {
  const auto last = tokens.last(std::min(tokens.size(), kEntropyTokens));
  std::map<WhisperTokens::Id, int> counts;
  for (const auto token : last) ++counts[token];
  double entropy = 0;
  for (const auto& [token, count] : counts) {
    const double share = count / static_cast<double>(last.size());
    entropy -= share * std::log(share);
  }
  return entropy;
}

}  // namespace lathe::infer
