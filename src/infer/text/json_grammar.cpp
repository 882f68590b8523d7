#include "infer/text/json_grammar.h"

#include <algorithm>
#include <map>

#include "infer/text/unicode.h"

namespace lathe::grammar {
namespace {

const CodePoints kPlainCharacters = complement({{0, 0x1f}, {'"', '"'}, {'\\', '\\'}, {0x7f, 0x7f}});
constexpr int kMaxPatternDepth = 50;
constexpr std::string_view kNines = "9999999999999999", kZeros = "0000000000000000";

CodePoints united(CodePoints a, const CodePoints& b) {
  a.insert(a.end(), b.begin(), b.end());
  return normalize(std::move(a));
}

// The part of `a` that lies in `b`.
CodePoints intersected(const CodePoints& a, const CodePoints& b) {
  CodePoints out;
  for (const auto& [la, ha] : a) {
    for (const auto& [lb, hb] : b) {
      if (std::max(la, lb) <= std::min(ha, hb))
        out.emplace_back(std::max(la, lb), std::min(ha, hb));
    }
  }
  return normalize(std::move(out));
}

const CodePoints kDigits = {{'0', '9'}};
const CodePoints kWord = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
const CodePoints kSpace = {
    {'\t', '\r'}, {' ', ' '}, {0xa0, 0xa0}, {0x2028, 0x2029}, {0xfeff, 0xfeff}};

}  // namespace

// A rule is made once and named before it is made, so that it may call itself.
ExprId JsonGrammar::rule(std::optional<RuleId>& id, const char* name,
                         ExprId (JsonGrammar::*make)()) {
  if (!id) {
    id = builder_.add_rule(name);
    builder_.define(*id, (this->*make)());
  }
  return builder_.call(*id);
}

ExprId JsonGrammar::value() {
  return rule(value_, "value", &JsonGrammar::make_value);
}
ExprId JsonGrammar::object() {
  return rule(object_, "object", &JsonGrammar::make_object);
}

ExprId JsonGrammar::make_value() {
  const ExprId item = value();
  const ExprId list =
      builder_.choice({builder_.empty(),
                       builder_.sequence({item, builder_.repeat(builder_.sequence({comma(), item}),
                                                                0, kUnlimited)})});
  return builder_.choice(
      {object(),
       builder_.sequence({builder_.literal("["), blank(), list, blank(), builder_.literal("]")}),
       string(0, kUnlimited), number(), boolean(), builder_.literal("null")});
}

ExprId JsonGrammar::make_object() {
  const ExprId one = member(string(0, kUnlimited), value());
  const ExprId members = builder_.choice(
      {builder_.empty(), builder_.sequence({one, builder_.repeat(builder_.sequence({comma(), one}),
                                                                 0, kUnlimited)})});
  return builder_.sequence(
      {builder_.literal("{"), blank(), members, blank(), builder_.literal("}")});
}

ExprId JsonGrammar::boolean() {
  return builder_.choice({builder_.literal("true"), builder_.literal("false")});
}

ExprId JsonGrammar::set(std::string_view characters) {
  CodePoints points;
  for (const char c : characters)
    points.emplace_back(static_cast<unsigned char>(c), static_cast<unsigned char>(c));
  return builder_.code_points(points);
}

ExprId JsonGrammar::digits(std::uint32_t min, std::uint32_t max) {
  return builder_.repeat(builder_.code_points(kDigits), min, max);
}

ExprId JsonGrammar::number() {
  const ExprId whole =
      builder_.choice({builder_.literal("0"),
                       builder_.sequence({builder_.code_points({{'1', '9'}}), digits(0, 15)})});
  const ExprId fraction = builder_.sequence({builder_.literal("."), digits(1, 16)});
  const ExprId exponent =
      builder_.sequence({set("eE"), builder_.repeat(set("+-"), 0, 1), digits(1, 2)});
  return builder_.sequence({builder_.repeat(builder_.literal("-"), 0, 1), whole,
                            builder_.repeat(fraction, 0, 1), builder_.repeat(exponent, 0, 1)});
}

ExprId JsonGrammar::blank() {
  return builder_.choice({builder_.empty(), builder_.literal(" "),
                          builder_.sequence({builder_.repeat(builder_.literal("\n"), 1, 2),
                                             builder_.repeat(set(" \t"), 0, 20)})});
}

ExprId JsonGrammar::comma() {
  return builder_.sequence({blank(), builder_.literal(","), blank()});
}

ExprId JsonGrammar::member(ExprId key, ExprId value) {
  return builder_.sequence({key, blank(), builder_.literal(":"), blank(), value});
}

ExprId JsonGrammar::make_character() {
  const ExprId hex = builder_.code_points({{'0', '9'}, {'A', 'F'}, {'a', 'f'}});
  // \uD800–\uDFFF name halves of a pair: left out, since one alone is no character.
  const ExprId high = builder_.choice(
      {builder_.sequence(
           {builder_.code_points({{'0', '9'}, {'A', 'C'}, {'E', 'F'}, {'a', 'c'}, {'e', 'f'}}),
            hex}),
       builder_.sequence({set("dD"), builder_.code_points({{'0', '7'}})})});
  return builder_.choice(
      {builder_.code_points(kPlainCharacters),
       builder_.sequence(
           {builder_.literal("\\"),
            builder_.choice({set("\"\\/bfnrt"),
                             builder_.sequence({builder_.literal("u"), high, hex, hex})})})});
}

ExprId JsonGrammar::string(std::uint32_t min, std::uint32_t max) {
  const ExprId character = rule(character_, "character", &JsonGrammar::make_character);
  return builder_.sequence(
      {builder_.literal("\""), builder_.repeat(character, min, max), builder_.literal("\"")});
}

// Walks the names as a trie: at each node, a character that no name goes on with frees the rest;
// the end of the string is allowed where no name ends.
ExprId JsonGrammar::string_other_than(const std::vector<std::string>& names) {
  const ExprId rest = builder_.repeat(builder_.code_points(kPlainCharacters), 0, kUnlimited);
  struct Node {
    std::map<char32_t, std::size_t> next;
    bool name = false;
  };
  std::vector<Node> trie(1);
  for (const std::string& name : names) {
    std::size_t at = 0;
    for (std::size_t i = 0; i < name.size();) {
      const Character character = character_at(name, i);
      i += character.bytes;
      const auto [next, fresh] = trie[at].next.try_emplace(character.code, trie.size());
      at = next->second;
      if (fresh) trie.emplace_back();
    }
    trie[at].name = true;
  }
  // Children have larger numbers than their parents, so that building from the back needs no
  // recursion.
  std::vector<ExprId> built(trie.size());
  for (std::size_t i = trie.size(); i-- > 0;) {
    CodePoints taken;
    std::vector<ExprId> options;
    if (!trie[i].name) options.push_back(builder_.empty());
    for (const auto& [c, next] : trie[i].next) {
      taken.emplace_back(c, c);
      const RuleId id = builder_.add_rule("name");
      builder_.define(id, built[next]);
      options.push_back(builder_.sequence(
          {builder_.code_points(intersected({{c, c}}, kPlainCharacters)), builder_.call(id)}));
    }
    options.push_back(builder_.sequence(
        {builder_.code_points(intersected(complement(normalize(taken)), kPlainCharacters)), rest}));
    built[i] = builder_.choice(std::move(options));
  }
  return builder_.sequence({builder_.literal("\""), built[0], builder_.literal("\"")});
}

// Numbers of equal length from low to high, digit by digit.
ExprId JsonGrammar::digits_between(std::string_view low, std::string_view high) {
  if (low.empty()) return builder_.empty();
  const auto rest = static_cast<std::uint32_t>(low.size() - 1);
  const auto digit = [&](char from, char to) {
    return builder_.code_points({{static_cast<char32_t>(from), static_cast<char32_t>(to)}});
  };
  // Everything of this length: without this the two ends below would double with every digit.
  if (low == kZeros.substr(0, low.size()) && high == kNines.substr(0, high.size())) {
    return digits(rest + 1, rest + 1);
  }
  if (low[0] == high[0]) {
    return builder_.sequence(
        {digit(low[0], low[0]), digits_between(low.substr(1), high.substr(1))});
  }
  std::vector<ExprId> options{
      builder_.sequence(
          {digit(low[0], low[0]), digits_between(low.substr(1), kNines.substr(0, rest))}),
      builder_.sequence(
          {digit(high[0], high[0]), digits_between(kZeros.substr(0, rest), high.substr(1))})};
  if (low[0] + 1 < high[0]) {
    options.push_back(
        builder_.sequence({digit(static_cast<char>(low[0] + 1), static_cast<char>(high[0] - 1)),
                           digits(rest, rest)}));
  }
  return builder_.choice(std::move(options));
}

ExprId JsonGrammar::integer(std::int64_t low, std::int64_t high) {
  std::vector<ExprId> options;
  const auto positive = [&](std::int64_t from, std::int64_t to, bool minus) {
    // One alternative per number of digits.
    for (std::int64_t start = from; start <= to;) {
      std::string first = std::to_string(start);
      std::int64_t nines = 9;
      while (nines < start) nines = nines * 10 + 9;
      const std::int64_t last = std::min(nines, to);
      const ExprId number = digits_between(first, std::to_string(last));
      options.push_back(minus ? builder_.sequence({builder_.literal("-"), number}) : number);
      start = last + 1;
    }
  };
  if (high >= 0) positive(std::max<std::int64_t>(low, 0), high, false);
  if (low < 0) positive(std::max<std::int64_t>(1, -high), -low, true);
  return builder_.choice(std::move(options));
}

std::optional<ExprId> JsonGrammar::format(std::string_view name) {
#define LATHE_DATE "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
#define LATHE_HOUR "([01][0-9]|2[0-3]):[0-5][0-9]"
#define LATHE_TIME LATHE_HOUR ":[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]" LATHE_HOUR ")"
  static constexpr std::pair<std::string_view, std::string_view> kFormats[] = {
      {"date", "^" LATHE_DATE "$"},
      {"time", "^" LATHE_TIME "$"},
      {"date-time", "^" LATHE_DATE "T" LATHE_TIME "$"},
      {"uuid", "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"},
  };
#undef LATHE_DATE
#undef LATHE_HOUR
#undef LATHE_TIME
  for (const auto& [known, text] : kFormats) {
    if (known != name) continue;
    const auto expression = pattern(text);
    LATHE_CHECK(expression.has_value());  // our own patterns
    return *expression;
  }
  return std::nullopt;
}

ExprId JsonGrammar::escaped(const CodePoints& characters) {
  std::vector<ExprId> options;
  const CodePoints plain = intersected(characters, kPlainCharacters);
  if (!plain.empty()) options.push_back(builder_.code_points(plain));
  static constexpr std::pair<char, const char*> kEscapes[] = {
      {'"', "\\\""}, {'\\', "\\\\"}, {'\b', "\\b"}, {'\f', "\\f"},
      {'\n', "\\n"}, {'\r', "\\r"},  {'\t', "\\t"}};
  for (const auto& [c, text] : kEscapes) {
    const auto point = static_cast<char32_t>(c);
    if (!intersected(characters, {{point, point}}).empty())
      options.push_back(builder_.literal(text));
  }
  if (options.empty()) return builder_.code_points({});
  return builder_.choice(std::move(options));
}

// Recursive descent over the pattern; the depth of groups is bounded.
class PatternParser {
 public:
  PatternParser(std::string_view text, JsonGrammar& json)
      : text_(text), json_(json), builder_(json.builder_) {}

