// Python's string methods on text that remembers where it came from.
#include "infer/templates/template_text.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "infer/tokens/unicode.h"

namespace lathe::infer {
namespace {

bool is_letter(char32_t code) {
  return (set_of(category_of(code)) & kLetters) != 0;
}

// Does a word begin behind this character?
bool begins_word(CaseChange change, char32_t before) {
  if (change == CaseChange::kTitleLetters) return !is_letter(before);
  return is_python_space(before) || before == '-' || before == '(' || before == '{' ||
         before == '[' || before == '<';
}

}  // namespace

MarkedText change_case(const MarkedText& text, CaseChange change) {
  MarkedText out;
  bool first = true;
  text.for_runs([&](std::string_view bytes, bool user) {
    std::string changed;
    for (std::size_t at = 0; at < bytes.size();) {
      const Character c = character_at(bytes, at);
      const bool upper = change == CaseChange::kUpper || (change != CaseChange::kLower && first);
      if (c.code == 0xFFFD)
        changed += bytes.substr(at, c.bytes);
      else if (c.code == U'ß' && upper)  // the one common letter that becomes two
        changed += change == CaseChange::kUpper ? "SS" : "Ss";
      else
        append_utf8(changed, upper ? upper_of(c.code) : lower_of(c.code));
      first = change != CaseChange::kCapitalize && begins_word(change, c.code);
      at += c.bytes;
    }
    out.append(changed, user);
  });
  return out;
}

MarkedText strip(const MarkedText& text, std::optional<std::string_view> characters, bool left,
                 bool right) {
  const std::string_view all = text.text();
  const auto cut = [&](std::size_t at) {
    const Character c = character_at(all, at);
    if (!characters) return is_python_space(c.code);
    for (std::size_t i = 0; i < characters->size(); i += character_at(*characters, i).bytes)
      if (character_at(*characters, i).code == c.code) return true;
    return false;
  };
  std::size_t from = 0;
  while (left && from < all.size() && cut(from)) from += character_at(all, from).bytes;
  std::size_t end = right ? from : all.size();
  for (std::size_t at = from; right && at < all.size();) {
    const bool goes = cut(at);
    at += character_at(all, at).bytes;
    if (!goes) end = at;
  }
  return text.substr(from, end - from);
}

MarkedText replace(const MarkedText& text, std::string_view from, const MarkedText& to,
                   std::int64_t count) {
  MarkedText out;
  const std::string_view all = text.text();
  std::size_t at = 0;
  while (count != 0) {
    std::size_t found = at;
    if (from.empty()) {  // Python puts it before every character, and at the end
      out.append(to);
      if (at >= all.size()) return out;
      out.append(text.substr(at, character_at(all, at).bytes));
      at += character_at(all, at).bytes;
    } else {
      found = all.find(from, at);
      if (found == all.npos) break;
      out.append(text.substr(at, found - at));
      out.append(to);
      at = found + from.size();
    }
    --count;
  }
  out.append(text.substr(at));
  return out;
}

std::size_t replaced_size(const MarkedText& text, std::string_view from, const MarkedText& to,
                          std::int64_t count) {
  std::size_t places = 0;
  if (from.empty()) places = text.size() + 1;
  for (std::size_t at = 0; !from.empty(); ++places) {
    at = text.text().find(from, at);
    if (at == std::string::npos) break;
    at += from.size();
  }
  if (count >= 0) places = std::min(places, static_cast<std::size_t>(count));
  if (to.size() > 0 && places > SIZE_MAX / 2 / to.size()) return SIZE_MAX;
  return text.size() + places * to.size() - std::min(text.size(), places * from.size());
}

namespace {

std::vector<MarkedText> split_spaces(const MarkedText& text, std::int64_t limit, bool from_right) {
  struct Word {
    std::size_t from, end;
  };
  std::vector<Word> words;
  const std::string_view all = text.text();
  bool inside = false;
  for (std::size_t at = 0; at < all.size();) {
    const Character c = character_at(all, at);
    const bool space = is_python_space(c.code);
    if (!space && !inside) words.push_back({at, at});
    inside = !space;
    at += c.bytes;
    if (!space) words.back().end = at;
  }
  if (limit >= 0 && words.size() > static_cast<std::size_t>(limit) + 1) {
    const auto kept = static_cast<std::ptrdiff_t>(limit);
    if (from_right) {  // all before the last `limit` words is one
      words.front().end = words[words.size() - static_cast<std::size_t>(limit) - 1].end;
      words.front().from = 0;
      words.erase(words.begin() + 1, words.end() - kept);
    } else {
      words[static_cast<std::size_t>(limit)].end = all.size();
      words.erase(words.begin() + kept + 1, words.end());
    }
  }
  std::vector<MarkedText> out;
  for (const Word& word : words) out.push_back(text.substr(word.from, word.end - word.from));
  return out;
}

}  // namespace

std::vector<MarkedText> split(const MarkedText& text, std::optional<std::string_view> separator,
                              std::int64_t limit, bool from_right) {
  if (!separator) return split_spaces(text, limit, from_right);
  const std::string_view all = text.text();
  std::vector<MarkedText> out;
  if (from_right) {
    std::size_t end = all.size();
    for (; limit != 0; --limit) {
      const auto found =
          end < separator->size() ? all.npos : all.rfind(*separator, end - separator->size());
      if (found == all.npos) break;
      out.push_back(text.substr(found + separator->size(), end - found - separator->size()));
      end = found;
    }
    out.push_back(text.substr(0, end));
    std::ranges::reverse(out);
    return out;
  }
  std::size_t at = 0;
  for (; limit != 0; --limit) {
    const auto found = all.find(*separator, at);
    if (found == all.npos) break;
    out.push_back(text.substr(at, found - at));
    at = found + separator->size();
  }
  out.push_back(text.substr(at));
  return out;
}

std::vector<MarkedText> split_lines(const MarkedText& text) {
  std::vector<MarkedText> out;
  const std::string_view all = text.text();
  std::size_t from = 0;
  for (std::size_t at = 0; at < all.size();) {
    const Character c = character_at(all, at);
    const std::size_t end = at;
    at += c.bytes;
    const bool breaks = (c.code >= '\n' && c.code <= '\r') || (c.code >= 0x1C && c.code <= 0x1E) ||
                        c.code == 0x85 || c.code == 0x2028 || c.code == 0x2029;
    if (!breaks) continue;
    out.push_back(text.substr(from, end - from));
    if (c.code == '\r' && at < all.size() && all[at] == '\n') ++at;
    from = at;
  }
  if (from < all.size()) out.push_back(text.substr(from));
  return out;
}

MarkedText indent(const MarkedText& text, const MarkedText& by, bool first, bool blank) {
  MarkedText padded = text;
  padded.append("\n", false);  // so that a final line break stays
  const std::vector<MarkedText> lines = split_lines(padded);
  MarkedText out;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out.append("\n", false);
    if (i == 0 ? first : blank || lines[i].size() > 0) out.append(by);
    out.append(lines[i]);
  }
  return out;
}

