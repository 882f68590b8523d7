// Kinds of errors and their names.
#include "ground/base/error_kind.h"

#include <array>
#include <utility>

namespace lathe {
namespace {

constexpr std::array<std::pair<ErrorKind, std::string_view>, 6> kKinds{
    {{ErrorKind::kInvalid, "invalid"},
     {ErrorKind::kNotFound, "not_found"},
     {ErrorKind::kUnavailable, "unavailable"},
     {ErrorKind::kDenied, "denied"},
     {ErrorKind::kTimeout, "timeout"},
     {ErrorKind::kCancelled, "cancelled"}}};

}  // namespace

std::string_view error_kind_name(ErrorKind kind) {
  for (const auto& [each, name] : kKinds)
    if (each == kind) return name;
  return "";
}

std::optional<ErrorKind> parse_error_kind(std::string_view name) {
  for (const auto& [kind, each] : kKinds)
    if (each == name) return kind;
  return std::nullopt;
}

}  // namespace lathe
