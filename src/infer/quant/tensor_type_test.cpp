// Half floats over all their values, and every tensor type against llama.cpp's decoding.
#include "infer/quant/tensor_type.h"

#include <gmock/gmock.h>

#include <bit>
#include <cmath>
#include <limits>
#include <set>
#include <vector>

#include "infer/quant/blocks.h"
#include "infer/quant/four_bit.h"

namespace lathe::infer {
namespace {

// The compiler's own half-precision type is the oracle: GCC 12 has it by another name on ARM.
#ifdef __aarch64__
using Half = __fp16;
#else
using Half = _Float16;
#endif

TEST(Half, EveryF16Decodes) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float expected = static_cast<float>(std::bit_cast<Half>(half));
    const float got = f16_to_f32(half);
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(got)) << bits;
      continue;
    }
    ASSERT_EQ(std::bit_cast<std::uint32_t>(got), std::bit_cast<std::uint32_t>(expected)) << bits;
    ASSERT_EQ(f32_to_f16(got), half) << bits;
  }
}

TEST(Half, F16RoundsToNearestEven) {
  // A stride that is odd visits every exponent with varied mantissas.
  for (std::uint64_t bits = 0; bits < 0x100000000; bits += 9973) {
    const float value = std::bit_cast<float>(static_cast<std::uint32_t>(bits));
    const std::uint16_t got = f32_to_f16(value);
    if (std::isnan(value)) {
      ASSERT_TRUE(std::isnan(f16_to_f32(got)));
      continue;
    }
    ASSERT_EQ(got, std::bit_cast<std::uint16_t>(static_cast<Half>(value))) << bits;
  }
  EXPECT_EQ(f32_to_f16(65519.99f), 0x7bff);
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(f32_to_f16(0x1p-25f), 0);          // a tie, to even
  EXPECT_EQ(f32_to_f16(0x1.000002p-25f), 1);   // just above it
  EXPECT_EQ(f32_to_f16(0x1.ffep-15f), 0x400);  // a subnormal that rounds up to a normal number
}

TEST(Half, Bf16RoundsToNearestEvenAndKeepsNanQuiet) {
  EXPECT_EQ(f32_to_bf16(1.0f), 0x3f80);
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3f808000u)), 0x3f80);
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3f818000u)), 0x3f82);
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3f808001u)), 0x3f81);
  EXPECT_EQ(f32_to_bf16(std::numeric_limits<float>::max()), 0x7f80);
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x7f800001u)), 0x7fc0);
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0xff800001u)), 0xffc0);
  EXPECT_EQ(bf16_to_f32(0xc000), -2.0f);
}

TEST(TensorTypes, TheTableIsConsistent) {
  std::set<std::uint32_t> ids;
  for (const TensorTypeInfo& info : tensor_types()) {
    const auto id = static_cast<std::uint32_t>(info.type);
    EXPECT_TRUE(ids.insert(id).second) << info.name;
    EXPECT_EQ(find_tensor_type(id), &info);
    EXPECT_EQ(find_tensor_type(info.name), &info);
    EXPECT_EQ(tensor_type_name(id), info.name);
  }
  EXPECT_EQ(ids.size(), 28u);
  EXPECT_EQ(find_tensor_type("q4_k"), find_tensor_type(12u));
  for (const std::uint32_t id : {4u, 5u, 9u, 15u, 24u, 31u, 43u, 0xffffffffu})
    EXPECT_EQ(find_tensor_type(id), nullptr) << id;
  EXPECT_EQ(find_tensor_type("Q4"), nullptr);
  EXPECT_EQ(find_tensor_type(""), nullptr);
  EXPECT_EQ(tensor_type_name(16), "IQ2_XXS");
  EXPECT_EQ(tensor_type_name(24), "I8");
  EXPECT_EQ(tensor_type_name(38), "IQ4_NL_8_8");
  EXPECT_EQ(tensor_type_name(42), "Q2_0");
  EXPECT_EQ(tensor_type_name(43), "");
}

