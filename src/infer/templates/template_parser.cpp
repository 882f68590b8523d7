// Jinja's grammar (its precedences and its odd corners: a filter binds tighter than a sign, a test
// takes one argument without parentheses), by recursive descent with a bound.
#include <charconv>

#include "infer/templates/template_ast.h"

namespace lathe::infer {
namespace {

using Token = TemplateToken;
using Kind = TemplateTokenKind;

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  Result<TemplateBlock> run() {
    LATHE_TRY(TemplateBlock block, body({}));
    if (peek().kind != Kind::kEnd)
      return template_error(peek().place, fmt::format("'{}' closes nothing", peek(1).text));
    return block;
  }

 private:
  // Held while something nested is parsed.
  class Nested {
   public:
    explicit Nested(int& depth) : depth_(++depth) {}
    Nested(const Nested&) = delete;
    Nested& operator=(const Nested&) = delete;
    ~Nested() { --depth_; }
    bool too_deep() const { return depth_ > kMaxTemplateDepth; }

   private:
    int& depth_;
  };
  std::unexpected<Error> too_deep() const {
    return template_error(peek().place,
                          fmt::format("nested more than {} levels deep", kMaxTemplateDepth));
  }

  const Token& peek(std::size_t ahead = 0) const {
    return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
  }
  Token next() {
    Token token = peek();
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  bool sees_sign(std::string_view sign) const {
    return peek().kind == Kind::kSign && peek().text == sign;
  }
  bool sees_name(std::string_view name) const {
    return peek().kind == Kind::kName && peek().text == name;
  }
  bool skip_sign(std::string_view sign) {
    const bool there = sees_sign(sign);
    if (there) ++at_;
    return there;
  }
  bool skip_name(std::string_view name) {
    const bool there = sees_name(name);
    if (there) ++at_;
    return there;
  }
  static std::string shown(const Token& token) {
    switch (token.kind) {
      case Kind::kPrintEnd:
        return "'}}'";
      case Kind::kBlockEnd:
        return "'%}'";
      case Kind::kEnd:
        return "the end";
      default:
        return fmt::format("'{}'", token.text);
    }
  }
  std::unexpected<Error> unexpected_token(std::string_view wanted) const {
    return template_error(peek().place,
                          fmt::format("{} is expected, not {}", wanted, shown(peek())));
  }
  Status expect_sign(std::string_view sign) {
    if (skip_sign(sign)) return {};
    return unexpected_token(fmt::format("'{}'", sign));
  }
  Result<std::string> expect_name(std::string_view what) {
    if (peek().kind != Kind::kName) return unexpected_token(what);
    return next().text;
  }
  Status expect_block_end() {
    if (peek().kind != Kind::kBlockEnd) return unexpected_token("'%}'");
    next();
    return {};
  }

  static std::unique_ptr<Statement> statement_of(StatementKind kind, TemplatePlace place) {
    auto out = std::make_unique<Statement>();
    out->kind = kind;
    out->place = place;
    return out;
  }
  static ExpressionPtr expression_of(ExpressionKind kind, TemplatePlace place) {
    auto out = std::make_unique<Expression>();
    out->kind = kind;
    out->place = place;
    return out;
  }

  static ExpressionPtr text_literal(std::string text, TemplatePlace place) {
    ExpressionPtr out = expression_of(ExpressionKind::kLiteral, place);
    out->literal_text = MarkedText(std::move(text), false);
    out->literal = Value::of(ValueKind::kText);
    out->literal.text = &out->literal_text;
    return out;
  }

  // Statements up to a tag with one of these names, which is not taken.
  Result<TemplateBlock> body(const std::vector<std::string_view>& ends) {
    const Nested nested(depth_);
    if (nested.too_deep()) return too_deep();
    TemplateBlock block;
    for (;;) {
      const Token& token = peek();
      if (token.kind == Kind::kEnd) {
        if (ends.empty()) return block;
        return unexpected_token(fmt::format("'{}'", ends.back()));
      }
      if (token.kind == Kind::kText) {
        auto text = statement_of(StatementKind::kText, token.place);
        text->text = next().text;
        block.push_back(std::move(text));
      } else if (token.kind == Kind::kPrintBegin) {
        next();
        auto print = statement_of(StatementKind::kPrint, peek().place);
        LATHE_TRY(print->value, tuple_or_expression());
        if (peek().kind != Kind::kPrintEnd) return unexpected_token("'}}'");
        next();
        block.push_back(std::move(print));
      } else {
        const std::string& name = peek(1).text;
        if (peek(1).kind != Kind::kName) {
          next();
          return unexpected_token("a statement");
        }
        if (std::ranges::find(ends, name) != ends.end() || is_end(name)) return block;
        next();
        LATHE_TRY(auto statement, this->statement());
        block.push_back(std::move(statement));
      }
    }
  }

  static bool is_end(std::string_view name) {
    return name.starts_with("end") || name == "else" || name == "elif";
  }

  Status close(std::string_view name) {
    if (peek().kind != Kind::kBlockBegin || peek(1).text != name) {
      if (peek().kind == Kind::kBlockBegin) next();
      return unexpected_token(fmt::format("'{}'", name));
    }
    next();
    next();
    return expect_block_end();
  }

  Result<std::unique_ptr<Statement>> statement() {
    const Token name = next();
    if (name.text == "if") return if_statement(name.place);
    if (name.text == "for") return for_statement(name.place);
    if (name.text == "set") return set_statement(name.place);
    if (name.text == "macro") return macro_statement(name.place);
    if (name.text == "call") return call_statement(name.place);
    if (name.text == "filter") return filter_statement(name.place);
    if (name.text == "generation") {
      auto out = statement_of(StatementKind::kBody, name.place);
      LATHE_TRY_STATUS(expect_block_end());
      LATHE_TRY(out->body, body({"endgeneration"}));
      LATHE_TRY_STATUS(close("endgeneration"));
      return out;
    }
    if (name.text == "break" || name.text == "continue") {
      if (loops_ == 0)
        return template_error(name.place, fmt::format("'{}' outside of a loop", name.text));
      LATHE_TRY_STATUS(expect_block_end());
      return statement_of(name.text == "break" ? StatementKind::kBreak : StatementKind::kContinue,
                          name.place);
    }
    return template_error(
        name.place,
        fmt::format("'{}' is no statement of chat templates (if, for, set, macro, call, filter, "
                    "generation, break, continue, raw)",
                    name.text));
  }

  Result<std::unique_ptr<Statement>> if_statement(TemplatePlace place) {
    auto out = statement_of(StatementKind::kIf, place);
    for (;;) {
      TemplateBranch branch;
      LATHE_TRY(branch.condition, tuple_or_expression());
      LATHE_TRY_STATUS(expect_block_end());
      LATHE_TRY(branch.body, body({"elif", "else", "endif"}));
      out->branches.push_back(std::move(branch));
      if (peek(1).text != "elif") break;
      next();
      next();
    }
    if (peek(1).text == "else") {
      LATHE_TRY_STATUS(close("else"));
      TemplateBranch branch;
      LATHE_TRY(branch.body, body({"endif"}));
      out->branches.push_back(std::move(branch));
    }
    LATHE_TRY_STATUS(close("endif"));
    return out;
  }

  // A name, names with commas between them, or (for set) the attribute of a namespace.
  Result<ExpressionPtr> target(bool attribute) {
    const Nested nested(depth_);
    if (nested.too_deep()) return too_deep();
    const auto one = [&]() -> Result<ExpressionPtr> {
      if (skip_sign("(")) {
        LATHE_TRY(auto inner, target(false));
        LATHE_TRY_STATUS(expect_sign(")"));
        return inner;
      }
      auto name = expression_of(ExpressionKind::kName, peek().place);
      LATHE_TRY(name->text, expect_name("a name to assign to"));
      if (!attribute || !skip_sign(".")) return name;
      auto member = expression_of(ExpressionKind::kAttribute, name->place);
      LATHE_TRY(member->text, expect_name("an attribute"));
      member->operands.push_back(std::move(name));
      return member;
    };
    LATHE_TRY(auto first, one());
    if (!sees_sign(",")) return first;
    auto tuple = expression_of(ExpressionKind::kTuple, first->place);
    tuple->operands.push_back(std::move(first));
    while (skip_sign(",")) {
      if (peek().kind != Kind::kName && !sees_sign("(")) break;
      LATHE_TRY(auto another, one());
      tuple->operands.push_back(std::move(another));
    }
    return tuple;
  }

  Result<std::unique_ptr<Statement>> for_statement(TemplatePlace place) {
    auto out = statement_of(StatementKind::kFor, place);
    LATHE_TRY(out->target, target(false));
    if (!skip_name("in")) return unexpected_token("'in'");
    LATHE_TRY(out->value, tuple_of([&] { return or_expression(); }));
    if (skip_name("if")) {
      LATHE_TRY(out->filter, expression());
    }
    if (sees_name("recursive"))
      return template_error(peek().place, "recursive loops are not supported");
    LATHE_TRY_STATUS(expect_block_end());
    ++loops_;
    LATHE_TRY(out->body, body({"else", "endfor"}));
    --loops_;
    if (peek(1).text == "else") {
      LATHE_TRY_STATUS(close("else"));
      LATHE_TRY(out->otherwise, body({"endfor"}));
    }
    LATHE_TRY_STATUS(close("endfor"));
    return out;
  }

  Result<std::unique_ptr<Statement>> set_statement(TemplatePlace place) {
    auto out = statement_of(StatementKind::kSet, place);
    LATHE_TRY(out->target, target(true));
    if (skip_sign("=")) {
      LATHE_TRY(out->value, tuple_or_expression());
      LATHE_TRY_STATUS(expect_block_end());
      return out;
    }
    out->kind = StatementKind::kSetBlock;
    LATHE_TRY(out->filter, body_filter());
    LATHE_TRY_STATUS(expect_block_end());
    LATHE_TRY(out->body, body({"endset"}));
    LATHE_TRY_STATUS(close("endset"));
    return out;
  }

  // "| a | b": filters of a body that is not there yet, whose place an empty text keeps. Null:
  // none.
  Result<ExpressionPtr> body_filter() {
    if (!sees_sign("|")) return nullptr;
    next();
    return filters_of_body();
  }

  Result<ExpressionPtr> filters_of_body() {
    ExpressionPtr out = text_literal("", peek().place);
    int links = depth_;
    do {
      if (++links > kMaxTemplateDepth) return too_deep();
      LATHE_TRY(out, filter(std::move(out)));
    } while (skip_sign("|"));
    return out;
  }

  Result<std::unique_ptr<Statement>> filter_statement(TemplatePlace place) {
    auto out = statement_of(StatementKind::kFilter, place);
    LATHE_TRY(out->filter, filters_of_body());
    LATHE_TRY_STATUS(expect_block_end());
    LATHE_TRY(out->body, body({"endfilter"}));
    LATHE_TRY_STATUS(close("endfilter"));
    return out;
  }

  Status parameters(Statement& out) {
    LATHE_TRY_STATUS(expect_sign("("));
    while (!skip_sign(")")) {
      if (!out.parameters.empty()) LATHE_TRY_STATUS(expect_sign(","));
      if (skip_sign(")")) break;
      TemplateParameter parameter;
      LATHE_TRY(parameter.name, expect_name("a parameter"));
      if (skip_sign("=")) {
        LATHE_TRY(parameter.fallback, expression());
      }
      out.parameters.push_back(std::move(parameter));
    }
    return {};
  }

  // break and continue do not leave a macro.
  Status macro_body(Statement& out, std::string_view end) {
    const int loops = std::exchange(loops_, 0);
    LATHE_TRY(out.body, body({end}));
    loops_ = loops;
    return close(end);
  }

  Result<std::unique_ptr<Statement>> macro_statement(TemplatePlace place) {
    auto out = statement_of(StatementKind::kMacro, place);
    LATHE_TRY(out->text, expect_name("the macro's name"));
    LATHE_TRY_STATUS(parameters(*out));
    LATHE_TRY_STATUS(expect_block_end());
    LATHE_TRY_STATUS(macro_body(*out, "endmacro"));
    return out;
  }

  Result<std::unique_ptr<Statement>> call_statement(TemplatePlace place) {
    auto out = statement_of(StatementKind::kCall, place);
    if (sees_sign("(")) LATHE_TRY_STATUS(parameters(*out));
    LATHE_TRY(out->value, expression());
    if (out->value->kind != ExpressionKind::kCall)
      return template_error(place, "'call' is to be followed by the call of a macro");
    LATHE_TRY_STATUS(expect_block_end());
    LATHE_TRY_STATUS(macro_body(*out, "endcall"));
    return out;
  }

  template <class Item>
  Result<ExpressionPtr> tuple_of(const Item& item) {
    LATHE_TRY(ExpressionPtr first, item());
    if (!sees_sign(",")) return first;
    ExpressionPtr tuple = expression_of(ExpressionKind::kTuple, first->place);
    tuple->operands.push_back(std::move(first));
    while (skip_sign(",")) {
      if (peek().kind == Kind::kBlockEnd || peek().kind == Kind::kPrintEnd || sees_sign(")") ||
          sees_name("if"))
        break;
      LATHE_TRY(ExpressionPtr another, item());
      tuple->operands.push_back(std::move(another));
    }
    return tuple;
  }
  Result<ExpressionPtr> tuple_or_expression() {
    return tuple_of([&] { return expression(); });
  }

  Result<ExpressionPtr> expression() {
    const Nested nested(depth_);
    if (nested.too_deep()) return too_deep();
    LATHE_TRY(ExpressionPtr out, or_expression());
    int conditions = 0;
    while (sees_name("if")) {
      if (++conditions > kMaxTemplateDepth) return too_deep();
      ExpressionPtr conditional = expression_of(ExpressionKind::kConditional, next().place);
      LATHE_TRY(ExpressionPtr condition, or_expression());
      ExpressionPtr otherwise;
      if (skip_name("else")) {
        LATHE_TRY(otherwise, expression());
      }
      conditional->operands.push_back(std::move(condition));
      conditional->operands.push_back(std::move(out));
      conditional->operands.push_back(std::move(otherwise));
      out = std::move(conditional);
    }
    return out;
  }

  // Operands of one kind with the same word or one of a few signs between them.
  template <class Operand, class Separator>
  Result<ExpressionPtr> chain(ExpressionKind kind, const Operand& operand,
                              const Separator& separator) {
    LATHE_TRY(ExpressionPtr first, operand());
    std::string_view sign = separator();
    if (sign.empty()) return first;
    ExpressionPtr out = expression_of(kind, first->place);
    out->operands.push_back(std::move(first));
    for (; !sign.empty(); sign = separator()) {
      out->signs.push_back(sign);
      LATHE_TRY(ExpressionPtr another, operand());
      out->operands.push_back(std::move(another));
    }
    return out;
  }
  std::string_view one_of(std::initializer_list<std::string_view> signs) {
    for (const std::string_view sign : signs)
      if (skip_sign(sign)) return sign;
    return {};
  }

  Result<ExpressionPtr> or_expression() {
    return chain(
        ExpressionKind::kOr, [&] { return and_expression(); },
        [&] { return skip_name("or") ? std::string_view("or") : std::string_view(); });
  }
  Result<ExpressionPtr> and_expression() {
    return chain(
        ExpressionKind::kAnd, [&] { return not_expression(); },
        [&] { return skip_name("and") ? std::string_view("and") : std::string_view(); });
  }
  Result<ExpressionPtr> not_expression() {
    const TemplatePlace place = peek().place;
    bool negated = false, any = false;
    while (skip_name("not")) {
      negated = !negated;
      any = true;
    }
    LATHE_TRY(ExpressionPtr out, comparison());
    // "not not x" is a boolean as well.
    for (int i = 0; any && i < (negated ? 1 : 2); ++i) {
      ExpressionPtr inverse = expression_of(ExpressionKind::kNot, place);
      inverse->operands.push_back(std::move(out));
      out = std::move(inverse);
    }
    return out;
  }
  Result<ExpressionPtr> comparison() {
    return chain(
        ExpressionKind::kComparisons, [&] { return sum(); },
        [&]() -> std::string_view {
          if (skip_name("in")) return "in";
          if (sees_name("not") && peek(1).kind == Kind::kName && peek(1).text == "in") {
            at_ += 2;
            return "not in";
          }
          return one_of({"==", "!=", ">=", "<=", ">", "<"});
        });
  }
  Result<ExpressionPtr> sum() {
    return chain(
        ExpressionKind::kSigns, [&] { return concatenation(); },
        [&] {
          return one_of({"+", "-"});
        });
  }
  Result<ExpressionPtr> concatenation() {
    return chain(
        ExpressionKind::kConcat, [&] { return product(); }, [&] { return one_of({"~"}); });
  }
  Result<ExpressionPtr> product() {
    return chain(
        ExpressionKind::kSigns, [&] { return power(); },
        [&] {
          return one_of({"*", "//", "/", "%"});
        });
  }
  Result<ExpressionPtr> power() {
    return chain(
        ExpressionKind::kSigns, [&] { return unary(true); }, [&] { return one_of({"**"}); });
  }

  Result<ExpressionPtr> unary(bool with_filters) {
    const Nested nested(depth_);
    if (nested.too_deep()) return too_deep();
    const TemplatePlace place = peek().place;
    ExpressionPtr out;
    if (sees_sign("-") || sees_sign("+")) {
      const bool negative = next().text == "-";
      LATHE_TRY(out, unary(false));
      if (negative) {
        ExpressionPtr inverse = expression_of(ExpressionKind::kNegative, place);
        inverse->operands.push_back(std::move(out));
        out = std::move(inverse);
      }
    } else {
      LATHE_TRY(out, primary());
    }
    return postfix(std::move(out), with_filters);
  }

  Result<ExpressionPtr> primary() {
    const Token token = peek();
    switch (token.kind) {
      case Kind::kName:
        return named(next());
      case Kind::kString: {
        std::string text;
        while (peek().kind == Kind::kString) text += next().text;
        return text_literal(std::move(text), token.place);
      }
      case Kind::kInteger:
      case Kind::kReal:
        return number(next());
      default:
        break;
    }
    if (skip_sign("(")) return parenthesis(token.place);
    if (skip_sign("[")) {
      ExpressionPtr out = expression_of(ExpressionKind::kList, token.place);
      while (!skip_sign("]")) {
        if (!out->operands.empty()) LATHE_TRY_STATUS(expect_sign(","));
        if (skip_sign("]")) break;
        LATHE_TRY(ExpressionPtr item, expression());
        out->operands.push_back(std::move(item));
      }
      return out;
    }
    if (skip_sign("{")) {
      ExpressionPtr out = expression_of(ExpressionKind::kDict, token.place);
      while (!skip_sign("}")) {
        if (!out->operands.empty()) LATHE_TRY_STATUS(expect_sign(","));
        if (skip_sign("}")) break;
        LATHE_TRY(ExpressionPtr key, expression());
        LATHE_TRY_STATUS(expect_sign(":"));
        LATHE_TRY(ExpressionPtr value, expression());
        out->operands.push_back(std::move(key));
        out->operands.push_back(std::move(value));
      }
      return out;
    }
    return unexpected_token("an expression");
  }

  Result<ExpressionPtr> parenthesis(TemplatePlace place) {
    if (skip_sign(")")) return expression_of(ExpressionKind::kTuple, place);
    LATHE_TRY(ExpressionPtr out, tuple_or_expression());
    LATHE_TRY_STATUS(expect_sign(")"));
    return out;
  }

  static Result<ExpressionPtr> named(Token token) {
    const auto literal = [&](const Value& value) {
      ExpressionPtr out = expression_of(ExpressionKind::kLiteral, token.place);
      out->literal = value;
      return out;
    };
    if (token.text == "true" || token.text == "True") return literal(Value::of(true));
    if (token.text == "false" || token.text == "False") return literal(Value::of(false));
    if (token.text == "none" || token.text == "None") return literal(Value::none());
    ExpressionPtr out = expression_of(ExpressionKind::kName, token.place);
    out->text = std::move(token.text);
    return out;
  }

  static Result<ExpressionPtr> number(const Token& token) {
    ExpressionPtr out = expression_of(ExpressionKind::kLiteral, token.place);
    const char* begin = token.text.data();
    const char* end = begin + token.text.size();
    std::errc error{};
    if (token.kind == Kind::kInteger) {
      std::int64_t value = 0;
      error = std::from_chars(begin, end, value).ec;
      out->literal = Value::of(value);
    } else {
      double value = 0;
      error = std::from_chars(begin, end, value).ec;
      out->literal = Value::of(value);
    }
    if (error != std::errc())
      return template_error(token.place, fmt::format("{} is out of range", token.text));
    return out;
  }

  // .attribute [item] (call) and, unless a sign stands before it, |filter and "is test"
  Result<ExpressionPtr> postfix(ExpressionPtr out, bool with_filters) {
    for (int links = 0;; ++links) {
      if (links + depth_ > kMaxTemplateDepth) return too_deep();
      const TemplatePlace place = peek().place;
      if (skip_sign(".")) {
        ExpressionPtr attribute = expression_of(ExpressionKind::kAttribute, place);
        if (peek().kind == Kind::kInteger) {
          attribute->kind = ExpressionKind::kItem;
          LATHE_TRY(ExpressionPtr index, number(next()));
          attribute->operands.push_back(std::move(out));
          attribute->operands.push_back(std::move(index));
        } else {
          LATHE_TRY(attribute->text, expect_name("an attribute"));
          attribute->operands.push_back(std::move(out));
        }
        out = std::move(attribute);
      } else if (skip_sign("[")) {
        LATHE_TRY(out, item(std::move(out), place));
      } else if (sees_sign("(")) {
        ExpressionPtr call = expression_of(ExpressionKind::kCall, place);
        call->operands.push_back(std::move(out));
        LATHE_TRY_STATUS(arguments(*call));
        out = std::move(call);
      } else if (with_filters && skip_sign("|")) {
        LATHE_TRY(out, filter(std::move(out)));
      } else if (with_filters && skip_name("is")) {
        LATHE_TRY(out, test(std::move(out), place));
      } else {
        return out;
      }
    }
  }

  Result<ExpressionPtr> item(ExpressionPtr of, TemplatePlace place) {
    ExpressionPtr out = expression_of(ExpressionKind::kItem, place);
    out->operands.push_back(std::move(of));
    ExpressionPtr parts[3];
    int count = 0;
    for (; count < 3; ++count) {
      if (!sees_sign(":") && !sees_sign("]")) {
        LATHE_TRY(parts[count], expression());
      }
      if (!skip_sign(":")) break;
    }
    LATHE_TRY_STATUS(expect_sign("]"));
    if (count == 0) {
      if (!parts[0]) return template_error(place, "an index is expected between '[' and ']'");
      out->operands.push_back(std::move(parts[0]));
      return out;
    }
    out->kind = ExpressionKind::kSlice;
    for (ExpressionPtr& part : parts) out->operands.push_back(std::move(part));
    return out;
  }

  Status arguments(Expression& call) {
    LATHE_TRY_STATUS(expect_sign("("));
    bool first = true;
    while (!skip_sign(")")) {
      if (!std::exchange(first, false)) LATHE_TRY_STATUS(expect_sign(","));
      if (skip_sign(")")) break;
      if (peek().kind == Kind::kName && peek(1).kind == Kind::kSign && peek(1).text == "=") {
        std::string name = next().text;
        next();
        LATHE_TRY(ExpressionPtr value, expression());
        call.named.emplace_back(std::move(name), std::move(value));
      } else {
        if (!call.named.empty()) return unexpected_token("a named argument");
        LATHE_TRY(ExpressionPtr value, expression());
        call.operands.push_back(std::move(value));
      }
    }
    return {};
  }

  Result<ExpressionPtr> filter(ExpressionPtr of) {
    ExpressionPtr out = expression_of(ExpressionKind::kFilter, peek().place);
    LATHE_TRY(out->text, expect_name("a filter"));
    out->filter = find_filter(out->text);
    if (out->filter == nullptr)
      return template_error(out->place, fmt::format("there is no filter '{}'", out->text));
    out->operands.push_back(std::move(of));
    if (sees_sign("(")) LATHE_TRY_STATUS(arguments(*out));
    return out;
  }

  Result<ExpressionPtr> test(ExpressionPtr of, TemplatePlace place) {
    const bool negated = skip_name("not");
    ExpressionPtr out = expression_of(ExpressionKind::kTest, peek().place);
    LATHE_TRY(out->text, expect_name("a test"));
    out->test = find_test(out->text);
    if (out->test == nullptr)
      return template_error(out->place, fmt::format("there is no test '{}'", out->text));
    out->operands.push_back(std::move(of));
    const Kind kind = peek().kind;
    const bool word = kind == Kind::kName && !sees_name("else") && !sees_name("or") &&
                      !sees_name("and") && !sees_name("is") && !sees_name("if") &&
                      !sees_name("in") && !sees_name("not");
    if (sees_sign("(")) {
      LATHE_TRY_STATUS(arguments(*out));
    } else if (word || kind == Kind::kString || kind == Kind::kInteger || kind == Kind::kReal ||
               sees_sign("[") || sees_sign("{")) {
      LATHE_TRY(ExpressionPtr argument, primary());
      LATHE_TRY(argument, postfix(std::move(argument), false));
      out->operands.push_back(std::move(argument));
    }
    if (!negated) return out;
    ExpressionPtr inverse = expression_of(ExpressionKind::kNot, place);
    inverse->operands.push_back(std::move(out));
    return inverse;
  }

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  int depth_ = 0, loops_ = 0;
};

}  // namespace

Result<TemplateBlock> parse_template(std::string_view source) {
  LATHE_TRY(std::vector<Token> tokens, lex_template(source));
  return Parser(std::move(tokens)).run();
}

}  // namespace lathe::infer
