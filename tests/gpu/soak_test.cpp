// The short soak; the long one is a program (gpu/soak_main.cpp).
#include <gtest/gtest.h>

#include "gpu/soak.h"

namespace lathe::infer {
namespace {

TEST(Soak, EightStreamsAndManyLosses) {
  const SoakResult result = soak({.losses = 20, .streams = 8, .tokens = 12});
  EXPECT_EQ(result.differ, 0u);
  EXPECT_GE(result.answers, 8u);
  EXPECT_GE(result.back, 19u);
}

}  // namespace
}  // namespace lathe::infer
