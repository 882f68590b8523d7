// Products of many tokens on vectors of 8 lanes, after table.inl. 16 registers hold the integer
// sums of 16 rows × 4 tokens, the weights of 4 neighbours along k and one word of activations; the
// f32 sums wait in the first-level cache. A slab of blocks is unpacked once for all tokens. Every
// float operation stands where kernels.h has it, so the bits are the scalar ones.
namespace lathe::infer {
namespace {

constexpr std::size_t kQuad = 4;  // tokens that are multiplied together
constexpr std::size_t kGroups = kActivationBlock / 4;

// How the products of a block are summed, exactly:
//  kWords   unsigned codes by vpmaddubsw in sums of 16 bits. A sum starts at −raised·(activations
//  of
//           its lane), so that what stands at its end is Σ w·a, which fits; on its way it may wrap.
//  kSigns   signed weights: |w| · (a with the sign of w), in sums of 32 bits
//  kDots    unsigned codes by vpdpbusd in sums of 32 bits
enum class Way : std::uint8_t { kWords, kSigns, kDots };

template <TensorType kType>
struct QuadType {
  static constexpr PackedFormat kFormat = packed_format<kType>();
  static constexpr std::size_t kHalves = per16(kFormat.scaling) ? 2 : 1;
  static constexpr bool kSigned = kFormat.codes != Codes::kOffset && kFormat.codes != Codes::kFp4;
  static constexpr Way kWay = kDotsBytes ? Way::kDots : kSigned ? Way::kSigns : Way::kWords;

  // kWords: the largest unsigned code, and what codes are above the weights that the sums are of.
  // Codes of 5 bits without an offset need one of their own; `kBack` puts that right in 32 bits.
  static constexpr bool kFp4 = kFormat.codes == Codes::kFp4;
  static constexpr int kCodes =
      kFp4 ? 2 * 12 + 1 : 1 << (4 * kFormat.nibbles + 2 * kFormat.pairs + kFormat.bits);
  static constexpr int kRaised = kFp4                                 ? 12
                                 : kFormat.offset == 0 && kCodes > 16 ? kCodes / 2
                                                                      : kFormat.offset;
  static constexpr int kBack = kWay == Way::kWords && !kFp4 ? kRaised - kFormat.offset : 0;
  static constexpr int kLargest = kRaised > kCodes - 1 - kRaised ? kRaised : kCodes - 1 - kRaised;
  static constexpr int kProducts = kActivationBlock / 2 / kHalves;  // of a 16-bit sum
  static_assert(kWay != Way::kWords ||
                (2 * (kCodes - 1) * 127 <= 32767 && kLargest * 127 * kProducts <= 32767));

