// The formats of JSON Schema, by the RFCs that it names.
#include "ground/schema/json_format.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <string>

#include "ground/schema/regex.h"

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

template <int family>
bool is_address(std::string_view text) {
  std::array<unsigned char, 16> address{};
  return text.find('\0') == text.npos &&
         inet_pton(family, std::string(text).c_str(), address.data()) == 1;
}

// RFC 5321: the mailbox may be quoted, and the domain may be an address in brackets.
bool is_email(std::string_view text) {
  const auto sign = text.rfind('@');
  if (sign == text.npos || sign == 0 || sign > 64) return false;
  const std::string_view local = text.substr(0, sign), domain = text.substr(sign + 1);
  if (domain.starts_with('[') && domain.ends_with(']')) {
    const std::string_view literal = domain.substr(1, domain.size() - 2);
    if (!(literal.starts_with("IPv6:") ? is_address<AF_INET6>(literal.substr(5))
                                       : is_address<AF_INET>(literal)))
      return false;
  } else if (!is_hostname(domain)) {
    return false;
  }
  if (local.size() > 1 && local.starts_with('"') && local.ends_with('"')) {
    for (std::size_t i = 1; i + 1 < local.size(); ++i) {
      if (local[i] < ' ' || local[i] > '~' || local[i] == '"') return false;
      if (local[i] == '\\' && ++i + 1 >= local.size()) return false;
    }
    return true;
  }
  const auto atom = [](char c) {
    return is_alnum(c) ||
           std::string_view("!#$%&'*+-/=?^_`{|}~.").find(c) != std::string_view::npos;
  };
  return std::ranges::all_of(local, atom) && !local.starts_with('.') && !local.ends_with('.') &&
         local.find("..") == local.npos;
}

bool is_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

// Whether `text` is made of unreserved characters, percent triplets, sub-delimiters (RFC 3986),
// what `more` holds, and in an IRI (RFC 3987) of any beyond ASCII.
bool is_uri_text(std::string_view text, std::string_view more, bool iri) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '%') {
      if (i + 2 >= text.size() || !is_hex(text[i + 1]) || !is_hex(text[i + 2])) return false;
      i += 2;
    } else if (!is_alnum(c) && std::string_view("-._~!$&'()*+,;=").find(c) == text.npos &&
               more.find(c) == more.npos && !(iri && static_cast<unsigned char>(c) >= 0x80)) {
      return false;
    }
  }
  return true;
}

// [user@]host[:port]
bool is_authority(std::string_view text, bool iri) {
  if (const auto at = text.rfind('@'); at != text.npos) {
    if (!is_uri_text(text.substr(0, at), ":", iri)) return false;
    text.remove_prefix(at + 1);
  }
  if (text.starts_with('[')) {
    const auto end = text.find(']');
    if (end == text.npos) return false;
    const std::string_view literal = text.substr(1, end - 1);
    const bool future = literal.starts_with('v') || literal.starts_with('V');
    const auto dot = literal.find('.');
    if (!future ? !is_address<AF_INET6>(literal)
                : dot == literal.npos || dot == 1 || dot + 1 == literal.size() ||
                      !std::ranges::all_of(literal.substr(1, dot - 1), is_hex) ||
                      literal.find('%') != literal.npos ||
                      !is_uri_text(literal.substr(dot + 1), ":", false))
      return false;
    text.remove_prefix(end + 1);
  } else {
    const auto colon = std::min(text.find(':'), text.size());
    if (!is_uri_text(text.substr(0, colon), "", iri)) return false;
    text.remove_prefix(colon);
  }
  return text.empty() || (text.front() == ':' && std::ranges::all_of(text.substr(1), is_digit));
}

// The length of a scheme in front of a colon; 0: there is none.
std::size_t scheme_length(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == text.npos || colon == 0 || is_digit(text[0]) || !is_alnum(text[0])) return 0;
  const bool sound = std::ranges::all_of(text.substr(0, colon), [](char c) {
    return is_alnum(c) || c == '+' || c == '-' || c == '.';
  });
  return sound ? colon : 0;
}

bool is_reference(std::string_view text, bool iri, bool absolute) {
  const std::size_t scheme = scheme_length(text);
  if (absolute && scheme == 0) return false;
  if (scheme > 0) text.remove_prefix(scheme + 1);
  if (const auto hash = text.find('#'); hash != text.npos) {
    if (!is_uri_text(text.substr(hash + 1), ":@/?", iri)) return false;
    text = text.substr(0, hash);
  }
  if (const auto query = text.find('?'); query != text.npos) {
    if (!is_uri_text(text.substr(query + 1), ":@/?", iri)) return false;
    text = text.substr(0, query);
  }
  if (text.starts_with("//")) {
    text.remove_prefix(2);
    const auto path = std::min(text.find('/'), text.size());
    if (!is_authority(text.substr(0, path), iri)) return false;
    text.remove_prefix(path);
  } else if (scheme == 0 && text.substr(0, text.find('/')).contains(':')) {
    return false;  // it would be taken for a scheme
  }
  return is_uri_text(text, ":@/", iri);
}

