// Quotas by a clock of the test's own.
#include "serve/server/quota.h"

#include <gtest/gtest.h>

namespace lathe::serve {
namespace {

constexpr std::int64_t kDay = 20'000, kDayMs = std::int64_t{24} * 60 * 60 * 1000;

class SetClock : public Clock {
 public:
  Milliseconds monotonic() const override { return Milliseconds(0); }
  std::int64_t unix_ms() const override { return now; }
  std::int64_t now = kDay * kDayMs;
};

Key key_with(std::optional<std::int64_t> tokens, std::optional<std::int64_t> joules = {},
             std::optional<std::int64_t> parallel = {}) {
  Key key;
  key.name = "anna";
  key.tokens_day = tokens;
  key.joules_day = joules;
  key.parallel = parallel;
  return key;
}

Usage took(std::int64_t prompt, std::int64_t written, std::int64_t millijoules = 0) {
  Usage usage;
  usage.prompt_tokens = prompt;
  usage.completion_tokens = written;
  usage.millijoules = millijoules;
  return usage;
}

TEST(Quota, TokensOfADayCountAnewAtMidnight) {
  SetClock clock;
  const auto meter = std::make_shared<QuotaMeter>(clock);
  const Key key = key_with(100);
  (*meter->admit(key))->count(took(60, 39));
  (*meter->admit(key))->count(took(1, 0));
  clock.now += kDayMs - 90'000;
  const auto refused = meter->admit(key);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().status, 429);
  EXPECT_EQ(refused.error().code, "quota_exceeded");
  EXPECT_EQ(refused.error().retry_after, 90);
  Key other = key;
  other.name = "ben";
  EXPECT_TRUE(meter->admit(other));
  clock.now += 90'000;
  EXPECT_TRUE(meter->admit(key));
}

TEST(Quota, AClockThatGoesBackGivesNothingBack) {
  SetClock clock;
  const auto meter = std::make_shared<QuotaMeter>(clock);
  const Key key = key_with(10);
  (*meter->admit(key))->count(took(10, 0));
  clock.now -= 5 * kDayMs;
  EXPECT_FALSE(meter->admit(key));
  clock.now += 5 * kDayMs;
  EXPECT_FALSE(meter->admit(key));
}

TEST(Quota, JoulesAndRequestsAtOnce) {
  SetClock clock;
  const auto meter = std::make_shared<QuotaMeter>(clock);
  const Key key = key_with({}, 2, 2);
  auto first = *meter->admit(key), second = *meter->admit(key);
  const auto third = meter->admit(key);
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().retry_after, 1);
  first.reset();
  EXPECT_TRUE(meter->admit(key));
  second->count(took(0, 0, 1999));
  EXPECT_TRUE(meter->admit(key));
  second->count(took(0, 0, 1));
  EXPECT_FALSE(meter->admit(key));
}

TEST(Quota, WhatWasUsedBeforeCounts) {
  SetClock clock;
  const auto meter = std::make_shared<QuotaMeter>(clock);
  meter->seed("anna", kDay - 1, 1000, 0);
  EXPECT_TRUE(meter->admit(key_with(100)));
  meter->seed("anna", kDay, 99, 0);
  auto last = meter->admit(key_with(100));
  ASSERT_TRUE(last);
  (*last)->count(took(1, 0));
  EXPECT_FALSE(meter->admit(key_with(100)));
}

}  // namespace
}  // namespace lathe::serve
