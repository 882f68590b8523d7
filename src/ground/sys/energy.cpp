// Energy counters: RAPL and NVIDIA's, with what they cover.
#include "ground/sys/energy.h"

#include <algorithm>

#include "ground/sys/sysfs.h"

namespace lathe {
namespace {

constexpr double kMicro = 1e-6;

// A counter in microjoules that starts again at 0 beyond `range`.
class WrappingCounter : public EnergyCounter {
 public:
  WrappingCounter(fs::path file, std::uint64_t first, std::uint64_t range)
      : file_(std::move(file)), last_(first), range_(range) {}

  std::optional<double> joules() override {
    const auto now = sysfs_number(file_);
    if (!now) return std::nullopt;
    if (*now >= last_)
      total_ += *now - last_;
    else if (range_ >= last_)
      total_ += range_ - last_ + *now;
    else
      return std::nullopt;  // it went back and has no range: nobody knows by how much
    last_ = *now;
    return static_cast<double>(total_) * kMicro;
  }

 private:
  fs::path file_;
  std::uint64_t last_, range_, total_ = 0;
};

// A power in microwatts, summed up over the time between two readings.
class PowerCounter : public EnergyCounter {
 public:
  PowerCounter(fs::path file, std::uint64_t first, const Clock& clock)
      : file_(std::move(file)), clock_(clock), last_(first), last_time_(clock.monotonic()) {}

  std::optional<double> joules() override {
    const auto now = sysfs_number(file_);
    if (!now) return std::nullopt;
    const Milliseconds time = clock_.monotonic();
    const double seconds = static_cast<double>((time - last_time_).count()) / 1000;
    total_ += (static_cast<double>(last_) + static_cast<double>(*now)) / 2 * kMicro * seconds;
    last_ = *now;
    last_time_ = time;
    return total_;
  }

 private:
  fs::path file_;
  const Clock& clock_;
  std::uint64_t last_;
  Milliseconds last_time_;
  double total_ = 0;
};

// What is left in a battery, in microwatt-hours. Nothing once it is charged again.
class BatteryCounter : public EnergyCounter {
 public:
  BatteryCounter(fs::path battery, std::uint64_t first)
      : battery_(std::move(battery)), first_(first) {}

  std::optional<double> joules() override {
    const auto now = sysfs_number(battery_ / "energy_now");
    if (!now || *now > first_ || sysfs_text(battery_ / "status").value_or("") != "Discharging")
      return std::nullopt;
    return static_cast<double>(first_ - *now) * 3600 * kMicro;
  }

 private:
  fs::path battery_;
  std::uint64_t first_;
};

class NvmlCounter : public EnergyCounter {
 public:
  NvmlCounter(std::shared_ptr<const Nvml> nvml, std::size_t index, double first)
      : nvml_(std::move(nvml)), index_(index), first_(first) {}

  std::optional<double> joules() override {
    const auto devices = nvml_->devices();
    if (index_ >= devices.size() || !devices[index_].joules) return std::nullopt;
    const double now = *devices[index_].joules;
    if (now < first_) return std::nullopt;  // the driver was loaded anew
    return now - first_;
  }

