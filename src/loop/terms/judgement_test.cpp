// Scores that can count, and the words of evidence that all judges share.
#include "loop/terms/judgement.h"

#include <gmock/gmock.h>

#include <cmath>

namespace lathe::loop {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

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

}  // namespace
}  // namespace lathe::loop
