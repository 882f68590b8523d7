// Members of a foreign JSON object, read with their types and ranges. Errors name the file, the
// member and the value. null counts as absent. A value type.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "ground/base/file.h"
#include "ground/base/json.h"

namespace lathe::infer {

class JsonObject {
 public:
  // `max_members` of one object: vocabularies have many.
  static Result<JsonObject> read(const fs::path& path, std::size_t max_members);
  // nothing when there is no such file
  static Result<std::optional<JsonObject>> read_if_there(const fs::path& path,
                                                         std::size_t max_members);

  const std::string& place() const { return place_; }
  const SortedJson& value() const { return value_; }
  const SortedJson& operator[](std::string_view key) const;  // a null value when absent
  bool has(std::string_view key) const { return !(*this)[key].is_null(); }

  // Without a fallback an absent member is an error.
  Result<std::uint64_t> uint(std::string_view key, std::uint64_t min, std::uint64_t max,
                             std::optional<std::uint64_t> fallback = {}) const;
  Result<double> real(std::string_view key, std::optional<double> fallback = {}) const;
  Result<std::string> text(std::string_view key, std::optional<std::string> fallback = {}) const;
  Result<bool> flag(std::string_view key, bool fallback) const;
  // The object at `key`; an empty one when absent.
  Result<JsonObject> object(std::string_view key) const;
  // This one, with what `inner` has instead of its own.
  JsonObject with(const JsonObject& inner) const;
  void set(std::string_view key, const SortedJson& value) { value_[std::string(key)] = value; }

 private:
  JsonObject(std::string place, SortedJson value)
      : place_(std::move(place)), value_(std::move(value)) {}
  std::unexpected<Error> wrong(std::string_view key, std::string_view needed) const;

  std::string place_;
  SortedJson value_;
};

}  // namespace lathe::infer
