// What own verdicts say of makers and workers: takes, passes and what they took. Pure.
#pragma once

#include <tuple>

#include "books/journal/journal.h"
#include "loop/conductor/state.h"
#include "loop/plan/plan.h"
#include "loop/plan/route.h"

namespace lathe::loop {

struct TakeTally {
  std::uint32_t takes = 0, passes = 0;
  std::uint32_t calls = 0;        // of makers and judges
  double seconds = 0;             // of these calls
  std::int64_t tokens = 0;        // prompts and answers
  double joules = 0;              // of takes whose machine could be read
  std::uint32_t joule_takes = 0;  // so many
  double money = 0;
  std::string currency;

  TakeTally& operator+=(const TakeTally& other);
};

// By maker, difficulty (0: of a run that is no plan's) and worker ("": nobody was asked).
using TakeKey = std::tuple<std::string, int, std::string>;
using TakeHistory = std::map<TakeKey, TakeTally>;

// Adds a run: takes that were judged, and answers that could not be used. Workers that did not
// answer and judges that could not tell say nothing of a take.
void add_run(std::span<const Entry> entries, const RunState& state, TakeHistory& history);

// All of a maker: of one difficulty, or where there is none, of any.
TakeTally tally_of(const TakeHistory& history, std::string_view kind, int difficulty);

// Of the journal's newest runs; what cannot be read says nothing.
Result<TakeHistory> read_history(const books::Journal& journal);

// As routes read it: kinds are numbered as `kinds`, rungs as `rungs`.
RouteHistory route_history(const TakeHistory& history, std::span<const std::string> kinds,
                           std::span<const std::string> rungs);

// What a plan will probably take.
struct TaskForecast {
  double takes = 0, calls = 0, tokens = 0, seconds = 0;
  std::optional<double> joules, money;  // nothing is known
  std::string basis;                    // "from 43 takes of code", "no history: guess"
};
struct PlanForecast {
  std::vector<TaskForecast> tasks;
  TaskForecast total;  // its seconds: of the longest chain
  std::string currency;
};
PlanForecast forecast_of(const Plan& plan, const TakeHistory& history);

}  // namespace lathe::loop
