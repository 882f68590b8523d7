// Which examples a step learns from and how fast: pure functions of the options and a cursor, so
// that a checkpoint needs no more than that.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "ground/base/result.h"

namespace lathe::infer {

// Every example once an epoch, in an order drawn for that epoch.
class ExampleOrder {
 public:
  // lengths: tokens of each example; at least one.
  ExampleOrder(std::vector<std::uint32_t> lengths, std::uint64_t seed, std::size_t epochs);

  std::uint64_t size() const;            // of all epochs
  std::size_t at(std::uint64_t cursor);  // which example
  // The end of the batch that starts at `cursor`: as many examples as fit in so many tokens, at
  // least one.
  std::uint64_t batch_end(std::uint64_t cursor, std::size_t tokens);
  // Steps from the first example to the last.
  std::uint64_t steps(std::size_t batch_tokens);
  std::uint64_t total_tokens() const;

 private:
  std::vector<std::uint32_t> lengths_;
  std::uint64_t seed_, tokens_ = 0;
  std::size_t epochs_;
  std::size_t epoch_ = 0;  // of order_
  std::vector<std::uint32_t> order_;
};

enum class RateShape : std::uint8_t { kCosine, kWsd };
Result<RateShape> parse_rate_shape(std::string_view name);

// The learning rate, step by step (counted from 0): up to the peak in a straight line, then down to
// a tenth of it along a cosine, or constant and down to 0 in a straight line over the last fifth.
struct RateSchedule {
  RateShape shape = RateShape::kCosine;
  double peak = 0;
  std::uint64_t warmup = 0, steps = 0;
  double at(std::uint64_t step) const;
};

}  // namespace lathe::infer
