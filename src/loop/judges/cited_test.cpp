// Quotations that stand where they say, and those that do not.
#include <gmock/gmock.h>

#include "loop/judges/judge.h"
#include "loop/terms/passage.h"

namespace lathe::loop {
namespace {

using ::testing::HasSubstr;

class Cited : public ::testing::Test {
 protected:
  Cited() {
    const std::vector<Passage> passages{
        {"a:0-9", "guide.md", "lines 1 to 2", "The port is 8080.\nIt cannot be\u00a0changed."},
        {"b:0-9", "cafe.md", "line 4", "Zoë's \u201ccafé\u201d opens at nine."}};
    put_passages(passages, unit_);
  }
  Judgement judged(const std::string& text, const Json& options = {{"least", 1}}) const {
    const StopFlag stop;
    const Place place;
    JudgeTask task{options};
    task.units = std::span(&unit_, 1);
    task.candidate = "it";
    task.bytes = text;
    return judge_closed(*find_judge("cited"), task, {.place = place, .stop = stop});
  }
  void passes(const std::string& text) const {
    const Judgement judgement = judged(text);
    EXPECT_EQ(judgement.outcome, Outcome::kPass)
        << text << ": " << (judgement.critiques.empty() ? "" : judgement.critiques[0].claim);
  }
  void fails(const std::string& text, const std::string& claim) const {
    const Judgement judgement = judged(text);
    ASSERT_EQ(judgement.outcome, Outcome::kFail) << text;
    EXPECT_LT(judgement.score, 1) << text;
    EXPECT_THAT(judgement.critiques[0].claim, HasSubstr(claim)) << text;
  }
  Unit unit_{"L1", "which port?", {}};
};

TEST_F(Cited, WhatStandsThereWordForWord) {
  passes("It says \"The port is 8080.\" [1]");
  passes("It says \"The port is 8080. It   cannot\nbe changed\" [1].");
  passes("Es heißt „It cannot be changed“ [1], «opens at nine» [2], »opens« [2].");
  passes("It says “The port is 8080”. [1][1]");
  passes("> The port is 8080.\n> It cannot be changed. [1]\n");
  passes("> opens at nine.\n\n[2] says so.");
}

TEST_F(Cited, WhatDoesNotFails) {
  fails("It says \"The port is 8081.\" [1]", "word for word");
  fails("It says \"the port is 8080.\" [1]", "word for word");
  fails("It says \"The port is 8080.\" [2]", "passage [2]");
  fails("It says \"The port is 8080.\" [1, 2]", "passage [2]");
  fails("It says \"The port is 8080.\"", "no citation");
  fails("It says \"The port is 8080.\" as [1] has it", "no citation");
  fails("It says \"The port is 8080.\" [3]", "passages 1 to 2");
  fails("It says \"The port is 8080.\" [0]", "passages 1 to 2");
  fails("It says \"The port is 8080.\" [1] and [99999999999999999999]", "passages 1 to 2");
  fails("It says \"The port is 8080.\" [1] and \"more", "no other end");
  fails("It says “The port is 8080” [1] and ” more", "no other end");
  fails("\"\" [1]", "empty");
  fails("> The port is 9090. [1]", "word for word");
  fails("> The port is 8080.\n\nSo it is.", "no citation");
  fails("It is 8080 [1].", "0 quotations");
  fails("", "0 quotations");
}

TEST_F(Cited, ItsScoreIsTheShareOfWhatIsRight) {
  const Judgement judgement = judged("\"8080\" [1] \"9090\" [1] \"nine\" [2] \"ten\" [2]");
  EXPECT_EQ(judgement.score, 0.5);
  EXPECT_EQ(judgement.evidence["right"], 2);
  EXPECT_EQ(judgement.evidence["cited"], Json::array({"a:0-9", "b:0-9"}));
  EXPECT_EQ(judgement.critiques.size(), 2U);
  EXPECT_EQ(judged("So it is [1].", {{"least", 0}}).outcome, Outcome::kPass);
}

TEST_F(Cited, WithoutPassagesNothingIsJudged) {
  EXPECT_TRUE(find_judge("cited")->check_unit(unit_));
  unit_.data = Json::object();
  EXPECT_FALSE(find_judge("cited")->check_unit(unit_));
  EXPECT_EQ(judged("\"8080\" [1]").outcome, Outcome::kError);
}

}  // namespace
}  // namespace lathe::loop
