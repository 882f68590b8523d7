// How far a plan is, by its runs: what is begun when, what goes back, and that nothing passes by
// accident.
#include "loop/plan/progress.h"

#include <gmock/gmock.h>

namespace lathe::loop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr PlanRules kRules{.unnamed = Reach::kLan};

// A diamond: b and c come after a, d after both.
constexpr std::string_view kDiamond = R"(plan = 1
goal = "g"
whole = ["secrets"]
inputs = [{path = "a.py", privacy = "lan"}, {path = "b.py", privacy = "lan"}]
[[task]]
id = "a"
do = "x"
kind = "code"
writes = ["a.py"]
judges = ["secrets"]
[[task]]
id = "b"
do = "x"
kind = "code"
writes = ["b.py"]
deps = ["a"]
judges = ["secrets"]
[[task]]
id = "c"
do = "x"
kind = "code"
writes = ["c.py"]
deps = ["a"]
judges = ["secrets"]
[[task]]
id = "d"
do = "x"
kind = "text"
writes = ["d.md"]
deps = ["b", "c"]
judges = ["secrets"]
)";

class ProgressTest : public ::testing::Test {
 protected:
  ProgressTest() {
    auto plan = parse_plan(kDiamond, "plan.toml", kRules);
    EXPECT_TRUE(plan) << plan.error().message;
    if (plan) plan_ = *std::move(plan);
  }

  PlanStand stand() const { return stand_of(plan_, kRules, runs_); }
  std::vector<std::string_view> states() const {
    std::vector<std::string_view> names;
    const PlanStand now = stand();
    for (const PartStand& task : now.tasks) names.push_back(part_state_name(task.state));
    names.push_back(part_state_name(now.merge.state));
    return names;
  }

  PartRun& add(std::optional<std::size_t> task, const std::string& basis) {
    PartRun run;
    run.number = static_cast<int>(runs_.size()) + 1;
    run.id = fmt::format("run{}", run.number);
    run.task = task;
    run.basis = basis;
    run.ended = true;
    run.result = RunResult::kPassed;
    runs_.push_back(run);
    return runs_.back();
  }
  // A task's run that has passed.
  void pass(std::size_t task, const std::string& text) {
    PartRun& run = add(task, stand().tasks[task].basis);
    const PlanTask& of = plan_.tasks[task];
    run.media_type = of.changes_tree() ? kChangesMediaType : "text/plain";
    run.bytes = of.changes_tree() ? serialise(Changes{{{of.writes[0], text}}}) : text;
  }
  PartRun& merge(RunResult result) {
    const PlanStand now = stand();
    PartRun& run = add(std::nullopt, now.merge.basis);
    run.bytes = serialise(now.merge.base);
    run.media_type = kChangesMediaType;
    run.result = result;
    return run;
  }
  void pass_all() {
    pass(0, "a1");
    pass(1, "b1");
    pass(2, "c1");
    pass(3, "d1");
  }

  Plan plan_;
  std::vector<PartRun> runs_;
};

TEST_F(ProgressTest, EachWaitsForThoseBefore) {
  EXPECT_THAT(states(), ElementsAre("ready", "waits", "waits", "waits", "waits"));
  pass(0, "a1");
  EXPECT_THAT(states(), ElementsAre("passed", "ready", "ready", "waits", "waits"));
  EXPECT_EQ(stand().tasks[1].base.files.at("a.py"), "a1") << "it is made from what a made";
  pass(1, "b1");
  EXPECT_EQ(stand().tasks[3].why, "waits for c");
  pass(2, "c1");
  EXPECT_EQ(stand().tasks[3].base.files.size(), 3U);
  pass(3, "d1");
  EXPECT_THAT(states(), ElementsAre("passed", "passed", "passed", "passed", "ready"));
  EXPECT_FALSE(stand().ended);
  EXPECT_EQ(stand().merge.base.files.at("d.md"), "d1");
  merge(RunResult::kPassed);
  EXPECT_EQ(stand().ended, RunResult::kPassed);
}

TEST_F(ProgressTest, WhatIsBegunGoesOn) {
  PartRun& run = add(0, stand().tasks[0].basis);
  run.ended = false;
  EXPECT_THAT(states(), ElementsAre("begun", "waits", "waits", "waits", "waits"));
  EXPECT_EQ(stand().tasks[0].run, "run1");
}

TEST_F(ProgressTest, NothingPassesByAccident) {
  pass_all();
  merge(RunResult::kPassed);
  ASSERT_EQ(stand().ended, RunResult::kPassed);
  const std::vector<PartRun> good = runs_;
  const std::vector<std::function<void(PartRun&)>> spoils = {
      [](PartRun& run) { run.ended = false; },
      [](PartRun& run) { run.result = RunResult::kFailed; },
      [](PartRun& run) { run.result = RunResult::kPartial; },
      [](PartRun& run) { run.result = RunResult::kNotJudged; },
      [](PartRun& run) { run.basis = "another"; },
      [](PartRun& run) { run.bytes = "x" + run.bytes; },
      [](PartRun& run) {
        run.bytes = serialise(Changes{{{"a.py", "other"}, {"b.py", "x"}}});
      }};
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (const auto& spoil : spoils) {
      runs_ = good;
      spoil(runs_[i]);
      EXPECT_NE(stand().ended, RunResult::kPassed) << "run " << i;
    }
    runs_ = good;
    runs_.erase(runs_.begin() + static_cast<std::ptrdiff_t>(i));
    EXPECT_FALSE(stand().ended) << "run " << i;
  }
}

