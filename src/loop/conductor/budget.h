// What a run may use up, a row each. The recipe's [stop], the decisions, the plan that is printed
// at the start, the views of a run and its report all go by these rows: another budget is another
// row.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>

#include "ground/base/option.h"
#include "ground/base/result.h"

namespace lathe::loop {

struct RunState;

struct BudgetKind {
  OptionSpec option;     // of [stop]
  bool by_calls = true;  // calls use it up; else it passes by itself
  // The limit that checked options set, in the budget's own unit. The error says what is wrong with
  // it, without the key. Asked only where the option is given.
  Result<double> (*limit)(const Json& stop) = nullptr;
  // What is used so far; nullopt: that cannot be told here, and then nothing is limited.
  std::optional<double> (*spent)(const RunState& state) = nullptr;
  std::string (*amount)(double value) = nullptr;                 // "20m 00s", "1000 tokens"
  std::string (*used_up)(double spent, double limit) = nullptr;  // why a run stops
  // What was used, in a few words and in a sentence; "": there is nothing to say.
  std::string (*brief)(const RunState& state) = nullptr;
  std::string (*account)(const RunState& state) = nullptr;
};
// In the order in which they are looked at and printed.
std::span<const BudgetKind> budget_kinds();

inline constexpr std::string_view kTimeBudget = "time";  // in milliseconds; every run has it

// What a recipe allows, by the name of the option.
using Budgets = std::map<std::string, double, std::less<>>;
// 0 where there is no such limit.
double limit_of(const Budgets& budgets, std::string_view name);

}  // namespace lathe::loop
