// Vectors of AVX2 with FMA and F16C: 16 lanes are two vectors of 8. Products of bytes go through
// vpmaddubsw, whose 16-bit sums of two products stay exact: codes up to 63 times ±127 do, and
// signed weights go in as |w| · (a with the sign of w), which is at most 2·128·127. With AVX-VNNI
// they are vpdpbusd, which takes signed weights raised to unsigned ones.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace lathe::infer {
namespace {

struct VF {
  __m256 lo, hi;
};
struct VI {
  __m256i lo, hi;
};
using VB = VI;
#ifdef __AVXVNNI__
constexpr bool kDotsBytes = true;  // one instruction multiplies bytes and adds 4 products
constexpr int kSignedOffset = 128;
#else
constexpr bool kDotsBytes = false;
constexpr int kSignedOffset = 0;
#endif
// What tile.inl may keep in registers.
constexpr int kRegisterRows = 6, kRegisterVectors = 1;

inline VF vf_zero() {
  return {_mm256_setzero_ps(), _mm256_setzero_ps()};
}
inline VF vf_set1(float x) {
  return {_mm256_set1_ps(x), _mm256_set1_ps(x)};
}
inline VF vf_load(const float* p) {
  return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
inline void vf_store(float* p, VF x) {
  _mm256_storeu_ps(p, x.lo);
  _mm256_storeu_ps(p + 8, x.hi);
}
inline VF vf_load_n(const float* p, std::size_t n) {
  if (n == 16) return vf_load(p);
  alignas(32) float all[16] = {};
  for (std::size_t i = 0; i < n; ++i) all[i] = p[i];
  return vf_load(all);
}
inline void vf_store_n(float* p, VF x, std::size_t n) {
  if (n == 16) return vf_store(p, x);
  alignas(32) float all[16];
  vf_store(all, x);
  for (std::size_t i = 0; i < n; ++i) p[i] = all[i];
}
inline VF vf_add(VF a, VF b) {
  return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
}
inline VF vf_sub(VF a, VF b) {
  return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)};
}
inline VF vf_mul(VF a, VF b) {
  return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)};
}
inline VF vf_fma(VF a, VF b, VF c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
inline VF vf_from_i(VI x) {
  return {_mm256_cvtepi32_ps(x.lo), _mm256_cvtepi32_ps(x.hi)};
}
inline VF vf_bits(VI x) {
  return {_mm256_castsi256_ps(x.lo), _mm256_castsi256_ps(x.hi)};
}
inline VI vi_as_bits(VF x) {
  return {_mm256_castps_si256(x.lo), _mm256_castps_si256(x.hi)};
}
inline VF vf_load_f16(const void* p) {
  const auto* at = static_cast<const __m128i*>(p);
  return {_mm256_cvtph_ps(_mm_loadu_si128(at)), _mm256_cvtph_ps(_mm_loadu_si128(at + 1))};
}
inline VF vf_negative(VF x) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_xor_ps(x.lo, sign), _mm256_xor_ps(x.hi, sign)};
}
// Lanes first … last-1 of x, the others from y. Both 0 … 16.
inline VF vf_select(VF x, VF y, int first, int last) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const auto half = [&](__m256 a, __m256 b, int from, int to) {
    const __m256i keep = _mm256_and_si256(_mm256_cmpgt_epi32(lane, _mm256_set1_epi32(from - 1)),
                                          _mm256_cmpgt_epi32(_mm256_set1_epi32(to), lane));
    return _mm256_blendv_ps(b, a, _mm256_castsi256_ps(keep));
  };
  return {half(x.lo, y.lo, first, last), half(x.hi, y.hi, first - 8, last - 8)};
}
// All lanes as the tree 8, 4, 2, 1.
inline float vf_fold_sum(VF x) {
  const __m256 s8 = _mm256_add_ps(x.lo, x.hi);
  const __m128 s4 = _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
  const __m128 s2 = _mm_add_ps(s4, _mm_movehl_ps(s4, s4));
  return _mm_cvtss_f32(_mm_add_ss(s2, _mm_movehdup_ps(s2)));
}
// x < low ? 0 : x > high ? infinity : y
inline VF vf_clip_exp(VF x, VF y, float low, float high) {
  const auto half = [&](__m256 a, __m256 b) {
    b = _mm256_blendv_ps(b, _mm256_set1_ps(__builtin_inff()),
                         _mm256_cmp_ps(a, _mm256_set1_ps(high), _CMP_GT_OQ));
    return _mm256_andnot_ps(_mm256_cmp_ps(a, _mm256_set1_ps(low), _CMP_LT_OQ), b);
  };
  return {half(x.lo, y.lo), half(x.hi, y.hi)};
}
// The larger one of each lane; a NaN only if both are.
inline VF vf_larger(VF a, VF b) {
  const auto half = [](__m256 x, __m256 y) {
    const __m256 take =
        _mm256_or_ps(_mm256_cmp_ps(y, x, _CMP_GT_OQ), _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    return _mm256_blendv_ps(x, y, take);
  };
  return {half(a.lo, b.lo), half(a.hi, b.hi)};
}
// The tree of fold_max in elementwise.inl.
inline float vf_fold_max(VF x) {
  const VF m8 = vf_larger(x, {x.hi, x.hi});
  const __m256 high = _mm256_permute2f128_ps(m8.lo, m8.lo, 0x11);
  const VF m4 = vf_larger(m8, {high, high});
  const __m256 back = _mm256_permute_ps(m4.lo, 0x4e);
  const VF m2 = vf_larger(m4, {back, back});
  const __m256 next = _mm256_movehdup_ps(m2.lo);
  return _mm256_cvtss_f32(vf_larger(m2, {next, next}).lo);
}

inline VI vi_zero() {
  return {_mm256_setzero_si256(), _mm256_setzero_si256()};
}
inline VI vi_set1(int x) {
  return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)};
}
inline VI vi_load(const void* p) {
  const auto* at = static_cast<const __m256i*>(p);
  return {_mm256_loadu_si256(at), _mm256_loadu_si256(at + 1)};
}
inline VI vi_load_u8(const void* p) {
  const __m128i x = _mm_loadu_si128(static_cast<const __m128i*>(p));
  return {_mm256_cvtepu8_epi32(x), _mm256_cvtepu8_epi32(_mm_srli_si128(x, 8))};
}
inline VI vi_load_i8(const void* p) {
  const __m128i x = _mm_loadu_si128(static_cast<const __m128i*>(p));
  return {_mm256_cvtepi8_epi32(x), _mm256_cvtepi8_epi32(_mm_srli_si128(x, 8))};
}
inline VI vi_load_u16(const void* p) {
  const auto* at = static_cast<const __m128i*>(p);
  return {_mm256_cvtepu16_epi32(_mm_loadu_si128(at)),
          _mm256_cvtepu16_epi32(_mm_loadu_si128(at + 1))};
}
inline VI vi_add(VI a, VI b) {
  return {_mm256_add_epi32(a.lo, b.lo), _mm256_add_epi32(a.hi, b.hi)};
}
inline VI vi_and(VI a, VI b) {
  return {_mm256_and_si256(a.lo, b.lo), _mm256_and_si256(a.hi, b.hi)};
}
inline VI vi_or(VI a, VI b) {
  return {_mm256_or_si256(a.lo, b.lo), _mm256_or_si256(a.hi, b.hi)};
}
inline VI vi_xor(VI a, VI b) {
  return {_mm256_xor_si256(a.lo, b.lo), _mm256_xor_si256(a.hi, b.hi)};
}
inline void vi_store(void* p, VI x) {
  auto* at = static_cast<__m256i*>(p);
  _mm256_storeu_si256(at, x.lo);
  _mm256_storeu_si256(at + 1, x.hi);
}
inline VI vi_shr(VI a, int n) {
  const __m128i count = _mm_cvtsi32_si128(n);
  return {_mm256_srl_epi32(a.lo, count), _mm256_srl_epi32(a.hi, count)};
}
inline VI vi_shl(VI a, int n) {
  const __m128i count = _mm_cvtsi32_si128(n);
  return {_mm256_sll_epi32(a.lo, count), _mm256_sll_epi32(a.hi, count)};
}
// Lanes where a < limit from x, the others from y.
inline VI vi_select_below(VI a, int limit, VI x, VI y) {
  const __m256i bound = _mm256_set1_epi32(limit);
  return {_mm256_blendv_epi8(y.lo, x.lo, _mm256_cmpgt_epi32(bound, a.lo)),
          _mm256_blendv_epi8(y.hi, x.hi, _mm256_cmpgt_epi32(bound, a.hi))};
}
// 16-bit halves that are f16, zero-extended → f32 (exact).
inline VF vf_from_f16_words(VI x) {
  const __m256i both = _mm256_permute4x64_epi64(_mm256_packus_epi32(x.lo, x.hi), 0xd8);
  return {_mm256_cvtph_ps(_mm256_castsi256_si128(both)),
          _mm256_cvtph_ps(_mm256_extracti128_si256(both, 1))};
}

