// The judge that runs a project's tests: every one must run and pass, and because of the code.
#include "loop/judges/tests.h"

#include <algorithm>
#include <array>
#include <set>

#include "ground/base/hash.h"
#include "ground/base/text.h"
#include "loop/judges/locus.h"
#include "loop/judges/test_honesty.h"
#include "loop/judges/test_run.h"

namespace lathe::loop {
namespace {

constexpr std::size_t kMaxCritiques = 20;
constexpr std::size_t kMaxEvidenceBytes = 2000;
constexpr std::size_t kMaxNamedTests = 50;

constexpr OptionSpec kOptions[] = {
    {"command", OptionType::kString, kMustBeGiven, "runs the tests: a line for sh, in the tree",
     true},
    {"build", OptionType::kString, "\"\"", "runs before it: a line for sh", true},
    {"report", OptionType::kString, "\"\"", "the report's path in the tree; \"\": what it prints",
     true},
    {"format", OptionType::kString, "\"auto\"",
     "auto | junit | tap | ctest | pytest | go | cargo | jest | exit: its status is the test | "
     "any: "
     "its status, and what can be read",
     true},
    {"protect", OptionType::kStrings, "[]",
     "globs of files that stay as they are, whatever a candidate does", true},
    {"held_out", OptionType::kStrings, "[]",
     "globs of test names that count, but are never shown to the maker", true},
    {"read_only", OptionType::kStrings, "[]",
     "directories that the tests may read besides the system's: \"~/.cargo/registry\", \".venv\"",
     true},
    {"path", OptionType::kStrings, "[]", "directories with programs, before the system's", true},
    {"env", OptionType::kTable, "{}", "variables for the build and the tests", true},
    {"allow", OptionType::kStrings, "[]",
     "test machinery that a candidate may touch all the same, by the names that the critique gives",
     true},
    {"twin", OptionType::kBool, "true",
     "when all pass, run them against a deliberately wrong twin of the change, which must fail",
     true},
    {"time", OptionType::kDuration, "\"10m\"", "limit for the build and for the tests", true},
    {"memory", OptionType::kBytes, "\"4GiB\"", "limit for all their processes together", true},
    {"processes", OptionType::kInteger, "128", "limit of processes and threads", true},
};

constexpr std::pair<TestOutcome, std::string_view> kOutcomeNames[] = {
    {TestOutcome::kPass, "pass"}, {TestOutcome::kSkip, "skip"}, {TestOutcome::kFail, "fail"}};

std::string_view outcome_word(TestOutcome outcome) {
  return kOutcomeNames[static_cast<std::size_t>(outcome)].second;
}

bool is_held_out(const std::vector<std::string>& globs, std::string_view name) {
  // Names are no paths: '*' reaches over the slashes in them.
  const std::string flat = replace_all(name, "/", "\x1f");
  return std::ranges::any_of(globs, [&](const std::string& glob) {
    return glob_match(replace_all(glob, "/", "\x1f"), flat);
  });
}

Status check(const Json& options) {
  const std::string format = option_string(options, "format");
  if (std::ranges::find(kTestFormats, format) == std::end(kTestFormats))
    return invalid(
        "format '{}' is not one of auto, junit, tap, ctest, pytest, go, cargo, jest, exit, any",
        clip_utf8(format, 40));
  if (trim(option_string(options, "command")).empty()) return invalid("command is empty");
  if (const std::string report = option_string(options, "report");
      !report.empty() && !is_safe_relative(report))
    return invalid("report '{}' is not a path inside the tree", clip_utf8(report, 200));
  if (const auto processes = option_int(options, "processes"); processes < 1 || processes > 10000)
    return invalid("processes is {}, but must be from 1 to 10000", processes);
  return {};
}

// Numbers, addresses and times change from run to run; the fault is the same.
std::string same_words(std::string_view text) {
  std::string plain;
  for (const char c : text)
    if (c < '0' || c > '9')
      plain += c;
    else if (plain.empty() || plain.back() != '#')
      plain += '#';
  return plain;
}

// The line that says most: the first, but the last of a Python traceback.
std::string main_line(std::string_view text) {
  const auto lines = split_lines(trim(text));
  if (lines.empty()) return {};
  const bool traceback = trim(lines.front()).starts_with("Traceback");
  return clip_utf8(trim(traceback ? lines.back() : lines.front()), 200);
}

class Verdict {
 public:
  Verdict(const JudgeTask& task, const TestRun& run)
      : task_(task),
        run_(run),
        held_out_(option_strings(task.options, "held_out")),
        finder_(run.files, option_strings(task.options, "protect")) {
    judgement_.candidate = task.candidate;
    judgement_.outcome = Outcome::kFail;
    for (const auto& [name, outcome] : json_at(task.discovered, "tests").items())
      required_[name] = json_string({{"o", outcome}}, "o");
  }

