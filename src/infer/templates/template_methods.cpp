// Jinja's tests, Python's methods of text, lists and mappings, and the global functions.
#include <algorithm>
#include <ctime>

#include "infer/templates/template_machine.h"
#include "infer/templates/template_text.h"
#include "infer/tokens/unicode.h"

namespace lathe::infer {
namespace {

const Value& argument(const Arguments& arguments, std::size_t index) {
  static const Value kNothing{};
  return index < arguments.positional.size() ? arguments.positional[index] : kNothing;
}

// --- tests

template <ValueKind kind>
Result<bool> test_kind(TemplateMachine&, const Value& value, const Arguments&) {
  return value.is(kind);
}
template <bool wanted>
Result<bool> test_defined(TemplateMachine&, const Value& value, const Arguments&) {
  return value.is_undefined() != wanted;
}
template <bool wanted>
Result<bool> test_boolean_value(TemplateMachine&, const Value& value, const Arguments&) {
  return value.is(ValueKind::kBool) && value.boolean == wanted;
}
Result<bool> test_number(TemplateMachine&, const Value& value, const Arguments&) {
  return value.is_number();
}
Result<bool> test_iterable(TemplateMachine&, const Value& value, const Arguments&) {
  return value.is_undefined() || value.is_text() || value.is_sequence() ||
         value.is(ValueKind::kDict);
}
Result<bool> test_callable(TemplateMachine&, const Value& value, const Arguments&) {
  return value.is_callable();
}
Result<Value> remainder(TemplateMachine& machine, const Value& value, const Value& by) {
  return machine.arithmetic("%", value, by);
}
template <std::int64_t rest>
Result<bool> test_parity(TemplateMachine& machine, const Value& value, const Arguments&) {
  LATHE_TRY(const Value out, remainder(machine, value, Value::of(std::int64_t{2})));
  return values_equal(out, Value::of(rest));
}
Result<bool> test_divisible(TemplateMachine& machine, const Value& value,
                            const Arguments& arguments) {
  LATHE_TRY(const Value out, remainder(machine, value, argument(arguments, 0)));
  return values_equal(out, Value::of(std::int64_t{0}));
}
template <bool upper>
Result<bool> test_case(TemplateMachine& machine, const Value& value, const Arguments&) {
  LATHE_TRY(const MarkedText text, machine.to_text(value));
  bool any = false;
  for (std::size_t at = 0; at < text.size();) {
    const Character c = character_at(text.text(), at);
    at += c.bytes;
    if (c.is(set_of(upper ? UnicodeCategory::kLl : UnicodeCategory::kLu) |
             set_of(UnicodeCategory::kLt)))
      return false;
    any = any || c.is(set_of(upper ? UnicodeCategory::kLu : UnicodeCategory::kLl));
  }
  return any;
}
template <bool wanted>
Result<bool> test_equal(TemplateMachine& machine, const Value& value, const Arguments& arguments) {
  const auto equal = values_equal(value, argument(arguments, 0));
  if (!equal) return machine.fail(equal.error());
  return *equal == wanted;
}
enum class Order { kGreaterEqual, kGreater, kLess, kLessEqual };
template <Order order>
Result<bool> test_order(TemplateMachine& machine, const Value& value, const Arguments& arguments) {
  const auto found = compare_values(value, argument(arguments, 0));
  if (!found) return machine.fail(found.error());
  if (order == Order::kGreaterEqual) return *found >= 0;
  if (order == Order::kGreater) return *found > 0;
  return order == Order::kLess ? *found < 0 : *found <= 0;
}
Result<bool> test_in(TemplateMachine& machine, const Value& value, const Arguments& arguments) {
  return machine.contains(argument(arguments, 0), value);
}
Result<bool> test_same(TemplateMachine&, const Value& value, const Arguments& arguments) {
  const Value& other = argument(arguments, 0);
  if (value.kind != other.kind) return false;
  if (value.is_text()) return value.view() == other.view();
  if (value.is(ValueKind::kBool)) return value.boolean == other.boolean;
  if (value.is(ValueKind::kReal)) return value.real == other.real;
  return value.integer == other.integer;  // the same object, for all that are objects
}
Result<bool> test_filter(TemplateMachine&, const Value& value, const Arguments&) {
  return value.is_text() && find_filter(value.view()) != nullptr;
}
Result<bool> test_test(TemplateMachine&, const Value& value, const Arguments&) {
  return value.is_text() && find_test(value.view()) != nullptr;
}

constexpr std::pair<std::string_view, TemplateTest> kTests[] = {
    {"boolean", test_kind<ValueKind::kBool>},
    {"callable", test_callable},
    {"defined", test_defined<true>},
    {"divisibleby", test_divisible},
    {"eq", test_equal<true>},
    {"equalto", test_equal<true>},
    {"even", test_parity<0>},
    {"false", test_boolean_value<false>},
    {"filter", test_filter},
    {"float", test_kind<ValueKind::kReal>},
    {"ge", test_order<Order::kGreaterEqual>},
    {"gt", test_order<Order::kGreater>},
    {"greaterthan", test_order<Order::kGreater>},
    {"in", test_in},
    {"integer", test_kind<ValueKind::kInteger>},
    {"iterable", test_iterable},
    {"le", test_order<Order::kLessEqual>},
    {"lessthan", test_order<Order::kLess>},
    {"lower", test_case<false>},
    {"lt", test_order<Order::kLess>},
    {"mapping", test_kind<ValueKind::kDict>},
    {"ne", test_equal<false>},
    {"none", test_kind<ValueKind::kNone>},
    {"number", test_number},
    {"odd", test_parity<1>},
    {"sameas", test_same},
    {"sequence", test_iterable},
    {"string", test_kind<ValueKind::kText>},
    {"test", test_test},
    {"true", test_boolean_value<true>},
    {"undefined", test_defined<false>},
    {"upper", test_case<true>},
};

// --- methods

using Method = Result<Value> (*)(TemplateMachine& machine, const Value& self,
                                 const Arguments& arguments);

Result<std::optional<std::string_view>> optional_text(TemplateMachine& machine,
                                                      const Value& value) {
  if (value.is_undefined() || value.is(ValueKind::kNone)) return std::nullopt;
  if (!value.is_text()) return machine.fail("a text is wanted, not a {}", type_name(value));
  return value.view();
}

template <bool left, bool right>
Result<Value> text_strip(TemplateMachine& machine, const Value& self, const Arguments& arguments) {
  LATHE_TRY(const auto characters, optional_text(machine, argument(arguments, 0)));
  return machine.make_text(strip(*self.text, characters, left, right));
}

template <CaseChange change>
Result<Value> text_case(TemplateMachine& machine, const Value& self, const Arguments&) {
  return machine.make_text(change_case(*self.text, change));
}

// Of a split, at most.
std::size_t most_pieces(std::string_view text, std::optional<std::string_view> separator) {
  std::size_t pieces = 1;
  if (!separator) return pieces + text.size() / 2;
  for (std::size_t at = text.find(*separator); at != text.npos; ++pieces)
    at = text.find(*separator, at + separator->size());
  return pieces;
}

template <bool from_right>
Result<Value> text_split(TemplateMachine& machine, const Value& self, const Arguments& arguments) {
  const auto bound = arguments.bind(std::array<std::string_view, 2>{"sep", "maxsplit"});
  if (!bound) return machine.fail(bound.error());
  LATHE_TRY(const auto separator, optional_text(machine, (*bound)[0]));
  if (separator && separator->empty()) return machine.fail("the separator of 'split' is empty");
  const std::int64_t limit = (*bound)[1].is_whole() ? (*bound)[1].whole() : -1;
  LATHE_TRY_STATUS(machine.charge(self.text->size() / 16));
  LATHE_TRY_STATUS(machine.charge(8 * most_pieces(self.view(), separator)));
  ValueList out;
  for (MarkedText& part : split(*self.text, separator, limit, from_right)) {
    LATHE_TRY(const Value value, machine.make_text(std::move(part)));
    out.push_back(value);
  }
  return machine.make_list(std::move(out));
}

template <bool start>
Result<Value> text_has(TemplateMachine& machine, const Value& self, const Arguments& arguments) {
  const Value& wanted = argument(arguments, 0);
  const auto has = [&](const Value& value) {
    return value.is_text() &&
           (start ? self.view().starts_with(value.view()) : self.view().ends_with(value.view()));
  };
  if (wanted.is_text()) return Value::of(has(wanted));
  if (!wanted.is(ValueKind::kTuple))
    return machine.fail("a text is wanted, not a {}", type_name(wanted));
  return Value::of(std::ranges::any_of(*wanted.list, has));
}

template <const char* filter>
Result<Value> as_filter(TemplateMachine& machine, const Value& self, const Arguments& arguments) {
  return find_filter(filter)(machine, self, arguments);
}
constexpr char kReplace[] = "replace", kItems[] = "items";

Result<Value> text_join(TemplateMachine& machine, const Value& self, const Arguments& arguments) {
  Arguments separator;
  separator.positional.push_back(self);
  return find_filter("join")(machine, argument(arguments, 0), separator);
}

Result<Value> text_format(TemplateMachine& machine, const Value& self, const Arguments& arguments) {
  auto out = format_braces(*self.text, arguments);
  if (!out) return machine.fail(out.error());
  return machine.make_text(std::move(*out));
}

Result<Value> dict_get(TemplateMachine& machine, const Value& self, const Arguments& arguments) {
  const auto bound = arguments.bind(std::array<std::string_view, 2>{"key", "default"});
  if (!bound) return machine.fail(bound.error());
  if (const Value* found = self.dict->find((*bound)[0])) return *found;
  return (*bound)[1].is_undefined() ? Value::none() : (*bound)[1];
}

Result<Value> dict_keys(TemplateMachine& machine, const Value& self, const Arguments&) {
  LATHE_TRY(ValueList keys, machine.items_of(self));
  return machine.make_list(std::move(keys));
}

Result<Value> dict_values(TemplateMachine& machine, const Value& self, const Arguments&) {
  ValueList out;
  for (const auto& [_, value] : self.dict->items()) out.push_back(value);
  return machine.make_list(std::move(out));
}

Result<Value> dict_pop(TemplateMachine& machine, const Value& self, const Arguments& arguments) {
  LATHE_TRY_STATUS(machine.charge(self.dict->size()));
  if (const auto value = self.dict->remove(argument(arguments, 0))) return *value;
  if (arguments.positional.size() > 1) return arguments.positional[1];
  return machine.fail("'pop': there is no such key");
}

Result<Value> list_append(TemplateMachine& machine, const Value& self, const Arguments& arguments) {
  LATHE_TRY_STATUS(machine.charge(1));
  self.list->push_back(argument(arguments, 0));
  return Value::none();
}

Result<Value> list_pop(TemplateMachine& machine, const Value& self, const Arguments& arguments) {
  const auto count = static_cast<std::int64_t>(self.list->size());
  const Value& at = argument(arguments, 0);
  const std::int64_t given = at.is_whole() ? at.whole() : -1;
  const std::int64_t index = given < 0 ? given + count : given;
  if (index < 0 || index >= count) return machine.fail("'pop': the list has {} elements", count);
  LATHE_TRY_STATUS(machine.charge(static_cast<std::uint64_t>(count - index) / 16));
  const Value value = (*self.list)[static_cast<std::size_t>(index)];
  self.list->erase(self.list->begin() + index);
  return value;
}

struct MethodRow {
  ValueKind of;
  std::string_view name;
  Method method;
};
constexpr MethodRow kMethods[] = {
    {ValueKind::kText, "capitalize", text_case<CaseChange::kCapitalize>},
    {ValueKind::kText, "endswith", text_has<false>},
    {ValueKind::kText, "format", text_format},
    {ValueKind::kText, "join", text_join},
    {ValueKind::kText, "lower", text_case<CaseChange::kLower>},
    {ValueKind::kText, "lstrip", text_strip<true, false>},
    {ValueKind::kText, "replace", as_filter<kReplace>},
    {ValueKind::kText, "rsplit", text_split<true>},
    {ValueKind::kText, "rstrip", text_strip<false, true>},
    {ValueKind::kText, "split", text_split<false>},
    {ValueKind::kText, "startswith", text_has<true>},
    {ValueKind::kText, "strip", text_strip<true, true>},
    {ValueKind::kText, "title", text_case<CaseChange::kTitleLetters>},
    {ValueKind::kText, "upper", text_case<CaseChange::kUpper>},
    {ValueKind::kDict, "get", dict_get},
    {ValueKind::kDict, "items", as_filter<kItems>},
    {ValueKind::kDict, "keys", dict_keys},
    {ValueKind::kDict, "pop", dict_pop},
    {ValueKind::kDict, "values", dict_values},
    {ValueKind::kList, "append", list_append},
    {ValueKind::kList, "pop", list_pop},
};

// --- global functions

Result<Value> raise_exception(TemplateMachine& machine, const Arguments& arguments) {
  LATHE_TRY(const MarkedText text, machine.to_text(argument(arguments, 0)));
  return machine.fail("the template refuses these messages: {}", text.text());
}

Result<Value> make_namespace(TemplateMachine& machine, const Arguments& arguments) {
  const Value out = machine.heap().dict(ValueKind::kNamespace);
  if (argument(arguments, 0).is(ValueKind::kDict)) {
    LATHE_TRY_STATUS(machine.charge(arguments.positional[0].dict->size()));
    for (const auto& [key, value] : arguments.positional[0].dict->items())
      out.dict->set(key, value);
  }
  for (const auto& [name, value] : arguments.named) out.dict->set(machine.heap().text(name), value);
  return out;
}

Result<Value> range(TemplateMachine& machine, const Arguments& arguments) {
  const std::size_t given = arguments.positional.size();
  if (given < 1 || given > 3 ||
      !std::ranges::all_of(arguments.positional, [](const Value& v) { return v.is_whole(); }))
    return machine.fail("'range' takes one to three whole numbers");
  const std::int64_t from = given == 1 ? 0 : arguments.positional[0].whole();
  const std::int64_t to = arguments.positional[given == 1 ? 0 : 1].whole();
  const std::int64_t step = given == 3 ? arguments.positional[2].whole() : 1;
  if (step == 0) return machine.fail("the step of 'range' is zero");
  ValueList out;
  for (std::int64_t at = from; step > 0 ? at < to : at > to;) {
    LATHE_TRY_STATUS(machine.charge(1));
    out.push_back(Value::of(at));
    if (__builtin_add_overflow(at, step, &at)) break;
  }
  return machine.make_list(std::move(out));
}

Result<Value> strftime_now(TemplateMachine& machine, const Arguments& arguments) {
  const Value& format = argument(arguments, 0);
  if (!format.is_text()) return machine.fail("'strftime_now' takes a text");
  const auto seconds = static_cast<std::time_t>(machine.now());
  std::tm parts{};
  char buffer[256];
  if (gmtime_r(&seconds, &parts) == nullptr) return machine.fail("the time is out of range");
  const std::string pattern(format.view());
  const std::size_t size = std::strftime(buffer, sizeof buffer, pattern.c_str(), &parts);
  if (size == 0 && !pattern.empty())
    return machine.fail("'strftime_now': the date does not fit in {} bytes", sizeof buffer);
  return machine.make_text(MarkedText(std::string(buffer, size), false));
}

Result<Value> global_tojson(TemplateMachine& machine, const Arguments& arguments) {
  Arguments rest = arguments;
  if (!rest.positional.empty()) rest.positional.erase(rest.positional.begin());
  return find_filter("tojson")(machine, argument(arguments, 0), rest);
}

constexpr std::pair<std::string_view, GlobalFunction> kGlobals[] = {
    {"namespace", make_namespace},
    {"raise_exception", raise_exception},
    {"range", range},
    {"strftime_now", strftime_now},
    {"tojson", global_tojson},
};

template <class Table>
auto find_in(const Table& table, std::string_view name) -> decltype(table[0].second) {
  for (const auto& [known, function] : table)
    if (known == name) return function;
  return nullptr;
}

}  // namespace

TemplateTest find_test(std::string_view name) {
  return find_in(kTests, name);
}
GlobalFunction find_global(std::string_view name) {
  return find_in(kGlobals, name);
}

std::string_view find_method(const Value& self, std::string_view name) {
  for (const MethodRow& row : kMethods)
    if (row.of == self.kind && row.name == name) return row.name;
  return {};
}

Result<Value> call_method(TemplateMachine& machine, const ValueMethod& method,
                          const Arguments& arguments) {
  for (const MethodRow& row : kMethods)
    if (row.of == method.self.kind && row.name == method.name)
      return row.method(machine, method.self, arguments);
  return machine.fail("a {} has no method '{}'", type_name(method.self), method.name);
}

}  // namespace lathe::infer
