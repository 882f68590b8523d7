// Finds the place in the sources that an output speaks of.
#include "loop/judges/locus.h"

#include <algorithm>

#include "ground/base/text.h"

namespace lathe::loop {
namespace {

bool is_path_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.' || c == '/' || c == '-' || c == '+' || c == '@';
}

std::string_view leading_number(std::string_view text) {
  const auto end = std::ranges::find_if(text, [](char c) { return c < '0' || c > '9'; });
  return text.substr(0, std::min<std::size_t>(static_cast<std::size_t>(end - text.begin()), 7));
}

// What may stand between a path and its line number: "a.c:12", "File \"a.py\", line 12",
// "a.sh: line 12:", "a.sh: 12:".
std::string_view line_number(std::string_view behind_path) {
  for (const std::string_view mark : {":", "\", line ", ": line ", ": "})
    if (behind_path.starts_with(mark))
      if (const auto number = leading_number(behind_path.substr(mark.size())); !number.empty())
        return number;
  return {};
}

}  // namespace

LocusFinder::LocusFinder(std::span<const std::string> files, std::span<const std::string> later)
    : files_(files.begin(), files.end()), later_(later.begin(), later.end()) {
  for (const std::string& file : files) {
    const std::string base = file.substr(file.rfind('/') + 1);
    const auto [it, fresh] = by_base_name_.try_emplace(base, file);
    if (!fresh) it->second.clear();
  }
}

std::string LocusFinder::known_file(std::string_view path) const {
  if (path.starts_with("/work/")) path.remove_prefix(6);
  while (path.starts_with("./")) path.remove_prefix(2);
  while (path.starts_with("../")) path.remove_prefix(3);
  if (const auto exact = files_.find(path); exact != files_.end()) return *exact;
  if (path.find('/') != path.npos) return {};
  const auto base = by_base_name_.find(path);
  return base == by_base_name_.end() ? std::string() : base->second;
}

std::string LocusFinder::in_line(std::string_view line, bool& later) const {
  for (std::size_t begin = 0; begin < line.size();) {
    if (!is_path_char(line[begin])) {
      ++begin;
      continue;
    }
    std::size_t end = begin;
    while (end < line.size() && is_path_char(line[end])) ++end;
    const std::string_view number = line_number(line.substr(end));
    const std::string file = number.empty() ? "" : known_file(line.substr(begin, end - begin));
    if (!file.empty()) {
      later = std::ranges::any_of(later_, [&](const auto& glob) { return glob_match(glob, file); });
      return fmt::format("{}:{}", file, number);
    }
    begin = end;
  }
  return {};
}

std::string LocusFinder::find(std::string_view text) const {
  std::string second_best;
  for (const std::string_view line : split_lines(text)) {
    bool later = false;
    std::string place = in_line(line, later);
    if (place.empty()) continue;
    if (!later) return place;
    if (second_best.empty()) second_best = std::move(place);
  }
  return second_best;
}

}  // namespace lathe::loop
