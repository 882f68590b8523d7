// Codebook blocks into panels and back.
#include "infer/kernels/grid_panels.h"

#include <bit>
#include <cstring>

#include "infer/quant/blocks.h"

namespace lathe::infer {
namespace {

using enum TensorType;

// Where bits 0 … 3 of a code stand among the signs of a row.
constexpr std::uint32_t kCodeBits = 0xaa000000;

std::uint32_t spread_code(unsigned code) {
  std::uint32_t bits = 0;
  for (unsigned i = 0; i < 4; ++i) bits |= (code >> i & 1u) << (25 + 2 * i);
  return bits;
}
unsigned collect_code(std::uint32_t word) {
  unsigned code = 0;
  for (unsigned i = 0; i < 4; ++i) code |= (word >> (25 + 2 * i) & 1) << i;
  return code;
}

// Element 4g + j's bit: from bit 4g + j to bit g of byte j, and back.
std::uint32_t to_plane(std::uint32_t signs) {
  std::uint32_t word = 0;
  for (unsigned i = 0; i < 32; ++i) word |= (signs >> i & 1) << (8 * (i % 4) + i / 4);
  return word;
}
std::uint32_t from_plane(std::uint32_t word) {
  std::uint32_t signs = 0;
  for (unsigned i = 0; i < 32; ++i) signs |= (word >> (8 * (i % 4) + i / 4) & 1) << i;
  return signs;
}

// What stands in `high`, or, of IQ2_XS, among the signs.
template <TensorType kType>
unsigned high_bits(const CodebookBlock& block) {
  using Panel = GridPanel<kType>;
  unsigned high = 0;
  for (unsigned g = 0; g < Panel::kGroups; ++g)
    high |= unsigned{block.index[g]} >> 8 << Panel::kHighStep * g;
  if constexpr (kType == kIQ1_S) high |= unsigned{block.scale[0]} << 12 | (block.signs & 1) << 15;
  if constexpr (kType == kIQ1_M)
    for (unsigned g = 0; g < 4; ++g) high |= (block.signs >> 8 * g & 1) << (4 * g + 3);
  return high;
}

template <TensorType kType>
void put_codes(const CodebookBlock& block, std::size_t lane, std::byte* to) {
  using Panel = GridPanel<kType>;
  for (std::size_t g = 0; g < Panel::kGroups; ++g)
    to[64 * (g / 4) + 4 * lane + g % 4] = static_cast<std::byte>(block.index[g]);
  const unsigned high = high_bits<kType>(block);
  if constexpr (Panel::kHasSigns) {
    std::uint32_t word = to_plane(block.signs);
    if constexpr (Panel::kBook.signs == Signs::kEven)
      word = (word & ~kCodeBits) | spread_code(kType == kIQ2_XS ? high : block.scale[0]);
    store(to + Panel::kSigns + 4 * lane, word);
    if constexpr (Panel::kBook.signs == Signs::kEach)
      to[Panel::kHigh + lane] = static_cast<std::byte>(high);
  } else {
    store(to + Panel::kHigh + 2 * lane, static_cast<std::uint16_t>(high));
  }
}

template <TensorType kType>
void get_codes(const std::byte* from, std::size_t lane, CodebookBlock& block) {
  using Panel = GridPanel<kType>;
  unsigned high = 0;
  block.signs = 0;
  if constexpr (Panel::kHasSigns) {
    const std::uint32_t word = load<std::uint32_t>(from + Panel::kSigns + 4 * lane);
    if constexpr (Panel::kBook.signs == Signs::kEven) {
      block.signs = from_plane(word & ~kCodeBits);
      for (unsigned g = 0; g < 4; ++g) {
        const auto minus = static_cast<unsigned>(std::popcount(block.signs >> 8 * g & 127));
        block.signs |= (minus & 1) << (8 * g + 7);
      }
      if constexpr (kType == kIQ2_XS)
        high = collect_code(word);
      else
        block.scale[0] = block.scale[1] = static_cast<std::uint8_t>(collect_code(word));
    } else {
      block.signs = from_plane(word);
      high = load_u8(from + Panel::kHigh + lane);
    }
  } else {
    high = load<std::uint16_t>(from + Panel::kHigh + 2 * lane);
    for (unsigned g = 0; g < 4; ++g)
      if (high >> (kType == kIQ1_S ? 15 : 4 * g + 3) & 1) block.signs |= 0xffu << 8 * g;
    if constexpr (kType == kIQ1_S)
      block.scale[0] = block.scale[1] = static_cast<std::uint8_t>(high >> 12 & 7);
  }
  for (unsigned g = 0; g < Panel::kGroups; ++g) {
    const unsigned top = high >> Panel::kHighStep * g & ((1u << Panel::kHighBits) - 1);
    block.index[g] =
        static_cast<std::uint16_t>(load_u8(from + 64 * (g / 4) + 4 * lane + g % 4) | top << 8);
  }
}

// Of one row's super-block.
template <TensorType kType>
void put_scales(const std::byte* block, std::size_t lane, std::byte* to) {
  if constexpr (kType == kIQ1_M) {
    for (std::size_t i = 0; i < 4; ++i) std::memcpy(to + 32 * i + 2 * lane, block + 48 + 2 * i, 2);
    return;
  }
  std::memcpy(to + 2 * lane, block, 2);
  if constexpr (kType == kIQ2_XS || kType == kIQ2_S) {
    const std::byte* codes = block + (kType == kIQ2_XS ? 66 : 74);
    for (std::size_t j = 0; j < 8; ++j) to[32 + 16 * j + lane] = codes[j];
  }
  if constexpr (kType == kIQ3_S) std::memcpy(to + 32 + 4 * lane, block + 106, 4);
}

// d of a super-block, and the codes of its block j where they are not with the block.
template <TensorType kType>
float get_scales(const std::byte* from, std::size_t j, std::size_t lane, CodebookBlock& block) {
  const auto codes = [&block](unsigned first, unsigned second) {
    block.scale[0] = static_cast<std::uint8_t>(first);
    block.scale[1] = static_cast<std::uint8_t>(second);
  };
  if constexpr (kType == kIQ1_M) {
    unsigned d = 0;
    const auto word = [&](std::size_t i) {
      return unsigned{load<std::uint16_t>(from + 32 * i + 2 * lane)};
    };
    for (std::size_t i = 0; i < 4; ++i) d |= word(i) >> 12 << 4 * i;
    const unsigned both = word(j / 2) >> 6 * (j % 2);
    codes(both & 7, both >> 3 & 7);
    return f16_to_f32(static_cast<std::uint16_t>(d));
  }
  if constexpr (kType == kIQ2_XS || kType == kIQ2_S) {
    const unsigned both = load_u8(from + 32 + 16 * j + lane);
    codes(both & 15, both >> 4);
  }
  if constexpr (kType == kIQ3_S) {
    const unsigned code = load<std::uint32_t>(from + 32 + 4 * lane) >> 4 * j & 15;
    codes(code, code);
  }
  return load_f16(from + 2 * lane);
}

}  // namespace

template <TensorType kType>
void pack_grids(const std::byte* src, std::size_t row_bytes, std::size_t rows, std::size_t k,
                std::byte* panel) {
  constexpr const PackedFormat& format = packed_format_of(kType);
  constexpr const CodebookType& book = codebook_of(kType);
  const std::size_t blocks = k / kActivationBlock;
  std::memset(panel, 0, format.panel_bytes(k));
  for (std::size_t b = 0; b < blocks; ++b)
    for (std::size_t lane = 0; lane < rows; ++lane) {
      const std::byte* super = src + lane * row_bytes + b / 8 * book.block_bytes;
      CodebookBlock block;
      book.read(super, b % 8, block);
      put_codes<kType>(block, lane, panel + format.codes_at(b, blocks));
      if (b % 8 == 0) put_scales<kType>(super, lane, panel + format.scales_at(b));
    }
}

template <TensorType kType>
void unpack_grids(const std::byte* panel, std::size_t lane, std::size_t k, float* out) {
  constexpr const PackedFormat& format = packed_format_of(kType);
  constexpr const CodebookType& book = codebook_of(kType);
  const std::size_t blocks = k / kActivationBlock;
  for (std::size_t b = 0; b < blocks; ++b) {
    CodebookBlock block;
    get_codes<kType>(panel + format.codes_at(b, blocks), lane, block);
    const float d = get_scales<kType>(panel + format.scales_at(b), b % 8, lane, block);
    std::int8_t w[32];
    book.weights(block, w);
    for (std::size_t i = 0; i < 32; ++i)
      out[32 * b + i] = book.scale(d, block.scale[i / 16]) * static_cast<float>(w[i]);
  }
}

#define LATHE_GRIDS(type)                                                                 \
  template void pack_grids<type>(const std::byte*, std::size_t, std::size_t, std::size_t, \
                                 std::byte*);                                             \
  template void unpack_grids<type>(const std::byte*, std::size_t, std::size_t, float*)
LATHE_GRIDS(kIQ1_S);
LATHE_GRIDS(kIQ1_M);
LATHE_GRIDS(kIQ2_XXS);
LATHE_GRIDS(kIQ2_XS);
LATHE_GRIDS(kIQ2_S);
LATHE_GRIDS(kIQ3_XXS);
LATHE_GRIDS(kIQ3_S);
#undef LATHE_GRIDS

}  // namespace lathe::infer
