// Exchanges lines of a text and leaves every other byte as it is.
#include "loop/makers/code_patch.h"

#include <algorithm>
#include <charconv>

#include "ground/base/text.h"

namespace lathe::loop {
namespace {

constexpr std::string_view kMark = "\xEF\xBB\xBF";
constexpr std::size_t kMaxCells = 4'000'000;  // of the table that aligns two texts

using Lines = std::vector<std::string_view>;

// The lines of a text with their ends, and what is told of it as a whole.
struct Parted {
  std::string_view marks;         // byte-order marks that it begins with
  bool ended = true;              // the last line has an end
  std::string_view usual = "\n";  // how its lines end
  std::vector<std::string> raw;   // each with its end, the last one too
  Lines lines;                    // without them
};

std::string_view unmarked(std::string_view text) {
  while (text.starts_with(kMark)) text.remove_prefix(kMark.size());
  return text;
}

// Without their ends, of which a \r may be more than one.
Lines bare_lines(std::string_view text) {
  Lines lines = split_lines(text);
  for (auto& line : lines)
    while (line.ends_with('\r')) line.remove_suffix(1);
  return lines;
}

Parted parted(std::string_view text) {
  Parted result;
  result.marks = text.substr(0, text.size() - unmarked(text).size());
  text.remove_prefix(result.marks.size());
  result.lines = bare_lines(text);
  std::size_t windows = 0;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size() - 1);
    result.raw.emplace_back(text.substr(0, end + 1));
    windows += result.raw.back().ends_with("\r\n");
    text.remove_prefix(end + 1);
  }
  if (windows * 2 > result.raw.size()) result.usual = "\r\n";
  // A lone \r ends the last line, too: nothing is added to it that would have to be taken off
  // again.
  result.ended =
      result.raw.empty() || result.raw.back().ends_with('\n') || result.raw.back().ends_with('\r');
  if (!result.ended) result.raw.back() += result.usual;
  return result;
}

std::string joined(const Parted& parts) {
  std::string text(parts.marks);
  for (const std::string& line : parts.raw) text += line;
  if (!parts.ended && text.ends_with('\n')) {
    text.pop_back();
    if (text.ends_with('\r')) text.pop_back();
  }
  return text;
}

std::string_view line_end(std::string_view raw) {
  return raw.ends_with("\r\n") ? "\r\n" : "\n";
}

// `fresh` lines, of which those that `old` has too keep the bytes of `raw`, in the best alignment.
std::vector<std::string> merged(const Lines& old, const std::vector<std::string>& raw,
                                const Lines& fresh, std::string_view usual) {
  std::size_t head = 0, tail = 0;
  while (head < std::min(old.size(), fresh.size()) && old[head] == fresh[head]) ++head;
  while (tail < std::min(old.size(), fresh.size()) - head &&
         old[old.size() - 1 - tail] == fresh[fresh.size() - 1 - tail])
    ++tail;
  const std::size_t n = old.size() - head - tail, m = fresh.size() - head - tail;
  std::vector<std::string> result(raw.begin(), raw.begin() + static_cast<std::ptrdiff_t>(head));
  const auto add_fresh = [&](std::string_view line) {
    result.push_back(std::string(line) +
                     std::string(result.empty() ? usual : line_end(result.back())));
  };
  if (n == 0 || m == 0 || n > kMaxCells / m) {
    for (std::size_t j = 0; j < m; ++j) add_fresh(fresh[head + j]);
  } else {
    // common[i][j]: of the lines from i and j on.
    std::vector<std::uint32_t> common((n + 1) * (m + 1));
    const auto cell = [&](std::size_t i, std::size_t j) -> std::uint32_t& {
      return common[i * (m + 1) + j];
    };
    for (std::size_t i = n; i-- > 0;)
      for (std::size_t j = m; j-- > 0;)
        cell(i, j) = old[head + i] == fresh[head + j] ? cell(i + 1, j + 1) + 1
                                                      : std::max(cell(i + 1, j), cell(i, j + 1));
    for (std::size_t i = 0, j = 0; j < m;) {
      if (i < n && old[head + i] == fresh[head + j]) {
        result.push_back(raw[head + i]);
        ++i, ++j;
      } else if (i < n && cell(i + 1, j) >= cell(i, j + 1)) {
        ++i;
      } else {
        add_fresh(fresh[head + j++]);
      }
    }
  }
  result.insert(result.end(), raw.end() - static_cast<std::ptrdiff_t>(tail), raw.end());
  return result;
}

// Lines [first, first + count) become `fresh`. `old`: those lines as the answer writes them.
std::string exchange(Parted parts, std::size_t first, std::size_t count, const Lines& old,
                     const Lines& fresh) {
  const auto begin = parts.raw.begin() + static_cast<std::ptrdiff_t>(first);
  const auto end = begin + static_cast<std::ptrdiff_t>(count);
  const std::string_view usual = first > 0                  ? line_end(parts.raw[first - 1])
                                 : first < parts.raw.size() ? line_end(parts.raw[first])
                                                            : parts.usual;
  const std::vector<std::string> middle =
      merged(old, std::vector<std::string>(begin, end), fresh, usual);
  const auto place = parts.raw.erase(begin, end);
  parts.raw.insert(place, middle.begin(), middle.end());
  return joined(parts);
}

