// What is said of measured values: the median with the smallest and the largest, and percentiles
// where there are enough of them. Pure, any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ground/base/json.h"

namespace lathe::app {

struct Figure {
  double median = 0, low = 0, high = 0;
};
Figure figure_of(std::vector<double> values);  // at least one

struct Interval {
  double low = 0, high = 0;
};

// How many values a percentile needs before it is said.
inline constexpr std::size_t kFewestForP95 = 20, kFewestForP99 = 100;

struct Spread {
  std::size_t n = 0;  // 0: the rest says nothing
  Figure figure;
  std::optional<double> p95, p99;  // by nearest rank; absent: n is too small
  // Where the 95th percentile of all that could have been measured lies, with 95 % confidence,
  // whatever the distribution: two of the sorted values. Absent: n is too small for it.
  std::optional<Interval> p95_interval;

  // The highest percentile that there is, else the largest value: what a rule about tails reads.
  double tail() const { return p99 ? *p99 : p95 ? *p95 : figure.high; }
};
Spread spread_of(std::vector<double> values);

// Where a share lies, with 95 % confidence, of which `hits` in `n` were seen: Wilson's score
// interval (1927). Of none in 0: [0, 1].
Interval wilson_interval(std::size_t hits, std::size_t n);

// McNemar's test, exact and two-sided (1947, by the binomial): how likely two that are equally good
// differ so much, of which each alone passed so many. 1 where they never differ. The same bits
// everywhere: it takes no logarithm.
double mcnemar_p(std::size_t only_a, std::size_t only_b);

// Numbers in records: no floats, so that every reader sees the same one. At most so many digits
// behind the point, none that say nothing: "12.5".
std::string decimal(double value, int digits = 6);
Json decimal_or_null(const std::optional<double>& value);
// The same back; nullopt: it is none, or not finite.
std::optional<double> parse_decimal(std::string_view text);

// {"median", "low", "high"}, and {"n", …, "p95", "p99", "p95_interval": {"low", "high"}} with null
// where n is too small.
Json to_json(const Figure& figure);
Json to_json(const Spread& spread);

}  // namespace lathe::app
