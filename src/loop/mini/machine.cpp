// What operators, builtins and methods do to Mini-Python's values, with fuel.
#include "loop/mini/machine.h"

#include <algorithm>

#include "ground/base/text.h"

namespace lathe::loop {
namespace {

std::unexpected<Error> wrong_type(std::string_view what, const MiniValue& value) {
  return mini_error("TypeError", "{}: not for {}", what, value.type_name());
}

std::unexpected<Error> overflow() {
  return mini_error("Overflow", "an integer beyond 64 bits");
}

Result<MiniValue> arithmetic(MiniOperator operation, std::int64_t a, std::int64_t b) {
  std::int64_t out = 0;
  bool over = false;
  switch (operation) {
    case MiniOperator::kAdd:
      over = __builtin_add_overflow(a, b, &out);
      break;
    case MiniOperator::kSubtract:
      over = __builtin_sub_overflow(a, b, &out);
      break;
    case MiniOperator::kMultiply:
      over = __builtin_mul_overflow(a, b, &out);
      break;
    default: {
      if (b == 0) return mini_error("ZeroDivisionError", "division by zero");
      if (b == -1) {  // what the processor cannot divide
        over = operation == MiniOperator::kDivide && __builtin_sub_overflow(0, a, &out);
        break;
      }
      // Rounded down, and the remainder has the divisor's sign.
      const std::int64_t rest = a % b;
      const bool down = rest != 0 && (rest < 0) != (b < 0);
      out = operation == MiniOperator::kDivide ? a / b - down : rest + (down ? b : 0);
    }
  }
  if (over) return overflow();
  return MiniValue{out};
}

// Negative, zero or positive: the order of two values that have one.
Result<int> order(const MiniValue& a, const MiniValue& b, MiniMeter& meter) {
  LATHE_TRY_STATUS(meter.step());
  if (a.is_number() && b.is_number()) return a.number() < b.number() ? -1 : a.number() > b.number();
  if (a.is_text() && b.is_text()) {
    LATHE_TRY_STATUS(meter.step(std::min(a.text().size(), b.text().size())));
    return a.text().compare(b.text());
  }
  if (!a.is_list() || !b.is_list())
    return mini_error("TypeError", "{} and {} have no order", a.type_name(), b.type_name());
  const MiniList &left = a.list(), &right = b.list();
  for (std::size_t i = 0; i < std::min(left.size(), right.size()); ++i)
    if (!mini_equal(left[i], right[i])) return order(left[i], right[i], meter);
  return left.size() < right.size() ? -1 : left.size() > right.size();
}

Result<MiniValue> compare(MiniOperator operation, const MiniValue& a, const MiniValue& b,
                          MiniMeter& meter) {
  if (operation == MiniOperator::kEqual || operation == MiniOperator::kNotEqual) {
    if (a.is_list()) LATHE_TRY_STATUS(meter.step(a.list().size()));
    return MiniValue{mini_equal(a, b) == (operation == MiniOperator::kEqual)};
  }
  LATHE_TRY(const int sign, order(a, b, meter));
  switch (operation) {
    case MiniOperator::kLess:
      return MiniValue{sign < 0};
    case MiniOperator::kLessEqual:
      return MiniValue{sign <= 0};
    case MiniOperator::kGreater:
      return MiniValue{sign > 0};
    default:
      return MiniValue{sign >= 0};
  }
}

Result<MiniValue> contains(const MiniValue& item, const MiniValue& in, MiniMeter& meter) {
  if (in.is_text()) {
    if (!item.is_text()) return wrong_type("in a str", item);
    LATHE_TRY_STATUS(meter.step(in.text().size()));
    return MiniValue{in.text().find(item.text()) != std::string::npos};
  }
  if (!in.is_list()) return wrong_type("in", in);
  LATHE_TRY_STATUS(meter.step(in.list().size()));
  return MiniValue{std::ranges::any_of(
      in.list(), [&](const MiniValue& other) { return mini_equal(item, other); })};
}

Result<MiniValue> repeated(const MiniValue& what, std::int64_t times, MiniMeter& meter) {
  const std::size_t size = what.is_text() ? what.text().size() : what.list().size();
  const auto count = static_cast<std::size_t>(std::clamp<std::int64_t>(times, 0, 1'000'000));
  LATHE_TRY_STATUS(meter.make(size * count));
  if (what.is_text()) {
    std::string out;
    for (std::size_t i = 0; i < count && size > 0; ++i) out += what.text();
    return MiniValue{std::move(out)};
  }
  MiniList out;
  for (std::size_t i = 0; i < count && size > 0; ++i)
    out.insert(out.end(), what.list().begin(), what.list().end());
  return mini_list(std::move(out));
}

Result<std::int64_t> number_in(const MiniValue& value) {
  if (value.is_number()) return value.number();
  if (!value.is_text()) return wrong_type("int()", value);
  std::string_view text = value.text();
  const auto space = [](char c) { return c == ' ' || (c >= 9 && c <= 13) || (c >= 28 && c <= 31); };
  while (!text.empty() && space(text.front())) text.remove_prefix(1);
  while (!text.empty() && space(text.back())) text.remove_suffix(1);
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  if (text.find('_') != text.npos) return mini_error("Unsupported", "int() of digits with '_'");
  std::int64_t number = 0;
  bool over = false;
  for (const char c : text) {
    if (c < '0' || c > '9') return mini_error("ValueError", "int(): not a number");
    over = over || __builtin_mul_overflow(number, 10, &number) ||
           __builtin_sub_overflow(number, c - '0', &number);
  }
  if (text.empty()) return mini_error("ValueError", "int(): not a number");
  if (over || (!negative && __builtin_sub_overflow(0, number, &number))) return overflow();
  return number;
}

Result<MiniValue> total(const MiniValue& of, MiniMeter& meter) {
  LATHE_TRY(const MiniList items, mini_items(of, meter));
  MiniValue sum{std::int64_t{0}};
  for (const MiniValue& item : items) {
    if (!item.is_number()) return wrong_type("sum()", item);
    LATHE_TRY(sum, arithmetic(MiniOperator::kAdd, sum.number(), item.number()));
  }
  return sum;
}

Result<MiniValue> extreme(bool greatest, std::span<const MiniValue> arguments, MiniMeter& meter) {
  MiniList items(arguments.begin(), arguments.end());
  if (arguments.size() == 1) {
    LATHE_TRY(items, mini_items(arguments[0], meter));
  }
  if (items.empty()) return mini_error("ValueError", "max() or min() of nothing");
  MiniValue best = items[0];
  for (std::size_t i = 1; i < items.size(); ++i) {
    LATHE_TRY(const int sign, order(items[i], best, meter));
    if (greatest ? sign > 0 : sign < 0) best = items[i];
  }
  return best;
}

// Insertion by binary search: stable, and an error of the order can leave it at any time.
Result<MiniValue> sorted(const MiniValue& of, MiniMeter& meter) {
  LATHE_TRY(const MiniList items, mini_items(of, meter));
  MiniList out;
  for (const MiniValue& item : items) {
    std::size_t low = 0, high = out.size();
    while (low < high) {
      const std::size_t middle = (low + high) / 2;
      LATHE_TRY(const int sign, order(item, out[middle], meter));
      if (sign < 0)
        high = middle;
      else
        low = middle + 1;
    }
    out.insert(out.begin() + static_cast<std::ptrdiff_t>(low), item);
  }
  return mini_list(std::move(out));
}

Result<MiniValue> character(const MiniValue& code) {
  if (!code.is_number()) return wrong_type("chr()", code);
  if (code.number() < 0 || code.number() > 0x10FFFF)
    return mini_error("ValueError", "chr(): no character");
  if (code.number() > 127) return mini_error("Unsupported", "a character beyond ASCII");
  return MiniValue{std::string(1, static_cast<char>(code.number()))};
}

// The index in [0, size) that Python means.
Result<std::size_t> index_of(const MiniValue& at, std::size_t size) {
  if (!at.is_number()) return wrong_type("an index", at);
  const auto count = static_cast<std::int64_t>(size);
  const std::int64_t index = at.number() < 0 ? at.number() + count : at.number();
  if (index < 0 || index >= count) return mini_error("IndexError", "index out of range");
  return static_cast<std::size_t>(index);
}

Result<MiniValue> list_method(MiniFunction function, MiniList& of,
                              std::span<const MiniValue> arguments, MiniMeter& meter) {
  if (function == MiniFunction::kAppend) {
    if (arguments[0].is_list()) return mini_error("Unsupported", "a list in a list");
    LATHE_TRY_STATUS(meter.make(1));
    of.push_back(arguments[0]);
    return MiniValue{};
  }
  LATHE_TRY_STATUS(meter.step(of.size()));
  if (function == MiniFunction::kPop) {
    // pop() does not look at a wrong index before it looks whether there is anything.
    if (!arguments.empty() && !arguments[0].is_number()) return wrong_type("pop()", arguments[0]);
    const MiniValue last{std::int64_t{-1}};
    LATHE_TRY(const std::size_t at, index_of(arguments.empty() ? last : arguments[0], of.size()));
    MiniValue value = std::move(of[at]);
    of.erase(of.begin() + static_cast<std::ptrdiff_t>(at));
    return value;
  }
  const auto same = [&](const MiniValue& item) { return mini_equal(item, arguments[0]); };
  if (function == MiniFunction::kCount)
    return MiniValue{static_cast<std::int64_t>(std::ranges::count_if(of, same))};
  const auto found = std::ranges::find_if(of, same);
  if (found == of.end()) return mini_error("ValueError", "index(): not in the list");
  return MiniValue{static_cast<std::int64_t>(found - of.begin())};
}

bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}
bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}

