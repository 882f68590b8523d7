// Weights laid out as the kernels read them: one stream.
#include "infer/kernels/packed.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "infer/kernels/grid_panels.h"
#include "infer/quant/blocks.h"
#include "infer/quant/four_bit.h"

namespace lathe::infer {
namespace {

constexpr bool is_integer(TensorType type) {
  for (const PackedFormat& format : kPackedFormats)
    if (format.type == type) return true;
  return false;
}

// What reads a type's rows: the block's size in the file and the function of int_blocks.h.
template <TensorType kType>
struct Source;
template <std::size_t kBytes, auto kRead, std::size_t kBlocks = 1>
struct SourceOf {
  static constexpr std::size_t block_bytes = kBytes, blocks = kBlocks;  // blocks: of 32 elements
  static constexpr auto read = kRead;
};
template <>
struct Source<TensorType::kQ4_0> : SourceOf<18, read_q4_0> {};
template <>
struct Source<TensorType::kQ4_1> : SourceOf<20, read_q4_1> {};
template <>
struct Source<TensorType::kQ5_0> : SourceOf<22, read_q5_0> {};
template <>
struct Source<TensorType::kQ5_1> : SourceOf<24, read_q5_1> {};
template <>
struct Source<TensorType::kQ8_0> : SourceOf<34, read_q8_0> {};
template <>
struct Source<TensorType::kQ2_K> : SourceOf<84, read_q2_k, 8> {};
template <>
struct Source<TensorType::kQ3_K> : SourceOf<110, read_q3_k, 8> {};
template <>
struct Source<TensorType::kQ4_K> : SourceOf<144, read_q4_k, 8> {};
template <>
struct Source<TensorType::kQ5_K> : SourceOf<176, read_q5_k, 8> {};
template <>
struct Source<TensorType::kQ6_K> : SourceOf<210, read_q6_k, 8> {};
template <>
struct Source<TensorType::kIQ4_NL> : SourceOf<18, read_iq4_nl> {};
template <>
struct Source<TensorType::kIQ4_XS> : SourceOf<136, read_iq4_xs, 8> {};
template <>
struct Source<TensorType::kMXFP4> : SourceOf<17, read_mxfp4> {};
template <>
struct Source<TensorType::kNVFP4> : SourceOf<36, read_nvfp4, 2> {};
template <>
struct Source<TensorType::kTQ1_0> : SourceOf<54, read_tq1_0, 8> {};
template <>
struct Source<TensorType::kTQ2_0> : SourceOf<66, read_tq2_0, 8> {};
template <>
struct Source<TensorType::kQ1_0> : SourceOf<18, read_q1_0, 4> {};
template <>
struct Source<TensorType::kQ2_0> : SourceOf<18, read_q2_0, 2> {};

constexpr std::array<float, 16> kSignValues = {-1, 1, -1, 1, -1, 1, -1, 1,
                                               -1, 1, -1, 1, -1, 1, -1, 1};

const std::array<float, 16>& table_of(Codes codes) {
  return codes == Codes::kIq4 ? kIq4Values : codes == Codes::kFp4 ? kFp4Values : kSignValues;
}

// Weights -128 … 127 → index in the table, the lowest of several.
std::array<std::uint8_t, 256> inverse_of(Codes codes) {
  std::array<std::uint8_t, 256> inverse{};
  for (std::size_t i = 16; i-- > 0;)
    inverse[static_cast<std::size_t>(table_of(codes)[i] + 128)] = static_cast<std::uint8_t>(i);
  return inverse;
}

void set_bits(std::byte& byte, unsigned bits) {
  byte |= static_cast<std::byte>(bits);
}

// The codes of one row of one block into a zeroed panel.
void pack_codes(const PackedFormat& format, const std::uint8_t* code, std::size_t lane,
                std::byte* block) {
  if (format.codes == Codes::kSigned) {
    for (std::size_t g = 0; g < 8; ++g) std::memcpy(block + 64 * g + 4 * lane, code + 4 * g, 4);
    return;
  }
  if (format.nibbles) {
    std::byte* at = block + 4 * lane;
    for (std::size_t i = 0; i < 16; ++i)
      at[i / 4 * 64 + i % 4] = static_cast<std::byte>((code[i] & 15) | (code[i + 16] & 15) << 4);
    block += 256;
  }
  if (format.pairs) {
    const unsigned shift = format.nibbles ? 4 : 0;
    for (std::size_t i = 0; i < 32; ++i)
      set_bits(block[i / 16 * 64 + 4 * lane + i % 4], (code[i] >> shift & 3u) << (2 * (i / 4 % 4)));
    block += 128;
  }
  if (format.bits) {
    const unsigned shift = format.bits_at();
    for (std::size_t i = 0; i < 32; ++i)
      set_bits(block[4 * lane + i % 4], (code[i] >> shift & 1u) << (i / 4));
  }
}

unsigned unpack_code(const PackedFormat& format, const std::byte* block, std::size_t lane,
                     std::size_t i) {
  if (format.codes == Codes::kSigned) return load_u8(block + i / 4 * 64 + 4 * lane + i % 4);
  unsigned code = 0;
  if (format.nibbles) {
    code = load_u8(block + i % 16 / 4 * 64 + 4 * lane + i % 4) >> 4 * (i / 16) & 15;
    block += 256;
  }
  if (format.pairs) {
    const unsigned pair = load_u8(block + i / 16 * 64 + 4 * lane + i % 4) >> 2 * (i / 4 % 4) & 3;
    code |= pair << (format.nibbles ? 4 : 0);
    block += 128;
  }
  if (format.bits) {
    const unsigned bit = load_u8(block + 4 * lane + i % 4) >> (i / 4) & 1;
    code |= bit << format.bits_at();
  }
  return code;
}

void put_f16(const std::byte* from, std::byte* scales, std::size_t lane) {
  std::memcpy(scales + 2 * lane, from, 2);
}

void put_words(const std::byte* from, std::byte* words, std::size_t lane) {
  for (std::size_t w = 0; w < 3; ++w) std::memcpy(words + 64 * w + 4 * lane, from + 4 * w, 4);
}

// The scales of one row's block (or super-block, or pair of NVFP4) `b` as the file has it.
template <TensorType kType>
void pack_scales(const std::byte* b, std::size_t lane, std::byte* to) {
  using enum TensorType;
  if constexpr (kType == kQ4_0 || kType == kQ5_0 || kType == kQ8_0 || kType == kIQ4_NL ||
                kType == kQ1_0 || kType == kQ2_0) {
    put_f16(b, to, lane);
  } else if constexpr (kType == kTQ1_0 || kType == kTQ2_0) {
    put_f16(b + (kType == kTQ1_0 ? 52 : 64), to, lane);
  } else if constexpr (kType == kQ4_1 || kType == kQ5_1) {
    put_f16(b, to, lane);
    put_f16(b + 2, to + 32, lane);
  } else if constexpr (kType == kMXFP4) {
    to[lane] = b[0];
  } else if constexpr (kType == kNVFP4) {
    for (std::size_t s = 0; s < 4; ++s)
      to[16 * s + lane] = b[s] == std::byte{0x7f} ? std::byte{0} : b[s] & std::byte{0x7f};
  } else if constexpr (kType == kQ4_K || kType == kQ5_K) {
    put_f16(b, to, lane);
    put_f16(b + 2, to + 32, lane);
    put_words(b + 4, to + 64, lane);
  } else if constexpr (kType == kQ2_K) {
    put_f16(b + 80, to, lane);
    put_f16(b + 82, to + 32, lane);
    for (std::size_t s = 0; s < 16; ++s) to[64 + 16 * s + lane] = b[s];
  } else if constexpr (kType == kQ3_K) {
    put_f16(b + 108, to, lane);
    put_words(b + 96, to + 32, lane);
  } else if constexpr (kType == kQ6_K) {
    put_f16(b + 208, to, lane);
    for (std::size_t s = 0; s < 16; ++s) to[32 + 16 * s + lane] = b[192 + s];
  } else {
    static_assert(kType == kIQ4_XS);
    put_f16(b, to, lane);
    std::memcpy(to + 32 + 2 * lane, b + 2, 2);
    std::memcpy(to + 64 + 4 * lane, b + 4, 4);
  }
}

float f16_at(const std::byte* scales, std::size_t lane) {
  return load_f16(scales + 2 * lane);
}

// Byte i of the 12 that put_words spread.
unsigned word_byte(const std::byte* words, std::size_t lane, std::size_t i) {
  return load_u8(words + i / 4 * 64 + 4 * lane + i % 4);
}

// Scales and minima of block j of the group whose scales are at `s`.
template <TensorType kType>
void unpack_scales(const std::byte* s, std::size_t j, std::size_t lane, IntBlock& out) {
  using enum TensorType;
  const auto both = [&out](float scale, float min) {
    out.scale[0] = out.scale[1] = scale;
    out.min[0] = out.min[1] = min;
  };
  if constexpr (kType == kQ4_0 || kType == kQ5_0 || kType == kQ8_0 || kType == kIQ4_NL ||
                kType == kQ1_0 || kType == kQ2_0 || kType == kTQ1_0 || kType == kTQ2_0) {
    both(f16_at(s, lane), 0);
  } else if constexpr (kType == kQ4_1 || kType == kQ5_1) {
    both(f16_at(s, lane), f16_at(s + 32, lane));
  } else if constexpr (kType == kMXFP4) {
    both(mxfp4_scale(load_u8(s + lane)), 0);
  } else if constexpr (kType == kNVFP4) {
    for (std::size_t h = 0; h < 2; ++h) {
      const unsigned c = load_u8(s + 16 * h + lane);
      out.scale[h] = nvfp4_scale(c == 0x7f ? 0xff : c);
    }
  } else if constexpr (kType == kQ4_K || kType == kQ5_K) {
    const auto byte = [s, lane](std::size_t i) { return word_byte(s + 64, lane, i); };
    unsigned scale = byte(j % 4) & 63, min = byte(4 + j % 4) & 63;
    if (j >= 4) {
      scale = (byte(8 + j % 4) & 15) | byte(j % 4) >> 6 << 4;
      min = byte(8 + j % 4) >> 4 | byte(4 + j % 4) >> 6 << 4;
    }
    both(f16_at(s, lane) * static_cast<float>(scale),
         -(f16_at(s + 32, lane) * static_cast<float>(min)));
  } else if constexpr (kType == kQ2_K) {
    for (std::size_t h = 0; h < 2; ++h) {
      const unsigned byte = load_u8(s + 64 + 16 * (2 * j + h) + lane);
      out.scale[h] = f16_at(s, lane) * static_cast<float>(byte & 15);
      out.min[h] = -(f16_at(s + 32, lane) * static_cast<float>(byte >> 4));
    }
  } else if constexpr (kType == kQ3_K) {
    for (std::size_t h = 0; h < 2; ++h) {
      const std::size_t k = 2 * j + h;
      const unsigned low = word_byte(s + 32, lane, k % 8) >> (k < 8 ? 0 : 4) & 15;
      const unsigned high = word_byte(s + 32, lane, 8 + k % 4) >> 2 * (k / 4) & 3;
      out.scale[h] = f16_at(s, lane) * static_cast<float>(static_cast<int>(low | high << 4) - 32);
    }
  } else if constexpr (kType == kQ6_K) {
    for (std::size_t h = 0; h < 2; ++h)
      out.scale[h] =
          f16_at(s, lane) * static_cast<float>(load_i8(s + 32 + 16 * (2 * j + h) + lane));
  } else {
    static_assert(kType == kIQ4_XS);
    const unsigned high = load<std::uint16_t>(s + 32 + 2 * lane);
    const unsigned code =
        (load<std::uint32_t>(s + 64 + 4 * lane) >> 4 * j & 15) | (high >> 2 * j & 3) << 4;
    both(f16_at(s, lane) * static_cast<float>(static_cast<int>(code) - 32), 0);
  }
}

template <TensorType kType>
void pack_integers(const std::byte* src, std::size_t row_bytes, std::size_t rows, std::size_t k,
                   std::byte* panel) {
  constexpr const PackedFormat& format = packed_format_of(kType);
  using From = Source<kType>;
  const std::size_t blocks = k / kActivationBlock;
  std::memset(panel, 0, format.panel_bytes(k));
  std::array<std::uint8_t, 256> inverse{};
  if (format.codes != Codes::kOffset && format.codes != Codes::kSigned)
    inverse = inverse_of(format.codes);
  if (format.codes == Codes::kOffset && format.offset != 0) {
    // Rows that are not there: weight 0, whose code is the offset.
    for (std::size_t lane = rows; lane < kPanelRows; ++lane) {
      std::uint8_t code[32];
      std::memset(code, format.offset, sizeof code);
      for (std::size_t b = 0; b < blocks; ++b)
        pack_codes(format, code, lane, panel + format.codes_at(b, blocks));
    }
  }
  // Blocks outside, rows inside: the panel is written once from its beginning to its end.
  for (std::size_t b = 0; b < blocks; ++b) {
    std::byte* codes = panel + format.codes_at(b, blocks);
    for (std::size_t lane = 0; lane < rows; ++lane) {
      const std::byte* row = src + lane * row_bytes;
      IntBlock block;
      From::read(row, b, block);
      std::uint8_t code[32];
      for (std::size_t i = 0; i < 32; ++i) {
        const int w = block.w[i];
        code[i] = format.codes == Codes::kOffset   ? static_cast<std::uint8_t>(w + format.offset)
                  : format.codes == Codes::kSigned ? static_cast<std::uint8_t>(w)
                                                   : inverse[static_cast<unsigned>(w + 128)];
      }
      pack_codes(format, code, lane, codes);
      if (b % From::blocks == 0)
        pack_scales<kType>(row + b / From::blocks * From::block_bytes, lane,
                           panel + format.scales_at(b));
    }
  }
}

template <TensorType kType>
void unpack_integers(const std::byte* panel, std::size_t lane, std::size_t k, float* out) {
  constexpr const PackedFormat& format = packed_format_of(kType);
  const std::size_t blocks = k / kActivationBlock;
  for (std::size_t b = 0; b < blocks; ++b) {
    IntBlock block{};
    unpack_scales<kType>(panel + format.scales_at(b), b % format.scale_group, lane, block);
    const std::byte* codes = panel + format.codes_at(b, blocks);
    for (std::size_t i = 0; i < 32; ++i) {
      const unsigned code = unpack_code(format, codes, lane, i);
      const float w = format.codes == Codes::kOffset
                          ? static_cast<float>(static_cast<int>(code) - format.offset)
                      : format.codes == Codes::kSigned
                          ? static_cast<float>(static_cast<std::int8_t>(code))
                          : table_of(format.codes)[code];
      float& x = out[32 * b + i];
      x = block.scale[i / 16] * w;
      if (format.scaling == Scaling::kPer32Min || format.scaling == Scaling::kPer16Min)
        x += block.min[i / 16];
    }
  }
}

constexpr std::size_t element_bytes(TensorType type) {
  return type == TensorType::kF32 ? 4 : 2;
}

}  // namespace

template <TensorType kType>
std::size_t PackedCodec<kType>::panel_bytes(std::size_t k) {
  if constexpr (is_integer(kType))
    return packed_format_of(kType).panel_bytes(k);
  else
    return (kPanelRows * element_bytes(kType) * k + 63) / 64 * 64;
}

template <TensorType kType>
void PackedCodec<kType>::pack(const std::byte* src, std::size_t row_bytes, std::size_t rows,
                              std::size_t k, std::byte* panel) {
  if constexpr (is_codebook(kType)) {
    pack_grids<kType>(src, row_bytes, rows, k, panel);
  } else if constexpr (is_integer(kType)) {
    pack_integers<kType>(src, row_bytes, rows, k, panel);
  } else {
    constexpr std::size_t bytes = element_bytes(kType);
    if (rows < kPanelRows) std::memset(panel, 0, panel_bytes(k));
    for (std::size_t i = 0; i < k; ++i)
      for (std::size_t lane = 0; lane < rows; ++lane)
        std::memcpy(panel + bytes * (kPanelRows * i + lane), src + lane * row_bytes + bytes * i,
                    bytes);
  }
}

template <TensorType kType>
void PackedCodec<kType>::unpack(const std::byte* panel, std::size_t lane, std::size_t k,
                                float* out) {
  if constexpr (is_codebook(kType)) {
    unpack_grids<kType>(panel, lane, k, out);
  } else if constexpr (is_integer(kType)) {
    unpack_integers<kType>(panel, lane, k, out);
  } else {
    for (std::size_t i = 0; i < k; ++i) {
      const std::byte* at = panel + element_bytes(kType) * (kPanelRows * i + lane);
      if constexpr (kType == TensorType::kF32)
        out[i] = load<float>(at);
      else if constexpr (kType == TensorType::kF16)
        out[i] = load_f16(at);
      else
        out[i] = bf16_to_f32(load<std::uint16_t>(at));
    }
  }
}

template struct PackedCodec<TensorType::kF32>;
template struct PackedCodec<TensorType::kF16>;
template struct PackedCodec<TensorType::kBF16>;
template struct PackedCodec<TensorType::kQ4_0>;
template struct PackedCodec<TensorType::kQ4_1>;
template struct PackedCodec<TensorType::kQ5_0>;
template struct PackedCodec<TensorType::kQ5_1>;
template struct PackedCodec<TensorType::kQ8_0>;
template struct PackedCodec<TensorType::kQ2_K>;
template struct PackedCodec<TensorType::kQ3_K>;
template struct PackedCodec<TensorType::kQ4_K>;
template struct PackedCodec<TensorType::kQ5_K>;
template struct PackedCodec<TensorType::kQ6_K>;
template struct PackedCodec<TensorType::kIQ4_NL>;
template struct PackedCodec<TensorType::kIQ4_XS>;
template struct PackedCodec<TensorType::kMXFP4>;
template struct PackedCodec<TensorType::kNVFP4>;
template struct PackedCodec<TensorType::kTQ1_0>;
template struct PackedCodec<TensorType::kTQ2_0>;
template struct PackedCodec<TensorType::kQ1_0>;
template struct PackedCodec<TensorType::kQ2_0>;
template struct PackedCodec<TensorType::kIQ1_S>;
template struct PackedCodec<TensorType::kIQ1_M>;
template struct PackedCodec<TensorType::kIQ2_XXS>;
template struct PackedCodec<TensorType::kIQ2_XS>;
template struct PackedCodec<TensorType::kIQ2_S>;
template struct PackedCodec<TensorType::kIQ3_XXS>;
template struct PackedCodec<TensorType::kIQ3_S>;

}  // namespace lathe::infer
