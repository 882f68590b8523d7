// The reader of TAP, versions 12 to 14.
#include <algorithm>
#include <charconv>
#include <optional>

#include "ground/base/text.h"
#include "loop/judges/test_collector.h"

namespace lathe::loop {
namespace {

struct Point {
  bool ok = false;
  std::size_t number = 0;  // 0: none is given
  std::string name = {};
  bool skip = false;  // SKIP or TODO: it says as little about the code as a test that did not run
};

std::size_t blanks_before(std::string_view line) {
  return std::min(line.find_first_not_of(' '), line.size());
}

// "# SKIP why", "#skipped", "# TODO": only these two are directives.
bool is_directive(std::string_view behind_hash) {
  const std::string word = to_lower_ascii(trim(behind_hash).substr(0, 5));
  if (word.starts_with("skip")) return true;
  return word.starts_with("todo") && (word.size() == 4 || word[4] == ' ' || word[4] == ':');
}

// "ok 3 - name # SKIP why"; nothing when the line is none.
std::optional<Point> point_in(std::string_view line) {
  Point point{.ok = line.starts_with("ok")};
  if (!point.ok && !line.starts_with("not ok")) return std::nullopt;
  std::string_view rest = line.substr(point.ok ? 2 : 6);
  if (!rest.empty() && rest.front() != ' ') return std::nullopt;
  rest = trim(rest);
  const auto digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
  if (digits == rest.size() || rest[digits] == ' ') {
    std::from_chars(rest.data(), rest.data() + digits, point.number);
    rest = trim(rest.substr(digits));
  }
  if (rest == "-" || rest.starts_with("- ")) rest = trim(rest.substr(1));
  std::string_view name = rest;
  for (auto hash = rest.find('#'); hash != rest.npos; hash = rest.find('#', hash + 1)) {
    if (hash > 0 && rest[hash - 1] != ' ') continue;  // "C#", "\#"
    if (!is_directive(rest.substr(hash + 1))) continue;
    point.skip = true;
    name = trim(rest.substr(0, hash));
    break;
  }
  point.name = replace_all(replace_all(name, "\\#", "#"), "\\\\", "\\");
  return point;
}

std::optional<std::size_t> plan_in(std::string_view line) {
  if (!line.starts_with("1..")) return std::nullopt;
  std::size_t count = 0;
  const auto [end, error] = std::from_chars(line.data() + 3, line.data() + line.size(), count);
  const std::string_view rest = trim(line.substr(static_cast<std::size_t>(end - line.data())));
  if (error != std::errc() || (!rest.empty() && !rest.starts_with('#'))) return std::nullopt;
  return count;
}

// What node prints at the end, and the names of subtests before they begin.
bool says_nothing(std::string_view comment) {
  if (comment.starts_with("Subtest")) return true;
  for (const std::string_view word :
       {"tests ", "suites ", "pass ", "fail ", "cancelled ", "skipped ", "todo ", "duration_ms "})
    if (comment.starts_with(word) &&
        comment.find_first_not_of("0123456789. ", word.size()) == comment.npos)
      return true;
  return false;
}

// The block between "---" and "...": what it says about the fault, the message first.
class Yaml {
 public:
  void line(std::string_view raw) {
    const std::size_t indent = blanks_before(raw);
    const std::string_view text = trim(raw);
    if (text.empty()) return;
    const auto colon = text.find(':');
    if (base_ == raw.npos) base_ = indent;
    if (indent > base_ || colon == text.npos) {
      // Of a stack only the lines in the project.
      if (key_ == "stack" && text.find("node:") != text.npos) return;
      if (!dropped(key_)) add(text);
      return;
    }
    key_ = text.substr(0, colon);
    std::string_view value = trim(text.substr(colon + 1));
    if (dropped(key_) || key_ == "stack") return;
    if (value == "|-" || value == "|" || value == ">" || value == "|+" || value == ">-") value = {};
    if (value.size() > 1 && (value.front() == '\'' || value.front() == '"') &&
        value.back() == value.front())
      value = value.substr(1, value.size() - 2);
    if (is_message())
      add(value);
    else
      add(fmt::format("{}: {}", key_, value));
  }
  std::string text() const { return message_ + rest_; }

 private:
  static bool dropped(std::string_view key) {
    for (const std::string_view each :
         {"duration_ms", "type", "failureType", "code", "name", "generatedMessage", "severity"})
      if (key == each) return true;
    return false;
  }
  bool is_message() const { return key_ == "error" || key_ == "message"; }
  void add(std::string_view text) {
    if (text.empty()) return;
    std::string& part = is_message() ? message_ : rest_;
    if (part.size() < 8192) part.append(text).append("\n");
  }

