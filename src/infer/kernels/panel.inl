// Matrix products over packed panels, for any instruction set that gives the vectors of avx512.inl.
// Two ways with the same float operations in the same order:
//  * up to kDirect tokens: a block is unpacked into registers and multiplied with each token;
//  * more: a slab of blocks is unpacked once into a scratch on the stack and multiplied with tiles
//    of 16 tokens, whose activations were laid side by side before.
// kernels.h says what is computed, packed.h how panels look.
#include "infer/kernels/grids.inl"
#include "infer/kernels/packed.h"
#include "infer/kernels/tables.h"

namespace lathe::infer {
namespace {

constexpr std::size_t kDirect = 8;       // tokens
constexpr std::size_t kTile = 16;        // tokens that are multiplied together
constexpr std::size_t kTiles = 16;       // tiles whose activations are laid out at a time
constexpr std::size_t kSlab = 64;        // blocks along k that are unpacked at a time
constexpr std::size_t kPrefetch = 4096;  // bytes ahead
static_assert(kSlab % kRun == 0);

// A single token's products follow the stream of weights so closely that asking for what comes next
// only gets in the way of the processor's own fetching ahead (docs/kernels.md).
template <std::size_t kTokens>
constexpr bool kAsksAhead = kTokens > 1;

constexpr std::int8_t kIq4Table[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                       1,    13,   25,  38,  53,  69,  89,  113};
constexpr std::int8_t kFp4Table[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
constexpr std::int8_t kSignTable[16] = {-1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1};

template <TensorType kType>
constexpr const PackedFormat& packed_format() {
  return packed_format_of(kType);
}

constexpr bool per16(Scaling s) {
  return s == Scaling::kPer16 || s == Scaling::kPer16Min;
}
constexpr bool has_min(Scaling s) {
  return s == Scaling::kPer32Min || s == Scaling::kPer16Min;
}

// Whether dot4 gets signed weights, and what was added to them.
template <TensorType kType>
constexpr bool kSignedCodes = packed_format<kType>().codes != Codes::kOffset;
template <TensorType kType>
constexpr int kOffset = kSignedCodes<kType> ? kSignedOffset : packed_format<kType>().offset;

// Scales and minima of some blocks, for 16 rows each; [1] only with a scale per 16.
struct alignas(64) BlockScales {
  float scale[2][kPanelRows];
  float min[2][kPanelRows];
};

// The 16 bytes of every row's sub-block `b` of Q4_K's and Q5_K's 12 are a byte of a word.
inline VF scaled_byte(VF d, VI words, int shift) {
  return vf_mul(d, vf_from_i(vi_and(vi_shr(words, shift), vi_set1(0xff))));
}

// Q4_K and Q5_K: packed.h has the words as the file has the bytes.
inline void scales_6bit(const std::byte* s, BlockScales* out) {
  const VF d = vf_load_f16(s), dmin = vf_negative(vf_load_f16(s + 32));
  const VI w0 = vi_load(s + 64), w1 = vi_load(s + 128), w2 = vi_load(s + 192);
  const VI low4 = vi_set1(0x0f0f0f0f), low6 = vi_set1(0x3f3f3f3f), high2 = vi_set1(0x30303030);
  const VI scale[2] = {vi_and(w0, low6), vi_or(vi_and(w2, low4), vi_and(vi_shr(w0, 2), high2))};
  const VI min[2] = {vi_and(w1, low6),
                     vi_or(vi_and(vi_shr(w2, 4), low4), vi_and(vi_shr(w1, 2), high2))};
  for (int j = 0; j < 8; ++j) {
    vf_store(out[j].scale[0], scaled_byte(d, scale[j / 4], 8 * (j % 4)));
    vf_store(out[j].min[0], scaled_byte(dmin, min[j / 4], 8 * (j % 4)));
  }
}

inline void scales_q2_k(const std::byte* s, BlockScales* out) {
  const VF d = vf_load_f16(s), dmin = vf_negative(vf_load_f16(s + 32));
  const VI low4 = vi_set1(15);
  for (std::size_t j = 0; j < 16; ++j) {
    const VI both = vi_load_u8(s + 64 + 16 * j);
    vf_store(out[j / 2].scale[j % 2], vf_mul(d, vf_from_i(vi_and(both, low4))));
    vf_store(out[j / 2].min[j % 2], vf_mul(dmin, vf_from_i(vi_shr(both, 4))));
  }
}

inline void scales_q3_k(const std::byte* s, BlockScales* out) {
  const VF d = vf_load_f16(s);
  const VI words[3] = {vi_load(s + 32), vi_load(s + 96), vi_load(s + 160)};
  for (int k = 0; k < 16; ++k) {
    const VI low = vi_and(vi_shr(words[k % 8 / 4], 8 * (k % 4) + 4 * (k / 8)), vi_set1(15));
    const VI high = vi_and(vi_shr(words[2], 8 * (k % 4) + 2 * (k / 4)), vi_set1(3));
    const VI code = vi_add(vi_or(low, vi_shl(high, 4)), vi_set1(-32));
    vf_store(out[k / 2].scale[k % 2], vf_mul(d, vf_from_i(code)));
  }
}

inline void scales_q6_k(const std::byte* s, BlockScales* out) {
  const VF d = vf_load_f16(s);
  for (std::size_t j = 0; j < 16; ++j)
    vf_store(out[j / 2].scale[j % 2], vf_mul(d, vf_from_i(vi_load_i8(s + 32 + 16 * j))));
}

inline void scales_iq4_xs(const std::byte* s, BlockScales* out) {
  const VF d = vf_load_f16(s);
  const VI high = vi_load_u16(s + 32), low = vi_load(s + 64);
  for (int j = 0; j < 8; ++j) {
    const VI code = vi_or(vi_and(vi_shr(low, 4 * j), vi_set1(15)),
                          vi_shl(vi_and(vi_shr(high, 2 * j), vi_set1(3)), 4));
    vf_store(out[j].scale[0], vf_mul(d, vf_from_i(vi_add(code, vi_set1(-32)))));
  }
}

// 2^(e − 128): e = 0 and 1 give subnormals, 2^21 and 2^22 as bits.
inline VF scale_e8m0(const std::byte* s) {
  const VI e = vi_load_u8(s);
  const VI small = vi_select_below(e, 1, vi_set1(1 << 21), vi_set1(1 << 22));
  return vf_bits(vi_select_below(e, 2, small, vi_shl(vi_add(e, vi_set1(-1)), 23)));
}

// E4M3 is f16 with a shorter exponent and mantissa: 2^7 makes up for the exponent's other bias.
inline VF scale_e4m3(const std::byte* s) {
  return vf_mul(vf_from_f16_words(vi_shl(vi_load_u8(s), 7)), vf_set1(128.0f));
}

// The scales at `s` of `count` blocks, a multiple of the group.
template <TensorType kType>
inline void load_scales(const std::byte* s, std::size_t count, BlockScales* out) {
  using enum TensorType;
  constexpr PackedFormat format = packed_format<kType>();
  [[maybe_unused]] const std::byte* codes = s + format.scales_size(count);
  for (std::size_t b = 0; b < count;
       b += format.scale_group, s += format.scale_bytes, out += format.scale_group) {
    if constexpr (kType == kQ4_K || kType == kQ5_K) {
      scales_6bit(s, out);
    } else if constexpr (kType == kQ2_K) {
      scales_q2_k(s, out);
    } else if constexpr (kType == kQ3_K) {
      scales_q3_k(s, out);
    } else if constexpr (kType == kQ6_K) {
      scales_q6_k(s, out);
    } else if constexpr (kType == kIQ4_XS) {
      scales_iq4_xs(s, out);
    } else if constexpr (kType == kMXFP4) {
      vf_store(out->scale[0], scale_e8m0(s));
    } else if constexpr (kType == kNVFP4) {
      vf_store(out->scale[0], scale_e4m3(s));
      vf_store(out->scale[1], scale_e4m3(s + 16));
    } else if constexpr (format.codes == Codes::kGrid) {
      load_grid_scales<kType>(s, codes + b * format.code_bytes(), out);
    } else {
      const VF d = vf_load_f16(s);
      for (std::size_t j = 0; j < format.scale_group; ++j) vf_store(out[j].scale[0], d);
      if constexpr (has_min(format.scaling)) vf_store(out->min[0], vf_load_f16(s + 32));
    }
  }
}

// Adds plane `pairs` or `bits` to the codes of 8 vectors; they go above the bits that are there.
template <int kTo>
inline void add_pairs(const std::byte* p, VB* w) {
  const VB low = vb_load(p), high = vb_load(p + 64);
  w[0] = vb_or_field<0, kTo, 3>(w[0], low);
  w[1] = vb_or_field<2, kTo, 3>(w[1], low);
  w[2] = vb_or_field<4, kTo, 3>(w[2], low);
  w[3] = vb_or_field<6, kTo, 3>(w[3], low);
  w[4] = vb_or_field<0, kTo, 3>(w[4], high);
  w[5] = vb_or_field<2, kTo, 3>(w[5], high);
  w[6] = vb_or_field<4, kTo, 3>(w[6], high);
  w[7] = vb_or_field<6, kTo, 3>(w[7], high);
}
template <int kTo>
inline void add_bits(const std::byte* p, VB* w) {
  const VB bits = vb_load(p);
  w[0] = vb_or_field<0, kTo, 1>(w[0], bits);
  w[1] = vb_or_field<1, kTo, 1>(w[1], bits);
  w[2] = vb_or_field<2, kTo, 1>(w[2], bits);
  w[3] = vb_or_field<3, kTo, 1>(w[3], bits);
  w[4] = vb_or_field<4, kTo, 1>(w[4], bits);
  w[5] = vb_or_field<5, kTo, 1>(w[5], bits);
  w[6] = vb_or_field<6, kTo, 1>(w[6], bits);
  w[7] = vb_or_field<7, kTo, 1>(w[7], bits);
}

// The 32 weights of 16 rows, 4 neighbours a vector, as dot4 takes them (plus kOffset).
template <TensorType kType>
inline void load_weights(const std::byte* block, VB* w) {
  constexpr PackedFormat format = packed_format<kType>();
  if constexpr (format.codes == Codes::kGrid) return load_grid_weights<kType>(block, w);
  if constexpr (format.codes == Codes::kSigned) {
    for (std::size_t g = 0; g < 8; ++g) w[g] = vb_from_signed(vb_load(block + 64 * g));
    return;
  }
  if constexpr (format.nibbles) {
    for (std::size_t v = 0; v < 4; ++v) {
      const VB both = vb_load(block + 64 * v);
      w[v] = vb_low_nibbles(both);
      w[v + 4] = vb_high_nibbles(both);
    }
    block += 256;
  } else {
    for (std::size_t g = 0; g < 8; ++g) w[g] = vb_zero();
  }
  if constexpr (format.pairs) {
    add_pairs<format.nibbles ? 4 : 0>(block, w);
    block += 128;
  }
  if constexpr (format.bits) add_bits<format.bits_at()>(block, w);
  if constexpr (format.codes != Codes::kOffset) {
    const VB table = vb_table(format.codes == Codes::kIq4   ? kIq4Table
                              : format.codes == Codes::kFp4 ? kFp4Table
                                                            : kSignTable);
    for (std::size_t g = 0; g < 8; ++g) w[g] = vb_lookup(table, w[g]);
  }
}

// One block times kTokens tokens: token t's block is number at + t·stride of x, and its sum is
// acc[t·kAccStride]. Their products take turns, so that none waits for its last one.
template <Scaling kScaling, bool kSigned, int kOff, std::size_t kTokens, std::size_t kAccStride = 1>
inline void add_block(VF* acc, const VB* w, const BlockScales& scales, const QuantizedRows& x,
                      std::size_t at, std::size_t stride) {
  constexpr bool kHalves = per16(kScaling);
  VI i0[kTokens], i1[kTokens];
#pragma GCC unroll 4
  for (std::size_t t = 0; t < kTokens; ++t) {
    const std::int16_t* sum = x.sum + 2 * (at + t * stride);
    i0[t] = kOff ? sum_dot(sum, -kOff, kHalves ? 0 : -kOff) : vi_zero();
    i1[t] = kOff && kHalves ? sum_dot(sum, 0, -kOff) : vi_zero();
  }
#pragma GCC unroll 8
  for (std::size_t g = 0; g < 8; ++g)
#pragma GCC unroll 4
    for (std::size_t t = 0; t < kTokens; ++t) {
      VI& i = kHalves && g >= 4 ? i1[t] : i0[t];
      i = dot4<kSigned>(i, w[g], x.q + 32 * (at + t * stride) + 4 * g);
    }
#pragma GCC unroll 4
  for (std::size_t t = 0; t < kTokens; ++t) {
    VF& to = acc[t * kAccStride];
    const VF as = vf_set1(x.scale[at + t * stride]);
    const std::int16_t* sum = x.sum + 2 * (at + t * stride);
    if constexpr (kHalves) {
      VF u = vf_mul(vf_from_i(i0[t]), vf_load(scales.scale[0]));
      u = vf_fma(vf_from_i(i1[t]), vf_load(scales.scale[1]), u);
      to = vf_fma(u, as, to);
      if constexpr (has_min(kScaling)) {
        VF v = vf_mul(vf_load(scales.min[0]), vf_from_i(sum_dot(sum, 1, 0)));
        v = vf_fma(vf_load(scales.min[1]), vf_from_i(sum_dot(sum, 0, 1)), v);
        to = vf_fma(v, as, to);
      }
    } else {
      to = vf_fma(vf_from_i(i0[t]), vf_mul(vf_load(scales.scale[0]), as), to);
      if constexpr (has_min(kScaling))
        to = vf_fma(vf_load(scales.min[0]), vf_mul(vf_from_i(sum_dot(sum, 1, 1)), as), to);
    }
  }
}

inline void prefetch_bytes(const std::byte* p, std::size_t bytes) {
  for (std::size_t at = 0; at < bytes; at += 64) prefetch_far(p + at);
}

// The first kTokens tokens of the arguments.
template <TensorType kType, std::size_t kTokens>
void matmul_direct(const MatmulArgs& args) {
  constexpr PackedFormat format = packed_format<kType>();
  const std::size_t blocks = args.k / kActivationBlock;
  const std::byte* at = args.panels;
  for (std::size_t row = 0; row < args.rows; row += kPanelRows) {
    VF acc[kTokens];
#pragma GCC unroll 8
    for (std::size_t t = 0; t < kTokens; ++t) acc[t] = vf_zero();
    for (std::size_t first = 0; first < blocks; first += kRun) {
      const std::size_t count = blocks - first < kRun ? blocks - first : kRun;
      BlockScales scales[kRun];
      load_scales<kType>(at, count, scales);
      if constexpr (kAsksAhead<kTokens>) prefetch_bytes(at + kPrefetch, format.scales_size(count));
      at += format.scales_size(count);
      for (std::size_t b = 0; b < count; ++b, at += format.code_bytes()) {
        if constexpr (kAsksAhead<kTokens>) prefetch_bytes(at + kPrefetch, format.code_bytes());
        VB w[8];
        load_weights<kType>(at, w);
        constexpr Scaling kScaling = format.scaling;
        constexpr std::size_t kFirst = kTokens < 4 ? kTokens : 4;
        add_block<kScaling, kSignedCodes<kType>, kOffset<kType>, kFirst>(acc, w, scales[b], args.x,
                                                                         first + b, blocks);
        if constexpr (kTokens > kFirst)
          add_block<kScaling, kSignedCodes<kType>, kOffset<kType>, kTokens - kFirst>(
              acc + kFirst, w, scales[b], args.x, first + b + kFirst * blocks, blocks);
      }
    }
    const std::size_t n = args.rows - row < kPanelRows ? args.rows - row : kPanelRows;
#pragma GCC unroll 8
    for (std::size_t t = 0; t < kTokens; ++t)
      vf_store_n(args.out + t * args.out_stride + row, acc[t], n);
  }
}

// One block of the activations of kTile tokens. `bias` and `sums` hold what depends on the sums:
// −kOffset·sum, and sum·scale (per 32) or the two sums (per 16).
struct alignas(64) TileBlock {
  std::int8_t q[kTile][kActivationBlock];
  float scale[kTile];
  std::int32_t bias[2][kTile];
  float sums[2][kTile];
};

// A slab of a panel, unpacked.
struct alignas(64) Slab {
  std::int8_t w[kSlab][8][64];
  BlockScales scales[kSlab];
};

// `count` blocks from block `first` on of up to kTile tokens; those beyond are computed like the
// others, never written.
template <Scaling kScaling>
void load_tile(const QuantizedRows& x, std::size_t blocks, std::size_t first, std::size_t count,
               std::size_t tokens, int offset, TileBlock* out) {
  if (tokens < kTile) __builtin_memset(out, 0, count * sizeof *out);
  for (std::size_t t = 0; t < tokens && t < kTile; ++t) {
    for (std::size_t b = 0; b < count; ++b) {
      const std::size_t at = t * blocks + first + b;
      __builtin_memcpy(out[b].q[t], x.q + 32 * at, 32);
      out[b].scale[t] = x.scale[at];
      const int s0 = x.sum[2 * at], s1 = x.sum[2 * at + 1];
      if constexpr (per16(kScaling)) {
        out[b].bias[0][t] = -offset * s0;
        out[b].bias[1][t] = -offset * s1;
        out[b].sums[0][t] = static_cast<float>(s0);
        out[b].sums[1][t] = static_cast<float>(s1);
      } else {
        out[b].bias[0][t] = -offset * (s0 + s1);
        out[b].sums[0][t] = static_cast<float>(s0 + s1) * x.scale[at];
      }
    }
  }
}

// acc and what the integer sums of a block and token `t` stand for; i1 only with a scale per 16.
template <Scaling kScaling>
inline VF add_sums(VF acc, VI i0, VI i1, const BlockScales& scales, const TileBlock& tile,
                   std::size_t t) {
  const VF as = vf_set1(tile.scale[t]);
  if constexpr (per16(kScaling)) {
    VF u = vf_mul(vf_from_i(i0), vf_load(scales.scale[0]));
    u = vf_fma(vf_from_i(i1), vf_load(scales.scale[1]), u);
    acc = vf_fma(u, as, acc);
    if constexpr (has_min(kScaling)) {
      VF v = vf_mul(vf_load(scales.min[0]), vf_set1(tile.sums[0][t]));
      v = vf_fma(vf_load(scales.min[1]), vf_set1(tile.sums[1][t]), v);
      acc = vf_fma(v, as, acc);
    }
  } else {
    acc = vf_fma(vf_from_i(i0), vf_mul(vf_load(scales.scale[0]), as), acc);
    if constexpr (has_min(kScaling))
      acc = vf_fma(vf_load(scales.min[0]), vf_set1(tile.sums[0][t]), acc);
  }
  return acc;
}

// The integer sums of a slab's block by dot4, row by token.
template <bool kSigned>
struct DotProducts {
  // acc[t] += block b · token t, for the first kTokens of a tile.
  template <Scaling kScaling, std::size_t kTokens>
  static void add_block(VF* acc, const Slab& slab, std::size_t b, const TileBlock& tile) {
    VB w[8];
    for (std::size_t g = 0; g < 8; ++g) w[g] = vb_load(slab.w[b][g]);
#pragma GCC unroll 16
    for (std::size_t t = 0; t < kTokens; ++t) {
      const std::int8_t* a = tile.q[t];
      VI i0 = vi_set1(tile.bias[0][t]), i1 = vi_zero();
      if constexpr (per16(kScaling)) {
        i1 = vi_set1(tile.bias[1][t]);
        for (std::size_t g = 0; g < 4; ++g) {
          i0 = dot4<kSigned>(i0, w[g], a + 4 * g);
          i1 = dot4<kSigned>(i1, w[g + 4], a + 16 + 4 * g);
        }
      } else {
        for (std::size_t g = 0; g < 8; ++g) i0 = dot4<kSigned>(i0, w[g], a + 4 * g);
      }
      acc[t] = add_sums<kScaling>(acc[t], i0, i1, slab.scales[b], tile, t);
    }
  }
};

// A slab, the tokens of one tile that it is multiplied with, and where to.
struct SlabJob {
  const Slab& slab;
  const TileBlock* tile;  // [block]
  std::size_t count;      // blocks
  bool start;             // nothing is in `out` yet
  float* out;
  std::size_t out_stride, tokens, rows;
  const std::byte* ahead;  // needed next, `ahead_bytes` a block; or nullptr
  std::size_t ahead_bytes;

  void prefetch_next(std::size_t b) const {
    if (ahead == nullptr) return;
    prefetch_bytes(ahead + b * ahead_bytes, ahead_bytes);
  }
};

template <Scaling kScaling, class Products, std::size_t kTokens>
void multiply_tokens(const SlabJob& job) {
  VF acc[kTokens];
#pragma GCC unroll 16
  for (std::size_t t = 0; t < kTokens; ++t)
    acc[t] = job.start || t >= job.tokens ? vf_zero()
                                          : vf_load_n(job.out + t * job.out_stride, job.rows);
  for (std::size_t b = 0; b < job.count; ++b) {
    job.prefetch_next(b);
    Products::template add_block<kScaling, kTokens>(acc, job.slab, b, job.tile[b]);
  }
#pragma GCC unroll 16
  for (std::size_t t = 0; t < kTokens; ++t)
    if (t < job.tokens) vf_store_n(job.out + t * job.out_stride, acc[t], job.rows);
}

// The tokens rounded up to a multiple of 4.
template <Scaling kScaling, class Products>
void multiply_tile(const SlabJob& job) {
  if (job.tokens > 12)
    multiply_tokens<kScaling, Products, 16>(job);
  else if (job.tokens > 8)
    multiply_tokens<kScaling, Products, 12>(job);
  else if (job.tokens > 4)
    multiply_tokens<kScaling, Products, 8>(job);
  else
    multiply_tokens<kScaling, Products, 4>(job);
}

// Some tokens (at most kTile·kTiles) of the arguments, by kMultiply: multiply_tile or its like.
// kRaised is what the weights of the slab have been raised by.
template <TensorType kType, int kRaised, auto kUnpack, auto kMultiply>
void matmul_wide(const MatmulArgs& args) {
  constexpr PackedFormat format = packed_format<kType>();
  const std::size_t blocks = args.k / kActivationBlock;
  const std::size_t panel_bytes = PackedCodec<kType>::panel_bytes(args.k);
  const std::size_t tiles = (args.tokens + kTile - 1) / kTile;
  TileBlock tile[kTiles][kSlab];
  Slab slab;
  for (std::size_t first = 0; first < blocks; first += kSlab) {
    const std::size_t count = blocks - first < kSlab ? blocks - first : kSlab;
    for (std::size_t i = 0; i < tiles; ++i) {
      const std::size_t t = i * kTile;
      const QuantizedRows x = {args.x.q + t * args.k, args.x.scale + t * blocks,
                               args.x.sum + 2 * t * blocks};
      load_tile<format.scaling>(x, blocks, first, count, args.tokens - t, kRaised, tile[i]);
    }
    const std::byte* panel = args.panels;
    for (std::size_t row = 0; row < args.rows; row += kPanelRows, panel += panel_bytes) {
      const std::byte* here = panel + first / kRun * format.run_bytes();
      kUnpack(here, count, slab);
      const std::size_t rows = args.rows - row < kPanelRows ? args.rows - row : kPanelRows;
      // The next panel's slab comes while this one is multiplied.
      const std::byte* ahead = here + panel_bytes;
      for (std::size_t i = 0; i < tiles; ++i, ahead = nullptr) {
        const std::size_t t = i * kTile;
        const std::size_t tokens = args.tokens - t < kTile ? args.tokens - t : kTile;
        kMultiply({slab, tile[i], count, first == 0, args.out + t * args.out_stride + row,
                   args.out_stride, tokens, rows, ahead, format.run_bytes() / kRun});
      }
    }
  }
}

// `count` blocks whose first run is at `at`. kFinish: what becomes of the 8 vectors of a block that
// dot4 would take.
template <TensorType kType, auto kFinish>
void unpack_slab(const std::byte* at, std::size_t count, Slab& slab) {
  constexpr PackedFormat format = packed_format<kType>();
  for (std::size_t first = 0; first < count; first += kRun) {
    const std::size_t last = count - first < kRun ? count : first + kRun;
    load_scales<kType>(at, last - first, slab.scales + first);
    at += format.scales_size(last - first);
    for (std::size_t b = first; b < last; ++b, at += format.code_bytes()) {
      for (std::size_t p = 0; p < format.code_bytes(); p += 64) prefetch(at + kPrefetch + p);
      VB w[8];
      load_weights<kType>(at, w);
      kFinish(w);
      for (std::size_t g = 0; g < 8; ++g) vb_store(slab.w[b][g], w[g]);
    }
  }
}

inline void as_they_are(VB*) {}

// Tokens from `first` on, at most `count`.
inline MatmulArgs part_of(const MatmulArgs& args, std::size_t first, std::size_t count) {
  MatmulArgs part = args;
  part.tokens = args.tokens - first < count ? args.tokens - first : count;
  part.out = args.out + first * args.out_stride;
  if (args.x.q != nullptr)
    part.x = {args.x.q + first * args.k, args.x.scale + first * (args.k / 32),
              args.x.sum + first * (args.k / 16)};
  if (args.x_f32 != nullptr) part.x_f32 = args.x_f32 + first * args.k;
  return part;
}

template <TensorType kType>
void matmul_narrow(const MatmulArgs& args) {
  switch (args.tokens) {
    case 0:
      return;
    case 1:
      return matmul_direct<kType, 1>(args);
    case 2:
      return matmul_direct<kType, 2>(args);
    case 3:
      return matmul_direct<kType, 3>(args);
    case 4:
      return matmul_direct<kType, 4>(args);
    case 5:
      return matmul_direct<kType, 5>(args);
    case 6:
      return matmul_direct<kType, 6>(args);
    case 7:
      return matmul_direct<kType, 7>(args);
    default:
      return matmul_direct<kType, 8>(args);
  }
}

// Products of many tokens by dot4.
struct TileProducts {
  template <TensorType kType>
  static void multiply(const MatmulArgs& args) {
    matmul_wide<kType, kOffset<kType>, unpack_slab<kType, as_they_are>,
                multiply_tile<packed_format<kType>().scaling, DotProducts<kSignedCodes<kType>>>>(
        args);
  }
};

// More than kDirect tokens by Wide.
template <TensorType kType, class Wide>
void matmul_integers(const MatmulArgs& args) {
  for (std::size_t t = 0; t < args.tokens;) {
    const MatmulArgs part = part_of(args, t, kTile * kTiles);
    if (part.tokens <= kDirect)
      matmul_narrow<kType>(part);
    else
      Wide::template multiply<kType>(part);
    t += part.tokens;
  }
}

// --- F32, F16, BF16: [k][16 rows] times f32 activations ---

template <TensorType kType>
constexpr std::size_t kElementBytes = kType == TensorType::kF32 ? 4 : 2;

template <TensorType kType>
inline VF load_floats(const std::byte* p) {
  if constexpr (kType == TensorType::kF32)
    return vf_load(reinterpret_cast<const float*>(p));
  else if constexpr (kType == TensorType::kF16)
    return vf_load_f16(p);
  else
    return vf_bits(vi_shl(vi_load_u16(p), 16));
}

// kPanels panels at once, so that there are sums enough to hide the latency of each.
template <TensorType kType, std::size_t kTokens, std::size_t kPanels>
void float_panels(const MatmulArgs& args, const std::byte* panel, std::size_t panel_bytes,
                  std::size_t row) {
  VF acc[kPanels][kTokens];
  for (auto& line : acc)
    for (VF& a : line) a = vf_zero();
  for (std::size_t i = 0; i < args.k; ++i) {
#pragma GCC unroll 4
    for (std::size_t p = 0; p < kPanels; ++p) {
      const std::byte* at = panel + p * panel_bytes + i * kPanelRows * kElementBytes<kType>;
      if constexpr (kAsksAhead<kTokens>) prefetch(at + kPrefetch / kPanels);
      const VF w = load_floats<kType>(at);
#pragma GCC unroll 16
      for (std::size_t t = 0; t < kTokens; ++t)
        acc[p][t] = vf_fma(w, vf_set1(args.x_f32[t * args.k + i]), acc[p][t]);
    }
  }
  for (std::size_t p = 0; p < kPanels; ++p) {
    const std::size_t at = row + p * kPanelRows;
    const std::size_t n = args.rows - at < kPanelRows ? args.rows - at : kPanelRows;
    for (std::size_t t = 0; t < kTokens; ++t)
      vf_store_n(args.out + t * args.out_stride + at, acc[p][t], n);
  }
}

template <TensorType kType, std::size_t kTokens>
void float_direct(const MatmulArgs& args) {
  constexpr std::size_t kPanels = kTokens >= 4 ? 1 : 4 / kTokens;
  const std::size_t bytes = PackedCodec<kType>::panel_bytes(args.k);
  const std::byte* panel = args.panels;
  std::size_t row = 0;
  for (; row + (kPanels - 1) * kPanelRows < args.rows;
       row += kPanels * kPanelRows, panel += kPanels * bytes)
    float_panels<kType, kTokens, kPanels>(args, panel, bytes, row);
  for (; row < args.rows; row += kPanelRows, panel += bytes)
    float_panels<kType, kTokens, 1>(args, panel, bytes, row);
}

constexpr std::size_t kFloatSlab = 256;  // along k

// Up to kTile·kTiles tokens: activations side by side as [k][16 tokens], tile by tile.
template <TensorType kType>
void float_wide(const MatmulArgs& args) {
  const std::size_t bytes = PackedCodec<kType>::panel_bytes(args.k);
  const std::size_t tiles = (args.tokens + kTile - 1) / kTile;
  alignas(64) float x[kTiles][kFloatSlab][kTile];
  for (std::size_t first = 0; first < args.k; first += kFloatSlab) {
    const std::size_t count = args.k - first < kFloatSlab ? args.k - first : kFloatSlab;
    for (std::size_t t = 0; t < tiles * kTile; ++t)
      for (std::size_t i = 0; i < count; ++i)
        x[t / kTile][i][t % kTile] = t < args.tokens ? args.x_f32[t * args.k + first + i] : 0;
    const std::byte* panel = args.panels;
    for (std::size_t row = 0; row < args.rows; row += kPanelRows, panel += bytes) {
      const std::size_t rows = args.rows - row < kPanelRows ? args.rows - row : kPanelRows;
      for (std::size_t tile = 0; tile < tiles; ++tile) {
        const std::size_t at = tile * kTile;
        const std::size_t tokens = args.tokens - at < kTile ? args.tokens - at : kTile;
        float* out = args.out + at * args.out_stride + row;
        VF acc[kTile];
#pragma GCC unroll 16
        for (std::size_t t = 0; t < kTile; ++t)
          acc[t] =
              first == 0 || t >= tokens ? vf_zero() : vf_load_n(out + t * args.out_stride, rows);
        const std::byte* p = panel + first * kPanelRows * kElementBytes<kType>;
        for (std::size_t i = 0; i < count; ++i, p += kPanelRows * kElementBytes<kType>) {
          const VF w = load_floats<kType>(p);
#pragma GCC unroll 16
          for (std::size_t t = 0; t < kTile; ++t)
            acc[t] = vf_fma(w, vf_set1(x[tile][i][t]), acc[t]);
        }
#pragma GCC unroll 16
        for (std::size_t t = 0; t < kTile; ++t)
          if (t < tokens) vf_store_n(out + t * args.out_stride, acc[t], rows);
      }
    }
  }
}

template <TensorType kType>
void matmul_floats(const MatmulArgs& args) {
  for (std::size_t t = 0; t < args.tokens;) {
    const MatmulArgs part = part_of(args, t, kTile * kTiles);
    switch (part.tokens) {
      case 1:
        float_direct<kType, 1>(part);
        break;
      case 2:
        float_direct<kType, 2>(part);
        break;
      case 3:
        float_direct<kType, 3>(part);
        break;
      case 4:
        float_direct<kType, 4>(part);
        break;
      case 5:
        float_direct<kType, 5>(part);
        break;
      case 6:
        float_direct<kType, 6>(part);
        break;
      case 7:
        float_direct<kType, 7>(part);
        break;
      case 8:
        float_direct<kType, 8>(part);
        break;
      default:
        float_wide<kType>(part);
    }
    t += part.tokens;
  }
}

}  // namespace
}  // namespace lathe::infer
