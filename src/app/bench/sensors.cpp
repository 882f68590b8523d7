// Clocks, temperatures, power and throttling from /sys and /proc.
#include "app/bench/sensors.h"

#include <algorithm>
#include <charconv>

#include "app/bench/statistics.h"
#include "ground/base/text.h"
#include "ground/sys/sysfs.h"

namespace lathe::app {
namespace {

std::optional<double> mean(const std::vector<double>& values) {
  if (values.empty()) return {};
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

std::optional<double> read_mhz(const fs::path& root) {
  std::vector<double> values;
  for (const fs::path& cpu : sysfs_entries(root / "sys/devices/system/cpu", "cpu"))
    if (const auto khz = sysfs_number(cpu / "cpufreq/scaling_cur_freq"))
      values.push_back(static_cast<double>(*khz) / 1e3);
  if (!values.empty()) return mean(values);
  const std::string text = sysfs_text(root / "proc/cpuinfo").value_or("");
  for (const std::string_view line : split_lines(text)) {
    if (!line.starts_with("cpu MHz")) continue;
    const std::string_view value = trim(line.substr(std::min(line.find(':') + 1, line.size())));
    if (const auto mhz = parse_decimal(value)) values.push_back(*mhz);
  }
  return mean(values);
}

std::optional<double> read_celsius(const fs::path& root) {
  std::optional<double> hottest;
  const auto take = [&](const std::optional<std::uint64_t>& millidegrees) {
    if (millidegrees && *millidegrees < 200'000)
      hottest = std::max(hottest.value_or(0), static_cast<double>(*millidegrees) / 1e3);
  };
  for (const fs::path& chip : sysfs_entries(root / "sys/class/hwmon", "hwmon")) {
    const std::string name = sysfs_text(chip / "name").value_or("");
    if (name != "coretemp" && name != "k10temp" && name != "zenpower" && name != "cpu_thermal")
      continue;
    for (const fs::path& input : sysfs_entries(chip, "temp"))
      if (input.string().ends_with("_input")) take(sysfs_number(input));
  }
  if (hottest) return hottest;
  for (const fs::path& zone : sysfs_entries(root / "sys/class/thermal", "thermal_zone"))
    take(sysfs_number(zone / "temp"));
  return hottest;
}

std::optional<std::uint64_t> read_throttles(const fs::path& root) {
  std::optional<std::uint64_t> sum;
  for (const fs::path& cpu : sysfs_entries(root / "sys/devices/system/cpu", "cpu"))
    for (const char* count : {"core_throttle_count", "package_throttle_count"})
      if (const auto value = sysfs_number(cpu / "thermal_throttle" / count))
        sum = sum.value_or(0) + *value;
  return sum;
}

Json or_null(const std::optional<double>& value) {
  return value ? Json(decimal(*value)) : Json();
}

}  // namespace

Sensors::Sensors(fs::path root) : root_(std::move(root)), meter_(root_) {
  joules_ = meter_.joules();
}

Reading Sensors::read(std::int64_t at_us) {
  Reading reading{.at_us = at_us,
                  .mhz = read_mhz(root_),
                  .celsius = read_celsius(root_),
                  .throttles = read_throttles(root_)};
  const auto joules = meter_.joules();
  const double seconds = static_cast<double>(at_us - at_us_) / 1e6;
  // As a record holds it, so that its reader computes with the same.
  if (joules && joules_ && seconds > 0)
    reading.watts = parse_decimal(decimal((*joules - *joules_) / seconds));
  joules_ = joules;
  at_us_ = at_us;
  return reading;
}

Json to_json(const Reading& reading) {
  return {{"at_us", reading.at_us},
          {"mhz", or_null(reading.mhz)},
          {"celsius", or_null(reading.celsius)},
          {"watts", or_null(reading.watts)},
          {"throttles", reading.throttles ? Json(*reading.throttles) : Json()}};
}

Result<Reading> reading_from_json(const Json& json) {
  Reading reading{.at_us = json_int(json, "at_us", -1), .throttles = {}};
  if (reading.at_us < 0) return invalid("at_us: must be a whole number");
  for (const auto& [key, member] :
       {std::pair("mhz", &reading.mhz), std::pair("celsius", &reading.celsius),
        std::pair("watts", &reading.watts)}) {
    const Json& value = json_at(json, key);
    if (value.is_null()) continue;
    *member = value.is_string() ? parse_decimal(value.get<std::string>()) : std::nullopt;
    if (!*member) return invalid("{}: must be a finite decimal, as a text, or null", key);
  }
  if (const Json& count = json_at(json, "throttles"); count.is_number_integer())
    reading.throttles = count.get<std::uint64_t>();
  return reading;
}

}  // namespace lathe::app