MiniValue classified(MiniFunction function, const std::string& text) {
  const auto all = [&](const auto& is) {
    return MiniValue{!text.empty() && std::ranges::all_of(text, is)};
  };
  switch (function) {
    case MiniFunction::kIsAlpha:
      return all([](char c) { return is_upper(c) || is_lower(c); });
    case MiniFunction::kIsDigit:
      return all([](char c) { return c >= '0' && c <= '9'; });
    case MiniFunction::kIsLower:
      return MiniValue{std::ranges::any_of(text, is_lower) && std::ranges::none_of(text, is_upper)};
    default:
      return MiniValue{std::ranges::any_of(text, is_upper) && std::ranges::none_of(text, is_lower)};
  }
}

std::string in_case(std::string text, bool upper) {
  for (char& c : text)
    if (upper ? is_lower(c) : is_upper(c)) c = static_cast<char>(c ^ 0x20);
  return text;
}

std::int64_t occurrences(std::string_view text, std::string_view part) {
  if (part.empty()) return static_cast<std::int64_t>(text.size()) + 1;
  std::int64_t count = 0;
  for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + part.size()))
    ++count;
  return count;
}

Result<MiniValue> replaced(const std::string& text, const std::string& from, const std::string& to,
                           MiniMeter& meter) {
  const auto times = static_cast<std::size_t>(occurrences(text, from));
  LATHE_TRY_STATUS(meter.make(text.size() + times * to.size()));
  if (!from.empty()) return MiniValue{replace_all(text, from, to)};
  std::string out = to;
  for (const char c : text) out += c + to;
  return MiniValue{std::move(out)};
}

