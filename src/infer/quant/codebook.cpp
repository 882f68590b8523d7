// Where the super-blocks of the codebook types keep their fields.
#include "infer/quant/codebook.h"

#include <bit>

#include "infer/quant/blocks.h"

namespace lathe::infer {
namespace {

void or_u8(std::byte* at, unsigned bits) {
  *at |= static_cast<std::byte>(bits);
}
void or_u16(std::byte* at, unsigned bits) {
  store(at, static_cast<std::uint16_t>(load<std::uint16_t>(at) | bits));
}

// Seven signs, and the eighth that makes the number of minus signs even.
std::uint32_t eight_signs(unsigned seven) {
  return seven | (static_cast<unsigned>(std::popcount(seven)) & 1) << 7;
}

// A word with 4 × 7 signs and a code above them.
void read_sign_word(const std::byte* at, CodebookBlock& out) {
  const std::uint32_t word = load<std::uint32_t>(at);
  out.signs = 0;
  for (unsigned g = 0; g < 4; ++g) out.signs |= eight_signs(word >> 7 * g & 127) << 8 * g;
  out.scale[0] = out.scale[1] = static_cast<std::uint8_t>(word >> 28);
}
void write_sign_word(const CodebookBlock& from, std::byte* at) {
  std::uint32_t word = std::uint32_t{from.scale[0]} << 28;
  for (unsigned g = 0; g < 4; ++g) word |= (from.signs >> 8 * g & 127) << 7 * g;
  store(at, word);
}

// Two codes in a byte.
void read_scale_byte(const std::byte* at, CodebookBlock& out) {
  out.scale[0] = static_cast<std::uint8_t>(load_u8(at) & 15);
  out.scale[1] = static_cast<std::uint8_t>(load_u8(at) >> 4);
}
void write_scale_byte(const CodebookBlock& from, std::byte* at) {
  or_u8(at, from.scale[0] | unsigned{from.scale[1]} << 4);
}

// `count` indices: low bytes, and above them `bits` bits each of `high`, `step` bits apart.
void read_indices(const std::byte* low, unsigned high, unsigned bits, unsigned step,
                  std::size_t count, CodebookBlock& out) {
  for (unsigned g = 0; g < count; ++g)
    out.index[g] =
        static_cast<std::uint16_t>(load_u8(low + g) | (high >> step * g & ((1u << bits) - 1)) << 8);
}
unsigned write_indices(const CodebookBlock& from, std::size_t count, unsigned step,
                       std::byte* low) {
  unsigned high = 0;
  for (unsigned g = 0; g < count; ++g) {
    low[g] = static_cast<std::byte>(from.index[g]);
    high |= unsigned{from.index[g]} >> 8 << step * g;
  }
  return high;
}

constexpr std::uint32_t kOfGroup[] = {0xff, 0xff00, 0xff0000, 0xff000000};

}  // namespace

float codebook_d(const std::byte* block) {
  return load_f16(block);
}
void put_codebook_d(std::byte* block, std::uint16_t d) {
  store(block, d);
}

// IQ1_M: the top nibbles of four words of 16 bits, which hold the codes of the scales besides.
float iq1_m_d(const std::byte* block) {
  unsigned d = 0;
  for (unsigned i = 0; i < 4; ++i)
    d |= unsigned{load<std::uint16_t>(block + 48 + 2 * i)} >> 12 << 4 * i;
  return f16_to_f32(static_cast<std::uint16_t>(d));
}
void put_iq1_m_d(std::byte* block, std::uint16_t d) {
  for (unsigned i = 0; i < 4; ++i) or_u16(block + 48 + 2 * i, (unsigned{d} >> 4 * i & 15) << 12);
}

void read_iq2_xxs(const std::byte* block, std::size_t j, CodebookBlock& out) {
  const std::byte* at = block + 2 + 8 * j;
  read_indices(at, 0, 0, 0, 4, out);
  read_sign_word(at + 4, out);
}
void write_iq2_xxs(const CodebookBlock& from, std::size_t j, std::byte* block) {
  std::byte* at = block + 2 + 8 * j;
  write_indices(from, 4, 0, at);
  write_sign_word(from, at + 4);
}

void read_iq2_xs(const std::byte* block, std::size_t j, CodebookBlock& out) {
  out.signs = 0;
  for (unsigned g = 0; g < 4; ++g) {
    const unsigned both = load<std::uint16_t>(block + 2 + 8 * j + 2 * g);
    out.index[g] = static_cast<std::uint16_t>(both & 511);
    out.signs |= eight_signs(both >> 9) << 8 * g;
  }
  read_scale_byte(block + 66 + j, out);
}
void write_iq2_xs(const CodebookBlock& from, std::size_t j, std::byte* block) {
  for (unsigned g = 0; g < 4; ++g)
    or_u16(block + 2 + 8 * j + 2 * g, from.index[g] | (from.signs >> 8 * g & 127) << 9);
  write_scale_byte(from, block + 66 + j);
}

void read_iq2_s(const std::byte* block, std::size_t j, CodebookBlock& out) {
  read_indices(block + 2 + 4 * j, load_u8(block + 66 + j), 2, 2, 4, out);
  out.signs = load<std::uint32_t>(block + 34 + 4 * j);
  read_scale_byte(block + 74 + j, out);
}
void write_iq2_s(const CodebookBlock& from, std::size_t j, std::byte* block) {
  or_u8(block + 66 + j, write_indices(from, 4, 2, block + 2 + 4 * j));
  store(block + 34 + 4 * j, from.signs);
  write_scale_byte(from, block + 74 + j);
}

void read_iq3_xxs(const std::byte* block, std::size_t j, CodebookBlock& out) {
  read_indices(block + 2 + 8 * j, 0, 0, 0, 8, out);
  read_sign_word(block + 66 + 4 * j, out);
}
void write_iq3_xxs(const CodebookBlock& from, std::size_t j, std::byte* block) {
  write_indices(from, 8, 0, block + 2 + 8 * j);
  write_sign_word(from, block + 66 + 4 * j);
}

void read_iq3_s(const std::byte* block, std::size_t j, CodebookBlock& out) {
  read_indices(block + 2 + 8 * j, load_u8(block + 66 + j), 1, 1, 8, out);
  out.signs = load<std::uint32_t>(block + 74 + 4 * j);
  const unsigned scale = load_u8(block + 106 + j / 2) >> 4 * (j % 2) & 15;
  out.scale[0] = out.scale[1] = static_cast<std::uint8_t>(scale);
}
void write_iq3_s(const CodebookBlock& from, std::size_t j, std::byte* block) {
  or_u8(block + 66 + j, write_indices(from, 8, 1, block + 2 + 8 * j));
  store(block + 74 + 4 * j, from.signs);
  or_u8(block + 106 + j / 2, unsigned{from.scale[0]} << 4 * (j % 2));
}

void read_iq1_s(const std::byte* block, std::size_t j, CodebookBlock& out) {
  const unsigned high = load<std::uint16_t>(block + 34 + 2 * j);
  read_indices(block + 2 + 4 * j, high, 3, 3, 4, out);
  out.signs = high >> 15 ? ~0u : 0u;
  out.scale[0] = out.scale[1] = static_cast<std::uint8_t>(high >> 12 & 7);
}
void write_iq1_s(const CodebookBlock& from, std::size_t j, std::byte* block) {
  const unsigned high = write_indices(from, 4, 3, block + 2 + 4 * j);
  or_u16(block + 34 + 2 * j, high | unsigned{from.scale[0]} << 12 | (from.signs & 1) << 15);
}

void read_iq1_m(const std::byte* block, std::size_t j, CodebookBlock& out) {
  const unsigned high = load<std::uint16_t>(block + 32 + 2 * j);
  read_indices(block + 4 * j, high, 3, 4, 4, out);
  out.signs = 0;
  for (unsigned g = 0; g < 4; ++g)
    if (high >> (4 * g + 3) & 1) out.signs |= kOfGroup[g];
  const unsigned scales = load<std::uint16_t>(block + 48 + j / 2 * 2) >> 6 * (j % 2);
  out.scale[0] = static_cast<std::uint8_t>(scales & 7);
  out.scale[1] = static_cast<std::uint8_t>(scales >> 3 & 7);
}
void write_iq1_m(const CodebookBlock& from, std::size_t j, std::byte* block) {
  unsigned high = write_indices(from, 4, 4, block + 4 * j);
  for (unsigned g = 0; g < 4; ++g) high |= (from.signs >> 8 * g & 1) << (4 * g + 3);
  or_u16(block + 32 + 2 * j, high);
  or_u16(block + 48 + j / 2 * 2, (from.scale[0] | unsigned{from.scale[1]} << 3) << 6 * (j % 2));
}

template <TensorType kType>
void decode_codebook(const std::byte* blocks, float* out, std::size_t count) {
  constexpr const CodebookType& type = codebook_of(kType);
  for (std::size_t k = 0; k < count; k += kSuperBlock, blocks += type.block_bytes) {
    const float d = type.d(blocks);
    for (std::size_t j = 0; j < 8; ++j) {
      CodebookBlock block;
      type.read(blocks, j, block);
      std::int8_t w[32];
      type.weights(block, w);
      for (std::size_t i = 0; i < 32; ++i)
        out[k + 32 * j + i] = type.scale(d, block.scale[i / 16]) * static_cast<float>(w[i]);
    }
  }
}

template void decode_codebook<TensorType::kIQ1_S>(const std::byte*, float*, std::size_t);
template void decode_codebook<TensorType::kIQ1_M>(const std::byte*, float*, std::size_t);
template void decode_codebook<TensorType::kIQ2_XXS>(const std::byte*, float*, std::size_t);
template void decode_codebook<TensorType::kIQ2_XS>(const std::byte*, float*, std::size_t);
template void decode_codebook<TensorType::kIQ2_S>(const std::byte*, float*, std::size_t);
template void decode_codebook<TensorType::kIQ3_XXS>(const std::byte*, float*, std::size_t);
template void decode_codebook<TensorType::kIQ3_S>(const std::byte*, float*, std::size_t);

}  // namespace lathe::infer
