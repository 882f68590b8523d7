// An answer's lines: what is paid for it, its power, the same tokens elsewhere.
#include "books/prices/answer_price.h"

#include "ground/base/clock.h"

namespace lathe::books {

std::vector<Elsewhere> price_of_answer(const LedgerRow& call, const LocalPrices& local,
                                       std::span<const PriceTable> tables) {
  std::vector<Elsewhere> lines;
  if (call.route == "any") {
    const Price* price = find_price(tables, call.model);
    if (price == nullptr) return lines;
    const std::int64_t nano = cash_of(*price, call.tokens).nano.value_or(0);
    lines.push_back({.what = price->model + ", which answered",
                     .low = nano,
                     .high = nano,
                     .currency = price->currency,
                     .basis = fmt::format("{}, {}{}", price->source, price->date,
                                          age_note(price->date, format_day(local.now_ms)))});
    return lines;
  }
  RunFacts facts;
  if (call.energy.millijoules) {
    facts.joules = static_cast<double>(*call.energy.millijoules) / 1000;
    facts.scope = call.energy.scope;
  }
  const RunCost cost = cost_of_run(facts, {&call, 1}, local, tables);
  // The watts of box.toml are this machine's: of one that did not say for how long it computed
  // nothing is known.
  if (cost.power.nano && (facts.joules || call.busy_us))
    lines.push_back({.what = "the power it took",
                     .low = *cost.power.nano,
                     .high = *cost.power.nano,
                     .currency = cost.power.currency,
                     .basis = cost.energy_basis + "; the tariff of box.toml"});
  lines.insert(lines.end(), cost.elsewhere.begin(), cost.elsewhere.end());
  return lines;
}

}  // namespace lathe::books
