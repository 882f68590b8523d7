// Expressions: what a template computes.
#include <algorithm>
#include <cmath>

#include "infer/templates/template_machine.h"
#include "infer/tokens/unicode.h"

namespace lathe::infer {

namespace {

class Level {
 public:
  explicit Level(int& depth) : depth_(++depth) {}
  Level(const Level&) = delete;
  Level& operator=(const Level&) = delete;
  ~Level() { --depth_; }

 private:
  int& depth_;
};

}  // namespace

Result<Value> TemplateMachine::evaluate(const Expression& expression) {
  const Level level(depth_);
  LATHE_TRY_STATUS(check_depth());
  LATHE_TRY_STATUS(charge(1));
  place_ = expression.place;
  return evaluate_kind(expression);
}

Result<Value> TemplateMachine::evaluate_kind(const Expression& expression) {
  switch (expression.kind) {
    case ExpressionKind::kLiteral:
      return expression.literal;
    case ExpressionKind::kName:
      return evaluate_name(expression);
    case ExpressionKind::kList:
    case ExpressionKind::kTuple:
      return evaluate_items(expression);
    case ExpressionKind::kDict:
      return evaluate_dict(expression);
    case ExpressionKind::kSigns:
      return evaluate_signs(expression);
    case ExpressionKind::kNegative: {
      LATHE_TRY(const Value value, evaluate(*expression.operands[0]));
      if (value.is(ValueKind::kReal)) return Value::of(-value.real);
      return arithmetic("-", Value::of(std::int64_t{0}), value);
    }
    case ExpressionKind::kConcat:
      return evaluate_concat(expression);
    case ExpressionKind::kComparisons:
      return evaluate_comparisons(expression);
    case ExpressionKind::kAnd:
      return evaluate_either(expression, false);
    case ExpressionKind::kOr:
      return evaluate_either(expression, true);
    case ExpressionKind::kNot: {
      LATHE_TRY(const Value value, evaluate(*expression.operands[0]));
      return Value::of(!truth(value));
    }
    case ExpressionKind::kConditional: {
      LATHE_TRY(const Value condition, evaluate(*expression.operands[0]));
      if (truth(condition)) return evaluate(*expression.operands[1]);
      if (!expression.operands[2]) return Value();
      return evaluate(*expression.operands[2]);
    }
    case ExpressionKind::kAttribute: {
      LATHE_TRY(const Value value, evaluate(*expression.operands[0]));
      return attribute_of(value, expression.text);
    }
    case ExpressionKind::kItem: {
      LATHE_TRY(const Value value, evaluate(*expression.operands[0]));
      LATHE_TRY(const Value key, evaluate(*expression.operands[1]));
      return item_of(value, key);
    }
    case ExpressionKind::kSlice:
      return evaluate_slice(expression);
    case ExpressionKind::kCall:
      return evaluate_call(expression);
    case ExpressionKind::kFilter: {
      LATHE_TRY(const Value input, evaluate(*expression.operands[0]));
      return evaluate_filter(expression, input);
    }
    case ExpressionKind::kTest: {
      LATHE_TRY(const Value input, evaluate(*expression.operands[0]));
      LATHE_TRY(const Arguments arguments, arguments_of(expression));
      LATHE_TRY(const bool passed, expression.test(*this, input, arguments));
      return Value::of(passed);
    }
  }
  return Value();
}

Result<Value> TemplateMachine::evaluate_name(const Expression& expression) {
  if (const Value* value = find_variable(expression.text)) return *value;
  if (const GlobalFunction global = find_global(expression.text)) return Value::of(global);
  return Value();
}

Result<Value> TemplateMachine::evaluate_items(const Expression& expression) {
  ValueList items;
  for (const ExpressionPtr& operand : expression.operands) {
    LATHE_TRY(const Value item, evaluate(*operand));
    items.push_back(item);
  }
  return make_list(std::move(items),
                   expression.kind == ExpressionKind::kList ? ValueKind::kList : ValueKind::kTuple);
}

Result<Value> TemplateMachine::evaluate_dict(const Expression& expression) {
  const Value out = heap_.dict();
  for (std::size_t i = 0; i < expression.operands.size(); i += 2) {
    LATHE_TRY(const Value key, evaluate(*expression.operands[i]));
    LATHE_TRY(const Value value, evaluate(*expression.operands[i + 1]));
    if (!ValueDict::may_be_key(key)) return fail("a {} cannot be a key", type_name(key));
    out.dict->set(key, value);
  }
  return out;
}

Result<Value> TemplateMachine::evaluate_signs(const Expression& expression) {
  LATHE_TRY(Value out, evaluate(*expression.operands[0]));
  for (std::size_t i = 0; i < expression.signs.size(); ++i) {
    LATHE_TRY(const Value next, evaluate(*expression.operands[i + 1]));
    place_ = expression.place;
    LATHE_TRY(out, arithmetic(expression.signs[i], out, next));
  }
  return out;
}

Result<Value> TemplateMachine::evaluate_concat(const Expression& expression) {
  MarkedText out;
  for (const ExpressionPtr& operand : expression.operands) {
    LATHE_TRY(const Value value, evaluate(*operand));
    LATHE_TRY(const MarkedText text, to_text(value));
    LATHE_TRY_STATUS(allow_text(out.size() + text.size()));
    out.append(text);
  }
  return make_text(std::move(out));
}

Result<Value> TemplateMachine::evaluate_comparisons(const Expression& expression) {
  LATHE_TRY(Value left, evaluate(*expression.operands[0]));
  for (std::size_t i = 0; i < expression.signs.size(); ++i) {
    LATHE_TRY(const Value right, evaluate(*expression.operands[i + 1]));
    place_ = expression.place;
    LATHE_TRY(const bool holds, compare(expression.signs[i], left, right));
    if (!holds) return Value::of(false);
    left = right;
  }
  return Value::of(true);
}

Result<bool> TemplateMachine::compare(std::string_view sign, const Value& a, const Value& b) {
  if (sign == "in") return contains(b, a);
  if (sign == "not in") {
    LATHE_TRY(const bool in, contains(b, a));
    return !in;
  }
  if (a.is_text() && b.is_text())
    LATHE_TRY_STATUS(charge(std::min(a.text->size(), b.text->size()) / 16));
  if (sign == "==" || sign == "!=") {
    if (a.is_sequence() || a.is_mapping()) LATHE_TRY_STATUS(charge(64));
    const auto equal = values_equal(a, b);
    if (!equal) return fail(equal.error());
    return *equal == (sign == "==");
  }
  const auto order = compare_values(a, b);
  if (!order) return fail(order.error());
  if (sign == "<") return *order < 0;
  if (sign == ">") return *order > 0;
  if (sign == "<=") return *order <= 0;
  return *order >= 0;
}

// "or" goes on until one is true, "and" until one is false; the value is the last one looked at.
Result<Value> TemplateMachine::evaluate_either(const Expression& expression, bool until) {
  Value value;
  for (const ExpressionPtr& operand : expression.operands) {
    LATHE_TRY(value, evaluate(*operand));
    if (truth(value) == until) return value;
  }
  return value;
}

Result<bool> TemplateMachine::contains(const Value& value, const Value& item) {
  switch (value.kind) {
    case ValueKind::kUndefined:
      return false;
    case ValueKind::kText:
      if (!item.is_text())
        return fail("'in' looks for a text in a text, not for a {}", type_name(item));
      LATHE_TRY_STATUS(charge(value.text->size() / 16));
      return value.view().find(item.view()) != std::string_view::npos;
    case ValueKind::kDict:
    case ValueKind::kNamespace:
      return value.dict->find(item) != nullptr;
    case ValueKind::kList:
    case ValueKind::kTuple:
      LATHE_TRY_STATUS(charge(value.list->size()));
      for (const Value& each : *value.list) {
        const auto equal = values_equal(each, item);
        if (!equal) return fail(equal.error());
        if (*equal) return true;
      }
      return false;
    default:
      return fail("nothing can be in a {}", type_name(value));
  }
}

Result<ValueList> TemplateMachine::items_of(const Value& value) {
  ValueList out;
  switch (value.kind) {
    case ValueKind::kUndefined:
      break;
    case ValueKind::kList:
    case ValueKind::kTuple:
      LATHE_TRY_STATUS(charge(value.list->size()));
      return *value.list;
    case ValueKind::kDict:
      LATHE_TRY_STATUS(charge(value.dict->size()));
      for (const auto& [key, _] : value.dict->items()) out.push_back(key);
      break;
    case ValueKind::kText:
      LATHE_TRY_STATUS(charge(value.text->size() * 8));
      value.text->for_runs([&](std::string_view bytes, bool user) {
        for (std::size_t at = 0; at < bytes.size();) {
          const std::size_t length = character_at(bytes, at).bytes;
          out.push_back(heap_.text(bytes.substr(at, length), user));
          at += length;
        }
      });
      break;
    default:
      return fail("a {} cannot be looped over", type_name(value));
  }
  return out;
}

namespace {

Value loop_attribute(const ValueLoop& loop, std::string_view name) {
  const auto count = static_cast<std::int64_t>(loop.items->size());
  const auto index = static_cast<std::int64_t>(loop.index);
  if (name == "index") return Value::of(index + 1);
  if (name == "index0") return Value::of(index);
  if (name == "revindex") return Value::of(count - index);
  if (name == "revindex0") return Value::of(count - index - 1);
  if (name == "first") return Value::of(index == 0);
  if (name == "last") return Value::of(index + 1 == count);
  if (name == "length") return Value::of(count);
  if (name == "previtem" && index > 0) return (*loop.items)[loop.index - 1];
  if (name == "nextitem" && index + 1 < count) return (*loop.items)[loop.index + 1];
  return Value();
}

}  // namespace

// Methods come before members, as in Python: that is why templates write tool['items'].
Result<Value> TemplateMachine::attribute_of(const Value& value, std::string_view name) {
  if (value.is(ValueKind::kLoop)) return loop_attribute(*value.loop, name);
  if (value.is(ValueKind::kNamespace)) {
    const Value* found = value.dict->find(name);
    return found != nullptr ? *found : Value();
  }
  if (const std::string_view method = find_method(value, name); !method.empty())
    return heap_.method(value, method);
  if (value.is(ValueKind::kDict))
    if (const Value* found = value.dict->find(name)) return *found;
  return Value();
}

Result<Value> TemplateMachine::item_of(const Value& value, const Value& key) {
  if (value.is_mapping()) {
    if (const Value* found = value.dict->find(key)) return *found;
    if (key.is_text()) return attribute_of(value, key.view());
    return Value();
  }
  if (key.is_whole() && (value.is_sequence() || value.is_text())) {
    const bool text = value.is_text();
    if (text) LATHE_TRY_STATUS(charge(value.text->size() / 16));
    const auto count =
        static_cast<std::int64_t>(text ? character_count(value.view()) : value.list->size());
    const std::int64_t index = key.whole() < 0 ? key.whole() + count : key.whole();
    if (index < 0 || index >= count) return Value();
    if (!text) return (*value.list)[static_cast<std::size_t>(index)];
    const std::size_t from = byte_offset(value.view(), static_cast<std::size_t>(index));
    return make_text(value.text->substr(from, character_at(value.view(), from).bytes));
  }
  if (key.is_text()) return attribute_of(value, key.view());
  return Value();
}

Result<Value> TemplateMachine::evaluate_slice(const Expression& expression) {
  LATHE_TRY(const Value value, evaluate(*expression.operands[0]));
  std::optional<std::int64_t> bounds[3];
  for (std::size_t i = 0; i < 3; ++i) {
    if (!expression.operands[i + 1]) continue;
    LATHE_TRY(const Value bound, evaluate(*expression.operands[i + 1]));
    if (bound.is(ValueKind::kNone)) continue;
    if (!bound.is_whole())
      return fail("a slice goes by whole numbers, not by a {}", type_name(bound));
    bounds[i] = bound.whole();
  }
  place_ = expression.place;
  if (value.is_undefined()) return value;
  if (!value.is_sequence() && !value.is_text())
    return fail("a {} cannot be sliced", type_name(value));
  LATHE_TRY(const ValueList items, items_of(value));
  const auto count = static_cast<std::int64_t>(items.size());
  // Larger steps than the list is long all take one item: no sum below can overflow.
  const std::int64_t step = std::clamp(bounds[2].value_or(1), -count - 1, count + 1);
  if (step == 0) return fail("the step of a slice is zero");
  const auto place = [&](std::optional<std::int64_t> bound, std::int64_t fallback) {
    if (!bound) return fallback;
    const std::int64_t from_end = *bound < 0 ? std::max(*bound, -count - 1) + count : *bound;
    return std::clamp(from_end, step < 0 ? std::int64_t{-1} : std::int64_t{0},
                      step < 0 ? count - 1 : count);
  };
  const std::int64_t from = place(bounds[0], step < 0 ? count - 1 : 0);
  const std::int64_t to = place(bounds[1], step < 0 ? -1 : count);
  ValueList taken;
  for (std::int64_t i = from; step > 0 ? i < to : i > to; i += step)
    taken.push_back(items[static_cast<std::size_t>(i)]);
  if (!value.is_text()) return make_list(std::move(taken), value.kind);
  MarkedText text;
  for (const Value& each : taken) text.append(*each.text);
  return make_text(std::move(text));
}

Result<Arguments> TemplateMachine::arguments_of(const Expression& expression) {
  Arguments out;
  for (std::size_t i = 1; i < expression.operands.size(); ++i) {
    LATHE_TRY(const Value value, evaluate(*expression.operands[i]));
    out.positional.push_back(value);
  }
  for (const auto& [name, operand] : expression.named) {
    LATHE_TRY(const Value value, evaluate(*operand));
    out.named.emplace_back(name, value);
  }
  place_ = expression.place;
  return out;
}

Result<Value> TemplateMachine::evaluate_call(const Expression& expression) {
  LATHE_TRY(const Value callee, evaluate(*expression.operands[0]));
  LATHE_TRY(const Arguments arguments, arguments_of(expression));
  if (callee.is_undefined()) {
    const Expression& name = *expression.operands[0];
    if (name.kind == ExpressionKind::kName || name.kind == ExpressionKind::kAttribute)
      return fail("'{}' is called but not defined", name.text);
  }
  return call(callee, arguments);
}

Result<Value> TemplateMachine::evaluate_filter(const Expression& expression, const Value& input) {
  LATHE_TRY(const Arguments arguments, arguments_of(expression));
  return expression.filter(*this, input, arguments);
}

Result<Value> TemplateMachine::repeat(const Value& a, std::int64_t times) {
  const std::size_t size = a.is_text() ? a.text->size() : a.list->size();
  const auto count = static_cast<std::uint64_t>(std::max<std::int64_t>(times, 0));
  if (size > 0)
    LATHE_TRY_STATUS(allow_text(count > limits_.output_bytes / size ? SIZE_MAX : size * count));
  LATHE_TRY_STATUS(charge(size * count));
  if (a.is_text()) {
    MarkedText text;
    for (std::uint64_t i = 0; i < count && size > 0; ++i) text.append(*a.text);
    return make_text(std::move(text));
  }
  ValueList items;
  for (std::uint64_t i = 0; i < count; ++i)
    items.insert(items.end(), a.list->begin(), a.list->end());
  return make_list(std::move(items), a.kind);
}

namespace {

std::optional<std::int64_t> whole_arithmetic(std::string_view sign, std::int64_t a,
                                             std::int64_t b) {
  std::int64_t out = 0;
  if (sign == "+") return __builtin_add_overflow(a, b, &out) ? std::nullopt : std::optional(out);
  if (sign == "-") return __builtin_sub_overflow(a, b, &out) ? std::nullopt : std::optional(out);
  if (sign == "*") return __builtin_mul_overflow(a, b, &out) ? std::nullopt : std::optional(out);
  if (sign == "**") {
    out = 1;
    for (std::int64_t i = 0; i < b; ++i) {
      if (a == 0 || a == 1 || a == -1) return a == -1 && b % 2 == 0 ? 1 : a;
      if (__builtin_mul_overflow(out, a, &out)) return std::nullopt;
    }
    return out;
  }
  if (a == INT64_MIN && b == -1) return std::nullopt;
  // Python rounds down.
  const std::int64_t quotient = a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
  return sign == "//" ? quotient : a - quotient * b;
}

double real_arithmetic(std::string_view sign, double a, double b) {
  if (sign == "+") return a + b;
  if (sign == "-") return a - b;
  if (sign == "*") return a * b;
  if (sign == "/") return a / b;
  if (sign == "**") return std::pow(a, b);
  if (sign == "//") return std::floor(a / b);
  const double rest = std::fmod(a, b);
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

}  // namespace

Result<Value> TemplateMachine::arithmetic(std::string_view sign, const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    const bool divides = sign == "/" || sign == "//" || sign == "%";
    if (divides && b.number() == 0) return fail("division by zero");
    const bool whole =
        a.is_whole() && b.is_whole() && sign != "/" && !(sign == "**" && b.whole() < 0);
    if (!whole) return Value::of(real_arithmetic(sign, a.number(), b.number()));
    const auto out = whole_arithmetic(sign, a.whole(), b.whole());
    if (!out) return fail("{} {} {} is too large", a.whole(), sign, b.whole());
    return Value::of(*out);
  }
  if (sign == "+" && a.is_text() && b.is_text()) {
    MarkedText text = *a.text;
    text.append(*b.text);
    return make_text(std::move(text));
  }
  if (sign == "+" && a.is_sequence() && a.kind == b.kind) {
    ValueList items = *a.list;
    items.insert(items.end(), b.list->begin(), b.list->end());
    return make_list(std::move(items), a.kind);
  }
  if (sign == "*" && (a.is_text() || a.is_sequence()) && b.is_whole()) return repeat(a, b.whole());
  if (sign == "*" && (b.is_text() || b.is_sequence()) && a.is_whole()) return repeat(b, a.whole());
  if (sign == "%" && a.is_text()) {
    Arguments arguments;
    if (b.is(ValueKind::kTuple))
      arguments.positional = *b.list;
    else
      arguments.positional = {b};
    return find_filter("format")(*this, a, arguments);
  }
  return fail("'{}' does not go between {} and {}", sign, type_name(a), type_name(b));
}

}  // namespace lathe::infer
