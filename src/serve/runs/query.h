// The parameters behind a path's '?'.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "serve/server/api_error.h"

namespace lathe::serve {

class Query {
 public:
  // `known`: the names that there are; another one is refused by name. Values as forms send them:
  // '+' is a blank, and %XX a byte.
  static ApiResult<Query> parse(std::string_view text, std::span<const std::string_view> known);

  std::string text(std::string_view name) const;  // "": it is not there
  // A whole number in [low, high]; nullopt: it is not there.
  ApiResult<std::optional<std::int64_t>> whole(std::string_view name, std::int64_t low,
                                               std::int64_t high) const;

 private:
  std::map<std::string, std::string, std::less<>> values_;
};

// A whole number and nothing else, as parameters and headers write it; nullopt: it is none, or does
// not fit in 64 bits.
std::optional<std::int64_t> whole_number(std::string_view text);

}  // namespace lathe::serve
