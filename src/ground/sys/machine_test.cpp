// Machines made of files: x86, ARM, control groups of both versions, and garbage.
#include "ground/sys/machine.h"

#include <gtest/gtest.h>

#include <fstream>

#include "ground/sys/energy.h"
#include "ground/sys/sysfs.h"

namespace lathe {
namespace {

// A /proc and /sys of our own.
struct Tree {
  TempDir directory = TempDir::make("lathe-sysfs").value();
  const fs::path& root() const { return directory.path(); }
  void put(const std::string& path, std::string_view text) const {
    fs::create_directories((root() / path).parent_path());
    std::ofstream(root() / path) << text << "\n";
  }
  void remove(const std::string& path) const { fs::remove_all(root() / path); }
};

class FakeClock : public Clock {
 public:
  Milliseconds monotonic() const override { return now; }
  std::int64_t unix_ms() const override { return now.count(); }
  Milliseconds now{1000};
};

TEST(Machine, ReadsX86) {
  const Tree tree;
  std::string cpuinfo;
  for (int i = 0; i < 4; ++i)
    cpuinfo += fmt::format(
        "processor\t: {}\nmodel name\t: Some CPU @ 2GHz\nphysical id\t: 0\ncore id\t: {}\n"
        "flags\t\t: fpu avx avx2 fma f16c avx512f avx512_vnni\n\n",
        i, i % 2);
  tree.put("proc/cpuinfo", cpuinfo);
  tree.put("proc/meminfo", "MemTotal:       16000 kB\nMemFree: 1 kB\nMemAvailable:   8000 kB");
  tree.put("proc/self/cgroup", "0::/a/b");
  tree.put("sys/fs/cgroup/a/b/memory.max", "max");
  tree.put("sys/fs/cgroup/a/memory.max", "8192000");
  tree.put("sys/fs/cgroup/a/memory.current", "5000000");
  tree.put("sys/fs/cgroup/a/memory.stat", "anon 3000000\nfile 1000000\nfile_mapped 7");
  tree.put("sys/class/drm/card0/device/uevent", "DRIVER=amdgpu\nPCI_CLASS=30000");
  tree.put("sys/class/drm/card0/device/vendor", "0x1002");
  tree.put("sys/class/drm/card0/device/device", "0x1586");
  tree.put("sys/class/drm/card0/device/mem_info_vram_total", "536870912");
  tree.put("sys/class/drm/card0-HDMI-A-1/status", "connected");
  tree.put("sys/class/accel/accel0/device/uevent", "DRIVER=amdxdna");
  const Machine machine = read_machine(tree.root());
  EXPECT_EQ(machine.cpu, "Some CPU @ 2GHz");
  EXPECT_EQ(machine.cores, 2);
  EXPECT_EQ(machine.threads, 4);
  EXPECT_EQ(machine.isa,
            (std::vector<std::string>{"avx2", "fma", "f16c", "avx512f", "avx512_vnni"}));
  EXPECT_EQ(machine.memory_bytes, 16000U * 1024);
  EXPECT_EQ(machine.available_bytes, 8000U * 1024);
  EXPECT_EQ(machine.memory_limit_bytes, 8192000U);
  EXPECT_EQ(machine.group_left_bytes, 4192000U);
  EXPECT_EQ(machine.memory_left(), 4192000U);
  ASSERT_EQ(machine.accelerators.size(), 2U);
  EXPECT_EQ(machine.accelerators[0].name, "amdgpu 1002:1586");
  EXPECT_EQ(machine.accelerators[0].memory_bytes, 536870912U);
  EXPECT_EQ(machine.accelerators[1].kind, "npu");
  EXPECT_EQ(machine.accelerators[1].driver, "amdxdna");
  EXPECT_FALSE(machine.accelerators[1].memory_bytes);
}

TEST(Machine, ReadsArmAndOldControlGroups) {
  const Tree tree;
  tree.put("proc/cpuinfo",
           "processor\t: 0\nFeatures\t: fp asimd asimddp i8mm sve\n\nprocessor\t: 1");
  tree.put("proc/meminfo", "MemTotal: 1000 kB");
  tree.put("proc/self/cgroup", "5:memory:/x\n1:cpu:/");
  tree.put("sys/fs/cgroup/memory/x/memory.limit_in_bytes", "9223372036854771712");
  const Machine machine = read_machine(tree.root());
  EXPECT_EQ(machine.isa, (std::vector<std::string>{"asimd", "asimddp", "i8mm", "sve"}));
  EXPECT_EQ(machine.threads, 2);
  EXPECT_FALSE(machine.cores);
  EXPECT_FALSE(machine.memory_limit_bytes);
}

TEST(Machine, NothingThereIsNothingKnown) {
  const Tree tree;
  const Machine machine = read_machine(tree.root());
  EXPECT_TRUE(machine.cpu.empty());
  EXPECT_FALSE(machine.threads);
  EXPECT_FALSE(machine.memory_bytes);
  EXPECT_TRUE(machine.accelerators.empty());
}

TEST(Machine, GarbageIsNotBelieved) {
  const Tree tree;
  tree.put("proc/meminfo", "MemTotal: -5 kB\nMemAvailable: lots");
  tree.put("proc/self/cgroup", "0::/../../etc\nrubbish\n:::");
  tree.put("proc/cpuinfo", std::string(100'000, ':'));
  const Machine machine = read_machine(tree.root());
  EXPECT_FALSE(machine.memory_bytes);
  EXPECT_FALSE(machine.memory_limit_bytes);
}

TEST(Machine, HowLongWorkWaited) {
  const Tree tree;
  EXPECT_FALSE(cpu_pressure(tree.root()));
  tree.put("proc/pressure/cpu", "some avg10=61.50 avg60=1.00 avg300=0.00 total=9");
  tree.put("proc/pressure/memory",
           "some avg10=0.25 avg60=1.00 avg300=0.00 total=9\nfull avg10=99.00 avg60=0 total=0");
  EXPECT_EQ(cpu_pressure(tree.root()), 0.615);
  EXPECT_EQ(memory_pressure(tree.root()), 0.0025);
  tree.put("proc/pressure/cpu", "some avg10=much avg60=1.00");
  EXPECT_FALSE(cpu_pressure(tree.root()));
}

TEST(Machine, ThisOneHasMemoryAndProcessors) {
  const Machine machine = read_machine();
  EXPECT_GE(machine.threads.value_or(0), 1);
  EXPECT_GT(machine.memory_bytes.value_or(0), machine.available_bytes.value_or(1) / 2);
}

TEST(EnergyMeter, MissingCountersAreAbsentWithAReason) {
  const Tree tree;
  EnergyMeter meter(tree.root());
  EXPECT_FALSE(meter.joules());
  EXPECT_EQ(meter.scope(), EnergyScope::kNone);
  EXPECT_TRUE(meter.description().starts_with("not readable here: ")) << meter.description();
}

void put_zone(const Tree& tree, const std::string& zone, const std::string& name,
              std::string_view energy) {
  const std::string path = "sys/class/powercap/" + zone;
  tree.put(path + "/name", name);
  tree.put(path + "/energy_uj", energy);
  tree.put(path + "/max_energy_range_uj", "1000000000");
}

TEST(EnergyMeter, RaplSocketsAddUpAndWrapAround) {
  const Tree tree;
  put_zone(tree, "intel-rapl:0", "package-0", "999000000");
  put_zone(tree, "intel-rapl:0:0", "core", "5");
  put_zone(tree, "intel-rapl:1", "package-1", "0");
  EnergyMeter meter(tree.root());
  EXPECT_EQ(meter.scope(), EnergyScope::kSocket);
  EXPECT_EQ(meter.description(), "RAPL package-0, RAPL package-1");
  EXPECT_DOUBLE_EQ(meter.joules().value(), 0);
  put_zone(tree, "intel-rapl:1", "package-1", "2000000");
  EXPECT_DOUBLE_EQ(meter.joules().value(), 2);
  put_zone(tree, "intel-rapl:0", "package-0", "3000000");  // over the top
  EXPECT_DOUBLE_EQ(meter.joules().value(), 2 + 1 + 3);
  put_zone(tree, "intel-rapl:0", "package-0", "999000000");
  put_zone(tree, "intel-rapl:0", "package-0", "4000000");
  EXPECT_DOUBLE_EQ(meter.joules().value(), 7);
  tree.remove("sys/class/powercap/intel-rapl:1");
  EXPECT_FALSE(meter.joules());  // half of it is no sum
}

TEST(EnergyMeter, BrokenCountersAreAbsent) {
  const Tree tree;
  put_zone(tree, "intel-rapl:0", "package-0", "garbage");
  EnergyMeter meter(tree.root());
  EXPECT_FALSE(meter.joules());
  EXPECT_NE(meter.description().find("garbage"), std::string::npos);
  put_zone(tree, "intel-rapl:0", "package-0", "5000000");
  tree.put("sys/class/powercap/intel-rapl:0/max_energy_range_uj", "1");
  EnergyMeter back(tree.root());
  put_zone(tree, "intel-rapl:0", "package-0", "1000000");
  tree.put("sys/class/powercap/intel-rapl:0/max_energy_range_uj", "1");
  EXPECT_FALSE(back.joules());  // it went back, and its range explains nothing
}

TEST(EnergyMeter, TheWholeSystemIsPreferred) {
  const Tree tree;
  put_zone(tree, "intel-rapl:0", "package-0", "0");
  put_zone(tree, "intel-rapl:1", "psys", "0");
  EXPECT_EQ(EnergyMeter(tree.root()).scope(), EnergyScope::kSystem);
  EXPECT_EQ(EnergyMeter(tree.root()).description(), "RAPL psys");
  tree.put("sys/class/hwmon/hwmon0/name", "power_meter");
  tree.put("sys/class/hwmon/hwmon0/power1_average", "90000000");
  EXPECT_EQ(EnergyMeter(tree.root()).scope(), EnergyScope::kWall);
}

TEST(EnergyMeter, PowerIsSummedOverTime) {
  const Tree tree;
  FakeClock clock;
  tree.put("sys/class/hwmon/hwmon3/name", "amdgpu");
  tree.put("sys/class/hwmon/hwmon3/power1_average", "10000000");
  EnergyMeter meter(tree.root(), clock);
  EXPECT_EQ(meter.scope(), EnergyScope::kGpu);
  clock.now += Milliseconds(2000);
  EXPECT_DOUBLE_EQ(meter.joules().value(), 20);
  tree.put("sys/class/hwmon/hwmon3/power1_average", "30000000");
  clock.now += Milliseconds(1000);
  EXPECT_DOUBLE_EQ(meter.joules().value(), 40);
}

TEST(EnergyMeter, BatteryCountsWhileItDischarges) {
  const Tree tree;
  tree.put("sys/class/power_supply/BAT0/status", "Discharging");
  tree.put("sys/class/power_supply/BAT0/energy_now", "50000000");
  EnergyMeter meter(tree.root());
  EXPECT_EQ(meter.scope(), EnergyScope::kSystem);
  tree.put("sys/class/power_supply/BAT0/energy_now", "49000000");
  EXPECT_DOUBLE_EQ(meter.joules().value(), 3600);
  tree.put("sys/class/power_supply/BAT0/status", "Charging");
  EXPECT_FALSE(meter.joules());
  EnergyMeter plugged_in(tree.root());
  EXPECT_NE(plugged_in.description().find("not discharging"), std::string::npos);
}

TEST(EnergyMeter, AmdSockets) {
  const Tree tree;
  tree.put("sys/class/hwmon/hwmon1/name", "amd_energy");
  tree.put("sys/class/hwmon/hwmon1/energy1_label", "Ecore000");
  tree.put("sys/class/hwmon/hwmon1/energy1_input", "7");
  tree.put("sys/class/hwmon/hwmon1/energy9_label", "Esocket0");
  tree.put("sys/class/hwmon/hwmon1/energy9_input", "1000000");
  EnergyMeter meter(tree.root());
  EXPECT_EQ(meter.description(), "amd_energy Esocket0");
  tree.put("sys/class/hwmon/hwmon1/energy9_input", "3000000");
  EXPECT_DOUBLE_EQ(meter.joules().value(), 2);
}

TEST(Nvml, MissingLibraryIsAnError) {
  const auto nvml = Nvml::open("libno-such-thing.so");
  ASSERT_FALSE(nvml);
  EXPECT_NE(nvml.error().message.find("libno-such-thing.so"), std::string::npos);
  EXPECT_FALSE(Nvml::open("libc.so.6"));  // a library, but not this one
}

TEST(Sysfs, Numbers) {
  EXPECT_EQ(to_unsigned("12"), 12U);
  for (const char* text : {"", "-1", "1 ", "1.5", "0x10", "99999999999999999999"})
    EXPECT_FALSE(to_unsigned(text)) << text;
}

}  // namespace
}  // namespace lathe
