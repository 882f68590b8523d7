// What a sequence begins with: tokens, and in place of some of them rows of embeddings, which an
// encoder made of a picture or a sound. Plain data.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ground/base/result.h"
#include "infer/cache/prefix_index.h"
#include "infer/models/rope.h"
#include "infer/tokens/tokenizer.h"

namespace lathe::infer {

// How the rows of a block stand to each other.
struct RowShape {
  // The rows are a grid of so many columns, row by row; 0: they follow each other like tokens. In
  // a grid that begins where the text has come to p, models whose positions have sections
  // (RopeSpec) give row y, column x the positions t = p, y = p + y, x = p + x, and what comes next
  // p + max(rows, columns) of the grid.
  std::size_t grid_columns = 0;
  bool mutual = false;  // each row sees all of them, also those behind it
  bool operator==(const RowShape&) const = default;
};

// The rows of one picture or sound. Immutable; any thread may read them.
class RowBlock {
 public:
  // One row behind the other. Refuses none, half a row, half a row of a grid, and what is no finite
  // number. A row has `embedding` numbers of a model or a multiple of it: what is added to the
  // outputs of its first layers, the first one's first, stands behind the embedding (deepstack).
  static Result<std::shared_ptr<const RowBlock>> make(std::size_t width, std::vector<float> values,
                                                      RowShape shape = {});

  std::size_t rows() const { return values_.size() / width_; }
  std::size_t width() const { return width_; }
  const RowShape& shape() const { return shape_; }
  const float* row(std::size_t i) const { return values_.data() + i * width_; }
  // Of the content and the shape of the whole block and the row's place in it (63 bits of SHA-256):
  // rows of different blocks have different keys, those of equal ones the same.
  PositionKey key(std::size_t i) const { return kRows | ((hash_ + i) & ~kRows); }

 private:
  static constexpr PositionKey kRows = PositionKey{1} << 63;  // no token's key
  RowBlock(std::size_t width, std::vector<float> values, RowShape shape);
  std::size_t width_;
  RowShape shape_;
  std::vector<float> values_;
  std::uint64_t hash_;
};

// A block's rows at positions [first, first + rows()).
struct PlacedRows {
  std::size_t first = 0;
  std::shared_ptr<const RowBlock> block;
  std::size_t end() const { return first + block->rows(); }
};

// The row at a position; nullptr: a token stands there. `rows` in order of their positions.
const float* row_at(std::span<const PlacedRows> rows, std::size_t position);

// Where a position turns to (RowShape): behind grids that are less deep and wide than they have
// rows, texts go on at smaller numbers than their place in the sequence.
RopePosition rope_position(std::span<const PlacedRows> rows, std::size_t position);

// Rows that see each other are computed in one step. The end of what is computed together with a
// position: of its block, or position + 1.
std::size_t together_until(std::span<const PlacedRows> rows, std::size_t position);
// How many of the next `count` positions from `from` on one step can compute without the rows
// behind them; 0: it would have to compute more.
std::size_t uncut(std::span<const PlacedRows> rows, std::size_t from, std::size_t count);

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
