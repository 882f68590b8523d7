// A file to units: lines, paragraphs, records.
#include "loop/conductor/units.h"

#include <set>

#include "ground/base/text.h"

namespace lathe::loop {
namespace {

std::string_view without_markdown(std::string_view line) {
  line = trim(line);
  while (line.starts_with('#') || line.starts_with('>')) line = trim(line.substr(1));
  if (line.starts_with("- ") || line.starts_with("* ")) line = trim(line.substr(2));
  return line;
}

// A letter or digit of any script: a rule of dashes, a fence or a picture by itself is no unit.
bool has_word(std::string_view line) {
  for (std::size_t i = 0; i < line.size(); ++i) {
    const auto c = static_cast<unsigned char>(line[i]);
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return true;
    if (c < 0xC3) continue;
    // Of the higher signs: punctuation, arrows, lines and dingbats (U+2000…U+2BFF, U+3000…U+303F),
    // variation marks and pictures are none.
    const std::string_view rest = line.substr(i);
    const bool sign = (rest >= "\u2000" && rest < "\u2c00") ||
                      (rest >= "\u3000" && rest < "\u3040") ||
                      (rest >= "\ufe00" && rest < "\ufe10") || rest.starts_with("\xc3\x97") ||
                      rest.starts_with("\xc3\xb7") || c >= 0xF0;
    if (!sign) return true;
    i += c >= 0xF0 ? 3 : c >= 0xE0 ? 2 : 1;
  }
  return false;
}

// Follows `after` from every unit; a unit met again on the way there is a circle.
Status refuse_circles(const std::vector<Unit>& units, const std::string& name) {
  std::map<std::string, const Unit*> by_key;
  for (const Unit& unit : units) by_key[unit.key] = &unit;
  std::set<std::string> done;
  for (const Unit& start : units) {
    // Depth first without recursion: an entry is a unit and which of its edges comes next.
    std::vector<std::pair<const Unit*, std::size_t>> path{{&start, 0}};
    while (!path.empty()) {
      auto& [unit, next] = path.back();
      const Json& after = json_at(unit->data, "after");
      if (done.contains(unit->key) || next == after.size()) {
        done.insert(unit->key);
        path.pop_back();
        continue;
      }
      const std::string key = after[next++].get<std::string>();
      const auto target = by_key.find(key);
      if (target == by_key.end()) {
        return invalid("{}: unit '{}' comes after '{}', which does not exist", name, unit->key,
                       clip_utf8(key, 80));
      }
      const auto met =
          std::ranges::find(path, target->second, &std::pair<const Unit*, std::size_t>::first);
      if (met != path.end()) {
        std::vector<std::string> circle;
        for (auto it = met; it != path.end(); ++it) circle.push_back(it->first->key);
        circle.push_back(key);
        return invalid("{}: these units wait for each other in a circle: {}", name,
                       join(circle, " → "));
      }
      path.emplace_back(target->second, 0);
    }
  }
  return {};
}

Result<Unit> record_unit(std::string_view line, std::size_t number, const std::string& name) {
  auto json = parse_json(line);
  const std::string place = fmt::format("{}:{}", name, number);
  if (!json) return at(place, json.error());
  if (!json->is_object())
    return invalid("{}: must be a JSON object with \"key\" and \"text\"", place);
  Unit unit{json_string(*json, "key"), json_string(*json, "text"), *std::move(json)};
  if (unit.key.empty() || trim(unit.text).empty())
    return invalid("{}: needs a \"key\" and a \"text\", both strings that are not empty", place);
  if (unit.key.size() > 200) return invalid("{}: the key is longer than 200 bytes", place);
  unit.data["line"] = number;
  unit.data.erase("text");
  if (const Json& after = json_at(unit.data, "after"); !after.is_null()) {
    if (!after.is_array() ||
        !std::ranges::all_of(after, [](const Json& key) { return key.is_string(); }))
      return invalid("{}: \"after\" must be a list of keys", place);
  }
  if (const Json& worker = json_at(unit.data, "worker"); !worker.is_null() && !worker.is_string())
    return invalid("{}: \"worker\" must be a string: one of make.ladder", place);
  if (const Json& seed = json_at(unit.data, "seed");
      !seed.is_null() && (!seed.is_number_integer() || own_seed(unit) < 0))
    return invalid("{}: \"seed\" must be a whole number, 0 or more", place);
  return unit;
}

}  // namespace

Result<std::vector<Unit>> split_units(std::string_view text, std::string_view split,
                                      const std::string& name) {
  const std::vector<std::string_view> lines = split_lines(text);
  if (const auto bad = find_invalid_utf8(text); bad != text.npos) {
    const auto line = 1 + std::ranges::count(text.substr(0, bad), '\n');
    return invalid("{}:{}: not valid UTF-8 at byte {} of the file; save it as UTF-8", name, line,
                   bad);
  }
  if (text.find('\0') != text.npos)
    return invalid("{}: holds a NUL byte at {}: this is not a text file", name, text.find('\0'));
  std::vector<Unit> units;
  const bool markdown = name.ends_with(".md");
  const std::size_t limit = split == "file" ? kMaxFileUnitBytes : kMaxUnitBytes;
  const auto add = [&](std::string key, std::string body, std::size_t line) -> Status {
    if (body.size() > limit)
      return invalid("{}:{}: {} bytes are too many for one unit (at most {}); split it up", name,
                     line, body.size(), limit);
    if (units.size() == kMaxUnits)
      return invalid("{}:{}: more than {} units; give the rest of the file to a second run", name,
                     line, kMaxUnits);
    units.push_back({std::move(key), std::move(body), {{"line", line}}});
    return {};
  };

  if (split == "file") {
    if (!trim(text).empty())
      LATHE_TRY_STATUS(add(fs::path(name).filename().string(), std::string(text), 1));
  } else if (split == "paragraph") {
    std::string paragraph;
    std::size_t first = 1;
    for (std::size_t i = 0; i <= lines.size(); ++i) {
      if (i < lines.size() && !trim(lines[i]).empty()) {
        if (paragraph.empty()) first = i + 1;
        paragraph += (paragraph.empty() ? "" : "\n") + std::string(lines[i]);
      } else if (!paragraph.empty()) {
        LATHE_TRY_STATUS(add(fmt::format("P{:03}", units.size() + 1), std::move(paragraph), first));
        paragraph.clear();
      }
    }
  } else {
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const std::string_view line =
          markdown && split == "line" ? without_markdown(lines[i]) : trim(lines[i]);
      if (split == "line" ? !has_word(line) : line.empty()) continue;
      LATHE_TRY_STATUS(add(fmt::format("L{:03}", i + 1), std::string(line), i + 1));
      if (split == "jsonl") {
        LATHE_TRY(units.back(), record_unit(line, i + 1, name));
      }
    }
  }
  if (units.empty()) return invalid("{}: is empty: there is nothing to work on", name);
  std::set<std::string> keys;
  for (const Unit& unit : units)
    if (!keys.insert(unit.key).second)
      return invalid("{}: the key '{}' stands twice", name, unit.key);
  LATHE_TRY_STATUS(refuse_circles(units, name));
  return units;
}

