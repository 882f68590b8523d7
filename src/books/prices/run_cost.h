// What a run took, and what an accepted take of it took: all its candidates, judges and laps,
// wherever they ran. Beside it what the same tokens are priced at elsewhere, which is no saving:
// money is saved where a bill fell. Pure.
#pragma once

#include <span>
#include <vector>

#include "books/ledger/totals.h"
#include "books/prices/box.h"
#include "books/prices/price_table.h"

namespace lathe::books {

// What is known of a run beside its rows.
struct RunFacts {
  std::int64_t units = 0, accepted = 0;  // an accepted take is a unit that passed
  std::int64_t laps = 0, candidates = 0;
  std::int64_t working_ms = 0;
  std::optional<double> joules = {};  // that this machine's counters moved on by
  std::string scope = {};             // what those cover, or why there are none
};

// What the box says, and what the ledger says of its use.
struct LocalPrices {
  std::optional<Box> box = {};
  std::string why_no_box = {};  // where to write it, and how
  Result<Utilisation> utilisation = Utilisation{};
  std::int64_t now_ms = 0;
};

// A sum of money with what it rests on. absent: `why` says what is missing.
struct Amount {
  std::optional<std::int64_t> nano = {};
  std::string currency = {};
  std::string why = {};
};

// What the run's tokens are priced at elsewhere.
struct Elsewhere {
  std::string what = {};  // "gpt-oss-120b, the same open model"
  std::int64_t low = 0, high = 0;
  std::string currency = {};
  std::string basis = {};  // tokenizer, source, date
};

Json to_json(const Elsewhere& elsewhere);

struct RunCost {
  RunFacts facts;
  Total sum = {};  // of all its rows
  std::optional<double> joules = {};
  std::string energy_basis = {};    // the scope; why it is modelled; why it is not there
  bool modelled = false;            // from watts that a person declared
  Amount power = {}, machine = {};  // what they cost
  std::vector<Elsewhere> elsewhere = {};
  std::vector<std::string> not_priced = {};  // why a line is missing that could be there
};

RunCost cost_of_run(const RunFacts& facts, std::span<const LedgerRow> rows,
                    const LocalPrices& local, std::span<const PriceTable> tables);

// For people: a line each, the columns "in all" and "an accepted take".
std::vector<std::string> cost_lines(const RunCost& cost);
Json to_json(const RunCost& cost);

}  // namespace lathe::books
