// JSON with limits. Object keys keep their order, so that prompts and hashes are stable.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "ground/base/json_library.h"
#include "ground/base/result.h"

namespace lathe {

using Json = nlohmann::ordered_json;

struct JsonLimits {
  std::size_t max_bytes = std::size_t{64} << 20;
  int max_depth = 64;               // dump() recurses: a deeper value could overflow the stack
  std::size_t max_members = 20000;  // of one object: ordered_json looks keys up one by one
  std::size_t max_values = std::size_t{1} << 24;  // of all kinds: each takes many times its text
};

// Errors name the byte offset. Duplicate keys are refused: two readers would disagree on which one
// counts.
Result<Json> parse_json(std::string_view text, const JsonLimits& limits = {});

// The same for objects with very many members, like vocabularies: keys are sorted, and finding one
// takes logarithmic time.
using SortedJson = nlohmann::json;
Result<SortedJson> parse_sorted_json(std::string_view text, const JsonLimits& limits = {});

// Invalid UTF-8 becomes U+FFFD, so dumping never throws.
std::string dump_json(const Json& value, int indent = -1);

// The same value always gives the same bytes, whatever order its keys came in: for hashing.
std::string canonical_json(const Json& value);

// Reads of a value whose shape is not known yet; the fallback is returned when the member is absent
// or of another type.
std::string json_string(const Json& object, std::string_view key, std::string fallback = {});
double json_number(const Json& object, std::string_view key, double fallback);
std::int64_t json_int(const Json& object, std::string_view key, std::int64_t fallback);
bool json_bool(const Json& object, std::string_view key, bool fallback);
const Json& json_at(const Json& object, std::string_view key);  // a null value when absent

}  // namespace lathe