inline VB vb_load(const void* p) {
  return vi_load(p);
}
inline void vb_store(void* p, VB x) {
  vi_store(p, x);
}
inline VB vb_of(VI x) {
  return x;
}
inline VB vb_add(VB a, VB b) {
  return {_mm256_add_epi8(a.lo, b.lo), _mm256_add_epi8(a.hi, b.hi)};
}
// Bytes of x whose byte of `bits` has this bit, negated.
template <int kBit>
inline VB vb_negate_where(VB x, VB bits) {
  const __m256i bit = _mm256_set1_epi8(static_cast<char>(1 << kBit));
  const auto half = [bit](__m256i a, __m256i b) {
    const __m256i minus = _mm256_cmpeq_epi8(_mm256_and_si256(b, bit), bit);
    return _mm256_sub_epi8(_mm256_xor_si256(a, minus), minus);
  };
  return {half(x.lo, bits.lo), half(x.hi, bits.hi)};
}
// The words of 4 bytes of a, then b: every first of two to a, every second to b.
inline void vb_unzip(VB& a, VB& b) {
  const auto half = []<int kWhich>(const VB& x) {
    const __m256 both =
        _mm256_shuffle_ps(_mm256_castsi256_ps(x.lo), _mm256_castsi256_ps(x.hi), kWhich);
    return _mm256_permute4x64_epi64(_mm256_castps_si256(both), 0xd8);
  };
  const VB first = {half.template operator()<0x88>(a), half.template operator()<0x88>(b)};
  b = {half.template operator()<0xdd>(a), half.template operator()<0xdd>(b)};
  a = first;
}
inline VB vb_zero() {
  return vi_zero();
}
inline VB vb_low_nibbles(VB x) {
  const __m256i low = _mm256_set1_epi8(15);
  return {_mm256_and_si256(x.lo, low), _mm256_and_si256(x.hi, low)};
}
inline VB vb_high_nibbles(VB x) {
  return vb_low_nibbles({_mm256_srli_epi16(x.lo, 4), _mm256_srli_epi16(x.hi, 4)});
}
// Bits kFrom … of every byte, under the mask, moved to bit kTo … and added to `low`.
template <int kFrom, int kTo, int kMask>
inline VB vb_or_field(VB low, VB x) {
  const auto half = [](__m256i a, __m256i b) {
    if constexpr (kFrom > kTo)
      b = _mm256_srli_epi16(b, kFrom - kTo);
    else if constexpr (kFrom < kTo)
      b = _mm256_slli_epi16(b, kTo - kFrom);
    return _mm256_or_si256(a,
                           _mm256_and_si256(b, _mm256_set1_epi8(static_cast<char>(kMask << kTo))));
  };
  return {half(low.lo, x.lo), half(low.hi, x.hi)};
}
inline VB vb_from_signed(VB x) {
  if constexpr (kSignedOffset == 0) return x;
  const __m256i raised = _mm256_set1_epi8(static_cast<char>(kSignedOffset));
  return {_mm256_xor_si256(x.lo, raised), _mm256_xor_si256(x.hi, raised)};
}
inline VB vb_table(const std::int8_t* values) {
  const __m256i table =
      _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(values)));
  return vb_from_signed({table, table});
}
inline VB vb_lookup(VB table, VB index) {
  return {_mm256_shuffle_epi8(table.lo, index.lo), _mm256_shuffle_epi8(table.hi, index.hi)};
}