namespace {

std::string place_of(const Unit& unit, const std::string& name) {
  return fmt::format("{}:{}", name, json_int(unit.data, "line", 0));
}

}  // namespace

Status check_own_workers(std::span<const Unit> units, std::span<const std::string> ladder,
                         const std::string& name) {
  const std::vector<std::string> names(ladder.begin(), ladder.end());
  for (const Unit& unit : units)
    if (const std::string own = own_worker(unit);
        !own.empty() && std::ranges::find(names, own) == names.end())
      return invalid("{}: \"worker\" is '{}', which is not in make.ladder ({}){}",
                     place_of(unit, name), clip_utf8(own, 60), join(names, ", "),
                     did_you_mean(own, names));
  return {};
}

std::string cell_key(std::string_view unit, std::string_view worker, std::int64_t seed) {
  return fmt::format("{} {} {}", unit, worker, seed);
}

Result<std::vector<Unit>> grid_cells(std::span<const Unit> units,
                                     std::span<const std::string> ladder, int seeds,
                                     const std::string& name) {
  const std::size_t each = ladder.size() * static_cast<std::size_t>(seeds);
  if (units.size() * each > kMaxUnits)
    return invalid(
        "{}: {} prompts, {} workers and {} seeds are {} cells, and a grid has at most {}; give "
        "some of the prompts to a second one",
        name, units.size(), ladder.size(), seeds, units.size() * each, kMaxUnits);
  std::size_t bytes = 0;
  std::vector<Unit> cells;
  for (const Unit& unit : units) {
    for (const char* member : {"after", "seed", "worker"})
      if (unit.data.contains(member))
        return invalid("{}: \"{}\" has no meaning in a grid, where every worker makes every unit",
                       place_of(unit, name), member);
    bytes += each * (unit.text.size() + dump_json(unit.data).size());
    if (bytes > kMaxGridBytes)
      return invalid("{}: the cells up to here have more than {} bytes of text together",
                     place_of(unit, name), kMaxGridBytes);
    for (const std::string& worker : ladder)
      for (int seed = 1; seed <= seeds; ++seed) {
        Unit& cell = cells.emplace_back(unit);
        cell.key = cell_key(unit.key, worker, seed);
        cell.data["of"] = unit.key;
        cell.data["worker"] = worker;
        cell.data["seed"] = seed;
      }
  }
  return cells;
}

}  // namespace lathe::loop