  // What a block's integer sums start at, times the activations.
  static constexpr int kStart = kWay == Way::kWords  ? kRaised
                                : kWay == Way::kDots ? kOffset<kType>
                                                     : 0;
};

// One block of a panel, unpacked. kSigns has |w| behind each group's w.
template <TensorType kType>
struct alignas(64) QuadWeights {
  using Type = QuadType<kType>;
  std::uint8_t w[kGroups][Type::kWay == Way::kSigns ? 128 : 64];
  float scale[Type::kHalves][kPanelRows];
  float min[Type::kHalves][kPanelRows];  // only where there is one
};

// One block of the activations of kQuad tokens. A start is two sums of 16 bits or one of 32.
struct alignas(32) QuadBlock {
  std::int8_t q[kGroups][kQuad][4];
  float scale[kQuad];
  std::int32_t start[2][kQuad];
  std::int32_t back[kQuad];
  float sums[2][kQuad];
};

inline __m256i load_bytes(const void* p) {
  return _mm256_load_si256(static_cast<const __m256i*>(p));
}

// −raised·(Σ of the first two of every 4, Σ of the last two) over 16 activations, as two 16-bit
// numbers that may have wrapped.
inline __m128i pair_starts(const std::int8_t* q, int raised) {
  const __m128i ones = _mm_set1_epi8(1);
  __m128i pairs = _mm_maddubs_epi16(ones, _mm_loadu_si128(reinterpret_cast<const __m128i*>(q)));
  pairs = _mm_add_epi16(pairs, _mm_srli_si128(pairs, 8));
  pairs = _mm_add_epi16(pairs, _mm_srli_si128(pairs, 4));
  return _mm_mullo_epi16(pairs, _mm_set1_epi16(static_cast<short>(-raised)));
}

// Token `t` of a quad's block: 32 activations, their scale and the sums of each 16.
template <TensorType kType>
void load_token(const std::int8_t* q, float scale, const std::int16_t* sum, std::size_t t,
                QuadBlock& out) {
  using Type = QuadType<kType>;
  for (std::size_t g = 0; g < kGroups; ++g) __builtin_memcpy(out.q[g][t], q + 4 * g, 4);
  out.scale[t] = scale;
  const int s0 = sum[0], s1 = sum[1];
  if constexpr (Type::kWay == Way::kWords && Type::kStart != 0) {
    const __m128i first = pair_starts(q, Type::kStart), second = pair_starts(q + 16, Type::kStart);
    if constexpr (Type::kHalves == 2) {
      out.start[0][t] = _mm_cvtsi128_si32(first);
      out.start[1][t] = _mm_cvtsi128_si32(second);
    } else {
      out.start[0][t] = _mm_cvtsi128_si32(_mm_add_epi16(first, second));
    }
    out.back[t] = Type::kBack * (s0 + s1);
  } else if constexpr (Type::kStart != 0) {
    out.start[0][t] = -Type::kStart * (Type::kHalves == 2 ? s0 : s0 + s1);
    out.start[1][t] = -Type::kStart * s1;
  }
  if constexpr (Type::kHalves == 2) {
    out.sums[0][t] = static_cast<float>(s0);
    out.sums[1][t] = static_cast<float>(s1);
  } else {
    out.sums[0][t] = static_cast<float>(s0 + s1) * scale;
  }
}

// `count` blocks from block `first` on of up to kQuad tokens; those beyond are computed like the
// others, never written.
template <TensorType kType>
void load_quad(const QuantizedRows& x, std::size_t blocks, std::size_t first, std::size_t count,
               std::size_t tokens, QuadBlock* out) {
  if (tokens < kQuad) __builtin_memset(out, 0, count * sizeof *out);
  for (std::size_t t = 0; t < tokens && t < kQuad; ++t)
    for (std::size_t b = 0; b < count; ++b) {
      const std::size_t at = t * blocks + first + b;
      load_token<kType>(x.q + 32 * at, x.scale[at], x.sum + 2 * at, t, out[b]);
    }
}

// `count` blocks whose first run is at `at`.
template <TensorType kType>
void unpack_quad(const std::byte* at, std::size_t count, QuadWeights<kType>* out) {
  using Type = QuadType<kType>;
  constexpr PackedFormat format = Type::kFormat;
  for (std::size_t first = 0; first < count; first += kRun) {
    const std::size_t n = count - first < kRun ? count - first : kRun;
    BlockScales scales[kRun];
    load_scales<kType>(at, n, scales);
    at += format.scales_size(n);
    for (std::size_t b = 0; b < n; ++b, ++out, at += format.code_bytes()) {
      for (std::size_t p = 0; p < format.code_bytes(); p += 64) prefetch(at + kPrefetch + p);
      for (std::size_t h = 0; h < Type::kHalves; ++h) {
        vf_store(out->scale[h], vf_load(scales[b].scale[h]));
        if constexpr (has_min(format.scaling)) vf_store(out->min[h], vf_load(scales[b].min[h]));
      }
      VB w[kGroups];
      load_weights<kType>(at, w);
      for (std::size_t g = 0; g < kGroups; ++g) {
        if constexpr (Type::kWay == Way::kWords && Type::kFp4) {
          const __m256i raised = _mm256_set1_epi8(Type::kRaised);
          w[g] = {_mm256_add_epi8(w[g].lo, raised), _mm256_add_epi8(w[g].hi, raised)};
        }
        vb_store(out->w[g], w[g]);
        if constexpr (Type::kWay == Way::kSigns)
          vb_store(out->w[g] + 64, {_mm256_abs_epi8(w[g].lo), _mm256_abs_epi8(w[g].hi)});
      }
    }
  }
}

// The integer sums of kQuad tokens: row vectors 2t and 2t + 1 are token t's.
struct QuadSums {
  __m256i v[2 * kQuad];
};

template <Way kWay>
[[gnu::always_inline]] inline __m256i add_products(__m256i sum, const std::uint8_t* w, __m256i a) {
  const __m256i codes = load_bytes(w);
  if constexpr (kWay == Way::kWords)
    return _mm256_add_epi16(sum, _mm256_maddubs_epi16(codes, a));
  else if constexpr (kWay == Way::kSigns)
    return dot_bytes(sum, load_bytes(w + 64), _mm256_sign_epi8(a, codes));
  else
    return dot_bytes(sum, codes, a);
}

// Half kHalf of a block, or all of it, in sums of 32 bits. Always inlined: out of line the sums
// would live in memory.
template <TensorType kType, std::size_t kHalf>
[[gnu::always_inline]] inline QuadSums quad_sums(const QuadWeights<kType>& w, const QuadBlock& a) {
  using Type = QuadType<kType>;
  constexpr std::size_t kCount = kGroups / Type::kHalves, kFrom = kHalf * kCount;
  QuadSums sums;
#pragma GCC unroll 4
  for (std::size_t t = 0; t < kQuad; ++t)
    sums.v[2 * t] = sums.v[2 * t + 1] =
        Type::kStart != 0 ? broadcast4(&a.start[kHalf][t]) : _mm256_setzero_si256();
#pragma GCC unroll 8
  for (std::size_t g = kFrom; g < kFrom + kCount; ++g)
#pragma GCC unroll 4
    for (std::size_t t = 0; t < kQuad; ++t) {
      const __m256i word = broadcast4(a.q[g][t]);
      sums.v[2 * t] = add_products<Type::kWay>(sums.v[2 * t], w.w[g], word);
      sums.v[2 * t + 1] = add_products<Type::kWay>(sums.v[2 * t + 1], w.w[g] + 32, word);
    }
  if constexpr (Type::kWay == Way::kWords) {
    const __m256i ones = _mm256_set1_epi16(1);
#pragma GCC unroll 4
    for (std::size_t t = 0; t < kQuad; ++t) {
      const __m256i back = Type::kBack != 0 ? broadcast4(&a.back[t]) : _mm256_setzero_si256();
      for (std::size_t i = 2 * t; i < 2 * t + 2; ++i)
        sums.v[i] = _mm256_add_epi32(_mm256_madd_epi16(sums.v[i], ones), back);
    }
  }
  return sums;
}

inline VF sums_of(const QuadSums& sums, std::size_t t) {
  return vf_from_i({sums.v[2 * t], sums.v[2 * t + 1]});
}

// acc[t] += `count` blocks · token t.
template <TensorType kType>
[[gnu::noinline]] void multiply_quad(const QuadWeights<kType>* w, const QuadBlock* a,
                                     std::size_t count, float (*acc)[kPanelRows]) {
  using Type = QuadType<kType>;
  constexpr bool kMin = has_min(Type::kFormat.scaling);
  for (const QuadBlock* end = a + count; a != end; ++w, ++a) {
    const QuadSums first = quad_sums<kType, 0>(*w, *a);
    if constexpr (Type::kHalves == 1) {
#pragma GCC unroll 4
      for (std::size_t t = 0; t < kQuad; ++t) {
        const VF ws = vf_mul(vf_load(w->scale[0]), vf_set1(a->scale[t]));
        VF sum = vf_fma(sums_of(first, t), ws, vf_load(acc[t]));
        if constexpr (kMin) sum = vf_fma(vf_load(w->min[0]), vf_set1(a->sums[0][t]), sum);
        vf_store(acc[t], sum);
      }
    } else {
      alignas(32) float u[kQuad][kPanelRows];  // waits while the other half has the registers
#pragma GCC unroll 4
      for (std::size_t t = 0; t < kQuad; ++t)
        vf_store(u[t], vf_mul(sums_of(first, t), vf_load(w->scale[0])));
      const QuadSums second = quad_sums<kType, 1>(*w, *a);
#pragma GCC unroll 4
      for (std::size_t t = 0; t < kQuad; ++t) {
        const VF as = vf_set1(a->scale[t]);
        const VF both = vf_fma(sums_of(second, t), vf_load(w->scale[1]), vf_load(u[t]));
        VF sum = vf_fma(both, as, vf_load(acc[t]));
        if constexpr (kMin) {
          VF v = vf_mul(vf_load(w->min[0]), vf_set1(a->sums[0][t]));
          v = vf_fma(vf_load(w->min[1]), vf_set1(a->sums[1][t]), v);
          sum = vf_fma(v, as, sum);
        }
        vf_store(acc[t], sum);
      }
    }
  }
}

// Some tokens (at most kTile·kTiles) of the arguments.
struct QuadProducts {
  template <TensorType kType>
  static void multiply(const MatmulArgs& args) {
    constexpr PackedFormat format = packed_format<kType>();
    constexpr std::size_t kQuads = kTile * kTiles / kQuad;
    const std::size_t blocks = args.k / kActivationBlock;
    const std::size_t panel_bytes = PackedCodec<kType>::panel_bytes(args.k);
    const std::size_t quads = (args.tokens + kQuad - 1) / kQuad;
    QuadBlock x[kQuads][kSlab];
    QuadWeights<kType> slab[kSlab];
    for (std::size_t first = 0; first < blocks; first += kSlab) {
      const std::size_t count = blocks - first < kSlab ? blocks - first : kSlab;
      for (std::size_t i = 0; i < quads; ++i) {
        const std::size_t t = i * kQuad;
        load_quad<kType>(part_of(args, t, kQuad).x, blocks, first, count, args.tokens - t, x[i]);
      }
      const std::byte* panel = args.panels;
      for (std::size_t row = 0; row < args.rows; row += kPanelRows, panel += panel_bytes) {
        unpack_quad<kType>(panel + first / kRun * format.run_bytes(), count, slab);
        const std::size_t rows = args.rows - row < kPanelRows ? args.rows - row : kPanelRows;
        for (std::size_t i = 0; i < quads; ++i) {
          const MatmulArgs part = part_of(args, i * kQuad, kQuad);
          float* out = part.out + row;
          alignas(32) float acc[kQuad][kPanelRows] = {};
          for (std::size_t t = 0; t < part.tokens && first != 0; ++t)
            vf_store(acc[t], vf_load_n(out + t * args.out_stride, rows));
          // The outputs of the next tokens come while these are multiplied.
          for (std::size_t t = 0; t < kQuad && (i + 1) * kQuad + t < args.tokens; ++t)
            prefetch(out + (kQuad + t) * args.out_stride);
          multiply_quad<kType>(slab, x[i], count, acc);
          for (std::size_t t = 0; t < part.tokens; ++t)
            vf_store_n(out + t * args.out_stride, vf_load(acc[t]), rows);
        }
      }
    }
  }
};

}  // namespace
}  // namespace lathe::infer
