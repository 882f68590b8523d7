// Reads JUnit, CTest and Jest reports, and tells formats apart.
#include "loop/judges/test_reports.h"

#include <algorithm>
#include <pugixml.hpp>
#include <set>

#include "ground/base/json.h"
#include "ground/base/text.h"
#include "loop/judges/test_collector.h"
#include "loop/judges/test_text.h"

namespace lathe::loop {
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
  if (name.empty()) return std::string(group);                   // a class that could not begin
  return fmt::format("{}::{}", group, name);
}

// All of an element's text: a CDATA section ends, and another goes on, where it holds "]]>".
std::string whole_text(const pugi::xml_node& node) {
  std::string text;
  for (const pugi::xml_node& child : node.children())
    if ((child.type() == pugi::node_cdata || child.type() == pugi::node_pcdata) &&
        text.size() < kMaxTextBytes)
      text += child.value();
  return text;
}

// One <testcase>, and the suite around it: tests of one name in two suites are two tests.
struct JunitCase {
  std::string name = {}, text = {};
  TestOutcome outcome = TestOutcome::kPass;
  std::string host = {}, suite = {};  // of the suite: Playwright names the browser as the host
};

JunitCase read_case(const pugi::xml_node& node, const pugi::xml_node& suite) {
  JunitCase result{.name = junit_name(node),
                   .host = suite.attribute("hostname").value(),
                   .suite = suite.attribute("name").value()};
  const std::string_view status = node.attribute("status").value();
  // CTest's words; other runners leave the attribute out or say "run" too.
  if (status == "fail") result.outcome = TestOutcome::kFail;
  if (status == "notrun" || status == "disabled") result.outcome = TestOutcome::kSkip;
  for (const pugi::xml_node& child : node.children()) {
    const std::string_view kind = child.name();
    if (kind == "failure" || kind == "error")
      result.outcome = TestOutcome::kFail;
    else if (kind == "skipped")
      // CTest says so of a test whose program was not built, and counts it as failed.
      result.outcome =
          std::max(result.outcome, std::string_view(child.attribute("message").value()) ==
                                           "Unable to find executable"
                                       ? TestOutcome::kFail
                                       : TestOutcome::kSkip);
    else if (kind != "system-out" && kind != "system-err")
      continue;
    const std::string message(trim(child.attribute("message").value()));
    const std::string body = whole_text(child);
    // The body often begins with the message.
    for (const std::string_view part : {std::string_view(message), trim(body)})
      if (!part.empty() && result.text.size() < kMaxTextBytes &&
          (part.data() == message.data() ? trim(body).find(part) == std::string_view::npos : true))
        result.text.append(part).append("\n");
  }
  return result;
}

void read_suite(const pugi::xml_node& suite, int depth, std::vector<JunitCase>& cases) {
  if (depth > kMaxSuiteDepth) return;
  for (const pugi::xml_node& child : suite.children()) {
    const std::string_view kind = child.name();
    if (kind == "testcase" && cases.size() <= kMaxTests) cases.push_back(read_case(child, suite));
    if (kind == "testsuite" || kind == "testsuites") read_suite(child, depth + 1, cases);
  }
}

// Where one name stands in several suites, what tells these apart is put behind it.
void add_cases(const std::vector<JunitCase>& cases, TestCollector& tests) {
  std::map<std::string_view, std::pair<std::set<std::string_view>, std::set<std::string_view>>>
      told;
  for (const JunitCase& each : cases) {
    told[each.name].first.insert(each.host);
    told[each.name].second.insert(each.suite);
  }
  for (const JunitCase& each : cases) {
    const auto& [hosts, suites] = told[each.name];
    std::string name = each.name;
    if (hosts.size() > 1) name += fmt::format(" [{}]", each.host);
    if (suites.size() > 1) name += fmt::format(" [{}]", each.suite);
    TestResult* test = tests.add(name, each.outcome);
    if (each.outcome != TestOutcome::kPass) TestCollector::add_text(test, each.text);
  }
}

