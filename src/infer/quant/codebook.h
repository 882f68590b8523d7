// The codebook types: IQ1, IQ2 and IQ3. A super-block of 256 elements has a half float d, and for
// every 32 elements the rows of a grid that stand for their groups of 8 or 4, signs, and codes of
// scales. Weight i is
//   d·(first + step·code)·unit · (± the grid's value, or, of IQ1, the grid's value ± 1)
// Indices have as many bits as the grid has rows: no block can name one that is not there. Pure.
#pragma once

#include <cstddef>
#include <cstdint>

#include "infer/quant/grids.h"
#include "infer/quant/tensor_type.h"

namespace lathe::infer {

// 32 elements as a super-block names them.
struct CodebookBlock {
  std::uint16_t index[8];  // of each group's row in the grid; groups of 8 have the first four
  std::uint32_t signs;     // bit i: element i is negative; of IQ1, its delta is
  std::uint8_t scale[2];   // codes, of each 16
};

// How signs are kept: one bit each; 7 of 8, the number of minus signs being even; as the sign of
// IQ1's deltas, one for 8 or 32 elements.
enum class Signs : std::uint8_t { kEach, kEven, kDeltas };

struct CodebookType {
  TensorType type;
  std::size_t block_bytes;
  const std::int8_t* grid;
  std::size_t group;  // elements of a row of the grid
  unsigned index_bits;
  Signs signs;
  bool scale_per_16;     // else both codes of a CodebookBlock are the same
  unsigned scale_codes;  // how many there are
  float first, step, unit;
  float (*d)(const std::byte* block);
  // Elements 32·j … 32·j + 31 of a super-block.
  void (*read)(const std::byte* block, std::size_t j, CodebookBlock& out);
  // Into a super-block that was zero before.
  void (*put_d)(std::byte* block, std::uint16_t d);
  void (*write)(const CodebookBlock& from, std::size_t j, std::byte* block);

  constexpr float scale(float d_of_block, unsigned code) const {
    return d_of_block * (first + step * static_cast<float>(code)) * unit;
  }
  // The integers that the scales multiply.
  void weights(const CodebookBlock& of, std::int8_t* out) const {
    for (std::size_t i = 0; i < 32; ++i) {
      const int value = grid[of.index[i / group] * group + i % group];
      const bool minus = of.signs >> i & 1;
      out[i] = static_cast<std::int8_t>(signs == Signs::kDeltas ? value + (minus ? -1 : 1)
                                        : minus                 ? -value
                                                                : value);
    }
  }
};

// codebook.cpp
float codebook_d(const std::byte* block);
float iq1_m_d(const std::byte* block);
void put_codebook_d(std::byte* block, std::uint16_t d);
void put_iq1_m_d(std::byte* block, std::uint16_t d);
void read_iq2_xxs(const std::byte* block, std::size_t j, CodebookBlock& out);
void read_iq2_xs(const std::byte* block, std::size_t j, CodebookBlock& out);
void read_iq2_s(const std::byte* block, std::size_t j, CodebookBlock& out);
void read_iq3_xxs(const std::byte* block, std::size_t j, CodebookBlock& out);
void read_iq3_s(const std::byte* block, std::size_t j, CodebookBlock& out);
void read_iq1_s(const std::byte* block, std::size_t j, CodebookBlock& out);
void read_iq1_m(const std::byte* block, std::size_t j, CodebookBlock& out);
void write_iq2_xxs(const CodebookBlock& from, std::size_t j, std::byte* block);
void write_iq2_xs(const CodebookBlock& from, std::size_t j, std::byte* block);
void write_iq2_s(const CodebookBlock& from, std::size_t j, std::byte* block);
void write_iq3_xxs(const CodebookBlock& from, std::size_t j, std::byte* block);
void write_iq3_s(const CodebookBlock& from, std::size_t j, std::byte* block);
void write_iq1_s(const CodebookBlock& from, std::size_t j, std::byte* block);
void write_iq1_m(const CodebookBlock& from, std::size_t j, std::byte* block);

inline constexpr CodebookType kCodebookTypes[] = {
    {TensorType::kIQ2_XXS, 66, kIq2XxsGrid.data(), 8, 8, Signs::kEven, false, 16, 0.5f, 1, 0.25f,
     codebook_d, read_iq2_xxs, put_codebook_d, write_iq2_xxs},
    {TensorType::kIQ2_XS, 74, kIq2XsGrid.data(), 8, 9, Signs::kEven, true, 16, 0.5f, 1, 0.25f,
     codebook_d, read_iq2_xs, put_codebook_d, write_iq2_xs},
    {TensorType::kIQ2_S, 82, kIq2SGrid.data(), 8, 10, Signs::kEach, true, 16, 0.5f, 1, 0.25f,
     codebook_d, read_iq2_s, put_codebook_d, write_iq2_s},
    {TensorType::kIQ3_XXS, 98, kIq3XxsGrid.data(), 4, 8, Signs::kEven, false, 16, 0.5f, 1, 0.5f,
     codebook_d, read_iq3_xxs, put_codebook_d, write_iq3_xxs},
    {TensorType::kIQ3_S, 110, kIq3SGrid.data(), 4, 9, Signs::kEach, false, 16, 1, 2, 1, codebook_d,
     read_iq3_s, put_codebook_d, write_iq3_s},
    {TensorType::kIQ1_S, 50, kIq1Grid.data(), 8, 11, Signs::kDeltas, false, 8, 1, 2, 0.125f,
     codebook_d, read_iq1_s, put_codebook_d, write_iq1_s},
    {TensorType::kIQ1_M, 56, kIq1Grid.data(), 8, 11, Signs::kDeltas, true, 8, 1, 2, 0.125f, iq1_m_d,
     read_iq1_m, put_iq1_m_d, write_iq1_m},
};

constexpr bool is_codebook(TensorType type) {
  for (const CodebookType& row : kCodebookTypes)
    if (row.type == type) return true;
  return false;
}
constexpr const CodebookType& codebook_of(TensorType type) {
  for (const CodebookType& row : kCodebookTypes)
    if (row.type == type) return row;
  __builtin_unreachable();
}

}  // namespace lathe::infer
