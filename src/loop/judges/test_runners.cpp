// The text that CTest, pytest, go test and cargo test print.
#include <algorithm>

#include "ground/base/json.h"
#include "ground/base/text.h"
#include "loop/judges/test_collector.h"

namespace lathe {
namespace {

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != text.npos;
}

// The part of `line` before `mark`, and after it.
bool cut_at(std::string_view line, std::string_view mark, std::string_view& before,
            std::string_view& after) {
  const auto found = line.find(mark);
  if (found == line.npos) return false;
  before = line.substr(0, found);
  after = line.substr(found + mark.size());
  return true;
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// ---- pytest ----

struct Word {
  std::string_view word;
  TestOutcome outcome;
};
constexpr Word kPytestWords[] = {{"PASSED", TestOutcome::kPass}, {"FAILED", TestOutcome::kFail},
                                 {"ERROR", TestOutcome::kFail},  {"SKIPPED", TestOutcome::kSkip},
                                 {"XFAIL", TestOutcome::kSkip},  {"XPASS", TestOutcome::kPass}};

// "tests/a.py::test_x PASSED [ 50%]", as -v prints it.
bool read_pytest_verbose(std::string_view line, TestCollector& tests) {
  const auto colons = line.find("::");
  if (colons == line.npos || line.starts_with(' ')) return false;
  // The last such word: a parameter in the name may hold one too.
  std::size_t best = 0;
  TestOutcome best_outcome = TestOutcome::kFail;
  for (const auto& [word, outcome] : kPytestWords) {
    const auto found = line.rfind(fmt::format(" {}", word));
    if (found == line.npos || found < std::max(colons, best)) continue;
    const std::string_view rest = line.substr(found + 1 + word.size());
    if (!rest.empty() && rest.front() != ' ') continue;
    best = found;
    best_outcome = outcome;
  }
  if (best == 0 || line.find(' ') > best) return false;
  tests.add(line.substr(0, best), best_outcome);
  return true;
}

// "FAILED tests/a.py::test_x - assert 1 == 2", as the summary and -rA print it.
bool read_pytest_summary(std::string_view line, TestCollector& tests) {
  for (const auto& [word, outcome] : kPytestWords) {
    if (!line.starts_with(word) || line.size() <= word.size() || line[word.size()] != ' ') continue;
    std::string_view name = trim(line.substr(word.size())), why;
    if (outcome == TestOutcome::kSkip && name.starts_with('[')) return true;  // counts, not names
    const auto parameter_end = name.find("] - ");  // a parameter may hold " - " too
    if (parameter_end != name.npos) {
      why = name.substr(parameter_end + 4);
      name = name.substr(0, parameter_end + 1);
    } else {
      cut_at(name, " - ", name, why);
    }
    TestResult* test = tests.add(name, outcome);
    if (test && test->text.empty()) TestCollector::add_text(test, why);
    return true;
  }
  return false;
}

// "_____ TestA.test_x _____"
std::string_view pytest_headline(std::string_view line) {
  if (!line.starts_with("___") || !line.ends_with("___")) return {};
  const auto begin = line.find_first_not_of('_');
  if (begin == line.npos || line[begin] != ' ') return {};
  const auto end = line.find_last_not_of('_');
  std::string_view name = trim(line.substr(begin, end - begin + 1));
  for (const std::string_view phase : {"ERROR at setup of ", "ERROR at teardown of "})
    if (name.starts_with(phase)) name.remove_prefix(phase.size());
  return name;
}

// ---- go test -json ----

void read_go_event(const Json& event, TestCollector& tests,
                   std::unordered_map<std::string, std::string>& output) {
  const std::string name = json_string(event, "Test");
  const std::string action = json_string(event, "Action");
  if (name.empty()) return;
  const std::string key = json_string(event, "Package") + "." + name;
  if (action == "output") {
    std::string& text = output[key];
    if (text.size() < 8192 && output.size() <= kMaxTests) text += json_string(event, "Output");
    return;
  }
  if (action != "pass" && action != "fail" && action != "skip") return;
  TestResult* test = tests.add(key, action == "pass"   ? TestOutcome::kPass
                                    : action == "fail" ? TestOutcome::kFail
                                                       : TestOutcome::kSkip);
  if (action == "fail") TestCollector::add_text(test, output[key]);
}

// "    --- FAIL: TestX/sub (0.00s)"
bool read_go_result(std::string_view line, TestCollector& tests, TestResult*& last) {
  constexpr Word kWords[] = {{"--- PASS: ", TestOutcome::kPass},
                             {"--- FAIL: ", TestOutcome::kFail},
                             {"--- SKIP: ", TestOutcome::kSkip}};
  for (const auto& [word, outcome] : kWords) {
    std::string_view rest = trim(line);
    if (!rest.starts_with(word)) continue;
    rest.remove_prefix(word.size());
    const auto time = rest.rfind(" (");
    last = tests.add(rest.substr(0, time), outcome);
    return true;
  }
  return false;
}

}  // namespace

// "1/3 Test  #1: name .....***Failed    0.00 sec": with --output-on-failure the test's output
// follows.
void read_ctest(std::string_view text, TestCollector& tests) {
  TestResult* last = nullptr;
  for (const std::string_view line : split_lines(text)) {
    std::string_view before, after;
    const std::string_view trimmed = trim(line);
    const bool result = !trimmed.empty() && is_digit(trimmed.front()) &&
                        cut_at(trimmed, " Test ", before, after) && contains(before, "/") &&
                        cut_at(after, ": ", before, after);
    if (!result) {
      if (trimmed.starts_with("Start ") || contains(line, "% tests passed")) last = nullptr;
      if (last) TestCollector::add_text(last, line);
      continue;
    }
    const auto name_end = std::min(after.find(" .."), after.find(" ***"));
    const std::string_view name = after.substr(0, name_end);
    const std::string_view verdict = name_end == after.npos ? "" : after.substr(name_end);
    const TestOutcome outcome = contains(verdict, "***Skipped") || contains(verdict, "(Disabled)")
                                    ? TestOutcome::kSkip
                                : contains(verdict, " Passed ") ? TestOutcome::kPass
                                                                : TestOutcome::kFail;
    last = tests.add(name, outcome);
    if (outcome == TestOutcome::kFail) {
      const auto stars = verdict.find("***");
      if (stars != verdict.npos) TestCollector::add_text(last, trim(verdict.substr(stars + 3)));
    } else {
      last = nullptr;
    }
  }
}

void read_pytest(std::string_view text, TestCollector& tests) {
  std::unordered_map<std::string, std::string> details;  // by the name in the headline
  std::string* block = nullptr;
  for (const std::string_view line : split_lines(text)) {
    if (line.starts_with("=====")) block = nullptr;
    if (const std::string_view name = pytest_headline(line); !name.empty()) {
      block = details.size() < kMaxTests ? &details[std::string(name)] : nullptr;
    } else if (block) {
      if (block->size() < 8192) block->append(line.substr(0, 8192)).append("\n");
    } else if (!read_pytest_verbose(line, tests)) {
      read_pytest_summary(line, tests);
    }
  }
  if (tests.too_many()) return;
  // The headline leaves the file out and joins the rest with dots.
  TestReport report = tests.take();
  tests = TestCollector();
  for (TestResult& test : report.tests) {
    const auto colons = test.name.find("::");
    const auto found = details.find(replace_all(
        colons == test.name.npos ? test.name : test.name.substr(colons + 2), "::", "."));
    TestResult* kept = tests.add(test.name, test.outcome);
    if (test.outcome == TestOutcome::kFail && found != details.end())
      TestCollector::add_text(kept, found->second);
    TestCollector::add_text(kept, test.text);
  }
}

void read_go(std::string_view text, TestCollector& tests) {
  std::unordered_map<std::string, std::string> output;
  TestResult* last = nullptr;
  std::string printed;  // go prints a test's own output before its result or after it
  for (const std::string_view line : split_lines(text)) {
    if (line.starts_with('{')) {
      if (const auto event = parse_json(line, {.max_bytes = 1 << 20, .max_depth = 8}))
        read_go_event(*event, tests, output);
    } else if (line.starts_with("=== RUN")) {
      printed.clear();
      last = nullptr;
    } else if (read_go_result(line, tests, last)) {
      if (last && last->outcome == TestOutcome::kFail) TestCollector::add_text(last, printed);
      printed.clear();
    } else if (line.starts_with(' ')) {
      if (last && last->outcome == TestOutcome::kFail) TestCollector::add_text(last, trim(line));
      if (!last && printed.size() < 8192) printed.append(trim(line)).append("\n");
    }
  }
}

void read_cargo(std::string_view text, TestCollector& tests) {
  TestResult* last = nullptr;
  for (const std::string_view line : split_lines(text)) {
    std::string_view before, after;
    if (line.starts_with("test ") && cut_at(line.substr(5), " ... ", before, after)) {
      const TestOutcome outcome = after.starts_with("ok")        ? TestOutcome::kPass
                                  : after.starts_with("ignored") ? TestOutcome::kSkip
                                                                 : TestOutcome::kFail;
      tests.add(before, outcome);
      last = nullptr;
    } else if (line.starts_with("---- ") && cut_at(line.substr(5), " stdout ----", before, after)) {
      last = tests.find(before);
    } else if (line.starts_with("failures:") || line.starts_with("test result:")) {
      last = nullptr;
    } else {
      TestCollector::add_text(last, line);
    }
  }
}

}  // namespace lathe
