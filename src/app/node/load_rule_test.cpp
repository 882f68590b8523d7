// The borders of the rule by which a node takes work.
#include "app/node/load_rule.h"

#include <gmock/gmock.h>

namespace lathe::app {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string why_not(const NodeLoad& load, LoadLimits limits = {}) {
  return LoadRule(limits).why_not(load, Milliseconds(0));
}

TEST(NodeLoadRule, WhatCannotBeReadIsInNobodysWay) {
  EXPECT_THAT(why_not({}), IsEmpty());
}

TEST(NodeLoadRule, TheLimitsThemselvesAreTooMuch) {
  EXPECT_THAT(why_not({.cpu = 0.599}), IsEmpty());
  EXPECT_THAT(why_not({.cpu = 0.60}), HasSubstr("processors are busy (60 %"));
  EXPECT_THAT(why_not({.memory = 0.099}), IsEmpty());
  EXPECT_THAT(why_not({.memory = 0.10}), HasSubstr("memory is short (10 %"));
  EXPECT_THAT(why_not({.hot = true}), HasSubstr("hot"));
}

TEST(NodeLoadRule, TheBatteryCountsUnlessItMay) {
  EXPECT_THAT(why_not({.on_battery = true}), HasSubstr("battery"));
  EXPECT_THAT(why_not({.on_battery = true}, {.on_battery = true}), IsEmpty());
  EXPECT_THAT(why_not({.on_battery = false}), IsEmpty());
}

TEST(NodeLoadRule, APersonIsLeftAloneForTenSeconds) {
  LoadRule rule{LoadLimits()};
  EXPECT_THAT(rule.why_not({}, Milliseconds(0)), IsEmpty());
  EXPECT_THAT(rule.why_not({.person = true}, Milliseconds(1'000)), HasSubstr("somebody asks"));
  EXPECT_THAT(rule.why_not({}, Milliseconds(10'999)), HasSubstr("somebody asks"));
  EXPECT_THAT(rule.why_not({}, Milliseconds(11'000)), IsEmpty());
}

// A request may begin and end between two looks.
TEST(NodeLoadRule, APersonWhoWasNotSeenIsCounted) {
  LoadRule rule{LoadLimits()};
  EXPECT_THAT(rule.why_not({.asked = 7}, Milliseconds(0)), IsEmpty()) << "they were before";
  EXPECT_THAT(rule.why_not({.asked = 8}, Milliseconds(1'000)), HasSubstr("somebody asks"));
  EXPECT_THAT(rule.why_not({.asked = 8}, Milliseconds(10'999)), HasSubstr("somebody asks"));
  EXPECT_THAT(rule.why_not({.asked = 8}, Milliseconds(11'000)), IsEmpty());
  EXPECT_THAT(rule.why_not({.asked = 0}, Milliseconds(12'000)), HasSubstr("somebody asks"))
      << "the server began anew";
}

}  // namespace
}  // namespace lathe::app
