// What a provider asks for tokens, and what a call's tokens cost by it. Whole numbers: 10⁻⁹ of the
// currency's unit ("nano"). Pure.
#pragma once

#include "books/ledger/row.h"

namespace lathe::books {

inline constexpr std::int64_t kNano = 1'000'000'000;  // one unit of a currency

// An amount, in nano.
struct Money {
  std::int64_t nano = 0;
  std::string currency = {};  // "USD"
};
Result<Money> parse_money(std::string_view text);  // "2.50 USD": above 0, at most 10⁹

// Per million tokens, in nano.
struct Price {
  std::string model = {};
  std::int64_t in = 0, out = 0;
  std::optional<std::int64_t> cache_read = {}, cache_write = {};  // absent: as `in`
  // In thousandths: the share that work is charged which may wait; and how many tokens of this
  // model's tokenizer the same text comes to beside one of another's, from and to.
  std::optional<std::int64_t> batch = {};
  std::optional<std::int64_t> tokens_low = {}, tokens_high = {};  // absent: not compared
  std::string currency = {};                                      // "USD"
  std::string source = {};                                        // who says so
  std::string date = {};                                          // "2026-08-01"
  std::string table = {};  // the hash of the table that it stands in

  bool operator==(const Price&) const = default;
};

Json to_json(const Price& price);
Result<Price> price_from_json(const Json& json);

// Of tokens × nano per million, rounded once, to the nearest nano.
struct TokenCounts {
  std::int64_t fresh = 0, cached = 0, out = 0;
};
std::int64_t cost_of(const Price& price, const TokenCounts& tokens);

// What a call cost: by the price where it has one and its tokens were counted, else unpriced. A
// call that reached no model cost nothing.
LedgerRow::Cash cash_of(const std::optional<Price>& price, const LedgerRow::Tokens& tokens);

}  // namespace lathe::books
