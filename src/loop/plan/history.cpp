// Tallies of takes out of runs, and forecasts out of tallies.
#include "loop/plan/history.h"

#include <algorithm>

#include "ground/base/plural.h"

namespace lathe::loop {
namespace {

// A guess for who has no history: two takes, each a call of a small model and a judge's.
constexpr double kGuessTakes = 2, kGuessCalls = 2, kGuessTokens = 4000, kGuessSeconds = 60;
constexpr std::size_t kMostRuns = 500;
constexpr std::int64_t kNano = 1'000'000'000;

// Whether the candidate says something of who made it; nullopt: it does not.
std::optional<bool> said(const Recipe& recipe, const CandidateState& candidate) {
  if (candidate.error)
    return candidate.error->kind == ErrorKind::kInvalid ? std::optional(false) : std::nullopt;
  if (!candidate.made) return std::nullopt;
  switch (outcome_of(recipe, candidate)) {
    case Outcome::kPass:
      return true;
    case Outcome::kFail:
      return false;
    default:
      return std::nullopt;
  }
}

struct CallSum {
  double seconds = 0;
  std::int64_t tokens = 0;
  std::uint32_t calls = 0;
  std::string worker;

  void add(std::optional<std::int64_t> ms, const Usage& usage) {
    seconds += static_cast<double>(ms.value_or(0)) / 1000;
    tokens += usage.prompt_tokens + usage.completion_tokens;
    ++calls;
  }
};
using Candidate = std::tuple<std::size_t, int, int>;  // track, lap, n

std::map<Candidate, CallSum> calls_of(std::span<const Entry> entries) {
  std::map<Candidate, CallSum> sums;
  for (const Entry& entry : entries) {
    if (const auto* made = std::get_if<CandidateMade>(&entry.event); made && !made->reused) {
      CallSum& sum = sums[{made->call.track, made->call.lap, made->call.n}];
      sum.worker = made->worker.value_or("");
      sum.add(made->ms, made->usage);
    } else if (const auto* given = std::get_if<VerdictGiven>(&entry.event);
               given && !given->reused && given->call.kind == CallId::Kind::kJudge) {
      sums[{given->call.track, given->call.lap, given->call.n}].add(given->ms, given->usage);
    }
  }
  return sums;
}

TaskForecast guess() {
  TaskForecast forecast;
  forecast.takes = kGuessTakes;
  forecast.calls = kGuessTakes * kGuessCalls;
  forecast.tokens = kGuessTakes * kGuessTokens;
  forecast.seconds = kGuessTakes * kGuessSeconds;
  forecast.basis = "no history: guess";
  return forecast;
}

TaskForecast forecast_of_task(const PlanTask& task, const TakeHistory& history) {
  const TakeTally tally = tally_of(history, task.maker->name, task.difficulty);
  if (tally.takes == 0) return guess();
  const double takes = tally.takes;
  TaskForecast forecast;
  forecast.takes = (takes + 2) / (tally.passes + 1.0);
  forecast.calls = forecast.takes * tally.calls / takes;
  forecast.tokens = forecast.takes * static_cast<double>(tally.tokens) / takes;
  forecast.seconds = forecast.takes * tally.seconds / takes;
  if (tally.joule_takes > 0) forecast.joules = forecast.takes * tally.joules / tally.joule_takes;
  if (!tally.currency.empty()) forecast.money = forecast.takes * tally.money / takes;
  forecast.basis = fmt::format("from {} of {}", counted(tally.takes, "take"), task.maker->name);
  return forecast;
}

void add_known(std::optional<double>& sum, const std::optional<double>& more) {
  if (more) sum = sum.value_or(0) + *more;
}

}  // namespace

TakeTally& TakeTally::operator+=(const TakeTally& other) {
  takes += other.takes;
  passes += other.passes;
  calls += other.calls;
  seconds += other.seconds;
  tokens += other.tokens;
  joules += other.joules;
  joule_takes += other.joule_takes;
  if (currency.empty()) currency = other.currency;
  if (currency == other.currency) money += other.money;
  return *this;
}

void add_run(std::span<const Entry> entries, const RunState& state, TakeHistory& history) {
  if (!state.recipe.maker || state.recipe.maker->name == "given" || state.header.made_before)
    return;
  const std::string kind(state.recipe.maker->name);
  const int difficulty =
      static_cast<int>(json_int(json_at(state.header.extra, "plan"), "difficulty", 0));
  std::vector<std::pair<Candidate, bool>> takes;
  for (std::size_t t = 0; t < state.tracks.size(); ++t)
    for (const LapState& lap : state.tracks[t].laps)
      for (const CandidateState& candidate : lap.candidates)
        if (const auto passed = said(state.recipe, candidate))
          takes.push_back({{t, lap.number, candidate.n}, *passed});
  if (takes.empty()) return;
  const auto calls = calls_of(entries);
  const auto count = static_cast<double>(takes.size());
  for (const auto& [candidate, passed] : takes) {
    const auto found = calls.find(candidate);
    const CallSum sum = found == calls.end() ? CallSum() : found->second;
    TakeTally& tally = history[{kind, difficulty, sum.worker}];
    TakeTally one;
    one.takes = 1;
    one.passes = passed ? 1 : 0;
    one.calls = sum.calls;
    one.seconds = sum.seconds;
    one.tokens = sum.tokens;
    if (state.joules) one.joules = *state.joules / count, one.joule_takes = 1;
    if (!state.header.prices.empty()) {
      one.currency = state.header.prices.front().price.currency;
      one.money = static_cast<double>(state.paid_nano) / static_cast<double>(kNano) / count;
    }
    tally += one;
  }
}

TakeTally tally_of(const TakeHistory& history, std::string_view kind, int difficulty) {
  TakeTally same, any;
  for (const auto& [key, tally] : history) {
    if (std::get<0>(key) != kind) continue;
    any += tally;
    if (std::get<1>(key) == difficulty) same += tally;
  }
  return same.takes > 0 ? same : any;
}

Result<TakeHistory> read_history(const books::Journal& journal) {
  TakeHistory history;
  LATHE_TRY(const auto rows, journal.runs());
  for (std::size_t i = 0; i < rows.size() && i < kMostRuns; ++i) {
    const auto records = journal.records(rows[i].id);
    const auto entries = records ? from_records(*records)
                                 : Result<std::vector<Entry>>(std::unexpected(records.error()));
    const auto state =
        entries ? fold(*entries) : Result<RunState>(std::unexpected(entries.error()));
    if (state) add_run(*entries, *state, history);
  }
  return history;
}

RouteHistory route_history(const TakeHistory& history, std::span<const std::string> kinds,
                           std::span<const std::string> rungs) {
  RouteHistory tallies(kinds.size(), rungs.size());
  for (const auto& [key, tally] : history) {
    const auto& [kind, difficulty, worker] = key;
    const auto k = std::ranges::find(kinds, kind);
    const auto r = std::ranges::find(rungs, worker);
    if (k == kinds.end() || r == rungs.end() || difficulty < 1 || difficulty > kDifficulties)
      continue;
    tallies.add(static_cast<std::size_t>(k - kinds.begin()), difficulty,
                static_cast<std::size_t>(r - rungs.begin()), tally.takes, tally.passes);
  }
  return tallies;
}

PlanForecast forecast_of(const Plan& plan, const TakeHistory& history) {
  PlanForecast forecast;
  forecast.tasks.resize(plan.tasks.size());
  std::vector<double> until(plan.tasks.size());  // when each task has passed
  for (const std::size_t i : plan.order) {
    TaskForecast& task = forecast.tasks[i] = forecast_of_task(plan.tasks[i], history);
    for (const std::size_t dep : plan.tasks[i].deps) until[i] = std::max(until[i], until[dep]);
    until[i] += task.seconds;
    forecast.total.takes += task.takes;
    forecast.total.calls += task.calls;
    forecast.total.tokens += task.tokens;
    forecast.total.seconds = std::max(forecast.total.seconds, until[i]);
    add_known(forecast.total.joules, task.joules);
    add_known(forecast.total.money, task.money);
  }
  for (const auto& [key, tally] : history)
    if (!tally.currency.empty()) forecast.currency = tally.currency;
  return forecast;
}

}  // namespace lathe::loop
