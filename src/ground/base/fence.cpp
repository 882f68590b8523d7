// Where fenced blocks of Markdown begin and end.
#include "ground/base/fence.h"

#include "ground/base/text.h"

namespace lathe {

std::string_view fence_of(std::string_view line) {
  if (line.empty() || (line.front() != '`' && line.front() != '~')) return {};
  const std::string_view fence = line.substr(0, line.find_first_not_of(line.front()));
  const bool inline_code = line.substr(fence.size()).contains('`') && fence.front() == '`';
  return fence.size() >= 3 && !inline_code ? fence : std::string_view();
}

bool closes_fence(std::string_view line, std::string_view fence) {
  const std::string_view mark = trim(line);
  return line.starts_with(fence.front()) && mark.size() >= fence.size() &&
         mark.find_first_not_of(fence.front()) == mark.npos;
}

bool ends_in_fence(std::string_view text) {
  std::string_view fence;
  for (const std::string_view line : split_lines(text)) {
    if (fence.empty())
      fence = fence_of(line);
    else if (closes_fence(line, fence))
      fence = {};
  }
  return !fence.empty();
}

}  // namespace lathe
