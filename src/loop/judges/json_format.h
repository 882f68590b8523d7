// The formats of JSON Schema that can be asserted. Pure.
#pragma once

#include <string_view>

namespace lathe {

// date-time, date, time, email, hostname, ipv4, ipv6, uri, uuid, json-pointer, regex.
bool is_known_format(std::string_view format);
// `format` must be a known one.
bool has_format(std::string_view format, std::string_view text);

}  // namespace lathe
