// Panels of the codebook types (IQ1, IQ2, IQ3): what a block says of 32 elements, for 16 rows side
// by side, in the file's bits.
//   low bytes of the indices  1 or 2 × [row] u32, a byte for each group of the grid
//   signs                     [row] u32: bit g of byte j is that of element 4g + j. Where their
//                             number is even, bits 1, 3, 5, 7 of byte 3, which the others tell,
//                             hold a code of four bits: the scale, of IQ2_XS the indices' highest
//                             bits. Not of IQ1.
//   high bits of the indices  [row] u8 (IQ2_S, IQ3_S) or u16 as the file has it (IQ1)
// Scales of a super-block, for 16 rows at once:
//   IQ2_XXS IQ3_XXS IQ1_S     d; the codes stand with signs or indices
//   IQ2_XS IQ2_S              d, then per block 16 × (code | code << 4)
//   IQ3_S                     d, then 16 × u32 with 8 codes
//   IQ1_M                     the file's four words of 16 bits
#pragma once

#include "infer/kernels/packed.h"
#include "infer/quant/codebook.h"

namespace lathe::infer {

// Where the parts of a block's codes begin.
template <TensorType kType>
struct GridPanel {
  static constexpr const CodebookType& kBook = codebook_of(kType);
  static constexpr std::size_t kGroups = kActivationBlock / kBook.group;
  static constexpr bool kHasSigns = kBook.signs != Signs::kDeltas;
  // Bits of an index above the low byte; where they stand in `high`, and how far apart.
  static constexpr unsigned kHighBits = kBook.index_bits - 8;
  static constexpr unsigned kHighStep = kType == TensorType::kIQ1_M ? 4 : kHighBits;
  static constexpr std::size_t kSigns = kGroups / 4 * 64;
  static constexpr std::size_t kHigh = kSigns + 64 * kHasSigns;
};

// As PackedCodec has them.
template <TensorType kType>
void pack_grids(const std::byte* src, std::size_t row_bytes, std::size_t rows, std::size_t k,
                std::byte* panel);
template <TensorType kType>
void unpack_grids(const std::byte* panel, std::size_t lane, std::size_t k, float* out);

}  // namespace lathe::infer
