// Drawings through the confined drawer, boxes as text, and pictures compared.
#include <gmock/gmock.h>

#include "loop/senses/box_text.h"
#include "loop/senses/difference.h"
#include "loop/senses/media_pool.h"

namespace lathe::loop {
namespace {

const StopFlag kUnstopped;
constexpr Milliseconds kPictureLimit{60'000};

TEST(Picture, BoxesAreReadBack) {
  for (const Box& box : {Box{0, 0, 0, 0}, Box{-3, 17, 1280, 5}})
    EXPECT_EQ(parse_box(to_text(box)), box);
  for (const char* text : {"", "box", "box 1,2 3", "box 1,2 3x", "box 1,2 3x4 ", "box 1,2 3x-4",
                           "box 99999999999,2 3x4", "file:3"})
    EXPECT_FALSE(parse_box(text)) << text;
}

TEST(Picture, DrawingsAreTheSameBitsAgainAndTellTheirTexts) {
  MediaPool pool("/proc/self/exe", 1);
  const std::string svg =
      "<svg xmlns='http://www.w3.org/2000/svg' width='200' height='100'><text x='150' y='50' "
      "font-size='30' font-family='serif' font-style='italic'>Hello there</text></svg>";
  const auto first = pool.open_picture(svg, kPictureLimit, kUnstopped);
  const auto again = pool.open_picture(svg, kPictureLimit, kUnstopped);
  ASSERT_TRUE(first && again);
  EXPECT_EQ(first->picture.rgb, again->picture.rgb);
  ASSERT_EQ(first->texts.size(), 1U);
  EXPECT_EQ(first->texts[0].text, "Hello there");
  EXPECT_GT(first->texts[0].ink.right(), 200);
}

TEST(Picture, WhatTheSourceAsksForIsNoted) {
  MediaPool pool("/proc/self/exe", 1);
  const auto opened = pool.open_picture(
      "<svg xmlns='http://www.w3.org/2000/svg' width='50' height='50'><image "
      "href='http://a.test/b'/>"
      "<script>x</script><rect fill='url(#own)'/><a href='http://fine.test'><rect/></a></svg>",
      kPictureLimit, kUnstopped);
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_THAT(opened->outside, ::testing::ElementsAre("http://a.test/b", "<script>"));
}

TEST(Picture, SvgIsToldFromOtherFiles) {
  EXPECT_TRUE(looks_like_svg("\xef\xbb\xbf<?xml version='1.0'?>\n<!-- c --><svg/>"));
  EXPECT_FALSE(looks_like_svg("<!DOCTYPE html><svg/>"));
  EXPECT_FALSE(looks_like_svg("\x89PNG <svg"));
  EXPECT_FALSE(looks_like_svg(""));
}

TEST(Difference, IsNothingForTheSameAndGrowsWithWhatIsChanged) {
  Picture reference = blank_picture(400, 300);
  for (int y = 100; y < 200; ++y)
    for (int x = 100; x < 200; ++x) reference.at(x, y)[0] = reference.at(x, y)[1] = 0;
  const Difference same = difference_of(reference, reference);
  EXPECT_DOUBLE_EQ(same.similarity, 1);
  Picture moved = blank_picture(400, 300);
  for (int y = 100; y < 200; ++y)
    for (int x = 250; x < 350; ++x) moved.at(x, y)[0] = moved.at(x, y)[1] = 0;
  const Difference off = difference_of(moved, reference);
  EXPECT_LT(off.similarity, 0.9);
  const Difference blank = difference_of(blank_picture(400, 300), reference);
  EXPECT_LT(off.similarity, blank.similarity);
  // The worst part is where the square was or is.
  const auto worst = std::ranges::max_element(off.parts) - off.parts.begin();
  EXPECT_THAT(worst / off.columns, ::testing::AllOf(::testing::Ge(2), ::testing::Le(6)));
}

}  // namespace
}  // namespace lathe::loop
