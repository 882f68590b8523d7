// GBNF: `name ::= alternatives`, literals, classes, groups, repetitions, rule and token references.
// Newlines end a rule outside of groups, unless an alternative is open. Escapes: \n \r \t \\ \" \[
// \] \xXX \uXXXX \UXXXXXXXX.
#include <map>

#include "infer/constraints/grammar.h"
#include "infer/tokens/unicode.h"

namespace lathe::infer::grammar {
namespace {

constexpr int kMaxDepth = 100;  // of groups in groups
constexpr std::size_t kMaxSource = std::size_t{1} << 20;

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

class Parser {
 public:
  Parser(std::string_view source, const Tokenizer& tokenizer)
      : source_(source), tokenizer_(tokenizer) {}

  Result<Program> run() {
    if (source_.size() > kMaxSource) {
      return invalid("the grammar has {} bytes; {} are the most", source_.size(), kMaxSource);
    }
    skip(true);
    while (at_ < source_.size()) {
      LATHE_TRY_STATUS(rule());
      skip(true);
    }
    const auto root = rules_.find("root");
    if (root == rules_.end()) return invalid("there is no rule 'root' to start from");
    return builder_.compile(root->second);
  }

 private:
  std::unexpected<Error> error(std::string_view what) const {
    std::size_t line = 1, column = 1;
    for (std::size_t i = 0; i < at_ && i < source_.size(); ++i) {
      column = source_[i] == '\n' ? 1 : column + 1;
      line += source_[i] == '\n';
    }
    return invalid("line {}, column {}: {}", line, column, what);
  }

  bool more() const { return at_ < source_.size(); }
  char peek() const { return more() ? source_[at_] : '\0'; }
  bool take(std::string_view text) {
    if (!source_.substr(at_).starts_with(text)) return false;
    at_ += text.size();
    return true;
  }
  void skip(bool newlines) {
    while (more()) {
      const char c = peek();
      if (c == '#') {
        while (more() && peek() != '\n') ++at_;
      } else if (c == ' ' || c == '\t' || c == '\r' || (newlines && c == '\n')) {
        ++at_;
      } else {
        return;
      }
    }
  }

  std::string_view word() {
    const std::size_t start = at_;
    while (more() && is_word(peek())) ++at_;
    return source_.substr(start, at_ - start);
  }

  RuleId rule_named(std::string_view name) {
    const auto found = rules_.find(name);
    if (found != rules_.end()) return found->second;
    return rules_.emplace(std::string(name), builder_.add_rule(std::string(name))).first->second;
  }

  Status rule() {
    const std::string_view name = word();
    if (name.empty()) return error("a rule must start with its name");
    skip(false);
    if (!take("::=")) return error("'::=' is missing after the rule's name");
    const RuleId id = rule_named(name);
    if (builder_.defined(id)) return error(fmt::format("the rule '{}' is defined twice", name));
    skip(true);
    LATHE_TRY(const ExprId body, alternatives(0));
    builder_.define(id, body);
    if (more() && peek() != '\n') return error("a new line is expected after a rule");
    return {};
  }

  Result<ExprId> alternatives(int depth) {
    if (depth > kMaxDepth)
      return error(fmt::format("groups are nested more than {} deep", kMaxDepth));
    std::vector<ExprId> options;
    for (;;) {
      LATHE_TRY(const ExprId option, sequence(depth));
      options.push_back(option);
      skip(depth > 0);
      // A line that starts with '|' goes on with the rule.
      const std::size_t here = at_;
      skip(true);
      if (!take("|")) {
        at_ = here;
        return builder_.choice(std::move(options));
      }
      skip(true);
    }
  }

  Result<ExprId> sequence(int depth) {
    std::vector<ExprId> parts;
    for (;;) {
      skip(depth > 0);
      const char c = peek();
      if (!more() || c == '|' || c == ')' || c == '\n') return builder_.sequence(std::move(parts));
      LATHE_TRY(const ExprId part, item(depth));
      LATHE_TRY(const ExprId repeated, repetition(part));
      parts.push_back(repeated);
    }
  }

  Result<ExprId> item(int depth) {
    const char c = peek();
    if (c == '"') return literal();
    if (c == '[') return char_class();
    if (c == '<' || c == '!') return token();
    if (take(".")) return builder_.code_points(complement({}));
    if (take("(")) {
      skip(true);
      LATHE_TRY(const ExprId group, alternatives(depth + 1));
      skip(true);
      if (!take(")")) return error("')' is missing");
      return group;
    }
    const std::string_view name = word();
    if (name.empty()) return error(fmt::format("'{}' has no meaning here", c));
    return builder_.call(rule_named(name));
  }

