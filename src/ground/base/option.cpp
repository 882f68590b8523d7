// Options against their descriptors: types, defaults, what is unknown.
#include "ground/base/option.h"

#include <cmath>

#include "ground/base/text.h"
#include "ground/base/units.h"

namespace lathe {
namespace {

std::string_view type_name(OptionType type) {
  switch (type) {
    case OptionType::kString:
      return "a string";
    case OptionType::kNumber:
      return "a number";
    case OptionType::kInteger:
      return "a whole number";
    case OptionType::kBool:
      return "true or false";
    case OptionType::kStrings:
      return "a list of strings";
    case OptionType::kTable:
      return "a table";
    case OptionType::kDuration:
      return "a duration like \"20m\"";
    case OptionType::kBar:
      return "a bar like \"9/10\" or 0.9";
    case OptionType::kBytes:
      return "a size like \"2GiB\"";
  }
  return "";
}

// Numbers are taken where a quantity is written without its unit (bar = 0.9, memory = 4096).
std::string quantity_text(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

std::string type_problem(const Json& value, OptionType type) {
  const auto of = [](const auto& parsed) {
    return parsed ? std::string() : parsed.error().message;
  };
  bool fits = false;
  switch (type) {
    case OptionType::kString:
      fits = value.is_string();
      break;
    case OptionType::kNumber:
      // TOML has nan and inf; a bound that is one of them would hold for everything.
      fits = value.is_number() && std::isfinite(value.get<double>());
      break;
    case OptionType::kInteger:
      fits = value.is_number_integer();
      break;
    case OptionType::kBool:
      fits = value.is_boolean();
      break;
    case OptionType::kTable:
      fits = value.is_object();
      break;
    case OptionType::kStrings:
      fits = value.is_array() &&
             std::ranges::all_of(value, [](const Json& item) { return item.is_string(); });
      break;
    case OptionType::kDuration:
      if (value.is_string()) return of(parse_duration(value.get<std::string>()));
      break;
    case OptionType::kBar:
      if (value.is_string() || value.is_number()) return of(parse_bar(quantity_text(value)));
      break;
    case OptionType::kBytes:
      if (value.is_string() || value.is_number_integer())
        return of(parse_bytes(quantity_text(value)));
      break;
  }
  return fits ? std::string()
              : fmt::format("must be {}, not {}", type_name(type), clip_utf8(dump_json(value), 60));
}

}  // namespace

std::expected<Json, OptionProblem> check_options(const Json& given,
                                                 std::span<const OptionSpec> specs) {
  for (const auto& [key, value] : given.items()) {
    if (std::ranges::any_of(specs, [&](const OptionSpec& spec) { return spec.name == key; }))
      continue;
    std::vector<std::string> names;
    for (const OptionSpec& spec : specs) names.emplace_back(spec.name);
    return std::unexpected(OptionProblem{
        key, fmt::format("is not known here{}", names.empty() ? std::string("; no options are")
                                                              : did_you_mean(key, names))});
  }
  Json checked = Json::object();
  for (const OptionSpec& spec : specs) {
    const std::string key(spec.name);
    if (const auto it = given.find(key); it != given.end()) {
      if (std::string problem = type_problem(*it, spec.type); !problem.empty())
        return std::unexpected(OptionProblem{key, std::move(problem)});
      checked[key] = *it;
    } else if (spec.fallback == kMustBeGiven) {
      return std::unexpected(
          OptionProblem{key, fmt::format("is required: {} ({})", type_name(spec.type), spec.help)});
    } else if (!spec.fallback.empty()) {
      checked[key] = Json::parse(spec.fallback);
    }
  }
  return checked;
}

std::string option_string(const Json& options, std::string_view key) {
  return json_string(options, key);
}
double option_number(const Json& options, std::string_view key) {
  return json_number(options, key, 0);
}
std::int64_t option_int(const Json& options, std::string_view key) {
  return json_int(options, key, 0);
}
bool option_bool(const Json& options, std::string_view key) {
  return json_bool(options, key, false);
}

std::vector<std::string> option_strings(const Json& options, std::string_view key) {
  std::vector<std::string> strings;
  for (const Json& item : json_at(options, key))
    if (item.is_string()) strings.push_back(item.get<std::string>());
  return strings;
}

std::int64_t option_duration_ms(const Json& options, std::string_view key) {
  return parse_duration(option_string(options, key)).value_or(Milliseconds(0)).count();
}
double option_bar(const Json& options, std::string_view key) {
  return parse_bar(quantity_text(json_at(options, key))).value_or(1.0);
}
std::uint64_t option_bytes(const Json& options, std::string_view key) {
  return parse_bytes(quantity_text(json_at(options, key))).value_or(0);
}

Result<Json> parse_option_text(const OptionSpec& spec, std::string_view text) {
  Json value;
  switch (spec.type) {
    case OptionType::kString:
    case OptionType::kDuration:
    case OptionType::kBar:
    case OptionType::kBytes:
      value = std::string(text);
      break;
    case OptionType::kStrings:
      if (text.starts_with('[')) {
        LATHE_TRY(value, parse_json(text));
      } else {
        value = Json::array();
        if (!trim(text).empty())
          for (const std::string& part : split(text, ',')) value.push_back(std::string(trim(part)));
      }
      break;
    default: {
      auto parsed = parse_json(text);
      value = parsed ? *std::move(parsed) : Json(std::string(text));
    }
  }
  if (const std::string problem = type_problem(value, spec.type); !problem.empty())
    return invalid("{}: {}", spec.name, problem);
  return value;
}

}  // namespace lathe
