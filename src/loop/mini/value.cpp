// Values of Mini-Python, as Python prints and compares them.
#include "loop/mini/value.h"

#include "ground/base/text.h"
#include "loop/mini/parse.h"

namespace lathe::loop {
namespace {

std::string text_repr(std::string_view text) {
  const char quote = text.find('\'') != text.npos && text.find('"') == text.npos ? '"' : '\'';
  std::string out(1, quote);
  for (const char c : text) {
    if (c == quote || c == '\\') {
      out += {'\\', c};
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c < 32 || c == 127) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out + quote;
}

// A literal's value; only minus signs, lists and atoms are literals.
Result<MiniValue> literal(const MiniExpression& node) {
  using Kind = MiniExpression::Kind;
  if (node.kind == Kind::kLiteral) return node.value;
  if (node.kind == Kind::kNegative && node.parts[0].kind == Kind::kLiteral &&
      std::holds_alternative<std::int64_t>(node.parts[0].value.data))
    return MiniValue{-node.parts[0].value.number()};
  if (node.kind == Kind::kList) {
    MiniList items;
    for (const MiniExpression& part : node.parts) {
      if (part.kind == Kind::kList) return invalid("a list in a list is not supported");
      LATHE_TRY(items.emplace_back(), literal(part));
    }
    return mini_list(std::move(items));
  }
  return invalid("only literals can be given: numbers, strings, True, False, None and lists");
}

}  // namespace

MiniValue mini_list(MiniList items) {
  return {std::make_shared<MiniList>(std::move(items))};
}

bool MiniValue::truth() const {
  if (is_none()) return false;
  if (is_number()) return number() != 0;
  return is_text() ? !text().empty() : !list().empty();
}

std::string_view MiniValue::type_name() const {
  constexpr std::string_view kNames[] = {"NoneType", "bool", "int", "str", "list"};
  return kNames[data.index()];
}

std::string mini_repr(const MiniValue& value) {
  if (value.is_none()) return "None";
  if (value.is_bool()) return value.number() ? "True" : "False";
  if (value.is_number()) return fmt::format("{}", value.number());
  if (value.is_text()) return text_repr(value.text());
  std::string out = "[";
  for (const MiniValue& item : value.list()) out += (out.size() > 1 ? ", " : "") + mini_repr(item);
  return out + "]";
}

bool mini_equal(const MiniValue& a, const MiniValue& b) {
  if (a.is_number() && b.is_number()) return a.number() == b.number();
  if (a.data.index() != b.data.index()) return false;
  if (a.is_none()) return true;
  if (a.is_text()) return a.text() == b.text();
  return std::ranges::equal(a.list(), b.list(), mini_equal);
}

Result<std::vector<MiniValue>> parse_mini_literals(std::string_view text) {
  std::vector<MiniValue> values;
  if (trim(text).empty()) return values;
  LATHE_TRY(const std::vector<MiniExpression> parsed, parse_mini_expressions(text));
  for (const MiniExpression& node : parsed) {
    LATHE_TRY(values.emplace_back(), literal(node));
  }
  return values;
}

}  // namespace lathe::loop
