// How URLs, mail addresses and telephone numbers are read out.
#include "loop/senses/addresses.h"

#include <algorithm>
#include <array>
#include <vector>

#include "ground/base/text.h"
#include "loop/senses/ascii.h"
#include "loop/senses/numbers.h"

namespace lathe::loop {
namespace {

constexpr std::size_t kLeastDigits = 7, kMostDigits = 15;
constexpr std::size_t kLongNumber = 3;  // digits of an address that are read one by one

constexpr std::array<std::pair<char, std::string_view>, 19> kSigns{{{':', "colon"},
                                                                    {'/', "slash"},
                                                                    {'.', "dot"},
                                                                    {'?', "question mark"},
                                                                    {'=', "equals"},
                                                                    {'&', "and"},
                                                                    {'#', "hash"},
                                                                    {'-', "dash"},
                                                                    {'_', "underscore"},
                                                                    {'@', "at"},
                                                                    {'%', "percent"},
                                                                    {'+', "plus"},
                                                                    {'~', "tilde"},
                                                                    {',', "comma"},
                                                                    {';', "semicolon"},
                                                                    {'!', "exclamation mark"},
                                                                    {'*', "star"},
                                                                    {'$', "dollar"},
                                                                    {'\'', "apostrophe"}}};

bool is_host_sign(char c) {
  return is_letter(c) || is_digit(c) || c == '-';
}

// Where a host name with a top-level domain ends; 0: it is none.
std::size_t host_end(std::string_view text) {
  std::size_t at = 0, label = 0, dots = 0;
  while (at < text.size() && (is_host_sign(text[at]) || text[at] == '.')) {
    if (text[at] == '.') {
      if (at == label) return 0;
      label = at + 1;
      ++dots;
    }
    ++at;
  }
  const std::string_view top = text.substr(label, at - label);
  const bool named = top.size() >= 2 && std::ranges::all_of(top, is_letter);
  return dots > 0 && named ? at : 0;
}

bool is_address(std::string_view token) {
  if (const auto scheme = token.find("://"); scheme != token.npos)
    return scheme > 0 && std::ranges::all_of(token.substr(0, scheme), is_letter) &&
           scheme + 3 < token.size();
  if (token.starts_with("www.") && token.size() > 4) return true;
  if (const auto at = token.find('@'); at != token.npos && at > 0)
    return host_end(token.substr(at + 1)) == token.size() - at - 1;
  const std::size_t host = host_end(token);
  return host > 0 && host < token.size() && (token[host] == '/' || token[host] == ':');
}

std::string letters_of_address(std::string_view run) {
  const std::string low = to_lower_ascii(run);
  const bool schema = low == "http" || low == "https" || low == "ftp" || low == "www";
  const bool sounds = low.find_first_of("aeiouy") != low.npos;
  return schema || !sounds || (low.size() < 3 && run != low) ? spelled(low) : low;
}

// "(030)", "+49", "555-0199": the digits of a token, or nothing when it holds anything else.
std::string digits_of(std::string_view token, std::size_t& groups) {
  std::string digits;
  bool in_group = false;
  for (const char c : token) {
    if (is_digit(c)) {
      if (!in_group) ++groups;
      digits += c;
    } else if (std::string_view("+()-/.").find(c) == std::string_view::npos) {
      return {};
    }
    in_group = is_digit(c);
  }
  return digits;
}

std::vector<std::size_t> group_sizes(std::string_view token) {
  std::vector<std::size_t> sizes;
  bool in_group = false;
  for (const char c : token) {
    if (is_digit(c) && !in_group) sizes.push_back(0);
    in_group = is_digit(c);
    if (in_group) ++sizes.back();
  }
  return sizes;
}

// 31-01-2026, 31.01.2026, 2026/01/31.
bool is_date(std::string_view token) {
  const auto sizes = group_sizes(token);
  return sizes.size() == 3 &&
         ((sizes[0] <= 2 && sizes[1] <= 2 && (sizes[2] == 4 || sizes[2] == 2)) ||
          (sizes[0] == 4 && sizes[1] <= 2 && sizes[2] <= 2));
}

}  // namespace

std::string spelled(std::string_view letters) {
  std::string out;
  for (const char c : letters) {
    if (!out.empty()) out += ' ';
    out += c;
  }
  return to_lower_ascii(out);
}

std::string without_links(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::string_view rest = text.substr(i);
    if (rest[0] == '<' && (rest.starts_with("<http://") || rest.starts_with("<https://") ||
                           rest.starts_with("<mailto:"))) {
      const auto end = rest.find('>');
      if (end != rest.npos && rest.substr(0, end).find(' ') == rest.npos) {
        const std::string_view url = rest.substr(1, end - 1);
        out += url.starts_with("mailto:") ? url.substr(7) : url;
        i += end;
        continue;
      }
    }
    const bool picture = rest.starts_with("![");
    if (rest[0] != '[' && !picture) {
      out += rest[0];
      continue;
    }
    // [text](target) or [text][name], the text without line breaks of its own links.
    const std::size_t from = picture ? 2 : 1;
    std::size_t depth = 1, close = from;
    for (; close < rest.size(); ++close) {
      if (rest[close] == '[') ++depth;
      if (rest[close] == ']' && --depth == 0) break;
    }
    const char opens = close + 1 < rest.size() ? rest[close + 1] : '\0';
    std::size_t end = rest.npos;
    if (opens == '(') {
      std::size_t inner = 0;
      for (std::size_t k = close + 1; k < rest.size() && end == rest.npos; ++k) {
        if (rest[k] == '(') ++inner;
        if (rest[k] == ')' && --inner == 0) end = k;
      }
    } else if (opens == '[') {
      end = rest.find(']', close + 1);
    }
    if (end == rest.npos) {
      out += rest[0];
      continue;
    }
    out += without_links(rest.substr(from, close - from));
    i += end;
  }
  return out;
}

