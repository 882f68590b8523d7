// What a person says of this machine, in CONFIG/box.toml: what it cost, how long it is to serve,
// what power costs. Pure.
//
//   price = 3999.00
//   currency = "USD"
//   bought = "2026-06-01"
//   life_years = 3
//   resale = 800.00           # what it will fetch then
//   watts_idle = 30           # where its energy cannot be read
//   watts_load = 140
//   replaces = "claude-opus-5"  # the model that would do the work else
//   [[tariff]]
//   from = "2026-01-01"
//   per_kwh = 0.31
//   [cash]                    # a bill that fell since, if one did
//   month = 200.00
//   what = "the team's API bill"
//   share = 0.5               # of the work that the bill was for, what this machine took over
//   [capacity]                # what `lathe capacity MODEL --verify` said
//   checked = "2026-11-30"
//   people = 12
#pragma once

#include <span>
#include <vector>

#include "books/prices/price.h"

namespace lathe::books {

struct Tariff {
  std::int64_t from_ms = 0;
  std::int64_t nano_per_kwh = 0;
};

struct Box {
  std::int64_t price = 0, resale = 0;  // nano
  std::string currency = {};
  std::string bought = {};  // a day
  double life_years = 0;
  std::optional<double> watts_idle = {}, watts_load = {};
  std::string replaces = {};
  std::vector<Tariff> tariffs = {};  // the earliest first

  struct Cash {
    std::int64_t month = 0;  // nano
    std::string what = {};
    double share = 1;
  };
  std::optional<Cash> cash = {};
  struct Capacity {
    std::string checked = {};  // a day
    int people = 0;
  };
  std::optional<Capacity> capacity = {};

  // The tariff of that moment; null: none had begun.
  const Tariff* tariff_at(std::int64_t unix_ms) const;
};

// Errors name the line: a key that is not known, a tariff that is not above 0, no life, a resale
// above the price, a day that has not come yet by `today`.
Result<Box> parse_box(std::string_view text, std::string_view place, std::string_view today);

// The share of the last 30 days in which this machine computed for calls.
struct Utilisation {
  std::int64_t busy_us = 0;
  std::int64_t window_us = 0;  // from the first call in those days on
  std::int64_t calls = 0,
               unknown = 0;  // calls of models, those of them whose busy time is not known

  double share() const;  // at most 1
};
class UtilisationCount {
 public:
  explicit UtilisationCount(std::int64_t now_ms);
  std::int64_t from_ms() const { return from_ms_; }  // rows before that do not count
  void add(const LedgerRow& row);
  // Errors: less than 24 hours since the first call, or none whose busy time is known: what a
  // second costs cannot be told yet.
  Result<Utilisation> count() const;

 private:
  std::int64_t now_ms_, from_ms_;
  std::optional<std::int64_t> first_ms_;
  Utilisation sum_;
};

// (price − resale) / (life · u), for a second that was busy; nano. Sheet: a year has 8,760 hours.
double capital_of_second(const Box& box, double utilisation);
// What an hour of use costs, power included: capital and e · (P_load + P_idle · (1 − u) / u), the
// idle hours that stand behind it being paid, too. Watts that are not said count as none. Nano.
double cost_of_used_hour(const Box& box, double utilisation, std::int64_t nano_per_kwh);

}  // namespace lathe::books
