// Cells to rows, pairs and records, and the way back.
#include "app/bench/grid.h"

#include <algorithm>
#include <set>

namespace lathe::app {
namespace {

constexpr CellState kStates[] = {CellState::kPassed, CellState::kFailed, CellState::kError,
                                 CellState::kMissing};
constexpr int kProbabilityDigits = 9;
constexpr std::size_t kMostCells = 10'000;

bool is_in(const Grid& grid, std::size_t prompt, const Slice& slice) {
  return slice.kind != Slice::Kind::kGroup || grid.prompts[prompt].group == slice.name;
}

// nullopt: nobody judged it.
std::optional<bool> said(const Cell& cell, const Slice& slice) {
  if (slice.kind == Slice::Kind::kMark) {
    const auto mark = cell.marks.find(slice.name);
    return mark == cell.marks.end() ? std::nullopt : std::optional(mark->second);
  }
  if (cell.state == CellState::kPassed) return true;
  return cell.state == CellState::kFailed ? std::optional(false) : std::nullopt;
}

std::string_view slice_name(Slice::Kind kind) {
  switch (kind) {
    case Slice::Kind::kGroup:
      return "group";
    case Slice::Kind::kMark:
      return "mark";
    case Slice::Kind::kAll:
      break;
  }
  return "all";
}

Json cell_json(const Grid& grid, std::size_t i) {
  const Cell& cell = grid.cells[i];
  const std::size_t rest = i / grid.seeds;
  Json json = {{"prompt", grid.prompts[rest / grid.models.size()].key},
               {"model", grid.models[rest % grid.models.size()].name},
               {"seed", i % grid.seeds + 1},
               {"state", cell_state_name(cell.state)},
               {"marks", Json::object()},
               {"make_us", cell.make_us},
               {"nano", cell.nano ? Json(*cell.nano) : Json()},
               {"unpriced", cell.unpriced}};
  for (const auto& [name, pass] : cell.marks) json["marks"][name] = pass;
  if (!cell.why.empty()) json["why"] = cell.why;
  return json;
}

Json row_json(const Grid& grid, const GridRow& row) {
  const GridModel& model = grid.models[row.model];
  const Interval interval = row.interval();
  const auto share = [](double a, std::size_t b) {
    return b == 0 ? Json() : Json(decimal(a / static_cast<double>(b)));
  };
  const bool priced = !model.currency.empty() && row.unpriced == 0;
  return {
      {"model", model.name},
      {"of", slice_name(row.slice.kind)},
      {"name", row.slice.name},
      {"passed", row.passed},
      {"judged", row.judged},
      {"errors", row.errors},
      {"missing", row.missing},
      {"rate", share(static_cast<double>(row.passed), row.judged)},
      {"low", decimal(interval.low)},
      {"high", decimal(interval.high)},
      {"seconds_a_pass", share(static_cast<double>(row.make_us) * 1e-6, row.passed)},
      {"unpriced", row.unpriced},
      {"money_a_pass", priced ? share(static_cast<double>(row.nano) * 1e-9, row.passed) : Json()},
      {"currency", model.currency.empty() ? Json() : Json(model.currency)}};
}

Json pair_json(const Grid& grid, const GridPair& pair) {
  return {{"a", grid.models[pair.a].name},
          {"b", grid.models[pair.b].name},
          {"of", slice_name(pair.slice.kind)},
          {"name", pair.slice.name},
          {"both", pair.both},
          {"only_a", pair.only_a},
          {"only_b", pair.only_b},
          {"neither", pair.neither},
          {"left_out", pair.left_out},
          {"p", decimal(pair.p(), kProbabilityDigits)}};
}

Result<std::int64_t> count_at(const Json& json, std::string_view key) {
  const Json& member = json_at(json, key);
  if (!member.is_number_integer() || member < 0)
    return invalid("{}: must be a whole number, 0 or more", key);
  return member.get<std::int64_t>();
}

Result<Cell> cell_from_json(const Json& json) {
  Cell cell;
  const std::string state = json_string(json, "state");
  const auto found = std::ranges::find(kStates, state, cell_state_name);
  if (found == std::end(kStates)) return invalid("state: '{}' is none", state);
  cell.state = *found;
  cell.why = json_string(json, "why");
  const Json& marks = json_at(json, "marks");
  if (!marks.is_object()) return invalid("marks: must be an object");
  for (const auto& [name, pass] : marks.items()) {
    if (!pass.is_boolean()) return invalid("marks.{}: must be true or false", name);
    cell.marks[name] = pass.get<bool>();
  }
  LATHE_TRY(cell.make_us, count_at(json, "make_us"));
  LATHE_TRY(cell.unpriced, count_at(json, "unpriced"));
  if (!json_at(json, "nano").is_null()) {
    LATHE_TRY(cell.nano, count_at(json, "nano"));
  }
  return cell;
}

// Names that tell apart.
Status take_name(const Json& json, std::string_view key, std::set<std::string>& names) {
  const std::string name = json_string(json, key);
  if (name.empty()) return invalid("{}: must be a text that is not empty", key);
  if (!names.insert(name).second) return invalid("{}: '{}' stands twice", key, name);
  return {};
}

}  // namespace

std::string_view cell_state_name(CellState state) {
  switch (state) {
    case CellState::kPassed:
      return "passed";
    case CellState::kFailed:
      return "failed";
    case CellState::kError:
      return "error";
    case CellState::kMissing:
      break;
  }
  return "missing";
}

std::vector<Slice> slices_of(const Grid& grid) {
  std::set<std::string> groups, marks;
  for (const GridPrompt& prompt : grid.prompts) groups.insert(prompt.group);
  for (const Cell& cell : grid.cells)
    for (const auto& [name, pass] : cell.marks) marks.insert(name);
  std::vector<Slice> slices{{}};
  if (groups.size() > 1)
    for (const std::string& group : groups) slices.push_back({Slice::Kind::kGroup, group});
  if (marks.size() > 1)
    for (const std::string& mark : marks) slices.push_back({Slice::Kind::kMark, mark});
  return slices;
}

GridRow grid_row(const Grid& grid, std::size_t model, const Slice& slice) {
  GridRow row{.model = model, .slice = slice};
  for (std::size_t prompt = 0; prompt < grid.prompts.size(); ++prompt) {
    if (!is_in(grid, prompt, slice)) continue;
    for (std::size_t seed = 0; seed < grid.seeds; ++seed) {
      const Cell& cell = grid.cells[grid.index(prompt, model, seed)];
      if (const auto pass = said(cell, slice)) {
        ++row.judged;
        row.passed += *pass ? 1 : 0;
      } else {
        row.errors += cell.state == CellState::kError ? 1 : 0;
        row.missing += cell.state == CellState::kMissing ? 1 : 0;
      }
      row.make_us += cell.make_us;
      row.nano += cell.nano.value_or(0);
      row.unpriced += cell.unpriced;
    }
  }
  return row;
}

GridPair grid_pair(const Grid& grid, std::size_t a, std::size_t b, const Slice& slice) {
  GridPair pair{.a = a, .b = b, .slice = slice};
  for (std::size_t prompt = 0; prompt < grid.prompts.size(); ++prompt) {
    if (!is_in(grid, prompt, slice)) continue;
    for (std::size_t seed = 0; seed < grid.seeds; ++seed) {
      const auto of_a = said(grid.cells[grid.index(prompt, a, seed)], slice);
      const auto of_b = said(grid.cells[grid.index(prompt, b, seed)], slice);
      ++(!of_a || !of_b ? pair.left_out
         : *of_a        ? (*of_b ? pair.both : pair.only_a)
         : *of_b        ? pair.only_b
                        : pair.neither);
    }
  }
  return pair;
}

std::vector<GridRow> grid_rows(const Grid& grid) {
  std::vector<GridRow> rows;
  for (const Slice& slice : slices_of(grid))
    for (std::size_t model = 0; model < grid.models.size(); ++model)
      rows.push_back(grid_row(grid, model, slice));
  return rows;
}

std::vector<GridPair> grid_pairs(const Grid& grid) {
  std::vector<GridPair> pairs;
  for (const Slice& slice : slices_of(grid))
    for (std::size_t a = 0; a < grid.models.size(); ++a)
      for (std::size_t b = a + 1; b < grid.models.size(); ++b)
        pairs.push_back(grid_pair(grid, a, b, slice));
  return pairs;
}

Json grid_models_json(const Grid& grid) {
  Json list = Json::array();
  for (const GridModel& model : grid.models)
    list.push_back({{"model", model.name},
                    {"asked", model.model},
                    {"where", model.where},
                    {"currency", model.currency}});
  return list;
}

Json grid_json(const Grid& grid) {
  Json json = {{"seeds", grid.seeds},
               {"prompts", Json::array()},
               {"cells", Json::array()},
               {"rows", Json::array()},
               {"pairs", Json::array()}};
  for (const GridPrompt& prompt : grid.prompts)
    json["prompts"].push_back(
        {{"key", prompt.key}, {"group", prompt.group}, {"sha256", prompt.sha256}});
  for (std::size_t i = 0; i < grid.cells.size(); ++i) json["cells"].push_back(cell_json(grid, i));
  for (const GridRow& row : grid_rows(grid)) json["rows"].push_back(row_json(grid, row));
  for (const GridPair& pair : grid_pairs(grid)) json["pairs"].push_back(pair_json(grid, pair));
  return json;
}

Result<Grid> grid_from_json(const Json& models, const Json& json) {
  Grid grid;
  std::set<std::string> names, keys;
  for (std::size_t i = 0; i < models.size(); ++i) {
    if (auto fine = take_name(models[i], "model", names); !fine)
      return invalid("models[{}].{}", i, fine.error().message);
    grid.models.push_back({json_string(models[i], "model"), json_string(models[i], "asked"),
                           json_string(models[i], "where"), json_string(models[i], "currency")});
  }
  const Json& prompts = json_at(json, "prompts");
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    if (auto fine = take_name(prompts[i], "key", keys); !fine)
      return invalid("prompts[{}].{}", i, fine.error().message);
    grid.prompts.push_back({json_string(prompts[i], "key"), json_string(prompts[i], "group"),
                            json_string(prompts[i], "sha256")});
  }
  LATHE_TRY(const std::int64_t seeds, count_at(json, "seeds"));
  const Json& cells = json_at(json, "cells");
  if (grid.models.empty() || grid.prompts.empty() || seeds == 0 || !cells.is_array())
    return invalid("a grid needs models, prompts, seeds and cells");
  if (cells.size() > kMostCells) return invalid("cells: more than {}", kMostCells);
  if (static_cast<std::uint64_t>(seeds) > kMostCells ||
      grid.models.size() * grid.prompts.size() > kMostCells ||
      grid.models.size() * grid.prompts.size() * static_cast<std::size_t>(seeds) != cells.size())
    return invalid("cells: there are {}, of {} models, {} prompts and {} seeds", cells.size(),
                   grid.models.size(), grid.prompts.size(), seeds);
  grid.seeds = static_cast<std::size_t>(seeds);
  for (std::size_t i = 0; i < cells.size(); ++i) {
    auto cell = cell_from_json(cells[i]);
    if (!cell) return invalid("cells[{}].{}", i, cell.error().message);
    grid.cells.push_back(*std::move(cell));
    const Json should = cell_json(grid, i);
    for (const char* key : {"prompt", "model", "seed"})
      if (json_at(cells[i], key) != should[key])
        return invalid("cells[{}].{}: is {}, where {} comes: a cell is missing or stands twice", i,
                       key, dump_json(json_at(cells[i], key)), dump_json(should[key]));
  }
  return grid;
}

}  // namespace lathe::app
