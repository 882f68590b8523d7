// The kinds of errors as records, ledgers and programs name them.
#pragma once

#include <optional>
#include <string_view>

#include "ground/base/result.h"

namespace lathe {

// "invalid" "not_found" "unavailable" "denied" "timeout" "cancelled"
std::string_view error_kind_name(ErrorKind kind);
std::optional<ErrorKind> parse_error_kind(std::string_view name);

}  // namespace lathe
