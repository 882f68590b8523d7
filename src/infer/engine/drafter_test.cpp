// What the drafter proposes when an answer follows its draft, leaves it and comes back. Letters
// stand for tokens.
#include "infer/engine/drafter.h"

#include <gtest/gtest.h>

#include <random>

namespace lathe::infer {
namespace {

std::vector<TokenId> ids(std::string_view letters) {
  return {letters.begin(), letters.end()};
}

std::string proposed(Drafter& drafter, std::size_t most = 4) {
  const auto tokens = drafter.propose(most);
  return {tokens.begin(), tokens.end()};
}

void accept(Drafter& drafter, std::string_view letters) {
  for (const char letter : letters) drafter.accept(letter);
}

TEST(Drafter, BeginsWhereTheDraftBegins) {
  Drafter drafter(ids("abcdefgh"), ids("?"));
  EXPECT_EQ(proposed(drafter), "abcd");
  EXPECT_GT(drafter.confidence(), 0.5);
  accept(drafter, "abc");
  EXPECT_EQ(proposed(drafter), "defg");
  accept(drafter, "defgh");
  EXPECT_EQ(proposed(drafter), "");
}

TEST(Drafter, FindsItsPlaceAfterAReplacement) {
  Drafter drafter(ids("abcdefghijklmnop"), {});
  accept(drafter, "abcX");  // X stands for d
  EXPECT_EQ(proposed(drafter), "efgh");
  EXPECT_LT(drafter.confidence(), 0.3) << "a guess";
  accept(drafter, "e");
  EXPECT_EQ(proposed(drafter), "fghi");
  const double unsure = drafter.confidence();
  accept(drafter, "f");
  EXPECT_GT(drafter.confidence(), unsure);
}

TEST(Drafter, FindsItsPlaceAfterAnInsertionAndADeletion) {
  Drafter drafter(ids("abcdefghijklmnop"), {});
  accept(drafter, "abcXYZde");
  EXPECT_EQ(proposed(drafter), "fghi");
  accept(drafter, "fgklm");  // h, i and j are left out
  EXPECT_EQ(proposed(drafter), "nop");
}

TEST(Drafter, TakesTheNearestOfEqualPlaces) {
  Drafter drafter(ids("ab1..ab2..ab3..ab4.."), {});
  accept(drafter, "ab1..");
  accept(drafter, "Xab");
  EXPECT_EQ(proposed(drafter, 1), "2");
  accept(drafter, "2..Xab");
  EXPECT_EQ(proposed(drafter, 1), "3");
}

TEST(Drafter, MovedPassagesAreFollowed) {
  Drafter drafter(ids("the first part. the second part. the end."), {});
  accept(drafter, "the second part. ");
  accept(drafter, "the fi");
  EXPECT_EQ(proposed(drafter, 9), "rst part.");
}

TEST(Drafter, ThePromptIsTheSecondSource) {
  Drafter drafter(ids("abc"), ids("call compute_totals(x) then"));
  accept(drafter, "abc");
  accept(drafter, "; compute_t");
  EXPECT_EQ(proposed(drafter, 6), "otals(");
  EXPECT_LT(drafter.confidence(), 0.9);
}

TEST(Drafter, LearnsHowFarItCanBeTrusted) {
  Drafter drafter(ids(std::string(400, 'a') + "b"), {});
  accept(drafter, std::string(40, 'a'));
  const double before = drafter.confidence();
  for (int i = 0; i < 10; ++i) {
    drafter.propose(8);
    accept(drafter, "aaaaaaaa");
    drafter.checked(8, 8);
  }
  EXPECT_GT(drafter.confidence(), before);
  for (int i = 0; i < 200; ++i) {
    drafter.propose(1);
    drafter.checked(0, 1);
  }
  EXPECT_LT(drafter.confidence(), 0.5);
}

// Against random edits: most of what is proposed in the long run is right, and no text, however
// repetitive, leads it out of its draft.
TEST(Drafter, RandomEdits) {
  std::mt19937 random(5);
  for (int round = 0; round < 200; ++round) {
    const int letters = round % 4 == 0 ? 2 : 60;
    std::vector<TokenId> draft(300), answer;
    for (TokenId& id : draft) id = static_cast<TokenId>(random() % static_cast<unsigned>(letters));
    for (std::size_t i = 0; i < draft.size(); ++i) {
      if (random() % 60 == 0) i += random() % 10;
      if (random() % 60 == 0) answer.push_back(1000);
      if (i < draft.size()) answer.push_back(draft[i]);
    }
    Drafter drafter(draft, {});
    std::size_t right = 0;
    for (const TokenId token : answer) {
      const auto next = drafter.propose(1);
      right += !next.empty() && next[0] == token ? 1 : 0;
      drafter.accept(token);
    }
    EXPECT_GT(right, letters > 2 ? answer.size() * 8 / 10 : 0) << round;
  }
}

}  // namespace
}  // namespace lathe::infer
