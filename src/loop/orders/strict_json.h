// Members of foreign JSON that have to be there and of their type. Errors name the member.
#pragma once

#include "ground/base/hash.h"
#include "ground/base/json.h"
#include "ground/base/text.h"

namespace lathe::loop {

inline std::string clip(std::string_view text) {
  return clip_utf8(make_valid_utf8(text), 80);
}

inline Result<std::string> strict_text(const Json& json, std::string_view key) {
  const Json& value = json_at(json, key);
  if (!value.is_string()) return invalid("{}: is no text", key);
  return value.get<std::string>();
}

inline Result<std::string> strict_blob(const Json& json, std::string_view key) {
  LATHE_TRY(std::string name, strict_text(json, key));
  if (!is_sha256_hex(name)) return invalid("{}: '{}' names no blob", key, clip(name));
  return name;
}

inline Result<bool> strict_bool(const Json& json, std::string_view key) {
  const Json& value = json_at(json, key);
  if (!value.is_boolean()) return invalid("{}: is neither true nor false", key);
  return value.get<bool>();
}

inline Result<std::int64_t> strict_int(const Json& json, std::string_view key, std::int64_t low,
                                       std::int64_t high) {
  const Json& value = json_at(json, key);
  const bool fits = value.is_number_unsigned()
                        ? value.get<std::uint64_t>() <= static_cast<std::uint64_t>(high)
                        : value.is_number_integer();
  if (fits && value.get<std::int64_t>() >= low && value.get<std::int64_t>() <= high)
    return value.get<std::int64_t>();
  return invalid("{}: is no number from {} to {}", key, low, high);
}

inline Result<Json> strict_list(const Json& json, std::string_view key) {
  const Json& value = json_at(json, key);
  if (!value.is_array()) return invalid("{}: is no list", key);
  return value;
}

}  // namespace lathe::loop
