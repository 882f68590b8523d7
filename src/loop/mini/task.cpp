// Tasks of Mini-Python: prompts and answers.
#include "loop/mini/task.h"

#include <charconv>
#include <map>

#include "ground/base/text.h"

namespace lathe::loop {
namespace {

constexpr std::size_t kMaxLines = 60;  // of a body

Json tests_json(std::span<const MiniTest> tests) {
  Json out = Json::array();
  for (const MiniTest& test : tests) out.push_back({test.arguments, test.want});
  return out;
}

Result<std::vector<MiniTest>> tests_from(const Json& json, std::string_view key) {
  std::vector<MiniTest> tests;
  for (const Json& row : json_at(json, key)) {
    if (!row.is_array() || row.size() != 2 || !row[0].is_string() || !row[1].is_string())
      return invalid("'{}' holds pairs of strings: [\"arguments\", \"result\"]", key);
    MiniTest test{row[0], row[1]};
    for (const std::string& literals : {test.arguments, test.want})
      if (auto parsed = parse_mini_literals(literals); !parsed)
        return at(fmt::format("'{}': {}", key, clip_utf8(literals, 60)), std::move(parsed).error());
    tests.push_back(std::move(test));
  }
  return tests;
}

std::string got_of(const Result<MiniProgram>& program, const MiniTest& test) {
  if (!program) return program.error().code;
  const auto arguments = parse_mini_literals(test.arguments);
  const auto want = parse_mini_literals(test.want);
  if (!arguments || !want || want->size() != 1) return "BadTest";
  const auto value = program->call(*arguments);
  if (!value) return value.error().code;
  // As strict as a reader: True is not 1.
  return mini_repr(*value) == mini_repr(want->front()) ? "" : mini_compact(*value);
}

struct Edit {
  char what = '=';  // '=' replace, '+' add behind, '-' remove
  std::size_t line = 0;
  std::string text = {};
};

Result<Edit> parse_edit(std::string_view line, std::size_t lines) {
  Edit edit;
  if (line.starts_with('+') || line.starts_with('-')) {
    edit.what = line.front();
    line.remove_prefix(1);
  }
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), edit.line);
  const std::size_t least = edit.what == '+' ? 0 : 1;
  if (error != std::errc{} || edit.line < least || edit.line > lines)
    return invalid("the edit '{}' names no line of 1 to {}", clip_utf8(line, 40), lines);
  edit.text = std::string(end, line.data() + line.size());
  if (edit.what == '-' ? !edit.text.empty() : trim(edit.text).empty())
    return invalid("the edit '{}' is not complete", clip_utf8(line, 40));
  return edit;
}

std::string joined(std::span<const std::string> lines) {
  std::string out;
  for (const std::string& line : lines) out += line + '\n';
  return out;
}

// Edits that turn one text into the other, along a longest common subsequence of lines.
std::string edits_between(std::span<const std::string_view> from,
                          std::span<const std::string_view> to) {
  const std::size_t n = from.size(), m = to.size();
  std::vector<std::vector<int>> common(n + 1, std::vector<int>(m + 1, 0));
  for (std::size_t i = n; i-- > 0;)
    for (std::size_t j = m; j-- > 0;)
      common[i][j] = from[i] == to[j] ? common[i + 1][j + 1] + 1
                                      : std::max(common[i + 1][j], common[i][j + 1]);
  std::string out;
  std::size_t i = 0, j = 0;
  while (i < n || j < m) {
    if (i < n && j < m && from[i] == to[j]) {
      ++i, ++j;
      continue;
    }
    // A stretch that differs: as many lines as can be are replaced.
    const std::size_t i0 = i, j0 = j;
    while ((i < n || j < m) && !(i < n && j < m && from[i] == to[j])) {
      if (j == m || (i < n && common[i + 1][j] >= common[i][j + 1]))
        ++i;
      else
        ++j;
    }
    const std::size_t both = std::min(i - i0, j - j0);
    for (std::size_t k = 0; k < both; ++k) out += fmt::format("{}{}\n", i0 + k + 1, to[j0 + k]);
    for (std::size_t k = i0 + both; k < i; ++k) out += fmt::format("-{}\n", k + 1);
    for (std::size_t k = j0 + both; k < j; ++k) out += fmt::format("+{}{}\n", i, to[k]);
  }
  return out;
}

}  // namespace

