// The generator against SplitMix64's published numbers.
#include "ground/base/random.h"

#include <gtest/gtest.h>

namespace lathe {
namespace {

TEST(Random, IsSplitMix64) {  // the published numbers of the seed 1234567
  std::uint64_t state = 1234567;
  for (const std::uint64_t want :
       {6457827717110365317u, 3203168211198807973u, 9817491932198370423u, 4593380528125082431u}) {
    EXPECT_EQ(mix64(state), want);
    state += kMixStep;
  }
}

TEST(Random, UnitIntervalsEnds) {
  EXPECT_EQ(unit_interval(0), 0);
  EXPECT_LT(unit_interval(~std::uint64_t{0}), 1);
  EXPECT_NE(uniform_at(1, 2, 3), uniform_at(1, 3, 2));
}

}  // namespace
}  // namespace lathe