// ---- the forms ----

bool is_mark(std::string_view line, char mark, std::initializer_list<std::string_view> words) {
  const auto end = std::min(line.find_first_not_of(mark), line.size());
  if (end < 5 || end > 9) return false;
  const std::string word = to_lower_ascii(trim(line.substr(end)));
  return std::ranges::find(words, word) != words.end();
}

bool divides(std::string_view line) {
  return is_mark(line, '=', {""});
}

bool ends_replace(std::string_view line) {
  return is_mark(line, '>', {"", "replace", "updated", "new", "after"});
}

void add_line(std::string& text, std::string_view line) {
  text.append(line).append("\n");
}

// "@@ -12,3 +12,4 @@": the line, and whether the hunk only adds.
void read_place(std::string_view line, Replacement& hunk) {
  const auto minus = line.find('-');
  if (minus == line.npos) return;
  const char* end = line.data() + line.size();
  auto [next, error] = std::from_chars(line.data() + minus + 1, end, hunk.line);
  if (error != std::errc()) return;
  std::size_t count = 1;
  if (next != end && *next == ',') std::from_chars(next + 1, end, count);
  hunk.insert = count == 0;
}

bool is_file_header(const Lines& lines, std::size_t i) {
  return lines[i].starts_with("--- ") && i + 1 < lines.size() && lines[i + 1].starts_with("+++ ");
}

bool same(std::string_view a, std::string_view b, bool exact) {
  if (exact || a == b) return a == b;
  const auto bare = [](std::string_view text) {
    return text.substr(0, text.find_last_not_of(" \t") + 1);
  };
  return bare(a) == bare(b);
}

std::vector<std::size_t> places_of(const Lines& lines, const Lines& wanted, bool exact) {
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i + wanted.size() <= lines.size(); ++i) {
    std::size_t k = 0;
    while (k < wanted.size() && same(lines[i + k], wanted[k], exact)) ++k;
    if (k == wanted.size()) places.push_back(i);
  }
  return places;
}

std::unexpected<Error> not_found(std::string_view path, const Lines& lines, const Lines& wanted) {
  // The first line that stands nowhere is the slip.
  std::string_view missing = wanted.front();
  for (const std::string_view line : wanted)
    if (std::ranges::none_of(lines, [&](auto each) { return same(each, line, false); })) {
      missing = line;
      break;
    }
  std::size_t best = lines.size(), least = missing.npos;
  const std::string_view word = trim(missing).substr(0, 120);
  for (std::size_t i = 0; i < lines.size() && i < 5000; ++i)
    if (const auto d = edit_distance(trim(lines[i]).substr(0, 120), word);
        d < least && d <= word.size() / 2)
      least = d, best = i;
  return invalid("{} does not hold the lines that are to be replaced; '{}' stands nowhere{}", path,
                 clip_utf8(trim(missing), 120),
                 best == lines.size() ? ""
                                      : fmt::format(" so; the nearest is line {}: {}", best + 1,
                                                    clip_utf8(lines[best], 160)));
}

}  // namespace

bool opens_search(std::string_view line) {
  return is_mark(line, '<', {"", "search", "original", "old", "before", "head"});
}

Result<std::vector<Replacement>> parse_search_blocks(std::string_view text) {
  std::vector<Replacement> blocks;
  enum class At { kOutside, kSearch, kReplace } at = At::kOutside;
  for (const std::string_view line : split_lines(text)) {
    if (at == At::kOutside) {
      if (opens_search(line))
        blocks.emplace_back(), at = At::kSearch;
      else if (!trim(line).empty())
        return invalid("'{}' stands beside the SEARCH/REPLACE blocks", clip_utf8(line, 120));
    } else if (opens_search(line)) {
      return invalid("a SEARCH block begins before the last one ended with >>>>>>> REPLACE");
    } else if (divides(line)) {
      if (at == At::kReplace)
        return invalid("a SEARCH/REPLACE block has two lines of '=======': send smaller blocks");
      at = At::kReplace;
    } else if (ends_replace(line)) {
      if (at == At::kSearch) return invalid("a SEARCH block has no ======= before >>>>>>> REPLACE");
      at = At::kOutside;
    } else {
      add_line(at == At::kSearch ? blocks.back().before : blocks.back().after, line);
    }
  }
  if (at != At::kOutside) return invalid("the last SEARCH block has no >>>>>>> REPLACE");
  return blocks;
}

bool looks_like_diff(std::string_view text) {
  const Lines lines = split_lines(text);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (trim(lines[i]).empty()) continue;
    return lines[i].starts_with("diff --git ") || is_file_header(lines, i) ||
           lines[i].starts_with("@@ ") || trim(lines[i]) == "@@" ||
           lines[i].starts_with("*** Begin Patch");
  }
  return false;
}

