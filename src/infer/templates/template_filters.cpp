// Jinja's filters, with Hugging Face's tojson.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "ground/base/text.h"
#include "infer/templates/template_machine.h"
#include "infer/templates/template_text.h"
#include "infer/tokens/unicode.h"

namespace lathe::infer {
namespace {

template <class... Names>
constexpr std::array<std::string_view, sizeof...(Names)> names(Names... list) {
  return {std::string_view(list)...};
}

// Binds a filter's arguments, or says which one is wrong and where.
#define LATHE_BIND(variable, ...)                                       \
  const auto variable##_bound = arguments.bind(names(__VA_ARGS__));     \
  if (!variable##_bound) return machine.fail(variable##_bound.error()); \
  const auto& variable = *variable##_bound

Result<MarkedText> text_of(TemplateMachine& machine, const Value& value) {
  if (value.is_text()) return *value.text;
  return machine.to_text(value);
}

std::optional<std::string_view> characters_of(const Value& value) {
  return value.is_text() ? std::optional(value.view()) : std::nullopt;
}

template <CaseChange change>
Result<Value> case_filter(TemplateMachine& machine, const Value& input, const Arguments&) {
  LATHE_TRY(const MarkedText text, text_of(machine, input));
  return machine.make_text(change_case(text, change));
}

Result<Value> filter_trim(TemplateMachine& machine, const Value& input,
                          const Arguments& arguments) {
  LATHE_BIND(given, "chars");
  LATHE_TRY(const MarkedText text, text_of(machine, input));
  return machine.make_text(strip(text, characters_of(given[0]), true, true));
}

Result<Value> filter_string(TemplateMachine& machine, const Value& input, const Arguments&) {
  LATHE_TRY(MarkedText text, text_of(machine, input));
  return machine.make_text(std::move(text));
}

Result<Value> filter_safe(TemplateMachine&, const Value& input, const Arguments&) {
  return input;
}

Result<Value> filter_length(TemplateMachine& machine, const Value& input, const Arguments&) {
  std::size_t size = 0;
  if (input.is_text()) {
    LATHE_TRY_STATUS(machine.charge(input.text->size() / 16));
    size = character_count(input.view());
  } else if (input.is_sequence()) {
    size = input.list->size();
  } else if (input.is(ValueKind::kDict)) {
    size = input.dict->size();
  } else if (!input.is_undefined()) {
    return machine.fail("a {} has no length", type_name(input));
  }
  return Value::of(static_cast<std::int64_t>(size));
}

Result<Value> filter_default(TemplateMachine& machine, const Value& input,
                             const Arguments& arguments) {
  LATHE_BIND(given, "default_value", "boolean");
  if (!input.is_undefined() && !(truth(given[1]) && !truth(input))) return input;
  if (given[0].is_undefined()) return machine.make_text({});
  return given[0];
}

Result<Value> filter_join(TemplateMachine& machine, const Value& input,
                          const Arguments& arguments) {
  LATHE_BIND(given, "d", "attribute");
  LATHE_TRY(const ValueList items, machine.items_of(input));
  LATHE_TRY(const MarkedText separator, text_of(machine, given[0]));
  MarkedText out;
  for (std::size_t i = 0; i < items.size(); ++i) {
    Value item = items[i];
    if (!given[1].is_undefined()) {
      LATHE_TRY(item, machine.item_of(item, given[1]));
    }
    LATHE_TRY(const MarkedText text, text_of(machine, item));
    LATHE_TRY_STATUS(machine.charge((text.size() + separator.size()) / 16));
    LATHE_TRY_STATUS(machine.allow_text(out.size() + separator.size() + text.size()));
    if (i > 0) out.append(separator);
    out.append(text);
  }
  return machine.make_text(std::move(out));
}

Result<Value> filter_replace(TemplateMachine& machine, const Value& input,
                             const Arguments& arguments) {
  LATHE_BIND(given, "old", "new", "count");
  LATHE_TRY(const MarkedText text, text_of(machine, input));
  LATHE_TRY(const MarkedText from, text_of(machine, given[0]));
  LATHE_TRY(const MarkedText to, text_of(machine, given[1]));
  const std::int64_t count = given[2].is_whole() ? given[2].whole() : -1;
  LATHE_TRY_STATUS(machine.charge(text.size() / 16 * (to.size() / 16 + 1)));
  LATHE_TRY_STATUS(machine.allow_text(replaced_size(text, from.text(), to, count)));
  return machine.make_text(replace(text, from.text(), to, count));
}

Result<Value> filter_indent(TemplateMachine& machine, const Value& input,
                            const Arguments& arguments) {
  LATHE_BIND(given, "width", "first", "blank");
  LATHE_TRY(const MarkedText text, text_of(machine, input));
  MarkedText by("    ", false);
  if (given[0].is_text()) by = *given[0].text;
  if (given[0].is_whole()) {
    if (given[0].whole() > 1000)
      return machine.fail("an indent of {} is too wide", given[0].whole());
    by = MarkedText(
        std::string(static_cast<std::size_t>(std::max<std::int64_t>(given[0].whole(), 0)), ' '),
        false);
  }
  LATHE_TRY_STATUS(machine.charge(text.size() * (by.size() / 16 + 1)));
  const auto lines = static_cast<std::size_t>(std::ranges::count(text.text(), '\n')) + 1;
  LATHE_TRY_STATUS(machine.allow_text(text.size() + lines * by.size()));
  return machine.make_text(indent(text, by, truth(given[1]), truth(given[2])));
}

Result<Value> filter_format(TemplateMachine& machine, const Value& input,
                            const Arguments& arguments) {
  LATHE_TRY(const MarkedText text, text_of(machine, input));
  auto out = format_percent(text, arguments);
  if (!out) return machine.fail(out.error());
  return machine.make_text(std::move(*out));
}

Result<Value> filter_tojson(TemplateMachine& machine, const Value& input,
                            const Arguments& arguments) {
  LATHE_BIND(given, "ensure_ascii", "indent", "separators", "sort_keys");
  JsonStyle style;
  style.ascii = truth(given[0]);
  style.sort_keys = truth(given[3]);
  if (given[1].is_whole()) {
    if (given[1].whole() > 64) return machine.fail("an indent of {} is too wide", given[1].whole());
    style.indent =
        std::string(static_cast<std::size_t>(std::max<std::int64_t>(given[1].whole(), 0)), ' ');
  } else if (given[1].is_text()) {
    if (given[1].text->size() > 64) return machine.fail("an indent is too wide");
    style.indent = std::string(given[1].view());
  }
  style.most = machine.most_text();
  if (style.indent) style.item_separator = ",";
  if (given[2].is_sequence() && given[2].list->size() == 2 && (*given[2].list)[0].is_text() &&
      (*given[2].list)[1].is_text()) {
    style.item_separator = (*given[2].list)[0].view();
    style.key_separator = (*given[2].list)[1].view();
  }
  std::string json;
  bool user = false;
  if (const Status status = append_json(json, input, style, user); !status)
    return machine.fail(status.error());
  return machine.make_text(MarkedText(std::move(json), user));
}

Result<Value> filter_from_json(TemplateMachine& machine, const Value& input, const Arguments&) {
  if (!input.is_text()) return machine.fail("from_json reads text, not a {}", type_name(input));
  LATHE_TRY_STATUS(machine.charge(input.text->size()));
  const auto json = parse_json(input.view());
  if (!json) return machine.fail(json.error());
  return machine.heap().json(*json, input.text->has_user_text());
}

Result<Value> filter_items(TemplateMachine& machine, const Value& input, const Arguments&) {
  if (input.is_undefined()) return machine.make_list({});
  if (!input.is(ValueKind::kDict))
    return machine.fail("'items' wants a mapping, not a {}", type_name(input));
  ValueList out;
  for (const auto& [key, value] : input.dict->items()) {
    LATHE_TRY(const Value pair, machine.make_list({key, value}, ValueKind::kTuple));
    out.push_back(pair);
  }
  return machine.make_list(std::move(out));
}

Result<Value> filter_list(TemplateMachine& machine, const Value& input, const Arguments&) {
  LATHE_TRY(ValueList items, machine.items_of(input));
  return machine.make_list(std::move(items));
}

Result<Value> filter_first(TemplateMachine& machine, const Value& input, const Arguments&) {
  LATHE_TRY(const ValueList items, machine.items_of(input));
  return items.empty() ? Value() : items.front();
}

Result<Value> filter_last(TemplateMachine& machine, const Value& input, const Arguments&) {
  LATHE_TRY(const ValueList items, machine.items_of(input));
  return items.empty() ? Value() : items.back();
}

Result<Value> filter_reverse(TemplateMachine& machine, const Value& input, const Arguments&) {
  LATHE_TRY(ValueList items, machine.items_of(input));
  std::ranges::reverse(items);
  if (!input.is_text()) return machine.make_list(std::move(items));
  MarkedText text;
  for (const Value& item : items) text.append(*item.text);
  return machine.make_text(std::move(text));
}

Result<Value> filter_abs(TemplateMachine& machine, const Value& input, const Arguments&) {
  if (input.is(ValueKind::kReal)) return Value::of(std::abs(input.real));
  if (!input.is_whole() || input.whole() == INT64_MIN)
    return machine.fail("'abs' wants a number, not a {}", type_name(input));
  return Value::of(std::abs(input.whole()));
}

Result<Value> filter_int(TemplateMachine& machine, const Value& input, const Arguments& arguments) {
  LATHE_BIND(given, "default", "base");
  const Value fallback = given[0].is_undefined() ? Value::of(std::int64_t{0}) : given[0];
  if (input.is_whole()) return Value::of(input.whole());
  double real = input.is(ValueKind::kReal) ? input.real : std::nan("");
  if (input.is_text()) {
    std::string_view text = trim(input.view());
    if (text.starts_with('+')) text.remove_prefix(1);
    const char* end = text.data() + text.size();
    const int base = given[1].is_whole() && given[1].whole() >= 2 && given[1].whole() <= 36
                         ? static_cast<int>(given[1].whole())
                         : 10;
    std::int64_t whole = 0;
    if (const auto read = std::from_chars(text.data(), end, whole, base);
        read.ec == std::errc() && read.ptr == end)
      return Value::of(whole);
    if (const auto read = std::from_chars(text.data(), end, real);
        read.ec != std::errc() || read.ptr != end)
      return fallback;
  }
  if (!(std::abs(real) < 9.2e18)) return fallback;
  return Value::of(static_cast<std::int64_t>(real));
}

Result<Value> filter_float(TemplateMachine& machine, const Value& input,
                           const Arguments& arguments) {
  LATHE_BIND(given, "default");
  if (input.is_number()) return Value::of(input.number());
  double real = 0;
  if (input.is_text()) {
    std::string_view text = trim(input.view());
    if (text.starts_with('+')) text.remove_prefix(1);
    const char* end = text.data() + text.size();
    if (const auto read = std::from_chars(text.data(), end, real);
        read.ec == std::errc() && read.ptr == end)
      return Value::of(real);
  }
  return given[0].is_undefined() ? Value::of(0.0) : given[0];
}

Result<Value> filter_slice(TemplateMachine& machine, const Value& input,
                           const Arguments& arguments) {
  LATHE_BIND(given, "slices", "fill_with");
  LATHE_TRY(const ValueList items, machine.items_of(input));
  if (!given[0].is_whole() || given[0].whole() < 1)
    return machine.fail("'slice' wants a number of slices");
  const auto slices = static_cast<std::size_t>(given[0].whole());
  LATHE_TRY_STATUS(machine.charge(slices));
  const std::size_t each = items.size() / slices, longer = items.size() % slices;
  ValueList out;
  for (std::size_t i = 0, at = 0; i < slices; ++i) {
    const std::size_t count = each + (i < longer ? 1 : 0);
    ValueList part(items.begin() + static_cast<std::ptrdiff_t>(at),
                   items.begin() + static_cast<std::ptrdiff_t>(at + count));
    at += count;
    if (given[1].kind != ValueKind::kUndefined && i >= longer) part.push_back(given[1]);
    LATHE_TRY(const Value list, machine.make_list(std::move(part)));
    out.push_back(list);
  }
  return machine.make_list(std::move(out));
}

// "a.b.0"
Result<Value> attribute_path(TemplateMachine& machine, Value value, const Value& path) {
  if (path.is_whole()) return machine.item_of(value, path);
  if (!path.is_text()) return value;
  for (const std::string& name : lathe::split(path.view(), '.')) {
    std::int64_t index = 0;
    const auto read = std::from_chars(name.data(), name.data() + name.size(), index);
    const bool number =
        !name.empty() && read.ec == std::errc() && read.ptr == name.data() + name.size();
    LATHE_TRY(value, machine.item_of(value, number ? Value::of(index) : machine.heap().text(name)));
  }
  return value;
}

struct Keyed {
  Value key, value;
};

// What items are ordered and compared by: an attribute, lower case unless told otherwise.
Result<std::vector<Keyed>> keyed(TemplateMachine& machine, const ValueList& items,
                                 const Value& attribute, bool case_sensitive) {
  std::vector<Keyed> out;
  for (const Value& item : items) {
    LATHE_TRY(Value key, attribute_path(machine, item, attribute));
    if (key.is_text() && !case_sensitive) {
      LATHE_TRY(key, machine.make_text(change_case(*key.text, CaseChange::kLower)));
    }
    out.push_back({key, item});
  }
  return out;
}

Status sort_keyed(TemplateMachine& machine, std::vector<Keyed>& items, bool reverse) {
  LATHE_TRY_STATUS(machine.charge(items.size() * 32));
  std::optional<Error> error;
  std::ranges::stable_sort(items, [&](const Keyed& a, const Keyed& b) {
    if (error) return false;
    const auto order = compare_values(a.key, b.key);
    if (!order) {
      error = order.error();
      return false;
    }
    return reverse ? *order > 0 : *order < 0;
  });
  if (error) return machine.fail(*error);
  return {};
}

Result<Value> values_of(TemplateMachine& machine, const std::vector<Keyed>& items) {
  ValueList out;
  for (const Keyed& item : items) out.push_back(item.value);
  return machine.make_list(std::move(out));
}

Result<Value> filter_sort(TemplateMachine& machine, const Value& input,
                          const Arguments& arguments) {
  LATHE_BIND(given, "reverse", "case_sensitive", "attribute");
  LATHE_TRY(const ValueList items, machine.items_of(input));
  LATHE_TRY(auto sorted, keyed(machine, items, given[2], truth(given[1])));
  LATHE_TRY_STATUS(sort_keyed(machine, sorted, truth(given[0])));
  return values_of(machine, sorted);
}

Result<Value> filter_dictsort(TemplateMachine& machine, const Value& input,
                              const Arguments& arguments) {
  LATHE_BIND(given, "case_sensitive", "by", "reverse");
  LATHE_TRY(const Value items, filter_items(machine, input, {}));
  const bool by_value = given[1].is_text() && given[1].view() == "value";
  LATHE_TRY(auto sorted, keyed(machine, *items.list, Value::of(std::int64_t{by_value ? 1 : 0}),
                               truth(given[0])));
  LATHE_TRY_STATUS(sort_keyed(machine, sorted, truth(given[2])));
  return values_of(machine, sorted);
}

Result<Value> filter_unique(TemplateMachine& machine, const Value& input,
                            const Arguments& arguments) {
  LATHE_BIND(given, "case_sensitive", "attribute");
  LATHE_TRY(const ValueList items, machine.items_of(input));
  LATHE_TRY(const auto all, keyed(machine, items, given[1], truth(given[0])));
  std::vector<Keyed> kept;
  for (const Keyed& item : all) {
    LATHE_TRY_STATUS(machine.charge(kept.size()));
    bool known = false;
    for (const Keyed& other : kept) {
      const auto same = values_equal(item.key, other.key);
      if (!same) return machine.fail(same.error());
      known = known || *same;
    }
    if (!known) kept.push_back(item);
  }
  return values_of(machine, kept);
}

template <bool largest>
Result<Value> filter_extreme(TemplateMachine& machine, const Value& input,
                             const Arguments& arguments) {
  LATHE_BIND(given, "case_sensitive", "attribute");
  LATHE_TRY(const ValueList items, machine.items_of(input));
  LATHE_TRY(const auto all, keyed(machine, items, given[1], truth(given[0])));
  const Keyed* best = nullptr;
  for (const Keyed& item : all) {
    if (best != nullptr) {
      const auto order = compare_values(item.key, best->key);
      if (!order) return machine.fail(order.error());
      if (largest ? *order <= 0 : *order >= 0) continue;
    }
    best = &item;
  }
  return best == nullptr ? Value() : best->value;
}

// Of the filters that go through a list: whatever is false, none too, is an empty one.
Result<ValueList> items_if_any(TemplateMachine& machine, const Value& input) {
  return truth(input) ? machine.items_of(input) : ValueList();
}

Result<Value> filter_map(TemplateMachine& machine, const Value& input, const Arguments& arguments) {
  LATHE_TRY(const ValueList items, items_if_any(machine, input));
  ValueList out;
  if (arguments.positional.empty()) {
    LATHE_BIND(given, "attribute", "default");
    if (given[0].is_undefined()) return machine.fail("'map' wants a filter or attribute=");
    for (const Value& item : items) {
      LATHE_TRY(Value value, attribute_path(machine, item, given[0]));
      out.push_back(value.is_undefined() ? given[1] : value);
    }
    return machine.make_list(std::move(out));
  }
  const Value& name = arguments.positional[0];
  const TemplateFilter filter = name.is_text() ? find_filter(name.view()) : nullptr;
  if (filter == nullptr) return machine.fail("'map' wants the name of a filter");
  Arguments rest = arguments;
  rest.positional.erase(rest.positional.begin());
  if (rest.positional.size() > 0 && filter == &filter_map)
    return machine.fail("'map' of 'map' is not supported");
  for (const Value& item : items) {
    LATHE_TRY_STATUS(machine.charge(1));
    LATHE_TRY(const Value value, filter(machine, item, rest));
    out.push_back(value);
  }
  return machine.make_list(std::move(out));
}

template <bool wanted, bool by_attribute>
Result<Value> filter_select(TemplateMachine& machine, const Value& input,
                            const Arguments& arguments) {
  LATHE_TRY(const ValueList items, items_if_any(machine, input));
  Arguments rest = arguments;
  Value attribute;
  if (by_attribute) {
    if (rest.positional.empty()) return machine.fail("the name of an attribute is missing");
    attribute = rest.positional[0];
    rest.positional.erase(rest.positional.begin());
  }
  TemplateTest test = nullptr;
  if (!rest.positional.empty()) {
    const Value name = rest.positional[0];
    rest.positional.erase(rest.positional.begin());
    test = name.is_text() ? find_test(name.view()) : nullptr;
    if (test == nullptr) {
      LATHE_TRY(const MarkedText text, text_of(machine, name));
      return machine.fail("there is no test '{}'", clip_utf8(text.text(), 40));
    }
  }
  ValueList out;
  for (const Value& item : items) {
    LATHE_TRY_STATUS(machine.charge(1));
    LATHE_TRY(const Value value, attribute_path(machine, item, attribute));
    bool passed = truth(value);
    if (test != nullptr) {
      LATHE_TRY(passed, test(machine, value, rest));
    }
    if (passed == wanted) out.push_back(item);
  }
  return machine.make_list(std::move(out));
}

constexpr std::pair<std::string_view, TemplateFilter> kFilters[] = {
    {"abs", filter_abs},
    {"capitalize", case_filter<CaseChange::kCapitalize>},
    {"count", filter_length},
    {"d", filter_default},
    {"default", filter_default},
    {"dictsort", filter_dictsort},
    {"first", filter_first},
    {"float", filter_float},
    {"format", filter_format},
    {"from_json", filter_from_json},
    {"indent", filter_indent},
    {"int", filter_int},
    {"items", filter_items},
    {"join", filter_join},
    {"last", filter_last},
    {"length", filter_length},
    {"list", filter_list},
    {"lower", case_filter<CaseChange::kLower>},
    {"map", filter_map},
    {"max", filter_extreme<true>},
    {"min", filter_extreme<false>},
    {"reject", filter_select<false, false>},
    {"rejectattr", filter_select<false, true>},
    {"replace", filter_replace},
    {"reverse", filter_reverse},
    {"safe", filter_safe},
    {"select", filter_select<true, false>},
    {"selectattr", filter_select<true, true>},
    {"slice", filter_slice},
    {"sort", filter_sort},
    {"string", filter_string},
    {"title", case_filter<CaseChange::kTitleWords>},
    {"tojson", filter_tojson},
    {"trim", filter_trim},
    {"unique", filter_unique},
    {"upper", case_filter<CaseChange::kUpper>},
};

}  // namespace

Status Arguments::bind_to(std::span<const std::string_view> parameters,
                          std::span<Value> out) const {
  if (positional.size() > parameters.size())
    return invalid("{} arguments where at most {} are taken", positional.size(), parameters.size());
  std::ranges::copy(positional, out.begin());
  for (const auto& [name, value] : named) {
    const auto found = std::ranges::find(parameters, name);
    if (found == parameters.end()) return invalid("there is no parameter '{}'", name);
    out[static_cast<std::size_t>(found - parameters.begin())] = value;
  }
  return {};
}

TemplateFilter find_filter(std::string_view name) {
  for (const auto& [known, filter] : kFilters)
    if (known == name) return filter;
  return nullptr;
}

}  // namespace lathe::infer
