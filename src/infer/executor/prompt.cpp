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

const float* row_at(std::span<const PlacedRows> rows, std::size_t position) {
  const auto behind = std::ranges::upper_bound(rows, position, {}, &PlacedRows::first);
  if (behind == rows.begin()) return nullptr;
  const PlacedRows& run = *std::prev(behind);
  const std::size_t i = position - run.first;
  return i < run.block->rows() ? run.block->row(i) : nullptr;
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
