// GELU against its definition in double, at the edges of its table and beyond.
#include "infer/encoders/gelu.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace lathe::infer {
namespace {

TEST(GeluExact, IsTheDefinition) {
  for (int i = -900'000; i <= 900'000; i += 7) {
    const float x = static_cast<float>(i) / 100'000;
    float y = x;
    gelu_exact(&y, 1);
    const double truth = x * 0.5 * std::erfc(-static_cast<double>(x) / std::sqrt(2.0));
    ASSERT_NEAR(y, truth, 1.5e-7 * std::max(1.0F, std::abs(x))) << x;
  }
  float odd[] = {-6,
                 6,
                 -1e30F,
                 1e30F,
                 std::numeric_limits<float>::infinity(),
                 -std::numeric_limits<float>::infinity(),
                 std::numeric_limits<float>::quiet_NaN()};
  gelu_exact(odd, std::size(odd));
  EXPECT_EQ(odd[0], 0);
  EXPECT_EQ(odd[1], 6);
  EXPECT_EQ(odd[2], 0);
  EXPECT_EQ(odd[3], 1e30F);
  EXPECT_EQ(odd[4], std::numeric_limits<float>::infinity());
  EXPECT_EQ(odd[5], 0);
  EXPECT_TRUE(std::isnan(odd[6]));
}

}  // namespace
}  // namespace lathe::infer
