// When a run waits, and when it goes on.
#include "app/cli/hold.h"

#include <gtest/gtest.h>

namespace lathe::app {
namespace {

using enum loop::PauseReason;
using std::chrono_literals::operator""s;

TEST(Hold, OnlyWhatWasAskedForIsInTheWay) {
  const Surroundings now{{.on_battery = true}, true};
  EXPECT_EQ(Hold().why({}, now, 0s), "");
  EXPECT_EQ(Hold().why({kHeat}, now, 0s), "");
  EXPECT_EQ(Hold().why({kBattery}, now, 0s), "the machine runs on its battery");
  EXPECT_EQ(Hold().why({kPerson}, now, 0s), "somebody asks this machine's server");
  EXPECT_EQ(Hold().why({kBattery}, {{.on_battery = std::nullopt}}, 0s), "") << "has none";
}

TEST(Hold, GoesOnWhenItHasBeenCalmForAWhile) {
  Hold hold;
  const Surroundings person{{}, true}, nobody{};
  EXPECT_EQ(hold.why({kPerson}, nobody, 100s), "");
  EXPECT_NE(hold.why({kPerson}, person, 101s), "");
  EXPECT_NE(hold.why({kPerson}, nobody, 102s), "");
  EXPECT_NE(hold.why({kPerson}, person, 130s), "");
  EXPECT_NE(hold.why({kPerson}, nobody, 159s), "");
  EXPECT_EQ(hold.why({kPerson}, nobody, 160s), "");
}

TEST(Hold, SlowingDownCountsFromLookToLook) {
  Hold hold;
  const auto throttled = [](std::uint64_t times) { return Surroundings{{.throttles = times}}; };
  EXPECT_EQ(hold.why({kHeat}, throttled(900), 0s), "") << "long ago";
  EXPECT_EQ(hold.why({kHeat}, throttled(901), 1s), "the processor slows down for heat");
  EXPECT_NE(hold.why({kHeat}, throttled(901), 2s), "");
  EXPECT_EQ(hold.why({kHeat}, throttled(901), 31s), "");
  EXPECT_EQ(hold.why({kHeat}, {{.celsius = 96, .limit_celsius = 100}}, 40s),
            "the processor is too hot (96 °C)");
}

}  // namespace
}  // namespace lathe::app
