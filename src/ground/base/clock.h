// The time, behind an interface so that tests need not wait.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "ground/base/result.h"
#include "ground/base/units.h"

namespace lathe {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual Milliseconds monotonic() const = 0;  // since an arbitrary start; never goes back
  virtual std::int64_t unix_ms() const = 0;    // UTC
};

const Clock& system_clock();

inline constexpr std::int64_t kDayMs = 24LL * 3600 * 1000;
std::string format_utc(std::int64_t unix_ms);  // "2026-01-31T12:00:00Z"
// That, or the day alone: its first moment. In milliseconds.
Result<std::int64_t> parse_utc(std::string_view text);
std::string format_day(std::int64_t unix_ms);  // "2026-01-31"
// The day alone.
Result<std::int64_t> parse_day(std::string_view text);

}  // namespace lathe
