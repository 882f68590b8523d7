// The element types of GGUF tensors: ids, block sizes and the scalar truth that decodes and encodes
// a block. One row per type in registry.cpp; the formulas stand in one file per family beside it.
// Everything here is pure and may be called from any thread.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace lathe::infer {

// The values are GGUF's own ids.
enum class TensorType : std::uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kIQ2_XXS = 16,
  kIQ2_XS = 17,
  kIQ3_XXS = 18,
  kIQ1_S = 19,
  kIQ4_NL = 20,
  kIQ3_S = 21,
  kIQ2_S = 22,
  kIQ4_XS = 23,
  kIQ1_M = 29,
  kBF16 = 30,
  kTQ1_0 = 34,
  kTQ2_0 = 35,
  kMXFP4 = 39,
  kNVFP4 = 40,
  kQ1_0 = 41,
  kQ2_0 = 42,
};

struct TensorTypeInfo {
  TensorType type;
  std::string_view name;  // as llama.cpp writes it: "Q4_K"
  std::size_t block;      // elements of a block; a row is a whole number of blocks
  std::size_t block_bytes;
  // `count` is a multiple of `block`.
  void (*decode)(const std::byte* blocks, float* out, std::size_t count);
  // `importance` holds one weight per element of the row, or is empty. nullptr: this type is only
  // read.
  void (*encode)(const float* in, std::byte* blocks, std::size_t count,
                 std::span<const float> importance);
};

// nullptr for an id that is not in the table (a removed or unknown type, or one of activations).
const TensorTypeInfo* find_tensor_type(std::uint32_t id);
const TensorTypeInfo* find_tensor_type(std::string_view name);  // any case: "q4_k"
const TensorTypeInfo& tensor_type_info(TensorType type);
std::span<const TensorTypeInfo> tensor_types();
// The name of any id that GGUF ever had ("Q4_2"), for error messages; "" for an unknown one.
std::string_view tensor_type_name(std::uint32_t id);

float f16_to_f32(std::uint16_t bits);
std::uint16_t f32_to_f16(float value);  // round to nearest even
inline float bf16_to_f32(std::uint16_t bits) {
  return std::bit_cast<float>(std::uint32_t{bits} << 16);
}
// Round to nearest even, NaN kept quiet.
inline std::uint16_t f32_to_bf16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>(bits >> 16 | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

}  // namespace lathe::infer
