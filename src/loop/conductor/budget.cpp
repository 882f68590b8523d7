// The budgets of a run: working time, tokens, energy, money.
#include "loop/conductor/budget.h"

#include <cmath>
#include <limits>

#include "books/prices/price.h"
#include "ground/base/plural.h"
#include "ground/base/units.h"
#include "loop/conductor/state.h"

namespace lathe::loop {
namespace {

std::string duration(double ms) {
  return format_duration(Milliseconds(static_cast<std::int64_t>(ms)));
}

Result<double> time_limit(const Json& stop) {
  const std::int64_t ms = option_duration_ms(stop, kTimeBudget);
  if (ms <= 0) return invalid("must be longer than nothing");
  return static_cast<double>(ms);
}

std::optional<double> time_spent(const RunState& state) {
  return static_cast<double>(state.t_ms);
}

std::string time_used_up(double, double limit) {
  return fmt::format("the time of {} is used up", duration(limit));
}

std::string time_brief(const RunState& state) {
  return format_duration(Milliseconds(state.t_ms));
}

Result<double> token_limit(const Json& stop) {
  const std::int64_t tokens = option_int(stop, "tokens");
  if (tokens <= 0) return invalid("must be more than 0");
  return static_cast<double>(tokens);
}

std::optional<double> tokens_spent(const RunState& state) {
  return static_cast<double>(state.usage.prompt_tokens + state.usage.completion_tokens);
}

std::string tokens_amount(double value) {
  return fmt::format("{:.0f} tokens", value);
}

std::string tokens_used_up(double spent, double limit) {
  return fmt::format("{:.0f} of {:.0f} tokens are used up", spent, limit);
}

std::string tokens_brief(const RunState& state) {
  const Usage& usage = state.usage;
  if (usage.calls == 0) return {};
  return usage.counted ? fmt::format("{} tokens in ({} cached), {} out", usage.prompt_tokens,
                                     usage.cached_tokens, usage.completion_tokens)
                       : fmt::format("{}, tokens not counted by the worker",
                                     counted(static_cast<std::size_t>(usage.calls), "call"));
}

std::string tokens_account(const RunState& state) {
  const Usage& usage = state.usage;
  if (usage.calls == 0) return {};
  if (!usage.counted) return "not counted by the worker";
  const auto prompt = static_cast<double>(std::max<std::int64_t>(1, usage.prompt_tokens));
  return fmt::format("{} in, of them {} cached ({:.0f} %), {} out", usage.prompt_tokens,
                     usage.cached_tokens, 100.0 * static_cast<double>(usage.cached_tokens) / prompt,
                     usage.completion_tokens);
}

Result<double> energy_limit(const Json& stop) {
  return parse_energy_joules(option_string(stop, "energy"));
}

std::optional<double> energy_spent(const RunState& state) {
  return state.joules;
}

std::string energy_used_up(double, double limit) {
  return fmt::format("the energy of {} is used up", format_energy(limit));
}

std::string energy_brief(const RunState& state) {
  return "energy " + (state.joules ? format_energy(*state.joules) : "not readable here");
}

std::string energy_account(const RunState& state) {
  const EnergySource source = state.header.energy.value_or(EnergySource{"", "not readable here"});
  return state.joules
             ? fmt::format("{} ({}: {})", format_energy(*state.joules), source.scope, source.source)
             : source.source;
}

Result<double> money_limit(const Json& stop) {
  LATHE_TRY(const books::Money money, books::parse_money(option_string(stop, "money")));
  return static_cast<double>(money.nano);
}

// What is not known may be any amount.
std::optional<double> money_spent(const RunState& state) {
  if (state.uncounted_paid > 0) return std::numeric_limits<double>::infinity();
  return static_cast<double>(state.paid_nano);
}

// Which currency: the recipe's own word for it.
std::string money_amount(double nano) {
  return fmt::format("{:.2f} of money", nano / 1e9);
}

std::string money_used_up(double spent, double limit) {
  if (std::isinf(spent))
    return fmt::format(
        "the money of {:.2f} may be used up: a worker that is paid for did not say "
        "how many tokens a call took",
        limit / 1e9);
  return fmt::format("{:.4f} of the {:.2f} of money are used up", spent / 1e9, limit / 1e9);
}

std::string money_brief(const RunState& state) {
  if (state.header.prices.empty()) return {};
  return fmt::format("{}{:.4f} {}", state.uncounted_paid > 0 ? "≥ " : "",
                     static_cast<double>(state.paid_nano) / 1e9,
                     state.header.prices.front().price.currency);
}

std::string money_account(const RunState& state) {
  if (state.header.prices.empty()) return {};
  return fmt::format("{} to {}", money_brief(state),
                     counted(state.header.prices.size(), "worker that is paid for"));
}

constexpr BudgetKind kKinds[] = {
    {.option = {kTimeBudget, OptionType::kDuration, "\"1h\"", "working time of the run"},
     .by_calls = false,
     .limit = time_limit,
     .spent = time_spent,
     .amount = duration,
     .used_up = time_used_up,
     .brief = time_brief,
     .account = nullptr},
    {.option = {"tokens", OptionType::kInteger, "2000000", "prompt and completion, all calls"},
     .limit = token_limit,
     .spent = tokens_spent,
     .amount = tokens_amount,
     .used_up = tokens_used_up,
     .brief = tokens_brief,
     .account = tokens_account},
    {.option =
         {"energy", OptionType::kString, {}, "\"0.2kWh\": where the machine's energy can be read"},
     .by_calls = false,
     .limit = energy_limit,
     .spent = energy_spent,
     .amount = format_energy,
     .used_up = energy_used_up,
     .brief = energy_brief,
     .account = energy_account},
    {.option = {"money",
                OptionType::kString,
                {},
                "\"2.50 USD\": what workers that are paid for may cost, by the tables of prices"},
     .limit = money_limit,
     .spent = money_spent,
     .amount = money_amount,
     .used_up = money_used_up,
     .brief = money_brief,
     .account = money_account},
};

}  // namespace

std::span<const BudgetKind> budget_kinds() {
  return kKinds;
}

double limit_of(const Budgets& budgets, std::string_view name) {
  const auto found = budgets.find(name);
  return found == budgets.end() ? 0 : found->second;
}

std::string spent_budget(const RunState& state) {
  for (const BudgetKind& kind : kKinds) {
    const auto limit = state.recipe.stop.budgets.find(kind.option.name);
    if (limit == state.recipe.stop.budgets.end()) continue;
    if (const auto spent = kind.spent(state); spent && *spent >= limit->second)
      return kind.used_up(*spent, limit->second);
  }
  return {};
}

}  // namespace lathe::loop
