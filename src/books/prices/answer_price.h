// What one answer is priced at, for whoever has just read it: the power that it took, and its
// tokens by tables of prices. It is no saving, and where nothing is known nothing is said. Pure.
#pragma once

#include "books/prices/run_cost.h"

namespace lathe::books {

// `call`: the answer's row as the ledger has it. Use of the machine (`local.utilisation`) is not
// asked for. The price of a model that is paid for comes first.
std::vector<Elsewhere> price_of_answer(const LedgerRow& call, const LocalPrices& local,
                                       std::span<const PriceTable> tables);

}  // namespace lathe::books
