// Prices of tokens, and what they come to.
#include "books/prices/price.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "ground/base/text.h"

namespace lathe::books {
namespace {

Json or_null(const std::optional<std::int64_t>& number) {
  return number ? Json(*number) : Json();
}

std::optional<std::int64_t> number_at(const Json& json, std::string_view key) {
  const Json& value = json_at(json, key);
  return value.is_number_integer() ? std::optional(value.get<std::int64_t>()) : std::nullopt;
}

}  // namespace

Result<Money> parse_money(std::string_view text) {
  constexpr double kMost = 1e9;
  const std::string_view all = trim(text);
  const auto space = all.find(' ');
  const std::string_view number = all.substr(0, space);
  const std::string_view currency = space == all.npos ? "" : trim(all.substr(space));
  const auto is_capital = [](char c) { return c >= 'A' && c <= 'Z'; };
  double value = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value,
                                            std::chars_format::fixed);
  if (error != std::errc() || end != number.data() + number.size() || !(value > 0) ||
      value > kMost || currency.size() != 3 || !std::ranges::all_of(currency, is_capital))
    return invalid("'{}' is no amount of money; write it as 2.50 USD", text.substr(0, 40));
  return Money{std::llround(value * static_cast<double>(kNano)), std::string(currency)};
}

Json to_json(const Price& price) {
  return {{"model", price.model},
          {"in", price.in},
          {"out", price.out},
          {"cache_read", or_null(price.cache_read)},
          {"cache_write", or_null(price.cache_write)},
          {"batch", or_null(price.batch)},
          {"tokens_low", or_null(price.tokens_low)},
          {"tokens_high", or_null(price.tokens_high)},
          {"currency", price.currency},
          {"source", price.source},
          {"date", price.date},
          {"table", price.table}};
}

Result<Price> price_from_json(const Json& json) {
  const auto in = number_at(json, "in"), out = number_at(json, "out");
  if (!in || !out) return invalid("a price has no 'in' or no 'out'");
  return Price{.model = json_string(json, "model"),
               .in = *in,
               .out = *out,
               .cache_read = number_at(json, "cache_read"),
               .cache_write = number_at(json, "cache_write"),
               .batch = number_at(json, "batch"),
               .tokens_low = number_at(json, "tokens_low"),
               .tokens_high = number_at(json, "tokens_high"),
               .currency = json_string(json, "currency"),
               .source = json_string(json, "source"),
               .date = json_string(json, "date"),
               .table = json_string(json, "table")};
}

std::int64_t cost_of(const Price& price, const TokenCounts& tokens) {
  constexpr std::int64_t kPer = 1'000'000;
  const auto product = [](std::int64_t a, std::int64_t b) { return static_cast<__int128>(a) * b; };
  const __int128 sum = product(tokens.fresh, price.in) +
                       product(tokens.cached, price.cache_read.value_or(price.in)) +
                       product(tokens.out, price.out);
  return static_cast<std::int64_t>((sum + kPer / 2) / kPer);
}

LedgerRow::Cash cash_of(const std::optional<Price>& price, const LedgerRow::Tokens& tokens) {
  if (tokens.counted_by == CountedBy::kNoModel) return {};
  if (!price || tokens.counted_by == CountedBy::kNobody)
    return {.currency = price ? price->currency : "", .source = std::string(kUnpriced)};
  return {.nano = cost_of(*price, {tokens.fresh.value_or(0), tokens.cached.value_or(0),
                                   tokens.out.value_or(0)}),
          .currency = price->currency,
          .source = std::string(kComputed)};
}

}  // namespace lathe::books
