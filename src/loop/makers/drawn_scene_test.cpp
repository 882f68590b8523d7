// Moves of scenes that a model draws: the page is asked for anew where eyes find fault with it, and
// kept where only the line or the length was wrong.
#include <gmock/gmock.h>

#include "loop/makers/maker.h"
#include "loop/senses/word_fault.h"

namespace lathe::loop {

extern const MakerKind kDrawnSceneMaker;

namespace {

using ::testing::HasSubstr;

Critique drawn_note(const std::string& print) {
  return {"@ 1.00 s", "must", "wrong", "", print};
}

Critique misheard(const std::string& word) {
  const WordFault fault{word, 1, 1.5, "free air", "F UH R IY EY"};
  return {fault_locus(fault), "must", "not understood", fault_evidence(fault), "word:1:" + word};
}

class DrawnScene : public ::testing::Test {
 protected:
  Proposal propose() const {
    const auto next =
        kDrawnSceneMaker.propose({.options = options_, .ladder = ladder_, .attempts = attempts_});
    EXPECT_TRUE(next);
    return next.value_or(Proposal{});
  }
  void tried(const Proposal& proposal, std::vector<Critique> critiques, bool gained = true) {
    Attempt attempt;
    attempt.lap = static_cast<int>(attempts_.size()) + 1;
    attempt.move = proposal.move;
    attempt.rung = proposal.rung;
    attempt.setting = proposal.setting;
    attempt.made = true;
    attempt.gained = gained;
    attempt.critiques = std::move(critiques);
    attempts_.push_back(std::move(attempt));
  }
  Json options_ = *check_options(Json::object(), kDrawnSceneMaker.options);
  std::vector<std::string> ladder_{"small", "large"};
  std::vector<Attempt> attempts_;
};

TEST_F(DrawnScene, KeepsAPageThatNobodyFindsFaultWith) {
  const Proposal first = propose();
  EXPECT_EQ(first.setting["said"]["voice"], "flite:rms");
  tried(first, {misheard("fourier")});
  const Proposal said = propose();
  EXPECT_TRUE(said.setting["keeps_page"]);
  EXPECT_EQ(said.move, Move::kRepair) << "of the best take, whose page it is";
  EXPECT_EQ(said.setting["said"]["pronounce"]["fourier"], "F UH R IY EY");
  tried(said, {misheard("fourier")}, false);
  const Proposal voice = propose();
  EXPECT_TRUE(voice.setting["keeps_page"]) << "the best one's page is as good as before";
  EXPECT_EQ(voice.setting["said"]["voice"], "flite:slt");
  EXPECT_EQ(voice.rung, 0) << "the voice is no rung of the ladder";
  // Held until it can be read.
  attempts_.clear();
  tried(first, {drawn_note("clip:reading:1")});
  EXPECT_TRUE(propose().setting["keeps_page"]);
  EXPECT_EQ(propose().setting["pace"], 1);
  EXPECT_EQ(propose().setting["said"], first.setting["said"]);
}

TEST_F(DrawnScene, AsksForAnotherPageWhereEyesFindFault) {
  const Proposal first = propose();
  tried(first, {drawn_note("eyes:missing:Coffee")});
  const Proposal next = propose();
  EXPECT_FALSE(next.setting["keeps_page"]);
  EXPECT_EQ(next.move, Move::kRepair);
  EXPECT_EQ(next.setting["said"], first.setting["said"]);
  EXPECT_THAT(next.reason, HasSubstr("repair"));
  // Both at once.
  attempts_.clear();
  tried(first, {misheard("fourier"), drawn_note("eyes:missing:Coffee")});
  const Proposal both = propose();
  EXPECT_FALSE(both.setting["keeps_page"]);
  EXPECT_EQ(both.setting["said"]["pronounce"]["fourier"], "F UH R IY EY");
  EXPECT_THAT(both.reason, HasSubstr("dictionary"));
  // Where nothing gains, another model draws.
  for (int lap = 0; lap < 8 && propose().rung == 0; ++lap)
    tried(propose(), {drawn_note("eyes:missing:Coffee")}, false);
  EXPECT_EQ(propose().rung, 1);
}

TEST_F(DrawnScene, ChecksItsOptions) {
  EXPECT_TRUE(kDrawnSceneMaker.check(options_, ladder_));
  for (const Json& wrong :
       {Json{{"size", "1281x720"}}, Json{{"bar", "red"}}, Json{{"speakers", Json::array()}},
        Json{{"speakers", {"narrator"}}}, Json{{"task", ""}}, Json{{"pitch", 9}}})
    EXPECT_FALSE(kDrawnSceneMaker.check(*check_options(wrong, kDrawnSceneMaker.options), ladder_))
        << dump_json(wrong);
  const auto prefix = kDrawnSceneMaker.prefix(options_, {}, {});
  ASSERT_TRUE(prefix);
  EXPECT_THAT(*prefix, HasSubstr("1280 by 720 pixels"));
}

}  // namespace
}  // namespace lathe::loop