Result<MiniValue> joined(const std::string& between, const MiniValue& of, MiniMeter& meter) {
  LATHE_TRY(const MiniList items, mini_items(of, meter));
  std::string out;
  for (const MiniValue& item : items) {
    if (!item.is_text()) return wrong_type("join()", item);
    LATHE_TRY_STATUS(meter.make(between.size() + item.text().size()));
    if (&item != &items.front()) out += between;
    out += item.text();
  }
  return MiniValue{std::move(out)};
}

Result<MiniValue> text_method(MiniFunction function, const std::string& of,
                              std::span<const MiniValue> arguments, MiniMeter& meter) {
  LATHE_TRY_STATUS(meter.step(of.size()));
  if (function == MiniFunction::kJoin) return joined(of, arguments[0], meter);
  for (const MiniValue& argument : arguments)
    if (!argument.is_text()) return wrong_type("a str's method", argument);
  const auto place = [&](std::size_t at) {
    return MiniValue{at == of.npos ? std::int64_t{-1} : static_cast<std::int64_t>(at)};
  };
  switch (function) {
    case MiniFunction::kCount:
      return MiniValue{occurrences(of, arguments[0].text())};
    case MiniFunction::kStartsWith:
      return MiniValue{of.starts_with(arguments[0].text())};
    case MiniFunction::kEndsWith:
      return MiniValue{of.ends_with(arguments[0].text())};
    case MiniFunction::kFind:
      return place(of.find(arguments[0].text()));
    case MiniFunction::kIndex:
      if (of.find(arguments[0].text()) == of.npos)
        return mini_error("ValueError", "index(): not in the str");
      return place(of.find(arguments[0].text()));
    case MiniFunction::kReplace:
      return replaced(of, arguments[0].text(), arguments[1].text(), meter);
    case MiniFunction::kLower:
    case MiniFunction::kUpper:
      LATHE_TRY_STATUS(meter.make(of.size()));
      return MiniValue{in_case(of, function == MiniFunction::kUpper)};
    default:
      return classified(function, of);
  }
}

}  // namespace

