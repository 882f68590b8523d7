// Grids: models beside each other on the same prompts with the same seeds, a cell each. What a
// table of them says: pass rates with Wilson's intervals, McNemar's test between models, and what a
// pass took. Pure, any thread.
#pragma once

#include <map>

#include "app/bench/statistics.h"
#include "ground/base/result.h"

namespace lathe::app {

enum class CellState {
  kPassed,
  kFailed,
  kError,    // it was not made, or not judged
  kMissing,  // the run has no end of it
};
std::string_view cell_state_name(CellState state);  // "passed" "failed" "error" "missing"

struct Cell {
  CellState state = CellState::kMissing;
  std::string why = {};                    // of an error
  std::map<std::string, bool> marks = {};  // what judges said, by name
  std::int64_t make_us = 0;                // wall time of all calls that made it
  std::optional<std::int64_t> nano = {};   // the money that flowed for them; absent: none did
  std::int64_t unpriced = 0;               // calls that cost what is not known
};

struct GridModel {
  std::string name, model, where;
  std::string currency = {};  // of what it costs; "": nothing
};

struct GridPrompt {
  std::string key, group = {}, sha256 = {};
};

struct Grid {
  std::vector<GridModel> models = {};
  std::vector<GridPrompt> prompts = {};
  std::size_t seeds = 1;         // from 1 on
  std::vector<Cell> cells = {};  // one for every prompt, of it for every model, of it every seed

  std::size_t index(std::size_t prompt, std::size_t model, std::size_t seed) const {
    return (prompt * models.size() + model) * seeds + seed;  // of the first seed: 0
  }
};

// Which cells a row is about, and what of them: all; those of a group of prompts; all by one mark.
struct Slice {
  enum class Kind { kAll, kGroup, kMark } kind = Kind::kAll;
  std::string name = {};
};
std::vector<Slice> slices_of(const Grid& grid);  // groups and marks where there are two or more

struct GridRow {
  std::size_t model = 0;
  Slice slice = {};
  std::size_t passed = 0, judged = 0;   // the rate is of those that were judged
  std::size_t errors = 0, missing = 0;  // the others, which say nothing of the model
  std::int64_t make_us = 0, nano = 0, unpriced = 0;

  Interval interval() const { return wilson_interval(passed, judged); }
};
GridRow grid_row(const Grid& grid, std::size_t model, const Slice& slice);

// Two models on the same prompts with the same seeds.
struct GridPair {
  std::size_t a = 0, b = 0;
  Slice slice = {};
  std::size_t both = 0, only_a = 0, only_b = 0, neither = 0;
  std::size_t left_out = 0;  // one of the two was not judged

  double p() const { return mcnemar_p(only_a, only_b); }
};
GridPair grid_pair(const Grid& grid, std::size_t a, std::size_t b, const Slice& slice);

// All slices of all models, and of all pairs of them.
std::vector<GridRow> grid_rows(const Grid& grid);
std::vector<GridPair> grid_pairs(const Grid& grid);

// The members of a record: "models" stands in it by itself; "grid" has prompts, seeds, every cell,
// and what follows from them.
Json grid_models_json(const Grid& grid);
Json grid_json(const Grid& grid);
// The cells alone; refuses what cannot be, cells that are missing or there twice among it.
Result<Grid> grid_from_json(const Json& models, const Json& grid);

}  // namespace lathe::app