  Result<ExprId> run() {
    const ExprId open = builder_.repeat(json_.escaped(complement({})), 0, kUnlimited);
    std::vector<ExprId> parts{builder_.literal("\"")};
    // Anchors are understood where they mean the whole text; an alternative of its own anchors is
    // refused below.
    const bool starts = text_.starts_with('^');
    if (starts) {
      ++at_;
    } else {
      parts.push_back(open);
    }
    LATHE_TRY(const ExprId body, alternatives(0));
    parts.push_back(body);
    if (at_ < text_.size() && text_[at_] == '$' && at_ + 1 == text_.size()) {
      ++at_;
    } else {
      parts.push_back(open);
    }
    if (at_ < text_.size()) return error("has no meaning here");
    if ((starts || text_.ends_with('$')) && top_alternatives_ > 1) {
      return invalid("'{}': put the alternatives between ^ and $ into a group", text_);
    }
    parts.push_back(builder_.literal("\""));
    return builder_.sequence(std::move(parts));
  }

 private:
  std::unexpected<Error> error(std::string_view what) const {
    return invalid("'{}', character {}: {}", text_, at_ + 1, what);
  }
  bool more() const { return at_ < text_.size(); }
  bool take(char c) {
    if (!more() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  Result<ExprId> alternatives(int depth) {
    if (depth > kMaxPatternDepth) return error("groups are nested too deep");
    std::vector<ExprId> options;
    do {
      std::vector<ExprId> parts;
      while (more() && text_[at_] != '|' && text_[at_] != ')') {
        if (text_[at_] == '$' && at_ + 1 == text_.size() && depth == 0) break;
        LATHE_TRY(const ExprId part, item(depth));
        LATHE_TRY(const ExprId repeated, repetition(part));
        parts.push_back(repeated);
      }
      options.push_back(builder_.sequence(std::move(parts)));
    } while (take('|'));
    if (depth == 0) top_alternatives_ = options.size();
    return builder_.choice(std::move(options));
  }

  Result<ExprId> item(int depth) {
    if (take('(')) {
      if (take('?') && !take(':')) return error("only plain groups and (?:…) are kept");
      LATHE_TRY(const ExprId group, alternatives(depth + 1));
      if (!take(')')) return error("')' is missing");
      return group;
    }
    if (take('[')) return char_class();
    if (take('.')) return json_.escaped(complement({{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}}));
    if (take('\\')) {
      LATHE_TRY(const CodePoints set, escape());
      return json_.escaped(set);
    }
    const char c = text_[at_];
    if (c == '^' || c == '$') return error("anchors are kept at the two ends only");
    if (c == '*' || c == '+' || c == '?' || c == '{') return error("there is nothing to repeat");
    LATHE_TRY(const char32_t point, character());
    return json_.escaped({{point, point}});
  }

  Result<char32_t> character() {
    const Character next = character_at(text_, at_);
    if (next.bytes == 0 || is_invalid(next)) return error("this is not UTF-8");
    at_ += next.bytes;
    return next.code;
  }

  Result<CodePoints> escape() {
    if (!more()) return error("the escape is not finished");
    const char c = text_[at_++];
    switch (c) {
      case 'd':
        return kDigits;
      case 'D':
        return complement(kDigits);
      case 'w':
        return kWord;
      case 'W':
        return complement(kWord);
      case 's':
        return kSpace;
      case 'S':
        return complement(kSpace);
      case 'n':
        return CodePoints{{'\n', '\n'}};
      case 'r':
        return CodePoints{{'\r', '\r'}};
      case 't':
        return CodePoints{{'\t', '\t'}};
      case 'f':
        return CodePoints{{'\f', '\f'}};
      default:
        break;
    }
    const auto point = static_cast<unsigned char>(c);
    if (point >= 0x80 || std::isalnum(point) != 0) return error("this escape cannot be kept");
    return CodePoints{{point, point}};
  }

  Result<ExprId> char_class() {
    const bool negated = take('^');
    CodePoints set;
    while (!take(']')) {
      if (!more()) return error("']' is missing");
      CodePoints low;
      if (take('\\')) {
        LATHE_TRY(low, escape());
      } else {
        LATHE_TRY(const char32_t c, character());
        low = {{c, c}};
      }
      const bool single = low.size() == 1 && low[0].first == low[0].second;
      if (single && more() && text_[at_] == '-' && at_ + 1 < text_.size() &&
          text_[at_ + 1] != ']') {
        ++at_;
        CodePoints high;
        if (take('\\')) {
          LATHE_TRY(high, escape());
        } else {
          LATHE_TRY(const char32_t c, character());
          high = {{c, c}};
        }
        if (high.size() != 1 || high[0].first < low[0].first)
          return error("the range runs backwards");
        low = {{low[0].first, high[0].second}};
      }
      set = united(std::move(set), low);
    }
    return json_.escaped(negated ? complement(set) : set);
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

  Result<ExprId> repetition(ExprId what) {
    std::uint32_t min = 1, max = 1;
    if (take('*')) {
      min = 0, max = kUnlimited;
    } else if (take('+')) {
      max = kUnlimited;
    } else if (take('?')) {
      min = 0;
    } else if (take('{')) {
      LATHE_TRY(min, number());
      max = min;
      if (take(',')) {
        max = kUnlimited;
        if (more() && text_[at_] != '}') {
          LATHE_TRY(max, number());
        }
      }
      if (!take('}')) return error("'}' is missing");
      if (max < min) return error("the repetition is empty");
    } else {
      return what;
    }
    // Lazy or greedy, the language is the same.
    take('?');
    return builder_.repeat(what, min, max);
  }

  std::string_view text_;
  JsonGrammar& json_;
  GrammarBuilder& builder_;
  std::size_t at_ = 0;
  std::size_t top_alternatives_ = 0;
};

Result<ExprId> JsonGrammar::pattern(std::string_view text) {
  return PatternParser(text, *this).run();
}

Program any_json_object() {
  GrammarBuilder builder;
  JsonGrammar json(builder);
  const RuleId root = builder.add_rule("root");
  builder.define(root, json.object());
  auto program = builder.compile(root);
  LATHE_CHECK(program.has_value());  // our own grammar
  return std::move(*program);
}

}  // namespace lathe::grammar