namespace {

// One "%…" of a text: flags, width and precision as C has them.
struct Conversion {
  bool left = false, zeros = false, plus = false;
  int width = 0, precision = -1;
  char kind = '\0';
};

// `at` stands behind the '%'. Widths beyond 1000 are refused: they make text from nothing.
Result<Conversion> read_conversion(std::string_view text, std::size_t& at) {
  Conversion out;
  for (; at < text.size() && std::string_view("-0+ #").find(text[at]) != std::string_view::npos;
       ++at) {
    out.left = out.left || text[at] == '-';
    out.zeros = out.zeros || text[at] == '0';
    out.plus = out.plus || text[at] == '+';
  }
  const auto number = [&](int& value) {
    const auto [end, error] = std::from_chars(text.data() + at, text.data() + text.size(), value);
    if (error == std::errc()) at = static_cast<std::size_t>(end - text.data());
    return error == std::errc() && value <= 1000;
  };
  if (at < text.size() && text[at] >= '1' && text[at] <= '9' && !number(out.width))
    return invalid("a width in '{}' is too large", text);
  if (at < text.size() && text[at] == '.') {
    out.precision = 0;
    ++at;
    if (at < text.size() && text[at] >= '0' && text[at] <= '9' && !number(out.precision))
      return invalid("a precision in '{}' is too large", text);
  }
  if (at >= text.size()) return invalid("'{}' ends within a '%'", text);
  out.kind = text[at++];
  return out;
}

Result<MarkedText> convert(const Conversion& conversion, const Value& value) {
  MarkedText out;
  switch (conversion.kind) {
    case 's':
      LATHE_TRY_STATUS(append_text(out, value));
      if (conversion.precision >= 0)
        out =
            out.substr(0, byte_offset(out.text(), static_cast<std::size_t>(conversion.precision)));
      break;
    case 'r':
      LATHE_TRY_STATUS(append_repr(out, value));
      break;
    case 'd':
    case 'i':
    case 'x':
    case 'X': {
      if (!value.is_number() || (value.is(ValueKind::kReal) && !(std::abs(value.real) < 9e18)))
        return invalid("'%{}' wants a number, not a {}", conversion.kind, type_name(value));
      const std::int64_t whole =
          value.is(ValueKind::kReal) ? static_cast<std::int64_t>(value.real) : value.whole();
      std::string digits = conversion.kind == 'x'   ? fmt::format("{:x}", whole)
                           : conversion.kind == 'X' ? fmt::format("{:X}", whole)
                                                    : std::to_string(whole);
      if (conversion.plus && whole >= 0) digits.insert(0, "+");
      out.append(digits, false);
      break;
    }
    case 'f':
    case 'e':
    case 'g': {
      if (!value.is_number())
        return invalid("'%{}' wants a number, not a {}", conversion.kind, type_name(value));
      const int precision = conversion.precision < 0 ? 6 : conversion.precision;
      out.append(conversion.kind == 'f'   ? fmt::format("{:.{}f}", value.number(), precision)
                 : conversion.kind == 'e' ? fmt::format("{:.{}e}", value.number(), precision)
                                          : fmt::format("{:.{}g}", value.number(), precision),
                 false);
      break;
    }
    default:
      return invalid("'%{}' is not supported", conversion.kind);
  }
  const std::size_t size = character_count(out.text());
  const auto width = static_cast<std::size_t>(conversion.width);
  if (size >= width) return out;
  if (conversion.left) {
    out.append(std::string(width - size, ' '), false);
    return out;
  }
  const bool number = conversion.kind != 's' && conversion.kind != 'r';
  if (!conversion.zeros || !number) {
    MarkedText padded(std::string(width - size, ' '), false);
    padded.append(out);
    return padded;
  }
  const bool sign = out.text().starts_with('-') || out.text().starts_with('+');
  std::string digits = out.text();
  digits.insert(sign ? 1 : 0, width - size, '0');
  return MarkedText(digits, false);
}

}  // namespace