 private:
  std::shared_ptr<const Nvml> nvml_;
  std::size_t index_;
  double first_;
};

void note(std::string& why, std::string reason) {
  why += (why.empty() ? "" : "; ") + std::move(reason);
}

}  // namespace

std::string_view scope_name(EnergyScope scope) {
  switch (scope) {
    case EnergyScope::kNone:
      return "none";
    case EnergyScope::kGpu:
      return "gpu";
    case EnergyScope::kSocket:
      return "socket";
    case EnergyScope::kSystem:
      return "system";
    case EnergyScope::kWall:
      return "wall";
  }
  return "";
}

EnergyMeter::EnergyMeter(const fs::path& root, const Clock& clock) {
  std::string why;
  find_hwmon(root, true, clock, why);
  if (counters_.empty()) find_rapl(root, true, why);
  if (counters_.empty()) find_battery(root, why);
  if (counters_.empty()) {
    find_rapl(root, false, why);
    if (counters_.empty()) find_hwmon(root, false, clock, why);
    if (root == "/") find_nvml(why);
  }
  if (counters_.empty())
    description_ = "not readable here: " + (why.empty() ? "no energy counters" : why);
}

void EnergyMeter::use(EnergyScope scope, std::string name, std::unique_ptr<EnergyCounter> counter) {
  scope_ = std::max(scope_, scope);
  description_ += (description_.empty() ? "" : ", ") + std::move(name);
  counters_.push_back(std::move(counter));
}

// /sys/class/powercap/intel-rapl:0 is a socket, intel-rapl:0:1 a part of it; "psys" is the
// platform.
void EnergyMeter::find_rapl(const fs::path& root, bool whole_system, std::string& why) {
  const auto zones = sysfs_entries(root / "sys/class/powercap", "intel-rapl:");
  if (zones.empty() && !whole_system) note(why, "no RAPL counters in /sys/class/powercap");
  for (const fs::path& zone : zones) {
    const std::string id = zone.filename().string();
    if (std::ranges::count(id, ':') != 1) continue;
    const std::string name = sysfs_text(zone / "name").value_or("");
    if ((name == "psys") != whole_system) continue;
    const auto text = sysfs_text(zone / "energy_uj");
    const auto first = text ? to_unsigned(*text) : std::nullopt;
    if (!first) {
      note(why, text ? fmt::format("RAPL {} says '{}'", name, *text)
                     : fmt::format("RAPL {}: only root may read {}", name,
                                   (zone / "energy_uj").string()));
      continue;
    }
    use(whole_system ? EnergyScope::kSystem : EnergyScope::kSocket, "RAPL " + name,
        std::make_unique<WrappingCounter>(zone / "energy_uj", *first,
                                          sysfs_number(zone / "max_energy_range_uj").value_or(0)));
  }
}

// "power_meter" measures at the power supply, "amd_energy" counts per socket, "amdgpu" gives the
// power of a graphics card, or of the whole chip where it is a part of one.
void EnergyMeter::find_hwmon(const fs::path& root, bool whole_system, const Clock& clock,
                             std::string& why) {
  for (const fs::path& chip : sysfs_entries(root / "sys/class/hwmon", "hwmon")) {
    const std::string name = sysfs_text(chip / "name").value_or("");
    if (name == "amd_energy" && !whole_system) {
      for (const fs::path& file : sysfs_entries(chip, "energy")) {
        const std::string number = file.filename().string();  // energy3_input
        if (!number.ends_with("_input")) continue;
        const std::string label =
            sysfs_text(chip / (number.substr(0, number.find('_')) + "_label")).value_or("");
        const auto first = sysfs_number(file);
        if (label.starts_with("Esocket") && first)
          use(EnergyScope::kSocket, "amd_energy " + label,
              std::make_unique<WrappingCounter>(file, *first, 0));
      }
    }
    if (name != (whole_system ? "power_meter" : "amdgpu")) continue;
    bool found = false;
    for (const char* file : {"power1_average", "power1_input"}) {
      const auto first = sysfs_number(chip / file);
      if (!first || found) continue;
      found = true;
      use(whole_system ? EnergyScope::kWall : EnergyScope::kGpu, name,
          std::make_unique<PowerCounter>(chip / file, *first, clock));
    }
    if (!found) note(why, fmt::format("{} gives no power", name));
  }
}

void EnergyMeter::find_battery(const fs::path& root, std::string& why) {
  for (const fs::path& battery : sysfs_entries(root / "sys/class/power_supply", "BAT")) {
    const std::string status = sysfs_text(battery / "status").value_or("unknown");
    const auto first = sysfs_number(battery / "energy_now");
    const std::string name = battery.filename().string();
    if (status != "Discharging")
      note(why, fmt::format("{} is not discharging ({})", name, status));
    else if (!first)
      note(why, name + " gives no energy");
    else
      use(EnergyScope::kSystem, "battery " + name,
          std::make_unique<BatteryCounter>(battery, *first));
  }
}

void EnergyMeter::find_nvml(std::string& why) {
  auto opened = Nvml::open();
  if (!opened) return note(why, opened.error().message);
  const std::shared_ptr<const Nvml> nvml = std::move(*opened);
  const auto devices = nvml->devices();
  for (std::size_t i = 0; i < devices.size(); ++i)
    if (devices[i].joules)
      use(EnergyScope::kGpu, devices[i].name,
          std::make_unique<NvmlCounter>(nvml, i, *devices[i].joules));
    else
      note(why, devices[i].name + " does not count its energy");
}

std::optional<double> EnergyMeter::joules() {
  if (counters_.empty()) return std::nullopt;
  double sum = 0;
  bool all = true;
  for (const auto& counter : counters_) {  // every one, so that none misses a wrap-around
    const auto joules = counter->joules();
    all &= joules.has_value();
    sum += joules.value_or(0);
  }
  // Part of the sum would look like a smaller one.
  return all ? std::optional(sum) : std::nullopt;
}

}  // namespace lathe
