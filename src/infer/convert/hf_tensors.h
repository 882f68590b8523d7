// Which safetensors make which GGUF tensor, by name and shape. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "infer/convert/hf_config.h"
#include "infer/formats/safetensors.h"

namespace lathe::infer {

struct TensorSource {
  std::string name;  // of GGUF
  TensorType type;
  std::vector<std::uint64_t> shape;      // of GGUF: row length first
  std::vector<const SafeTensor*> parts;  // one; of stacked experts one each
  // > 0: the rows of each head of so many rows change from halves to neighbouring pairs.
  std::size_t head_rows = 0;
};

// `type`: of matrices; without one they stay as they are stored. Everything that is missing, has an
// unexpected shape or has no place is an error.
Result<std::vector<TensorSource>> map_hf_tensors(const SafeTensors& model, const HfConfig& config,
                                                 std::optional<TensorType> type);

// The element type of a dtype ("BF16"); nullptr for those that are not weights.
const TensorTypeInfo* hf_dtype(std::string_view dtype);

}  // namespace lathe::infer
