// The ladder of a unit: hard filters, then the order of least expected cost.
#include "loop/plan/route.h"

#include <algorithm>

#include <fmt/format.h>

#include "ground/base/units.h"
#include "loop/plan/plan.h"

namespace lathe::loop {
namespace {

std::uint64_t needed_bytes(const RouteUnit& unit, const RouteRung& rung) {
  return std::max(unit.memory_bytes, rung.takes_bytes);
}

RouteWhy filter_of(const RouteUnit& unit, const RouteRung& rung, const RouteBudget& budget) {
  if (unit.privacy < rung.reach) return RouteWhy::kPrivacy;
  if (!rung.available) return RouteWhy::kUnavailable;
  if ((unit.pictures && !rung.sees) || (unit.sounds && !rung.hears)) return RouteWhy::kModality;
  if (rung.context_tokens > 0 && rung.context_tokens < unit.context_tokens)
    return RouteWhy::kContext;
  if (rung.memory_bytes > 0 && rung.memory_bytes < needed_bytes(unit, rung))
    return RouteWhy::kMemory;
  if (rung.seconds > unit.deadline_seconds) return RouteWhy::kDeadline;
  if (rung.money > budget.money || rung.joules > budget.joules) return RouteWhy::kBudget;
  return RouteWhy::kTaken;
}

}  // namespace

// Exchanging two neighbours changes the expected cost by c_a·p_b − c_b·p_a: the order by c/p is the
// best of all.
void find_route(const RouteUnit& unit, std::span<const RouteRung> rungs,
                const RouteHistory& history, const RouteBudget& budget, Route& route) {
  route.ladder.clear();
  route.verdicts.resize(rungs.size());
  for (std::size_t i = 0; i < rungs.size(); ++i) {
    route.verdicts[i] = {filter_of(unit, rungs[i], budget),
                         history.probability(unit.kind, unit.difficulty, i),
                         budget.cost_of(rungs[i])};
    if (route.verdicts[i].why == RouteWhy::kTaken) route.ladder.push_back(i);
  }
  std::ranges::sort(route.ladder, [&](std::size_t a, std::size_t b) {
    const double l = route.verdicts[a].cost / route.verdicts[a].probability;
    const double r = route.verdicts[b].cost / route.verdicts[b].probability;
    return l != r ? l < r : a < b;
  });
  double sum = 0;
  std::size_t enough = 0;
  while (enough < route.ladder.size() && sum < kEnoughProbability)
    sum += route.verdicts[route.ladder[enough++]].probability;
  for (std::size_t i = enough; i < route.ladder.size(); ++i)
    route.verdicts[route.ladder[i]].why = RouteWhy::kEnough;
  route.ladder.resize(enough);
}

double expected_cost(std::span<const std::size_t> ladder, std::span<const RouteVerdict> verdicts) {
  double cost = 0, reached = 1;
  for (const std::size_t rung : ladder) {
    cost += reached * verdicts[rung].cost;
    reached *= 1 - verdicts[rung].probability;
  }
  return cost;
}

std::string why_text(const RouteUnit& unit, const RouteRung& rung, const RouteVerdict& verdict) {
  switch (verdict.why) {
    case RouteWhy::kTaken:
      return "";
    case RouteWhy::kUnavailable:
      return "it does not answer";
    case RouteWhy::kPrivacy:
      return fmt::format("what it would be shown is \"{}\", and it is \"{}\"",
                         label_name(unit.privacy), label_name(rung.reach));
    case RouteWhy::kModality:
      return unit.pictures && !rung.sees ? "it reads no pictures" : "it hears no sounds";
    case RouteWhy::kContext:
      return fmt::format("it takes {} tokens, and {} are needed", rung.context_tokens,
                         unit.context_tokens);
    case RouteWhy::kMemory:
      return fmt::format("it has {}, and {} are needed", format_bytes(rung.memory_bytes),
                         format_bytes(needed_bytes(unit, rung)));
    case RouteWhy::kDeadline:
      return fmt::format("a take lasts {:.0f} s, and {:.0f} s are left", rung.seconds,
                         unit.deadline_seconds);
    case RouteWhy::kBudget:
      return "a take costs more than what is left";
    case RouteWhy::kEnough:
      return "those before it pass often enough";
  }
  return "";
}

}  // namespace lathe::loop
