// ECMA-262 patterns → regular languages. A pattern is read into a tree; a part's language is asked
// for together with what may follow it, so that look-ahead and "$" mean what they mean anywhere.
#include <algorithm>
#include <map>

#include "infer/constraints/text_languages.h"
#include "infer/tokens/unicode.h"

namespace lathe::infer::grammar {
namespace {

constexpr int kMaxPatternDepth = 50;

const CodePoints kDigitClass = {{'0', '9'}};
const CodePoints kWord = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
const CodePoints kSpace = {{'\t', '\r'},     {' ', ' '},       {0xa0, 0xa0},     {0x1680, 0x1680},
                           {0x2000, 0x200a}, {0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f},
                           {0x3000, 0x3000}, {0xfeff, 0xfeff}};
const CodePoints kLineEnds = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};

struct Node {
  enum Kind { kSet, kSequence, kChoice, kRepeat, kAhead, kBegin, kEnd } kind;
  CodePoints set;
  std::vector<Node> parts;
  std::uint32_t min = 0, max = 0;
  bool negative = false;
  bool looks = false;  // beyond itself: an anchor or look-ahead is in it
};

Node node_of(Node::Kind kind, std::vector<Node> parts = {}) {
  Node out{kind, {}, std::move(parts)};
  out.looks = kind == Node::kAhead || kind == Node::kBegin || kind == Node::kEnd ||
              std::ranges::any_of(out.parts, &Node::looks);
  return out;
}

class PatternParser {
 public:
  explicit PatternParser(std::string_view text) : text_(text) {}

  Result<Node> run() {
    LATHE_TRY(Node all, alternatives(0));
    if (more()) return error("has no meaning here");
    return all;
  }

 private:
  std::unexpected<Error> error(std::string_view what) const {
    return invalid("'{}', character {}: {}", text_, at_ + 1, what);
  }
  bool more() const { return at_ < text_.size(); }
  bool take(std::string_view text) {
    if (!text_.substr(at_).starts_with(text)) return false;
    at_ += text.size();
    return true;
  }

  Result<Node> alternatives(int depth) {
    if (depth > kMaxPatternDepth) return error("groups are nested too deep");
    std::vector<Node> options;
    do {
      std::vector<Node> parts;
      while (more() && text_[at_] != '|' && text_[at_] != ')') {
        LATHE_TRY(Node part, item(depth));
        LATHE_TRY(Node repeated, repetition(std::move(part)));
        parts.push_back(std::move(repeated));
      }
      options.push_back(node_of(Node::kSequence, std::move(parts)));
    } while (take("|"));
    return node_of(Node::kChoice, std::move(options));
  }

  static Node set(CodePoints points) {
    Node out = node_of(Node::kSet);
    out.set = std::move(points);
    return out;
  }

  Result<Node> item(int depth) {
    if (take("(")) return group(depth);
    if (take("^")) return node_of(Node::kBegin);
    if (take("$")) return node_of(Node::kEnd);
    if (take("[")) return char_class();
    if (take(".")) return set(complement(kLineEnds));
    if (take("\\")) {
      LATHE_TRY(CodePoints points, escape(false));
      return set(std::move(points));
    }
    const char c = text_[at_];
    if (c == '*' || c == '+' || c == '?') return error("there is nothing to repeat");
    LATHE_TRY(const char32_t point, character());
    return set({{point, point}});
  }

  Result<Node> group(int depth) {
    bool ahead = false, negative = false;
    if (take("?")) {
      if (take("=")) {
        ahead = true;
      } else if (take("!")) {
        ahead = negative = true;
      } else if (take("<")) {
        if (take("=") || take("!")) return error("look-behind is not kept");
        at_ = std::min(text_.find('>', at_), text_.size() - 1) + 1;
      } else if (!take(":")) {
        return error("this group is not kept");
      }
    }
    LATHE_TRY(Node inner, alternatives(depth + 1));
    if (!take(")")) return error("')' is missing");
    if (!ahead) return inner;
    Node out = node_of(Node::kAhead, {std::move(inner)});
    out.negative = negative;
    return out;
  }

  Result<char32_t> character() {
    const Character next = character_at(text_, at_);
    if (next.bytes == 0 || is_invalid(next)) return error("this is not UTF-8");
    at_ += next.bytes;
    return next.code;
  }

