// UTC as text, there and back.
#include "ground/base/clock.h"

#include <gtest/gtest.h>

namespace lathe {
namespace {

TEST(Utc, ThereAndBack) {
  for (const std::int64_t ms : {std::int64_t{0}, std::int64_t{1'764'547'200'000},
                                std::int64_t{1'709'164'800'000}, std::int64_t{4'102'444'799'000}})
    EXPECT_EQ(parse_utc(format_utc(ms)), ms) << format_utc(ms);
  EXPECT_EQ(parse_utc("2025-12-01"), 1'764'547'200'000);
  EXPECT_EQ(parse_utc("2024-02-29"), 1'709'164'800'000);  // what `date -u -d` says
}

TEST(Utc, WhatIsNoMomentIsRefused) {
  for (const char* text :
       {"", "2026", "2026-02-30", "2026-13-01", "2026-00-10", "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z", "2026-01-01 00:00:00Z", "2026-01-01T00:00:00", "20a6-01-01",
        "-026-01-01", "2026-01-01T00:00:00+"})
    EXPECT_FALSE(parse_utc(text)) << text;
}

}  // namespace
}  // namespace lathe
