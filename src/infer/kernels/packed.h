// The panels of the SIMD tables: 16 rows side by side, as many bits as the file has. A panel is
// made of runs of 16 blocks of 32 elements (the last may be shorter), each first the scales of its
// blocks, filled up to 64 bytes, then their codes. So a product reads its weights from one address
// to the next, which is what processors fetch ahead of their own accord (docs/kernels.md).
// Pure; any thread may call anything.
//
// Codes of one block, each plane in vectors of 64 bytes [row][4 neighbours along k], which is what
// four-way dot products take:
//   nibbles   4 vectors: vector v has elements 4v + j low and 16 + 4v + j high
//   pairs     2 vectors: bits 2g of vector h are those of element 16h + 4g + j
//   bits      1 vector:  bit g is that of element 4g + j
//   bytes     8 vectors: vector g has elements 4g + j, signed
// A code is the weight plus kOffset, or the index of the weight in a table of 16 values. The
// codebook types keep what their blocks say of 32 elements, word by word (grid_panels.h).
//
// Scales, all for 16 rows at once ("d" is f16, 32 bytes):
//   Q4_0 Q5_0 Q8_0 IQ4_NL  per block d
//   Q1_0 Q2_0 TQ1_0 TQ2_0  per 128, 64 or 256 elements d
//   Q4_1 Q5_1              per block d, m
//   MXFP4                  per block 16 E8M0 bytes
//   NVFP4                  per block 2 × 16 bytes E4M3 (0 for what counts as 0)
//   Q2_K                   per super-block d, dmin, then per block 2 × 16 bytes (scale | min << 4)
//   Q3_K                   per super-block d, then GGUF's 12 bytes as 3 × 16 words
//   Q4_K Q5_K              per super-block d, dmin, then GGUF's 12 bytes as 3 × 16 words
//   Q6_K                   per super-block d, then per block 2 × 16 signed bytes
//   IQ4_XS                 per super-block d, 16 × u16 high bits, 16 × u32 low bits
// TQ1_0, whose file packs five elements in a byte, takes the two bits of TQ2_0.
#pragma once

#include <cstddef>
#include <cstdint>

#include "infer/kernels/int_blocks.h"
#include "infer/kernels/kernels.h"

namespace lathe::infer {

enum class Codes : std::uint8_t { kOffset, kSigned, kIq4, kFp4, kSign, kGrid };

// Blocks in a run: the scales of 16 blocks fill whole cache lines, whatever the type.
inline constexpr std::size_t kRun = 16;

// What a kernel must know of a type at compile time.
struct PackedFormat {
  TensorType type;
  Scaling scaling;
  Codes codes;
  int offset;  // of Codes::kOffset
  bool nibbles, pairs, bits;
  std::size_t scale_group;     // blocks that share a piece of the scales: 1 … 8
  std::size_t scale_bytes;     // of such a piece
  std::size_t grid_bytes = 0;  // of Codes::kGrid

