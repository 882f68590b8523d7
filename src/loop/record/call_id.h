// Which call of a run: a maker's for a candidate, a judge's of a candidate, or a judge's of the
// whole.
#pragma once

#include <compare>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "ground/base/json.h"
#include "ground/base/result.h"

namespace lathe::loop {

struct CallId {
  enum class Kind { kMake, kJudge, kWhole };
  Kind kind = Kind::kMake;
  std::size_t track = 0;
  int lap = 0;
  int n = 0;              // which of the lap's candidates
  std::size_t judge = 0;  // index into Recipe::judges
  int attempt = 0;        // 1: asked again after an error

  static CallId make(std::size_t track, int lap, int n) { return {Kind::kMake, track, lap, n}; }
  static CallId judging(std::size_t track, int lap, int n, std::size_t judge, int attempt) {
    return {Kind::kJudge, track, lap, n, judge, attempt};
  }
  static CallId whole(std::size_t judge, int attempt) {
    return {Kind::kWhole, 0, 0, 0, judge, attempt};
  }

  std::string text() const;  // "make:3:2:0:0:0" = kind:track:lap:n:judge:attempt
  auto operator<=>(const CallId&) const = default;
};

std::optional<CallId> parse_call(std::string_view text);  // what text() writes

std::string_view call_kind_name(CallId::Kind kind);  // make | judge | whole

Json to_json(const CallId& call);
// From the members that to_json() writes, whatever else stands beside them. Errors: an unknown
// kind.
Result<CallId> call_from_json(const Json& json);

}  // namespace lathe::loop
