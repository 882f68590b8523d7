// The account of a run.
#include "books/prices/run_cost.h"

#include <cmath>

#include "ground/base/clock.h"
#include "ground/base/text.h"

namespace lathe::books {
namespace {

constexpr double kJoulesPerKwh = 3.6e6, kMicro = 1e-6;

bool here(const LedgerRow& row) {
  return row.route != "any";
}

// Seconds in which this machine computed for the run, and what that rests on.
struct BusySeconds {
  double seconds = 0;
  bool by_working_time = false;
};
BusySeconds busy_of(const RunFacts& facts, std::span<const LedgerRow> rows) {
  double sum = 0;
  for (const LedgerRow& row : rows) {
    const bool asked = row.tokens.counted_by != CountedBy::kNoModel && here(row);
    if (asked && !row.busy_us) return {static_cast<double>(facts.working_ms) / 1000, true};
    sum += static_cast<double>(row.busy_us.value_or(0)) * kMicro;
  }
  return {sum, false};
}

void add_energy(const LocalPrices& local, const BusySeconds& busy, RunCost& cost) {
  const RunFacts& facts = cost.facts;
  if (facts.joules) {
    cost.joules = facts.joules;
    cost.energy_basis = facts.scope;
  } else if (local.box && local.box->watts_load) {
    cost.joules = *local.box->watts_load * busy.seconds;
    cost.modelled = true;
    cost.energy_basis = fmt::format(
        "modelled: {} W, as box.toml says, for {}", *local.box->watts_load,
        busy.by_working_time ? "the run's working time" : "the seconds that models computed");
  } else {
    cost.energy_basis = "not readable here; say watts_load in box.toml to have it modelled";
  }
}

void add_local_money(const LocalPrices& local, const BusySeconds& busy,
                     std::span<const LedgerRow> rows, RunCost& cost) {
  if (!local.box) {
    cost.power.why = cost.machine.why = local.why_no_box;
    return;
  }
  const Box& box = *local.box;
  cost.power.currency = cost.machine.currency = box.currency;
  const Tariff* tariff = box.tariff_at(rows.empty() ? local.now_ms : rows.front().start_ms);
  if (!cost.joules)
    cost.power.why = "the energy is not readable here";
  else if (tariff == nullptr)
    cost.power.why = "box.toml has no [[tariff]] for that day";
  else
    cost.power.nano =
        std::llround(*cost.joules / kJoulesPerKwh * static_cast<double>(tariff->nano_per_kwh));
  if (!local.utilisation)
    cost.machine.why = local.utilisation.error().message;
  else
    cost.machine.nano =
        std::llround(capital_of_second(box, local.utilisation->share()) * busy.seconds);
}

// What the tokens that were computed here come to by a price. Low: its tokenizer's fewest tokens,
// and nothing is written to a cache; high: its most, and all that is fresh is written to one.
Elsewhere at_price(const Price& price, const TokenCounts& tokens, std::string what,
                   std::string_view today, bool same_tokenizer) {
  const auto times = [](std::int64_t cost, std::int64_t thousandths) {
    return static_cast<std::int64_t>(static_cast<__int128>(cost) * thousandths / 1000);
  };
  Price written = price;
  written.in = std::max(price.in, price.cache_write.value_or(price.in));
  Elsewhere line{.what = std::move(what),
                 .low = times(cost_of(price, tokens), price.tokens_low.value_or(1000)),
                 .high = times(cost_of(written, tokens), price.tokens_high.value_or(1000)),
                 .currency = price.currency};
  if (same_tokenizer) {
    line.low = cost_of(price, tokens);
    line.high = cost_of(written, tokens);
  }
  const std::string tokenizer =
      same_tokenizer     ? "the same tokenizer"
      : price.tokens_low ? fmt::format("{:.2f} to {:.2f} tokens for one of this model's",
                                       static_cast<double>(*price.tokens_low) / 1000,
                                       static_cast<double>(price.tokens_high.value_or(1000)) / 1000)
                         : "tokenizers not compared";
  const std::string batch = price.batch ? fmt::format("; {:.0f} % of it for work that may wait",
                                                      static_cast<double>(*price.batch) / 10)
                                        : "";
  line.basis = fmt::format("{}; {}, {}{}{}; quality not compared", tokenizer, price.source,
                           price.date, age_note(price.date, today), batch);
  return line;
}

void add_elsewhere(const LocalPrices& local, std::span<const LedgerRow> rows,
                   std::span<const PriceTable> tables, RunCost& cost) {
  const std::string today = format_day(local.now_ms);
  std::map<std::string, TokenCounts> by_model;
  TokenCounts all;
  for (const LedgerRow& row : rows) {
    if (!here(row) || row.tokens.counted_by == CountedBy::kNoModel) continue;
    for (TokenCounts* counts : {&by_model[row.model], &all}) {
      counts->fresh += row.tokens.fresh.value_or(0);
      counts->cached += row.tokens.cached.value_or(0);
      counts->out += row.tokens.out.value_or(0);
    }
  }
  for (const auto& [model, tokens] : by_model) {
    if (const Price* price = find_like(tables, model))
      cost.elsewhere.push_back(
          at_price(*price, tokens, price->model + ", the same open model", today, true));
    else
      cost.not_priced.push_back(fmt::format("{}: unpriced, no table has it", model));
  }
  if (!local.box) return;
  if (const std::string& replaced = local.box->replaces; !replaced.empty() && !by_model.empty()) {
    if (const Price* price = find_price(tables, replaced))
      cost.elsewhere.push_back(at_price(
          *price, all, price->model + ", which this machine replaces, you say", today, false));
    else
      cost.not_priced.push_back(
          fmt::format("{}, which box.toml names: unpriced, no table has it", replaced));
  }
}

}  // namespace

RunCost cost_of_run(const RunFacts& facts, std::span<const LedgerRow> rows,
                    const LocalPrices& local, std::span<const PriceTable> tables) {
  RunCost cost{.facts = facts};
  for (const LedgerRow& row : rows) cost.sum.add(row);
  const BusySeconds busy = busy_of(facts, rows);
  add_energy(local, busy, cost);
  add_local_money(local, busy, rows, cost);
  add_elsewhere(local, rows, tables, cost);
  if (local.box && local.box->cash)
    cost.not_priced.push_back(fmt::format(
        "cash: {} a month no longer flows for {}, you say; that is not of this run alone",
        format_nano(local.box->cash->month, local.box->currency), local.box->cash->what));
  return cost;
}

}  // namespace lathe::books
