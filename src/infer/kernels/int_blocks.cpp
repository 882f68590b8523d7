// GGUF's integer rows as 32 signed integers with their scales and minima.
#include "infer/kernels/int_blocks.h"

#include "infer/quant/blocks.h"
#include "infer/quant/codebook.h"
#include "infer/quant/four_bit.h"
#include "infer/quant/ternary.h"

namespace lathe::infer {
namespace {

void set_scale(IntBlock& out, float scale, float min = 0) {
  out.scale[0] = out.scale[1] = scale;
  out.min[0] = out.min[1] = min;
}

void set_scales(IntBlock& out, float first, float second) {
  out.scale[0] = first;
  out.scale[1] = second;
  out.min[0] = out.min[1] = 0;
}

std::int8_t i8(unsigned code, int offset = 0) {
  return static_cast<std::int8_t>(static_cast<int>(code) - offset);
}

void read_nibbles(const std::byte* bytes, int offset, IntBlock& out) {
  for (std::size_t i = 0; i < 16; ++i) {
    const unsigned byte = load_u8(bytes + i);
    out.w[i] = i8(byte & 15, offset);
    out.w[i + 16] = i8(byte >> 4, offset);
  }
}

void read_five_bits(const std::byte* high, const std::byte* low, int offset, IntBlock& out) {
  const std::uint32_t fifth = load<std::uint32_t>(high);
  for (std::size_t i = 0; i < 32; ++i)
    out.w[i] = i8(nibble(low, i, 32) | (fifth >> i & 1) << 4, offset);
}

template <std::size_t kCount>
void read_values(const std::byte* bytes, const std::array<float, 16>& values, std::int8_t* out) {
  for (std::size_t i = 0; i < kCount; ++i)
    out[i] = static_cast<std::int8_t>(values[nibble(bytes, i, kCount)]);
}

// The 6-bit scale and minimum of sub-block j of Q4_K and Q5_K, in 12 bytes.
void read_scale_min(const std::byte* block, std::size_t j, IntBlock& out) {
  const std::byte* s = block + 4;
  unsigned scale, min;
  if (j < 4) {
    scale = load_u8(s + j) & 63;
    min = load_u8(s + j + 4) & 63;
  } else {
    scale = (load_u8(s + j + 4) & 15) | load_u8(s + j - 4) >> 6 << 4;
    min = load_u8(s + j + 4) >> 4 | load_u8(s + j) >> 6 << 4;
  }
  set_scale(out, load_f16(block) * static_cast<float>(scale),
            -(load_f16(block + 2) * static_cast<float>(min)));
}

// Two bits of element 32·j + i of Q2_K and Q3_K.
unsigned two_bits(const std::byte* qs, std::size_t j, std::size_t i) {
  return load_u8(qs + 32 * (j / 4) + i) >> 2 * (j % 4) & 3;
}

int q3_scale(const std::byte* s, std::size_t k) {
  const unsigned low = k < 8 ? load_u8(s + k) & 15 : load_u8(s + k - 8) >> 4;
  return static_cast<int>(low | (load_u8(s + 8 + k % 4) >> 2 * (k / 4) & 3) << 4) - 32;
}

// 32 elements of a type with one scale for a block of kBlock.
template <std::size_t kBlock, std::size_t kBytes, std::size_t kScale, auto kWeight>
void read_one_scale(const std::byte* row, std::size_t index, IntBlock& out) {
  constexpr std::size_t kParts = kBlock / 32;
  const std::byte* b = row + kBytes * (index / kParts);
  for (std::size_t i = 0; i < 32; ++i)
    out.w[i] = static_cast<std::int8_t>(kWeight(b, 32 * (index % kParts) + i));
  set_scale(out, load_f16(b + kScale));
}

}  // namespace

void read_q4_0(const std::byte* row, std::size_t index, IntBlock& out) {
  const std::byte* b = row + 18 * index;
  read_nibbles(b + 2, 8, out);
  set_scale(out, load_f16(b));
}

void read_q4_1(const std::byte* row, std::size_t index, IntBlock& out) {
  const std::byte* b = row + 20 * index;
  read_nibbles(b + 4, 0, out);
  set_scale(out, load_f16(b), load_f16(b + 2));
}

void read_q5_0(const std::byte* row, std::size_t index, IntBlock& out) {
  const std::byte* b = row + 22 * index;
  read_five_bits(b + 2, b + 6, 16, out);
  set_scale(out, load_f16(b));
}

void read_q5_1(const std::byte* row, std::size_t index, IntBlock& out) {
  const std::byte* b = row + 24 * index;
  read_five_bits(b + 4, b + 8, 0, out);
  set_scale(out, load_f16(b), load_f16(b + 2));
}

void read_q8_0(const std::byte* row, std::size_t index, IntBlock& out) {
  const std::byte* b = row + 34 * index;
  std::memcpy(out.w, b + 2, 32);
  set_scale(out, load_f16(b));
}

void read_q2_k(const std::byte* row, std::size_t index, IntBlock& out) {
  const std::byte* b = row + 84 * (index / 8);
  const std::size_t j = index % 8;
  for (std::size_t i = 0; i < 32; ++i) out.w[i] = i8(two_bits(b + 16, j, i));
  const float d = load_f16(b + 80), dmin = load_f16(b + 82);
  for (std::size_t h = 0; h < 2; ++h) {
    const unsigned s = load_u8(b + 2 * j + h);
    out.scale[h] = d * static_cast<float>(s & 15);
    out.min[h] = -(dmin * static_cast<float>(s >> 4));
  }
}

void read_q3_k(const std::byte* row, std::size_t index, IntBlock& out) {
  const std::byte* b = row + 110 * (index / 8);
  const std::size_t j = index % 8;
  for (std::size_t i = 0; i < 32; ++i)
    out.w[i] = i8(two_bits(b + 32, j, i), load_u8(b + i) >> j & 1 ? 0 : 4);
  const float d = load_f16(b + 108);
  set_scales(out, d * static_cast<float>(q3_scale(b + 96, 2 * j)),
             d * static_cast<float>(q3_scale(b + 96, 2 * j + 1)));
}

void read_q4_k(const std::byte* row, std::size_t index, IntBlock& out) {
  const std::byte* b = row + 144 * (index / 8);
  const std::size_t j = index % 8;
  for (std::size_t i = 0; i < 32; ++i)
    out.w[i] = i8(load_u8(b + 16 + 32 * (j / 2) + i) >> 4 * (j % 2) & 15);
  read_scale_min(b, j, out);
}

void read_q5_k(const std::byte* row, std::size_t index, IntBlock& out) {
  const std::byte* b = row + 176 * (index / 8);
  const std::size_t j = index % 8;
  for (std::size_t i = 0; i < 32; ++i) {
    const unsigned low = load_u8(b + 48 + 32 * (j / 2) + i) >> 4 * (j % 2) & 15;
    out.w[i] = i8(low | (load_u8(b + 16 + i) >> j & 1) << 4);
  }
  read_scale_min(b, j, out);
}

void read_q6_k(const std::byte* row, std::size_t index, IntBlock& out) {
  const std::byte* b = row + 210 * (index / 8);
  const std::size_t j = index % 8, n = j / 4, g = j % 4;
  for (std::size_t i = 0; i < 32; ++i) {
    const unsigned low = load_u8(b + 64 * n + 32 * (g % 2) + i) >> 4 * (g / 2) & 15;
    out.w[i] = i8(low | (load_u8(b + 128 + 32 * n + i) >> 2 * g & 3) << 4, 32);
  }
  const float d = load_f16(b + 208);
  set_scales(out, d * static_cast<float>(load_i8(b + 192 + 2 * j)),
             d * static_cast<float>(load_i8(b + 193 + 2 * j)));
}

void read_iq4_nl(const std::byte* row, std::size_t index, IntBlock& out) {
  const std::byte* b = row + 18 * index;
  read_values<32>(b + 2, kIq4Values, out.w);
  set_scale(out, load_f16(b));
}

void read_iq4_xs(const std::byte* row, std::size_t index, IntBlock& out) {
  const std::byte* b = row + 136 * (index / 8);
  const std::size_t j = index % 8;
  read_values<32>(b + 8 + 16 * j, kIq4Values, out.w);
  const unsigned low = load_u8(b + 4 + j / 2) >> 4 * (j % 2) & 15;
  const unsigned high = static_cast<unsigned>(load<std::uint16_t>(b + 2)) >> 2 * j & 3;
  set_scale(out, load_f16(b) * static_cast<float>(static_cast<int>(low | high << 4) - 32));
}

void read_mxfp4(const std::byte* row, std::size_t index, IntBlock& out) {
  const std::byte* b = row + 17 * index;
  read_values<32>(b + 1, kFp4Values, out.w);
  set_scale(out, mxfp4_scale(load_u8(b)));
}

void read_nvfp4(const std::byte* row, std::size_t index, IntBlock& out) {
  const std::byte* b = row + 36 * (index / 2);
  const std::size_t s = 2 * (index % 2);
  read_values<16>(b + 4 + 8 * s, kFp4Values, out.w);
  read_values<16>(b + 12 + 8 * s, kFp4Values, out.w + 16);
  set_scales(out, nvfp4_scale(load_u8(b + s)), nvfp4_scale(load_u8(b + s + 1)));
}

void read_tq1_0(const std::byte* row, std::size_t index, IntBlock& out) {
  read_one_scale<256, 54, 52, tq1_0_weight>(row, index, out);
}
void read_tq2_0(const std::byte* row, std::size_t index, IntBlock& out) {
  read_one_scale<256, 66, 64, tq2_0_weight>(row, index, out);
}
void read_q1_0(const std::byte* row, std::size_t index, IntBlock& out) {
  read_one_scale<128, 18, 0, q1_0_weight>(row, index, out);
}
void read_q2_0(const std::byte* row, std::size_t index, IntBlock& out) {
  read_one_scale<64, 18, 0, q2_0_weight>(row, index, out);
}

template <TensorType kType>
void read_codebook_block(const std::byte* row, std::size_t index, IntBlock& out) {
  constexpr const CodebookType& type = codebook_of(kType);
  const std::byte* b = row + type.block_bytes * (index / 8);
  CodebookBlock block;
  type.read(b, index % 8, block);
  type.weights(block, out.w);
  const float d = type.d(b);
  set_scales(out, type.scale(d, block.scale[0]), type.scale(d, block.scale[1]));
}

template void read_codebook_block<TensorType::kIQ1_S>(const std::byte*, std::size_t, IntBlock&);
template void read_codebook_block<TensorType::kIQ1_M>(const std::byte*, std::size_t, IntBlock&);
template void read_codebook_block<TensorType::kIQ2_XXS>(const std::byte*, std::size_t, IntBlock&);
template void read_codebook_block<TensorType::kIQ2_XS>(const std::byte*, std::size_t, IntBlock&);
template void read_codebook_block<TensorType::kIQ2_S>(const std::byte*, std::size_t, IntBlock&);
template void read_codebook_block<TensorType::kIQ3_XXS>(const std::byte*, std::size_t, IntBlock&);
template void read_codebook_block<TensorType::kIQ3_S>(const std::byte*, std::size_t, IntBlock&);

}  // namespace lathe::infer