Json to_json(const MiniTask& task) {
  return {{"id", task.id},
          {"text", task.text},
          {"name", task.name},
          {"parameters", task.parameters},
          {"tests", tests_json(task.tests)},
          {"hidden", tests_json(task.hidden)},
          {"body", task.body}};
}

Result<MiniTask> mini_task_from_json(const Json& json) {
  if (!json.is_object()) return invalid("a task is a JSON object");
  MiniTask task;
  task.id = json_string(json, "id");
  task.text = json_string(json, "text");
  task.name = json_string(json, "name", "f");
  task.body = json_string(json, "body");
  for (const Json& parameter : json_at(json, "parameters")) {
    if (!parameter.is_string()) return invalid("'parameters' holds names");
    task.parameters.push_back(parameter);
  }
  LATHE_TRY(task.tests, tests_from(json, "tests"));
  LATHE_TRY(task.hidden, tests_from(json, "hidden"));
  if (task.tests.empty()) return invalid("'tests' is missing: pairs [\"arguments\", \"result\"]");
  if (auto program = MiniProgram::parse(mini_source(task, " pass\n")); !program)
    return at("'name' and 'parameters'", std::move(program).error());
  return task;
}

Result<MiniTask> mini_task_of(const std::string& key, const std::string& text, Json data) {
  data["id"] = key;
  data["text"] = text;
  auto task = mini_task_from_json(data);
  if (!task) return at(key, std::move(task).error());
  return task;
}

std::string mini_compact(const MiniValue& value) {
  if (!value.is_list()) return mini_repr(value);
  std::string out = "[";
  for (const MiniValue& item : value.list()) out += (out.size() > 1 ? "," : "") + mini_repr(item);
  return out + "]";
}

std::string mini_source(const MiniTask& task, std::string_view body) {
  return fmt::format("def {}({}):\n{}", task.name, join(task.parameters, ","), body);
}

std::vector<std::string> run_mini_tests(const MiniTask& task, std::string_view body,
                                        std::span<const MiniTest> tests) {
  const Result<MiniProgram> program = MiniProgram::parse(mini_source(task, body));
  std::vector<std::string> got;
  for (const MiniTest& test : tests) got.push_back(got_of(program, test));
  return got;
}

std::string mini_prompt(const MiniTask& task, std::string_view body,
                        std::span<const std::string> got) {
  std::string out = fmt::format("# {}\n", task.text);
  for (std::size_t i = 0; i < task.tests.size(); ++i) {
    out += fmt::format("{}({})=={}", task.name, task.tests[i].arguments, task.tests[i].want);
    if (!body.empty() && i < got.size() && !got[i].empty()) out += " got " + clip_utf8(got[i], 40);
    out += '\n';
  }
  out += mini_source(task, "");
  std::size_t number = 0;
  for (const std::string_view line : split_lines(body))
    out += fmt::format("{}{}\n", ++number, line);
  return out + (body.empty() ? "" : "#\n");
}

Result<std::string> apply_mini_answer(std::string_view body, std::string_view answer) {
  const std::vector<std::string_view> said = split_lines(answer);
  if (said.empty() || said.size() > kMaxLines)
    return invalid("the answer has {} lines", said.size());
  if (said.front().starts_with(' ')) {
    std::vector<std::string> lines(said.begin(), said.end());
    return joined(lines);
  }
  const std::vector<std::string_view> old = split_lines(body);
  std::vector<std::string> changed(old.begin(), old.end());
  std::map<std::size_t, std::string> added;  // behind which line
  std::vector<bool> removed(old.size(), false);
  for (const std::string_view line : said) {
    LATHE_TRY(Edit edit, parse_edit(line, old.size()));
    if (edit.what == '=') changed[edit.line - 1] = std::move(edit.text);
    if (edit.what == '-') removed[edit.line - 1] = true;
    if (edit.what == '+') added[edit.line] += edit.text + '\n';
  }
  std::string out = added[0];
  for (std::size_t i = 0; i < old.size(); ++i) {
    if (!removed[i]) out += changed[i] + '\n';
    out += added[i + 1];
  }
  return out;
}

Result<std::string> mini_answer(std::string_view from, std::string_view to) {
  const std::string edits = edits_between(split_lines(from), split_lines(to));
  const bool shorter = edits.size() < to.size();
  for (const std::string_view answer : {shorter ? edits : to, shorter ? to : edits})
    if (const auto made = apply_mini_answer(from, answer); made && *made == to)
      return std::string(answer);
  return invalid("no answer makes the body '{}'", clip_utf8(to, 60));
}

}  // namespace lathe::loop
