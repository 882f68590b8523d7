// Rows of one element type to another, on several threads.
#include "infer/convert/row_codec.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <thread>
#include <vector>

namespace lathe::infer {
namespace {

constexpr float kLargestF16 = 65504;

// The first weight that `to` cannot hold, or the row's size.
std::size_t find_unfit(std::span<const float> row, const TensorTypeInfo& to) {
  const float largest = to.type == TensorType::kF16 ? kLargestF16 : HUGE_VALF;
  const auto unfit = std::ranges::find_if(
      row, [largest](float value) { return !std::isfinite(value) || std::fabs(value) > largest; });
  return static_cast<std::size_t>(unfit - row.begin());
}

}  // namespace

Status RowCodec::run(std::uint64_t first, std::span<const std::byte> in,
                     std::span<std::byte> out) const {
  const std::size_t rows = in.size() / from_bytes();
  LATHE_CHECK(out.size() == rows * to_bytes() && in.size() == rows * from_bytes());
  std::atomic<std::size_t> next{0}, bad_row{rows};
  const auto work = [&] {
    std::vector<float> values(row);
    for (std::size_t r = 0; (r = next.fetch_add(1)) < rows;) {
      from.decode(in.data() + r * from_bytes(), values.data(), row);
      if (find_unfit(values, to) != row) {
        // The lowest bad row is named, whichever thread met it.
        std::size_t known = bad_row;
        while (r < known && !bad_row.compare_exchange_weak(known, r)) {
        }
        continue;
      }
      const auto weights = importance.empty()
                               ? importance
                               : importance.subspan((first + r) / expert_rows * row, row);
      to.encode(values.data(), out.data() + r * to_bytes(), row, weights);
    }
  };
  {
    std::vector<std::jthread> helpers;
    for (std::size_t i = 1; i < std::min(threads, rows); ++i) helpers.emplace_back(work);
    work();
  }
  if (bad_row == rows) return {};
  std::vector<float> values(row);
  from.decode(in.data() + bad_row * from_bytes(), values.data(), row);
  const std::size_t column = find_unfit(values, to);
  if (std::isfinite(values[column]))
    return invalid("tensor '{}' holds {}, which {} cannot; choose BF16 or a quantized type", tensor,
                   values[column], to.name);
  return invalid("tensor '{}' holds {} at element {} of a row: the weights are damaged", tensor,
                 values[column], column);
}

}  // namespace lathe::infer
