// The formats of JSON Schema that can be asserted. Pure.
#pragma once

#include <string_view>

namespace lathe {

// date-time, date, time, duration, email, hostname, ipv4, ipv6, uri, uri-reference, iri,
// iri-reference, uri-template, uuid, json-pointer, relative-json-pointer, regex. Of a hostname's
// "xn--" labels only the letters are looked at, not what they stand for.
bool is_known_format(std::string_view format);
// `format` must be a known one.
bool has_format(std::string_view format, std::string_view text);

}  // namespace lathe