// What llama.cpp's own decoders make of 16384 elements of pseudo-random blocks, as a hash of the
// f32 bits: every formula, every bit of a block, subnormal and infinite scales.
TEST(TensorTypes, DecodeAsLlamaCppDoes) {
  struct Row {
    TensorType type;
    std::uint64_t hash;
  };
  constexpr Row kRows[] = {
      {TensorType::kF32, 0xe1da8761a7c4d6b6},     {TensorType::kF16, 0x1a3ed353f6468325},
      {TensorType::kBF16, 0x0f90453132ab2325},    {TensorType::kQ4_0, 0x9e78088bc5e50325},
      {TensorType::kQ4_1, 0xa06ff036db9e02c4},    {TensorType::kQ5_0, 0x66077631c8c73125},
      {TensorType::kQ5_1, 0xa2041fd4ad0d1e50},    {TensorType::kQ8_0, 0x2b5ed01596a49825},
      {TensorType::kQ2_K, 0xa8c3ae7ae7211e51},    {TensorType::kQ3_K, 0x98778f68fe0b84e5},
      {TensorType::kQ4_K, 0x7db4badbc93f9e67},    {TensorType::kQ5_K, 0x14fb022849fe7b0a},
      {TensorType::kQ6_K, 0x54190339ac3f36cd},    {TensorType::kIQ4_NL, 0xe9234d2e6ed6c0e5},
      {TensorType::kIQ4_XS, 0x2d6976a053423843},  {TensorType::kMXFP4, 0x27c20f7b04472325},
      {TensorType::kNVFP4, 0x3013df81a49f2325},   {TensorType::kIQ1_S, 0xeb556394fe5fc605},
      {TensorType::kIQ1_M, 0x1b41e99dfd2cba65},   {TensorType::kIQ2_XXS, 0x444b1b200c3a55e9},
      {TensorType::kIQ2_XS, 0x3f9be1e3eef255a5},  {TensorType::kIQ2_S, 0x77f2f5229d5f9449},
      {TensorType::kIQ3_XXS, 0x60eb0685550ac84d}, {TensorType::kIQ3_S, 0xe763871f682f0c65},
      {TensorType::kTQ1_0, 0xe4df75b28717c325},   {TensorType::kTQ2_0, 0x876eedc52da02325},
      {TensorType::kQ1_0, 0x6fb23f27d855a325},    {TensorType::kQ2_0, 0xc6c0c82cf8d88325},
  };
  EXPECT_EQ(std::size(kRows), tensor_types().size());
  for (const Row& row : kRows) {
    const TensorTypeInfo& info = tensor_type_info(row.type);
    std::vector<std::byte> blocks(16384 / info.block * info.block_bytes);
    std::uint32_t state = 1;
    for (std::byte& byte : blocks) {
      state = state * 1664525u + 1013904223u;
      byte = static_cast<std::byte>(state >> 24);
    }
    std::vector<float> out(16384);
    info.decode(blocks.data(), out.data(), out.size());
    std::uint64_t hash = 14695981039346656037u;
    for (const float value : out) {
      const std::uint32_t bits =
          std::isnan(value) ? 0x7fc00000u : std::bit_cast<std::uint32_t>(value);
      hash = (hash ^ bits) * 1099511628211u;
    }
    EXPECT_EQ(hash, row.hash) << info.name;
  }
}

TEST(TensorTypes, BlockScalesOfFourBitFloats) {
  EXPECT_EQ(mxfp4_scale(0), 0x1p-128f);
  EXPECT_EQ(mxfp4_scale(1), 0x1p-127f);
  EXPECT_EQ(mxfp4_scale(128), 1.0f);
  EXPECT_EQ(nvfp4_scale(0), 0.0f);
  EXPECT_EQ(nvfp4_scale(1), 0x1p-10f);
  EXPECT_EQ(nvfp4_scale(0x38), 0.5f);
  EXPECT_EQ(nvfp4_scale(0x7e), 224.0f);
  EXPECT_EQ(nvfp4_scale(0x7f), 0.0f);
}

}  // namespace
}  // namespace lathe::infer