bool is_uri(std::string_view text) {
  return is_reference(text, false, true);
}
bool is_uri_reference(std::string_view text) {
  return is_reference(text, false, false);
}
bool is_iri(std::string_view text) {
  return is_reference(text, true, true);
}
bool is_iri_reference(std::string_view text) {
  return is_reference(text, true, false);
}

// RFC 6570: names with dots, a prefix length from 1 to 9999 or a star, one of the operators.
bool is_template_variable(std::string_view text) {
  if (text.ends_with('*')) {
    text.remove_suffix(1);
  } else if (const auto colon = text.find(':'); colon != text.npos) {
    const std::string_view length = text.substr(colon + 1);
    if (length.empty() || length.size() > 4 || length.front() == '0' ||
        !std::ranges::all_of(length, is_digit))
      return false;
    text = text.substr(0, colon);
  }
  if (text.empty() || text.starts_with('.') || text.ends_with('.') || text.contains(".."))
    return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      if (i + 2 >= text.size() || !is_hex(text[i + 1]) || !is_hex(text[i + 2])) return false;
      i += 2;
    } else if (!is_alnum(text[i]) && text[i] != '_' && text[i] != '.') {
      return false;
    }
  }
  return true;
}

bool is_uri_template(std::string_view text) {
  while (!text.empty()) {
    const auto open = std::min(text.find('{'), text.size());
    const std::string_view literal = text.substr(0, open);
    if (!is_uri_text(literal, ":/?#[]@", true)) return false;
    text.remove_prefix(open);
    if (text.empty()) return true;
    const auto close = text.find('}');
    if (close == text.npos) return false;
    std::string_view list = text.substr(1, close - 1);
    text.remove_prefix(close + 1);
    if (!list.empty() && std::string_view("+#./;?&").contains(list.front())) list.remove_prefix(1);
    for (bool more = true; more;) {
      const auto comma = std::min(list.find(','), list.size());
      if (!is_template_variable(list.substr(0, comma))) return false;
      more = comma < list.size();
      if (more) list.remove_prefix(comma + 1);
    }
  }
  return true;
}

// RFC 3339, appendix A: units that follow each other without a gap, or weeks alone.
bool take_units(std::string_view& text, std::string_view units) {
  std::size_t next = units.npos;
  while (!text.empty() && is_digit(text.front())) {
    while (!text.empty() && is_digit(text.front())) text.remove_prefix(1);
    const auto unit = text.empty() ? units.npos : units.find(text.front());
    if (unit == units.npos || (next != units.npos && unit != next)) return false;
    next = unit + 1;
    text.remove_prefix(1);
  }
  return next != units.npos;
}

bool is_duration(std::string_view text) {
  if (!take(text, 'P')) return false;
  std::string_view weeks = text;
  if (take_units(weeks, "W") && weeks.empty()) return true;
  const bool date = !text.starts_with('T');
  if (date && !take_units(text, "YMD")) return false;
  if (text.empty()) return date;
  return take(text, 'T') && take_units(text, "HMS") && text.empty();
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

// A whole number of steps up, then a pointer or '#'.
bool is_relative_json_pointer(std::string_view text) {
  const auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
  if (digits == 0 || (text.front() == '0' && digits > 1)) return false;
  text.remove_prefix(digits);
  return text == "#" || is_json_pointer(text);
}

// What PCRE2 knows and ECMAScript does not: escapes by other letters, "(?i)", "(?P<name>", "(?#".
bool has_foreign_syntax(std::string_view text) {
  for (std::size_t i = 0; i + 1 < text.size(); ++i) {
    const std::string_view rest = text.substr(i + 1);
    if (text[i] == '\\') {
      const char c = rest.front();
      if (is_alnum(c) && !is_digit(c) &&
          std::string_view("dDwWsSbBnrtvfcxukpP").find(c) == std::string_view::npos)
        return true;
      ++i;
    } else if (text[i] == '(' && rest.front() == '?') {
      const char c = rest.size() > 1 ? rest[1] : ' ';
      if (c != ':' && c != '=' && c != '!' && c != '<') return true;
    }
  }
  return false;
}

bool is_regex(std::string_view text) {
  return !has_foreign_syntax(text) && Regex::compile(text, Regex::Flavour::kEcma).has_value();
}

using Check = bool (*)(std::string_view);
constexpr std::array<std::pair<std::string_view, Check>, 17> kFormats{
    {{"date-time", is_date_time},
     {"date", is_date},
     {"time", is_time},
     {"email", is_email},
     {"hostname", is_hostname},
     {"ipv4", is_address<AF_INET>},
     {"ipv6", is_address<AF_INET6>},
     {"uri", is_uri},
     {"uri-reference", is_uri_reference},
     {"iri", is_iri},
     {"iri-reference", is_iri_reference},
     {"uri-template", is_uri_template},
     {"duration", is_duration},
     {"relative-json-pointer", is_relative_json_pointer},
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
