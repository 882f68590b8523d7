#include "loop/judges/json_format.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <string>

#include "loop/judges/regex.h"

namespace lathe {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_alnum(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// Takes two digits (or four) off the front; -1 when they are not there.
int take_number(std::string_view& text, std::size_t digits) {
  if (text.size() < digits || !std::ranges::all_of(text.substr(0, digits), is_digit)) return -1;
  int number = 0;
  for (const char c : text.substr(0, digits)) number = number * 10 + (c - '0');
  text.remove_prefix(digits);
  return number;
}

bool take(std::string_view& text, char expected) {
  if (!text.starts_with(expected)) return false;
  text.remove_prefix(1);
  return true;
}

bool take_date(std::string_view& text) {
  static constexpr std::array kDays{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const int year = take_number(text, 4);
  if (year < 0 || !take(text, '-')) return false;
  const int month = take_number(text, 2);
  if (month < 1 || month > 12 || !take(text, '-')) return false;
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  const int day = take_number(text, 2);
  return day >= 1 &&
         day <= kDays[static_cast<std::size_t>(month - 1)] + (leap && month == 2 ? 1 : 0);
}

// RFC 3339: an offset is required, and 60 is a second only where a leap second can be.
bool take_time(std::string_view& text) {
  const int hour = take_number(text, 2);
  if (hour < 0 || hour > 23 || !take(text, ':')) return false;
  const int minute = take_number(text, 2);
  if (minute < 0 || minute > 59 || !take(text, ':')) return false;
  const int second = take_number(text, 2);
  if (second < 0 || second > 60) return false;
  if (take(text, '.')) {
    if (take_number(text, 1) < 0) return false;
    while (take_number(text, 1) >= 0) {
    }
  }
  int offset = 0;
  if (!take(text, 'Z') && !take(text, 'z')) {
    const int sign = take(text, '+') ? 1 : take(text, '-') ? -1 : 0;
    const int hours = sign == 0 ? -1 : take_number(text, 2);
    if (hours < 0 || hours > 23 || !take(text, ':')) return false;
    const int minutes = take_number(text, 2);
    if (minutes < 0 || minutes > 59) return false;
    offset = sign * (hours * 60 + minutes);
  }
  const int utc = ((hour * 60 + minute - offset) % 1440 + 1440) % 1440;
  return second < 60 || utc == 1439;
}

bool is_date(std::string_view text) {
  return take_date(text) && text.empty();
}
bool is_time(std::string_view text) {
  return take_time(text) && text.empty();
}
bool is_date_time(std::string_view text) {
  return take_date(text) && (take(text, 'T') || take(text, 't')) && is_time(text);
}

bool is_hostname(std::string_view text) {
  if (text.empty() || text.size() > 253) return false;
  for (;;) {
    const std::string_view label = text.substr(0, text.find('.'));
    if (label.empty() || label.size() > 63 || label.starts_with('-') || label.ends_with('-') ||
        !std::ranges::all_of(label, [](char c) { return is_alnum(c) || c == '-'; }))
      return false;
    if (label.size() == text.size()) return true;
    text.remove_prefix(label.size() + 1);
  }
}

bool is_email(std::string_view text) {
  const auto sign = text.rfind('@');
  if (sign == text.npos || sign == 0 || sign > 64) return false;
  const std::string_view local = text.substr(0, sign);
  const auto atom = [](char c) {
    return is_alnum(c) ||
           std::string_view("!#$%&'*+-/=?^_`{|}~.").find(c) != std::string_view::npos;
  };
  return std::ranges::all_of(local, atom) && !local.starts_with('.') && !local.ends_with('.') &&
         local.find("..") == local.npos && is_hostname(text.substr(sign + 1));
}

template <int family>
bool is_address(std::string_view text) {
  std::array<unsigned char, 16> address{};
  return text.find('\0') == text.npos &&
         inet_pton(family, std::string(text).c_str(), address.data()) == 1;
}

bool is_uri(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == text.npos || colon == 0 || is_digit(text[0]) || !is_alnum(text[0])) return false;
  for (const char c : text.substr(0, colon))
    if (!is_alnum(c) && c != '+' && c != '-' && c != '.') return false;
  for (std::size_t i = colon + 1; i < text.size(); ++i) {
    const auto hex = [&](std::size_t k) {
      return k < text.size() &&
             std::string_view("0123456789abcdefABCDEF").find(text[k]) != std::string_view::npos;
    };
    if (text[i] == '%' && !(hex(i + 1) && hex(i + 2))) return false;
    if (!is_alnum(text[i]) &&
        std::string_view("-._~:/?#[]@!$&'()*+,;=%").find(text[i]) == std::string_view::npos)
      return false;
  }
  return true;
}

bool is_uuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    const char c = text[i];
    if (dash ? c != '-' : !is_digit(c) && !(c >= 'a' && c <= 'f') && !(c >= 'A' && c <= 'F'))
      return false;
  }
  return true;
}

bool is_json_pointer(std::string_view text) {
  if (!text.empty() && !text.starts_with('/')) return false;
  for (std::size_t i = 0; i < text.size(); ++i)
    if (text[i] == '~' && (i + 1 == text.size() || (text[i + 1] != '0' && text[i + 1] != '1')))
      return false;
  return true;
}

bool is_regex(std::string_view text) {
  return Regex::compile(text, Regex::Flavour::kEcma).has_value();
}

using Check = bool (*)(std::string_view);
constexpr std::array<std::pair<std::string_view, Check>, 11> kFormats{
    {{"date-time", is_date_time},
     {"date", is_date},
     {"time", is_time},
     {"email", is_email},
     {"hostname", is_hostname},
     {"ipv4", is_address<AF_INET>},
     {"ipv6", is_address<AF_INET6>},
     {"uri", is_uri},
     {"uuid", is_uuid},
     {"json-pointer", is_json_pointer},
     {"regex", is_regex}}};

}  // namespace

bool is_known_format(std::string_view format) {
  return std::ranges::any_of(kFormats, [&](const auto& each) { return each.first == format; });
}

bool has_format(std::string_view format, std::string_view text) {
  for (const auto& [name, check] : kFormats)
    if (name == format) return check(text);
  return false;
}

}  // namespace lathe
