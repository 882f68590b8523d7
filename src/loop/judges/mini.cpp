// The judge of functions in Mini-Python: runs a task's asserts in process, with fuel. A unit's
// judgement is about the visible asserts; the hidden ones are for the whole: they say how often a
// function that passes has really got it, and no maker ever hears of them.
#include "ground/base/text.h"
#include "loop/judges/judge.h"
#include "loop/mini/task.h"

namespace lathe::loop {
namespace {

constexpr OptionSpec kOptions[] = {
    {"min", OptionType::kNumber, "0.8",
     "of the whole: the share of passed functions that pass their hidden tests too"},
};

Status check(const Json& options) {
  const double min = option_number(options, "min");
  if (min >= 0 && min <= 1) return {};
  return invalid("min is {}; it must be a share from 0 to 1", min);
}

std::vector<std::string> run(const MiniTask& task, std::string_view source,
                             std::span<const MiniTest> tests) {
  return run_mini_tests(task, source.substr(std::min(source.size(), source.find('\n') + 1)), tests);
}

Result<Judgement> judge_unit(const JudgeTask& task) {
  LATHE_TRY(const MiniTask mini,
            mini_task_of(task.units.front().key, task.units.front().text, task.units.front().data));
  const std::vector<std::string> got = run(mini, task.bytes, mini.tests);
  Judgement judgement;
  judgement.candidate = task.candidate;
  std::size_t passed = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (got[i].empty()) {
      ++passed;
      continue;
    }
    const MiniTest& test = mini.tests[i];
    judgement.critiques.push_back({fmt::format("test {}", i + 1), "must",
                                   fmt::format("{}({}) is {}, not {}", mini.name, test.arguments,
                                               clip_utf8(got[i], 60), test.want),
                                   "", fmt::format("mini:{}:{}", i + 1, got[i])});
  }
  judgement.score = static_cast<double>(passed) / static_cast<double>(got.size());
  judgement.outcome = passed == got.size() ? Outcome::kPass : Outcome::kFail;
  judgement.evidence = {{"passed", passed}, {"tests", got.size()}};
  return judgement;
}

Result<Judgement> judge_whole(const JudgeTask& task) {
  Judgement judgement;
  judgement.candidate = task.candidate;
  std::size_t visible = 0, hidden = 0;
  for (const Part& part : task.parts) {
    if (!part.passed) continue;
    LATHE_TRY(const MiniTask mini, mini_task_of(part.unit.key, part.unit.text, part.unit.data));
    ++visible;
    const std::vector<std::string> got = run(mini, part.bytes, mini.hidden);
    const auto failed = std::ranges::count_if(got, [](const std::string& g) { return !g.empty(); });
    hidden += failed == 0;
    if (failed > 0)
      judgement.critiques.push_back(
          {part.unit.key, "must",
           fmt::format("passes its tests, but not {} of {} hidden ones", failed, got.size()), "",
           ""});
  }
  const double min = option_number(task.options, "min");
  judgement.bar = min;
  judgement.score = visible == 0 ? 0 : static_cast<double>(hidden) / static_cast<double>(visible);
  judgement.outcome = visible > 0 && judgement.score >= min ? Outcome::kPass : Outcome::kFail;
  judgement.evidence = {
      {"units", task.parts.size()}, {"passed", visible}, {"passed_hidden", hidden}};
  return judgement;
}

Result<Judgement> judge(const JudgeTask& task, const JudgeContext&) {
  return task.scope == Scope::kWhole ? judge_whole(task) : judge_unit(task);
}

}  // namespace

extern const JudgeKind kMiniJudge;
const JudgeKind kMiniJudge{
    .name = "mini",
    .summary = "the asserts of a function in Mini-Python; of the whole: the hidden ones",
    .options = kOptions,
    .can_whole = true,
    .check = check,
    .judge = judge,
};

}  // namespace lathe::loop
