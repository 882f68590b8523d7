// The learning rate over the steps.
#include "infer/tune/schedule.h"

#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

#include "ground/base/random.h"

namespace lathe::infer {
namespace {

constexpr double kCosineFloor = 0.1, kDecayShare = 0.2;

}  // namespace

ExampleOrder::ExampleOrder(std::vector<std::uint32_t> lengths, std::uint64_t seed,
                           std::size_t epochs)
    : lengths_(std::move(lengths)), seed_(seed), epochs_(epochs), epoch_(epochs) {
  LATHE_CHECK(!lengths_.empty());
  for (const std::uint32_t length : lengths_) tokens_ += length;
}

std::uint64_t ExampleOrder::size() const {
  return lengths_.size() * epochs_;
}

std::uint64_t ExampleOrder::total_tokens() const {
  return tokens_ * epochs_;
}

std::size_t ExampleOrder::at(std::uint64_t cursor) {
  const auto epoch = static_cast<std::size_t>(cursor / lengths_.size());
  LATHE_CHECK(epoch < epochs_);
  if (epoch != epoch_) {
    order_.resize(lengths_.size());
    std::iota(order_.begin(), order_.end(), 0u);
    for (std::size_t i = order_.size(); i > 1; --i)
      std::swap(order_[i - 1], order_[random_at(seed_, epoch, i) % i]);
    epoch_ = epoch;
  }
  return order_[cursor % lengths_.size()];
}

std::uint64_t ExampleOrder::batch_end(std::uint64_t cursor, std::size_t tokens) {
  std::uint64_t end = cursor;
  for (std::size_t taken = 0; end < size(); ++end) {
    taken += lengths_[at(end)];
    if (taken > tokens && end != cursor) break;
  }
  return end;
}

std::uint64_t ExampleOrder::steps(std::size_t batch_tokens) {
  std::uint64_t steps = 0;
  for (std::uint64_t cursor = 0; cursor < size(); ++steps) cursor = batch_end(cursor, batch_tokens);
  return steps;
}

Result<RateShape> parse_rate_shape(std::string_view name) {
  if (name == "cosine") return RateShape::kCosine;
  if (name == "wsd") return RateShape::kWsd;
  return invalid("the learning rate's schedule is '{}'; it may be cosine or wsd", name);
}

double RateSchedule::at(std::uint64_t step) const {
  const auto s = static_cast<double>(step), total = static_cast<double>(steps);
  const auto up = static_cast<double>(warmup);
  if (step < warmup) return peak * (s + 1) / up;
  if (shape == RateShape::kCosine) {
    const double done = total > up ? (s - up) / (total - up) : 0;
    const double wave = 0.5 * (1 + std::cos(std::numbers::pi * done));
    return peak * (kCosineFloor + (1 - kCosineFloor) * wave);
  }
  const double left = (total - s) / (kDecayShare * total);
  return peak * (left < 1 ? left : 1);
}

}  // namespace lathe::infer
