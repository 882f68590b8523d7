// Pictures cut and scaled.
#include "ground/media/picture.h"

#include <gtest/gtest.h>

namespace lathe {
namespace {

Picture pattern(int width, int height) {
  Picture picture = blank_picture(width, height);
  for (std::size_t i = 0; i < picture.rgb.size(); ++i)
    picture.rgb[i] = static_cast<std::uint8_t>(i * 7 + i / 97);
  return picture;
}

TEST(Picture, APartIsCutOut) {
  const Picture picture = pattern(61, 47);
  EXPECT_EQ(cut_out(picture, picture.box()).rgb, picture.rgb);
  const Picture part = cut_out(picture, {17, 40, 44, 7});  // up to the corner
  EXPECT_EQ(part.box(), (Box{0, 0, 44, 7}));
  for (const auto& [x, y] : {std::pair{0, 0}, {43, 0}, {0, 6}, {43, 6}})
    EXPECT_TRUE(std::equal(part.at(x, y), part.at(x, y) + 3, picture.at(17 + x, 40 + y)));
}

TEST(Picture, ScalingKeepsTheMean) {
  const Picture picture = pattern(120, 80);
  const Picture half = scaled(picture, 60, 40);
  for (int c = 0; c < 3; ++c) {
    double before = 0, after = 0;
    for (std::size_t i = static_cast<std::size_t>(c); i < picture.rgb.size(); i += 3)
      before += picture.rgb[i];
    for (std::size_t i = static_cast<std::size_t>(c); i < half.rgb.size(); i += 3)
      after += half.rgb[i];
    EXPECT_NEAR(before / (120 * 80), after / (60 * 40), 0.5);
  }
  EXPECT_EQ(scaled(blank_picture(3, 3), 7, 5).rgb, blank_picture(7, 5).rgb);
}

}  // namespace
}  // namespace lathe
