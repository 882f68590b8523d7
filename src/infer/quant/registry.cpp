// The table of element types. To add one: its codecs, and a row here.
#include <algorithm>
#include <array>

#include "ground/base/result.h"
#include "infer/quant/blocks.h"
#include "infer/quant/codebook.h"

namespace lathe::infer {
namespace {

template <TensorType kType>
constexpr TensorTypeInfo codebook(std::string_view name) {
  return {kType,
          name,
          kSuperBlock,
          codebook_of(kType).block_bytes,
          decode_codebook<kType>,
          encode_codebook<kType>};
}

constexpr std::array kTypes = {
    TensorTypeInfo{TensorType::kF32, "F32", 1, 4, decode_f32, encode_f32},
    TensorTypeInfo{TensorType::kF16, "F16", 1, 2, decode_f16, encode_f16},
    TensorTypeInfo{TensorType::kBF16, "BF16", 1, 2, decode_bf16, encode_bf16},
    TensorTypeInfo{TensorType::kQ4_0, "Q4_0", 32, 18, decode_q4_0, encode_q4_0},
    TensorTypeInfo{TensorType::kQ4_1, "Q4_1", 32, 20, decode_q4_1, encode_q4_1},
    TensorTypeInfo{TensorType::kQ5_0, "Q5_0", 32, 22, decode_q5_0, encode_q5_0},
    TensorTypeInfo{TensorType::kQ5_1, "Q5_1", 32, 24, decode_q5_1, encode_q5_1},
    TensorTypeInfo{TensorType::kQ8_0, "Q8_0", 32, 34, decode_q8_0, encode_q8_0},
    TensorTypeInfo{TensorType::kQ2_K, "Q2_K", 256, 84, decode_q2_k, encode_q2_k},
    TensorTypeInfo{TensorType::kQ3_K, "Q3_K", 256, 110, decode_q3_k, encode_q3_k},
    TensorTypeInfo{TensorType::kQ4_K, "Q4_K", 256, 144, decode_q4_k, encode_q4_k},
    TensorTypeInfo{TensorType::kQ5_K, "Q5_K", 256, 176, decode_q5_k, encode_q5_k},
    TensorTypeInfo{TensorType::kQ6_K, "Q6_K", 256, 210, decode_q6_k, encode_q6_k},
    TensorTypeInfo{TensorType::kIQ4_NL, "IQ4_NL", 32, 18, decode_iq4_nl, encode_iq4_nl},
    TensorTypeInfo{TensorType::kIQ4_XS, "IQ4_XS", 256, 136, decode_iq4_xs, encode_iq4_xs},
    TensorTypeInfo{TensorType::kMXFP4, "MXFP4", 32, 17, decode_mxfp4, encode_mxfp4},
    TensorTypeInfo{TensorType::kNVFP4, "NVFP4", 64, 36, decode_nvfp4, encode_nvfp4},
    codebook<TensorType::kIQ1_S>("IQ1_S"),
    codebook<TensorType::kIQ1_M>("IQ1_M"),
    codebook<TensorType::kIQ2_XXS>("IQ2_XXS"),
    codebook<TensorType::kIQ2_XS>("IQ2_XS"),
    codebook<TensorType::kIQ2_S>("IQ2_S"),
    codebook<TensorType::kIQ3_XXS>("IQ3_XXS"),
    codebook<TensorType::kIQ3_S>("IQ3_S"),
    TensorTypeInfo{TensorType::kTQ1_0, "TQ1_0", 256, 54, decode_tq1_0, encode_tq1_0},
    TensorTypeInfo{TensorType::kTQ2_0, "TQ2_0", 256, 66, decode_tq2_0, encode_tq2_0},
    TensorTypeInfo{TensorType::kQ1_0, "Q1_0", 128, 18, decode_q1_0, encode_q1_0},
    TensorTypeInfo{TensorType::kQ2_0, "Q2_0", 64, 18, decode_q2_0, encode_q2_0},
};

// Every id GGUF has had; those that were removed too.
constexpr std::array<std::string_view, 43> kNames = {
    "F32",   "F16",        "Q4_0",       "Q4_1",       "Q4_2",     "Q4_3",     "Q5_0",
    "Q5_1",  "Q8_0",       "Q8_1",       "Q2_K",       "Q3_K",     "Q4_K",     "Q5_K",
    "Q6_K",  "Q8_K",       "IQ2_XXS",    "IQ2_XS",     "IQ3_XXS",  "IQ1_S",    "IQ4_NL",
    "IQ3_S", "IQ2_S",      "IQ4_XS",     "I8",         "I16",      "I32",      "I64",
    "F64",   "IQ1_M",      "BF16",       "Q4_0_4_4",   "Q4_0_4_8", "Q4_0_8_8", "TQ1_0",
    "TQ2_0", "IQ4_NL_4_4", "IQ4_NL_4_8", "IQ4_NL_8_8", "MXFP4",    "NVFP4",    "Q1_0",
    "Q2_0"};

}  // namespace

const TensorTypeInfo* find_tensor_type(std::uint32_t id) {
  const auto row = std::ranges::find(kTypes, static_cast<TensorType>(id), &TensorTypeInfo::type);
  return row == kTypes.end() ? nullptr : &*row;
}

const TensorTypeInfo* find_tensor_type(std::string_view name) {
  const auto row = std::ranges::find_if(kTypes, [name](const TensorTypeInfo& info) {
    return std::ranges::equal(info.name, name, [](char a, char b) {
      return a == (b >= 'a' && b <= 'z' ? static_cast<char>(b - 'a' + 'A') : b);
    });
  });
  return row == kTypes.end() ? nullptr : &*row;
}

const TensorTypeInfo& tensor_type_info(TensorType type) {
  const TensorTypeInfo* info = find_tensor_type(static_cast<std::uint32_t>(type));
  LATHE_CHECK(info != nullptr);
  return *info;
}

std::span<const TensorTypeInfo> tensor_types() {
  return kTypes;
}

std::string_view tensor_type_name(std::uint32_t id) {
  return id < kNames.size() ? kNames[id] : std::string_view();
}

}  // namespace lathe::infer
