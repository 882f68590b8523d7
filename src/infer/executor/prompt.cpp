// Prompts of tokens and rows.
#include "infer/executor/prompt.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "ground/base/hash.h"

namespace lathe::infer {

Result<std::shared_ptr<const RowBlock>> RowBlock::make(std::size_t width, std::vector<float> values,
                                                       RowShape shape) {
  if (width == 0 || values.empty() || values.size() % width != 0)
    return invalid("{} numbers are no rows of {}", values.size(), width);
  const std::size_t rows = values.size() / width;
  if (shape.grid_columns != 0 && rows % shape.grid_columns != 0)
    return invalid("{} rows are no grid of {} columns", rows, shape.grid_columns);
  const auto odd = std::ranges::find_if(values, [](float each) { return !std::isfinite(each); });
  if (odd != values.end()) {
    const auto at = static_cast<std::size_t>(odd - values.begin());
    return invalid("number {} of row {} is {}; rows are finite", at % width, at / width, *odd);
  }
  return std::shared_ptr<const RowBlock>(new RowBlock(width, std::move(values), shape));
}

RowBlock::RowBlock(std::size_t width, std::vector<float> values, RowShape shape)
    : width_(width), shape_(shape), values_(std::move(values)) {
  const auto bytes = std::as_bytes(std::span(values_));
  std::string content = fmt::format("{} {} {} ", width, shape.grid_columns, shape.mutual);
  content.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  hash_ = std::stoull(sha256_hex(content).substr(0, 16), nullptr, 16);
}

namespace {

// The block that a position is of; nullptr: a token stands there.
const PlacedRows* run_at(std::span<const PlacedRows> rows, std::size_t position) {
  const auto behind = std::ranges::upper_bound(rows, position, {}, &PlacedRows::first);
  if (behind == rows.begin()) return nullptr;
  const PlacedRows& run = *std::prev(behind);
  return position < run.end() ? &run : nullptr;
}

}  // namespace

const float* row_at(std::span<const PlacedRows> rows, std::size_t position) {
  const PlacedRows* run = run_at(rows, position);
  return run == nullptr ? nullptr : run->block->row(position - run->first);
}

RopePosition rope_position(std::span<const PlacedRows> rows, std::size_t position) {
  std::size_t saved = 0;  // by the grids before it
  for (const PlacedRows& run : rows) {
    const std::size_t columns = run.block->shape().grid_columns;
    if (run.first > position) break;
    if (columns == 0) continue;
    if (position < run.end()) {
      const std::size_t t = run.first - saved, i = position - run.first;
      return {t, t + i / columns, t + i % columns};
    }
    saved += run.block->rows() - std::max(run.block->rows() / columns, columns);
  }
  return RopePosition::of_text(position - saved);
}

std::size_t together_until(std::span<const PlacedRows> rows, std::size_t position) {
  const PlacedRows* run = run_at(rows, position);
  return run != nullptr && run->block->shape().mutual ? run->end() : position + 1;
}

std::size_t uncut(std::span<const PlacedRows> rows, std::size_t from, std::size_t count) {
  const std::size_t end = from + count;
  if (count == 0 || together_until(rows, end - 1) <= end) return count;
  return std::max(from, run_at(rows, end - 1)->first) - from;
}

void Prompt::add(std::shared_ptr<const RowBlock> block) {
  rows_.push_back({ids_.size(), block});
  ids_.insert(ids_.end(), block->rows(), kNoToken);
}

std::vector<TokenId> Prompt::tokens() const {
  std::vector<TokenId> tokens = ids_;
  std::erase(tokens, kNoToken);
  return tokens;
}

std::vector<PositionKey> Prompt::keys() const {
  std::vector<PositionKey> keys(ids_.begin(), ids_.end());
  for (const PlacedRows& run : rows_)
    for (std::size_t i = 0; i < run.block->rows(); ++i) keys[run.first + i] = run.block->key(i);
  return keys;
}

}  // namespace lathe::infer
