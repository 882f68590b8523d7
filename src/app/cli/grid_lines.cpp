// A grid's table, in lines for a terminal.
#include "app/cli/grid.h"
#include "books/ledger/totals.h"
#include "ground/base/text.h"

namespace lathe::app {
namespace {

std::string slice_words(const Slice& slice) {
  switch (slice.kind) {
    case Slice::Kind::kGroup:
      return slice.name.empty() ? "no group" : slice.name;
    case Slice::Kind::kMark:
      return slice.name;
    case Slice::Kind::kAll:
      break;
  }
  return "all";
}

std::string rate_words(const GridRow& row) {
  if (row.judged == 0) return "none judged";
  const Interval interval = row.interval();
  return fmt::format("{:.1f} % ({:.1f} … {:.1f})",
                     100 * static_cast<double>(row.passed) / static_cast<double>(row.judged),
                     100 * interval.low, 100 * interval.high);
}

std::string seconds_words(const GridRow& row) {
  if (row.passed == 0) return "–";
  return fmt::format("{:.3g} s",
                     static_cast<double>(row.make_us) * 1e-6 / static_cast<double>(row.passed));
}

std::string money_words(const GridModel& model, const GridRow& row) {
  if (row.unpriced > 0) return "unpriced";
  if (model.currency.empty()) return "no money";
  if (row.passed == 0) return "–";
  return books::format_nano(row.nano / static_cast<std::int64_t>(row.passed), model.currency);
}

}  // namespace

std::string grid_lines(const Grid& grid) {
  std::size_t names = 5, slices = 2;
  for (const GridModel& model : grid.models) names = std::max(names, model.name.size());
  const std::vector<GridRow> rows = grid_rows(grid);
  for (const GridRow& row : rows) slices = std::max(slices, slice_words(row.slice).size());
  std::string text =
      fmt::format("{:<{}}  {:<{}}  {:>11}  {:<24} {:>6}  {:>7}  {:>8}  {}\n", "model", names, "of",
                  slices, "passed", "rate (95 %)", "errors", "missing", "a pass", "a pass costs");
  for (const GridRow& row : rows) {
    const GridModel& model = grid.models[row.model];
    text += fmt::format("{:<{}}  {:<{}}  {:>11}  {:<24} {:>6}  {:>7}  {:>8}  {}\n", model.name,
                        names, slice_words(row.slice), slices,
                        fmt::format("{}/{}", row.passed, row.judged), rate_words(row), row.errors,
                        row.missing, seconds_words(row), money_words(model, row));
  }
  for (const GridPair& pair : grid_pairs(grid))
    text += fmt::format(
        "{} against {}, {}: both {}, the first alone {}, the second alone {}, "
        "neither {}{}; p = {:.4g} (McNemar, exact)\n",
        grid.models[pair.a].name, grid.models[pair.b].name, slice_words(pair.slice), pair.both,
        pair.only_a, pair.only_b, pair.neither,
        pair.left_out == 0 ? "" : fmt::format(", {} left out", pair.left_out), pair.p());
  return text;
}

}  // namespace lathe::app
