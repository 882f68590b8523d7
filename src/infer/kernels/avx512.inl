// Vectors of 16 lanes for panel.inl and attend.inl, AVX-512 with VNNI. Signed weights are shifted
// to unsigned ones (kSignedOffset), which is what vpdpbusd takes.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace lathe::infer {
namespace {

using VF = __m512;
using VI = __m512i;
using VB = __m512i;
constexpr int kSignedOffset = 128;
// What tile.inl may keep in registers.
constexpr int kRegisterRows = 12, kRegisterVectors = 2;

inline VF vf_zero() {
  return _mm512_setzero_ps();
}
inline VF vf_set1(float x) {
  return _mm512_set1_ps(x);
}
inline VF vf_load(const float* p) {
  return _mm512_loadu_ps(p);
}
inline void vf_store(float* p, VF x) {
  _mm512_storeu_ps(p, x);
}
inline VF vf_load_n(const float* p, std::size_t n) {
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p);
}
inline void vf_store_n(float* p, VF x, std::size_t n) {
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), x);
}
inline VF vf_add(VF a, VF b) {
  return _mm512_add_ps(a, b);
}
inline VF vf_sub(VF a, VF b) {
  return _mm512_sub_ps(a, b);
}
inline VF vf_mul(VF a, VF b) {
  return _mm512_mul_ps(a, b);
}
inline VF vf_fma(VF a, VF b, VF c) {
  return _mm512_fmadd_ps(a, b, c);
}
inline VF vf_from_i(VI x) {
  return _mm512_cvtepi32_ps(x);
}
inline VF vf_bits(VI x) {
  return _mm512_castsi512_ps(x);
}
inline VF vf_load_f16(const void* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
}
inline VF vf_negative(VF x) {
  return _mm512_xor_ps(x, vf_set1(-0.0f));
}
// Lanes first … last-1 of x, the others from y. Both 0 … 16.
inline VF vf_select(VF x, VF y, int first, int last) {
  const unsigned keep = ((1u << last) - 1) & ~((1u << first) - 1);
  return _mm512_mask_mov_ps(y, static_cast<__mmask16>(keep), x);
}
// All lanes as the tree 8, 4, 2, 1.
inline float vf_fold_sum(VF x) {
  const __m256 s8 = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
  const __m128 s4 = _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
  const __m128 s2 = _mm_add_ps(s4, _mm_movehl_ps(s4, s4));
  return _mm_cvtss_f32(_mm_add_ss(s2, _mm_movehdup_ps(s2)));
}
// low > x ? 0 : x > high ? infinity : y
inline VF vf_clip_exp(VF x, VF y, float low, float high) {
  y = _mm512_mask_mov_ps(y, _mm512_cmp_ps_mask(x, vf_set1(high), _CMP_GT_OQ),
                         vf_set1(__builtin_inff()));
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, vf_set1(low), _CMP_NLT_UQ), y);
}
// The larger one of each lane; a NaN only if both are.
inline VF vf_larger(VF a, VF b) {
  const __mmask16 take = static_cast<__mmask16>(_mm512_cmp_ps_mask(b, a, _CMP_GT_OQ) |
                                                _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q));
  return _mm512_mask_mov_ps(a, take, b);
}
// The tree of fold_max in elementwise.inl.
inline float vf_fold_max(VF x) {
  x = vf_larger(x, _mm512_shuffle_f32x4(x, x, 0x4e));
  x = vf_larger(x, _mm512_shuffle_f32x4(x, x, 0xb1));
  x = vf_larger(x, _mm512_permute_ps(x, 0x4e));
  return _mm512_cvtss_f32(vf_larger(x, _mm512_permute_ps(x, 0xb1)));
}

