// The text that go test and cargo test print: tests in packages, of which some may not build.
#include <algorithm>
#include <optional>
#include <set>

#include "ground/base/json.h"
#include "ground/base/text.h"
#include "loop/judges/test_collector.h"

namespace lathe::loop {
namespace {

constexpr std::size_t kMaxKept = 8192;

void keep(std::string& text, std::string_view line) {
  if (text.size() < kMaxKept) text.append(line.substr(0, kMaxKept)).append("\n");
}

// ---- go ----

struct GoTest {
  std::string name, text;
  std::optional<TestOutcome> outcome;  // none: begun, and not ended
};

// What is said of one package.
struct GoPackage {
  std::string name;
  std::vector<GoTest> tests;
  std::map<std::string, std::size_t> by_name;
  bool lists_all = false;  // -v or -json: tests that pass are named, too
  std::optional<TestOutcome> outcome;
  std::string text;

  GoTest& test(const std::string& test_name) {
    const auto [it, fresh] = by_name.try_emplace(test_name, tests.size());
    if (fresh) tests.push_back({test_name, {}, {}});
    return tests[it->second];
  }
};

constexpr std::pair<std::string_view, TestOutcome> kGoResults[] = {
    {"--- PASS: ", TestOutcome::kPass},
    {"--- FAIL: ", TestOutcome::kFail},
    {"--- SKIP: ", TestOutcome::kSkip}};

struct GoResult {
  std::string name;
  TestOutcome outcome;
  std::string_view before;  // what the test printed without ending the line
};

// "    --- FAIL: TestX/sub (0.00s)"
std::optional<GoResult> go_result(std::string_view line) {
  for (const auto& [mark, outcome] : kGoResults) {
    const auto found = line.find(mark);
    if (found == line.npos) continue;
    const std::string_view rest = line.substr(found + mark.size());
    const auto time = rest.rfind(" (");
    if (time == rest.npos || !rest.ends_with("s)") ||
        rest.find_first_not_of("0123456789.", time + 2) != rest.size() - 2)
      continue;
    return GoResult{std::string(rest.substr(0, time)), outcome, trim(line.substr(0, found))};
  }
  return std::nullopt;
}

struct GoEnd {
  std::string package;
  std::optional<TestOutcome> outcome;  // none: it has no tests
};

// "ok  \tex/a\t0.01s", "FAIL\tex/b [build failed]", "?   \tex/c\t[no test files]"
std::optional<GoEnd> go_end(std::string_view line) {
  const auto tab = line.find('\t');
  if (tab == line.npos) return std::nullopt;
  const std::string_view word = trim(line.substr(0, tab));
  if (word != "ok" && word != "FAIL" && word != "?" && !word.empty()) return std::nullopt;
  std::string_view rest = line.substr(tab + 1);
  const std::string_view package = trim(rest.substr(0, rest.find_first_of("\t ")));
  rest = trim(rest.substr(std::min(rest.find_first_of("\t "), rest.size())));
  if (package.empty()) return std::nullopt;
  if (word.empty())  // "\tex/c\t\tcoverage: 0.0% of statements"
    return rest.starts_with("coverage: ") ? std::optional(GoEnd{std::string(package), {}})
                                          : std::nullopt;
  if (word == "?" || rest.find("[no test") != rest.npos) return GoEnd{std::string(package), {}};
  return GoEnd{std::string(package), word == "ok" ? TestOutcome::kPass : TestOutcome::kFail};
}

class GoReader {
 public:
  explicit GoReader(TestCollector& tests) : tests_(tests) {}

  void read(std::string_view text) {
    for (const std::string_view line : split_lines(text)) {
      if (line.starts_with('{') && line.find("\"Action\"") != line.npos) {
        if (const auto event = parse_json(line, {.max_bytes = 1 << 20, .max_depth = 8})) {
          read_event(*event);
          continue;
        }
      }
      read_line(line);
    }
    if (!open_.tests.empty() || open_.lists_all) end_package(std::move(open_));
    for (auto& [name, package] : events_) end_package(std::move(package));
    report();
  }

 private:
  void read_event(const Json& event) {
    const std::string action = json_string(event, "Action"), name = json_string(event, "Test");
    const std::string package_name = json_string(event, "Package");
    if (package_name.empty()) return;
    GoPackage& package = events_[package_name];
    package.name = package_name;
    package.lists_all = true;
    const std::optional<TestOutcome> outcome =
        action == "pass"   ? std::optional(TestOutcome::kPass)
        : action == "fail" ? std::optional(TestOutcome::kFail)
        : action == "skip" ? std::optional(TestOutcome::kSkip)
                           : std::nullopt;
    if (name.empty()) {
      if (action == "output") keep(package.text, trim(json_string(event, "Output")));
      if (outcome) package.outcome = outcome;
      return;
    }
    if (package.tests.size() > kMaxTests) return;
    GoTest& test = package.test(name);
    if (action == "output" && test.text.size() < kMaxKept)
      test.text += json_string(event, "Output");
    if (outcome) test.outcome = std::max(test.outcome.value_or(*outcome), *outcome);
  }

