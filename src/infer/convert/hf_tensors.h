// Which safetensors make which GGUF tensor, by name and shape, and how. Pure.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "infer/convert/hf_config.h"
#include "infer/formats/safetensors.h"

namespace lathe::infer {

struct TensorSource {
  enum class Change : std::uint8_t { kNone, kPlusOne, kNegativeExp };

  std::string name;  // of GGUF
  TensorType type;
  std::vector<std::uint64_t> shape;      // of GGUF: row length first
  std::vector<const SafeTensor*> parts;  // one; of experts that are stored apart one each
  std::uint64_t row = 0, rows = 0;       // of what is made of each part: elements of one, how many
  // Where row r begins in the part, in elements; empty: they follow each other as they are. Rows of
  // one matrix (`matrix` of them) begin in ascending order.
  std::function<std::uint64_t(std::uint64_t r)> first = {};
  std::uint64_t stride = 1;  // from one element of a row to the next
  std::uint64_t matrix = 0;
  std::vector<std::uint64_t> columns = {};  // element i of a row is the so-many-th
  std::uint64_t stored_row = 0;             // … of a row of the part, which has so many
  Change change = Change::kNone;
  // MXFP4 as Hugging Face's files have it: the parts are blocks of 16 bytes, and a scale for each.
  bool mxfp4 = false;

  bool in_order() const { return !first && columns.empty(); }
};

// `type`: of matrices; without one they stay as they are stored. Everything that is missing, has an
// unexpected shape or has no place is an error; what sees and hears is left out, and told among
// `warnings`.
Result<std::vector<TensorSource>> map_hf_tensors(const SafeTensors& model, HfConfig& config,
                                                 std::optional<TensorType> type);

// The element type of a dtype ("BF16"); nullptr for those that are not weights.
const TensorTypeInfo* hf_dtype(std::string_view dtype);

}  // namespace lathe::infer
