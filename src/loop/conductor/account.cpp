// Calls of a run as rows of the ledger.
#include "loop/conductor/account.h"

#include <algorithm>
#include <map>

#include "ground/base/error_kind.h"

namespace lathe::loop {
namespace {

using books::CountedBy;
using books::LedgerRow;

// A URL is another program's, which counts as it likes; all else counts in this one.
CountedBy counter_of(const WorkerInfo& worker) {
  return worker.where.starts_with("http") ? CountedBy::kProvider : CountedBy::kEngine;
}

LedgerRow::Tokens tokens_of(const Usage& usage, const std::optional<WorkerInfo>& asked) {
  if (!asked || usage.calls == 0) return {0, 0, 0, 0, CountedBy::kNoModel};
  const bool any = usage.counted || usage.prompt_tokens + usage.completion_tokens > 0;
  if (!any) return {};
  return {usage.prompt_tokens - usage.cached_tokens, usage.cached_tokens, usage.completion_tokens,
          usage.reasoning_tokens, usage.counted ? counter_of(*asked) : CountedBy::kNobody};
}

LedgerRow row_of_call(const std::string& run, const RunBegun& header, const CallStart& start,
                      const CallId& call) {
  LedgerRow row{.id = row_id(run, start.record),
                .start_ms = start.unix_ms,
                .end_ms = start.unix_ms,
                .run = run,
                .call = call.text(),
                .recipe = json_string(header.recipe, "recipe"),
                .purpose = std::string(call_kind_name(call.kind)),
                .engine = header.build};
  if (start.asked) {
    row.worker = start.asked->name;
    row.model = start.asked->model;
    row.where = start.asked->where;
    row.route = reach_name(start.asked->reach);
  }
  return row;
}

void add_cost(const RunBegun& header, const CallStart& start, const std::optional<std::int64_t>& ms,
              const Usage& usage, LedgerRow& row) {
  row.wall_us = ms.value_or(0) * 1000;
  row.end_ms = row.start_ms + ms.value_or(0);
  row.attempts = usage.calls;
  row.tokens = tokens_of(usage, start.asked);
  row.queued_us = usage.queued_us;
  row.first_token_us = usage.first_token_us;
  row.busy_us = usage.busy_us;
  row.energy = {usage.millijoules, usage.energy_scope, usage.millijoules ? "busy time" : ""};
  // Machines of one's own ask for no money.
  if (!start.asked || start.asked->reach != Reach::kAny) return;
  const auto price = price_for(header, row.worker);
  row.cash = books::cash_of(price, row.tokens);
  if (price) row.price_table = price->table;
}

std::string_view finish_of(const Error& error) {
  return error.kind == ErrorKind::kCancelled ? books::kCancelled : books::kFailed;
}

}  // namespace

std::string row_id(std::string_view run, std::int64_t record) {
  return fmt::format("{}:{}", run, record);
}

LedgerRow row_of(const std::string& run, const RunBegun& header, const CallStart& start,
                 const CandidateMade& made) {
  LedgerRow row = row_of_call(run, header, start, made.call);
  add_cost(header, start, made.ms, made.usage, row);
  row.finish = made.answer ? books::kDone : finish_of(made.answer.error());
  if (!made.answer) row.problem = error_kind_name(made.answer.error().kind);
  return row;
}

LedgerRow row_of(const std::string& run, const RunBegun& header, const CallStart& start,
                 const VerdictGiven& given) {
  LedgerRow row = row_of_call(run, header, start, given.call);
  add_cost(header, start, given.ms, given.usage, row);
  const bool failed = given.judgement.outcome == Outcome::kError;
  row.finish = failed ? books::kFailed : books::kDone;
  if (failed) row.problem = "not judged";
  return row;
}

std::vector<LedgerRow> lost_calls(const std::string& run, std::span<const Entry> entries) {
  std::map<CallId, CallStart> open;
  RunBegun header;
  std::int64_t unix_ms = 0;
  for (const Entry& entry : entries) {
    if (const auto* begun = std::get_if<RunBegun>(&entry.event)) {
      header = *begun;
      unix_ms = begun->created_ms;
    } else if (const auto* resumed = std::get_if<Resumed>(&entry.event)) {
      unix_ms = resumed->unix_ms;
    } else if (const auto* call = std::get_if<CallBegun>(&entry.event)) {
      open[call->call] = {.record = entry.seq, .unix_ms = unix_ms};
    } else if (const CallId* ended = call_of(entry.event)) {
      open.erase(*ended);
    }
  }
  std::vector<LedgerRow> rows;
  for (const auto& [call, start] : open) {
    rows.push_back(row_of_call(run, header, start, call));
    rows.back().finish = books::kLost;
  }
  return rows;
}

Result<std::vector<RunBegun::WorkerPrice>> prices_of(
    const Recipe& recipe, std::span<const books::PriceTable> tables,
    const std::function<Worker*(const std::string& name)>& worker) {
  std::vector<RunBegun::WorkerPrice> prices;
  if (!worker) return prices;
  std::vector<std::string> names = worker_rungs(recipe);
  for (const JudgeSpec& judge : recipe.judges)
    if (judge.kind->needs_worker) names.push_back(option_string(judge.options, "worker"));
  const std::string limit = json_string(json_at(recipe.canonical, "stop"), "money");
  for (const std::string& name : names) {
    const Worker* asked = worker(name);
    const bool known =
        std::ranges::find(prices, name, &RunBegun::WorkerPrice::worker) != prices.end();
    if (asked == nullptr || asked->info().reach != Reach::kAny || known) continue;
    const std::string model = asked->info().model;
    const books::Price* price = books::find_price(tables, model);
    if (price != nullptr) prices.push_back({name, *price});
    if (limit.empty()) continue;
    LATHE_TRY(const books::Money money, books::parse_money(limit));
    if (price == nullptr)
      return invalid(
          "[stop] money limits what the worker '{}' may cost, and no table of prices has its model "
          "'{}'; add it to a file in CONFIG/prices (`lathe prices list` shows what is known), or "
          "take the limit out",
          name, model);
    if (price->currency != money.currency)
      return invalid(
          "[stop] money is in {}, and the price of the worker '{}' is in {}: give the "
          "limit in {}",
          money.currency, name, price->currency, price->currency);
  }
  return prices;
}

std::optional<books::Price> price_for(const RunBegun& header, std::string_view worker) {
  const auto found = std::ranges::find(header.prices, worker, &RunBegun::WorkerPrice::worker);
  return found == header.prices.end() ? std::nullopt : std::optional(found->price);
}

}  // namespace lathe::loop
