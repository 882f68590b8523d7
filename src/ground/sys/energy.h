// Energy counters of this machine. A meter reads the widest ones it finds: the whole system, else
// the processor sockets and graphics cards together. What cannot be read is absent with a reason,
// never 0. Owns its state; one thread at a time.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ground/base/clock.h"
#include "ground/base/file.h"
#include "ground/sys/nvml.h"

namespace lathe {

enum class EnergyScope { kNone, kGpu, kSocket, kSystem, kWall };
std::string_view scope_name(EnergyScope scope);  // "none" | "gpu" | "socket" | "system" | "wall"

// One thing that can be read, as a growing number of joules.
class EnergyCounter {
 public:
  virtual ~EnergyCounter() = default;
  virtual std::optional<double> joules() = 0;  // since this counter was made
};

class EnergyMeter {
 public:
  // `root`: for tests. NVML is asked only when it is "/".
  explicit EnergyMeter(const fs::path& root = "/", const Clock& clock = system_clock());

  // Since the meter was made; absent when nothing can be read, or no longer. To be called at least
  // every few minutes: counters wrap around, and power is summed up from call to call.
  std::optional<double> joules();
  EnergyScope scope() const { return scope_; }
  // "RAPL package-0, RAPL package-1", or "not readable here: …".
  const std::string& description() const { return description_; }

 private:
  void use(EnergyScope scope, std::string name, std::unique_ptr<EnergyCounter> counter);
  void find_rapl(const fs::path& root, bool whole_system, std::string& why);
  void find_hwmon(const fs::path& root, bool whole_system, const Clock& clock, std::string& why);
  void find_battery(const fs::path& root, std::string& why);
  void find_nvml(std::string& why);

  EnergyScope scope_ = EnergyScope::kNone;
  std::string description_;
  std::vector<std::unique_ptr<EnergyCounter>> counters_;
};

}  // namespace lathe
