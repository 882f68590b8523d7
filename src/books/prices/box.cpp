// Reads box.toml; what its hours cost.
#include "books/prices/box.h"

#include <algorithm>
#include <cmath>

#include "ground/base/clock.h"
#include "ground/base/text.h"
#include "ground/base/toml.h"

namespace lathe::books {
namespace {

constexpr double kMostMoney = 1e9, kHoursOfYear = 8760;
constexpr std::int64_t kDays = 30;

class Keys {
 public:
  Keys(const toml::table& table, std::string_view place, std::string within)
      : table_(table), place_(place), within_(std::move(within)) {}

  Status known(std::span<const std::string_view> keys) const {
    for (const auto& [key, value] : table_)
      if (std::ranges::find(keys, key.str()) == keys.end())
        return invalid("{}: there is no key '{}{}'", toml_place(place_, value.source()), within_,
                       key.str());
    return {};
  }
  bool has(std::string_view key) const { return table_.contains(key); }
  // In (low, high], or [low, high] where low is 0 and `zero` is fine.
  Result<double> number(std::string_view key, double high, bool zero) const {
    const auto value = table_[key].value<double>();
    if (!value || !std::isfinite(*value) || *value < 0 || (*value == 0 && !zero) || *value > high)
      return invalid("{}: '{}{}' must be a number {} 0, at most {}", place_of(key), within_, key,
                     zero ? "not below" : "above", high);
    return *value;
  }
  Result<std::int64_t> money(std::string_view key, bool zero) const {
    LATHE_TRY(const double value, number(key, kMostMoney, zero));
    return std::llround(value * static_cast<double>(kNano));
  }
  Result<std::string> text(std::string_view key) const {
    const auto value = table_[key].value<std::string>();
    if (!value || value->empty())
      return invalid("{}: '{}{}' must be a text", place_of(key), within_, key);
    return *value;
  }
  // A day that has come.
  Result<std::string> day(std::string_view key, std::string_view today) const {
    const auto date = table_[key].value<toml::date>();
    const std::string text =
        date ? fmt::format("{:04}-{:02}-{:02}", date->year, date->month, date->day)
             : table_[key].value<std::string>().value_or("");
    if (auto day = parse_day(text); !day)
      return invalid("{}: '{}{}': {}", place_of(key), within_, key, day.error().message);
    if (text > today)
      return invalid("{}: '{}{}' is {}, and today is {}: that day has not come yet", place_of(key),
                     within_, key, text, today);
    return text;
  }
  std::string place_of(std::string_view key) const {
    const toml::node* node = table_.get(key);
    return toml_place(place_, node != nullptr ? node->source() : table_.source());
  }

