// From logits to a token, by a seed.
#include "infer/engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "ground/base/random.h"

namespace lathe::infer {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();
constexpr std::size_t kMirostatWindow = 100;

enum class Draw : std::uint64_t { kToken, kXtc };

// In [0, 1): the same for the same draw, whatever else was drawn.
double uniform(std::uint64_t seed, std::uint64_t stream, std::size_t position, Draw draw) {
  return unit_interval(mix64(random_at(seed, stream, position) ^ static_cast<std::uint64_t>(draw)));
}

Status check_range(std::string_view name, double value, double min, double max) {
  if (value >= min && value <= max) return {};
  return invalid("{} is {}; it must lie in [{}, {}]", name, value, min, max);
}

double log_sum_exp(std::span<const float> logits, float max) {
  double sum = 0;
  for (const float logit : logits) {
    if (logit > kNever) sum += std::exp(static_cast<double>(logit) - static_cast<double>(max));
  }
  return static_cast<double>(max) + std::log(sum);
}

float largest(std::span<const float> logits) {
  float max = kNever;
  for (const float logit : logits) max = logit > max ? logit : max;  // NaN never wins
  return max;
}

}  // namespace

Status check_sampler(const SamplerParams& params, std::size_t vocabulary) {
  LATHE_TRY_STATUS(check_range("temperature", params.temperature, 0, 100));
  LATHE_TRY_STATUS(check_range("dynatemp_range", params.dynatemp_range, 0, 100));
  LATHE_TRY_STATUS(check_range("dynatemp_exponent", params.dynatemp_exponent, 0, 100));
  LATHE_TRY_STATUS(check_range("top_k", params.top_k, 0, 1 << 24));
  LATHE_TRY_STATUS(check_range("top_p", params.top_p, 0, 1));
  LATHE_TRY_STATUS(check_range("min_p", params.min_p, 0, 1));
  LATHE_TRY_STATUS(check_range("typical_p", params.typical_p, 0, 1));
  LATHE_TRY_STATUS(check_range("top_n_sigma", params.top_n_sigma, 0, 1000));
  LATHE_TRY_STATUS(check_range("xtc_probability", params.xtc_probability, 0, 1));
  LATHE_TRY_STATUS(check_range("xtc_threshold", params.xtc_threshold, 0, 1));
  LATHE_TRY_STATUS(check_range("repeat_last_n", params.repeat_last_n, 0, 1 << 20));
  LATHE_TRY_STATUS(check_range("repeat_penalty", params.repeat_penalty, 1e-3, 1000));
  LATHE_TRY_STATUS(check_range("frequency_penalty", params.frequency_penalty, -100, 100));
  LATHE_TRY_STATUS(check_range("presence_penalty", params.presence_penalty, -100, 100));
  LATHE_TRY_STATUS(check_range("dry_multiplier", params.dry_multiplier, 0, 1000));
  LATHE_TRY_STATUS(check_range("dry_base", params.dry_base, 1, 1000));
  LATHE_TRY_STATUS(check_range("dry_allowed_length", params.dry_allowed_length, 1, 1 << 20));
  LATHE_TRY_STATUS(check_range("dry_last_n", params.dry_last_n, 0, 1 << 20));
  LATHE_TRY_STATUS(check_range("mirostat", params.mirostat, 0, 2));
  LATHE_TRY_STATUS(check_range("mirostat_tau", params.mirostat_tau, 0, 1000));
  LATHE_TRY_STATUS(check_range("mirostat_eta", params.mirostat_eta, 0, 1000));
  for (const auto& [id, bias] : params.logit_bias) {
    if (id < 0 || static_cast<std::size_t>(id) >= vocabulary) {
      return invalid("logit_bias names token {}; the vocabulary has {}", id, vocabulary);
    }
    if (std::isnan(bias)) return invalid("logit_bias of token {} is not a number", id);
  }
  return {};
}

TokenLogprob logprob_of(std::span<const float> logits, TokenId token) {
  const double total = log_sum_exp(logits, largest(logits));
  return {token,
          static_cast<float>(static_cast<double>(logits[static_cast<std::size_t>(token)]) - total)};
}

