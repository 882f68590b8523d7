// The integer types' rows in GGUF's layout as what the kernels multiply: 32 signed integers, their
// scales and minima. The scalar kernels run on this, and the packers of the others start from it.
// Pure; formulas: formats.md §2, decoders of infer/quant.
#pragma once

#include <cstddef>
#include <cstdint>

#include "infer/quant/tensor_type.h"

namespace lathe::infer {

// How often a scale (and a minimum) comes, in elements.
enum class Scaling : std::uint8_t { kPer32, kPer32Min, kPer16, kPer16Min };

// Weight i is scale[i / 16]·w[i] + min[i / 16]. Types with one scale per 32 have it twice.
struct IntBlock {
  std::int8_t w[32];
  float scale[2];
  float min[2];
};

struct IntFormat {
  TensorType type;
  Scaling scaling;
  std::size_t block, block_bytes;  // as TensorTypeInfo has them
  // Elements 32·index … 32·index + 31 of a row.
  void (*read)(const std::byte* row, std::size_t index, IntBlock& out);
  void (*decode)(const std::byte* blocks, float* out, std::size_t count);

  constexpr std::size_t row_bytes(std::size_t k) const { return k / block * block_bytes; }
};

void read_q4_0(const std::byte* row, std::size_t index, IntBlock& out);
void read_q4_1(const std::byte* row, std::size_t index, IntBlock& out);
void read_q5_0(const std::byte* row, std::size_t index, IntBlock& out);
void read_q5_1(const std::byte* row, std::size_t index, IntBlock& out);
void read_q8_0(const std::byte* row, std::size_t index, IntBlock& out);
void read_q2_k(const std::byte* row, std::size_t index, IntBlock& out);
void read_q3_k(const std::byte* row, std::size_t index, IntBlock& out);
void read_q4_k(const std::byte* row, std::size_t index, IntBlock& out);
void read_q5_k(const std::byte* row, std::size_t index, IntBlock& out);
void read_q6_k(const std::byte* row, std::size_t index, IntBlock& out);
void read_iq4_nl(const std::byte* row, std::size_t index, IntBlock& out);
void read_iq4_xs(const std::byte* row, std::size_t index, IntBlock& out);
void read_mxfp4(const std::byte* row, std::size_t index, IntBlock& out);
void read_nvfp4(const std::byte* row, std::size_t index, IntBlock& out);
void read_tq1_0(const std::byte* row, std::size_t index, IntBlock& out);
void read_tq2_0(const std::byte* row, std::size_t index, IntBlock& out);
void read_q1_0(const std::byte* row, std::size_t index, IntBlock& out);
void read_q2_0(const std::byte* row, std::size_t index, IntBlock& out);
// IQ1, IQ2 and IQ3.
template <TensorType kType>
void read_codebook_block(const std::byte* row, std::size_t index, IntBlock& out);

}  // namespace lathe::infer