  void read_line(std::string_view line) {
    if (line.starts_with("=== RUN") || line.starts_with("=== NAME") ||
        line.starts_with("=== CONT") || line.starts_with("=== PAUSE")) {
      open_.lists_all = true;
      const std::string name(trim(line.substr(std::min(line.find(' ', 4), line.size()))));
      if (line.starts_with("=== RUN") && !name.empty() && open_.tests.size() <= kMaxTests)
        open_.test(name);
      printed_.clear();
      last_ = std::string::npos;
      return;
    }
    if (const auto end = go_end(line)) {
      open_.name = end->package;
      open_.outcome = end->outcome;
      if (end->outcome == TestOutcome::kFail) keep(open_.text, line);
      end_package(std::exchange(open_, {}));
      last_ = std::string::npos;
      printed_.clear();
      return;
    }
    if (const auto result = go_result(line); result &&
                                             (result->before.empty() || begun(result->name)) &&
                                             open_.tests.size() <= kMaxTests) {
      if (!result->before.empty()) keep(printed_, result->before);
      GoTest& test = open_.test(result->name);
      test.outcome = std::max(test.outcome.value_or(result->outcome), result->outcome);
      if (result->outcome == TestOutcome::kPass) open_.lists_all = true;
      if (result->outcome == TestOutcome::kFail) test.text += printed_;
      last_ = open_.by_name[result->name];
      printed_.clear();
      return;
    }
    if (trim(line).empty() || line == "FAIL" || line == "PASS" || line.starts_with("exit status"))
      return;
    if (last_ != std::string::npos && open_.tests[last_].outcome == TestOutcome::kFail &&
        line.starts_with(' '))
      keep(open_.tests[last_].text, trim(line));
    else if (last_ == std::string::npos && !open_.tests.empty())
      keep(printed_, trim(line));
    else
      keep(open_.text, trim(line));  // of the compiler
  }

  // A name in the middle of a line counts only when that test has begun and not ended.
  bool begun(const std::string& name) const {
    const auto found = open_.by_name.find(name);
    return found != open_.by_name.end() && !open_.tests[found->second].outcome;
  }

  void end_package(GoPackage package) {
    if (packages_.size() <= kMaxTests) packages_.push_back(std::move(package));
  }

  void report() {
    std::set<std::string> names;
    for (const GoPackage& each : packages_) names.insert(each.name);
    const bool always = !events_.empty();
    for (const GoPackage& each : packages_) {
      const bool qualified = !each.name.empty() && (always || names.size() > 1);
      // Without -v only failures are named: there the package is the test.
      if (each.lists_all) {
        report_tests(each, qualified ? each.name + "." : std::string());
      } else if (each.outcome) {
        std::string text;
        for (const GoTest& test : each.tests) text += test.name + ":\n" + test.text;
        add(each.name, *each.outcome, text + each.text);
      } else {
        report_tests(each, "");
      }
    }
  }

  void report_tests(const GoPackage& package, const std::string& prefix) {
    bool failed = false;
    for (const GoTest& test : package.tests) {
      // One that has begun and not ended went down with its process.
      const TestOutcome outcome = test.outcome.value_or(TestOutcome::kFail);
      failed |= outcome == TestOutcome::kFail;
      add(prefix + test.name, outcome, test.text);
    }
    // It did not build, or fell outside of its tests.
    if (package.outcome == TestOutcome::kFail && !failed)
      add(package.name, TestOutcome::kFail, package.text);
  }

  void add(const std::string& name, TestOutcome outcome, std::string_view text) {
    TestResult* test = tests_.add(name, outcome);
    if (outcome == TestOutcome::kFail) TestCollector::add_text(test, trim(text));
  }

  TestCollector& tests_;
  GoPackage open_;                           // whose lines are read
  std::map<std::string, GoPackage> events_;  // of -json
  std::vector<GoPackage> packages_;
  std::size_t last_ = std::string::npos;  // the test whose text goes on
  std::string printed_;  // go prints a test's own output before its result or after it
};

// ---- cargo ----

// "ok", "FAILED", "ignored, why", "ok <0.001s>"; nothing for other text.
std::optional<TestOutcome> cargo_word(std::string_view text) {
  const std::string_view word = text.substr(0, text.find_first_of(" ,"));
  const std::string_view rest = trim(text.substr(word.size()));
  if (word == "ok" && (rest.empty() || rest.starts_with('<') || rest.starts_with('(')))
    return TestOutcome::kPass;
  if (word == "FAILED" && (rest.empty() || rest.starts_with('<') || rest.starts_with('(')))
    return TestOutcome::kFail;
  if (word == "ignored" && (rest.empty() || text[word.size()] == ',')) return TestOutcome::kSkip;
  if (text.starts_with("bench: ")) return TestOutcome::kPass;
  return std::nullopt;
}

class CargoReader {
 public:
  explicit CargoReader(TestCollector& tests) : tests_(tests) {}

