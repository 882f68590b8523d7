// The system's clock, and UTC as text.
#include "ground/base/clock.h"

#include <ctime>

namespace lathe {
namespace {

class SystemClock : public Clock {
 public:
  Milliseconds monotonic() const override {
    return std::chrono::duration_cast<Milliseconds>(
        std::chrono::steady_clock::now().time_since_epoch());
  }
  std::int64_t unix_ms() const override {
    return std::chrono::duration_cast<Milliseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
  }
};

}  // namespace

const Clock& system_clock() {
  static const SystemClock clock;
  return clock;
}

Result<std::int64_t> parse_utc(std::string_view text) {
  const auto wrong = [&] {
    return invalid("'{}' is no day or moment: write it like 2026-01-31 or 2026-01-31T12:00:00Z",
                   text.substr(0, 40));
  };
  constexpr std::string_view kShape = "0000-00-00T00:00:00Z";
  if (text.size() != 10 && text.size() != kShape.size()) return wrong();
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool digit = text[i] >= '0' && text[i] <= '9';
    if (kShape[i] == '0' ? !digit : text[i] != kShape[i]) return wrong();
  }
  const auto number = [&](std::size_t from, std::size_t count) {
    int value = 0;
    for (const char c : text.substr(from, count)) value = value * 10 + (c - '0');
    return value;
  };
  const std::chrono::year_month_day day{std::chrono::year(number(0, 4)),
                                        std::chrono::month(static_cast<unsigned>(number(5, 2))),
                                        std::chrono::day(static_cast<unsigned>(number(8, 2)))};
  if (!day.ok()) return wrong();
  std::chrono::seconds seconds = std::chrono::sys_days(day).time_since_epoch();
  if (text.size() > 10) {
    const int hour = number(11, 2), minute = number(14, 2), second = number(17, 2);
    if (hour > 23 || minute > 59 || second > 59) return wrong();
    seconds += std::chrono::seconds((hour * 60 + minute) * 60 + second);
  }
  return Milliseconds(seconds).count();
}

std::string format_utc(std::int64_t unix_ms) {
  const std::time_t seconds = unix_ms / 1000;
  std::tm tm{};
  gmtime_r(&seconds, &tm);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", tm.tm_year + 1900, tm.tm_mon + 1,
                     tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

std::string format_day(std::int64_t unix_ms) {
  return format_utc(unix_ms).substr(0, 10);
}

Result<std::int64_t> parse_day(std::string_view text) {
  if (const auto day = parse_utc(text); day && text.size() == 10) return day;
  return invalid("'{}' is no day; write it as 2026-01-31", text.substr(0, 40));
}

}  // namespace lathe
