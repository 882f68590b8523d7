// What a call of a run took, as a row of the ledger (books/ledger/row.h). Pure.
#pragma once

#include "books/ledger/row.h"
#include "books/prices/price_table.h"
#include "loop/conductor/recipe.h"
#include "loop/record/event.h"

namespace lathe::loop {

// What is known of a call when it begins.
struct CallStart {
  std::int64_t record = 0;   // the number of its CallBegun
  std::int64_t unix_ms = 0;  // UTC
  std::optional<WorkerInfo> asked = {};
};

// The row of a call is named by its run and the record that says it began.
std::string row_id(std::string_view run, std::int64_t record);

books::LedgerRow row_of(const std::string& run, const RunBegun& header, const CallStart& start,
                        const CandidateMade& made);
books::LedgerRow row_of(const std::string& run, const RunBegun& header, const CallStart& start,
                        const VerdictGiven& given);

// Calls that the entries begin and do not end, as rows that are lost: their process ended first.
// They began when the run was begun or resumed before them, and no later.
std::vector<books::LedgerRow> lost_calls(const std::string& run, std::span<const Entry> entries);

// The prices of those of the recipe's workers that are paid for: whose requests travel as far as
// they may. Errors, where the recipe limits money: one whose price no table has, or has in another
// currency, since what it costs could not be held against the limit.
Result<std::vector<RunBegun::WorkerPrice>> prices_of(
    const Recipe& recipe, std::span<const books::PriceTable> tables,
    const std::function<Worker*(const std::string& name)>& worker);
// The price that the run began with for a worker; nullopt: it has none.
std::optional<books::Price> price_for(const RunBegun& header, std::string_view worker);

}  // namespace lathe::loop