Status read_junit(std::string_view bytes, TestCollector& tests) {
  std::vector<JunitCase> cases;
  // Runners with a report per class: all of them, one behind the other.
  for (std::size_t begin = 0; begin < bytes.size();) {
    const auto next = bytes.find("<?xml ", begin + 1);
    const std::string_view part = bytes.substr(begin, next == bytes.npos ? next : next - begin);
    pugi::xml_document document;  // reads no DTD, so no entities of its own and no other files
    const pugi::xml_parse_result parsed = document.load_buffer(part.data(), part.size());
    if (!parsed)
      return invalid("the JUnit report is not XML: {} at byte {}", parsed.description(),
                     begin + static_cast<std::size_t>(parsed.offset));
    const std::string_view root = document.document_element().name();
    if (root != "testsuite" && root != "testsuites")
      return invalid("the report is XML, but <{}> is not JUnit's <testsuites>",
                     clip_utf8(root, 60));
    read_suite(document, 0, cases);
    if (next == bytes.npos) break;
    begin = next;
  }
  add_cases(cases, tests);
  return {};
}

// ---- Jest and Vitest ----

Status read_jest(std::string_view bytes, TestCollector& tests) {
  const auto begin = bytes.find('{');
  LATHE_TRY(const Json report, parse_json(begin == bytes.npos ? bytes : bytes.substr(begin),
                                          {.max_bytes = kMaxReportBytes, .max_depth = 64}));
  for (const Json& file : json_at(report, "testResults")) {
    const std::string path = json_string(file, "name");
    const Json& results = json_at(file, "assertionResults");
    // A file that could not even be loaded is a test of its own.
    if (json_string(file, "status") == "failed" && std::ranges::none_of(results, [](const Json& r) {
          return json_string(r, "status") == "failed";
        }))
      TestCollector::add_text(tests.add(path, TestOutcome::kFail), json_string(file, "message"));
    for (const Json& result : results) {
      const std::string status = json_string(result, "status");
      TestResult* test = tests.add(path + "::" + json_string(result, "fullName"),
                                   status == "passed"   ? TestOutcome::kPass
                                   : status == "failed" ? TestOutcome::kFail
                                                        : TestOutcome::kSkip);
      if (status == "failed")
        for (const Json& message : json_at(result, "failureMessages"))
          if (message.is_string())
            TestCollector::add_text(test, seen_text(message.get_ref<const std::string&>()));
    }
  }
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
  const std::string text = seen_text(bytes);
  if (trim(text).starts_with('<')) return "junit";
  for (const std::string_view line : split_lines(text)) {
    if (is_go_line(line)) return "go";
    if (is_tap_line(line)) return "tap";
    if (line.starts_with("Test project ") || line.find("% tests passed,") != line.npos)
      return "ctest";
    if (line.starts_with("=====") && (line.find("test session starts") != line.npos ||
                                      line.find("short test summary info") != line.npos))
      return "pytest";
    if ((line.starts_with("running ") && line.find(" test") != line.npos) ||
        (trim(line).starts_with("Running ") && line.find("target/") != line.npos))
      return "cargo";
    if (line.starts_with('{') && line.find("\"numTotalTest") != line.npos) return "jest";
  }
  return {};
}

Result<TestReport> read_test_report(std::string_view format, std::string_view bytes) {
  if (bytes.size() > kMaxReportBytes)
    return invalid("the test report is {} bytes; at most {} are read", bytes.size(),
                   kMaxReportBytes);
  if (format == "auto" || format == "any") format = guess_test_format(bytes);
  TestCollector tests;
  const std::string seen = format == "junit" ? "" : seen_text(bytes);
  bytes = bytes.starts_with("\xEF\xBB\xBF") ? bytes.substr(3) : bytes;
  if (format == "junit") {
    LATHE_TRY_STATUS(read_junit(bytes, tests));
  } else if (format == "jest") {
    LATHE_TRY_STATUS(read_jest(seen, tests));
  } else if (format == "tap") {
    LATHE_TRY_STATUS(read_tap(seen, tests));
  } else if (format == "ctest") {
    read_ctest(seen, tests);
  } else if (format == "pytest") {
    read_pytest(seen, tests);
  } else if (format == "go") {
    read_go(seen, tests);
  } else if (format == "cargo") {
    read_cargo(seen, tests);
  } else {
    return invalid(
        "no test results are recognised in the output; set 'format' (junit, tap, ctest, pytest, "
        "go, cargo, jest, or exit for the exit code alone)");
  }
  if (tests.too_many()) return invalid("the report has more than {} tests", kMaxTests);
  if (tests.empty()) return invalid("the {} report holds no test", format);
  return tests.take();
}

}  // namespace lathe::loop
