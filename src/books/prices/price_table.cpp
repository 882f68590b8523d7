// Reads tables of prices and finds models in them.
#include "books/prices/price_table.h"

#include <algorithm>
#include <cmath>

#include "ground/base/clock.h"
#include "ground/base/hash.h"
#include "ground/base/text.h"
#include "ground/base/toml.h"

namespace lathe::books {
namespace {

constexpr double kMost = 1000, kLeast = 0.0005;  // of a unit of currency, a million tokens
constexpr std::int64_t kOldDays = 90;

// A table's numbers, each with its place in errors.
class PriceReader {
 public:
  PriceReader(const toml::table& table, std::string_view place) : table_(table), place_(place) {}

  std::string text(std::string_view key, std::string fallback = {}) const {
    return table_[key].value<std::string>().value_or(std::move(fallback));
  }
  // In nano per million.
  Result<std::optional<std::int64_t>> amount(std::string_view key) const {
    const toml::node_view node = table_[key];
    if (!node) return std::nullopt;
    const auto value = node.value<double>();
    const auto wrong = [&](std::string_view why) {
      return invalid("{}: {} {}", toml_place(place_, node.node()->source()), key, why);
    };
    if (!value || !std::isfinite(*value)) return wrong("is no number");
    if (*value < 0) return wrong("is negative");
    if (*value > kMost)
      return wrong(
          fmt::format("is {}: more than 1,000 for a million tokens is taken for a mistake "
                      "of the unit",
                      *value));
    if (*value > 0 && *value < kLeast)
      return wrong(
          fmt::format("is {}: that looks like a price of one token; write it for a "
                      "million",
                      *value));
    return std::llround(*value * static_cast<double>(kNano));
  }
  // In thousandths, in (0, 10].
  Result<std::optional<std::int64_t>> share(const toml::node_view<const toml::node> node,
                                            std::string_view key) const {
    if (!node) return std::nullopt;
    const auto value = node.value<double>();
    if (!value || !(*value > 0) || *value > 10)
      return invalid("{}: {} must lie in (0, 10]", toml_place(place_, node.node()->source()), key);
    return std::llround(*value * 1000);
  }
  const toml::table& table() const { return table_; }
  std::string place() const { return toml_place(place_, table_.source()); }