inline __m256i broadcast4(const void* p) {
  std::int32_t word;
  __builtin_memcpy(&word, p, sizeof word);
  return _mm256_set1_epi32(word);
}

// sum + Σ over 4 neighbours of w·a, unsigned w times signed a. Without the instruction only as long
// as no two products exceed 16 bits.
inline __m256i dot_bytes(__m256i sum, __m256i w, __m256i a) {
#ifdef __AVXVNNI__
  return _mm256_dpbusd_avx_epi32(sum, w, a);
#else
  const __m256i pairs = _mm256_maddubs_epi16(w, a);
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
#endif
}

// acc + Σ over 4 neighbours of w·a, the 4 activations being the same for every lane.
template <bool kSigned>
inline VI dot4(VI acc, VB w, const std::int8_t* a) {
  const __m256i word = broadcast4(a);
  const auto half = [word](__m256i sum, __m256i weights) {
    if constexpr (kSigned && !kDotsBytes)
      return dot_bytes(sum, _mm256_abs_epi8(weights), _mm256_sign_epi8(word, weights));
    else
      return dot_bytes(sum, weights, word);
  };
  return {half(acc.lo, w.lo), half(acc.hi, w.hi)};
}
// c0·sum[0] + c1·sum[1] in every lane.
inline VI sum_dot(const std::int16_t* sum, int c0, int c1) {
  const __m256i product =
      _mm256_madd_epi16(broadcast4(sum), _mm256_set1_epi32((c0 & 0xffff) | c1 * 65536));
  return {product, product};
}
inline void prefetch(const void* p) {
  _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0);
}
inline void prefetch_far(const void* p) {
  _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T1);
}

}  // namespace
}  // namespace lathe::infer
