// Parses Mini-Python.
#include "loop/mini/parse.h"

#include <algorithm>
#include <optional>

#include "ground/base/text.h"

namespace lathe::loop {
namespace {

constexpr int kMaxDepth = 30;              // of brackets and of blocks: what is parsed by recursion
constexpr std::size_t kMaxBytes = 20'000;  // of a source

enum class TokenKind { kName, kNumber, kText, kMark, kEnd };
struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string text = {};  // a string's value, else as it stands
  std::int64_t number = 0;
};

struct Line {
  int number = 0;
  std::size_t indent = 0;
  std::vector<Token> tokens;  // the last is kEnd
};

template <class... Args>
std::unexpected<Error> syntax(fmt::format_string<Args...> format, Args&&... args) {
  return std::unexpected(
      Error{ErrorKind::kInvalid, fmt::format(format, std::forward<Args>(args)...), "SyntaxError"});
}

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

Result<std::size_t> lex_text(std::string_view line, std::size_t at, Token& token) {
  const char quote = line[at++];
  token.kind = TokenKind::kText;
  for (; at < line.size() && line[at] != quote; ++at) {
    if (line[at] != '\\') {
      token.text += line[at];
      continue;
    }
    if (++at == line.size()) break;
    const char c = line[at];
    const char meant = c == 'n' ? '\n' : c == 't' ? '\t' : c;
    if (meant == c && c != '\\' && c != '\'' && c != '"')
      return syntax("the escape \\{} is not supported", c);
    token.text += meant;
  }
  if (at >= line.size()) return syntax("the string has no end");
  return at + 1;
}

Result<std::size_t> lex_number(std::string_view line, std::size_t at, Token& token) {
  token.kind = TokenKind::kNumber;
  for (; at < line.size() && is_digit(line[at]); ++at) {
    token.text += line[at];
    if (__builtin_mul_overflow(token.number, 10, &token.number) ||
        __builtin_add_overflow(token.number, line[at] - '0', &token.number))
      return syntax("the number {}… is too large", token.text);
  }
  if (at < line.size() && (is_letter(line[at]) || line[at] == '.'))
    return syntax("only whole decimal numbers are supported");
  if (token.text.size() > 1 && token.text[0] == '0')
    return syntax("a number does not begin with 0");
  return at;
}

Result<std::vector<Token>> lex_line(std::string_view line) {
  constexpr std::string_view kMarks[] = {
      "//=", "==", "!=", "<=", ">=", "+=", "-=", "*=", "%=", "//", "(", ")",
      "[",   "]",  ",",  ":",  "+",  "-",  "*",  "%",  "<",  ">",  "=", "."};
  std::vector<Token> tokens;
  for (std::size_t at = 0; at < line.size();) {
    const char c = line[at];
    if (c == ' ') {
      ++at;
      continue;
    }
    if (c == '#') break;
    Token& token = tokens.emplace_back();
    if (is_letter(c)) {
      token.kind = TokenKind::kName;
      while (at < line.size() && (is_letter(line[at]) || is_digit(line[at])))
        token.text += line[at++];
    } else if (is_digit(c)) {
      LATHE_TRY(at, lex_number(line, at, token));
    } else if (c == '\'' || c == '"') {
      LATHE_TRY(at, lex_text(line, at, token));
    } else {
      const auto mark = std::ranges::find_if(
          kMarks, [&](std::string_view m) { return line.substr(at).starts_with(m); });
      if (mark == std::end(kMarks)) return syntax("'{}' is not supported", c);
      token.kind = TokenKind::kMark;
      token.text = *mark;
      at += mark->size();
    }
  }
  tokens.emplace_back();
  return tokens;
}

Result<std::vector<Line>> lex(std::string_view source) {
  if (source.size() > kMaxBytes) return syntax("the source is longer than {} bytes", kMaxBytes);
  for (const char c : source)
    if (static_cast<unsigned char>(c) >= 127 || (c < 32 && c != '\n'))
      return syntax("only printable ASCII is supported");
  std::vector<Line> lines;
  int number = 0;
  for (const std::string_view text : split_lines(source)) {
    ++number;
    auto tokens = lex_line(text);
    if (!tokens) return at(fmt::format("line {}", number), std::move(tokens).error());
    if (tokens->size() == 1) continue;
    lines.push_back({number, text.find_first_not_of(' '), *std::move(tokens)});
  }
  return lines;
}

struct FunctionName {
  std::string_view name;
  MiniFunction function;
  std::size_t min, max;  // arguments
};
constexpr std::size_t kAny = 1000;
constexpr FunctionName kBuiltins[] = {
    {"abs", MiniFunction::kAbs, 1, 1},       {"bool", MiniFunction::kBool, 1, 1},
    {"chr", MiniFunction::kChr, 1, 1},       {"int", MiniFunction::kInt, 1, 1},
    {"len", MiniFunction::kLen, 1, 1},       {"list", MiniFunction::kList, 1, 1},
    {"max", MiniFunction::kMax, 1, kAny},    {"min", MiniFunction::kMin, 1, kAny},
    {"ord", MiniFunction::kOrd, 1, 1},       {"range", MiniFunction::kRange, 1, 3},
    {"sorted", MiniFunction::kSorted, 1, 1}, {"str", MiniFunction::kStr, 1, 1},
    {"sum", MiniFunction::kSum, 1, 1},
};
constexpr FunctionName kMethods[] = {
    {"append", MiniFunction::kAppend, 1, 1},     {"count", MiniFunction::kCount, 1, 1},
    {"endswith", MiniFunction::kEndsWith, 1, 1}, {"find", MiniFunction::kFind, 1, 1},
    {"index", MiniFunction::kIndex, 1, 1},       {"isalpha", MiniFunction::kIsAlpha, 0, 0},
    {"isdigit", MiniFunction::kIsDigit, 0, 0},   {"islower", MiniFunction::kIsLower, 0, 0},
    {"isupper", MiniFunction::kIsUpper, 0, 0},   {"join", MiniFunction::kJoin, 1, 1},
    {"lower", MiniFunction::kLower, 0, 0},       {"pop", MiniFunction::kPop, 0, 1},
    {"replace", MiniFunction::kReplace, 2, 2},   {"startswith", MiniFunction::kStartsWith, 1, 1},
    {"upper", MiniFunction::kUpper, 0, 0},
};
constexpr std::string_view kKeywords[] = {
    "and",    "as",   "assert", "async",  "await",  "break",   "class",    "continue",
    "def",    "del",  "elif",   "else",   "except", "finally", "for",      "from",
    "global", "if",   "import", "in",     "is",     "lambda",  "nonlocal", "not",
    "or",     "pass", "raise",  "return", "try",    "while",   "with",     "yield"};

const FunctionName* find_function(std::span<const FunctionName> table, std::string_view name) {
  const auto found = std::ranges::find(table, name, &FunctionName::name);
  return found == table.end() ? nullptr : &*found;
}

struct BinaryMark {
  std::string_view mark;
  MiniOperator operation;
};
constexpr BinaryMark kComparisons[] = {
    {"==", MiniOperator::kEqual},  {"!=", MiniOperator::kNotEqual},
    {"<", MiniOperator::kLess},    {"<=", MiniOperator::kLessEqual},
    {">", MiniOperator::kGreater}, {">=", MiniOperator::kGreaterEqual},
    {"in", MiniOperator::kIn}};
constexpr BinaryMark kSums[] = {{"+", MiniOperator::kAdd}, {"-", MiniOperator::kSubtract}};
constexpr BinaryMark kProducts[] = {
    {"*", MiniOperator::kMultiply}, {"//", MiniOperator::kDivide}, {"%", MiniOperator::kModulo}};

MiniExpression make(MiniExpression::Kind kind) {
  MiniExpression node;
  node.kind = kind;
  return node;
}

// Recursive descent over the tokens of one line after the other. Errors carry no line: lines() and
// block() put it before them.
class Parser {
 public:
  using Kind = MiniExpression::Kind;
  using Expression = Result<MiniExpression>;

