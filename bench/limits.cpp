// The most that the machine multiplies and adds a second, measured from registers.
#include "bench/limits.h"

#include <cstdint>

#if defined(__x86_64__)
#include <asm/prctl.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace lathe {

#if defined(__x86_64__)

namespace {

constexpr int kRounds = 4'000'000;

[[gnu::target("avx512f,avx512vnni")]] double peak_vnni() {
  __m512i a[12] = {};
  const __m512i w = _mm512_set1_epi8(3);
  for (int round = 0; round < kRounds; ++round)
    for (__m512i& sum : a) asm volatile("vpdpbusd %1, %1, %0" : "+v"(sum) : "v"(w));
  return 12.0 * 128 * kRounds;
}

[[gnu::target("avx512f")]] double peak_fma512() {
  __m512 a[12] = {};
  const __m512 w = _mm512_set1_ps(0.5f);
  for (int round = 0; round < kRounds; ++round)
    for (__m512& sum : a) asm volatile("vfmadd231ps %1, %1, %0" : "+v"(sum) : "v"(w));
  return 12.0 * 32 * kRounds;
}

[[gnu::target("avx2,fma")]] double peak_fma256() {
  __m256 a[12] = {};
  const __m256 w = _mm256_set1_ps(0.5f);
  for (int round = 0; round < kRounds; ++round)
    for (__m256& sum : a) asm volatile("vfmadd231ps %1, %1, %0" : "+x"(sum) : "x"(w));
  return 12.0 * 16 * kRounds;
}

struct alignas(64) TileConfig {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t bytes[16] = {};
  std::uint8_t rows[16] = {};
};

[[gnu::target("amx-tile,amx-int8")]] double peak_amx() {
  syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, 18);
  TileConfig config;
  for (int i = 0; i < 8; ++i) config.bytes[i] = 64, config.rows[i] = 16;
  asm volatile("ldtilecfg %0" : : "m"(config));  // GCC 12's own reads 8 bytes of it only
  alignas(64) static const std::int8_t zeros[1024] = {};
  _tile_loadd(6, zeros, 64);
  _tile_loadd(7, zeros, 64);
  for (int i = 0; i < kRounds / 20; ++i) {
    _tile_dpbssd(0, 6, 7);
    _tile_dpbssd(1, 6, 7);
    _tile_dpbssd(2, 6, 7);
    _tile_dpbssd(3, 6, 7);
  }
  _tile_release();
  return 4.0 * 2 * 16 * 16 * 64 * (kRounds / 20);
}

}  // namespace

std::vector<Peak> peaks() {
  std::vector<Peak> out;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    out.push_back({"fma256", peak_fma256});
  if (__builtin_cpu_supports("avx512f")) out.push_back({"fma512", peak_fma512});
  if (__builtin_cpu_supports("avx512vnni")) out.push_back({"vnni", peak_vnni});
  if (__builtin_cpu_supports("amx-int8")) out.push_back({"amx", peak_amx});
  return out;
}

#else

std::vector<Peak> peaks() {
  return {};
}

#endif

}  // namespace lathe
