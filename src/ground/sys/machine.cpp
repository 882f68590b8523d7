// What this machine is: processor, memory, control groups, accelerators.
#include "ground/sys/machine.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <set>

#include "ground/base/text.h"
#include "ground/sys/nvml.h"
#include "ground/sys/sysfs.h"

namespace lathe {
namespace {

constexpr std::array<std::string_view, 14> kUsefulFlags{
    "sse4_2",      "avx2",     "fma",   "f16c",    "avx_vnni", "avx512f", "avx512_vnni",
    "avx512_bf16", "amx_int8", "asimd", "asimddp", "i8mm",     "bf16",    "sve"};

// "model name\t: Intel …" → its value.
std::optional<std::string> field(std::string_view line, std::string_view name) {
  const auto colon = line.find(':');
  if (colon == line.npos || trim(line.substr(0, colon)) != name) return std::nullopt;
  return std::string(trim(line.substr(colon + 1)));
}

void read_cpu(const fs::path& root, Machine& machine) {
  const std::string text = sysfs_text(root / "proc/cpuinfo").value_or("");
  std::set<std::pair<std::string, std::string>> cores;
  std::string package = "0";
  int threads = 0;
  for (const std::string_view line : split_lines(text)) {
    if (field(line, "processor")) ++threads;
    if (const auto value = field(line, "physical id")) package = *value;
    if (const auto value = field(line, "core id")) cores.emplace(package, *value);
    if (const auto value = field(line, "model name"); value && machine.cpu.empty())
      machine.cpu = *value;
    auto flags = field(line, "flags");
    if (!flags) flags = field(line, "Features");
    if (flags && machine.isa.empty()) {
      const std::vector<std::string> words = split(*flags, ' ');
      for (const std::string_view flag : kUsefulFlags)
        if (std::ranges::find(words, flag) != words.end()) machine.isa.emplace_back(flag);
    }
  }
  if (threads > 0) machine.threads = threads;
  if (!cores.empty()) machine.cores = static_cast<int>(cores.size());
}

void read_memory(const fs::path& root, Machine& machine) {
  const std::string text = sysfs_text(root / "proc/meminfo").value_or("");
  for (const std::string_view line : split_lines(text))
    for (const auto& [name, target] : {std::pair("MemTotal", &machine.memory_bytes),
                                       std::pair("MemAvailable", &machine.available_bytes)})
      if (const auto value = field(line, name))
        if (const auto kib = to_unsigned(split(*value, ' ').front())) *target = *kib * 1024;
}

// Where a version of control groups has its figures.
struct GroupFiles {
  const char *mount, *limit, *used, *cached;
};
constexpr GroupFiles kGroups1{"sys/fs/cgroup/memory", "memory.limit_in_bytes",
                              "memory.usage_in_bytes", "total_cache"};
constexpr GroupFiles kGroups2{"sys/fs/cgroup", "memory.max", "memory.current", "file"};

void make_smaller(std::optional<std::uint64_t>& value, std::uint64_t other) {
  value = std::min(value.value_or(other), other);
}

// The tightest limit between our group and the root of the hierarchy, and what is left of each; the
// file cache makes room.
void read_groups(const fs::path& root, const GroupFiles& files, std::string_view group,
                 Machine& machine) {
  fs::path path = fs::path(std::string(group)).relative_path();
  for (int depth = 0; depth < 64; ++depth, path = path.parent_path()) {
    const fs::path directory = root / files.mount / path;
    const auto limit = sysfs_number(directory / files.limit);
    // Version 1 says "no limit" with a number near 2^63.
    if (limit && (!machine.memory_bytes || *limit < *machine.memory_bytes) &&
        *limit < (std::uint64_t{1} << 62)) {
      make_smaller(machine.memory_limit_bytes, *limit);
      const std::uint64_t used = sysfs_number(directory / files.used).value_or(0);
      std::uint64_t cached = 0;
      const std::string stat = sysfs_text(directory / "memory.stat").value_or("");
      for (const std::string_view line : split_lines(stat))
        if (line.starts_with(fmt::format("{} ", files.cached)))
          cached = to_unsigned(line.substr(line.find(' ') + 1)).value_or(0);
      const std::uint64_t held = used - std::min(used, cached);
      make_smaller(machine.group_left_bytes, *limit - std::min(*limit, held));
    }
    if (path.empty()) break;
  }
}

void read_group_limit(const fs::path& root, Machine& machine) {
  const std::string text = sysfs_text(root / "proc/self/cgroup").value_or("");
  for (const std::string_view line : split_lines(text)) {
    const std::vector<std::string> parts = split(line, ':');  // "4:memory:/group", "0::/group"
    if (parts.size() < 3 || parts[2].find("..") != std::string::npos) continue;
    if (parts[1] == "memory")
      read_groups(root, kGroups1, parts[2], machine);
    else if (parts[0] == "0" && parts[1].empty())
      read_groups(root, kGroups2, parts[2], machine);
  }
}

std::string driver_of(const fs::path& device) {
  const std::string text = sysfs_text(device / "uevent").value_or("");
  for (const std::string_view line : split_lines(text))
    if (line.starts_with("DRIVER=")) return std::string(line.substr(7));
  return {};
}

std::string pci_id(const fs::path& device) {
  std::string vendor = sysfs_text(device / "vendor").value_or("");
  std::string model = sysfs_text(device / "device").value_or("");
  if (vendor.starts_with("0x")) vendor.erase(0, 2);
  if (model.starts_with("0x")) model.erase(0, 2);
  return vendor.empty() ? std::string() : vendor + ":" + model;
}

void read_devices(const fs::path& directory, std::string_view prefix, const std::string& kind,
                  Machine& machine) {
  for (const fs::path& entry : sysfs_entries(directory, prefix)) {
    // "card0" is a device, "card0-HDMI-A-1" one of its sockets.
    if (entry.filename().string().find('-') != std::string::npos) continue;
    const fs::path device = entry / "device";
    const std::string driver = driver_of(device);
    // NVML names these better, and others with "nvidia" are its helpers.
    if (driver.empty() || driver.starts_with("nvidia")) continue;
    machine.accelerators.push_back({kind, std::string(trim(driver + " " + pci_id(device))), driver,
                                    sysfs_number(device / "mem_info_vram_total")});
  }
}

}  // namespace

Machine read_machine(const fs::path& root) {
  Machine machine;
  read_cpu(root, machine);
  read_memory(root, machine);
  read_group_limit(root, machine);
  if (root == "/")
    if (const auto nvml = Nvml::open())
      for (const Nvml::Device& device : (*nvml)->devices())
        machine.accelerators.push_back({"gpu", device.name, "nvidia", device.memory_bytes});
  read_devices(root / "sys/class/drm", "card", "gpu", machine);
  read_devices(root / "sys/class/accel", "accel", "npu", machine);
  return machine;
}

std::optional<std::uint64_t> Machine::memory_left() const {
  if (!available_bytes) return {};
  return std::min(*available_bytes, group_left_bytes.value_or(UINT64_MAX));
}

namespace {

std::optional<double> pressure_of(const fs::path& file) {
  // "some avg10=0.00 avg60=0.00 avg300=0.00 total=0"
  const std::string text = sysfs_text(file).value_or("");
  constexpr std::string_view kKey = "some avg10=";
  const std::size_t at = text.find(kKey);
  if (at == text.npos) return {};
  double percent = 0;
  const char* begin = text.data() + at + kKey.size();
  const auto [end, error] = std::from_chars(begin, text.data() + text.size(), percent);
  if (error != std::errc() || end == begin) return {};
  return percent / 100;
}

}  // namespace

std::optional<double> memory_pressure(const fs::path& root) {
  return pressure_of(root / "proc/pressure/memory");
}

std::optional<double> cpu_pressure(const fs::path& root) {
  return pressure_of(root / "proc/pressure/cpu");
}

std::uint64_t resident_bytes() {
  std::ifstream status("/proc/self/statm");
  std::uint64_t total = 0, resident = 0;
  if (!(status >> total >> resident)) return 0;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace lathe
