// What /sys says of heat and batteries, on trees as kernels make them.
#include "ground/sys/climate.h"

#include <gtest/gtest.h>

namespace lathe {
namespace {

class ClimateTest : public ::testing::Test {
 protected:
  void put(const std::string& path, std::string_view text) {
    const fs::path file = root_.path() / path;
    fs::create_directories(file.parent_path());
    ASSERT_TRUE(write_file_atomic(file, text));
  }
  Climate read() const { return read_climate(root_.path()); }

  TempDir root_ = *TempDir::make();
};

TEST_F(ClimateTest, NothingThereIsAbsent) {
  const Climate climate = read();
  EXPECT_FALSE(climate.celsius || climate.limit_celsius || climate.throttles || climate.mhz ||
               climate.on_battery);
  EXPECT_FALSE(is_hot(climate, climate));
}

TEST_F(ClimateTest, TheHottestSensorOfTheProcessorAndItsLimit) {
  put("sys/class/hwmon/hwmon0/name", "nvme\n");
  put("sys/class/hwmon/hwmon0/temp1_input", "99000\n");
  put("sys/class/hwmon/hwmon1/name", "coretemp\n");
  put("sys/class/hwmon/hwmon1/temp1_input", "61000\n");
  put("sys/class/hwmon/hwmon1/temp1_max", "80000\n");
  put("sys/class/hwmon/hwmon1/temp2_input", "74500\n");
  put("sys/class/hwmon/hwmon1/temp2_crit", "100000\n");
  EXPECT_EQ(read().celsius, 74.5);
  EXPECT_EQ(read().limit_celsius, 100);
  EXPECT_FALSE(is_hot(read(), read()));
  put("sys/class/hwmon/hwmon1/temp2_input", "95000\n");
  EXPECT_TRUE(is_hot(read(), read()));
}

TEST_F(ClimateTest, AZoneCountsWhereNoSensorIsTheProcessors) {
  put("sys/class/thermal/thermal_zone0/temp", "48000\n");
  put("sys/class/thermal/thermal_zone0/trip_point_0_type", "active\n");
  put("sys/class/thermal/thermal_zone0/trip_point_0_temp", "40000\n");
  put("sys/class/thermal/thermal_zone0/trip_point_1_type", "passive\n");
  put("sys/class/thermal/thermal_zone0/trip_point_1_temp", "85000\n");
  EXPECT_EQ(read().celsius, 48);
  EXPECT_EQ(read().limit_celsius, 85) << "a fan that turns is no heat";
}

TEST_F(ClimateTest, SlowingDownIsHeatWhileItGoesOn) {
  put("sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "4\n");
  put("sys/devices/system/cpu/cpu1/thermal_throttle/package_throttle_count", "1\n");
  const Climate before = read();
  EXPECT_EQ(before.throttles, 5U);
  EXPECT_FALSE(is_hot(before, read()));
  put("sys/devices/system/cpu/cpu1/thermal_throttle/package_throttle_count", "2\n");
  EXPECT_TRUE(is_hot(before, read()));
}

TEST_F(ClimateTest, Batteries) {
  put("sys/class/power_supply/hidpp_battery_0/type", "Battery\n");
  put("sys/class/power_supply/hidpp_battery_0/scope", "Device\n");
  put("sys/class/power_supply/hidpp_battery_0/status", "Discharging\n");
  EXPECT_FALSE(read().on_battery) << "a mouse's";
  put("sys/class/power_supply/BAT0/type", "Battery\n");
  put("sys/class/power_supply/BAT0/status", "Discharging\n");
  EXPECT_EQ(read().on_battery, true);
  put("sys/class/power_supply/AC/type", "Mains\n");
  put("sys/class/power_supply/AC/online", "1\n");
  EXPECT_EQ(read().on_battery, false) << "plugged in, and still taking from it";
}

TEST_F(ClimateTest, Clocks) {
  put("proc/cpuinfo", "processor\t: 0\ncpu MHz\t\t: 2000.5\ncpu MHz : 1000.5\n");
  EXPECT_EQ(read().mhz, 1500.5);
  put("sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "3000000\n");
  EXPECT_EQ(read().mhz, 3000);
}

}  // namespace
}  // namespace lathe
