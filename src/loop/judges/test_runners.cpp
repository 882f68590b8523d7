// The text that CTest and pytest print.
#include <algorithm>
#include <optional>

#include "ground/base/text.h"
#include "loop/judges/test_collector.h"

namespace lathe::loop {
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

std::optional<TestOutcome> pytest_word(std::string_view text) {
  for (const auto& [word, outcome] : kPytestWords)
    if (text == word) return outcome;
  return std::nullopt;
}

// "[ 50%]" at the end, and "(a reason)" of what was skipped.
std::string_view without_notes(std::string_view line) {
  line = trim(line);
  if (line.ends_with("%]")) line = trim(line.substr(0, line.rfind('[')));
  if (line.ends_with(')'))
    for (const std::string_view word : {" SKIPPED (", " XFAIL (", " XPASS ("})
      if (const auto found = line.find(word); found != line.npos)
        return line.substr(0, found + word.size() - 2);
  return line;
}

// "tests/a.py::test_x[a b]", which blanks end only outside of its brackets.
std::string_view pytest_node(std::string_view text) {
  const auto colons = text.find("::");
  const auto blank = text.find(' ');
  if (colons == text.npos || blank < colons) return text.substr(0, blank);
  int depth = 0;
  std::size_t end = colons;
  for (; end < text.size(); ++end) {
    depth += text[end] == '[' ? 1 : text[end] == ']' && depth > 0 ? -1 : 0;
    if (text[end] == ' ' && depth == 0) break;
  }
  if (depth == 0) return text.substr(0, end);
  // A parameter with brackets of its own: up to the last that closes.
  const auto close = text.rfind("] ");
  return text.substr(0, close == text.npos ? text.size() : close + 1);
}

// What -v prints while the tests run. A test may print something between its name and its outcome.
class PytestProgress {
 public:
  explicit PytestProgress(TestCollector& tests) : tests_(tests) {}

  void line(std::string_view raw) {
    std::string_view line = without_notes(raw);
    if (line.starts_with("[gw")) {  // several workers: "[gw0] [ 50%] PASSED tests/a.py::test_x"
      line = trim(line.substr(std::min(line.find(']'), line.size() - 1) + 1));
      if (line.starts_with('['))
        line = trim(line.substr(std::min(line.find(']'), line.size() - 1) + 1));
      const auto blank = line.find(' ');
      if (const auto outcome = pytest_word(line.substr(0, blank)); outcome && blank != line.npos)
        tests_.add(trim(line.substr(blank)), *outcome);
      return;
    }
    const auto blank = line.rfind(' ');
    const auto outcome = pytest_word(blank == line.npos ? line : line.substr(blank + 1));
    const bool names =
        raw.find("::") != raw.npos && !raw.starts_with(' ') && raw.find("::") < raw.find(' ');
    if (names && outcome && blank != line.npos) {
      tests_.add(pytest_node(line), *outcome);
      pending_.clear();
    } else if (names) {
      pending_ = pytest_node(line);
    } else if (outcome && !pending_.empty()) {
      tests_.add(pending_, *outcome);
      pending_.clear();
    }
  }

 private:
  TestCollector& tests_;
  std::string pending_;  // begun, and without an outcome so far
};

// "FAILED tests/a.py::test_x - assert 1 == 2", as the summary and -rA print it.
void read_pytest_summary(std::string_view line, TestCollector& tests) {
  const auto blank = line.find(' ');
  const auto outcome = pytest_word(line.substr(0, blank));
  if (!outcome || blank == line.npos) return;
  const std::string_view rest = trim(line.substr(blank));
  if (rest.starts_with('[')) return;  // "SKIPPED [1] a.py:3: why": counts, not names
  const std::string_view name = pytest_node(rest);
  std::string_view why = trim(rest.substr(name.size()));
  if (why.starts_with("- ")) why = trim(why.substr(2));
  TestResult* test = tests.add(name, *outcome);
  if (test && test->text.empty()) TestCollector::add_text(test, why);
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
  PytestProgress progress(tests);
  enum class Section { kRun, kDetails, kSummary } section = Section::kRun;
  for (const std::string_view line : split_lines(text)) {
    if (line.starts_with("=====")) {
      block = nullptr;
      section = contains(line, " short test summary info ") ? Section::kSummary
                : contains(line, " test session starts ")   ? Section::kRun
                                                            : Section::kDetails;
    } else if (section == Section::kRun) {
      progress.line(line);
    } else if (section == Section::kSummary) {
      read_pytest_summary(line, tests);
    } else if (const std::string_view name = pytest_headline(line); !name.empty()) {
      block = details.size() < kMaxTests ? &details[std::string(name)] : nullptr;
    } else if (block && block->size() < 8192) {
      block->append(line.substr(0, 8192)).append("\n");
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
    // The summary says in short what the details say.
    if (test.outcome == TestOutcome::kFail && found != details.end())
      TestCollector::add_text(kept, found->second);
    else
      TestCollector::add_text(kept, test.text);
  }
}

}  // namespace lathe::loop
