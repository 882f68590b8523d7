// What a person says of money: tables of prices, and the machine that lathe runs on.
#pragma once

#include "app/cli/app.h"
#include "books/prices/price_table.h"
#include "books/prices/run_cost.h"

namespace lathe::app {

// The user's own tables, CONFIG/prices/*.toml, then those that come with lathe. Errors: a table
// that cannot be read.
Result<std::vector<books::PriceTable>> load_prices(const App& app);

// CONFIG/box.toml alone: how much the machine is used is not looked up, and so no second of it has
// a price. A file that is not there is said in `why_no_box`; errors: one that cannot be read.
Result<books::LocalPrices> load_box(const App& app);

// CONFIG/box.toml and what the journal's ledger says of its use.
Result<books::LocalPrices> load_local_prices(const App& app, const books::Journal& journal);

}  // namespace lathe::app