std::vector<TokenLogprob> top_logprobs(std::span<const float> logits, std::size_t top) {
  const double total = log_sum_exp(logits, largest(logits));
  std::vector<TokenLogprob> all;
  all.reserve(logits.size());
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (!std::isnan(logits[i])) all.push_back({static_cast<TokenId>(i), logits[i]});
  }
  top = std::min(top, all.size());
  std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(top), all.end(),
                    [](const TokenLogprob& a, const TokenLogprob& b) {
                      return a.logprob != b.logprob ? a.logprob > b.logprob : a.id < b.id;
                    });
  all.resize(top);
  for (TokenLogprob& entry : all)
    entry.logprob = static_cast<float>(static_cast<double>(entry.logprob) - total);
  return all;
}

Sampler::Sampler(SamplerParams params, std::uint64_t stream, const Tokenizer& tokenizer)
    : params_(std::move(params)), stream_(stream), mu_(2 * params_.mirostat_tau) {
  if (params_.dry_multiplier == 0) return;
  for (std::size_t i = 0; i < tokenizer.size(); ++i) {
    const std::string piece = tokenizer.piece(static_cast<TokenId>(i));
    for (const std::string& breaker : params_.dry_breakers) {
      if (!breaker.empty() && piece.find(breaker) != std::string::npos)
        breakers_.insert(static_cast<TokenId>(i));
    }
  }
}

Sampler Sampler::fork(std::uint64_t stream) const {
  Sampler child = *this;
  child.stream_ = stream;
  return child;
}

void Sampler::accept(TokenId token) {
  const auto keep = static_cast<std::size_t>(std::max(params_.repeat_last_n, params_.dry_last_n));
  if (keep == 0) return;
  // Twice the window before the old half goes: constant time on average.
  if (recent_.size() >= 2 * keep)
    recent_.erase(recent_.begin(), recent_.end() - static_cast<std::ptrdiff_t>(keep));
  recent_.push_back(token);
}

std::optional<TokenId> Sampler::sample(std::span<const float> logits,
                                       std::span<const std::uint32_t> mask, std::size_t position) {
  candidates_.clear();
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (!mask.empty() && (mask[i / 32] >> (i % 32) & 1u) == 0) continue;
    // A NaN (broken weights) must not upset the order below.
    candidates_.push_back({static_cast<TokenId>(i), std::isnan(logits[i]) ? kNever : logits[i], 0});
  }
  if (candidates_.empty()) return std::nullopt;
  sorted_ = false;
  for (const auto& [id, bias] : params_.logit_bias) {
    const auto at =
        std::lower_bound(candidates_.begin(), candidates_.end(), id,
                         [](const Candidate& c, TokenId value) { return c.id < value; });
    if (at != candidates_.end() && at->id == id) at->logit += bias;
  }
  if (!params_.logit_bias.empty() &&
      std::ranges::all_of(candidates_, [](const Candidate& c) { return c.logit == kNever; }))
    return std::nullopt;
  penalize();
  if (params_.temperature == 0) {
    return std::max_element(candidates_.begin(), candidates_.end(),
                            [](const Candidate& a, const Candidate& b) {
                              return a.logit != b.logit ? a.logit < b.logit : a.id > b.id;
                            })
        ->id;
  }
  if (params_.mirostat != 0) return mirostat(position);
  dry();
  top_n_sigma();
  if (params_.top_k > 0) top_k(static_cast<std::size_t>(params_.top_k));
  typical();
  top_p();
  min_p();
  xtc(position);
  temperature();
  return draw(position);
}

void Sampler::penalize() {
  const auto window = std::min(recent_.size(), static_cast<std::size_t>(params_.repeat_last_n));
  if (window == 0) return;
  if (params_.repeat_penalty == 1 && params_.frequency_penalty == 0 &&
      params_.presence_penalty == 0)
    return;
  std::unordered_map<TokenId, int> counts;
  for (std::size_t i = recent_.size() - window; i < recent_.size(); ++i) ++counts[recent_[i]];
  for (Candidate& candidate : candidates_) {
    const auto found = counts.find(candidate.id);
    if (found == counts.end()) continue;
    float& z = candidate.logit;
    z = z <= 0 ? z * params_.repeat_penalty : z / params_.repeat_penalty;
    z -= static_cast<float>(found->second) * params_.frequency_penalty + params_.presence_penalty;
  }
}

