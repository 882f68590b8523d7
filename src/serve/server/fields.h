// Reads the known fields of a body. The first that has the wrong type or lies out of its range is
// kept as the refusal, which names it; a field that is absent or null counts as not given. Objects
// within share the refusal.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "serve/server/api_error.h"

namespace lathe::serve {

class Fields {
 public:
  // `object` must outlive this.
  explicit Fields(const Json& object);

  bool has(std::string_view key) const { return !json_at(*object_, key).is_null(); }
  const Json& raw(std::string_view key) const { return json_at(*object_, key); }
  const Json& whole_object() const { return *object_; }

  std::optional<std::string> text(std::string_view key);
  std::optional<double> number(std::string_view key, double low, double high);
  std::optional<std::int64_t> whole(std::string_view key, std::int64_t low, std::int64_t high);
  bool flag(std::string_view key, bool fallback);
  // A null value when there is none.
  const Json& object(std::string_view key);
  const Json& array(std::string_view key);
  // An object within; empty when there is none.
  Fields within(std::string_view key);
  // The elements of an array, each of which must be an object.
  std::vector<Fields> each(std::string_view key);
  // The fields of `object`, which stands at `place` of this one: "[3]", ".function".
  Fields at(const Json& object, std::string_view place) const;

  void refuse(std::string_view key, std::string message, std::string code = {});
  std::string path(std::string_view key) const;
  bool fine() const { return !*problem_; }
  // The refusal, if there is one.
  ApiResult<void> status() const;

 private:
  const Json* object_;
  std::string place_;
  std::shared_ptr<std::optional<ApiError>> problem_;
};

}  // namespace lathe::serve
