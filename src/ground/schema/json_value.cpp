// Numbers and values as JSON Schema compares them.
#include "ground/schema/json_value.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "ground/base/text.h"

namespace lathe {
namespace {

using Wide = unsigned __int128;

// ±digits · 10^exponent; no trailing zero in digits, and zero is 0 · 10^0.
struct Decimal {
  bool negative = false;
  std::uint64_t digits = 0;
  int exponent = 0;
};

Decimal normalised(Decimal decimal) {
  if (decimal.digits == 0) return {};
  while (decimal.digits % 10 == 0) {
    decimal.digits /= 10;
    ++decimal.exponent;
  }
  return decimal;
}

Decimal decimal_of(const Json& number) {
  if (number.is_number_unsigned()) return normalised({false, number.get<std::uint64_t>(), 0});
  if (number.is_number_integer()) {
    const auto value = number.get<std::int64_t>();
    const auto bits = static_cast<std::uint64_t>(value);
    return normalised({value < 0, value < 0 ? ~bits + 1 : bits, 0});
  }
  const double value = number.get<double>();
  std::array<char, 40> buffer{};
  const auto printed = std::to_chars(buffer.data(), buffer.data() + buffer.size(), std::abs(value),
                                     std::chars_format::scientific);
  const std::string_view text(buffer.data(), static_cast<std::size_t>(printed.ptr - buffer.data()));
  const auto e = text.find('e');
  Decimal decimal{std::signbit(value), 0, 0};
  for (const char c : text.substr(0, e))
    if (c != '.') decimal.digits = decimal.digits * 10 + static_cast<std::uint64_t>(c - '0');
  const bool plus = e + 1 < text.size() && text[e + 1] == '+';
  std::from_chars(text.data() + e + 1 + (plus ? 1 : 0), text.data() + text.size(),
                  decimal.exponent);
  if (const auto point = text.find('.'); point != text.npos)
    decimal.exponent -= static_cast<int>(e - point - 1);
  return normalised(decimal);
}

std::uint64_t power_of_ten_modulo(int exponent, std::uint64_t modulus) {
  Wide result = 1 % modulus, base = 10 % modulus;
  for (int rest = exponent; rest > 0; rest /= 2) {
    if (rest % 2) result = result * base % modulus;
    base = base * base % modulus;
  }
  return static_cast<std::uint64_t>(result);
}

// Sees numbers as they are written.
class NumberReader : public nlohmann::json_sax<Json> {
 public:
  std::string inexact;

  bool number_float(number_float_t value, const string_t& text) override {
    if (text.find_first_of(".eE") == text.npos && fmt::format("{:.0f}", value) != text)
      inexact = text;
    return inexact.empty();
  }
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override { return true; }
  bool key(string_t&) override { return true; }
  bool end_object() override { return true; }
  bool start_array(std::size_t) override { return true; }
  bool end_array() override { return true; }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override {
    return false;
  }
};

}  // namespace

Status check_exact_numbers(std::string_view text) {
  NumberReader reader;
  (void)Json::sax_parse(text, &reader);
  if (reader.inexact.empty()) return {};
  return invalid("the number {} is beyond what can be compared exactly (64 bits)",
                 clip_utf8(reader.inexact, 60));
}

std::string value_key(const Json& value) {
  if (value.is_number()) {
    const Decimal decimal = decimal_of(value);
    return fmt::format("{}{}e{}", decimal.negative ? "-" : "", decimal.digits, decimal.exponent);
  }
  if (value.is_array()) {
    std::string key = "[";
    for (const Json& item : value) key += value_key(item) + ',';
    return key + ']';
  }
  if (value.is_object()) {
    std::vector<std::string> members;
    for (const auto& [name, member] : value.items())
      members.push_back(dump_json(name) + ':' + value_key(member));
    std::ranges::sort(members);
    return '{' + join(members, ",") + '}';
  }
  return dump_json(value);
}

int compare_numbers(const Json& a, const Json& b) {
  // A long double holds every 64-bit integer and every double exactly.
  const auto x = a.get<long double>(), y = b.get<long double>();
  return x < y ? -1 : x > y ? 1 : 0;
}

bool is_integer_value(const Json& value) {
  if (value.is_number_integer()) return true;
  return value.is_number_float() && std::trunc(value.get<double>()) == value.get<double>();
}

bool is_multiple(const Json& number, const Json& step) {
  const Decimal value = decimal_of(number), unit = decimal_of(step);
  if (value.digits == 0 || unit.digits == 0) return value.digits == 0;
  const int shift = value.exponent - unit.exponent;
  if (shift >= 0)
    return Wide{value.digits % unit.digits} * power_of_ten_modulo(shift, unit.digits) %
               unit.digits ==
           0;
  // 10^20 is above every 64-bit number, so nothing but zero could be a multiple.
  if (-shift >= 20) return false;
  Wide scaled = unit.digits;
  for (int i = 0; i < -shift; ++i) scaled *= 10;
  return value.digits % scaled == 0;
}

std::size_t count_code_points(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

std::string pointer_step(std::string_view pointer, std::string_view token) {
  return fmt::format("{}/{}", pointer, replace_all(replace_all(token, "~", "~0"), "/", "~1"));
}

}  // namespace lathe
