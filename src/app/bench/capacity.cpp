// The closed model of a shared box, in logarithms: its terms leave what a double holds.
#include "app/bench/capacity.h"

#include <algorithm>
#include <cmath>

namespace lathe::app {
namespace {

double decode_speed(const CapacityTerms& terms, double streams) {
  const auto& curve = terms.decode;
  const auto above = std::ranges::find_if(
      curve, [&](const std::pair<double, double>& point) { return point.first >= streams; });
  if (above == curve.end()) return curve.back().second;
  if (above == curve.begin()) return curve.front().second;
  const auto& [low, slow] = *(above - 1);
  const auto& [high, fast] = *above;
  return slow + (fast - slow) * (streams - low) / (high - low);
}

// μ(n)
double service_rate(const CapacityTerms& terms, std::size_t under_way) {
  return 1 / (terms.answer_tokens / decode_speed(terms, static_cast<double>(under_way)) +
              terms.fresh_tokens / terms.prefill);
}

}  // namespace

Status check(const CapacityTerms& terms) {
  if (terms.decode.empty()) return invalid("there is no speed of streams");
  double streams = 0;
  for (const auto& [count, speed] : terms.decode) {
    if (!(count > streams)) return invalid("the numbers of streams must grow: {}", count);
    if (!(speed > 0) || !std::isfinite(speed))
      return invalid("{} streams write {} tokens a second; that must be above 0", count, speed);
    streams = count;
  }
  const auto positive = [](std::string_view what, double value) -> Status {
    if (value > 0 && std::isfinite(value)) return {};
    return invalid("{} is {}; it must be above 0", what, value);
  };
  LATHE_TRY_STATUS(positive("the speed of prompts", terms.prefill));
  LATHE_TRY_STATUS(positive("the answer's length", terms.answer_tokens));
  LATHE_TRY_STATUS(positive("the time that people think", terms.think_seconds));
  if (!(terms.fresh_tokens >= 0) || !std::isfinite(terms.fresh_tokens))
    return invalid("the prompt's fresh part is {} tokens; it must not be below 0",
                   terms.fresh_tokens);
  return {};
}

CapacityPoint capacity_at(const CapacityTerms& terms, std::size_t people) {
  std::vector<double> log_weight(people + 1), rate(people + 1);
  for (std::size_t n = 1; n <= people; ++n) {
    rate[n] = service_rate(terms, n);
    const double idle = static_cast<double>(people - n + 1);
    log_weight[n] = log_weight[n - 1] + std::log(idle / (terms.think_seconds * rate[n]));
  }
  const double most = *std::ranges::max_element(log_weight);
  double weights = 0, answers = 0, under_way = 0;
  for (std::size_t n = 0; n <= people; ++n) {
    const double weight = std::exp(log_weight[n] - most);
    weights += weight;
    answers += weight * rate[n];
    under_way += weight * static_cast<double>(n);
  }
  const double seconds = under_way / answers;
  return {.people = people,
          .seconds = seconds,
          .slowdown = seconds * service_rate(terms, 1),
          .answers_per_minute = answers / weights * 60};
}

std::size_t people_at(const CapacityTerms& terms, double slowdown) {
  const auto within = [&](std::size_t people) {
    return capacity_at(terms, people).slowdown <= slowdown;
  };
  std::size_t good = 1, bad = 2;
  while (bad < kMostPeople && within(bad)) good = std::exchange(bad, 2 * bad);
  bad = std::min(bad, kMostPeople);
  if (bad == kMostPeople && within(bad)) return kMostPeople;
  while (bad - good > 1) {
    const std::size_t middle = (good + bad) / 2;
    (within(middle) ? good : bad) = middle;
  }
  return good;
}

double listening_seconds(double answer_tokens, std::size_t people, double tokens_per_second) {
  constexpr double kLeast = 3, kMost = 30;
  if (tokens_per_second <= 0) return kLeast;
  return std::clamp(2 * answer_tokens * static_cast<double>(people) / tokens_per_second, kLeast,
                    kMost);
}

double written_per_second(std::span<const Sample> samples, double seconds) {
  double tokens = 0;
  for (const Sample& sample : samples) {
    const double whole = static_cast<double>(sample.end_us - sample.sent_us);
    const double within = seconds * 1e6 - static_cast<double>(sample.sent_us);
    if (sample.answered() && whole > 0)
      tokens += sample.tokens() * std::clamp(within / whole, 0.0, 1.0);
  }
  return tokens / seconds;
}

}  // namespace lathe::app
