// Pictures cut and scaled.
#include "ground/media/picture.h"

#include <gtest/gtest.h>
#include <leptonica/allheaders.h>

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

TEST(Picture, AMaskIsOpenInItsBoxesAlone) {
  const std::vector<Box> open{{10, 4, 5, 6}, {38, 0, 10, 3}, {-5, -5, 2, 2}};
  const std::string png = mask_png(40, 20, open);
  EXPECT_EQ(png.substr(24, 2), std::string("\x08\x06")) << "8 bits; red, green, blue and alpha";
  PIX* mask = pixReadMem(reinterpret_cast<const l_uint8*>(png.data()), png.size());
  ASSERT_TRUE(mask);
  ASSERT_EQ(pixGetWidth(mask), 40);
  ASSERT_EQ(pixGetHeight(mask), 20);
  for (int y = 0; y < 20; ++y)
    for (int x = 0; x < 40; ++x) {
      const bool inside = (x >= 10 && x < 15 && y >= 4 && y < 10) || (x >= 38 && y < 3);
      l_uint32 rgba = 0;
      pixGetPixel(mask, x, y, &rgba);
      EXPECT_EQ(rgba, inside ? 0xffffff00U : 0x000000ffU) << x << "," << y;
    }
  pixDestroy(&mask);
}

}  // namespace
}  // namespace lathe