// For every earlier place where the text just before it repeats the present suffix for at least
// `allowed_length` tokens: the token that followed there is penalised by multiplier · base^(length
// − allowed). Lengths by the Z algorithm over the reversed text, so the whole costs one pass.
void Sampler::dry() {
  if (params_.dry_multiplier == 0) return;
  std::size_t n = std::min(recent_.size(), static_cast<std::size_t>(params_.dry_last_n));
  std::vector<TokenId> reversed(recent_.rbegin(),
                                recent_.rbegin() + static_cast<std::ptrdiff_t>(n));
  // A repetition cannot reach across a breaker: what lies behind the newest one is no suffix to
  // repeat.
  std::size_t suffix = 0;
  while (suffix < n && !breakers_.contains(reversed[suffix])) ++suffix;
  std::vector<std::size_t> z(n, 0);
  for (std::size_t i = 1, left = 0, right = 0; i < n; ++i) {
    if (i < right) z[i] = std::min(right - i, z[i - left]);
    while (i + z[i] < n && reversed[z[i]] == reversed[i + z[i]]) ++z[i];
    if (i + z[i] > right) {
      left = i;
      right = i + z[i];
    }
  }
  std::unordered_map<TokenId, std::size_t> longest;
  for (std::size_t i = 1; i < n; ++i) {
    const std::size_t length = std::min(z[i], suffix);
    if (length < static_cast<std::size_t>(params_.dry_allowed_length)) continue;
    std::size_t& best = longest[reversed[i - 1]];
    best = std::max(best, length);
  }
  // The largest power that stays finite.
  const float limit = params_.dry_base > 1
                          ? std::log(std::numeric_limits<float>::max()) / std::log(params_.dry_base)
                          : 0;
  for (Candidate& candidate : candidates_) {
    const auto found = longest.find(candidate.id);
    if (found == longest.end() || breakers_.contains(candidate.id)) continue;
    const float over =
        static_cast<float>(found->second) - static_cast<float>(params_.dry_allowed_length);
    const float exponent = limit > 0 ? std::min(over, limit) : over;
    candidate.logit -= params_.dry_multiplier * std::pow(params_.dry_base, exponent);
  }
}

void Sampler::top_n_sigma() {
  if (params_.top_n_sigma <= 0) return;
  double sum = 0, squares = 0, count = 0;
  float max = kNever;
  for (const Candidate& candidate : candidates_) {
    if (!std::isfinite(candidate.logit)) continue;
    max = std::max(max, candidate.logit);
    sum += static_cast<double>(candidate.logit);
    squares += static_cast<double>(candidate.logit) * static_cast<double>(candidate.logit);
    ++count;
  }
  if (count == 0) return;
  const double mean = sum / count,
               deviation = std::sqrt(std::max(0.0, squares / count - mean * mean));
  const float floor =
      max - static_cast<float>(static_cast<double>(params_.top_n_sigma) * deviation);
  std::erase_if(candidates_, [&](const Candidate& c) { return c.logit < floor; });
}

void Sampler::sort() {
  if (!sorted_) top_k(candidates_.size());
}

void Sampler::top_k(std::size_t k) {
  k = std::min(k, candidates_.size());
  const auto better = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  };
  if (!sorted_) {
    const auto end = candidates_.begin() + static_cast<std::ptrdiff_t>(k);
    if (k < candidates_.size() && k > 128) {
      std::nth_element(candidates_.begin(), end, candidates_.end(), better);
      std::sort(candidates_.begin(), end, better);
    } else {
      std::partial_sort(candidates_.begin(), end, candidates_.end(), better);
    }
    sorted_ = true;
  }
  candidates_.resize(k);
}

void Sampler::softmax() {
  sort();
  const float max = candidates_.front().logit;
  if (max == kNever) {
    // Everything is banned: all the same, so that one can still be drawn.
    for (Candidate& candidate : candidates_)
      candidate.p = 1 / static_cast<float>(candidates_.size());
    return;
  }
  double sum = 0;
  for (Candidate& candidate : candidates_) {
    candidate.p = std::exp(candidate.logit - max);
    sum += static_cast<double>(candidate.p);
  }
  for (Candidate& candidate : candidates_)
    candidate.p = static_cast<float>(static_cast<double>(candidate.p) / sum);
}

void Sampler::typical() {
  if (params_.typical_p >= 1) return;
  softmax();
  double entropy = 0;
  for (const Candidate& c : candidates_) {
    if (c.p > 0) entropy -= static_cast<double>(c.p) * std::log(static_cast<double>(c.p));
  }
  const auto distance = [&](const Candidate& c) {
    return c.p > 0 ? std::abs(-std::log(static_cast<double>(c.p)) - entropy)
                   : std::numeric_limits<double>::infinity();
  };
  std::stable_sort(
      candidates_.begin(), candidates_.end(),
      [&](const Candidate& a, const Candidate& b) { return distance(a) < distance(b); });
  double sum = 0;
  std::size_t keep = 0;
  while (keep < candidates_.size()) {
    sum += static_cast<double>(candidates_[keep++].p);
    if (sum > static_cast<double>(params_.typical_p)) break;
  }
  candidates_.resize(keep);
  sorted_ = false;
}

