// Fields of requests, with errors that name them.
#include "serve/server/fields.h"

#include <fmt/format.h>

#include <utility>

namespace lathe::serve {
namespace {

const Json& nothing() {
  static const Json kNull;
  return kNull;
}

std::string_view type_name(const Json& value) {
  if (value.is_number_float()) return "a number";
  if (value.is_number()) return "an integer";
  if (value.is_string()) return "a string";
  if (value.is_boolean()) return "a boolean";
  if (value.is_array()) return "an array";
  return value.is_object() ? "an object" : "null";
}

}  // namespace

Fields::Fields(const Json& object)
    : object_(&object), problem_(std::make_shared<std::optional<ApiError>>()) {}

std::string Fields::path(std::string_view key) const {
  if (place_.empty()) return std::string(key);
  return key.empty() || key.starts_with('[') ? fmt::format("{}{}", place_, key)
                                             : fmt::format("{}.{}", place_, key);
}

void Fields::refuse(std::string_view key, std::string message, std::string code) {
  if (*problem_) return;
  const std::string param = path(key);
  *problem_ = ApiError{400, fmt::format("'{}' {}", param, message), param, std::move(code)};
}

ApiResult<void> Fields::status() const {
  if (*problem_) return std::unexpected(**problem_);
  return {};
}

std::optional<std::string> Fields::text(std::string_view key) {
  const Json& value = raw(key);
  if (value.is_null()) return std::nullopt;
  if (value.is_string()) return value.get<std::string>();
  refuse(key, fmt::format("must be a string, not {}", type_name(value)));
  return std::nullopt;
}

std::optional<double> Fields::number(std::string_view key, double low, double high) {
  const Json& value = raw(key);
  if (value.is_null()) return std::nullopt;
  if (!value.is_number()) {
    refuse(key, fmt::format("must be a number, not {}", type_name(value)));
    return std::nullopt;
  }
  const double given = value.get<double>();
  if (given >= low && given <= high) return given;
  refuse(key, fmt::format("must lie between {} and {}, not be {}", low, high, given));
  return std::nullopt;
}

std::optional<std::int64_t> Fields::whole(std::string_view key, std::int64_t low,
                                          std::int64_t high) {
  const Json& value = raw(key);
  if (value.is_null()) return std::nullopt;
  // 4.0 is an integer to those who write it: JSON of some clients knows no other numbers.
  const bool integral = value.is_number_float() && value.get<double>() >= -9e15 &&
                        value.get<double>() <= 9e15 &&
                        value.get<double>() == static_cast<double>(value.get<std::int64_t>());
  if (!value.is_number_integer() && !integral) {
    refuse(key, fmt::format("must be an integer, not {}", type_name(value)));
    return std::nullopt;
  }
  const bool huge =
      value.is_number_unsigned() && !std::in_range<std::int64_t>(value.get<std::uint64_t>());
  const std::int64_t given = value.get<std::int64_t>();
  if (!huge && given >= low && given <= high) return given;
  refuse(key, fmt::format("must lie between {} and {}, not be {}", low, high, value.dump()));
  return std::nullopt;
}

bool Fields::flag(std::string_view key, bool fallback) {
  const Json& value = raw(key);
  if (value.is_null()) return fallback;
  if (value.is_boolean()) return value.get<bool>();
  refuse(key, fmt::format("must be true or false, not {}", type_name(value)));
  return fallback;
}

const Json& Fields::object(std::string_view key) {
  const Json& value = raw(key);
  if (value.is_null() || value.is_object()) return value;
  refuse(key, fmt::format("must be an object, not {}", type_name(value)));
  return nothing();
}

const Json& Fields::array(std::string_view key) {
  const Json& value = raw(key);
  if (value.is_null() || value.is_array()) return value;
  refuse(key, fmt::format("must be an array, not {}", type_name(value)));
  return nothing();
}

Fields Fields::at(const Json& object, std::string_view place) const {
  Fields inner(*this);
  inner.object_ = &object;
  inner.place_ = path(place);
  return inner;
}

Fields Fields::within(std::string_view key) {
  return at(object(key), key);
}

std::vector<Fields> Fields::each(std::string_view key) {
  std::vector<Fields> elements;
  const Json& values = array(key);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::string place = fmt::format("{}[{}]", key, i);
    if (!values[i].is_object())
      refuse(place, fmt::format("must be an object, not {}", type_name(values[i])));
    elements.push_back(at(values[i].is_object() ? values[i] : nothing(), place));
  }
  return elements;
}

}  // namespace lathe::serve
