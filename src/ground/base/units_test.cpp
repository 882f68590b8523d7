// Durations, energies, bytes and bars: what is read, what is refused, how it is written.
#include "ground/base/units.h"

#include <gmock/gmock.h>

namespace lathe {
namespace {

TEST(Duration, Accepted) {
  const std::pair<std::string_view, long> cases[] = {
      {"500ms", 500},       {"90s", 90'000},     {"20m", 1'200'000},
      {"20min", 1'200'000}, {"1.5h", 5'400'000}, {" 2 h ", 7'200'000},
      {"1d", 86'400'000},   {"0s", 0},           {"0.4ms", 0}};
  for (const auto& [text, ms] : cases) {
    const auto parsed = parse_duration(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(parsed->count(), ms) << text;
  }
}

TEST(Duration, Refused) {
  for (const std::string_view text :
       {"", "s", "5", "-5s", "5 parsecs", "nan s", "inf s", "1e999s", "1e20h", "5S", "5s5", "0x5s"})
    EXPECT_FALSE(parse_duration(text)) << text;
  EXPECT_THAT(parse_duration("5 parsecs").error().message, ::testing::HasSubstr("90s"));
}

TEST(Energy, Units) {
  EXPECT_DOUBLE_EQ(*parse_energy_joules("0.2kWh"), 720'000);
  EXPECT_DOUBLE_EQ(*parse_energy_joules("20kJ"), 20'000);
  EXPECT_DOUBLE_EQ(*parse_energy_joules("5Wh"), 18'000);
  EXPECT_FALSE(parse_energy_joules("5"));
  EXPECT_FALSE(parse_energy_joules("5kW"));
}

TEST(Bytes, Units) {
  EXPECT_EQ(*parse_bytes("4096"), 4096U);
  EXPECT_EQ(*parse_bytes("64KiB"), 65536U);
  EXPECT_EQ(*parse_bytes("2GiB"), 2147483648U);
  EXPECT_EQ(*parse_bytes("1GB"), 1'000'000'000U);
  EXPECT_EQ(*parse_bytes("0"), 0U);
  for (const std::string_view text : {"", "-1", "1e30", "5 XiB", "nan", "999999999TiB"})
    EXPECT_FALSE(parse_bytes(text)) << text;
}

TEST(Bar, FormsAndBorders) {
  EXPECT_DOUBLE_EQ(*parse_bar("9/10"), 0.9);
  EXPECT_DOUBLE_EQ(*parse_bar("90%"), 0.9);
  EXPECT_DOUBLE_EQ(*parse_bar(" 0.9 "), 0.9);
  EXPECT_DOUBLE_EQ(*parse_bar("0"), 0);
  EXPECT_DOUBLE_EQ(*parse_bar("1"), 1);
  EXPECT_DOUBLE_EQ(*parse_bar("100%"), 1);
  for (const std::string_view text : {"", "/", "0/0", "1/0", "9/", "/9", "nan", "inf", "1.01",
                                      "101%", "-0.1", "9", "9/10/10", "%"})
    EXPECT_FALSE(parse_bar(text)) << text;
}

TEST(Format, BordersBetweenUnits) {
  EXPECT_EQ(format_duration(Milliseconds(0)), "0 ms");
  EXPECT_EQ(format_duration(Milliseconds(999)), "999 ms");
  EXPECT_EQ(format_duration(Milliseconds(1000)), "1.0 s");
  EXPECT_EQ(format_duration(Milliseconds(59'949)), "59.9 s");
  EXPECT_EQ(format_duration(Milliseconds(60'000)), "1m 00s");
  EXPECT_EQ(format_duration(Milliseconds(3'599'999)), "59m 59s");
  EXPECT_EQ(format_duration(Milliseconds(3'900'000)), "1h 05m");
  for (long ms = 59'000; ms < 60'000; ++ms)
    ASSERT_NE(format_duration(Milliseconds(ms)), "60.0 s") << ms;
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1024), "1.0 KiB");
  EXPECT_EQ(format_bytes(1048575), "1.0 MiB");
  EXPECT_EQ(format_bytes(3355443), "3.2 MiB");
  EXPECT_EQ(format_bytes(~0ULL), "16777216.0 TiB");
  EXPECT_EQ(format_energy(12.4), "12.4 J");
  EXPECT_EQ(format_energy(3100), "3.1 kJ");
  EXPECT_EQ(format_energy(7.2e6), "2.00 kWh");
}

}  // namespace
}  // namespace lathe
