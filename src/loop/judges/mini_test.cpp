// Mini-Python answers judged by their tests, hidden ones too.
#include <gmock/gmock.h>

#include "loop/judges/judge.h"
#include "loop/mini/task.h"

namespace lathe::loop {
namespace {

using ::testing::SizeIs;

const JudgeKind& kind() {
  return *find_judge("mini");
}

Unit unit() {
  MiniTask task;
  task.text = "sum of numbers";
  task.parameters = {"xs"};
  task.tests = {{"[2,3]", "5"}, {"[]", "0"}};
  task.hidden = {{"[1]", "1"}, {"[-1]", "-1"}};
  return {"T1", task.text, to_json(task)};
}

struct Judging {
  Place place;
  StopFlag stop;
  std::vector<Unit> units{unit()};
  Json options = *check_options(Json::object(), kind().options);

  Judgement unit_scope(std::string_view source) {
    return judge_closed(kind(),
                        {.options = options, .units = units, .candidate = "c", .bytes = source},
                        {place, nullptr, stop});
  }
  Judgement whole(std::vector<Part> parts) {
    return judge_closed(
        kind(), {.options = options, .scope = Scope::kWhole, .candidate = "w", .parts = parts},
        {place, nullptr, stop});
  }
};

const std::string kRight = "def f(xs):\n return sum(xs)\n";
// Right for the visible tests alone.
const std::string kGamed = "def f(xs):\n return 5 if len(xs)==2 else 0\n";

TEST(MiniJudge, PassesWhatPassesTheVisibleTests) {
  Judging judging;
  EXPECT_EQ(judging.unit_scope(kRight).outcome, Outcome::kPass);
  EXPECT_EQ(judging.unit_scope(kGamed).outcome, Outcome::kPass);
}

TEST(MiniJudge, SaysWhichTestGotWhat) {
  Judging judging;
  const Judgement judgement = judging.unit_scope("def f(xs):\n return len(xs)\n");
  EXPECT_EQ(judgement.outcome, Outcome::kFail);
  EXPECT_EQ(judgement.score, 0.5);
  ASSERT_THAT(judgement.critiques, SizeIs(1));
  EXPECT_EQ(judgement.critiques[0].locus, "test 1");
  EXPECT_EQ(judgement.critiques[0].claim, "f([2,3]) is 2, not 5");
}

TEST(MiniJudge, WhatIsNoProgramFails) {
  Judging judging;
  for (const char* source : {"", "def f(xs):\n", "def f(xs):\n return (\n", "\xFF\xFE"}) {
    const Judgement judgement = judging.unit_scope(source);
    EXPECT_EQ(judgement.outcome, Outcome::kFail) << source;
    EXPECT_EQ(judgement.score, 0) << source;
  }
}

// The candidate's own head is never run: it could name other parameters, or be another function.
TEST(MiniJudge, TheHeadIsTheTasks) {
  Judging judging;
  EXPECT_EQ(judging.unit_scope("def g(a,b):\n return sum(xs)\n").outcome, Outcome::kPass);
}

TEST(MiniJudge, TheWholeCountsHiddenTests) {
  Judging judging;
  const Part right{.unit = unit(), .passed = true, .bytes = kRight};
  const Part gamed{.unit = unit(), .passed = true, .bytes = kGamed};
  const Part open{.unit = unit(), .passed = false, .bytes = "def f(xs):\n return 1\n"};
  EXPECT_EQ(judging.whole({right, open}).outcome, Outcome::kPass);
  const Judgement half = judging.whole({right, gamed, open});
  EXPECT_EQ(half.outcome, Outcome::kFail);
  EXPECT_EQ(half.score, 0.5);
  EXPECT_EQ(half.evidence["passed_hidden"], 1);
  ASSERT_THAT(half.critiques, SizeIs(1));
  EXPECT_EQ(judging.whole({open}).outcome, Outcome::kFail);  // nothing passed: nothing to praise
}

TEST(MiniJudge, ATaskThatIsNoneIsNotJudged) {
  Judging judging;
  judging.units[0].data["tests"] = Json::array();
  EXPECT_EQ(judging.unit_scope(kRight).outcome, Outcome::kError);
}

}  // namespace
}  // namespace lathe::loop
