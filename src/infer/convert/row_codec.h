// Rows of a tensor from one element type to another, on some threads. The result does not depend on
// their number.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "ground/base/result.h"
#include "infer/quant/tensor_type.h"

namespace lathe::infer {

struct RowCodec {
  std::string_view tensor;  // for errors
  const TensorTypeInfo& from;
  const TensorTypeInfo& to;
  std::size_t row;  // elements: a multiple of both types' blocks
  std::size_t threads;
  // Weights of the columns of each expert, or nothing; an expert has so many rows.
  std::span<const float> importance = {};
  std::size_t expert_rows = 1;

  std::size_t from_bytes() const { return row / from.block * from.block_bytes; }
  std::size_t to_bytes() const { return row / to.block * to.block_bytes; }
  // Whole rows, from row `first` of the tensor on; `out` has room for as many. Weights that are not
  // finite, or too large for F16, are refused.
  Status run(std::uint64_t first, std::span<const std::byte> in, std::span<std::byte> out) const;
};

}  // namespace lathe::infer
