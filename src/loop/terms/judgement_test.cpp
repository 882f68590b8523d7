// Judgements and exhibits as JSON, and the words that all judges share.
#include "loop/terms/judgement.h"

#include <gmock/gmock.h>

#include <cmath>

#include "loop/terms/exhibit.h"

namespace lathe::loop {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(JudgementTest, WhatEvidenceSaysInSharedWords) {
  Judgement judgement;
  EXPECT_EQ(caveat_of(judgement), "");
  EXPECT_EQ(why_not_judged(judgement), "");
  EXPECT_THAT(unverified_words(judgement), IsEmpty());
  judgement.evidence = {{"caveat", "one word"},
                        {"not_judged", "no chromium"},
                        {"no_advice", "no worker"},
                        {"not_verified", {"guten", 3, "damen"}}};
  EXPECT_EQ(caveat_of(judgement), "one word");
  EXPECT_EQ(why_not_judged(judgement), "no chromium");
  EXPECT_EQ(why_no_advice(judgement), "no worker");
  EXPECT_THAT(unverified_words(judgement), ElementsAre("guten", "damen"));
}

TEST(JudgementTest, OnlyAShareIsAScore) {
  for (const double good : {0.0, 0.5, 1.0}) EXPECT_TRUE(is_share(good));
  for (const double bad : {-0.1, 1.1, std::nan(""), HUGE_VAL}) EXPECT_FALSE(is_share(bad));
}

TEST(ExhibitTest, AsJson) {
  const Json picture = to_json(Exhibit(PictureExhibit{.title = "seen",
                                                      .base64 = "cGlj",
                                                      .width = 10,
                                                      .height = 5,
                                                      .boxes = {{1, 2, 3, 4}},
                                                      .heat = {1, 1, {0.5}}}));
  EXPECT_EQ(picture["kind"], "picture");
  EXPECT_EQ(picture["boxes"], Json::array({Json::array({1, 2, 3, 4})}));
  EXPECT_EQ(picture["heat"]["values"], Json::array({0.5}));
  EXPECT_EQ(picture["png"], "cGlj");
  EXPECT_FALSE(to_json(Exhibit(PictureExhibit{})).contains("png"));  // the candidate's own bytes
  const Json sound = to_json(Exhibit(SoundExhibit{{{"four", "for", "wrong", 0.5, 0.75}}}));
  EXPECT_EQ(sound["words"][0]["heard"], "for");
  EXPECT_EQ(sound["words"][0]["end"], 0.75);
}

}  // namespace
}  // namespace lathe::loop