 private:
  const toml::table& table_;
  std::string_view place_;
};

Result<Price> read_price(const PriceReader& reader, const PriceTable& table) {
  Price price{.model = reader.text("model"),
              .currency = table.currency,
              .source = reader.text("source", table.source),
              .date = table.date,
              .table = table.hash};
  for (const auto& [key, value] : reader.table()) {
    constexpr std::string_view kKnown[] = {"model",       "in",    "out",    "cache_read",
                                           "cache_write", "batch", "tokens", "source"};
    if (std::ranges::find(kKnown, key.str()) == std::end(kKnown))
      return invalid("{}: a price has no '{}'", reader.place(), key.str());
  }
  if (price.model.empty()) return invalid("{}: a price without a model", reader.place());
  LATHE_TRY(const auto in, reader.amount("in"));
  LATHE_TRY(const auto out, reader.amount("out"));
  if (!in || !out)
    return invalid("{}: {} needs 'in' and 'out'; leave out a model whose price is not known",
                   reader.place(), price.model);
  if (*in == 0 && *out == 0)
    return invalid("{}: {} costs 0, which no provider asks; leave it out", reader.place(),
                   price.model);
  price.in = *in;
  price.out = *out;
  LATHE_TRY(price.cache_read, reader.amount("cache_read"));
  LATHE_TRY(price.cache_write, reader.amount("cache_write"));
  LATHE_TRY(price.batch, reader.share(reader.table()["batch"], "batch"));
  LATHE_TRY(price.tokens_low, reader.share(reader.table()["tokens"][0], "tokens"));
  LATHE_TRY(price.tokens_high, reader.share(reader.table()["tokens"][1], "tokens"));
  if (price.tokens_low.has_value() != price.tokens_high.has_value() ||
      price.tokens_low > price.tokens_high)
    return invalid("{}: 'tokens' of {} must be two numbers, the smaller one first", reader.place(),
                   price.model);
  return price;
}

// Without provider, variant and the way in which versions are written.
std::string plain_name(std::string_view model) {
  if (const auto slash = model.rfind('/'); slash != model.npos) model.remove_prefix(slash + 1);
  if (const auto colon = model.find(':'); colon != model.npos) model = model.substr(0, colon);
  return replace_all(to_lower_ascii(model), ".", "-");
}

}  // namespace

Result<PriceTable> parse_price_table(std::string_view text, std::string_view place) {
  LATHE_TRY(const toml::table file, parse_toml(text, place));
  const PriceReader head(file, place);
  PriceTable table{.text = std::string(text),
                   .hash = sha256_hex(text),
                   .place = std::string(place),
                   .name = head.text("table"),
                   .date = head.text("date"),
                   .currency = head.text("currency"),
                   .source = head.text("source")};
  if (head.text("unit") != "million tokens")
    return invalid("{}: write unit = \"million tokens\": what a price is of must be said", place);
  for (const auto& [key, value] :
       {std::pair("table", &table.name), {"currency", &table.currency}, {"source", &table.source}})
    if (value->empty()) return invalid("{}: '{}' is missing", place, key);
  if (auto day = parse_day(table.date); !day)
    return invalid("{}: 'date': {}", place, day.error().message);
  const toml::array* rows = file["price"].as_array();
  if (rows == nullptr) return invalid("{}: has no [[price]]", place);
  for (const toml::node& node : *rows) {
    const toml::table* row = node.as_table();
    if (row == nullptr) return invalid("{}: 'price' must be [[price]] tables", place);
    LATHE_TRY(Price price, read_price(PriceReader(*row, place), table));
    if (std::ranges::find(table.prices, price.model, &Price::model) != table.prices.end())
      return invalid("{}: {} stands there twice", toml_place(place, row->source()), price.model);
    table.prices.push_back(std::move(price));
  }
  return table;
}

namespace {

// The best of what `fits`, newest table first; null where a table has several.
const Price* newest(std::span<const PriceTable> tables, auto&& fits) {
  const Price* best = nullptr;
  for (const PriceTable& table : tables) {
    const Price* found = nullptr;
    for (const Price& price : table.prices) {
      if (!fits(price.model)) continue;
      if (found != nullptr) return nullptr;
      found = &price;
    }
    if (found != nullptr && (best == nullptr || found->date > best->date)) best = found;
  }
  return best;
}

}  // namespace

const Price* find_price(std::span<const PriceTable> tables, std::string_view model) {
  if (model.empty()) return nullptr;
  if (const Price* exact = newest(tables, [&](const std::string& name) { return name == model; }))
    return exact;
  const std::string plain = plain_name(model);
  return newest(tables, [&](const std::string& name) { return plain_name(name) == plain; });
}

const Price* find_like(std::span<const PriceTable> tables, std::string_view model) {
  const std::string plain = plain_name(model);
  std::string longest;
  for (const PriceTable& table : tables)
    for (const Price& price : table.prices) {
      const std::string name = plain_name(price.model);
      const bool begins = plain == name || plain.starts_with(name + "-");
      if (begins && name.size() > longest.size()) longest = name;
    }
  if (longest.empty()) return nullptr;
  return newest(tables, [&](const std::string& name) { return plain_name(name) == longest; });
}

std::string age_note(std::string_view date, std::string_view today) {
  const auto then = parse_day(date), now = parse_day(today);
  if (!then || !now) return "";
  const std::int64_t days = (*now - *then) / kDayMs;
  if (days <= kOldDays) return "";
  return fmt::format(" ({} days old: look whether it still holds)", days);
}

}  // namespace lathe::books