TEST_F(ProgressTest, WritesOutsideAreRefused) {
  pass(0, "a1");
  PartRun& run = add(1, stand().tasks[1].basis);
  run.media_type = kChangesMediaType;
  run.bytes = serialise(Changes{{{"b.py", "b1"}, {"a.py", "mine"}}});
  EXPECT_THAT(states(), ElementsAre("passed", "failed", "ready", "waits", "waits"));
  EXPECT_THAT(stand().tasks[1].why, HasSubstr("the edit of 'a.py' is refused"));
  pass(2, "c1");
  EXPECT_EQ(stand().ended, RunResult::kFailed);
  EXPECT_THAT(stand().why, HasSubstr("b: task 'b', run run2"));
}

TEST_F(ProgressTest, OthersGoOnWhereOneFails) {
  pass(0, "a1");
  add(1, stand().tasks[1].basis).result = RunResult::kFailed;
  EXPECT_FALSE(stand().ended) << "c can still be made";
  pass(2, "c1");
  EXPECT_EQ(stand().ended, RunResult::kFailed);
}

TEST_F(ProgressTest, AMergeSendsBackWhatItsJudgesName) {
  pass_all();
  merge(RunResult::kFailed).critiques = {{"b.py line 3", "must", "is wrong", "seen", ""}};
  PlanStand now = stand();
  EXPECT_THAT(states(), ElementsAre("passed", "ready", "passed", "waits", "waits"));
  EXPECT_EQ(now.tasks[1].round, 2);
  EXPECT_THAT(now.tasks[1].sent_back, HasSubstr("b.py: is wrong\nseen"));
  EXPECT_EQ(now.tasks[1].base.files.at("b.py"), "b1") << "it goes on from what it had made";
  pass(1, "b2");
  EXPECT_THAT(states(), ElementsAre("passed", "passed", "passed", "ready", "waits"))
      << "what was made of it is made again";
  pass(3, "d2");
  merge(RunResult::kPassed);
  now = stand();
  EXPECT_EQ(now.ended, RunResult::kPassed);
  EXPECT_EQ(now.merge.base.files.at("b.py"), "b2");
  EXPECT_EQ(now.merge.base.files.at("c.py"), "c1");
}

TEST_F(ProgressTest, WhoMadeTheSameAgainIsNotAskedForever) {
  pass_all();
  for (int failed = 1; failed < kMaxMerges; ++failed) {
    merge(RunResult::kFailed).critiques = {{"b.py", "must", "is wrong", "", ""}};
    ASSERT_EQ(stand().tasks[1].state, PartState::kReady);
    pass(1, fmt::format("b{}", failed + 1));
    pass(3, fmt::format("d{}", failed + 1));
  }
  merge(RunResult::kFailed).critiques = {{"b.py", "must", "is wrong", "", ""}};
  EXPECT_EQ(stand().ended, RunResult::kFailed);
}

TEST_F(ProgressTest, TheSameResultIsJudgedOnce) {
  pass_all();
  merge(RunResult::kFailed).critiques = {{"d.md", "must", "is wrong", "", ""}};
  pass(3, "d1");
  EXPECT_EQ(stand().ended, RunResult::kFailed) << "the merge has judged these bytes";
}

TEST_F(ProgressTest, AMergeThatNamesNobodyEndsIt) {
  pass_all();
  merge(RunResult::kFailed).critiques = {{"tests/x.py:4", "must", "fails", "xb.py, b.pyc", ""}};
  EXPECT_EQ(stand().ended, RunResult::kFailed);
}

TEST_F(ProgressTest, WhatIsNotJudgedIsNeitherPassNorFail) {
  pass_all();
  merge(RunResult::kNotJudged);
  EXPECT_EQ(stand().ended, RunResult::kNotJudged);
}

TEST_F(ProgressTest, OpenTasksAreNotToldWhatIsInStricterFiles) {
  std::string text(kDiamond);
  text.replace(text.find("{path = \"a.py\", privacy = \"lan\"}"), 32,
               "{path = \"a.py\", privacy = \"lan\"}, {path = \"key\", privacy = \"local\"}");
  auto plan = parse_plan(text, "plan.toml", kRules);
  ASSERT_TRUE(plan) << plan.error().message;
  plan_ = *std::move(plan);
  pass_all();
  merge(RunResult::kFailed).critiques = {{"b.py line 1", "must", "the key is 42", "42", ""}};
  const PlanStand now = stand();
  EXPECT_EQ(now.tasks[1].round, 2);
  EXPECT_THAT(now.tasks[1].sent_back, HasSubstr("b.py: a judge of the whole finds fault"));
  EXPECT_EQ(now.tasks[1].sent_back.find("42"), std::string::npos);
}

TEST_F(ProgressTest, BytesThatAreNoTextAreRefused) {
  pass(0, "a1");
  pass(1, "b1");
  pass(2, "c1");
  pass(3, "\xff\xfe");
  EXPECT_THAT(stand().tasks[3].why, HasSubstr("what is no text"));
}

}  // namespace
}  // namespace lathe::loop