Result<MiniValue> mini_binary(MiniOperator operation, const MiniValue& a, const MiniValue& b,
                              MiniMeter& meter) {
  if (operation == MiniOperator::kIn) return contains(a, b, meter);
  if (operation == MiniOperator::kNotIn) {
    LATHE_TRY(const MiniValue in, contains(a, b, meter));
    return MiniValue{!in.truth()};
  }
  if (operation >= MiniOperator::kEqual) return compare(operation, a, b, meter);
  if (a.is_number() && b.is_number()) return arithmetic(operation, a.number(), b.number());
  const bool sequences = (a.is_text() && b.is_text()) || (a.is_list() && b.is_list());
  if (operation == MiniOperator::kAdd && sequences) {
    if (a.is_text()) {
      LATHE_TRY_STATUS(meter.make(a.text().size() + b.text().size()));
      return MiniValue{a.text() + b.text()};
    }
    LATHE_TRY_STATUS(meter.make(a.list().size() + b.list().size()));
    MiniList both = a.list();
    both.insert(both.end(), b.list().begin(), b.list().end());
    return mini_list(std::move(both));
  }
  if (operation == MiniOperator::kMultiply) {
    if ((a.is_text() || a.is_list()) && b.is_number()) return repeated(a, b.number(), meter);
    if ((b.is_text() || b.is_list()) && a.is_number()) return repeated(b, a.number(), meter);
  }
  if (operation == MiniOperator::kModulo && a.is_text())
    return mini_error("Unsupported", "formatting by %");
  return mini_error("TypeError", "an operator between {} and {}", a.type_name(), b.type_name());
}

Result<MiniValue> mini_augmented(MiniOperator operation, const MiniValue& a, const MiniValue& b,
                                 MiniMeter& meter) {
  if (!a.is_list()) return mini_binary(operation, a, b, meter);
  if (operation == MiniOperator::kAdd) {
    LATHE_TRY(const MiniList more, mini_items(b, meter));
    a.list().insert(a.list().end(), more.begin(), more.end());
    return a;
  }
  LATHE_TRY(const MiniValue out, mini_binary(operation, a, b, meter));
  if (operation == MiniOperator::kMultiply) {
    a.list() = out.list();
    return a;
  }
  return out;
}

Result<MiniValue> mini_negative(const MiniValue& a) {
  if (!a.is_number()) return wrong_type("-", a);
  return arithmetic(MiniOperator::kSubtract, 0, a.number());
}

Result<MiniList> mini_items(const MiniValue& of, MiniMeter& meter) {
  if (of.is_list()) {
    LATHE_TRY_STATUS(meter.make(of.list().size()));
    return of.list();
  }
  if (!of.is_text()) return wrong_type("items", of);
  LATHE_TRY_STATUS(meter.make(of.text().size()));
  MiniList items;
  for (const char c : of.text()) items.push_back({std::string(1, c)});
  return items;
}

Result<MiniRange> mini_range(std::span<const MiniValue> arguments) {
  for (const MiniValue& argument : arguments)
    if (!argument.is_number()) return wrong_type("range()", argument);
  MiniRange range;
  range.to = arguments[arguments.size() > 1 ? 1 : 0].number();
  if (arguments.size() > 1) range.from = arguments[0].number();
  if (arguments.size() > 2) range.step = arguments[2].number();
  if (range.step == 0) return mini_error("ValueError", "range() with a step of 0");
  return range;
}