inline VI vi_zero() {
  return _mm512_setzero_si512();
}
inline VI vi_set1(int x) {
  return _mm512_set1_epi32(x);
}
inline VI vi_load(const void* p) {
  return _mm512_loadu_si512(p);
}
inline VI vi_load_u8(const void* p) {
  return _mm512_cvtepu8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p)));
}
inline VI vi_load_i8(const void* p) {
  return _mm512_cvtepi8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p)));
}
inline VI vi_load_u16(const void* p) {
  return _mm512_cvtepu16_epi32(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
}
inline VI vi_add(VI a, VI b) {
  return _mm512_add_epi32(a, b);
}
inline VI vi_and(VI a, VI b) {
  return _mm512_and_si512(a, b);
}
inline VI vi_or(VI a, VI b) {
  return _mm512_or_si512(a, b);
}
inline VI vi_xor(VI a, VI b) {
  return _mm512_xor_si512(a, b);
}
inline void vi_store(void* p, VI x) {
  _mm512_storeu_si512(p, x);
}
inline VI vi_shr(VI a, int n) {
  return _mm512_srl_epi32(a, _mm_cvtsi32_si128(n));
}
inline VI vi_shl(VI a, int n) {
  return _mm512_sll_epi32(a, _mm_cvtsi32_si128(n));
}
inline VI vi_as_bits(VF x) {
  return _mm512_castps_si512(x);
}
// Lanes where a < limit from x, the others from y.
inline VI vi_select_below(VI a, int limit, VI x, VI y) {
  return _mm512_mask_mov_epi32(y, _mm512_cmplt_epi32_mask(a, vi_set1(limit)), x);
}
// 16-bit halves that are f16, zero-extended → f32 (exact).
inline VF vf_from_f16_words(VI x) {
  return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(x));
}

inline VB vb_load(const void* p) {
  return _mm512_loadu_si512(p);
}
inline void vb_store(void* p, VB x) {
  _mm512_storeu_si512(p, x);
}
inline VB vb_of(VI x) {
  return x;
}
inline VB vb_add(VB a, VB b) {
  return _mm512_add_epi8(a, b);
}
// Bytes of x whose byte of `bits` has this bit, negated.
template <int kBit>
inline VB vb_negate_where(VB x, VB bits) {
  const __mmask64 minus =
      _mm512_test_epi8_mask(bits, _mm512_set1_epi8(static_cast<char>(1 << kBit)));
  return _mm512_mask_sub_epi8(x, minus, _mm512_setzero_si512(), x);
}
// The words of 4 bytes of a, then b: every first of two to a, every second to b.
inline void vb_unzip(VB& a, VB& b) {
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const __m512i odd = _mm512_or_si512(even, _mm512_set1_epi32(1));
  const VB first = _mm512_permutex2var_epi32(a, even, b);
  b = _mm512_permutex2var_epi32(a, odd, b);
  a = first;
}
inline VB vb_low_nibbles(VB x) {
  return _mm512_and_si512(x, _mm512_set1_epi8(15));
}
inline VB vb_high_nibbles(VB x) {
  return _mm512_and_si512(_mm512_srli_epi16(x, 4), _mm512_set1_epi8(15));
}
// Bits kFrom … of every byte, under the mask, moved to bit kTo … and added to `low`.
template <int kFrom, int kTo, int kMask>
inline VB vb_or_field(VB low, VB x) {
  if constexpr (kFrom > kTo)
    x = _mm512_srli_epi16(x, kFrom - kTo);
  else if constexpr (kFrom < kTo)
    x = _mm512_slli_epi16(x, kTo - kFrom);
  return _mm512_ternarylogic_epi32(low, x, _mm512_set1_epi8(static_cast<char>(kMask << kTo)), 0xf8);
}
inline VB vb_zero() {
  return _mm512_setzero_si512();
}
inline VB vb_from_signed(VB x) {
  return _mm512_xor_si512(x, _mm512_set1_epi8(static_cast<char>(0x80)));
}
inline VB vb_table(const std::int8_t* values) {
  return vb_from_signed(
      _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(values))));
}
inline VB vb_lookup(VB table, VB index) {
  return _mm512_shuffle_epi8(table, index);
}

// acc + Σ over 4 neighbours of w·a, the 4 activations being the same for every lane.
template <bool kSigned>
inline VI dot4(VI acc, VB w, const std::int8_t* a) {
  using Word [[gnu::may_alias, gnu::aligned(1)]] = std::int32_t;
  asm("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(acc) : "v"(w), "m"(*reinterpret_cast<const Word*>(a)));
  return acc;
}
// c0·sum[0] + c1·sum[1] in every lane.
inline VI sum_dot(const std::int16_t* sum, int c0, int c1) {
  using Word [[gnu::may_alias, gnu::aligned(1)]] = std::int32_t;
  VI acc = vi_zero();
  const VI factors = vi_set1((c0 & 0xffff) | c1 * 65536);
  asm("vpdpwssd %2%{1to16%}, %1, %0"
      : "+v"(acc)
      : "v"(factors), "m"(*reinterpret_cast<const Word*>(sum)));
  return acc;
}
inline void prefetch(const void* p) {
  _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0);
}
inline void prefetch_far(const void* p) {
  _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T1);
}

}  // namespace
}  // namespace lathe::infer