  // Compares with what was before, and looks closer when that is as it should be.
  Result<Judgement> decide(const Changes& changes, const JudgeContext& context) {
    judgement_.evidence["exit"] = run_.last.exit.describe();
    if (!run_.last.contained.empty()) judgement_.evidence["contained"] = run_.last.contained;
    if (!run_.tampered.empty()) {
      add("",
          fmt::format("the protected file {} was changed while the {} ran", run_.tampered,
                      run_.built ? "tests" : "build"),
          "");
    } else if (!run_.built) {
      add(finder_.find(run_.output_tail()), "the build fails: " + run_.last.exit.describe(),
          run_.output_tail());
    } else if (!run_.results) {
      if (required_.empty())
        return fail(ErrorKind::kInvalid, "tests: {} ({})\n{}", run_.no_results,
                    run_.last.exit.describe(), run_.output_tail());
      add_stopped("no test results: " + run_.no_results);
    } else {
      compare();
      if (judgement_.critiques.empty()) {
        LATHE_TRY(const auto doubts, doubts_about(task_.options, changes, run_, repaired(), context,
                                                  judgement_.evidence));
        for (const Doubt& doubt : doubts)
          add(doubt.locus, doubt.claim, doubt.evidence, doubt.identity);
        if (doubts.empty()) judgement_.outcome = Outcome::kPass;
        ran_ = doubts.empty();
      }
    }
    judgement_.score = total_ == 0 ? 0 : static_cast<double>(passed_) / static_cast<double>(total_);
    if (judgement_.outcome != Outcome::kPass) judgement_.score = std::min(judgement_.score, 0.99);
    set_units();
    return std::move(judgement_);
  }

 private:
  struct Count {
    int passed = 0, total = 0;
  };

  // `identity`: what makes this the same fault on the next lap; "": the claim.
  void add(std::string locus, std::string claim, std::string_view evidence,
           std::string_view identity = {}) {
    if (judgement_.critiques.size() == kMaxCritiques) return;
    const std::string fingerprint =
        sha256_hex(identity.empty() ? same_words(claim) : identity).substr(0, 12);
    judgement_.critiques.push_back({std::move(locus), "must", std::move(claim),
                                    clip_utf8(evidence, kMaxEvidenceBytes), fingerprint});
  }

  // The whole command's output may speak of held-out tests.
  void add_stopped(std::string claim) {
    if (!run_.last.contained.empty()) claim += fmt::format(" ({})", run_.last.contained);
    const std::string tail = held_out_.empty() ? run_.output_tail() : std::string();
    add(finder_.find(tail), claim + "; the command ended with " + run_.last.exit.describe(), tail);
  }

  void fault(const std::string& name, std::string_view what, std::string_view text) {
    const std::string why = main_line(text);
    add(finder_.find(text), fmt::format("test {} {}{}{}", name, what, why.empty() ? "" : ": ", why),
        text, name + '\n' + same_words(why));
  }

