// Each budget stops a run by itself, and says so.
#include "loop/conductor/budget.h"

#include <gmock/gmock.h>

#include "loop/conductor/state.h"

namespace lathe::loop {
namespace {

RunState state_after(std::int64_t ms, std::int64_t tokens, std::optional<double> joules) {
  RunState state;
  state.t_ms = ms;
  state.usage.prompt_tokens = tokens;
  state.joules = joules;
  return state;
}

TEST(Budget, TheFirstThatIsUsedUpIsNamed) {
  RunState state = state_after(60'000, 900, 5.0);
  EXPECT_EQ(spent_budget(state), "");  // no limits
  state.recipe.stop.budgets = {{"time", 60'001}, {"tokens", 901}, {"energy", 5.5}};
  EXPECT_EQ(spent_budget(state), "");
  state.recipe.stop.budgets["energy"] = 5;
  EXPECT_EQ(spent_budget(state), "the energy of 5.0 J is used up");
  state.recipe.stop.budgets["tokens"] = 900;
  EXPECT_EQ(spent_budget(state), "900 of 900 tokens are used up");
  state.recipe.stop.budgets["time"] = 60'000;
  EXPECT_EQ(spent_budget(state), "the time of 1m 00s is used up");
}

TEST(Budget, WhatCannotBeReadLimitsNothing) {
  RunState state = state_after(0, 0, std::nullopt);
  state.recipe.stop.budgets = {{"energy", 0}};
  EXPECT_EQ(spent_budget(state), "");
}

// What the recipe, the plan and the views ask of every row.
TEST(Budget, EveryRowIsWhole) {
  const RunState state = state_after(1'500, 40, 2.0);
  for (const BudgetKind& kind : budget_kinds()) {
    EXPECT_FALSE(kind.option.help.empty()) << kind.option.name;
    EXPECT_TRUE(kind.limit && kind.spent && kind.amount && kind.used_up && kind.brief)
        << kind.option.name;
    EXPECT_TRUE(kind.spent(state)) << kind.option.name;
    EXPECT_NE(kind.used_up(2, 1).find("used up"), std::string::npos) << kind.option.name;
  }
  EXPECT_EQ(budget_kinds()[0].option.name, kTimeBudget);
}

TEST(Budget, TheAccountSaysWhatWasMeasured) {
  RunState state = state_after(0, 0, 7200.0);
  state.header.energy = EnergySource{"socket", "RAPL"};
  EXPECT_EQ(budget_kinds()[2].account(state), "7.2 kJ (socket: RAPL)");
  state.joules.reset();
  EXPECT_EQ(budget_kinds()[2].account(state), "RAPL");
  state.header.energy.reset();
  EXPECT_EQ(budget_kinds()[2].account(state), "not readable here");
  EXPECT_EQ(budget_kinds()[1].account(state), "");  // nobody was asked
  state.usage.calls = 1;
  EXPECT_EQ(budget_kinds()[1].account(state), "not counted by the worker");
}

TEST(Budget, MoneyIsCountedByThePricesOfTheBeginning) {
  RunState state;
  state.header.prices = {
      {"cloud", {.model = "big", .in = 2'000'000'000, .out = 10'000'000'000, .currency = "USD"}}};
  state.recipe.stop.budgets = {{"money", 2.5e9}};
  state.tracks.resize(1);
  state.next_seq = 2;  // behind what begins a run
  int lap = 0;
  const auto call = [&](const std::string& worker, const Usage& usage) {
    CandidateMade made;
    made.call = CallId::make(0, ++lap, 0);
    made.usage = usage;
    made.worker = worker;
    // That there is no such candidate says apply() after it has booked what it cost.
    static_cast<void>(apply(state, {state.next_seq, 0, std::nullopt, std::move(made)}));
  };
  Usage million;
  million.prompt_tokens = 1'000'000;
  million.calls = 1;
  million.counted = true;
  call("coder", million);
  EXPECT_EQ(state.paid_nano, 0) << "it is this machine's own";
  call("cloud", million);
  EXPECT_EQ(state.paid_nano, 2'000'000'000);
  EXPECT_EQ(spent_budget(state), "");
  EXPECT_EQ(budget_kinds()[3].brief(state), "2.0000 USD");
  call("cloud", million);
  EXPECT_EQ(spent_budget(state), "4.0000 of the 2.50 of money are used up");
}

TEST(Budget, APaidCallThatNobodyCountedEndsTheRunWhoseMoneyIsLimited) {
  RunState state;
  state.uncounted_paid = 1;
  state.recipe.stop.budgets = {{"money", 2.5e9}};
  EXPECT_NE(spent_budget(state).find("did not say how many tokens"), std::string::npos);
}

}  // namespace
}  // namespace lathe::loop
