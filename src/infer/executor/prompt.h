// What a sequence begins with: tokens, and in place of some of them rows of embeddings, which an
// encoder made of a picture or a sound. Plain data.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ground/base/result.h"
#include "infer/cache/prefix_index.h"
#include "infer/tokens/tokenizer.h"

namespace lathe::infer {

// The rows of one picture or sound. Immutable; any thread may read them.
class RowBlock {
 public:
  // One row behind the other. Refuses none, half a row, and what is no finite number.
  static Result<std::shared_ptr<const RowBlock>> make(std::size_t width, std::vector<float> values);

  std::size_t rows() const { return values_.size() / width_; }
  std::size_t width() const { return width_; }
  const float* row(std::size_t i) const { return values_.data() + i * width_; }
  // Of the content of the whole block and the row's place in it (63 bits of SHA-256): rows of
  // different blocks have different keys, those of equal ones the same.
  PositionKey key(std::size_t i) const { return kRows | ((hash_ + i) & ~kRows); }

 private:
  static constexpr PositionKey kRows = PositionKey{1} << 63;  // no token's key
  RowBlock(std::size_t width, std::vector<float> values);
  std::size_t width_;
  std::vector<float> values_;
  std::uint64_t hash_;
};

// A block's rows at positions [first, first + rows()).
struct PlacedRows {
  std::size_t first = 0;
  std::shared_ptr<const RowBlock> block;
};

// The row at a position; nullptr: a token stands there. `rows` in order of their positions.
const float* row_at(std::span<const PlacedRows> rows, std::size_t position);

class Prompt {
 public:
  Prompt() = default;
  Prompt(std::vector<TokenId> ids) : ids_(std::move(ids)) {}

  void add(std::span<const TokenId> ids) { ids_.insert(ids_.end(), ids.begin(), ids.end()); }
  void add(std::shared_ptr<const RowBlock> block);

  std::size_t size() const { return ids_.size(); }  // positions
  bool empty() const { return ids_.empty(); }
  const std::vector<TokenId>& ids() const { return ids_; }    // kNoToken where a row stands
  std::span<const PlacedRows> rows() const { return rows_; }  // in order
  std::vector<TokenId> tokens() const;                        // without what is none
  std::vector<PositionKey> keys() const;

 private:
  std::vector<TokenId> ids_;
  std::vector<PlacedRows> rows_;
};

}  // namespace lathe::infer
