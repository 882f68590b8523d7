// The doubts about tests that pass: machinery in the change, special cases, and a wrong twin that
// passes as well.
#include "loop/judges/test_honesty.h"

#include <algorithm>

#include "ground/base/text.h"
#include "loop/judges/wrong_twin.h"

namespace lathe::loop {
namespace {

constexpr std::size_t kMostNamed = 20;

Json shown(const std::vector<Machinery>& found) {
  Json list = Json::array();
  for (const Machinery& each : found)
    list.push_back({{"name", each.name}, {"at", each.locus}, {"line", each.line}});
  return list;
}

std::vector<Doubt> machinery_doubts(const Json& options, const Changes& changes, const TestRun& run,
                                    Json& evidence) {
  const std::vector<std::string> allow = option_strings(options, "allow");
  std::vector<Machinery> found = machinery_added(changes, run.before, allow);
  if (std::ranges::find(allow, "special case") == allow.end())
    for (Machinery& each : special_cases(changes, run.before)) found.push_back(std::move(each));
  if (found.empty()) return {};
  evidence["machinery"] = shown(found);
  std::vector<Doubt> doubts;
  for (const Machinery& each : found)
    doubts.push_back(
        {each.locus,
         each.name == "special case"
             ? fmt::format("the change knows a test's answer: {}; write what holds for "
                           "every input",
                           each.why)
             : fmt::format("the change touches the test machinery ({}): {}; repair the "
                           "code without it",
                           each.name, each.why),
         each.line, each.name + '\n' + each.line});
  return doubts;
}

}  // namespace

Result<std::vector<Doubt>> doubts_about(const Json& options, const Changes& changes,
                                        const TestRun& run, const std::vector<Repaired>& repaired,
                                        const JudgeContext& context, Json& evidence) {
  std::vector<Doubt> doubts = machinery_doubts(options, changes, run, evidence);
  if (!doubts.empty() || repaired.empty() || !option_bool(options, "twin")) return doubts;
  const WrongTwin twin = wrong_twin(changes, [&](const std::string& path) {
    const auto found = run.before.changed.find(path);
    return found == run.before.changed.end() ? std::optional<std::string>() : found->second;
  });
  const auto without_twin = [&](std::string_view why) {
    evidence["twin"] = why;
    evidence["caveat"] = fmt::format("whether the tests test this change is not known: {}", why);
    return doubts;
  };
  if (twin.broken.empty())
    return without_twin(
        "no wrong twin could be made: no function of a known language is in the changed files");
  JudgeContext silent = context;
  silent.output = {};  // its failures are no news of the change
  LATHE_TRY(const TestRun wrong, run_tests(options, twin.changes, silent));
  if (!wrong.built) return without_twin("no wrong twin could be built");
  Json named = Json::array();
  for (const std::string& each : twin.broken)
    if (named.size() < kMostNamed) named.push_back(each);
  std::size_t hidden = 0, green = 0;
  for (const Repaired& test : repaired) {
    const bool passes = wrong.results && wrong.tampered.empty() &&
                        std::ranges::any_of(wrong.results->tests, [&](const TestResult& result) {
                          return result.name == test.name && result.outcome == TestOutcome::kPass;
                        });
    if (!passes) continue;
    ++green;
    hidden += test.held_out;
    if (test.held_out || doubts.size() == kMostNamed) continue;
    doubts.push_back({"",
                      fmt::format("test {} passes also when every function in the changed files "
                                  "fails: it is not this code that makes it pass",
                                  test.name),
                      "broken on purpose: " + join(twin.broken, ", "), "twin\n" + test.name});
  }
  if (hidden > 0)
    doubts.push_back({"",
                      fmt::format("{} held-out tests pass also when every function in the changed "
                                  "files fails",
                                  hidden),
                      "", "twin"});
  evidence["twin"] = {{"broken", std::move(named)},
                      {"repaired tests", repaired.size()},
                      {"pass all the same", green}};
  return doubts;
}

}  // namespace lathe::loop