  constexpr std::size_t code_bytes() const {  // of one block of 16 rows
    if (codes == Codes::kGrid) return grid_bytes;
    return codes == Codes::kSigned ? 512u : nibbles * 256u + pairs * 128u + bits * 64u;
  }
  // Of the scales before the codes of a run of so many blocks.
  constexpr std::size_t scales_size(std::size_t blocks) const {
    return (blocks / scale_group * scale_bytes + 63) / 64 * 64;
  }
  constexpr unsigned bits_at() const { return 4u * nibbles + 2u * pairs; }  // in a code
  // Where block b of a panel of so many blocks has its scales (those of its group) and its codes.
  constexpr std::size_t scales_at(std::size_t b) const {
    return b / kRun * run_bytes() + b % kRun / scale_group * scale_bytes;
  }
  constexpr std::size_t codes_at(std::size_t b, std::size_t blocks) const {
    const std::size_t run = b / kRun, left = blocks - run * kRun;
    return run * run_bytes() + scales_size(left < kRun ? left : kRun) + b % kRun * code_bytes();
  }
  constexpr std::size_t run_bytes() const { return scales_size(kRun) + kRun * code_bytes(); }
  constexpr std::size_t panel_bytes(std::size_t k) const {
    const std::size_t blocks = k / kActivationBlock;
    return scales_size(blocks) + blocks * code_bytes();
  }
};

inline constexpr PackedFormat kPackedFormats[] = {
    {TensorType::kQ4_0, Scaling::kPer32, Codes::kOffset, 8, true, false, false, 1, 32},
    {TensorType::kQ4_1, Scaling::kPer32Min, Codes::kOffset, 0, true, false, false, 1, 64},
    {TensorType::kQ5_0, Scaling::kPer32, Codes::kOffset, 16, true, false, true, 1, 32},
    {TensorType::kQ5_1, Scaling::kPer32Min, Codes::kOffset, 0, true, false, true, 1, 64},
    {TensorType::kQ8_0, Scaling::kPer32, Codes::kSigned, 0, false, false, false, 1, 32},
    {TensorType::kQ2_K, Scaling::kPer16Min, Codes::kOffset, 0, false, true, false, 8, 320},
    {TensorType::kQ3_K, Scaling::kPer16, Codes::kOffset, 4, false, true, true, 8, 224},
    {TensorType::kQ4_K, Scaling::kPer32Min, Codes::kOffset, 0, true, false, false, 8, 256},
    {TensorType::kQ5_K, Scaling::kPer32Min, Codes::kOffset, 0, true, false, true, 8, 256},
    {TensorType::kQ6_K, Scaling::kPer16, Codes::kOffset, 32, true, true, false, 8, 288},
    {TensorType::kIQ4_NL, Scaling::kPer32, Codes::kIq4, 0, true, false, false, 1, 32},
    {TensorType::kIQ4_XS, Scaling::kPer32, Codes::kIq4, 0, true, false, false, 8, 128},
    {TensorType::kMXFP4, Scaling::kPer32, Codes::kFp4, 0, true, false, false, 1, 16},
    {TensorType::kNVFP4, Scaling::kPer16, Codes::kFp4, 0, true, false, false, 1, 32},
    {TensorType::kTQ1_0, Scaling::kPer32, Codes::kOffset, 1, false, true, false, 8, 32},
    {TensorType::kTQ2_0, Scaling::kPer32, Codes::kOffset, 1, false, true, false, 8, 32},
    {TensorType::kQ1_0, Scaling::kPer32, Codes::kSign, 0, false, false, true, 4, 32},
    {TensorType::kQ2_0, Scaling::kPer32, Codes::kOffset, 1, false, true, false, 2, 32},
    {TensorType::kIQ1_S, Scaling::kPer32, Codes::kGrid, 0, false, false, false, 8, 32, 96},
    {TensorType::kIQ1_M, Scaling::kPer16, Codes::kGrid, 0, false, false, false, 8, 128, 96},
    {TensorType::kIQ2_XXS, Scaling::kPer32, Codes::kGrid, 0, false, false, false, 8, 32, 128},
    {TensorType::kIQ2_XS, Scaling::kPer16, Codes::kGrid, 0, false, false, false, 8, 160, 128},
    {TensorType::kIQ2_S, Scaling::kPer16, Codes::kGrid, 0, false, false, false, 8, 160, 144},
    {TensorType::kIQ3_XXS, Scaling::kPer32, Codes::kGrid, 0, false, false, false, 8, 32, 192},
    {TensorType::kIQ3_S, Scaling::kPer32, Codes::kGrid, 0, false, false, false, 8, 96, 208},
};

constexpr const PackedFormat& packed_format_of(TensorType type) {
  for (const PackedFormat& format : kPackedFormats)
    if (format.type == type) return format;
  __builtin_unreachable();
}

constexpr bool runs_fill_lines() {
  for (const PackedFormat& format : kPackedFormats)
    if (kRun / format.scale_group * format.scale_bytes % 64 != 0 ||
        format.scale_group * format.code_bytes() % 64 != 0)
      return false;
  return true;
}
static_assert(runs_fill_lines());

// The functions of PackedType but for matmul. F32, F16 and BF16 are packed as [k][16 rows].
template <TensorType kType>
struct PackedCodec {
  static std::size_t panel_bytes(std::size_t k);
  static void pack(const std::byte* src, std::size_t row_bytes, std::size_t rows, std::size_t k,
                   std::byte* panel);
  static void unpack(const std::byte* panel, std::size_t lane, std::size_t k, float* out);
};

}  // namespace lathe::infer
