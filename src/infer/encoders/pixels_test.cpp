// Resizing, letterboxes, tiles, sizes of canvases: at the borders, against values worked out by
// hand or by the published rule.
#include "infer/encoders/pixels.h"

#include <gtest/gtest.h>

#include <cmath>

#include "infer/encoders/picture_plan.h"

namespace lathe::infer {
namespace {

Picture grey(int width, int height, std::initializer_list<int> values) {
  Picture picture = blank_picture(width, height);
  std::size_t i = 0;
  for (const int value : values)
    for (int c = 0; c < 3; ++c) picture.rgb[i++] = static_cast<std::uint8_t>(value);
  return picture;
}
std::vector<int> greys(const Picture& picture) {
  std::vector<int> values;
  for (std::size_t i = 0; i < picture.rgb.size(); i += 3) values.push_back(picture.rgb[i]);
  return values;
}

TEST(Resized, BilinearKeepsCornersAndCutsOff) {
  const Picture picture = grey(2, 1, {0, 255});
  EXPECT_EQ(greys(resized(picture, {3, 1}, Resampling::kBilinear)), (std::vector{0, 127, 255}));
  EXPECT_EQ(greys(resized(picture, {5, 1}, Resampling::kBilinear)),
            (std::vector{0, 63, 127, 191, 255}));
  EXPECT_EQ(greys(resized(picture, {1, 2}, Resampling::kBilinear)), (std::vector{0, 0}));
  EXPECT_EQ(greys(resized(grey(1, 1, {9}), {2, 2}, Resampling::kBilinear)),
            (std::vector{9, 9, 9, 9}));
  EXPECT_EQ(greys(resized(grey(5, 1, {10, 99, 20, 99, 30}), {3, 1}, Resampling::kBilinear)),
            (std::vector{10, 20, 30}));
}

// At t = 1/2 the cubic through a, b, c, d is (−a + 9b + 9c − d) / 16.
TEST(Resized, BicubicStandsAtTheLeftEdgeAndRounds) {
  const Picture picture = grey(3, 1, {0, 100, 40});
  const auto middle = [](double a, double b, double c, double d) {
    return static_cast<int>(std::round((-a + 9 * b + 9 * c - d) / 16));
  };
  EXPECT_EQ(greys(resized(picture, {6, 1}, Resampling::kBicubic)),
            (std::vector{0, middle(0, 0, 100, 40), 100, middle(0, 100, 40, 40), 40,
                         middle(100, 40, 40, 40)}));
  // What goes beyond 8 bits is clamped.
  EXPECT_EQ(greys(resized(grey(4, 1, {0, 255, 255, 0}), {8, 1}, Resampling::kBicubic))[3], 255);
  EXPECT_EQ(greys(resized(grey(1, 3, {7, 7, 7}), {2, 1}, Resampling::kBicubic)),
            (std::vector{7, 7}));
}

TEST(LaidOn, TheLetterboxIsInTheMiddleAndKeepsTheShape) {
  const Canvas canvas{.size = {4, 5}, .tile = {4, 5}, .border = {1, 2, 3}};
  const Picture laid = laid_on(canvas, grey(2, 1, {200, 200}));
  for (int y = 0; y < 5; ++y)
    for (int x = 0; x < 4; ++x)
      for (int c = 0; c < 3; ++c)
        EXPECT_EQ(laid.at(x, y)[c], y == 1 || y == 2 ? 200 : c + 1) << x << " " << y;
}

TEST(LaidOn, WithoutALetterboxItIsStretched) {
  const Canvas canvas{.size = {2, 2}, .tile = {2, 2}, .letterbox = false};
  EXPECT_EQ(greys(laid_on(canvas, grey(2, 1, {1, 200}))), (std::vector{1, 200, 1, 200}));
}

TEST(Tiles, GoRowByRow) {
  const Canvas canvas{.size = {4, 2}, .tile = {2, 1}};
  const Picture laid = grey(4, 2, {1, 2, 3, 4, 5, 6, 7, 8});
  ASSERT_EQ(canvas.tiles(), 4u);
  EXPECT_EQ(greys(tile_of(canvas, laid, 0)), (std::vector{1, 2}));
  EXPECT_EQ(greys(tile_of(canvas, laid, 1)), (std::vector{3, 4}));
  EXPECT_EQ(greys(tile_of(canvas, laid, 2)), (std::vector{5, 6}));
  EXPECT_EQ(greys(tile_of(canvas, laid, 3)), (std::vector{7, 8}));
}

TEST(ScaledPixels, AreColourByColour) {
  Picture picture = blank_picture(2, 1);
  picture.rgb = {0, 51, 255, 255, 102, 0};
  const PixelPlanes planes =
      scaled_pixels(picture, {.mean = {0.5f, 0, 0}, .deviation = {0.5f, 1, 2}});
  EXPECT_EQ(planes.values, (std::vector{-1.0f, 1.0f, 51 / 255.0f, 102 / 255.0f, 0.5f, 0.0f}));
}

TEST(FittedArea, RoundsHalfUpAndKeepsItsLimits) {
  const AreaLimits limits{.unit = 28, .least = 8 * 784, .most = 100 * 784};
  const auto fitted = [&](int width, int height) { return fitted_area({width, height}, limits); };
  EXPECT_EQ(fitted(112, 112), (PictureSize{112, 112}));
  EXPECT_EQ(fitted(125, 126), (PictureSize{112, 140}));
  EXPECT_EQ(fitted(10, 300), (PictureSize{28, 308}));
  EXPECT_EQ(fitted(1, 1), (PictureSize{84, 84}));        // up: 79.2 to the next
  EXPECT_EQ(fitted(280, 280), (PictureSize{280, 280}));  // exactly the most
  EXPECT_EQ(fitted(294, 280), (PictureSize{280, 252}));  // 286.9 and 273.2 down
}

TEST(FittedSide, BothSidesGoUpToTiles) {
  EXPECT_EQ(fitted_side({97, 61}, 128, 64), (PictureSize{128, 128}));
  EXPECT_EQ(fitted_side({300, 41}, 128, 64), (PictureSize{128, 64}));
  EXPECT_EQ(fitted_side({1, 1000}, 130, 64), (PictureSize{64, 192}));
}

TEST(TileGrids, AreAllThereOnceInOrder) {
  EXPECT_EQ(tile_grids(1, 1, 3),
            (std::vector<PictureSize>{{1, 1}, {1, 2}, {2, 1}, {1, 3}, {3, 1}}));
  EXPECT_EQ(tile_grids(10, 2, 4),
            (std::vector<PictureSize>{
                {10, 20}, {20, 10}, {20, 20}, {10, 30}, {30, 10}, {10, 40}, {40, 10}}));
  std::size_t expected = 0;
  for (int columns = 1; columns <= 64; ++columns)
    for (int rows = 1; rows <= 64; ++rows) expected += columns * rows <= 64;
  EXPECT_EQ(tile_grids(8, 1, 64).size(), expected);
}

TEST(BestCanvas, KeepsMostPixelsThenLeastBorder) {
  const std::vector<PictureSize> sizes{{50, 50}, {100, 50}, {50, 100}, {100, 100}};
  EXPECT_EQ(best_canvas({200, 100}, sizes), (PictureSize{100, 50}));
  EXPECT_EQ(best_canvas({100, 200}, sizes), (PictureSize{50, 100}));
  EXPECT_EQ(best_canvas({100, 100}, sizes), (PictureSize{100, 100}));
  EXPECT_EQ(best_canvas({20, 20}, sizes), (PictureSize{50, 50}));        // none keeps more of it
  EXPECT_EQ(best_canvas({1'000'000, 1}, sizes), (PictureSize{50, 50}));  // nothing is left on any
}

TEST(TilesAndOverview, SmallPicturesHaveNoTiles) {
  const std::vector<PictureSize> sizes{{56, 56}, {112, 56}};
  EXPECT_EQ(tiles_and_overview({56, 56}, 56, sizes).inputs(), 1u);
  const PicturePlan plan = tiles_and_overview({57, 20}, 56, sizes);
  ASSERT_EQ(plan.canvases.size(), 2u);
  EXPECT_EQ(plan.inputs(), plan.canvases[0].tiles() + 1);
  EXPECT_FALSE(plan.canvases[1].letterbox);
}

// Of shapes as near the larger one wins where the picture fills more than half of it.
TEST(NearestShape, IsThePublishedRule) {
  std::vector<PictureSize> grids = tile_grids(512, 2, 10);
  std::ranges::stable_sort(grids, {}, &PictureSize::area);
  EXPECT_EQ(nearest_shape({1440, 900}, grids), (PictureSize{1536, 1024}));
  EXPECT_EQ(nearest_shape({1920, 1080}, grids), (PictureSize{2048, 1024}));
  EXPECT_EQ(nearest_shape({2056, 1329}, grids), (PictureSize{1536, 1024}));
  EXPECT_EQ(nearest_shape({1050, 1050}, grids), (PictureSize{1024, 1024}));
  EXPECT_EQ(nearest_shape({1100, 1100}, grids), (PictureSize{1536, 1536}));
  EXPECT_EQ(nearest_shape({300, 1100}, grids), (PictureSize{512, 2048}));
}

}  // namespace
}  // namespace lathe::infer
