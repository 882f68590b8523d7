// The AVX-VNNI kernels with their one instruction done by AVX2, so that they can be tested on
// processors that lack it.
#include <immintrin.h>

namespace {

// sum + Σ over 4 neighbours of unsigned w · signed a, in 32 bits.
inline __m256i emulated_dpbusd(__m256i sum, __m256i w, __m256i a) {
  const __m256i low = _mm256_set1_epi16(0xff);
  const __m256i even =
      _mm256_madd_epi16(_mm256_and_si256(w, low), _mm256_srai_epi16(_mm256_slli_epi16(a, 8), 8));
  const __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(w, 8), _mm256_srai_epi16(a, 8));
  return _mm256_add_epi32(sum, _mm256_add_epi32(even, odd));
}

}  // namespace

#define __AVXVNNI__ 1
#define _mm256_dpbusd_avx_epi32 emulated_dpbusd
#include "infer/kernels/avxvnni.cpp"