  Result<CodePoints> hex(std::size_t digits) {
    const std::string_view read = text_.substr(at_, digits);
    char32_t value = 0;
    for (const char c : read) {
      if (std::isxdigit(static_cast<unsigned char>(c)) == 0) return error("this escape is unknown");
      const int digit = c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
      value = value * 16 + static_cast<char32_t>(digit);
    }
    if (read.size() != digits || value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
      return error("this escape is no character");
    at_ += digits;
    return CodePoints{{value, value}};
  }

  Result<CodePoints> escape(bool in_class) {
    if (!more()) return error("the escape is not finished");
    const char c = text_[at_++];
    switch (c) {
      case 'd':
        return kDigitClass;
      case 'D':
        return complement(kDigitClass);
      case 'w':
        return kWord;
      case 'W':
        return complement(kWord);
      case 's':
        return kSpace;
      case 'S':
        return complement(kSpace);
      case 'x':
        return hex(2);
      case 'u':
        if (take("{")) {
          const std::size_t end = text_.find('}', at_);
          if (end == text_.npos || end - at_ > 6 || end == at_) return error("'}' is missing");
          LATHE_TRY(CodePoints point, hex(end - at_));
          ++at_;
          return point;
        }
        return hex(4);
      default:
        break;
    }
    static constexpr std::string_view kNames = "nrtfv0", kMeanings = "\n\r\t\f\v";
    if (const auto which = kNames.find(c); which < kMeanings.size())
      return CodePoints{{kMeanings[which], kMeanings[which]}};
    const auto point = static_cast<unsigned char>(c);
    if (c == 'b' && in_class) return CodePoints{{'\b', '\b'}};
    if (point >= 0x80 || std::isalnum(point) != 0) return error("this escape cannot be kept");
    return CodePoints{{point, point}};
  }

  Result<CodePoints> class_item() {
    if (take("\\")) return escape(true);
    LATHE_TRY(const char32_t c, character());
    return CodePoints{{c, c}};
  }

  Result<Node> char_class() {
    const bool negated = take("^");
    CodePoints points;
    while (!take("]")) {
      if (!more()) return error("']' is missing");
      LATHE_TRY(CodePoints low, class_item());
      const bool single = low.size() == 1 && low[0].first == low[0].second;
      if (single && more() && text_[at_] == '-' && at_ + 1 < text_.size() &&
          text_[at_ + 1] != ']') {
        ++at_;
        LATHE_TRY(const CodePoints high, class_item());
        if (high.size() != 1 || high[0].first != high[0].second) {
          low.emplace_back('-', '-');  // [a-\d]: three things
          low.insert(low.end(), high.begin(), high.end());
        } else if (high[0].first < low[0].first) {
          return error("the range runs backwards");
        } else {
          low = {{low[0].first, high[0].second}};
        }
      }
      points.insert(points.end(), low.begin(), low.end());
    }
    points = normalize(std::move(points));
    // Twice, to leave out surrogates.
    return set(negated ? complement(points) : complement(complement(points)));
  }

  Result<std::uint32_t> number() {
    std::uint32_t value = 0;
    const std::size_t start = at_;
    while (more() && text_[at_] >= '0' && text_[at_] <= '9') {
      value = value * 10 + static_cast<std::uint32_t>(text_[at_++] - '0');
      if (value > kMaxRepeat) return error(fmt::format("repetitions go up to {}", kMaxRepeat));
    }
    if (at_ == start) return error("a number is expected");
    return value;
  }

  Result<Node> repetition(Node what) {
    std::uint32_t min = 1, max = 1;
    if (take("*")) {
      min = 0, max = kUnlimited;
    } else if (take("+")) {
      max = kUnlimited;
    } else if (take("?")) {
      min = 0;
    } else if (text_.substr(at_).starts_with('{') && at_ + 1 < text_.size() &&
               std::isdigit(static_cast<unsigned char>(text_[at_ + 1])) != 0) {
      ++at_;
      LATHE_TRY(min, number());
      max = min;
      if (take(",")) {
        max = kUnlimited;
        if (more() && text_[at_] != '}') {
          LATHE_TRY(max, number());
        }
      }
      if (!take("}")) return error("'}' is missing");
      if (max < min) return error("the repetition is empty");
    } else {
      return what;
    }
    take("?");  // lazy or greedy, the language is the same
    Node out = node_of(Node::kRepeat, {std::move(what)});
    out.min = min;
    out.max = max;
    return out;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

using Maybe = Regular::Maybe;

Maybe plain(const Node& node);

// The texts that begin with what `parts` from `first` on match, and go on as `rest` says.
Maybe before(const Node& node, const Regular& rest);
Maybe before(std::span<const Node> parts, const Regular& rest) {
  // Neighbours that look nowhere are one text.
  std::size_t end = parts.size();
  Maybe out = rest;
  while (out && end > 0) {
    std::size_t begin = end;
    while (begin > 0 && !parts[begin - 1].looks) --begin;
    if (begin < end) {
      Maybe text = Regular::nothing_written();
      for (std::size_t i = end; text && i-- > begin;) {
        const Maybe part = plain(parts[i]);
        text = part ? Regular::then(*part, *text) : std::nullopt;
      }
      out = text ? Regular::then(*text, *out) : std::nullopt;
      end = begin;
    } else {
      out = before(parts[--end], *out);
    }
  }
  return out;
}

Maybe before(const Node& node, const Regular& rest) {
  switch (node.kind) {
    case Node::kSequence:
      return before(std::span(node.parts), rest);
    case Node::kChoice: {
      std::vector<Regular> options;
      for (const Node& part : node.parts) {
        Maybe option = before(part, rest);
        if (!option) return std::nullopt;
        options.push_back(std::move(*option));
      }
      return Regular::either(options);
    }
    case Node::kAhead: {
      const Maybe seen = before(node.parts[0], Regular::anything());
      if (!seen) return std::nullopt;
      return Regular::both(rest, node.negative ? seen->others() : *seen);
    }
    case Node::kEnd:
      return Regular::both(rest, Regular::nothing_written());
    case Node::kBegin:
      return std::nullopt;  // behind something
    default:
      break;
  }
  if (node.looks) {  // a repetition
    if (node.max > 1) return std::nullopt;
    Maybe once = before(node.parts[0], rest);
    if (!once || node.min == 1) return once;
    return Regular::either({std::move(*once), rest});
  }
  const Maybe text = plain(node);
  return text ? Regular::then(*text, rest) : std::nullopt;
}

Maybe plain(const Node& node) {
  if (node.kind == Node::kSet) return Regular::one_of(node.set);
  if (node.kind != Node::kRepeat) return before(node, Regular::nothing_written());
  const Maybe once = plain(node.parts[0]);
  return once ? Regular::repeated(*once, node.min, node.max) : std::nullopt;
}

// The texts in which these match from any place on that has nothing but `rest` behind it.
Maybe somewhere(std::span<const Node> parts, const Regular& rest) {
  if (!parts.empty() && parts[0].kind == Node::kBegin) {
    while (!parts.empty() && parts[0].kind == Node::kBegin) parts = parts.subspan(1);
    return before(parts, rest);
  }
  if (!parts.empty() && parts[0].kind == Node::kChoice && parts[0].looks) {
    const Maybe behind = before(parts.subspan(1), rest);
    if (!behind) return std::nullopt;
    std::vector<Regular> options;
    for (const Node& option : parts[0].parts) {
      Maybe found = somewhere(std::span(option.parts), *behind);
      if (!found) return std::nullopt;
      options.push_back(std::move(*found));
    }
    return Regular::either(options);
  }
  const Maybe found = before(parts, rest);
  return found ? Regular::then(Regular::anything(), *found) : std::nullopt;
}

#define LATHE_LEAP "(?:\\d\\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
#define LATHE_DATE                                                                        \
  "(?!0000)(?:\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1" \
  "-9]|[12]\\d|30)|02-(?:0[1-9]|1\\d|2[0-8]))|" LATHE_LEAP "-02-29)"
#define LATHE_HOUR "(?:[01]\\d|2[0-3]):[0-5]\\d"
#define LATHE_TIME LATHE_HOUR ":[0-5]\\d(?:\\.\\d{1,9})?(?:Z|[+-]" LATHE_HOUR ")"
#define LATHE_HOURS "T(?:\\d{1,9}H(?:\\d{1,9}M(?:\\d{1,9}S)?)?|\\d{1,9}M(?:\\d{1,9}S)?|\\d{1,9}S)"
// At most five names, together under 253 characters.
#define LATHE_NAME "[A-Za-z0-9](?:-?[A-Za-z0-9]){0,24}"
#define LATHE_HOST LATHE_NAME "(?:\\." LATHE_NAME "){0,4}"
// Three at most before the "@", together under 64 characters.
#define LATHE_ATOM "[A-Za-z0-9_+-]{1,20}"
#define LATHE_CHAR "(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
#define LATHE_BYTE "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)"
#define LATHE_WORD "[0-9A-Fa-f]{1,4}"
#define LATHE_AUTHORITY "[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\\d{1,4})?"

constexpr std::pair<std::string_view, std::string_view> kFormats[] = {
    {"date", "^" LATHE_DATE "$"},
    {"time", "^" LATHE_TIME "$"},
    {"date-time", "^" LATHE_DATE "T" LATHE_TIME "$"},
    {"duration",
     "^P(?:\\d{1,9}W|(?:\\d{1,9}Y(?:\\d{1,9}M(?:\\d{1,9}D)?)?|\\d{1,9}M(?:\\d{1,9}D)?|\\d{1,9}D)"
     "(?:" LATHE_HOURS ")?|" LATHE_HOURS ")$"},
    {"uuid", "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"},
    {"hostname", "^" LATHE_HOST "$"},
    {"email",
     "^" LATHE_ATOM "(?:\\." LATHE_ATOM "){0,2}@(?:" LATHE_NAME "\\.){1,4}[A-Za-z]{2,24}$"},
    {"ipv4", "^" LATHE_BYTE "(?:\\." LATHE_BYTE "){3}$"},
    {"ipv6", "^(?:(?:" LATHE_WORD ":){7}" LATHE_WORD "|(?:" LATHE_WORD ":){1,6}:" LATHE_WORD
             "|(?:" LATHE_WORD ":){1,5}(?::" LATHE_WORD "){2}|(?:" LATHE_WORD
             ":){1,4}(?::" LATHE_WORD "){3}|(?:" LATHE_WORD ":){1,3}(?::" LATHE_WORD
             "){4}|(?:" LATHE_WORD ":){1,2}(?::" LATHE_WORD "){5}|" LATHE_WORD ":(?::" LATHE_WORD
             "){6}|:(?::" LATHE_WORD "){1,7}|(?:" LATHE_WORD ":){1,7}:|::)$"},
    {"uri",
     "^[A-Za-z][A-Za-z0-9+.-]*:(?://" LATHE_AUTHORITY "(?:/" LATHE_CHAR "*)*|" LATHE_CHAR
     "+(?:/" LATHE_CHAR "*)*)(?:\\?(?:" LATHE_CHAR "|[/?])*)?(?:#(?:" LATHE_CHAR "|[/?])*)?$"},
    {"json-pointer", "^(?:/(?:[^/~]|~[01])*)*$"},
};

#undef LATHE_LEAP
#undef LATHE_DATE
#undef LATHE_HOUR
#undef LATHE_TIME
#undef LATHE_HOURS
#undef LATHE_NAME
#undef LATHE_HOST
#undef LATHE_ATOM
#undef LATHE_CHAR
#undef LATHE_BYTE
#undef LATHE_WORD
#undef LATHE_AUTHORITY

// Every text of the second is one of the first.
constexpr std::pair<std::string_view, std::string_view> kWider[] = {{"idn-hostname", "hostname"},
                                                                    {"idn-email", "email"},
                                                                    {"iri", "uri"},
                                                                    {"uri-reference", "uri"},
                                                                    {"iri-reference", "uri"}};

}  // namespace

Result<Regular> pattern_language(std::string_view pattern) {
  LATHE_TRY(const Node all, PatternParser(pattern).run());
  const Node whole = node_of(Node::kSequence, {all});
  auto found = somewhere(std::span(whole.parts), Regular::anything());
  if (!found)
    return invalid("'{}' takes too many states, or has an anchor or look-ahead within a repetition",
                   pattern);
  return std::move(*found);
}

const Regular* format_language(std::string_view name) {
  static const auto known = [] {
    std::map<std::string_view, Regular> out;
    for (const auto& [format, pattern] : kFormats) {
      auto language = pattern_language(pattern);
      LATHE_CHECK(language.has_value());  // our own patterns
      out.emplace(format, std::move(*language));
    }
    for (const auto& [wider, format] : kWider) out.emplace(wider, out.at(format));
    return out;
  }();
  const auto found = known.find(name);
  return found == known.end() ? nullptr : &found->second;
}

}  // namespace lathe::infer::grammar
