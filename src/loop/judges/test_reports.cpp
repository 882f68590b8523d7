#include "loop/judges/test_reports.h"

#include <algorithm>
#include <charconv>
#include <pugixml.hpp>

#include "ground/base/text.h"
#include "loop/judges/test_collector.h"

namespace lathe {
namespace {

constexpr std::size_t kMaxNameBytes = 500;
constexpr std::size_t kMaxTextBytes = 8192;
constexpr int kMaxSuiteDepth = 32;

std::string clean_name(std::string_view name) {
  std::string clean = make_valid_utf8(trim(name));
  std::ranges::replace_if(
      clean, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
  return clip_utf8(clean, kMaxNameBytes);
}

// ---- JUnit ----

std::string junit_name(const pugi::xml_node& test) {
  const std::string_view group = test.attribute("classname").value();
  const std::string_view name = test.attribute("name").value();
  if (group.empty() || group == name) return std::string(name);  // CTest writes the name twice
  return fmt::format("{}::{}", group, name);
}

void read_case(const pugi::xml_node& node, TestCollector& tests) {
  TestOutcome outcome = TestOutcome::kPass;
  const std::string_view status = node.attribute("status").value();
  // CTest's words; other runners leave the attribute out or say "run" too.
  if (status == "fail") outcome = TestOutcome::kFail;
  if (status == "notrun" || status == "disabled") outcome = TestOutcome::kSkip;
  std::string text;
  for (const pugi::xml_node& child : node.children()) {
    const std::string_view kind = child.name();
    if (kind == "failure" || kind == "error")
      outcome = TestOutcome::kFail;
    else if (kind == "skipped")
      // CTest says so of a test whose program was not built, and counts it as failed.
      outcome = std::max(outcome, std::string_view(child.attribute("message").value()) ==
                                          "Unable to find executable"
                                      ? TestOutcome::kFail
                                      : TestOutcome::kSkip);
    else if (kind != "system-out" && kind != "system-err")
      continue;
    for (const std::string_view part : {std::string_view(child.attribute("message").value()),
                                        std::string_view(child.child_value())})
      if (!trim(part).empty() && text.size() < kMaxTextBytes) text.append(trim(part)).append("\n");
  }
  TestResult* test = tests.add(junit_name(node), outcome);
  if (outcome != TestOutcome::kPass) TestCollector::add_text(test, text);
}

void read_suite(const pugi::xml_node& suite, int depth, TestCollector& tests) {
  if (depth > kMaxSuiteDepth) return;
  for (const pugi::xml_node& child : suite.children()) {
    const std::string_view kind = child.name();
    if (kind == "testcase") read_case(child, tests);
    if (kind == "testsuite" || kind == "testsuites") read_suite(child, depth + 1, tests);
  }
}

Status read_junit(std::string_view bytes, TestCollector& tests) {
  pugi::xml_document document;  // reads no DTD, so no entities of its own and no other files
  const pugi::xml_parse_result parsed = document.load_buffer(bytes.data(), bytes.size());
  if (!parsed)
    return invalid("the JUnit report is not XML: {} at byte {}", parsed.description(),
                   parsed.offset);
  const std::string_view root = document.document_element().name();
  if (root != "testsuite" && root != "testsuites")
    return invalid("the report is XML, but <{}> is not JUnit's <testsuites>", clip_utf8(root, 60));
  read_suite(document, 0, tests);
  return {};
}

// ---- TAP ----

// "ok 3 - name # SKIP why": the text behind "ok", or nothing.
bool take_word(std::string_view& line, std::string_view word) {
  if (!line.starts_with(word)) return false;
  if (line.size() > word.size() && line[word.size()] != ' ') return false;
  line = trim(line.substr(word.size()));
  return true;
}

void read_tap_line(std::string_view rest, bool ok, std::size_t number, TestCollector& tests,
                   TestResult*& last) {
  rest = trim(rest.substr(std::min(rest.find_first_not_of("0123456789"), rest.size())));
  if (rest.starts_with("- ")) rest = trim(rest.substr(2));
  std::string_view name = rest, directive;
  const auto hash = rest.starts_with('#') ? 0 : rest.find(" #");
  if (hash != rest.npos) {
    name = trim(rest.substr(0, hash));
    directive = trim(rest.substr(rest.find('#', hash) + 1));
  }
  const std::string word = to_lower_ascii(directive.substr(0, 4));
  TestOutcome outcome = ok ? TestOutcome::kPass : TestOutcome::kFail;
  // "not ok # TODO" is expected to fail; it says as little about the code as a skipped test.
  if (word == "skip" || word == "todo") outcome = TestOutcome::kSkip;
  last = tests.add(name.empty() ? fmt::format("test {}", number) : std::string(name), outcome);
}

Status read_tap(std::string_view bytes, TestCollector& tests) {
  TestResult* last = nullptr;
  std::size_t seen = 0, planned = 0;
  bool has_plan = false;
  for (const std::string_view line : split_lines(bytes)) {
    std::string_view rest = line;
    if (line.starts_with("1..")) {
      has_plan =
          std::from_chars(line.data() + 3, line.data() + line.size(), planned).ec == std::errc();
    } else if (take_word(rest, "ok") || take_word(rest = line, "not ok")) {
      read_tap_line(rest, !line.starts_with("not"), ++seen, tests, last);
    } else if (line.starts_with("Bail out!")) {
      return invalid("the test run was given up: {}", clip_utf8(make_valid_utf8(line), 300));
    } else if (last && last->outcome == TestOutcome::kFail &&
               (line.starts_with('#') || line.starts_with(' '))) {
      TestCollector::add_text(last, trim(line.substr(1)));
    }
  }
  if (has_plan && seen < planned)
    return invalid("the TAP report is cut short: it plans {} tests and has {}", planned, seen);
  return {};
}

}  // namespace

TestResult* TestCollector::add(std::string_view name, TestOutcome outcome) {
  const std::string key = clean_name(name);
  if (key.empty()) return nullptr;
  const auto [it, fresh] = by_name_.try_emplace(key, tests_.size());
  if (fresh && tests_.size() == kMaxTests) {
    too_many_ = true;
    by_name_.erase(it);
    return nullptr;
  }
  if (fresh) tests_.push_back({key, outcome, {}});
  TestResult& test = tests_[it->second];
  test.outcome = std::max(test.outcome, outcome);
  return &test;
}

void TestCollector::add_text(TestResult* test, std::string_view text) {
  if (!test || test->text.size() >= kMaxTextBytes || trim(text).empty()) return;
  if (!test->text.empty()) test->text += '\n';
  test->text +=
      clip_utf8(make_valid_utf8(text.substr(0, kMaxTextBytes)), kMaxTextBytes - test->text.size());
}

TestReport TestCollector::take() {
  return {{std::make_move_iterator(tests_.begin()), std::make_move_iterator(tests_.end())}};
}

TestResult* TestCollector::find(std::string_view name) {
  const auto found = by_name_.find(clean_name(name));
  return found == by_name_.end() ? nullptr : &tests_[found->second];
}

std::string_view guess_test_format(std::string_view bytes) {
  if (trim(bytes).starts_with('<')) return "junit";
  for (const std::string_view line : split_lines(bytes)) {
    if (line.starts_with("TAP version") || line.starts_with("1..") || line.starts_with("ok ") ||
        line.starts_with("not ok "))
      return "tap";
    if (line.starts_with("Test project ") || line.find("% tests passed,") != line.npos)
      return "ctest";
    if (line.starts_with("=====") && (line.find("test session starts") != line.npos ||
                                      line.find("short test summary info") != line.npos))
      return "pytest";
    if (line.starts_with("{\"Time\"") || line.starts_with("=== RUN") ||
        line.starts_with("--- PASS") || line.starts_with("--- FAIL"))
      return "go";
    if (line.starts_with("running ") && line.find(" test") != line.npos) return "cargo";
  }
  return {};
}

Result<TestReport> read_test_report(std::string_view format, std::string_view bytes) {
  if (bytes.size() > kMaxReportBytes)
    return invalid("the test report is {} bytes; at most {} are read", bytes.size(),
                   kMaxReportBytes);
  if (format == "auto") format = guess_test_format(bytes);
  TestCollector tests;
  if (format == "junit") {
    LATHE_TRY_STATUS(read_junit(bytes, tests));
  } else if (format == "tap") {
    LATHE_TRY_STATUS(read_tap(bytes, tests));
  } else if (format == "ctest") {
    read_ctest(bytes, tests);
  } else if (format == "pytest") {
    read_pytest(bytes, tests);
  } else if (format == "go") {
    read_go(bytes, tests);
  } else if (format == "cargo") {
    read_cargo(bytes, tests);
  } else {
    return invalid(
        "no test results are recognised in the output; set 'format' (junit, tap, ctest, pytest, "
        "go, cargo, or exit for the exit code alone)");
  }
  if (tests.too_many()) return invalid("the report has more than {} tests", kMaxTests);
  if (tests.empty()) return invalid("the {} report holds no test", format);
  return tests.take();
}

}  // namespace lathe
