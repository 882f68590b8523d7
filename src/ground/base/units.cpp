// Durations, bytes and energy, read and written.
#include "ground/base/units.h"

#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include "ground/base/text.h"

namespace lathe {
namespace {

struct Scale {
  std::string_view unit;
  double factor;
};

// A number, then one of the units; finite and not negative.
template <std::size_t N>
Result<double> parse_scaled(std::string_view what, std::string_view text,
                            const std::array<Scale, N>& scales, std::string_view example) {
  const std::string_view body = trim(text);
  double number = 0;
  const auto [end, error] = std::from_chars(body.data(), body.data() + body.size(), number);
  if (error == std::errc() && std::isfinite(number) && number >= 0) {
    const auto unit = trim({end, static_cast<std::size_t>(body.data() + body.size() - end)});
    for (const Scale& scale : scales)
      if (unit == scale.unit) return number * scale.factor;
  }
  return invalid("'{}' is not {}; write it like {}", clip_utf8(text, 40), what, example);
}

}  // namespace

Result<Milliseconds> parse_duration(std::string_view text) {
  static constexpr std::array kScales{Scale{"ms", 1},    Scale{"s", 1e3},   Scale{"m", 6e4},
                                      Scale{"min", 6e4}, Scale{"h", 3.6e6}, Scale{"d", 8.64e7}};
  LATHE_TRY(const double ms, parse_scaled("a duration", text, kScales, "500ms, 90s, 20m or 1h"));
  if (ms > 1e14) return invalid("the duration '{}' is too long", text);
  return Milliseconds(std::llround(ms));
}

Result<double> parse_energy_joules(std::string_view text) {
  static constexpr std::array kScales{Scale{"J", 1}, Scale{"kJ", 1e3}, Scale{"MJ", 1e6},
                                      Scale{"Wh", 3.6e3}, Scale{"kWh", 3.6e6}};
  return parse_scaled("an amount of energy", text, kScales, "500J, 20kJ or 0.2kWh");
}

Result<std::uint64_t> parse_bytes(std::string_view text) {
  static constexpr std::array kScales{
      Scale{"", 1},        Scale{"B", 1},      Scale{"KB", 1e3},      Scale{"MB", 1e6},
      Scale{"GB", 1e9},    Scale{"KiB", 1024}, Scale{"MiB", 1048576}, Scale{"GiB", 1073741824},
      Scale{"TiB", 0x1p40}};
  LATHE_TRY(const double bytes, parse_scaled("a size", text, kScales, "4096, 64KiB or 2GiB"));
  if (bytes > 0x1p60) return invalid("the size '{}' is too large", text);
  return static_cast<std::uint64_t>(bytes);
}

Result<double> parse_bar(std::string_view text) {
  const auto number = [](std::string_view part) -> double {
    part = trim(part);
    double value = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
    return error == std::errc() && end == part.data() + part.size() ? value : std::nan("");
  };
  double bar = std::nan("");
  if (const auto slash = text.find('/'); slash != text.npos)
    bar = number(text.substr(0, slash)) / number(text.substr(slash + 1));
  else if (trim(text).ends_with('%'))
    bar = number(trim(text).substr(0, trim(text).size() - 1)) / 100;
  else
    bar = number(text);
  if (!(bar >= 0 && bar <= 1))
    return invalid("'{}' is not a bar; write it like 9/10, 90% or 0.9", clip_utf8(text, 40));
  return bar;
}

std::string format_duration(Milliseconds duration) {
  const auto ms = duration.count();
  if (ms < 1000) return fmt::format("{} ms", ms);
  if (ms < 59950)  // above, it would round to "60.0 s"
    return fmt::format("{:.1f} s", static_cast<double>(ms) / 1e3);
  if (ms < 60000) return "1m 00s";
  if (ms < 3600000) return fmt::format("{}m {:02}s", ms / 60000, ms / 1000 % 60);
  return fmt::format("{}h {:02}m", ms / 3600000, ms / 60000 % 60);
}

std::string format_bytes(std::uint64_t bytes) {
  static constexpr std::array<std::string_view, 5> kNames{"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  std::size_t i = 0;
  for (; value >= (i == 0 ? 1024 : 1023.95) && i + 1 < kNames.size(); ++i) value /= 1024;
  return i == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kNames[i]);
}

std::string format_energy(double joules) {
  if (joules < 1e3) return fmt::format("{:.1f} J", joules);
  if (joules < 3.6e6) return fmt::format("{:.1f} kJ", joules / 1e3);
  return fmt::format("{:.2f} kWh", joules / 3.6e6);
}

}  // namespace lathe
