// Mini-Python's syntax tree, and its parser: strict, with the line in every error. What is not in
// the tables below is refused when it is read, not when it is run. Internal to this room.
#pragma once

#include <span>

#include "loop/mini/value.h"

namespace lathe::loop {

enum class MiniOperator {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kModulo,  // + - * // %
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kNotIn,
};

enum class MiniFunction {
  // Builtins
  kAbs,
  kBool,
  kChr,
  kInt,
  kLen,
  kList,
  kMax,
  kMin,
  kOrd,
  kRange,
  kSorted,
  kStr,
  kSum,
  // Methods of lists
  kAppend,
  kIndex,
  kPop,
  // … of both
  kCount,
  // … of strings
  kEndsWith,
  kFind,
  kIsAlpha,
  kIsDigit,
  kIsLower,
  kIsUpper,
  kJoin,
  kLower,
  kReplace,
  kStartsWith,
  kUpper,
};

struct MiniExpression {
  enum class Kind {
    kLiteral,   // value
    kName,      // slot
    kList,      // parts
    kNot,       // parts[0]
    kNegative,  // parts[0]
    kAnd,
    kOr,           // parts[0], parts[1]
    kBinary,       // operation on parts[0], parts[1]
    kConditional,  // parts[0] if parts[1] else parts[2]
    kCall,         // function(parts…)
    kMethod,       // parts[0].function(parts[1]…)
    kItem,         // parts[0][parts[1]]
    kSlice,        // parts[0][parts[1]:parts[2]:parts[3]]; a None literal where nothing stands
  };
  Kind kind = Kind::kLiteral;
  MiniValue value = {};
  std::size_t slot = 0;
  MiniOperator operation = MiniOperator::kAdd;
  MiniFunction function = MiniFunction::kAbs;
  std::vector<MiniExpression> parts = {};
};

struct MiniStatement {
  enum class Kind {
    kAssign,    // target = value, or target operation= value with `augmented`
    kEvaluate,  // value
    kIf,        // value: body, else: other
    kFor,       // for slot in value: body
    kWhile,     // value: body
    kReturn,    // value
    kBreak,
    kContinue,
    kPass,
  };
  Kind kind = Kind::kPass;
  int line = 0;  // from 1
  std::size_t slot = 0;
  bool augmented = false;
  MiniOperator operation = MiniOperator::kAdd;
  MiniExpression target = {};  // kName or kItem
  MiniExpression value = {};
  std::vector<MiniStatement> body = {}, other = {};
};

struct MiniDefinition {
  std::string name;
  std::size_t parameters = 0;      // the first slots
  std::vector<std::string> names;  // of the slots
  std::vector<bool> assigned;      // … whether anything in the function assigns to it
  std::vector<MiniStatement> body;
};

Result<MiniDefinition> parse_mini_definition(std::string_view source);
// Expressions with commas between them, without names.
Result<std::vector<MiniExpression>> parse_mini_expressions(std::string_view text);

}  // namespace lathe::loop