Result<MarkedText> format_percent(const MarkedText& text, const Arguments& arguments) {
  MarkedText out;
  const std::string_view all = text.text();
  std::size_t used = 0;
  for (std::size_t at = 0; at < all.size();) {
    const auto sign = std::min(all.find('%', at), all.size());
    out.append(text.substr(at, sign - at));
    at = sign + 1;
    if (sign == all.size()) break;
    if (at < all.size() && all[at] == '%') {
      out.append("%", false);
      ++at;
      continue;
    }
    LATHE_TRY(const Conversion conversion, read_conversion(all, at));
    if (used >= arguments.positional.size())
      return invalid("'{}' wants more than {} values", all, used);
    LATHE_TRY(const MarkedText shown, convert(conversion, arguments.positional[used++]));
    out.append(shown);
  }
  if (used < arguments.positional.size())
    return invalid("'{}' takes {} of {} values", all, used, arguments.positional.size());
  return out;
}

Result<MarkedText> format_braces(const MarkedText& text, const Arguments& arguments) {
  MarkedText out;
  const std::string_view all = text.text();
  std::size_t automatic = 0;
  for (std::size_t at = 0; at < all.size();) {
    const auto brace = std::min(all.find_first_of("{}", at), all.size());
    out.append(text.substr(at, brace - at));
    if (brace == all.size()) break;
    if (brace + 1 < all.size() && all[brace + 1] == all[brace]) {
      out.append(all.substr(brace, 1), false);
      at = brace + 2;
      continue;
    }
    const auto end = all[brace] == '{' ? all.find('}', brace) : all.npos;
    if (end == all.npos) return invalid("'{}' has a brace without its other", all);
    const std::string_view name = all.substr(brace + 1, end - brace - 1);
    at = end + 1;
    std::size_t index = name.empty() ? automatic++ : 0;
    const auto [rest, error] = std::from_chars(name.data(), name.data() + name.size(), index);
    const bool numbered =
        name.empty() || (error == std::errc() && rest == name.data() + name.size());
    const Value* value = nullptr;
    if (numbered && index < arguments.positional.size()) value = &arguments.positional[index];
    for (const auto& [known, argument] : arguments.named)
      if (!numbered && known == name) value = &argument;
    if (value == nullptr) return invalid("'{}': there is no value for '{{{}}}'", all, name);
    LATHE_TRY_STATUS(append_text(out, *value));
  }
  return out;
}

}  // namespace lathe::infer
