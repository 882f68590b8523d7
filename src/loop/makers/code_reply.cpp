#include "loop/makers/code_reply.h"

#include <algorithm>
#include <optional>
#include <set>

#include "ground/base/file.h"
#include "ground/base/text.h"

namespace lathe {
namespace {

constexpr std::size_t kMaxEdits = 200;

// "```cpp" → "```"; "" when the line opens no block.
std::string_view fence_of(std::string_view line) {
  if (line.empty() || (line.front() != '`' && line.front() != '~')) return {};
  const auto end = line.find_first_not_of(line.front());
  const std::string_view fence = line.substr(0, end);
  return fence.size() >= 3 ? fence : std::string_view();
}

bool closes(std::string_view line, std::string_view fence) {
  const std::string_view mark = trim(line);
  return line.starts_with(fence.front()) && mark.size() >= fence.size() &&
         mark.find_first_not_of(fence.front()) == mark.npos;
}

// "**FILE: `src/a.cpp`**" is what models make of "FILE: src/a.cpp". A name may begin with '_', a
// line does not.
std::string_view bare(std::string_view line, std::string_view decoration = "*` \t") {
  const auto begin = line.find_first_not_of(decoration);
  if (begin == line.npos) return {};
  return line.substr(begin, line.find_last_not_of("*` \t") - begin + 1);
}

Result<std::optional<Edit>> announcement(std::string_view raw) {
  const std::string_view line = bare(raw, "#*`_ \t");
  Edit edit;
  std::string_view rest;
  if (line.starts_with("FILE:"))
    rest = line.substr(5);
  else if (line.starts_with("FUNCTION:"))
    edit.kind = Edit::Kind::kFunction, rest = line.substr(9);
  else if (line.starts_with("DELETE:"))
    edit.kind = Edit::Kind::kDelete, rest = line.substr(7);
  else
    return std::nullopt;
  rest = bare(rest);
  if (edit.kind == Edit::Kind::kFunction) {
    const auto space = rest.find(' ');
    if (space == rest.npos)
      return invalid("'{}' names no function: write FUNCTION: path name", clip_utf8(line, 200));
    edit.function = bare(rest.substr(space));
    rest = rest.substr(0, space);
    if (edit.function.ends_with("()")) edit.function.resize(edit.function.size() - 2);
  }
  while (rest.starts_with("./")) rest.remove_prefix(2);
  edit.path = trim(replace_all(rest, "`", ""));
  if (!is_safe_relative(edit.path))
    return invalid("'{}' is not a path inside the project", clip_utf8(edit.path, 200));
  return edit;
}

Status add(std::vector<Edit>& edits, std::set<std::string>& seen, Edit edit) {
  if (edits.size() == kMaxEdits) return invalid("the answer has more than {} edits", kMaxEdits);
  const bool function = edit.kind == Edit::Kind::kFunction;
  if (!seen.insert(edit.path + (function ? "\n" + edit.function : "")).second ||
      (!function && std::ranges::any_of(edits, [&](const Edit& e) { return e.path == edit.path; })))
    return invalid("the answer edits '{}' twice", edit.path);
  edits.push_back(std::move(edit));
  return {};
}

}  // namespace

Result<std::vector<Edit>> parse_code_reply(std::string_view reply) {
  std::vector<Edit> edits;
  std::set<std::string> seen;
  std::optional<Edit> announced;
  std::string_view fence;  // of the open block
  std::string code;
  for (const std::string_view line : split_lines(reply)) {
    if (!fence.empty()) {
      if (!closes(line, fence)) {
        code.append(line).append("\n");
        continue;
      }
      fence = {};
      // A block without an announcement is talk, like an example of how to run it.
      if (!announced) continue;
      announced->code = std::move(code);
      LATHE_TRY_STATUS(add(edits, seen, *std::exchange(announced, std::nullopt)));
      continue;
    }
    if (fence = fence_of(line); !fence.empty()) {
      code.clear();
      continue;
    }
    if (trim(line).empty()) continue;
    LATHE_TRY(std::optional<Edit> next, announcement(line));
    if (!next) continue;
    if (announced)
      return invalid("no fenced block follows the line that announces '{}'", announced->path);
    if (next->kind == Edit::Kind::kDelete)
      LATHE_TRY_STATUS(add(edits, seen, std::move(*next)));
    else
      announced = std::move(next);
  }
  if (!fence.empty())
    return invalid("the last fenced block has no end: the answer was cut off; send less at once");
  if (announced)
    return invalid("no fenced block follows the line that announces '{}'", announced->path);
  if (edits.empty())
    return invalid(
        "the answer holds no edit: write a line FILE: path, then the whole file in a fenced block");
  return edits;
}

std::string write_code_reply(std::span<const Edit> edits) {
  std::string text;
  for (const Edit& edit : edits) {
    if (!text.empty()) text += '\n';
    if (edit.kind == Edit::Kind::kDelete)
      text += fmt::format("DELETE: {}\n", edit.path);
    else if (edit.kind == Edit::Kind::kFile)
      text += fmt::format("FILE: {}\n{}", edit.path, fenced(edit.code));
    else
      text += fmt::format("FUNCTION: {} {}\n{}", edit.path, edit.function, fenced(edit.code));
  }
  return text;
}

std::string fenced(std::string_view text) {
  std::string fence = "```";
  while (text.find(fence) != text.npos) fence += '`';
  return fmt::format("{}\n{}{}{}\n", fence, text, text.ends_with('\n') || text.empty() ? "" : "\n",
                     fence);
}

}  // namespace lathe