 private:
  const toml::table& table_;
  std::string_view place_;
  std::string within_;
};

Status read_tariffs(const toml::table& file, std::string_view place, Box& box) {
  const toml::array* rows = file["tariff"].as_array();
  if (!file.contains("tariff")) return {};
  if (rows == nullptr || rows->empty())
    return invalid("{}: write tariffs as [[tariff]] tables, with 'from' and 'per_kwh'", place);
  for (const toml::node& node : *rows) {
    const toml::table* row = node.as_table();
    if (row == nullptr) return invalid("{}: 'tariff' must be [[tariff]] tables", place);
    const Keys keys(*row, place, "tariff.");
    constexpr std::string_view kKnown[] = {"from", "per_kwh"};
    LATHE_TRY_STATUS(keys.known(kKnown));
    LATHE_TRY(const std::string from, keys.day("from", "9999-12-31"));
    LATHE_TRY(const std::int64_t nano, keys.money("per_kwh", false));
    box.tariffs.push_back({parse_day(from).value_or(0), nano});
  }
  std::ranges::sort(box.tariffs, {}, &Tariff::from_ms);
  return {};
}

Status read_cash(const toml::table& file, std::string_view place, Box& box) {
  const toml::table* table = file["cash"].as_table();
  if (table == nullptr) return {};
  const Keys keys(*table, place, "cash.");
  constexpr std::string_view kKnown[] = {"month", "what", "share"};
  LATHE_TRY_STATUS(keys.known(kKnown));
  Box::Cash cash;
  LATHE_TRY(cash.month, keys.money("month", false));
  LATHE_TRY(cash.what, keys.text("what"));
  if (keys.has("share")) {
    LATHE_TRY(cash.share, keys.number("share", 1, false));
  }
  box.cash = std::move(cash);
  return {};
}

Status read_capacity(const toml::table& file, std::string_view place, std::string_view today,
                     Box& box) {
  const toml::table* table = file["capacity"].as_table();
  if (table == nullptr) return {};
  const Keys keys(*table, place, "capacity.");
  constexpr std::string_view kKnown[] = {"checked", "people"};
  LATHE_TRY_STATUS(keys.known(kKnown));
  Box::Capacity capacity;
  LATHE_TRY(capacity.checked, keys.day("checked", today));
  LATHE_TRY(const double people, keys.number("people", 1e6, false));
  capacity.people = static_cast<int>(people);
  box.capacity = std::move(capacity);
  return {};
}

}  // namespace

const Tariff* Box::tariff_at(std::int64_t unix_ms) const {
  const Tariff* found = nullptr;
  for (const Tariff& tariff : tariffs)
    if (tariff.from_ms <= unix_ms) found = &tariff;
  return found;
}

Result<Box> parse_box(std::string_view text, std::string_view place, std::string_view today) {
  LATHE_TRY(const toml::table file, parse_toml(text, place));
  const Keys keys(file, place, "");
  constexpr std::string_view kKnown[] = {"price",  "currency",   "bought",     "life_years",
                                         "resale", "watts_idle", "watts_load", "replaces",
                                         "tariff", "cash",       "capacity"};
  LATHE_TRY_STATUS(keys.known(kKnown));
  Box box;
  LATHE_TRY(box.price, keys.money("price", false));
  LATHE_TRY(box.currency, keys.text("currency"));
  LATHE_TRY(box.bought, keys.day("bought", today));
  LATHE_TRY(box.life_years, keys.number("life_years", 50, false));
  if (keys.has("resale")) {
    LATHE_TRY(box.resale, keys.money("resale", true));
  }
  if (box.resale > box.price)
    return invalid("{}: 'resale' is more than 'price'", keys.place_of("resale"));
  for (const auto& [key, watts] :
       {std::pair("watts_idle", &box.watts_idle), {"watts_load", &box.watts_load}}) {
    if (!keys.has(key)) continue;
    LATHE_TRY(const double value, keys.number(key, 100'000, false));
    *watts = value;
  }
  if (box.watts_idle && box.watts_load && *box.watts_idle > *box.watts_load)
    return invalid("{}: 'watts_idle' is more than 'watts_load'", keys.place_of("watts_idle"));
  if (keys.has("replaces")) {
    LATHE_TRY(box.replaces, keys.text("replaces"));
  }
  LATHE_TRY_STATUS(read_tariffs(file, place, box));
  LATHE_TRY_STATUS(read_cash(file, place, box));
  LATHE_TRY_STATUS(read_capacity(file, place, today, box));
  return box;
}

double Utilisation::share() const {
  if (window_us <= 0) return 0;
  return std::min(1.0, static_cast<double>(busy_us) / static_cast<double>(window_us));
}

UtilisationCount::UtilisationCount(std::int64_t now_ms)
    : now_ms_(now_ms), from_ms_(now_ms - kDays * kDayMs) {}

void UtilisationCount::add(const LedgerRow& row) {
  if (row.start_ms < from_ms_ || row.start_ms > now_ms_) return;
  first_ms_ = std::min(first_ms_.value_or(row.start_ms), row.start_ms);
  // What another machine computed is not known here, and does not count.
  if (row.tokens.counted_by == CountedBy::kNoModel || row.route == "any") return;
  ++sum_.calls;
  sum_.unknown += !row.busy_us;
  sum_.busy_us += row.busy_us.value_or(0);
}

Result<Utilisation> UtilisationCount::count() const {
  Utilisation count = sum_;
  count.window_us = first_ms_ ? (now_ms_ - *first_ms_) * 1000 : 0;
  if (count.window_us < kDayMs * 1000)
    return fail(ErrorKind::kUnavailable,
                "the ledger has {:.1f} hours of calls, and 24 are needed to say how busy this "
                "machine is; use it, and ask again",
                static_cast<double>(count.window_us) / 3.6e9);
  if (count.busy_us == 0)
    return fail(ErrorKind::kUnavailable,
                "the ledger knows of no busy second in the last {} days: answer calls with models "
                "of this machine (`lathe serve`, or --worker NAME=FILE.gguf), and ask again",
                kDays);
  return count;
}

double capital_of_second(const Box& box, double utilisation) {
  return static_cast<double>(box.price - box.resale) /
         (box.life_years * kHoursOfYear * 3600 * utilisation);
}

double cost_of_used_hour(const Box& box, double utilisation, std::int64_t nano_per_kwh) {
  const double kilowatts =
      (box.watts_load.value_or(0) + box.watts_idle.value_or(0) * (1 - utilisation) / utilisation) /
      1000;
  return capital_of_second(box, utilisation) * 3600 + kilowatts * static_cast<double>(nano_per_kwh);
}

}  // namespace lathe::books
