// The slips that break a body: each changes one place of one line.
#include <algorithm>
#include <array>

#include "app/starter/tasks.h"
#include "ground/base/text.h"

namespace lathe::app {
namespace {

using Lines = std::vector<std::string>;

std::size_t indent_of(std::string_view line) {
  return line.find_first_not_of(' ');
}

struct Swap {
  std::string_view from, to;
};

// One of the swaps at one of the places where it fits.
bool swap_one(Lines& lines, std::span<const Swap> swaps, Random& random) {
  struct Place {
    std::size_t line, at;
    const Swap* swap;
  };
  std::vector<Place> places;
  for (std::size_t i = 0; i < lines.size(); ++i)
    for (const Swap& swap : swaps)
      for (std::size_t at = lines[i].find(swap.from); at != std::string::npos;
           at = lines[i].find(swap.from, at + 1))
        places.push_back({i, at, &swap});
  if (places.empty()) return false;
  const Place place = random.pick(places);
  lines[place.line].replace(place.at, place.swap->from.size(), place.swap->to);
  return true;
}

bool off_by_one(Lines& lines, Random& random) {
  std::vector<std::pair<std::size_t, std::size_t>> places;
  for (std::size_t i = 0; i < lines.size(); ++i)
    for (std::size_t at = 0; at < lines[i].size(); ++at)
      if (lines[i][at] >= '0' && lines[i][at] <= '9') places.emplace_back(i, at);
  if (places.empty()) return false;
  const auto [line, at] = random.pick(places);
  char& digit = lines[line][at];
  digit = static_cast<char>(digit == '0' || (digit != '9' && random.chance(50)) ? digit + 1
                                                                                : digit - 1);
  return true;
}

// The 'if' goes, and what stood under it moves left.
bool lost_branch(Lines& lines, Random&) {
  const auto found = std::ranges::find_if(
      lines, [](const std::string& line) { return trim(line).starts_with("if "); });
  if (found == lines.end()) return false;
  const std::size_t indent = indent_of(*found);
  for (auto line = found + 1; line != lines.end() && indent_of(*line) > indent; ++line)
    line->erase(0, 1);
  lines.erase(found);
  return true;
}

bool early_return(Lines& lines, Random&) {
  if (lines.size() < 3 || !lines.back().starts_with(" return ")) return false;
  const std::size_t indent = indent_of(lines[lines.size() - 2]);
  if (indent < 2) return false;
  lines.back().insert(0, indent - 1, ' ');
  return true;
}

bool negated(Lines& lines, Random&) {
  for (std::string& line : lines) {
    const std::size_t at = line.find("if ");
    if (at == line.npos) continue;
    if (line.substr(at).starts_with("if not "))
      line.erase(at + 3, 4);
    else
      line.insert(at + 3, "not ");
    return true;
  }
  return false;
}

bool lost_line(Lines& lines, Random& random) {
  if (lines.size() < 3) return false;
  const std::size_t at = random.below(lines.size());
  if (lines[at].ends_with(':')) return false;
  lines.erase(lines.begin() + static_cast<std::ptrdiff_t>(at));
  return true;
}

bool swapped_lines(Lines& lines, Random& random) {
  if (lines.size() < 2) return false;
  const std::size_t at = random.below(lines.size() - 1);
  if (indent_of(lines[at]) != indent_of(lines[at + 1])) return false;
  std::swap(lines[at], lines[at + 1]);
  return true;
}

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// A variable where another one belongs. Names are what stands left of '=' or behind 'for'.
bool wrong_name(Lines& lines, Random& random) {
  std::vector<std::string> names;
  for (const std::string& line : lines) {
    const std::string_view bare = trim(line);
    const std::string_view tail = bare.starts_with("for ") ? bare.substr(4) : bare;
    const std::size_t end =
        static_cast<std::size_t>(std::ranges::find_if_not(tail, is_name_character) - tail.begin());
    const bool assigned = bare.starts_with("for ") || tail.substr(end).starts_with('=');
    if (assigned && end > 0) names.emplace_back(tail.substr(0, end));
  }
  if (names.size() < 2) return false;
  const std::string &from = random.pick(names), &to = random.pick(names);
  if (from == to) return false;
  std::vector<std::pair<std::size_t, std::size_t>> places;
  for (std::size_t i = 0; i < lines.size(); ++i)
    for (std::size_t at = lines[i].find(from); at != std::string::npos;
         at = lines[i].find(from, at + 1))
      if ((at == 0 || !is_name_character(lines[i][at - 1])) &&
          (at + from.size() == lines[i].size() || !is_name_character(lines[i][at + from.size()])))
        places.emplace_back(i, at);
  if (places.empty()) return false;
  const auto [line, at] = random.pick(places);
  lines[line].replace(at, from.size(), to);
  return true;
}

bool wrong_comparison(Lines& lines, Random& random) {
  constexpr Swap kSwaps[] = {{">=", ">"}, {"<=", "<"}, {"==", "!="}, {"!=", "=="}};
  constexpr Swap kPlain[] = {{">", ">="}, {"<", "<="}, {">", "<"}, {"<", ">"}};
  return swap_one(lines, kSwaps, random) || swap_one(lines, kPlain, random);
}

bool wrong_operator(Lines& lines, Random& random) {
  constexpr Swap kSwaps[] = {{"+=", "-="}, {"*=", "+="}, {"+=", "="}, {"*", "+"},
                             {"//", "%"},  {"%", "//"},  {"-", "+"}};
  return swap_one(lines, kSwaps, random);
}

bool wrong_slice(Lines& lines, Random& random) {
  constexpr Swap kSwaps[] = {{"[::-1]", ""}, {"[::2]", "[1::2]"},    {"[:-1]", "[1:]"}, {"[:", "["},
                             {":]", "]"},    {"range(1,", "range("}, {"+1)", ")"}};
  return swap_one(lines, kSwaps, random);
}

bool wrong_word(Lines& lines, Random& random) {
  constexpr Swap kSwaps[] = {{"min(", "max("},   {"max(", "min("},     {"upper", "lower"},
                             {"lower", "upper"}, {"sorted(", "list("}, {"True", "False"},
                             {"False", "True"},  {" and ", " or "},    {"isdigit", "isalpha"}};
  return swap_one(lines, kSwaps, random);
}

}  // namespace

std::optional<std::string> slip(std::string_view body, Random& random) {
  using Slip = bool (*)(Lines&, Random&);
  constexpr std::array<Slip, 12> kSlips{
      off_by_one, lost_branch,      early_return,   negated,     lost_line,  swapped_lines,
      wrong_name, wrong_comparison, wrong_operator, wrong_slice, wrong_word, off_by_one};
  const std::vector<std::string_view> views = split_lines(body);
  Lines lines(views.begin(), views.end());
  if (!random.pick(kSlips)(lines, random) || lines.empty()) return std::nullopt;
  std::string out;
  for (const std::string& line : lines) out += line + '\n';
  return out;
}

}  // namespace lathe::app