  Result<std::uint32_t> number() {
    std::uint32_t value = 0;
    if (peek() < '0' || peek() > '9') return error("a number is expected");
    while (peek() >= '0' && peek() <= '9') {
      value = value * 10 + static_cast<std::uint32_t>(peek() - '0');
      ++at_;
      if (value > kMaxRepeat) return error(fmt::format("repetitions go up to {}", kMaxRepeat));
    }
    return value;
  }

  Result<ExprId> repetition(ExprId what) {
    if (take("*")) return builder_.repeat(what, 0, kUnlimited);
    if (take("+")) return builder_.repeat(what, 1, kUnlimited);
    if (take("?")) return builder_.repeat(what, 0, 1);
    if (!take("{")) return what;
    skip(false);
    LATHE_TRY(const std::uint32_t min, number());
    skip(false);
    std::uint32_t max = min;
    if (take(",")) {
      skip(false);
      max = kUnlimited;
      if (peek() != '}') {
        LATHE_TRY(max, number());
      }
      skip(false);
    }
    if (!take("}")) return error("'}' is missing");
    if (max < min) return error(fmt::format("{{{},{}}} is empty", min, max));
    return builder_.repeat(what, min, max);
  }

  Result<char32_t> hex(int digits) {
    char32_t value = 0;
    for (int i = 0; i < digits; ++i, ++at_) {
      const char c = peek();
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) return error(fmt::format("{} hexadecimal digits are expected", digits));
      value = value * 16 + static_cast<char32_t>(digit);
    }
    if (value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
      return error("this is no Unicode character");
    return value;
  }

  Result<char32_t> character() {
    if (take("\\")) {
      const char c = peek();
      ++at_;
      switch (c) {
        case 'n':
          return U'\n';
        case 'r':
          return U'\r';
        case 't':
          return U'\t';
        case '\\':
        case '"':
        case '[':
        case ']':
        case '-':
        case '^':
          return static_cast<char32_t>(c);
        case 'x':
          return hex(2);
        case 'u':
          return hex(4);
        case 'U':
          return hex(8);
        default:
          --at_;
          return error("this escape is unknown");
      }
    }
    const Character next = character_at(source_, at_);
    if (next.bytes == 0 || is_invalid(next)) return error("this is not UTF-8");
    at_ += next.bytes;
    return next.code;
  }

  Result<ExprId> literal() {
    take("\"");
    std::vector<ExprId> parts;
    while (!take("\"")) {
      if (!more() || peek() == '\n') return error("the closing '\"' is missing");
      LATHE_TRY(const char32_t c, character());
      parts.push_back(builder_.code_points({{c, c}}));
    }
    return builder_.sequence(std::move(parts));
  }

  Result<ExprId> char_class() {
    take("[");
    const bool negated = take("^");
    CodePoints ranges;
    while (!take("]")) {
      if (!more() || peek() == '\n') return error("the closing ']' is missing");
      LATHE_TRY(const char32_t low, character());
      char32_t high = low;
      if (peek() == '-' && at_ + 1 < source_.size() && source_[at_ + 1] != ']') {
        take("-");
        LATHE_TRY(high, character());
        if (high < low) return error("the range runs backwards");
      }
      ranges.emplace_back(low, high);
    }
    if (ranges.empty() && !negated) return error("an empty class fits nothing");
    ranges = normalize(std::move(ranges));
    return builder_.code_points(negated ? complement(ranges) : ranges);
  }

  // <[id]> or <text>, negated by a '!' in front.
  Result<ExprId> token() {
    const bool negated = take("!");
    if (peek() != '<') return error("'<' is expected after '!'");
    if (take("<[")) {
      std::uint32_t id = 0;
      if (peek() < '0' || peek() > '9') return error("a token id is expected");
      for (; peek() >= '0' && peek() <= '9'; ++at_) {
        id = id * 10 + static_cast<std::uint32_t>(peek() - '0');
        if (id >= tokenizer_.size())
          return error(fmt::format("the vocabulary has {} tokens", tokenizer_.size()));
      }
      if (!take("]>")) return error("']>' is missing");
      return builder_.token(id, negated);
    }
    const std::size_t end = source_.find('>', at_);
    if (end == std::string_view::npos) return error("'>' is missing");
    const std::string_view text = source_.substr(at_, end + 1 - at_);
    const TokenId id = tokenizer_.find(text);
    if (id == kNoToken) return error(fmt::format("'{}' is no token of this model", text));
    at_ = end + 1;
    return builder_.token(static_cast<std::uint32_t>(id), negated);
  }

  std::string_view source_;
  const Tokenizer& tokenizer_;
  std::size_t at_ = 0;
  GrammarBuilder builder_;
  std::map<std::string, RuleId, std::less<>> rules_;
};

}  // namespace

Result<Program> parse_gbnf(std::string_view source, const Tokenizer& tokenizer) {
  return Parser(source, tokenizer).run();
}

}  // namespace lathe::infer::grammar
