// Heat, clocks and batteries from /sys and /proc.
#include "ground/sys/climate.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <vector>

#include "ground/base/text.h"
#include "ground/sys/sysfs.h"

namespace lathe {
namespace {

constexpr double kNearLimit = 5;            // °C below a sensor's limit that count as too hot
constexpr std::uint64_t kNoHeat = 200'000;  // millidegrees that no sensor means
constexpr std::array kOfProcessors{"coretemp", "k10temp", "zenpower", "cpu_thermal"};

std::optional<double> mean_mhz(const fs::path& root) {
  double sum = 0;
  int count = 0;
  const auto take = [&](double mhz) {
    sum += mhz;
    ++count;
  };
  for (const fs::path& cpu : sysfs_entries(root / "sys/devices/system/cpu", "cpu"))
    if (const auto khz = sysfs_number(cpu / "cpufreq/scaling_cur_freq"))
      take(static_cast<double>(*khz) / 1e3);
  const std::string info = count > 0 ? "" : sysfs_text(root / "proc/cpuinfo").value_or("");
  for (const std::string_view line : split_lines(info)) {
    if (!line.starts_with("cpu MHz")) continue;
    const std::string_view text = trim(line.substr(std::min(line.find(':') + 1, line.size())));
    double mhz = 0;
    if (std::from_chars(text.data(), text.data() + text.size(), mhz).ec == std::errc()) take(mhz);
  }
  return count == 0 ? std::nullopt : std::optional(sum / count);
}

void take_sensor(Climate& climate, std::optional<std::uint64_t> millidegrees,
                 std::optional<std::uint64_t> limit) {
  if (!millidegrees || *millidegrees >= kNoHeat) return;
  const double celsius = static_cast<double>(*millidegrees) / 1e3;
  if (climate.celsius && *climate.celsius >= celsius) return;
  climate.celsius = celsius;
  climate.limit_celsius.reset();
  if (limit && *limit > 0 && *limit < kNoHeat)
    climate.limit_celsius = static_cast<double>(*limit) / 1e3;
}

// The first of a zone's trip points at which something is done about heat.
std::optional<std::uint64_t> first_trip(const fs::path& zone) {
  std::optional<std::uint64_t> first;
  for (const fs::path& type : sysfs_entries(zone, "trip_point_")) {
    const std::string name = type.filename().string();
    const std::string kind = name.ends_with("_type") ? sysfs_text(type).value_or("") : "";
    if (kind != "passive" && kind != "hot" && kind != "critical") continue;
    const auto at = sysfs_number(zone / (name.substr(0, name.size() - 4) + "temp"));
    if (at && *at > 0) first = std::min(first.value_or(*at), *at);
  }
  return first;
}

void read_heat(const fs::path& root, Climate& climate) {
  for (const fs::path& chip : sysfs_entries(root / "sys/class/hwmon", "hwmon")) {
    if (std::ranges::find(kOfProcessors, sysfs_text(chip / "name").value_or("")) ==
        kOfProcessors.end())
      continue;
    for (const fs::path& input : sysfs_entries(chip, "temp")) {
      const std::string path = input.string();
      if (!path.ends_with("_input")) continue;
      const std::string sensor = path.substr(0, path.size() - 5);
      const auto highest = sysfs_number(sensor + "max");
      take_sensor(climate, sysfs_number(input), highest ? highest : sysfs_number(sensor + "crit"));
    }
  }
  if (climate.celsius) return;
  for (const fs::path& zone : sysfs_entries(root / "sys/class/thermal", "thermal_zone"))
    take_sensor(climate, sysfs_number(zone / "temp"), first_trip(zone));
}

std::optional<std::uint64_t> throttles(const fs::path& root) {
  std::optional<std::uint64_t> sum;
  for (const fs::path& cpu : sysfs_entries(root / "sys/devices/system/cpu", "cpu"))
    for (const char* count : {"core_throttle_count", "package_throttle_count"})
      if (const auto value = sysfs_number(cpu / "thermal_throttle" / count))
        sum = sum.value_or(0) + *value;
  return sum;
}

std::optional<bool> on_battery(const fs::path& root) {
  bool battery = false, plugged = false, discharging = false;
  for (const fs::path& supply : sysfs_entries(root / "sys/class/power_supply", "")) {
    const std::string type = sysfs_text(supply / "type").value_or("");
    // A mouse has a battery, too.
    const bool of_machine = sysfs_text(supply / "scope").value_or("System") != "Device";
    battery = battery || (type == "Battery" && of_machine);
    if (type == "Mains") plugged = plugged || sysfs_number(supply / "online").value_or(0) == 1;
    discharging =
        discharging || (of_machine && sysfs_text(supply / "status").value_or("") == "Discharging");
  }
  return battery ? std::optional(discharging && !plugged) : std::nullopt;
}

}  // namespace

Climate read_climate(const fs::path& root) {
  Climate climate{
      .throttles = throttles(root), .mhz = mean_mhz(root), .on_battery = on_battery(root)};
  read_heat(root, climate);
  return climate;
}

bool is_hot(const Climate& before, const Climate& now) {
  if (before.throttles && now.throttles && *now.throttles > *before.throttles) return true;
  return now.celsius && now.limit_celsius && *now.celsius >= *now.limit_celsius - kNearLimit;
}

}  // namespace lathe