std::optional<std::string> address_words(std::string_view token) {
  if (!is_address(token)) return std::nullopt;
  std::string out;
  const auto word = [&](std::string_view words) {
    if (!out.empty() && !words.empty()) out += ' ';
    out += words;
  };
  for (std::size_t i = 0; i < token.size();) {
    std::size_t end = i + 1;
    if (is_letter(token[i])) {
      while (end < token.size() && is_letter(token[end])) ++end;
      word(letters_of_address(token.substr(i, end - i)));
    } else if (is_digit(token[i])) {
      while (end < token.size() && is_digit(token[end])) ++end;
      const std::string_view digits = token.substr(i, end - i);
      word(digits.size() >= kLongNumber || digits[0] == '0' ? digit_words(digits)
                                                            : cardinal_words(digits));
    } else {
      for (const auto& [sign, said] : kSigns)
        if (token[i] == sign) word(said);
    }
    i = end;
  }
  return out;
}

PhoneNumber phone_number(std::span<const std::string> tokens, bool called) {
  constexpr std::string_view kClosing = ".,?!;:";
  std::string digits, words;
  std::size_t count = 0, groups = 0;
  std::vector<std::size_t> sizes;
  bool ends = false, later_zero = false;
  for (std::string_view token : tokens) {
    if (ends) break;
    std::string_view core = token;
    while (!core.empty() && kClosing.find(core.back()) != kClosing.npos) core.remove_suffix(1);
    const std::string more = digits_of(core, groups);
    if (more.empty() || is_date(core) || digits.size() + more.size() > kMostDigits) break;
    // A second number has a sign of its own.
    if (count > 0 && core[0] == '+') break;
    std::string group;
    for (const char c : core) {
      if (is_digit(c)) {
        group += c;
        continue;
      }
      if (!group.empty()) words += (words.empty() ? "" : ", ") + digit_words(group);
      if (c == '+') words += words.empty() ? "plus" : " plus";
      group.clear();
    }
    if (!group.empty())
      words += (words.empty() ? "" : words.ends_with("plus") ? " " : ", ") + digit_words(group);
    later_zero = later_zero || (count > 0 && more[0] == '0' && more.size() >= 3);
    for (const std::size_t size : group_sizes(core)) sizes.push_back(size);
    digits += more;
    ++count;
    ends = core.size() < token.size();
  }
  if (count == 0 || digits.size() < kLeastDigits) return {};
  const char first = tokens[0][0];
  const bool local = sizes == std::vector<std::size_t>{3, 4};
  const bool american =
      sizes == std::vector<std::size_t>{3, 3, 4} || sizes == std::vector<std::size_t>{1, 3, 3, 4};
  const bool grouped = sizes.size() > 1;
  const bool dashed = tokens[0].find('-') != std::string::npos;
  const bool phone =
      first == '+' || (first == '0' && grouped) || (first == '0' && called) ||
      (first == '(' && grouped) || american || (local && (dashed || called)) ||
      (called && grouped) ||
      (later_zero && !(sizes[0] <= 3 && std::ranges::all_of(std::span(sizes).subspan(1),
                                                            [](std::size_t n) { return n == 3; })));
  return phone ? PhoneNumber{count, words} : PhoneNumber{};
}

}  // namespace lathe::loop
