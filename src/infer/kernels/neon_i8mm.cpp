// NEON, and products of 2 rows × 8 weights with 2 tokens (smmla, ARMv8.6) for many tokens: the same
// panels and the same float operations. The integer sums are exact in any order.
#include "infer/kernels/neon.inl"
#include "infer/kernels/table.inl"

namespace lathe::infer {
namespace {

// 8 vectors [row][4 along k] → of every two of them [row][8 along k], so that 16 bytes hold two
// rows.
inline void pair_rows(VB* w) {
  for (std::size_t p = 0; p < 8; p += 2) {
    VB both[2];
    for (std::size_t i = 0; i < 4; ++i) {
      const int32x4_t low = vreinterpretq_s32_s8(w[p].v[i]);
      const int32x4_t high = vreinterpretq_s32_s8(w[p + 1].v[i]);
      both[i / 2].v[i % 2 * 2] = vreinterpretq_s8_s32(vzip1q_s32(low, high));
      both[i / 2].v[i % 2 * 2 + 1] = vreinterpretq_s8_s32(vzip2q_s32(low, high));
    }
    w[p] = both[0];
    w[p + 1] = both[1];
  }
}

struct MatrixProducts {
  // Sums of 2 tokens with every 2 of the 16 rows: [row][token].
  struct Sums {
    int32x4_t v[8];

    void start(const std::int32_t* bias) {
      const int32x4_t both = vcombine_s32(vld1_s32(bias), vld1_s32(bias));
      for (int32x4_t& sum : v) sum = both;
    }
    VI first_token() const {
      return each<VI>([this](int i) { return vuzp1q_s32(v[2 * i], v[2 * i + 1]); });
    }
    VI second_token() const {
      return each<VI>([this](int i) { return vuzp2q_s32(v[2 * i], v[2 * i + 1]); });
    }
  };

  // 8 activations of two tokens.
  static int8x16_t two_tokens(const TileBlock& tile, std::size_t t, std::size_t p) {
    return vcombine_s8(vld1_s8(tile.q[t] + 8 * p), vld1_s8(tile.q[t + 1] + 8 * p));
  }

  // Elements 8·first … 8·last - 1 of a block times 4 tokens, from `t` on.
  static void multiply(const std::int8_t* w, const TileBlock& tile, std::size_t t,
                       std::size_t first, std::size_t last, Sums& low, Sums& high) {
    for (std::size_t p = first; p < last; ++p) {
      const int8x16_t a = two_tokens(tile, t, p), b = two_tokens(tile, t + 2, p);
#pragma GCC unroll 8
      for (std::size_t i = 0; i < 8; ++i) {
        const int8x16_t rows = vld1q_s8(w + 128 * p + 16 * i);
        low.v[i] = vmmlaq_s32(low.v[i], rows, a);
        high.v[i] = vmmlaq_s32(high.v[i], rows, b);
      }
    }
  }

  template <Scaling kScaling, std::size_t kTokens>
  static void add_block(VF* acc, const Slab& slab, std::size_t b, const TileBlock& tile) {
    const std::int8_t* w = slab.w[b][0];
    constexpr std::size_t kHalves = per16(kScaling) ? 2 : 1, kLast = kHalves - 1;
    for (std::size_t t = 0; t < kTokens; t += 4) {
      Sums low[kHalves], high[kHalves];
      for (std::size_t h = 0; h < kHalves; ++h) {
        low[h].start(tile.bias[h] + t);
        high[h].start(tile.bias[h] + t + 2);
        multiply(w, tile, t, h * 2, h * 2 + 4 / kHalves, low[h], high[h]);
      }
      const auto add = [&](std::size_t at, VI i0, VI i1) {
        acc[at] = add_sums<kScaling>(acc[at], i0, i1, slab.scales[b], tile, at);
      };
      add(t, low[0].first_token(), low[kLast].first_token());
      add(t + 1, low[0].second_token(), low[kLast].second_token());
      add(t + 2, high[0].first_token(), high[kLast].first_token());
      add(t + 3, high[0].second_token(), high[kLast].second_token());
    }
  }
};

struct Matrices {
  static const KernelTable& plain() { return kNeonDotprodTable; }

  static constexpr bool takes(TensorType type) {
    for (const PackedFormat& format : kPackedFormats)
      if (format.type == type) return true;
    return false;
  }

  struct Session {};

  template <TensorType kType>
  static void multiply(const MatmulArgs& args) {
    matmul_wide<kType, kOffset<kType>, unpack_slab<kType, pair_rows>,
                multiply_tile<packed_format<kType>().scaling, MatrixProducts>>(args);
  }
};

}  // namespace

constinit const KernelTable kNeonI8mmTable = make_table<WideMatmul<Matrices>>("neon-i8mm");

}  // namespace lathe::infer
