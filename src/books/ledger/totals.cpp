// Adds rows up.
#include "books/ledger/totals.h"

#include <array>

#include "ground/base/clock.h"
#include "ground/base/text.h"

namespace lathe::books {
namespace {

constexpr std::array<std::pair<Grouping, std::string_view>, 4> kGroupings{
    {{Grouping::kModel, "model"},
     {Grouping::kKey, "key"},
     {Grouping::kRecipe, "recipe"},
     {Grouping::kDay, "day"}}};

std::string name_of(const LedgerRow& row, Grouping grouping) {
  switch (grouping) {
    case Grouping::kModel:
      return row.model;
    case Grouping::kKey:
      return row.key;
    case Grouping::kRecipe:
      return row.recipe;
    case Grouping::kDay:
      return format_day(row.start_ms);
  }
  return "";
}

std::string csv_cell(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == text.npos) return std::string(text);
  return '"' + replace_all(text, "\"", "\"\"") + '"';
}

std::string pairs(const std::map<std::string, std::int64_t>& amounts) {
  std::vector<std::string> parts;
  for (const auto& [name, amount] : amounts) parts.push_back(fmt::format("{}={}", name, amount));
  return join(parts, ";");
}

}  // namespace

std::string_view grouping_name(Grouping grouping) {
  for (const auto& [each, name] : kGroupings)
    if (each == grouping) return name;
  return "";
}

std::optional<Grouping> parse_grouping(std::string_view name) {
  for (const auto& [grouping, each] : kGroupings)
    if (each == name) return grouping;
  return std::nullopt;
}

void Total::add(const LedgerRow& row) {
  const bool asked = row.tokens.counted_by != CountedBy::kNoModel;
  ++calls;
  failed += row.finish == kFailed;
  cancelled += row.finish == kCancelled;
  lost += row.finish == kLost;
  uncounted += !row.counted();
  fresh += row.tokens.fresh.value_or(0);
  cached += row.tokens.cached.value_or(0);
  out += row.tokens.out.value_or(0);
  reasoning += row.tokens.reasoning.value_or(0);
  wall_us += row.wall_us;
  busy_us += row.busy_us.value_or(0);
  without_busy += asked && !row.busy_us;
  if (row.energy.millijoules)
    millijoules[row.energy.scope] += *row.energy.millijoules;
  else
    without_energy += asked;
  if (row.cash.nano) nano[row.cash.currency] += *row.cash.nano;
  unpriced += row.cash.source == kUnpriced;
}

void Totals::add(const LedgerRow& row) {
  Total total{.book = row.served() ? "served" : "runs", .name = name_of(row, grouping_)};
  const std::pair key(total.book, total.name);
  totals_.try_emplace(key, std::move(total)).first->second.add(row);
}

std::vector<Total> Totals::list() const {
  std::vector<Total> list;
  for (const auto& [key, total] : totals_) list.push_back(total);
  return list;
}

Json to_json(const Total& total) {
  return {{"book", total.book},
          {"name", total.name},
          {"calls", total.calls},
          {"failed", total.failed},
          {"cancelled", total.cancelled},
          {"lost", total.lost},
          {"uncounted", total.uncounted},
          {"fresh", total.fresh},
          {"cached", total.cached},
          {"out", total.out},
          {"reasoning", total.reasoning},
          {"wall_us", total.wall_us},
          {"busy_us", total.busy_us},
          {"without_busy", total.without_busy},
          {"millijoules", total.millijoules},
          {"without_energy", total.without_energy},
          {"cash_nano", total.nano},
          {"unpriced", total.unpriced}};
}

std::string to_csv(std::span<const Total> totals) {
  std::string text =
      "book,name,calls,failed,cancelled,lost,uncounted,fresh,cached,out,reasoning,wall_us,busy_us,"
      "without_busy,millijoules,without_energy,cash_nano,unpriced\n";
  for (const Total& t : totals)
    text += fmt::format("{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}\n", t.book,
                        csv_cell(t.name), t.calls, t.failed, t.cancelled, t.lost, t.uncounted,
                        t.fresh, t.cached, t.out, t.reasoning, t.wall_us, t.busy_us, t.without_busy,
                        csv_cell(pairs(t.millijoules)), t.without_energy, csv_cell(pairs(t.nano)),
                        t.unpriced);
  return text;
}

std::string format_nano(std::int64_t nano, std::string_view currency) {
  constexpr std::int64_t kUnit = 1'000'000'000;
  std::string text =
      fmt::format("{}{}.{:09}", nano < 0 ? "-" : "", nano < 0 ? -(nano / kUnit) : nano / kUnit,
                  nano < 0 ? -(nano % kUnit) : nano % kUnit);
  while (text.ends_with('0') && text[text.size() - 3] != '.') text.pop_back();
  return fmt::format("{} {}", text, currency);
}

}  // namespace lathe::books