  void read(std::string_view text) {
    for (const std::string_view line : split_lines(text)) read_line(line);
    end_block();
  }

 private:
  void read_line(std::string_view line) {
    const std::string_view bare = trim(line);
    std::string_view name, rest;
    if (bare.starts_with("Running ") && bare.find("/deps/") != bare.npos) {
      end_block();
      crate_ = crate_in(bare);
    } else if (bare.starts_with("Doc-tests ")) {
      end_block();
      crate_ = "doc " + std::string(trim(bare.substr(10)));
    } else if (line.starts_with("running ") && line.find(" test") != line.npos) {
      if (announced_) end_block();
      announced_ = static_cast<std::size_t>(std::atol(std::string(line.substr(8)).c_str()));
    } else if (line.starts_with("test result:")) {
      result(line);
    } else if (cut(line, name, rest)) {
      pending_.clear();
      last_ = nullptr;
      in_failures_ = false;
      if (const auto outcome = cargo_word(rest))
        add(name, *outcome);
      else
        pending_ = name;  // the test itself prints before its outcome
    } else if (const auto outcome = cargo_word(bare); outcome && !pending_.empty()) {
      add(std::exchange(pending_, {}), *outcome);
    } else if (line.starts_with("---- ") && line.find(" stdout ----") != line.npos) {
      last_ = tests_.find(prefix() + std::string(line.substr(5, line.find(" stdout ----") - 5)));
    } else if (line.starts_with("failures:")) {
      last_ = nullptr;
      in_failures_ = true;
    } else if (last_) {
      TestCollector::add_text(last_, line);
    } else if (in_failures_ && line.starts_with("    ")) {
      failures_.insert(std::string(bare));
    }
  }

  static bool cut(std::string_view line, std::string_view& name, std::string_view& rest) {
    const auto dots = line.find(" ... ");
    if (!line.starts_with("test ") || dots == line.npos) {
      if (!line.starts_with("test ") || !line.ends_with(" ...")) return false;
      name = line.substr(5, line.size() - 9);
      rest = {};
      return true;
    }
    name = line.substr(5, dots - 5);
    rest = line.substr(dots + 5);
    return true;
  }

  // "Running unittests src/lib.rs (target/debug/deps/money-0123456789abcdef)" → "money"
  std::string crate_in(std::string_view line) {
    std::string_view file = line.substr(line.rfind('/') + 1);
    file = file.substr(0, file.find(')'));
    std::string crate(file.substr(0, file.rfind('-')));
    std::string_view source = line.substr(0, line.find(" ("));
    source = source.substr(source.rfind(' ') + 1);
    // A package's library and program have one name.
    const auto [it, fresh] = sources_.try_emplace(crate, std::string(source));
    if (!fresh && it->second != source) crate += " " + std::string(source);
    return crate;
  }

  std::string prefix() const { return crate_.empty() ? std::string() : crate_ + "::"; }

  void add(std::string_view name, TestOutcome outcome) {
    ++seen_;
    std::string full = prefix() + std::string(name);
    // The same name in another block that has no header.
    if (crate_.empty() && !names_.insert(full).second) full += fmt::format(" ({})", block_);
    tests_.add(full, outcome);
  }

  void result(std::string_view line) {
    // What is still pending ended with its block, and the list of failures says how.
    if (!pending_.empty()) {
      const bool failed = failures_.contains(pending_);
      const bool ok = line.starts_with("test result: ok");
      if (failed || ok)
        add(std::exchange(pending_, {}), failed ? TestOutcome::kFail : TestOutcome::kPass);
    }
    announced_.reset();
    seen_ = 0;
    ++block_;
    last_ = nullptr;
    in_failures_ = false;
    failures_.clear();
    pending_.clear();
  }

  // A block without a result went down with its process.
  void end_block() {
    if (announced_ && seen_ < *announced_) {
      TestResult* test =
          tests_.add(crate_.empty() ? "the test program" : crate_, TestOutcome::kFail);
      TestCollector::add_text(
          test, fmt::format("the test program ended after {} of {} tests{}", seen_, *announced_,
                            pending_.empty() ? "" : ", in " + pending_));
    }
    result("");
  }

  TestCollector& tests_;
  std::string crate_;
  std::map<std::string, std::string> sources_;  // by crate
  std::set<std::string> names_, failures_;
  std::optional<std::size_t> announced_;
  std::size_t seen_ = 0, block_ = 1;
  std::string pending_;
  TestResult* last_ = nullptr;
  bool in_failures_ = false;
};

}  // namespace

bool is_go_line(std::string_view line) {
  return (line.starts_with('{') && line.find("\"Action\"") != line.npos) ||
         line.starts_with("=== RUN") || line.starts_with("--- PASS: ") ||
         line.starts_with("--- FAIL: ") || go_end(line);
}

void read_go(std::string_view text, TestCollector& tests) {
  GoReader(tests).read(text);
}

void read_cargo(std::string_view text, TestCollector& tests) {
  CargoReader(tests).read(text);
}

}  // namespace lathe::loop
