// A parsed chat template. Owned by its ChatTemplate, never changed after parsing; nested no deeper
// than kMaxTemplateDepth. Internal to this room.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "infer/templates/template_builtins.h"
#include "infer/templates/template_lexer.h"

namespace lathe::infer {

inline constexpr int kMaxTemplateDepth = 100;

enum class ExpressionKind {
  kLiteral,
  kName,
  kList,
  kTuple,
  kDict,   // key, value, key, value …
  kSigns,  // operands with `signs` between them, one precedence, from the left: + - * / // % **
  kNegative,
  kConcat,       // ~
  kComparisons,  // operands with `signs` between them: == in "not in" …
  kAnd,
  kOr,
  kNot,
  kConditional,  // condition, then, else (may be null)
  kAttribute,    // .text
  kItem,         // [operand 1]
  kSlice,        // [from:to:step], each may be null
  kCall,
  kFilter,
  kTest
};

struct Expression {
  ExpressionKind kind;
  TemplatePlace place;
  std::string text;  // of a name
  Value literal;     // views literal_text, if it is a text
  MarkedText literal_text;
  std::vector<std::unique_ptr<Expression>> operands;
  std::vector<std::pair<std::string, std::unique_ptr<Expression>>> named;  // arguments of a call
  std::vector<std::string_view> signs;
  TemplateFilter filter = nullptr;
  TemplateTest test = nullptr;
};
using ExpressionPtr = std::unique_ptr<Expression>;

enum class StatementKind {
  kText,
  kPrint,
  kIf,
  kFor,
  kSet,
  kSetBlock,
  kMacro,
  kCall,    // a macro's call with a body it may ask for as caller()
  kFilter,  // the body, filtered
  kBody,    // {% generation %}
  kBreak,
  kContinue
};

struct Statement;
using TemplateBlock = std::vector<std::unique_ptr<Statement>>;

struct TemplateBranch {
  ExpressionPtr condition;  // null: else
  TemplateBlock body;
};

struct TemplateParameter {
  std::string name;
  ExpressionPtr fallback;  // may be null
};

struct Statement {
  StatementKind kind;
  TemplatePlace place;
  std::string text;      // a text, or a macro's name
  ExpressionPtr target;  // of for and set: a name, a tuple of names, an attribute
  ExpressionPtr value;   // what is printed, looped over, assigned, called
  ExpressionPtr
      filter;  // of for: the condition; of filter blocks and set blocks: on a literal operand
  std::vector<TemplateParameter> parameters;
  std::vector<TemplateBranch> branches;
  TemplateBlock body, otherwise;
};

// Unknown filters, tests and statements are errors here, with line and column.
Result<TemplateBlock> parse_template(std::string_view source);

}  // namespace lathe::infer
