// What an answer of this server is priced at, for the page that shows it.
#pragma once

#include "app/cli/app.h"
#include "books/prices/price_table.h"
#include "serve/server/call.h"
#include "work/work.h"

namespace lathe::app {

// `reach`: how far the model is that answered. `call`: `model`, and `usage` as the answer had it.
serve::Handled served_price(const App& app, std::span<const books::PriceTable> tables, Reach reach,
                            serve::Call& call);

}  // namespace lathe::app