  explicit Parser(std::vector<Line> lines, bool names) : lines_(std::move(lines)), names_(names) {}

  Result<MiniDefinition> definition();
  Result<std::vector<MiniExpression>> expressions();

 private:
  const Token& token() const { return lines_[line_].tokens[token_]; }
  bool at_end() const { return token().kind == TokenKind::kEnd; }
  bool is(std::string_view text) const {
    return token().text == text &&
           (token().kind == TokenKind::kMark || token().kind == TokenKind::kName);
  }
  bool take(std::string_view text) {
    if (!is(text)) return false;
    ++token_;
    return true;
  }
  std::unexpected<Error> wanted(std::string_view what) const {
    return at_end() ? syntax("{} is missing at the end of the line", what)
                    : syntax("{} is missing before '{}'", what, clip_utf8(token().text, 20));
  }
  Status need(std::string_view text) {
    if (take(text)) return {};
    return wanted(fmt::format("'{}'", text));
  }
  Result<std::string> name(bool assigned);
  std::size_t slot_of(const std::string& name);

  Status header();
  Status opened(std::vector<MiniStatement>& into, std::size_t indent, int depth);
  Status block(std::vector<MiniStatement>& into, std::size_t indent, int depth);
  Status statement(std::vector<MiniStatement>& into, int depth);
  Status branch(MiniStatement& out, std::size_t indent, int depth);
  Status simple(MiniStatement& out);
  Status assignment(MiniStatement& out);

