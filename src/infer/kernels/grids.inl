// Weights of the codebook types from their panels (grid_panels.h), after the vectors and before
// panel.inl. Rows of a grid are looked up one by one, which no instruction set does faster; signs
// and scales are vectors of 16 rows.
#include "infer/kernels/grid_panels.h"

namespace lathe::infer {
namespace {

// The signs of 16 rows by element, and the code of four bits that stands where signs go without
// saying (grid_panels.h).
struct SignWords {
  VI signs, code;
};

[[gnu::always_inline]] inline SignWords even_signs(VI word) {
  const VI said = vi_and(word, vi_set1(0x55ffffff));
  VI parity = vi_xor(said, vi_shr(said, 16));
  parity = vi_xor(parity, vi_shr(parity, 8));
  parity = vi_and(vi_xor(parity, vi_shr(parity, 1)), vi_set1(0x55));
  VI code = vi_and(vi_shr(word, 25), vi_set1(0x55));
  code = vi_and(vi_or(code, vi_shr(code, 1)), vi_set1(0x33));
  code = vi_and(vi_or(code, vi_shr(code, 2)), vi_set1(0x0f));
  return {vi_or(said, vi_shl(parity, 25)), code};
}

// d·(first + step·code)·unit
template <TensorType kType>
inline VF grid_scale(VF d, VI code) {
  constexpr const CodebookType& book = codebook_of(kType);
  const VF factor = vf_fma(vf_from_i(code), vf_set1(book.step), vf_set1(book.first));  // exact
  return vf_mul(vf_mul(d, factor), vf_set1(book.unit));
}

// The scales at `s` of the 8 blocks of a super-block whose codes are at `codes`.
template <TensorType kType, class Scales>
inline void load_grid_scales(const std::byte* s, const std::byte* codes, Scales* out) {
  using enum TensorType;
  using Panel = GridPanel<kType>;
  constexpr std::size_t kBytes = packed_format_of(kType).code_bytes();
  const VI low4 = vi_set1(15), low3 = vi_set1(7);
  if constexpr (kType == kIQ1_M) {
    VI d = vi_zero();
    for (int i = 0; i < 4; ++i) d = vi_or(d, vi_shl(vi_shr(vi_load_u16(s + 32 * i), 12), 4 * i));
    const VF df = vf_from_f16_words(d);
    for (int k = 0; k < 16; ++k) {
      const VI code = vi_and(vi_shr(vi_load_u16(s + 32 * (k / 4)), 3 * (k % 4)), low3);
      vf_store(out[k / 2].scale[k % 2], grid_scale<kType>(df, code));
    }
    return;
  }
  const VF d = vf_load_f16(s);
  for (std::size_t j = 0; j < 8; ++j) {
    if constexpr (kType == kIQ2_XS || kType == kIQ2_S) {
      const VI both = vi_load_u8(s + 32 + 16 * j);
      vf_store(out[j].scale[0], grid_scale<kType>(d, vi_and(both, low4)));
      vf_store(out[j].scale[1], grid_scale<kType>(d, vi_shr(both, 4)));
    } else {
      VI code;
      if constexpr (kType == kIQ3_S)
        code = vi_and(vi_shr(vi_load(s + 32), static_cast<int>(4 * j)), low4);
      else if constexpr (kType == kIQ1_S)
        code = vi_and(vi_shr(vi_load_u16(codes + j * kBytes + Panel::kHigh), 12), low3);
      else
        code = even_signs(vi_load(codes + j * kBytes + Panel::kSigns)).code;
      vf_store(out[j].scale[0], grid_scale<kType>(d, code));
    }
  }
}

// Rows `index` of the grid, as bytes of 16 rows: 8 or 4 neighbours of each.
template <TensorType kType>
inline void look_up(const std::uint32_t* index, std::byte* to) {
  constexpr const CodebookType& book = codebook_of(kType);
  for (std::size_t lane = 0; lane < kPanelRows; ++lane)
    __builtin_memcpy(to + book.group * lane, book.grid + book.group * index[lane], book.group);
}

// IQ1: +1 or -1 for the group with this bit of `high`.
inline VB deltas(VI high, int bit) {
  return vb_of(
      vi_select_below(vi_and(high, vi_set1(1 << bit)), 1, vi_set1(0x01010101), vi_set1(-1)));
}

// The 32 weights of 16 rows, 4 neighbours a vector.
template <TensorType kType>
inline void load_grid_weights(const std::byte* block, VB* w) {
  using enum TensorType;
  using Panel = GridPanel<kType>;
  VI signs = vi_zero(), high = vi_zero();
  if constexpr (Panel::kBook.signs == Signs::kEven) {
    const SignWords words = even_signs(vi_load(block + Panel::kSigns));
    signs = words.signs, high = words.code;
  } else if constexpr (Panel::kBook.signs == Signs::kEach) {
    signs = vi_load(block + Panel::kSigns), high = vi_load_u8(block + Panel::kHigh);
  } else {
    high = vi_load_u16(block + Panel::kHigh);
  }
  alignas(64) std::uint32_t index[Panel::kGroups][kPanelRows];
  for (std::size_t g = 0; g < Panel::kGroups; ++g) {
    VI row =
        vi_and(vi_shr(vi_load(block + 64 * (g / 4)), static_cast<int>(8 * (g % 4))), vi_set1(0xff));
    if constexpr (Panel::kHighBits > 0) {
      const VI top = vi_and(vi_shr(high, static_cast<int>(Panel::kHighStep * g)),
                            vi_set1((1 << Panel::kHighBits) - 1));
      row = vi_or(row, vi_shl(top, 8));
    }
    vi_store(index[g], row);
  }
  constexpr std::size_t kBytes = kPanelRows * Panel::kBook.group;
  alignas(64) std::byte rows[Panel::kGroups * kBytes];
  for (std::size_t g = 0; g < Panel::kGroups; ++g) look_up<kType>(index[g], rows + kBytes * g);
  for (std::size_t g = 0; g < 8; ++g) w[g] = vb_load(rows + 64 * g);
  if constexpr (Panel::kBook.group == 8)
    for (std::size_t g = 0; g < 8; g += 2) vb_unzip(w[g], w[g + 1]);
  if constexpr (Panel::kHasSigns) {
    const VB bits = vb_of(signs);
    w[0] = vb_negate_where<0>(w[0], bits);
    w[1] = vb_negate_where<1>(w[1], bits);
    w[2] = vb_negate_where<2>(w[2], bits);
    w[3] = vb_negate_where<3>(w[3], bits);
    w[4] = vb_negate_where<4>(w[4], bits);
    w[5] = vb_negate_where<5>(w[5], bits);
    w[6] = vb_negate_where<6>(w[6], bits);
    w[7] = vb_negate_where<7>(w[7], bits);
  } else {
    for (std::size_t g = 0; g < 8; ++g)
      w[g] = vb_add(w[g], deltas(high, kType == kIQ1_S ? 15 : static_cast<int>(4 * (g / 2) + 3)));
  }
  for (std::size_t g = 0; g < 8; ++g) w[g] = vb_from_signed(w[g]);
}

}  // namespace
}  // namespace lathe::infer
