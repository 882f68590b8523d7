// Which tables this build has, and which of them this processor can run.
#include <algorithm>
#include <array>

#include "ground/base/result.h"
#include "infer/kernels/tables.h"

#if defined(__x86_64__)
#include <asm/prctl.h>
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace lathe::infer {
namespace {

struct Built {
  const KernelTable* table;
  bool (*runs_here)();
};

#if defined(__x86_64__)
struct CpuId {
  unsigned a = 0, b = 0, c = 0, d = 0;
  explicit CpuId(unsigned leaf, unsigned part = 0) {
    __get_cpuid_count(leaf, part, &a, &b, &c, &d);
  }
};

// Clang's __builtin_cpu_supports knows neither f16c nor the tiles.
bool has_avx2() {
  const bool f16c = (CpuId(1).c >> 29 & 1) != 0;
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && f16c;
}

bool has_avxvnni() {
  return has_avx2() && (CpuId(7, 1).a >> 4 & 1) != 0;
}

bool has_avx512vnni() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni");
}

// Linux gives a process the tiles when it asks: arch_prctl(ARCH_REQ_XCOMP_PERM,
// XFEATURE_XTILEDATA).
bool has_avx512amx() {
  constexpr long kTileData = 18;
  const bool tiles_of_int8 = (CpuId(7).d >> 24 & 3) == 3;
  return has_avx512vnni() && tiles_of_int8 &&
         syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, kTileData) == 0;
}
#elif defined(__aarch64__)
bool has_neon_dotprod() {
  return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
}

bool has_neon_i8mm() {
  return has_neon_dotprod() && (getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0;
}
#endif

constexpr Built kBuilt[] = {
    {&kScalarTable, [] { return true; }},
#if defined(__x86_64__)
    {&kAvx2Table, has_avx2},
    {&kAvxVnniTable, has_avxvnni},
    {&kAvx512VnniTable, has_avx512vnni},
    {&kAvx512AmxTable, has_avx512amx},
#elif defined(__aarch64__)
    {&kNeonDotprodTable, has_neon_dotprod},
    {&kNeonI8mmTable, has_neon_i8mm},
#endif
};

struct Usable {
  std::array<const KernelTable*, std::size(kBuilt)> tables;
  std::size_t count = 0;

  Usable() {
    for (const Built& built : kBuilt)
      if (built.runs_here()) tables[count++] = built.table;
  }
};

}  // namespace

std::span<const KvTypeName> kv_types() {
  static constexpr KvTypeName kNames[] = {{"f32", KvType::kF32},
                                          {"f16", KvType::kF16},
                                          {"q8_0", KvType::kQ8_0},
                                          {"q5_1", KvType::kQ5_1},
                                          {"q4_0", KvType::kQ4_0}};
  return kNames;
}

std::optional<KvType> find_kv_type(std::string_view name) {
  for (const KvTypeName& each : kv_types())
    if (each.name == name) return each.type;
  return std::nullopt;
}

const PackedType& packed_type(const KernelTable& table, TensorType type) {
  const auto row = std::ranges::find(table.types, type, &PackedType::type);
  LATHE_CHECK(row != table.types.end());
  return *row;
}

std::span<const KernelTable* const> kernel_tables() {
  static const Usable usable;
  return std::span(usable.tables).first(usable.count);
}

const KernelTable* find_kernel_table(std::string_view name) {
  const auto tables = kernel_tables();
  const auto table = std::ranges::find(tables, name, &KernelTable::name);
  return table == tables.end() ? nullptr : *table;
}

const KernelTable& best_kernel_table() {
  return *kernel_tables().back();
}

}  // namespace lathe::infer