  Expression expression() {
    if (depth_ == kMaxDepth) return syntax("the expression is nested too deeply");
    ++depth_;
    auto node = conditional();
    --depth_;
    return node;
  }
  Expression conditional();
  Expression disjunction();
  Expression conjunction();
  Expression negation();
  Expression comparison();
  template <class Next>
  Expression chain(std::span<const BinaryMark> marks, const Next& next);
  Expression sum() {
    return chain(kSums, [this] { return chain(kProducts, [this] { return unary(); }); });
  }
  Expression unary();
  Expression postfix();
  Expression subscript(MiniExpression of);
  Expression method(MiniExpression of);
  Expression atom();
  Expression called(const std::string& name);
  Status arguments(MiniExpression& call, const FunctionName& function);
  Expression iterable();
  Status items(std::string_view close, std::vector<MiniExpression>& into);

  std::vector<Line> lines_;
  bool names_;
  bool range_allowed_ = false;
  std::size_t line_ = 0, token_ = 0;
  int depth_ = 0;
  int loops_ = 0;
  MiniDefinition out_;
};

Result<std::string> Parser::name(bool assigned) {
  if (token().kind != TokenKind::kName ||
      std::ranges::find(kKeywords, token().text) != std::end(kKeywords))
    return wanted("a name");
  const std::string name = token().text;
  if (name == "True" || name == "False" || name == "None" || find_function(kBuiltins, name))
    return syntax("'{}' is Python's own name", name);
  ++token_;
  const std::size_t slot = slot_of(name);
  if (assigned) out_.assigned[slot] = true;
  return name;
}

std::size_t Parser::slot_of(const std::string& name) {
  const auto found = std::ranges::find(out_.names, name);
  if (found != out_.names.end()) return static_cast<std::size_t>(found - out_.names.begin());
  out_.names.push_back(name);
  out_.assigned.push_back(false);
  return out_.names.size() - 1;
}

Status Parser::header() {
  if (lines_[0].indent != 0) return syntax("'def' stands at the beginning of its line");
  LATHE_TRY_STATUS(need("def"));
  if (token().kind != TokenKind::kName) return wanted("the function's name");
  out_.name = token().text;
  ++token_;
  LATHE_TRY_STATUS(need("("));
  while (!take(")")) {
    if (out_.parameters > 0) LATHE_TRY_STATUS(need(","));
    LATHE_TRY(const std::string parameter, name(true));
    if (out_.names.size() == out_.parameters) return syntax("'{}' is a parameter twice", parameter);
    ++out_.parameters;
  }
  LATHE_TRY_STATUS(need(":"));
  if (!at_end()) return syntax("a block stands on lines of its own");
  return {};
}

Result<MiniDefinition> Parser::definition() {
  if (lines_.empty()) return syntax("there is no function");
  Status status = header();
  if (status) status = opened(out_.body, 0, 0);
  if (status && line_ < lines_.size()) status = syntax("only one function is supported");
  if (!status) {
    const std::size_t line = std::min(line_, lines_.size() - 1);
    return at(fmt::format("line {}", lines_[line].number), std::move(status).error());
  }
  return std::move(out_);
}

// The block behind a ':': the next lines, deeper than `indent`.
Status Parser::opened(std::vector<MiniStatement>& into, std::size_t indent, int depth) {
  if (depth == kMaxDepth) return syntax("blocks are nested too deeply");
  ++line_;
  token_ = 0;
  if (line_ == lines_.size() || lines_[line_].indent <= indent)
    return syntax("an indented block is missing");
  return block(into, lines_[line_].indent, depth + 1);
}

Status Parser::block(std::vector<MiniStatement>& into, std::size_t indent, int depth) {
  while (line_ < lines_.size() && lines_[line_].indent >= indent) {
    if (lines_[line_].indent > indent) return syntax("the line is indented too far");
    LATHE_TRY_STATUS(statement(into, depth));
  }
  // A line further left must fit one of the blocks around it.
  return {};
}

Status Parser::statement(std::vector<MiniStatement>& into, int depth) {
  using Statement = MiniStatement::Kind;
  MiniStatement& out = into.emplace_back();
  const std::size_t indent = lines_[line_].indent;
  out.line = lines_[line_].number;
  token_ = 0;
  if (take("if")) return branch(out, indent, depth);
  const bool repeats = is("for") || is("while");
  if (take("for")) {
    out.kind = Statement::kFor;
    LATHE_TRY(const std::string variable, name(true));
    out.slot = slot_of(variable);
    LATHE_TRY_STATUS(need("in"));
    LATHE_TRY(out.value, iterable());
  } else if (take("while")) {
    out.kind = Statement::kWhile;
    LATHE_TRY(out.value, expression());
  }
  if (repeats) {
    LATHE_TRY_STATUS(need(":"));
    if (!at_end()) return syntax("a block stands on lines of its own");
    ++loops_;
    LATHE_TRY_STATUS(opened(out.body, indent, depth));
    --loops_;
    return {};
  }
  LATHE_TRY_STATUS(simple(out));
  if (!at_end()) return syntax("'{}' is not expected here", clip_utf8(token().text, 20));
  ++line_;
  token_ = 0;
  return {};
}

// Behind 'if' or 'elif'.
Status Parser::branch(MiniStatement& out, std::size_t indent, int depth) {
  out.kind = MiniStatement::Kind::kIf;
  LATHE_TRY(out.value, expression());
  LATHE_TRY_STATUS(need(":"));
  if (!at_end()) return syntax("a block stands on lines of its own");
  LATHE_TRY_STATUS(opened(out.body, indent, depth));
  if (line_ == lines_.size() || lines_[line_].indent != indent) return {};
  if (take("elif")) {
    if (depth == kMaxDepth) return syntax("blocks are nested too deeply");
    MiniStatement& other = out.other.emplace_back();
    other.line = lines_[line_].number;
    return branch(other, indent, depth + 1);
  }
  if (take("else")) {
    LATHE_TRY_STATUS(need(":"));
    if (!at_end()) return syntax("a block stands on lines of its own");
    return opened(out.other, indent, depth);
  }
  return {};
}

Status Parser::simple(MiniStatement& out) {
  using Statement = MiniStatement::Kind;
  if (take("return")) {
    out.kind = Statement::kReturn;
    if (at_end()) return {};
    LATHE_TRY(out.value, expression());
    return {};
  }
  if (take("pass")) return {};
  if (is("break") || is("continue")) {
    out.kind = is("break") ? Statement::kBreak : Statement::kContinue;
    if (loops_ == 0) return syntax("'{}' is outside a loop", token().text);
    ++token_;
    return {};
  }
  return assignment(out);
}

Status Parser::assignment(MiniStatement& out) {
  LATHE_TRY(MiniExpression left, expression());
  constexpr BinaryMark kAugmented[] = {{"+=", MiniOperator::kAdd},
                                       {"-=", MiniOperator::kSubtract},
                                       {"*=", MiniOperator::kMultiply},
                                       {"//=", MiniOperator::kDivide},
                                       {"%=", MiniOperator::kModulo}};
  const auto augmented =
      std::ranges::find_if(kAugmented, [&](const BinaryMark& m) { return is(m.mark); });
  if (augmented != std::end(kAugmented)) {
    out.augmented = true;
    out.operation = augmented->operation;
  } else if (!is("=")) {
    out.kind = MiniStatement::Kind::kEvaluate;
    out.value = std::move(left);
    return {};
  }
  ++token_;
  if (left.kind != Kind::kName && left.kind != Kind::kItem)
    return syntax("only a name or an item can be assigned to");
  if (left.kind == Kind::kName) out_.assigned[left.slot] = true;
  out.kind = MiniStatement::Kind::kAssign;
  out.target = std::move(left);
  LATHE_TRY(out.value, expression());
  return {};
}

Parser::Expression Parser::conditional() {
  LATHE_TRY(MiniExpression first, disjunction());
  if (!take("if")) return first;
  MiniExpression node = make(Kind::kConditional);
  node.parts.push_back(std::move(first));
  LATHE_TRY(node.parts.emplace_back(), disjunction());
  LATHE_TRY_STATUS(need("else"));
  LATHE_TRY(node.parts.emplace_back(), expression());
  return node;
}

Parser::Expression Parser::disjunction() {
  LATHE_TRY(MiniExpression left, conjunction());
  while (take("or")) {
    MiniExpression node = make(Kind::kOr);
    node.parts.push_back(std::move(left));
    LATHE_TRY(node.parts.emplace_back(), conjunction());
    left = std::move(node);
  }
  return left;
}

Parser::Expression Parser::conjunction() {
  LATHE_TRY(MiniExpression left, negation());
  while (take("and")) {
    MiniExpression node = make(Kind::kAnd);
    node.parts.push_back(std::move(left));
    LATHE_TRY(node.parts.emplace_back(), negation());
    left = std::move(node);
  }
  return left;
}

Parser::Expression Parser::negation() {
  if (!take("not")) return comparison();
  if (is("not")) return syntax("'not not' is not supported");
  MiniExpression node = make(Kind::kNot);
  LATHE_TRY(node.parts.emplace_back(), comparison());
  return node;
}

Parser::Expression Parser::comparison() {
  LATHE_TRY(MiniExpression left, sum());
  const auto operation = [&]() -> std::optional<MiniOperator> {
    if (is("not")) return MiniOperator::kNotIn;
    for (const BinaryMark& mark : kComparisons)
      if (is(mark.mark)) return mark.operation;
    return std::nullopt;
  };
  const auto found = operation();
  if (!found) return left;
  ++token_;
  if (*found == MiniOperator::kNotIn) LATHE_TRY_STATUS(need("in"));
  MiniExpression node = make(Kind::kBinary);
  node.operation = *found;
  node.parts.push_back(std::move(left));
  LATHE_TRY(node.parts.emplace_back(), sum());
  if (operation()) return syntax("comparisons are not chained here");
  return node;
}

template <class Next>
Parser::Expression Parser::chain(std::span<const BinaryMark> marks, const Next& next) {
  LATHE_TRY(MiniExpression left, next());
  for (int length = 0;; ++length) {
    const auto mark = std::ranges::find_if(marks, [&](const BinaryMark& m) { return is(m.mark); });
    if (mark == marks.end()) return left;
    if (length == kMaxDepth) return syntax("the expression is too long");  // it nests to the left
    ++token_;
    MiniExpression node = make(Kind::kBinary);
    node.operation = mark->operation;
    node.parts.push_back(std::move(left));
    LATHE_TRY(node.parts.emplace_back(), next());
    left = std::move(node);
  }
}

Parser::Expression Parser::unary() {
  if (!take("-")) return postfix();
  if (is("-")) return syntax("'--' is not supported");
  MiniExpression node = make(Kind::kNegative);
  LATHE_TRY(node.parts.emplace_back(), postfix());
  return node;
}

Parser::Expression Parser::postfix() {
  LATHE_TRY(MiniExpression node, atom());
  for (int length = 0;; ++length) {
    if (length == kMaxDepth) return syntax("the expression is too long");
    if (take("[")) {
      LATHE_TRY(node, subscript(std::move(node)));
    } else if (take(".")) {
      LATHE_TRY(node, method(std::move(node)));
    } else {
      return node;
    }
  }
}

Parser::Expression Parser::subscript(MiniExpression of) {
  MiniExpression node = make(Kind::kSlice);
  node.parts.push_back(std::move(of));
  for (int part = 0; part < 3; ++part) {
    MiniExpression& at = node.parts.emplace_back();  // None
    if (!is(":") && !is("]")) {
      LATHE_TRY(at, expression());
    }
    if (take("]")) {
      if (part == 0 && at.kind == Kind::kLiteral && at.value.is_none())
        return syntax("an index is missing");
      if (part == 0) node.kind = Kind::kItem;
      while (node.kind == Kind::kSlice && node.parts.size() < 4) node.parts.emplace_back();
      return node;
    }
    if (part == 2) break;
    LATHE_TRY_STATUS(need(":"));
  }
  return wanted("']'");
}

// What 'for' and list() take: range() stands nowhere else, so that no value is a range.
Parser::Expression Parser::iterable() {
  range_allowed_ = is("range");
  const bool range = range_allowed_;
  LATHE_TRY(MiniExpression node, expression());
  if (range && (node.kind != Kind::kCall || node.function != MiniFunction::kRange))
    return syntax("range() stands alone behind 'in' and in list()");
  return node;
}

Status Parser::items(std::string_view close, std::vector<MiniExpression>& into) {
  for (bool first = true; !take(close); first = false) {
    if (!first) LATHE_TRY_STATUS(need(","));
    if (into.size() == kAny) return syntax("the list is too long");
    LATHE_TRY(into.emplace_back(), expression());
  }
  return {};
}

Status Parser::arguments(MiniExpression& call, const FunctionName& function) {
  call.function = function.function;
  const std::size_t before = call.parts.size();
  LATHE_TRY_STATUS(need("("));
  if (function.function == MiniFunction::kList && !is(")")) {
    LATHE_TRY(call.parts.emplace_back(), iterable());
    LATHE_TRY_STATUS(need(")"));
  } else {
    LATHE_TRY_STATUS(items(")", call.parts));
  }
  const std::size_t count = call.parts.size() - before;
  if (count < function.min || count > function.max)
    return syntax("{}() is not called with {} argument(s) here", function.name, count);
  return {};
}

Parser::Expression Parser::method(MiniExpression of) {
  const FunctionName* function =
      token().kind == TokenKind::kName ? find_function(kMethods, token().text) : nullptr;
  if (!function) return syntax("the method '{}' is not supported", clip_utf8(token().text, 20));
  ++token_;
  MiniExpression node = make(Kind::kMethod);
  node.parts.push_back(std::move(of));
  LATHE_TRY_STATUS(arguments(node, *function));
  return node;
}

Parser::Expression Parser::called(const std::string& name) {
  const FunctionName* function = find_function(kBuiltins, name);
  if (!function) return syntax("the function '{}' is not supported", clip_utf8(name, 20));
  if (function->function == MiniFunction::kRange && !std::exchange(range_allowed_, false))
    return syntax("range() stands alone behind 'in' and in list()");
  MiniExpression node = make(Kind::kCall);
  LATHE_TRY_STATUS(arguments(node, *function));
  return node;
}

Parser::Expression Parser::atom() {
  const Token& first = token();
  MiniExpression node;
  if (first.kind == TokenKind::kNumber || first.kind == TokenKind::kText) {
    if (first.kind == TokenKind::kNumber) node.value.data = first.number;
    if (first.kind == TokenKind::kText) node.value.data = first.text;
    ++token_;
    if (token().kind == TokenKind::kText && first.kind == TokenKind::kText)
      return syntax("two strings in a row are not supported");
    return node;
  }
  if (take("(")) {
    LATHE_TRY(node, expression());
    LATHE_TRY_STATUS(need(")"));
    return node;
  }
  if (take("[")) {
    node = make(Kind::kList);
    LATHE_TRY_STATUS(items("]", node.parts));
    return node;
  }
  if (is("None") || is("True") || is("False")) {
    if (!is("None")) node.value.data = is("True");
    ++token_;
    return node;
  }
  if (first.kind == TokenKind::kName && lines_[line_].tokens[token_ + 1].text == "(" &&
      lines_[line_].tokens[token_ + 1].kind == TokenKind::kMark &&
      std::ranges::find(kKeywords, first.text) == std::end(kKeywords)) {
    ++token_;
    return called(first.text);
  }
  if (!names_) return wanted("a value");
  LATHE_TRY(const std::string variable, name(false));
  node = make(Kind::kName);
  node.slot = slot_of(variable);
  return node;
}

Result<std::vector<MiniExpression>> Parser::expressions() {
  if (lines_.size() != 1) return syntax("one line is wanted");
  std::vector<MiniExpression> all;
  for (bool first = true; !at_end(); first = false) {
    if (!first) LATHE_TRY_STATUS(need(","));
    LATHE_TRY(all.emplace_back(), expression());
  }
  return all;
}

}  // namespace

Result<MiniDefinition> parse_mini_definition(std::string_view source) {
  LATHE_TRY(std::vector<Line> lines, lex(source));
  return Parser(std::move(lines), true).definition();
}

Result<std::vector<MiniExpression>> parse_mini_expressions(std::string_view text) {
  LATHE_TRY(std::vector<Line> lines, lex(text));
  return Parser(std::move(lines), false).expressions();
}

}  // namespace lathe::loop
