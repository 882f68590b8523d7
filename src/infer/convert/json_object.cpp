// Members of foreign JSON objects, with errors that name them.
#include "infer/convert/json_object.h"

#include "ground/base/text.h"

namespace lathe::infer {
namespace {

// As an error message shows it: one line, not endless.
std::string brief(const SortedJson& value) {
  return clip_utf8(value.dump(-1, ' ', false, SortedJson::error_handler_t::replace), 120);
}

}  // namespace

Result<JsonObject> JsonObject::read(const fs::path& path, std::size_t max_members) {
  LATHE_TRY(const std::string text, read_file(path));
  auto value = parse_sorted_json(text, {.max_bytes = kMaxFileBytes, .max_members = max_members});
  if (!value) return at(path.string(), std::move(value).error());
  if (!value->is_object()) return invalid("{}: is not a JSON object", path.string());
  return JsonObject(path.string(), std::move(*value));
}

Result<std::optional<JsonObject>> JsonObject::read_if_there(const fs::path& path,
                                                            std::size_t max_members) {
  std::error_code error;
  if (!fs::exists(path, error)) return std::optional<JsonObject>();
  LATHE_TRY(JsonObject object, read(path, max_members));
  return std::optional<JsonObject>(std::move(object));
}

const SortedJson& JsonObject::operator[](std::string_view key) const {
  static const SortedJson kNull;
  const auto it = value_.find(key);
  return it == value_.end() ? kNull : *it;
}

std::unexpected<Error> JsonObject::wrong(std::string_view key, std::string_view needed) const {
  if (!has(key)) return invalid("{}: \"{}\" is missing", place_, key);
  return invalid("{}: \"{}\" is {}; it must be {}", place_, key, brief((*this)[key]), needed);
}

Result<std::uint64_t> JsonObject::uint(std::string_view key, std::uint64_t min, std::uint64_t max,
                                       std::optional<std::uint64_t> fallback) const {
  const SortedJson& value = (*this)[key];
  if (value.is_null() && fallback) return *fallback;
  // Some configurations write whole numbers as 2.0.
  const bool whole = value.is_number_float() && value.get<double>() >= 0 &&
                     value.get<double>() <= 0x1p53 &&
                     value.get<double>() == static_cast<double>(value.get<std::uint64_t>());
  if (!value.is_number_unsigned() && !whole)
    return wrong(key, fmt::format("a whole number between {} and {}", min, max));
  const auto number = value.get<std::uint64_t>();
  if (number < min || number > max)
    return wrong(key, fmt::format("a whole number between {} and {}", min, max));
  return number;
}

Result<double> JsonObject::real(std::string_view key, std::optional<double> fallback) const {
  const SortedJson& value = (*this)[key];
  if (value.is_null() && fallback) return *fallback;
  if (!value.is_number()) return wrong(key, "a number");
  return value.get<double>();
}

Result<std::string> JsonObject::text(std::string_view key,
                                     std::optional<std::string> fallback) const {
  const SortedJson& value = (*this)[key];
  if (value.is_null() && fallback) return *std::move(fallback);
  if (!value.is_string()) return wrong(key, "a string");
  return value.get<std::string>();
}

Result<bool> JsonObject::flag(std::string_view key, bool fallback) const {
  const SortedJson& value = (*this)[key];
  if (value.is_null()) return fallback;
  if (!value.is_boolean()) return wrong(key, "true or false");
  return value.get<bool>();
}

Result<JsonObject> JsonObject::object(std::string_view key) const {
  const SortedJson& value = (*this)[key];
  if (value.is_null()) return JsonObject(place_, SortedJson::object());
  if (!value.is_object()) return wrong(key, "an object");
  return JsonObject(fmt::format("{}: {}", place_, key), value);
}

JsonObject JsonObject::with(const JsonObject& inner) const {
  JsonObject both = *this;
  for (const auto& [key, value] : inner.value_.items()) both.value_[key] = value;
  return both;
}

}  // namespace lathe::infer
