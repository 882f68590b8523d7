// Medians, percentiles, and numbers as records have them.
#include "app/bench/statistics.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "ground/base/result.h"

namespace lathe::app {
namespace {

// Of sorted values.
double nearest_rank(const std::vector<double>& sorted, double share) {
  const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(sorted.size())));
  return sorted[std::max<std::size_t>(rank, 1) - 1];
}

// By order statistics (Hahn and Meeker, Statistical Intervals, 5.2): of n values, how many lie
// below the percentile is binomial, so that the r-th of them lies above it no more often than
// in 2.5 % of all cases, and the s-th below it no more often.
std::optional<Interval> interval_of_p95(const std::vector<double>& sorted) {
  constexpr double kShare = 0.95, kEach = 0.025;
  const std::size_t n = sorted.size();
  const auto count = static_cast<double>(n);
  std::optional<std::size_t> low, high;
  double below = 0;  // how likely at most k values lie below
  double log_term = count * std::log1p(-kShare);
  for (std::size_t k = 0; k < n && !high; ++k) {
    below += std::exp(log_term);
    if (below <= kEach) low = k + 1;
    if (below >= 1 - kEach) high = k + 1;
    log_term += std::log(count - static_cast<double>(k)) - std::log(static_cast<double>(k) + 1) +
                std::log(kShare) - std::log1p(-kShare);
  }
  if (!low || !high) return std::nullopt;
  return Interval{sorted[*low - 1], sorted[*high - 1]};
}

Json number_or_null(const std::optional<double>& value) {
  return value ? Json(decimal(*value)) : Json();
}

}  // namespace

Figure figure_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size();
  const double median = n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
  return {median, values.front(), values.back()};
}

Spread spread_of(std::vector<double> values) {
  Spread spread{.n = values.size(), .figure = {}, .p95 = {}, .p99 = {}, .p95_interval = {}};
  if (values.empty()) return spread;
  std::sort(values.begin(), values.end());
  spread.figure = figure_of(values);
  if (spread.n >= kFewestForP95) spread.p95 = nearest_rank(values, 0.95);
  if (spread.n >= kFewestForP95) spread.p95_interval = interval_of_p95(values);
  if (spread.n >= kFewestForP99) spread.p99 = nearest_rank(values, 0.99);
  return spread;
}

Interval wilson_interval(std::size_t hits, std::size_t n) {
  if (n == 0) return {0, 1};
  constexpr double z = 1.959963984540054;  // of the normal distribution, at 97.5 %
  const auto count = static_cast<double>(n);
  const double share = static_cast<double>(hits) / count, square = z * z / count;
  const double middle = share + square / 2;
  const double reach = z * std::sqrt(share * (1 - share) / count + square / (4 * count));
  return {std::max(0.0, (middle - reach) / (1 + square)),
          std::min(1.0, (middle + reach) / (1 + square))};
}

// 2 · Σ C(n, k) · 2⁻ⁿ over k up to the smaller of the two, with a scale of its own, as neither the
// binomials nor 2⁻ⁿ fit a double.
double mcnemar_p(std::size_t only_a, std::size_t only_b) {
  constexpr int kScale = 512;
  const std::size_t n = only_a + only_b, least = std::min(only_a, only_b);
  int exponent = 1 - static_cast<int>(n);
  double term = 1, sum = 1;
  for (std::size_t k = 1; k <= least; ++k) {
    term = term * static_cast<double>(n - k + 1) / static_cast<double>(k);
    sum += term;
    if (sum < std::ldexp(1.0, kScale)) continue;
    term = std::ldexp(term, -kScale);
    sum = std::ldexp(sum, -kScale);
    exponent += kScale;
  }
  return std::min(1.0, std::ldexp(sum, exponent));
}

std::string decimal(double value, int digits) {
  std::string text = fmt::format("{:.{}f}", value, digits);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text == "-0" ? "0" : text;
}

Json decimal_or_null(const std::optional<double>& value) {
  return value ? Json(decimal(*value)) : Json();
}

std::optional<double> parse_decimal(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return {};
  return value;
}

Json to_json(const Figure& figure) {
  return {{"median", decimal(figure.median)},
          {"low", decimal(figure.low)},
          {"high", decimal(figure.high)}};
}

Json to_json(const Spread& spread) {
  if (spread.n == 0) return {{"n", 0}};
  Json json = to_json(spread.figure);
  json["n"] = spread.n;
  json["p95"] = number_or_null(spread.p95);
  json["p99"] = number_or_null(spread.p99);
  json["p95_interval"] = nullptr;
  if (const auto& within = spread.p95_interval)
    json["p95_interval"] = {{"low", decimal(within->low)}, {"high", decimal(within->high)}};
  return json;
}

}  // namespace lathe::app
