// OptionSpec: one row per setting of a component. Recipe keys, flags, defaults and documentation
// all come from it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ground/base/json.h"
#include "ground/base/result.h"

namespace lathe {

enum class OptionType {
  kString,
  kNumber,
  kInteger,
  kBool,
  kStrings,
  kTable,
  kDuration,
  kBar,
  kBytes
};

struct OptionSpec {
  std::string_view name;
  OptionType type = OptionType::kString;
  // As JSON text: "3", "\"auto\"", "[]"; empty: no default, the option may be absent. kMustBeGiven:
  // it must be given.
  std::string_view fallback = {};
  std::string_view help = {};
  // Not given, but another table of the recipe ([unit], then [make]) has an option of this name:
  // that value counts.
  bool inherit = false;
};

inline constexpr std::string_view kMustBeGiven = "!required";

struct OptionProblem {
  std::string key;
  std::string message;  // without the key
};

// `given` with the defaults filled in, in the order of the specs. Durations, bars and sizes stay as
// written; they have been checked, so option_duration() and its siblings below cannot fail on them.
// The first problem is returned instead.
std::expected<Json, OptionProblem> check_options(const Json& given,
                                                 std::span<const OptionSpec> specs);

// Reads of checked options.
std::string option_string(const Json& options, std::string_view key);  // "" when absent
double option_number(const Json& options, std::string_view key);
std::int64_t option_int(const Json& options, std::string_view key);
bool option_bool(const Json& options, std::string_view key);
std::vector<std::string> option_strings(const Json& options, std::string_view key);
std::int64_t option_duration_ms(const Json& options, std::string_view key);
double option_bar(const Json& options, std::string_view key);  // in [0,1]
std::uint64_t option_bytes(const Json& options, std::string_view key);

// "--set key=value" from a command line: the text becomes a value of the spec's type; "a,b" is a
// list, {…} a table.
Result<Json> parse_option_text(const OptionSpec& spec, std::string_view text);

}  // namespace lathe
