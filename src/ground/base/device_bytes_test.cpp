// Devices are counted apart: what is free on one is no room on another.
#include "ground/base/device_bytes.h"

#include <gtest/gtest.h>

namespace lathe {
namespace {

DeviceBytes of(std::uint64_t host, std::uint64_t device) {
  return DeviceBytes(kHostDevice, host) + DeviceBytes("gpu0", device);
}

TEST(DeviceBytes, AreCountedApart) {
  const DeviceBytes both = of(10, 3);
  EXPECT_EQ(both.on_host(), 10u);
  EXPECT_EQ(both.of("gpu0"), 3u);
  EXPECT_EQ(both.of("gpu1"), 0u);
  EXPECT_EQ(both.total(), 13u);
  EXPECT_EQ(both + of(1, 2), of(11, 5));
  EXPECT_EQ(both.less(of(4, 3)), of(6, 0));
  EXPECT_EQ(both.less(of(99, 1)), of(0, 2));
}

TEST(DeviceBytes, NothingIsNoEntry) {
  EXPECT_EQ(of(0, 0), DeviceBytes());
  EXPECT_EQ(of(5, 7).less(of(5, 7)), DeviceBytes());
  EXPECT_EQ(to_json(of(5, 0)).dump(), R"({"cpu":5})");
  EXPECT_EQ(to_json(of(5, 7)).dump(), R"({"cpu":5,"gpu0":7})");
}

TEST(DeviceBytes, FitWhereEachDeviceHasRoom) {
  EXPECT_TRUE(of(10, 3).fits(of(10, 3)));
  EXPECT_FALSE(of(10, 3).fits(of(100, 2)));
  EXPECT_FALSE(of(11, 0).fits(of(10, 100)));
  EXPECT_FALSE(of(1, 1).fits(DeviceBytes(kHostDevice, 100))) << "a device that is not there";
  EXPECT_TRUE(DeviceBytes().fits(DeviceBytes()));
}

}  // namespace
}  // namespace lathe
