// The machine before it is measured: what objects to a publication, clocks that were set, sensors
// that are there and those that are not.
#include "app/bench/preflight.h"

#include <gmock/gmock.h>

#include "app/bench/sensors.h"

namespace lathe::app {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

MachineState quiet() {
  MachineState state;
  state.speed = {20, 500};
  state.best = MachineSpeed{21, 510};
  state.governor = "performance";
  state.cpu_pressure = 0.01;
  return state;
}

TEST(Preflight, AQuietMachineIsFine) {
  EXPECT_THAT(objections_to(quiet()), IsEmpty());
  MachineState unknown;
  unknown.speed = {20, 500};
  EXPECT_THAT(objections_to(unknown), IsEmpty());  // what nobody knows is no objection
}

TEST(Preflight, EachObjectionIsNamed) {
  const auto objection = [](auto change) {
    MachineState state = quiet();
    change(state);
    const auto why = objections_to(state);
    EXPECT_EQ(why.size(), 1);
    return why.empty() ? std::string() : why.front();
  };
  EXPECT_THAT(objection([](MachineState& state) { state.speed.memory_gb = 18; }),
              HasSubstr("what memory gives is at 86 %"));
  EXPECT_THAT(objection([](MachineState& state) { state.speed.int8_gop = 100; }),
              HasSubstr("int8"));
  EXPECT_THAT(objection([](MachineState& state) { state.governor = "powersave"; }),
              HasSubstr("'powersave'"));
  EXPECT_THAT(objection([](MachineState& state) { state.cpu_pressure = 0.4; }), HasSubstr("40 %"));
  EXPECT_THAT(objection([](MachineState& state) { state.memory_pressure = 0.2; }),
              HasSubstr("memory was waited for"));
  EXPECT_THAT(objection([](MachineState& state) {
                state.busy = {{"cc1plus", 99.6}};
              }),
              HasSubstr("cc1plus 100 %"));
  EXPECT_THAT(objection([](MachineState& state) { state.on_battery = true; }),
              HasSubstr("battery"));
}

struct FakeRoot : ::testing::Test {
  void put(const std::string& path, const std::string& text) {
    fs::create_directories((root.path() / path).parent_path());
    ASSERT_TRUE(write_file_atomic(root.path() / path, text));
  }
  TempDir root = *TempDir::make();
};

TEST_F(FakeRoot, WhatTheKernelSaysIsRead) {
  put("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "schedutil\n");
  put("proc/pressure/cpu", "some avg10=12.50 avg60=0.00 avg300=0.00 total=0\n");
  put("proc/loadavg", "1.25 0.5 0.1 1/100 7\n");
  put("sys/class/power_supply/BAT0/type", "Battery\n");
  put("sys/class/power_supply/BAT0/status", "Discharging\n");
  put("sys/class/power_supply/AC/type", "Mains\n");
  put("sys/class/power_supply/AC/online", "0\n");
  MachineState state = read_machine_state(root.path());
  EXPECT_EQ(state.governor, "schedutil");
  EXPECT_EQ(state.cpu_pressure, 0.125);
  EXPECT_EQ(state.load_average, 1.25);
  EXPECT_TRUE(state.on_battery);
  EXPECT_FALSE(state.throttles);
  put("sys/class/power_supply/AC/online", "1\n");
  EXPECT_FALSE(read_machine_state(root.path()).on_battery);
}

TEST_F(FakeRoot, SensorsReadWhatIsThereAndNothingElse) {
  Sensors sensors(root.path());
  const Reading none = sensors.read(0);
  EXPECT_FALSE(none.mhz || none.celsius || none.watts || none.throttles);
  EXPECT_EQ(to_json(none)["watts"], Json());
  put("sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "3000000\n");
  put("sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq", "2000000\n");
  put("sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "4\n");
  put("sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count", "3\n");
  put("sys/class/hwmon/hwmon0/name", "nvme\n");
  put("sys/class/hwmon/hwmon0/temp1_input", "90000\n");
  put("sys/class/hwmon/hwmon1/name", "k10temp\n");
  put("sys/class/hwmon/hwmon1/temp1_input", "61500\n");
  const Reading reading = sensors.read(10'000'000);
  EXPECT_EQ(reading.mhz, 2500);
  EXPECT_EQ(reading.celsius, 61.5);  // of the processor, not of the disk
  EXPECT_EQ(reading.throttles, 7);
}

TEST(ClockFaults, ASleepAndAStepAreTwoThings) {
  constexpr std::int64_t kMinute = 60'000'000;
  const Clocks start{1000, 2000, 3000};
  EXPECT_THAT(clock_faults(start, {1000 + kMinute, 2000 + kMinute, 3000 + kMinute}), IsEmpty());
  EXPECT_THAT(clock_faults(start, {1000 + kMinute, 2000 + 2 * kMinute, 3000 + 2 * kMinute}),
              ElementsAre(HasSubstr("slept for 60.0 s")));
  EXPECT_THAT(clock_faults(start, {1000 + kMinute, 2000 + kMinute, 3000 - kMinute}),
              ElementsAre(HasSubstr("set by -120.0 s")));
}

TEST(MachineSpeed, IsAboveZero) {
  infer::ThreadTeam team(1);
  const auto speed = measure_machine(team);
  ASSERT_TRUE(speed) << speed.error().message;
  EXPECT_GT(speed->memory_gb, 0);
  EXPECT_GT(speed->int8_gop, 0);
}

}  // namespace
}  // namespace lathe::app