Result<MiniValue> mini_builtin(MiniFunction function, std::span<const MiniValue> arguments,
                               MiniMeter& meter) {
  const MiniValue& first = arguments[0];
  switch (function) {
    case MiniFunction::kAbs:
      if (!first.is_number()) return wrong_type("abs()", first);
      return first.number() < 0 ? mini_negative(first) : MiniValue{first.number()};
    case MiniFunction::kBool:
      return MiniValue{first.truth()};
    case MiniFunction::kChr:
      return character(first);
    case MiniFunction::kInt: {
      LATHE_TRY(const std::int64_t number, number_in(first));
      return MiniValue{number};
    }
    case MiniFunction::kLen:
      if (first.is_text()) return MiniValue{static_cast<std::int64_t>(first.text().size())};
      if (first.is_list()) return MiniValue{static_cast<std::int64_t>(first.list().size())};
      return wrong_type("len()", first);
    case MiniFunction::kMax:
    case MiniFunction::kMin:
      return extreme(function == MiniFunction::kMax, arguments, meter);
    case MiniFunction::kOrd:
      if (!first.is_text() || first.text().size() != 1) return wrong_type("ord()", first);
      return MiniValue{std::int64_t{first.text()[0]}};
    case MiniFunction::kSorted:
      return sorted(first, meter);
    case MiniFunction::kStr: {
      if (first.is_text()) return first;
      std::string text = mini_repr(first);
      LATHE_TRY_STATUS(meter.make(text.size()));
      return MiniValue{std::move(text)};
    }
    case MiniFunction::kSum:
      return total(first, meter);
    default: {
      LATHE_TRY(MiniList items, mini_items(first, meter));  // list()
      return mini_list(std::move(items));
    }
  }
}

Status mini_has_method(MiniFunction function, const MiniValue& of) {
  const bool both = function == MiniFunction::kCount || function == MiniFunction::kIndex;
  const bool list = function == MiniFunction::kAppend || function == MiniFunction::kPop;
  if ((of.is_list() && (both || list)) || (of.is_text() && !list)) return {};
  return mini_error("AttributeError", "{} has no such method", of.type_name());
}

Result<MiniValue> mini_method(MiniFunction function, const MiniValue& of,
                              std::span<const MiniValue> arguments, MiniMeter& meter) {
  if (of.is_list()) return list_method(function, of.list(), arguments, meter);
  return text_method(function, of.text(), arguments, meter);
}

Result<MiniValue> mini_item(const MiniValue& of, const MiniValue& at) {
  if (of.is_text()) {
    LATHE_TRY(const std::size_t index, index_of(at, of.text().size()));
    return MiniValue{std::string(1, of.text()[index])};
  }
  if (!of.is_list()) return wrong_type("[]", of);
  LATHE_TRY(const std::size_t index, index_of(at, of.list().size()));
  return of.list()[index];
}

Status mini_set_item(const MiniValue& of, const MiniValue& at, MiniValue value) {
  if (!of.is_list()) return wrong_type("an assignment to []", of);
  LATHE_TRY(const std::size_t index, index_of(at, of.list().size()));
  if (value.is_list()) return mini_error("Unsupported", "a list in a list");
  of.list()[index] = std::move(value);
  return {};
}

Result<MiniValue> mini_slice(const MiniValue& of, std::span<const MiniValue> bounds,
                             MiniMeter& meter) {
  if (!of.is_text() && !of.is_list()) return wrong_type("[:]", of);
  // In Python's order: the step first, with its value.
  const auto is_bound = [](const MiniValue& v) { return v.is_none() || v.is_number(); };
  if (!is_bound(bounds[2])) return wrong_type("a slice's step", bounds[2]);
  const std::int64_t step = bounds[2].is_none() ? 1 : bounds[2].number();
  if (step == 0) return mini_error("ValueError", "a slice with a step of 0");
  for (const MiniValue& bound : bounds.first(2))
    if (!is_bound(bound)) return wrong_type("a slice's bound", bound);
  const auto size = static_cast<std::int64_t>(of.is_text() ? of.text().size() : of.list().size());
  const std::int64_t low = step > 0 ? 0 : -1, high = step > 0 ? size : size - 1;
  const auto bound = [&](const MiniValue& value, std::int64_t otherwise) {
    if (value.is_none()) return otherwise;
    const std::int64_t at = value.number() < 0 ? value.number() + size : value.number();
    return std::clamp(at, low, high);
  };
  const MiniRange range{bound(bounds[0], step > 0 ? low : high),
                        bound(bounds[1], step > 0 ? high : low), step};
  std::string text;
  MiniList items;
  for (std::int64_t i = range.from; range.holds(i);) {
    LATHE_TRY_STATUS(meter.make(1));
    if (of.is_text())
      text += of.text()[static_cast<std::size_t>(i)];
    else
      items.push_back(of.list()[static_cast<std::size_t>(i)]);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  if (of.is_text()) return MiniValue{std::move(text)};
  return mini_list(std::move(items));
}

}  // namespace lathe::loop