void Sampler::top_p() {
  if (params_.top_p >= 1) return;
  softmax();
  double sum = 0;
  std::size_t keep = 0;
  while (keep < candidates_.size()) {
    sum += static_cast<double>(candidates_[keep++].p);
    if (sum >= static_cast<double>(params_.top_p)) break;
  }
  candidates_.resize(keep);
}

void Sampler::min_p() {
  if (params_.min_p <= 0) return;
  float max = kNever;
  for (const Candidate& c : candidates_) max = std::max(max, c.logit);
  const float floor = max + std::log(params_.min_p);
  std::erase_if(candidates_, [&](const Candidate& c) { return c.logit < floor; });
}

// Drops the most likely candidates but the last of those above the threshold, with the given
// probability.
void Sampler::xtc(std::size_t position) {
  if (params_.xtc_probability <= 0 || params_.xtc_threshold > 0.5f) return;
  if (uniform(params_.seed, stream_, position, Draw::kXtc) >
      static_cast<double>(params_.xtc_probability))
    return;
  softmax();
  std::size_t above = 0;
  while (above < candidates_.size() && candidates_[above].p >= params_.xtc_threshold) ++above;
  if (above >= 2)
    candidates_.erase(candidates_.begin(),
                      candidates_.begin() + static_cast<std::ptrdiff_t>(above - 1));
}

void Sampler::temperature() {
  float t = params_.temperature;
  if (params_.dynatemp_range > 0 && candidates_.size() > 1) {
    softmax();
    double entropy = 0;
    for (const Candidate& c : candidates_) {
      if (c.p > 0) entropy -= static_cast<double>(c.p) * std::log(static_cast<double>(c.p));
    }
    const float low = std::max(0.0f, t - params_.dynatemp_range), high = t + params_.dynatemp_range;
    const double share = entropy / std::log(static_cast<double>(candidates_.size()));
    t = low + (high - low) * static_cast<float>(
                                 std::pow(share, static_cast<double>(params_.dynatemp_exponent)));
    t = std::max(t, 1e-3f);
  }
  for (Candidate& candidate : candidates_) candidate.logit /= t;
}

TokenId Sampler::draw(std::size_t position) {
  softmax();
  const double u = uniform(params_.seed, stream_, position, Draw::kToken);
  double sum = 0;
  for (const Candidate& candidate : candidates_) {
    sum += static_cast<double>(candidate.p);
    if (sum > u) return candidate.id;
  }
  return candidates_.back().id;
}

// Both versions keep the surprise of the drawn tokens near τ: version 1 estimates the exponent of a
// Zipf law from the most likely tokens and keeps as many as give the surprise μ; version 2 drops
// what is more surprising than μ.
TokenId Sampler::mirostat(std::size_t position) {
  temperature();
  softmax();
  if (params_.mirostat == 1) {
    top_k(zipf_candidates());
  } else {
    std::size_t keep = 1;
    while (keep < candidates_.size() && -std::log2(candidates_[keep].p) <= mu_) ++keep;
    candidates_.resize(keep);
  }
  const TokenId token = draw(position);
  for (const Candidate& candidate : candidates_) {
    if (candidate.id == token)
      mu_ -= params_.mirostat_eta * (-std::log2(candidate.p) - params_.mirostat_tau);
  }
  return token;
}

std::size_t Sampler::zipf_candidates() const {
  double numerator = 0, denominator = 0;
  for (std::size_t i = 0; i + 1 < std::min(kMirostatWindow, candidates_.size()); ++i) {
    if (candidates_[i + 1].p <= 0) break;
    const double t = std::log(static_cast<double>(i + 2) / static_cast<double>(i + 1));
    numerator += t * std::log(static_cast<double>(candidates_[i].p) /
                              static_cast<double>(candidates_[i + 1].p));
    denominator += t * t;
  }
  const auto n = static_cast<double>(candidates_.size());
  const double s = denominator > 0 ? numerator / denominator : 1, epsilon = s - 1;
  const double k = std::pow(
      epsilon * std::pow(2.0, static_cast<double>(mu_)) / (1 - std::pow(n, -epsilon)), 1 / s);
  return std::isfinite(k) && k >= 1 ? static_cast<std::size_t>(std::min(k, n)) : 1;
}

}  // namespace lathe::infer
