// POST /price
#include "app/cli/served_price.h"

#include "app/cli/money.h"
#include "books/prices/answer_price.h"
#include "ground/base/clock.h"
#include "serve/runs/answers.h"
#include "serve/server/fields.h"

namespace lathe::app {
namespace {

constexpr std::int64_t kMostTokens = 1'000'000'000, kMostMicroseconds = 1'000'000'000'000'000,
                       kMostMillijoules = 1'000'000'000'000;

// The answer's row as the ledger has it.
books::LedgerRow row_of(serve::Fields& body, Reach reach) {
  serve::Fields usage = body.within("usage");
  const std::int64_t prompt = usage.whole("prompt_tokens", 0, kMostTokens).value_or(0);
  const std::int64_t cached =
      usage.within("prompt_tokens_details").whole("cached_tokens", 0, prompt).value_or(0);
  books::LedgerRow row;
  row.start_ms = system_clock().unix_ms();
  row.route = reach_name(reach);
  row.model = body.text("model").value_or("");
  row.tokens.fresh = prompt - cached;
  row.tokens.cached = cached;
  row.tokens.out = usage.whole("completion_tokens", 0, kMostTokens).value_or(0);
  row.tokens.counted_by = books::CountedBy::kEngine;
  row.busy_us = usage.whole("busy_us", 0, kMostMicroseconds);
  row.energy.millijoules = usage.whole("millijoules", 0, kMostMillijoules);
  row.energy.scope = usage.text("energy_scope").value_or("");
  return row;
}

}  // namespace

serve::Handled served_price(const App& app, std::span<const books::PriceTable> tables, Reach reach,
                            serve::Call& call) {
  serve::Fields body(call.body);
  const books::LedgerRow row = row_of(body, reach);
  if (row.model.empty()) body.refuse("model", "'model' must name the model that answered");
  LATHE_TRY_STATUS(body.status());
  LATHE_TRY(const books::LocalPrices local, serve::or_api_error(load_box(app)));
  Json lines = Json::array();
  for (const books::Elsewhere& line : books::price_of_answer(row, local, tables))
    lines.push_back(to_json(line));
  return serve::json_reply({{"priced_at", std::move(lines)}});
}

}  // namespace lathe::app