  // A file or package that could not be loaded is reported as a test; once it can, its tests are.
  bool has_tests_now(const std::string& name) const {
    return std::ranges::any_of(run_.results->tests, [&](const TestResult& test) {
      return test.name.size() > name.size() && test.name.starts_with(name) &&
             std::string_view(":. ").find(test.name[name.size()]) != std::string_view::npos;
    });
  }

  // A status that was good while tests failed ("pytest | tail") tells nothing.
  bool whole_command_passes() const {
    const auto before = required_.find(std::string(kWholeCommand));
    return run_.last.exit.ok() && run_.results->tests.front().name == kWholeCommand &&
           before != required_.end() && before->second == "fail";
  }

  // One test against what it was before: true when it counts as passed.
  bool judge_test(const std::string& name, const TestResult* now, std::string_view before,
                  bool hidden) {
    const bool may_skip = before == "skip" || before.empty();
    if (now &&
        (now->outcome == TestOutcome::kPass || (now->outcome == TestOutcome::kSkip && may_skip)))
      return true;
    // Whoever runs `pytest -q` and the like is told of failures alone.
    if (!now && before == "fail" && (whole_command_passes() || has_tests_now(name))) return true;
    if (hidden) return false;
    failed_.insert(name);
    if (!now)
      fault(name, "did not run", "");
    else if (now->outcome == TestOutcome::kSkip)
      fault(name, "was skipped", now->text);
    else if (before == "pass")
      fault(name, "passed before this change and fails now", now->text);
    else
      fault(name, "fails", now->text);
    return false;
  }

  void compare() {
    std::map<std::string, const TestResult*> now;
    for (const TestResult& test : run_.results->tests) now[test.name] = &test;
    std::map<std::string, std::string> all = required_;
    for (const TestResult& test : run_.results->tests) all.try_emplace(test.name, "");
    Count visible, hidden;
    // Regressions first: they are what this candidate did.
    for (const bool regressions : {true, false})
      for (const auto& [name, before] : all) {
        if ((before == "pass") != regressions) continue;
        if (name == kWholeCommand && all.size() > 1) continue;  // the others say more
        const bool held_out = is_held_out(held_out_, name);
        const auto found = now.find(name);
        Count& count = held_out ? hidden : visible;
        ++count.total;
        count.passed +=
            judge_test(name, found == now.end() ? nullptr : found->second, before, held_out);
      }
    if (hidden.passed < hidden.total)
      add("",
          fmt::format("{} of {} held-out tests fail", hidden.total - hidden.passed, hidden.total),
          "");
    // Whatever goes on running could still write the report.
    if (!run_.last.left.empty() && run_.last.left != json_string(task_.discovered, "left"))
      add("", fmt::format("a program still runs when the tests have ended: {}", run_.last.left),
          "");
    const bool named = run_.results->tests.size() > 1;
    const bool any_passed = std::ranges::any_of(run_.results->tests, [&](const TestResult& test) {
      return test.outcome == TestOutcome::kPass && !(named && test.name == kWholeCommand);
    });
    if (judgement_.critiques.empty() && !run_.last.exit.ok())
      add_stopped("every reported test passes, but the command failed");
    else if (judgement_.critiques.empty() && !any_passed)
      add("", "no test ran: all of them were skipped", "");
    passed_ = visible.passed + hidden.passed;
    total_ = visible.total + hidden.total;
    judgement_.evidence["visible"] = {{"passed", visible.passed}, {"total", visible.total}};
    if (hidden.total > 0)
      judgement_.evidence["held_out"] = {{"passed", hidden.passed}, {"total", hidden.total}};
    ran_ = true;
  }

  std::vector<Repaired> repaired() const {
    std::vector<Repaired> tests;
    for (const TestResult& test : run_.results->tests) {
      const auto before = required_.find(test.name);
      if (test.outcome == TestOutcome::kPass && before != required_.end() &&
          before->second == "fail")
        tests.push_back({test.name, is_held_out(held_out_, test.name)});
    }
    return tests;
  }