  std::size_t base_ = std::string_view::npos;
  std::string key_, message_, rest_;
};

class TapReader {
 public:
  explicit TapReader(TestCollector& tests) : tests_(tests) {}

  Status read(std::string_view bytes) {
    for (const std::string_view line : split_lines(bytes)) LATHE_TRY_STATUS(read_line(line));
    return end_stream();
  }

 private:
  Status read_line(std::string_view line) {
    const std::size_t indent = blanks_before(line);
    const std::string_view text = line.substr(indent);
    if (yaml_) {
      if (text == "...") {
        add_text(yaml_->text());
        yaml_.reset();
        return {};
      }
      // A block that is not ended ends with the next point.
      if (indent >= yaml_indent_ || trim(text).empty()) {
        yaml_->line(line);
        return {};
      }
      yaml_.reset();
    }
    if (text == "---" && indent > 0) {
      yaml_.emplace();
      yaml_indent_ = indent;
      return {};
    }
    if (text.starts_with("Bail out!"))
      return invalid("the test run was given up: {}", clip_utf8(make_valid_utf8(text), 300));
    if (indent == 0) return top_line(text);
    if (const auto point = point_in(text); point && indent >= 4) return subtest(*point);
    if (!text.empty() && !plan_in(text) &&
        !(text.starts_with('#') && says_nothing(trim(text.substr(1)))))
      add_text(text);
    return {};
  }

  Status top_line(std::string_view line) {
    if (line.starts_with("TAP version")) {
      if (points_ > 0 || planned_) LATHE_TRY_STATUS(end_stream());
    } else if (const auto plan = plan_in(line)) {
      if (planned_) LATHE_TRY_STATUS(end_stream());
      planned_ = *plan;
    } else if (const auto point = point_in(line)) {
      // Behind a complete stream another one may begin.
      if (planned_ && points_ == *planned_ && point->number == 1 && points_ > 0)
        LATHE_TRY_STATUS(end_stream());
      add(*point);
    } else if (line.starts_with('#')) {
      if (const std::string_view comment = trim(line.substr(1)); !says_nothing(comment))
        add_text(comment);
    }
    return {};
  }

  void add(const Point& point) {
    ++points_;
    ++seen_;
    const TestOutcome outcome = point.skip                   ? TestOutcome::kSkip
                                : point.ok && below_.empty() ? TestOutcome::kPass
                                                             : TestOutcome::kFail;
    last_ = tests_.add(point.name.empty() ? fmt::format("test {}", seen_) : point.name, outcome);
    if (outcome == TestOutcome::kFail) TestCollector::add_text(last_, below_);
    in_below_ = false;
    below_.clear();
  }

  // Its parent comes behind it; a parent that passes over a failure has not passed.
  Status subtest(const Point& point) {
    in_below_ = !point.ok && !point.skip;
    last_ = nullptr;
    if (in_below_ && below_.size() < 8192)
      below_ += make_valid_utf8(point.name.empty() ? "a subtest fails" : point.name) + "\n";
    return {};
  }

  void add_text(std::string_view text) {
    if (in_below_) {
      if (below_.size() < 8192) below_.append(make_valid_utf8(trim(text))).append("\n");
    } else if (last_ && last_->outcome == TestOutcome::kFail &&
               text.find("subtest failed") == text.npos &&
               text.find("subtests failed") == text.npos) {
      TestCollector::add_text(last_, trim(text));
    }
  }

  Status end_stream() {
    if (!planned_)
      return invalid(
          "the TAP report has no plan (a line like 1..{}): whether all tests ran is not "
          "known",
          std::max<std::size_t>(points_, 1));
    if (points_ < *planned_)
      return invalid("the TAP report is cut short: it plans {} tests and has {}", *planned_,
                     points_);
    if (points_ > *planned_)
      return invalid("the TAP report plans {} tests and has {}: more ran than it knows of",
                     *planned_, points_);
    planned_.reset();
    points_ = 0;
    return {};
  }

  TestCollector& tests_;
  TestResult* last_ = nullptr;
  std::size_t points_ = 0, seen_ = 0;  // of this stream, of all
  std::optional<std::size_t> planned_;
  std::optional<Yaml> yaml_;
  std::size_t yaml_indent_ = 0;
  std::string below_;      // what failing subtests of the next point said
  bool in_below_ = false;  // text belongs to one of them
};

}  // namespace

bool is_tap_line(std::string_view line) {
  if (line.starts_with("TAP version") || plan_in(line)) return true;
  const auto point = point_in(line);
  return point && (point->number > 0 || !point->ok || line.starts_with("ok - "));
}

Status read_tap(std::string_view bytes, TestCollector& tests) {
  return TapReader(tests).read(bytes);
}

}  // namespace lathe::loop
