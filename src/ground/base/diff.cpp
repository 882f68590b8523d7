// Differences of texts by their longest common subsequence, and patches of them.
#include "ground/base/diff.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

namespace lathe {
namespace {

constexpr std::size_t kContext = 3;

// Lines with their "\n": the last one may have none.
std::vector<std::string_view> whole_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size() - 1) + 1;
    lines.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return lines;
}

std::string range(std::size_t first, std::size_t count) {
  return fmt::format("{},{}", count == 0 ? first : first + 1, count);
}

// A name with a blank in it ends with a tab, so that nothing is taken for a date.
std::string name_line(std::string_view mark, std::string_view side, std::string_view path) {
  return fmt::format("{} {}/{}{}\n", mark, side, path, path.find(' ') == path.npos ? "" : "\t");
}

}  // namespace

std::vector<DiffLine> diff_lines(const std::vector<std::string_view>& a,
                                 const std::vector<std::string_view>& b) {
  std::size_t head = 0, tail = 0;
  while (head < a.size() && head < b.size() && a[head] == b[head]) ++head;
  while (tail < a.size() - head && tail < b.size() - head &&
         a[a.size() - 1 - tail] == b[b.size() - 1 - tail])
    ++tail;
  const std::size_t n = a.size() - head - tail, m = b.size() - head - tail;
  std::vector<DiffLine> lines;
  for (std::size_t i = 0; i < head; ++i) lines.push_back({' ', a[i]});
  if (n * m > 4'000'000) {  // the table below would be too large: it is replaced
    for (std::size_t i = 0; i < n; ++i) lines.push_back({'-', a[head + i]});
    for (std::size_t j = 0; j < m; ++j) lines.push_back({'+', b[head + j]});
  } else {
    // longest[i][j]: of the common subsequence of a[i…] and b[j…].
    std::vector<std::vector<std::uint32_t>> longest(n + 1, std::vector<std::uint32_t>(m + 1, 0));
    for (std::size_t i = n; i-- > 0;)
      for (std::size_t j = m; j-- > 0;)
        longest[i][j] = a[head + i] == b[head + j] ? longest[i + 1][j + 1] + 1
                                                   : std::max(longest[i + 1][j], longest[i][j + 1]);
    for (std::size_t i = 0, j = 0; i < n || j < m;) {
      if (i < n && j < m && a[head + i] == b[head + j]) {
        lines.push_back({' ', a[head + i++]});
        ++j;
      } else if (i < n && (j == m || longest[i + 1][j] >= longest[i][j + 1])) {
        lines.push_back({'-', a[head + i++]});
      } else {
        lines.push_back({'+', b[head + j++]});
      }
    }
  }
  for (std::size_t i = a.size() - tail; i < a.size(); ++i) lines.push_back({' ', a[i]});
  return lines;
}

std::string file_patch(std::string_view path, const std::optional<std::string>& before,
                       const std::optional<std::string>& after) {
  if (before == after) return {};
  if (before.value_or("").empty() && after.value_or("").empty())
    // Nothing but the file itself comes or goes: only git has words for it.
    return fmt::format("diff --git a/{0} b/{0}\n{1} file mode 100644\n", path,
                       after ? "new" : "deleted");
  std::string patch = before ? name_line("---", "a", path) : "--- /dev/null\n";
  patch += after ? name_line("+++", "b", path) : "+++ /dev/null\n";
  const std::string old_text = before.value_or(""), new_text = after.value_or("");
  const auto lines = diff_lines(whole_lines(old_text), whole_lines(new_text));
  std::size_t old_line = 0, new_line = 0;
  for (std::size_t i = 0; i < lines.size();) {
    if (lines[i].kind == ' ') {
      ++i, ++old_line, ++new_line;
      continue;
    }
    // A hunk: from three lines before to three behind the last change that is no further off.
    const std::size_t first = i - std::min(i, kContext);
    std::size_t last = i;
    for (std::size_t k = i; k < lines.size() && k <= last + 2 * kContext + 1; ++k)
      if (lines[k].kind != ' ') last = k;
    const std::size_t end = std::min(lines.size(), last + 1 + kContext);
    std::string body;
    std::size_t old_count = 0, new_count = 0;
    for (std::size_t k = first; k < end; ++k) {
      old_count += lines[k].kind != '+';
      new_count += lines[k].kind != '-';
      body += lines[k].kind;
      body += lines[k].text;
      if (!lines[k].text.ends_with('\n')) body += "\n\\ No newline at end of file\n";
    }
    patch += fmt::format("@@ -{} +{} @@\n", range(old_line - (i - first), old_count),
                         range(new_line - (i - first), new_count));
    patch += body;
    for (; i < end; ++i) {
      old_line += lines[i].kind != '+';
      new_line += lines[i].kind != '-';
    }
  }
  return patch;
}

}  // namespace lathe
