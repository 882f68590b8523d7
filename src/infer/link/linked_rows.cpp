// Rows of products to bytes and back.
#include "infer/link/linked_rows.h"

#include <algorithm>
#include <cstring>

#include "infer/cpu/model.h"
#include "infer/models/tensors.h"

namespace lathe::infer {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{4} << 20;

struct RowsFrom {
  std::size_t first, end;
};

// What a machine has not of a matrix: of two parts one begins it, the other one ends it.
RowsFrom other_part(const PackedMatrix& matrix) {
  const RowPart& part = matrix.part;
  return part.first == 0 ? RowsFrom{matrix.rows, part.all} : RowsFrom{0, part.first};
}

// A piece ends behind the row that fills it.
std::size_t most_at_once(const Blueprint& blueprint) {
  std::size_t rows = 0;
  for (const TensorSpec& spec : tensors_of(blueprint))
    if (is_divided(spec, blueprint)) rows = std::max(rows, spec.rows);
  return kFrameHead + kPieceBytes + rows * sizeof(float);
}

}  // namespace

std::uint64_t LinkedRows::bytes_for(const Blueprint& blueprint) {
  return 2 * most_at_once(blueprint);
}

void LinkedRows::reserve(const Blueprint& blueprint) {
  out_.reserve(most_at_once(blueprint));
  in_.reserve(most_at_once(blueprint));
}

void LinkedRows::gather(std::span<const Product> products) {
  for (const Product& product : products) add_rows(product);
  exchange_rows(Ways::kBoth);
}

void LinkedRows::hand_in(const Product& product) {
  add_rows(product);
  exchange_rows(Ways::kToFirst);
}

void LinkedRows::add_rows(const Product& product) {
  if (!product.matrix->is_part()) return;
  for (std::size_t t = 0; t < product.tokens; ++t)
    rows_.push_back({product.out + t * product.stride, product.matrix});
}

// Both sides cut by the same rule: by what the rows would take as a whole.
void LinkedRows::exchange_rows(Ways ways) {
  std::span<const Row> left = rows_;
  while (status_ && !left.empty()) {
    std::size_t count = 0, bytes = 0;
    while (count < left.size() && (count == 0 || bytes < kPieceBytes))
      bytes += left[count++].matrix->all_rows() * sizeof(float);
    status_ = exchange_piece(left.first(count), ways);
    left = left.subspan(count);
  }
  rows_.clear();
}

Status LinkedRows::exchange_piece(std::span<const Row> rows, Ways ways) {
  const bool gives = ways == Ways::kBoth || !first_, takes = ways == Ways::kBoth || first_;
  out_.clear();
  in_.clear();
  std::size_t coming = 0;
  for (const Row& row : rows) {
    const auto [first, end] = other_part(*row.matrix);
    coming += (end - first) * sizeof(float);
  }
  if (takes) in_.resize(coming);
  if (gives) {
    out_.resize(kFrameHead);
    for (const Row& row : rows) {
      const auto own = std::as_bytes(std::span(row.all + row.matrix->part.first, row.matrix->rows));
      out_.insert(out_.end(), own.begin(), own.end());
    }
  }
  LATHE_TRY_STATUS(link_->exchange(FrameKind::kPart, out_, in_, silence_));
  const std::byte* from = in_.data();
  if (!takes) return {};
  for (const Row& row : rows) {
    const auto [first, end] = other_part(*row.matrix);
    std::memcpy(row.all + first, from, (end - first) * sizeof(float));
    from += (end - first) * sizeof(float);
  }
  return {};
}

}  // namespace lathe::infer
