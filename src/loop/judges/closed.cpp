// Closes every way in which a broken judge could pass.
#include <exception>
#include <set>

#include "ground/base/text.h"
#include "loop/judges/judge.h"

namespace lathe::loop {
namespace {

Judgement not_judged(const JudgeKind& kind, const JudgeTask& task, std::string why,
                     const Usage& usage = {}) {
  const bool advises = kind.advises && kind.advises(task.options);
  Judgement judgement;
  judgement.candidate = task.candidate;
  judgement.outcome = advises ? Outcome::kAbstain : Outcome::kError;
  judgement.evidence = {{advises ? "no_advice" : "not_judged", std::move(why)}};
  judgement.usage = usage;
  return judgement;
}

// What is wrong with the outcomes of single units, or "".
std::string units_problem(const Judgement& judgement, std::span<const Unit> units) {
  if (judgement.units.empty()) return {};
  std::set<std::string_view> open;
  for (const Unit& unit : units) open.insert(unit.key);
  for (const UnitOutcome& each : judgement.units) {
    if (outcome_name(each.outcome).empty())
      return fmt::format("the outcome of '{}' is unknown", clip_utf8(each.unit, 100));
    if (open.erase(each.unit) == 0)
      return fmt::format("it answered for '{}', which was not asked or was answered before",
                         clip_utf8(each.unit, 100));
    if (judgement.outcome == Outcome::kPass && each.outcome != Outcome::kPass)
      return fmt::format("it said pass, but '{}' did not", clip_utf8(each.unit, 100));
  }
  if (judgement.outcome == Outcome::kPass && !open.empty())
    return fmt::format("it said pass, but left out '{}'", clip_utf8(*open.begin(), 100));
  return {};
}

// What makes the judgement unsound, or "".
std::string problem_of(const Judgement& judgement, const JudgeTask& task) {
  if (outcome_name(judgement.outcome).empty()) return "its outcome is unknown";
  if (judgement.candidate != task.candidate)
    return fmt::format("it answered for candidate '{}', not '{}'",
                       clip_utf8(judgement.candidate, 64), task.candidate);
  if (!is_share(judgement.score))
    return fmt::format("its score is {}, not a number from 0 to 1", judgement.score);
  if (!is_share(judgement.bar))
    return fmt::format("its bar is {}, not a number from 0 to 1", judgement.bar);
  if (judgement.outcome == Outcome::kPass && judgement.score < judgement.bar)
    return fmt::format("it said pass, but its score {} is below its bar {}", judgement.score,
                       judgement.bar);
  if (!judgement.evidence.is_object()) return "its evidence is not an object";
  if (judgement.outcome == Outcome::kError) {
    const std::string why = why_not_judged(judgement);
    return why.empty() ? "it gave up without a reason" : why;
  }
  if (judgement.evidence.contains("not_judged"))
    return "it gave an outcome and a reason for not judging";
  return units_problem(judgement, task.units);
}

}  // namespace

Judgement closed(const JudgeKind& kind, const JudgeTask& task, Result<Judgement> said) {
  if (!said) return not_judged(kind, task, std::move(said).error().message);
  if (const std::string problem = problem_of(*said, task); !problem.empty())
    return not_judged(kind, task, fmt::format("{}: {}", kind.name, problem), said->usage);
  return *std::move(said);
}

Judgement judge_closed(const JudgeKind& kind, const JudgeTask& task, const JudgeContext& context) {
  if (!kind.judge)
    return not_judged(kind, task, fmt::format("{}: cannot judge anything", kind.name));
  if (kind.needs_worker && !context.worker)
    return not_judged(kind, task, fmt::format("{}: needs a worker and has none", kind.name));
  try {
    return closed(kind, task, kind.judge(task, context));
  } catch (const std::exception& error) {
    return not_judged(kind, task, fmt::format("{}: broke down: {}", kind.name, error.what()));
  } catch (...) {
    return not_judged(kind, task, fmt::format("{}: broke down", kind.name));
  }
}

}  // namespace lathe::loop
