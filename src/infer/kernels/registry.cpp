#include <algorithm>
#include <array>

#include "ground/base/result.h"
#include "infer/kernels/tables.h"

namespace lathe {
namespace {

constexpr std::array kBuilt = {&kScalarTable};

}  // namespace

const PackedType& packed_type(const KernelTable& table, TensorType type) {
  const auto row = std::ranges::find(table.types, type, &PackedType::type);
  LATHE_CHECK(row != table.types.end());
  return *row;
}

std::span<const KernelTable* const> kernel_tables() {
  return kBuilt;
}

const KernelTable* find_kernel_table(std::string_view name) {
  const auto tables = kernel_tables();
  const auto table = std::ranges::find(tables, name, &KernelTable::name);
  return table == tables.end() ? nullptr : *table;
}

const KernelTable& best_kernel_table() {
  return *kernel_tables().back();
}

}  // namespace lathe
