// Sums of rows. Pure: the same rows in any order give the same sums.
//
// There are two books, and no sum goes over both: the calls that runs made, and the calls that a
// server here answered. A run whose worker is a server of this box stands in both, once as what the
// run took and once as what the box did.
#pragma once

#include <map>
#include <span>
#include <vector>

#include "books/ledger/row.h"

namespace lathe::books {

enum class Grouping { kModel, kKey, kRecipe, kDay };
std::string_view grouping_name(Grouping grouping);  // "model" "key" "recipe" "day"
std::optional<Grouping> parse_grouping(std::string_view name);

struct Total {
  std::string book = {};  // "runs" | "served"
  std::string name = {};  // of the model, the key …
  std::int64_t calls = 0;
  std::int64_t failed = 0, cancelled = 0, lost = 0;  // of the calls
  std::int64_t uncounted = 0;  // calls whose tokens nobody told: the sums of tokens are "at least"
  std::int64_t fresh = 0, cached = 0, out = 0, reasoning = 0;
  std::int64_t wall_us = 0;
  std::int64_t busy_us = 0, without_busy = 0;  // calls of models whose busy time is not known
  std::map<std::string, std::int64_t> millijoules = {};  // by scope: those are never added up
  std::int64_t without_energy = 0;                       // calls of models whose energy is not
  std::map<std::string, std::int64_t> nano = {};         // money that flowed, by currency
  std::int64_t unpriced = 0;                             // calls that cost what is not known

  void add(const LedgerRow& row);
  bool operator==(const Total&) const = default;
};

class Totals {
 public:
  explicit Totals(Grouping grouping) : grouping_(grouping) {}
  void add(const LedgerRow& row);
  // By book and name.
  std::vector<Total> list() const;

 private:
  Grouping grouping_;
  std::map<std::pair<std::string, std::string>, Total> totals_;
};

Json to_json(const Total& total);
// A line of names, and one a total; scopes and currencies as "socket=1200;gpu=30".
std::string to_csv(std::span<const Total> totals);

// "2.5 USD", "0.000041 USD": no digit more than there is.
std::string format_nano(std::int64_t nano, std::string_view currency);

}  // namespace lathe::books