  void set_units() {
    Json failed = Json::array();
    for (const std::string& name : failed_)
      if (failed.size() < kMaxNamedTests) failed.push_back(name);
    judgement_.evidence["failed"] = std::move(failed);
    for (const Unit& unit : task_.units) {
      const bool passes = unit.key == kWholeCommand
                              ? judgement_.outcome == Outcome::kPass
                              : ran_ && !failed_.contains(unit.key) && knows(unit.key);
      judgement_.units.push_back({unit.key, passes ? Outcome::kPass : Outcome::kFail});
    }
    // A unit that is no test, like a file, stands or falls with the whole.
    if (std::ranges::none_of(task_.units, [&](const Unit& unit) { return knows(unit.key); }))
      judgement_.units.clear();
  }

  bool knows(const std::string& name) const { return required_.contains(name); }

  const JudgeTask& task_;
  const TestRun& run_;
  std::vector<std::string> held_out_;
  LocusFinder finder_;
  std::map<std::string, std::string> required_;  // test → its outcome before the first lap
  std::set<std::string> failed_;                 // visible ones
  bool ran_ = false;
  int passed_ = 0, total_ = 0;
  Judgement judgement_;
};

Result<Judgement> judge(const JudgeTask& task, const JudgeContext& context) {
  auto changes = parse_changes(task.bytes);
  if (!changes) return at("tests: the candidate", changes.error());
  LATHE_TRY(const TestRun run, run_tests(task.options, *changes, context));
  return Verdict(task, run).decide(*changes, context);
}

}  // namespace

const JudgeKind kTestsJudge{
    .name = "tests",
    .summary = "runs the project's tests in the sandbox; every one must run and pass",
    .options = kOptions,
    .stage = Stage::kGate,
    .check = check,
    .judge = judge,
};

Result<Discovery> discover_failing_tests(const Json& options, const JudgeContext& context) {
  LATHE_TRY_STATUS(check(options));
  LATHE_TRY(const TestRun run, run_tests(options, {}, context));
  const auto describe = [&] {
    return fmt::format("{}{}{}\n{}", run.last.exit.describe(),
                       run.last.contained.empty() ? "" : ", ", run.last.contained,
                       run.output_tail());
  };
  if (!run.built) return invalid("tests: the build fails before any change: {}", describe());
  if (!run.tampered.empty())
    return invalid(
        "tests: the protected file {} is changed by the {} itself; leave it out of protect",
        run.tampered, run.results ? "tests" : "build");
  if (!run.results)
    return invalid("tests: no results before any change: {}: {}", run.no_results, describe());
  const std::vector<std::string> held_out = option_strings(options, "held_out");
  const LocusFinder finder(run.files, option_strings(options, "protect"));
  Discovery discovery;
  Json tests = Json::object();
  for (const TestResult& test : run.results->tests) {
    tests[test.name] = outcome_word(test.outcome);
    if (test.outcome != TestOutcome::kFail || is_held_out(held_out, test.name)) continue;
    const bool others = std::ranges::any_of(run.results->tests, [&](const TestResult& other) {
      return other.name != kWholeCommand && other.outcome == TestOutcome::kFail;
    });
    if (test.name == kWholeCommand && others) continue;
    discovery.units.push_back({test.name,
                               test.name,
                               {{"message", clip_utf8(test.text, kMaxEvidenceBytes)},
                                {"locus", finder.find(test.text)}}});
  }
  if (discovery.units.empty() && !run.last.exit.ok() &&
      std::ranges::none_of(run.results->tests,
                           [](const auto& t) { return t.outcome == TestOutcome::kFail; }))
    return invalid("tests: every reported test passes, but the command failed: {}", describe());
  discovery.discovered = {{"tests", std::move(tests)}};
  if (!run.last.left.empty()) discovery.discovered["left"] = run.last.left;
  return discovery;
}

}  // namespace lathe::loop