Result<std::vector<Replacement>> parse_hunks(std::string_view text) {
  std::vector<Replacement> hunks;
  const Lines lines = split_lines(text);
  bool open = false;
  std::size_t blank = 0;  // empty lines that are context if more follows
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::string_view line = lines[i];
    if (is_file_header(lines, i)) {
      if (!hunks.empty()) return invalid("one block holds the diff of two files: announce each");
      ++i;
    } else if (line.starts_with("@@")) {
      hunks.emplace_back();
      read_place(line, hunks.back());
      open = true;
      blank = 0;
    } else if (!open && (line.starts_with("diff ") || line.starts_with("index "))) {
    } else if (line.starts_with("rename ") || line.starts_with("*** Move to")) {
      return invalid("a diff cannot rename a file here: send the new file and DELETE the old one");
    } else if (line.starts_with("\\") || line.starts_with("*** End")) {
    } else if (line.empty()) {
      blank += open;
    } else if (const char kind = line.front(); kind == ' ' || kind == '+' || kind == '-') {
      if (!open) hunks.emplace_back(), open = true;  // without @@
      for (; blank > 0; --blank)
        add_line(hunks.back().before, ""), add_line(hunks.back().after, "");
      if (kind != '+') add_line(hunks.back().before, line.substr(1));
      if (kind != '-') add_line(hunks.back().after, line.substr(1));
    } else {
      return invalid("'{}' is no line of a diff: it begins with neither ' ' nor '+' nor '-'",
                     clip_utf8(line, 120));
    }
  }
  std::erase_if(hunks, [](const Replacement& hunk) { return hunk.before == hunk.after; });
  if (hunks.empty()) return invalid("the diff changes nothing");
  return hunks;
}

Result<std::string> replace_lines(std::string_view path, std::string_view text,
                                  const std::vector<Replacement>& replacements) {
  std::string result(text);
  std::ptrdiff_t moved = 0;  // by how many lines what follows has moved
  for (const Replacement& each : replacements) {
    Parted parts = parted(result);
    const Lines wanted = bare_lines(each.before), fresh = bare_lines(each.after);
    const auto told = static_cast<std::ptrdiff_t>(each.line) + moved;
    std::size_t place = 0;
    if (wanted.empty()) {
      if (each.insert && told >= 0 && told <= std::ssize(parts.lines))
        place = static_cast<std::size_t>(told);
      else if (!parts.lines.empty())
        return invalid(
            "{}: lines are to be added, but it is not said where: repeat the line "
            "before them",
            path);
    } else {
      std::vector<std::size_t> places = places_of(parts.lines, wanted, true);
      if (places.empty()) places = places_of(parts.lines, wanted, false);
      if (places.empty()) return not_found(path, parts.lines, wanted);
      const auto as_told = std::ranges::find(places, static_cast<std::size_t>(told - 1));
      if (places.size() > 1 && (each.line == 0 || as_told == places.end()))
        return invalid(
            "{}: the lines that are to be replaced stand there {} times (lines {} and "
            "{}): repeat more of what is around them",
            path, places.size(), places[0] + 1, places[1] + 1);
      place = places.size() == 1 ? places.front() : *as_told;
    }
    moved += std::ssize(fresh) - std::ssize(wanted);
    result = exchange(std::move(parts), place, wanted.size(), wanted, fresh);
  }
  return result;
}

std::string replace_range(std::string_view text, std::size_t first, std::size_t last,
                          std::string_view fresh) {
  Parted parts = parted(text);
  const Lines old(parts.lines.begin() + static_cast<std::ptrdiff_t>(first - 1),
                  parts.lines.begin() + static_cast<std::ptrdiff_t>(last));
  return exchange(std::move(parts), first - 1, last + 1 - first, old, bare_lines(fresh));
}

std::string replace_all_lines(std::string_view text, std::string_view fresh) {
  fresh = unmarked(fresh);
  Parted parts = parted(text);
  const Lines old = parts.lines;
  const std::size_t count = old.size();
  return exchange(std::move(parts), 0, count, old, bare_lines(fresh));
}

std::optional<Replacement> replacement_between(std::string_view before, std::string_view after) {
  const Parted old_parts = parted(before), fresh_parts = parted(after);
  const Lines &old = old_parts.lines, &fresh = fresh_parts.lines;
  if (old.empty()) return std::nullopt;
  std::size_t head = 0, tail = 0;
  const std::size_t shorter = std::min(old.size(), fresh.size());
  while (head < shorter && old[head] == fresh[head]) ++head;
  while (tail < shorter - head && old[old.size() - 1 - tail] == fresh[fresh.size() - 1 - tail])
    ++tail;
  // One line more on both sides until it stands only once.
  for (;;) {
    Replacement result;
    for (std::size_t i = head; i < old.size() - tail; ++i) add_line(result.before, old[i]);
    for (std::size_t i = head; i < fresh.size() - tail; ++i) add_line(result.after, fresh[i]);
    if (const auto made = replace_lines("", before, {result}); made)
      return *made == after ? std::optional(result) : std::nullopt;
    if (head == 0 && tail == 0) return std::nullopt;
    head -= head > 0;
    tail -= tail > 0;
  }
}

std::string shown_text(std::string_view text) {
  return replace_all(unmarked(text), "\r\n", "\n");
}

}  // namespace lathe::loop
