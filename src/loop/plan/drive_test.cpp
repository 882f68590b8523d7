// Plans that are carried out: scripted workers, a journal in a directory, leases in memory.
#include "loop/plan/drive.h"

#include <gmock/gmock.h>

#include <fstream>

#include "books/sqlite/open_journal.h"
#include "loop/conductor/tree.h"
#include "loop/script/scripted_worker.h"

namespace lathe::loop {
namespace {

using ::testing::Contains;
using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

constexpr std::string_view kPlan = R"(plan = 1
goal = "Notes"
whole = ["secrets"]
[judge.words]
kind = "text"
stage = "gate"
min_words = 1
[[task]]
id = "first"
do = "Write the first note."
kind = "text"
writes = ["notes/first.md"]
judges = ["text:words"]
[[task]]
id = "left"
do = "Write the left note."
kind = "text"
reads = ["notes/first.md"]
writes = ["notes/left.md"]
judges = ["text:words"]
[[task]]
id = "right"
do = "Write the right note."
kind = "text"
deps = ["first"]
writes = ["notes/right.md"]
judges = ["text:words"]
[[task]]
id = "last"
do = "Write the last note."
kind = "text"
reads = ["notes/*"]
writes = ["last.md"]
judges = ["text:words"]
)";

ScriptedWorker::Line says(std::string when, std::string text) {
  ScriptedWorker::Line line;
  line.when = std::move(when);
  line.text = std::move(text);
  return line;
}

// Another machine, which makes a note of every task it is given.
class OtherMachine final : public Elsewhere {
 public:
  Reach reach() const override { return Reach::kLan; }
  bool takes(const Recipe& recipe, const CallId& call) const override {
    return call.kind == CallId::Kind::kMake && recipe.privacy >= Reach::kLan;
  }
  Result<MadeAway> make(const AwayCall&, const MakeTask& task) override {
    MadeAway made;
    made.node = "other";
    made.made = Made{.bytes = "By " + task.rung, .media_type = "text/markdown", .extension = "md"};
    return made;
  }
  Result<JudgedAway> judge(const AwayCall&, const JudgeTask&) override {
    return invalid("it judges nothing");
  }
  std::set<std::string> broken() override { return {}; }
  std::vector<Late> late(const std::string&) override { return {}; }
  void end(const std::string&) override {}
};

class DriveTest : public ::testing::Test {
 protected:
  DriveTest() { EXPECT_TRUE(write(dir_.path() / "tree/README.md", "A project.\n")); }

  static bool write(const fs::path& path, std::string_view text) {
    return make_directories(path.parent_path()) && write_file_atomic(path, text);
  }

  books::Journal journal() const { return books::open_journal(dir_.path() / "journal").value(); }

  PlanHead head(std::string_view text = kPlan) {
    auto plan = parse_plan(text, "plan.toml", {});
    EXPECT_TRUE(plan) << plan.error().message;
    auto head = begin_plan(journal(), *std::move(plan), {}, dir_.path() / "tree", dir_.path(),
                           {{"out", "there"}}, system_clock());
    EXPECT_TRUE(head) << head.error().message;
    return *std::move(head);
  }

  Result<PlanStand> drive(const PlanHead& head, ScriptedWorker& worker,
                          std::vector<PartRun> runs = {}) {
    const Bench bench{
        .program = "/proc/self/exe",
        .build = "test",
        .media = nullptr,
        .worker = [&](const std::string& name) { return name == "w" ? &worker : nullptr; },
        .joules = {},
        .energy = {},
        .clock = system_clock(),
        .stop = stop_,
        .elsewhere = elsewhere_};
    const PlanBench plan_bench{.journal = [&]() -> Result<books::Journal> { return journal(); },
                               .bench = [&](Reach) { return &bench; },
                               .leases = *leases_,
                               .node = "here",
                               .rungs = rungs_,
                               .history = history_,
                               .memory = memory_,
                               .rungs_away = rungs_away_,
                               .max_parallel = 2,
                               .clock = system_clock(),
                               .stop = stop_,
                               .news =
                                   [&](const PlanNews& news) {
                                     news_.push_back(news);
                                     if (on_news_) on_news_(news);
                                   },
                               .beside = beside_};
    books::Journal own = journal();
    return drive_plan(own, head, std::move(runs), plan_bench);
  }

  std::vector<std::string> ended() const {
    std::vector<std::string> parts;
    for (const PlanNews& news : news_)
      if (news.kind == PlanNews::Kind::kEnded)
        parts.push_back(fmt::format("{} {}", news.part, part_state_name(news.state)));
    return parts;
  }

  TempDir dir_ = *TempDir::make("lathe-plan-test");
  StopFlag stop_;
  std::unique_ptr<books::LeaseStore> leases_ = books::memory_leases();
  std::vector<std::string> rungs_{"w"};
  TakeHistory history_;
  std::set<std::string> rungs_away_;
  std::map<std::string, PlanBench::Memory> memory_;
  Elsewhere* elsewhere_ = nullptr;
  std::function<Result<std::shared_ptr<void>>(Reach, const std::string&)> beside_;
  std::vector<PlanNews> news_;
  std::function<void(const PlanNews&)> on_news_;
};

ScriptedWorker notes() {
  return ScriptedWorker("w", {says("the last note", "Last."), says("the left note", "Left."),
                              says("the right note", "Right."), says("the first note", "First.")});
}

TEST_F(DriveTest, ADiamond) {
  ScriptedWorker worker = notes();
  const auto stand = drive(head(), worker);
  ASSERT_TRUE(stand) << stand.error().message;
  EXPECT_EQ(stand->ended, RunResult::kPassed) << stand->why;
  EXPECT_THAT(stand->merge.base.files,
              UnorderedElementsAre(Pair("notes/first.md", "First."), Pair("notes/left.md", "Left."),
                                   Pair("notes/right.md", "Right."), Pair("last.md", "Last.")));
  const auto parts = ended();
  ASSERT_EQ(parts.size(), 5U);
  EXPECT_EQ(parts.front(), "first passed");
  EXPECT_EQ(parts[3], "last passed");
  EXPECT_EQ(parts[4], "merge passed");
  EXPECT_EQ(worker.seen().size(), 4U);
  // Who reads is shown what those before it wrote.
  const auto asked = worker.seen();
  EXPECT_THAT(std::get<Talk>(asked.back().ask).messages.back().content.text() +
                  std::get<Talk>(asked.back().ask).messages.front().content.text(),
              AllOf(HasSubstr("notes/left.md"), HasSubstr("Left."), HasSubstr("Right.")));
}

TEST_F(DriveTest, StoppedAndGoneOnWith) {
  for (std::size_t stop_at = 0; stop_at < 12; ++stop_at) {
    news_.clear();
    leases_ = books::memory_leases();
    ScriptedWorker worker = notes();
    const PlanHead begun = head();
    on_news_ = [&](const PlanNews&) {
      if (news_.size() == stop_at) stop_.raise();
    };
    std::vector<PartRun> runs;
    for (int go = 0; go < 2; ++go) {
      const auto stand = drive(begun, worker, runs);
      ASSERT_TRUE(stand) << stand.error().message;
      stop_.clear();
      on_news_ = {};
      const auto found = find_plan(journal(), begun.id);
      if (!found) continue;  // nothing of it was begun
      EXPECT_EQ(found->head.plan.sha256, begun.plan.sha256);
      EXPECT_EQ(json_string(found->head.extra, "out"), "there");
      runs = found->runs;
    }
    const PlanStand end = stand_of(begun.plan, begun.rules, runs);
    EXPECT_EQ(end.ended, RunResult::kPassed) << stop_at << ": " << end.why;
    EXPECT_EQ(runs.size(), 5U) << stop_at;
    EXPECT_LE(worker.seen().size(), 6U) << "only what was cut off is asked again";
  }
}

TEST_F(DriveTest, TheMergeSendsBack) {
  std::vector<ScriptedWorker::Line> lines{
      says("does not pass yet", "Left, without it."), says("the last note", "Last."),
      says("the left note", "password = \"Tr0ub4dor&3-xkcd-936\""),
      says("the right note", "Right."), says("the first note", "First.")};
  ScriptedWorker worker("w", lines);
  const auto stand = drive(head(), worker);
  ASSERT_TRUE(stand) << stand.error().message;
  EXPECT_EQ(stand->ended, RunResult::kPassed) << stand->why;
  EXPECT_EQ(stand->merge.base.files.at("notes/left.md"), "Left, without it.");
  EXPECT_THAT(ended(), Contains("merge failed"));
  EXPECT_EQ(ended().back(), "merge passed");
  EXPECT_EQ(stand->tasks[1].round, 2);
  EXPECT_EQ(stand->tasks[2].round, 1);
}

TEST_F(DriveTest, NobodyMayBeAsked) {
  ScriptedWorker worker = notes();
  rungs_ = {"nobody"};
  const auto stand = drive(head(), worker);
  ASSERT_FALSE(stand);
  EXPECT_THAT(stand.error().message,
              AllOf(HasSubstr("task 'first'"), HasSubstr("nobody: it does not answer")));
  EXPECT_TRUE(worker.seen().empty());
}

TEST_F(DriveTest, WhoIsLeftOutIsSaidAndWrittenDown) {
  ScriptedWorker worker = notes();
  rungs_ = {"nobody", "w"};
  const PlanHead begun = head();
  const auto stand = drive(begun, worker);
  ASSERT_TRUE(stand) << stand.error().message;
  EXPECT_THAT(news_.front().left_out, ElementsAre("nobody: it does not answer"));
  const auto records = journal().records(stand->tasks[0].run).value();
  const Json& route = json_at(json_at(json_at(records.front().body, "extra"), "plan"), "route");
  ASSERT_EQ(route.size(), 2U);
  EXPECT_EQ(json_string(route[0], "why_not"), "it does not answer");
}

// What takes of a worker have lasted and cost is held against the plan's [stop].
TEST_F(DriveTest, WhoseTakesDoNotFitIsNotAsked) {
  const auto tally = [](double seconds, double joules, double money) {
    TakeTally made;
    made.takes = made.joule_takes = 2;
    made.passes = 1;
    made.seconds = 2 * seconds;
    made.joules = 2 * joules;
    made.money = 2 * money;
    made.currency = "USD";
    return made;
  };
  history_[{"text", 1, "slow"}] = tally(31, 1, 0);
  history_[{"text", 1, "hot"}] = tally(1, 3601, 0);
  history_[{"text", 1, "dear"}] = tally(1, 1, 0.51);
  history_[{"text", 1, "slow enough"}] = tally(29, 3599, 0.49);
  rungs_ = {"slow", "hot", "dear", "slow enough", "w"};
  rungs_away_ = {"slow", "hot", "dear", "slow enough"};
  OtherMachine other;
  elsewhere_ = &other;
  PlanHead begun = head(std::string(kPlan).insert(
      kPlan.find("[judge"), "[stop]\ntime = \"30s\"\nenergy = \"1Wh\"\nmoney = \"0.5 USD\"\n"));
  for (PlanTask& task : begun.plan.tasks) task.label = Reach::kLan;
  ScriptedWorker worker = notes();
  const auto stand = drive(begun, worker);
  ASSERT_TRUE(stand) << stand.error().message;
  EXPECT_THAT(news_.front().left_out, ElementsAre("slow: a take lasts 31 s, and 30 s are left",
                                                  "hot: a take costs more than what is left",
                                                  "dear: a take costs more than what is left"));
  // Nobody knows how long a take of "w" lasts: the guess of a minute leaves it in.
  const auto records = journal().records(stand->tasks[0].run).value();
  const Json& route = json_at(json_at(json_at(records.front().body, "extra"), "plan"), "route");
  EXPECT_EQ(json_string(route[3], "why_not"), "");
  EXPECT_EQ(json_string(route[4], "why_not"), "");
}

// Who says that it takes less than a task shows is not asked; who says nothing is.
TEST_F(DriveTest, WhoseContextIsTooShortIsNotAsked) {
  class Short final : public ScriptedWorker {
   public:
    using ScriptedWorker::ScriptedWorker;
    std::int64_t context() const override { return 5; }
  };
  Short worker("w", {says("", "By w")});
  rungs_ = {"w", "far"};
  rungs_away_ = {"far"};
  OtherMachine other;
  elsewhere_ = &other;
  PlanHead begun = head();
  for (PlanTask& task : begun.plan.tasks) {
    task.label = Reach::kLan;
    task.instruction += std::string(120, 'x');
  }
  const auto stand = drive(begun, worker);
  ASSERT_TRUE(stand) << stand.error().message;
  EXPECT_THAT(news_.front().left_out, ElementsAre(ContainsRegex("w: it takes 5 tokens, and [0-9]+ "
                                                                "are needed")));
  EXPECT_TRUE(worker.seen().empty());
  rungs_ = {"w"};
  news_.clear();
  EXPECT_THAT(drive(head(), worker).error().message,
              HasSubstr("nobody may be asked for it: w: it"));
}

// Nobody is left out for what is not known.
TEST_F(DriveTest, WhoseModelDoesNotFitIsNotAsked) {
  ScriptedWorker worker("w", {says("", "By w")});
  memory_["w"] = {.takes = 7ULL << 30, .has = 6ULL << 30};
  EXPECT_THAT(drive(head(), worker).error().message,
              HasSubstr("nobody may be asked for it: w: it has 6.0 GiB, and 7.0 GiB are needed"));
  EXPECT_TRUE(worker.seen().empty());
  for (const PlanBench::Memory fits :
       {PlanBench::Memory{.takes = 7, .has = 7}, PlanBench::Memory{.takes = 7, .has = 0}}) {
    memory_["w"] = fits;
    news_.clear();
    const auto stand = drive(head(), worker);
    ASSERT_TRUE(stand) << stand.error().message;
    EXPECT_THAT(news_.front().left_out, ElementsAre());
  }
}

// The tree that a task is laid out has no file that may go less far than the task.
TEST_F(DriveTest, StricterFilesAreNotThere) {
  EXPECT_TRUE(write(dir_.path() / "tree/open/a.py", "x = 1\n"));
  EXPECT_TRUE(write(dir_.path() / "tree/key", "42\n"));
  const PlanHead begun = head(R"(plan = 1
goal = "g"
inputs = [{path = "open", privacy = "lan"}, {path = "key", privacy = "local"}]
whole = ["secrets"]
[[task]]
id = "a"
do = "Set x to 2."
kind = "code"
writes = ["open/a.py"]
judges = ["secrets"]
)");
  ScriptedWorker worker("w", {says("", "FILE: open/a.py\n```\nx = 2\n```\n")});
  const auto stand = drive(begun, worker);
  ASSERT_TRUE(stand) << stand.error().message;
  ASSERT_EQ(stand->ended, RunResult::kPassed) << stand->why;
  EXPECT_EQ(stand->merge.base.files.at("open/a.py"), "x = 2\n");
  const books::Journal here = journal();
  const auto entries = from_records(here.records(stand->tasks[0].run).value()).value();
  const RunState state = fold(entries).value();
  ASSERT_TRUE(state.header.tree);
  const std::string manifest = here.blob(state.header.tree->blob).value();
  EXPECT_THAT(manifest, HasSubstr("open/a.py"));
  EXPECT_EQ(manifest.find("\"key\""), std::string::npos);
  EXPECT_EQ(manifest.find("README"), std::string::npos) << "of no input, outside a repository";
  // All of it is kept for the merge.
  EXPECT_TRUE(here.blobs_of(stand->tasks[0].run)
                  ->contains(tree_file_blob(here, begun.base.blob, "key").value()));
}

TEST_F(DriveTest, AWorkerThatAnotherMachineHas) {
  ScriptedWorker worker = notes();
  OtherMachine other;
  rungs_ = {"far"};
  PlanHead lan = head(std::string("plan = 1\ninputs = [{path = \"x\", privacy = \"lan\"}]\n") +
                      std::string(kPlan.substr(kPlan.find('\n') + 1)));
  for (PlanTask& task : lan.plan.tasks) task.label = Reach::kLan;
  // Nobody says that another machine has it; then nobody goes there; then both.
  EXPECT_THAT(drive(lan, worker).error().message, HasSubstr("nobody may be asked"));
  rungs_away_ = {"far"};
  EXPECT_THAT(drive(lan, worker).error().message, HasSubstr("nobody may be asked"));
  elsewhere_ = &other;
  news_.clear();
  std::set<std::string> beside;
  std::shared_ptr<int> alive = std::make_shared<int>(0);
  beside_ = [&](Reach, const std::string& run) -> Result<std::shared_ptr<void>> {
    beside.insert(run);
    return std::static_pointer_cast<void>(alive);
  };
  const auto stand = drive(lan, worker);
  ASSERT_TRUE(stand) << stand.error().message;
  EXPECT_EQ(stand->ended, RunResult::kPassed) << stand->why;
  EXPECT_THAT(stand->merge.base.files, Contains(Pair("last.md", "By far")));
  EXPECT_EQ(beside.size(), 5U);  // each run has had it, and none has it any more
  EXPECT_EQ(alive.use_count(), 1);
}

TEST_F(DriveTest, PartsOfAPlanAreNoWorkForNodes) {
  ScriptedWorker worker = notes();
  books::NodeRow node;
  node.id = "other";
  node.clearance = Reach::kLan;
  ASSERT_TRUE(leases_->put_node(node));
  int offered = 0;
  on_news_ = [&](const PlanNews&) {
    const auto lease = leases_->lease({.node = "other", .caps = {"maker:text"}});
    ASSERT_TRUE(lease) << lease.error().message;
    offered += *lease ? 1 : 0;
  };
  EXPECT_EQ(drive(head(), worker)->ended, RunResult::kPassed);
  EXPECT_EQ(offered, 0);
}

// What another box holds is waited for until it gives it back, or says that it is done, which
// counts for nothing without a run.
TEST_F(DriveTest, WhatAnotherHoldsIsWaitedFor) {
  for (const bool completes : {false, true}) {
    news_.clear();
    leases_ = books::memory_leases();
    ScriptedWorker worker = notes();
    const PlanHead begun = head();
    for (const char* id : {"here", "other"})
      ASSERT_TRUE(leases_->put_node({.id = id, .clearance = Reach::kLan}));
    const PlanStand stand = stand_of(begun.plan, begun.rules, {});
    books::UnitSpec unit;
    unit.id = "first." + stand.tasks[0].basis.substr(0, 16);
    unit.privacy = Reach::kLan;
    unit.home = "here";
    ASSERT_TRUE(leases_->add_units(begun.id, std::span(&unit, 1)));
    const auto held = leases_->lease({.node = "other"}).value();
    ASSERT_TRUE(held);
    on_news_ = [&](const PlanNews& news) {
      if (news.kind != PlanNews::Kind::kWaits) return;
      EXPECT_TRUE(completes ? leases_->complete(*held, {}) : leases_->release(*held));
    };
    const auto done = drive(begun, worker);
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(done->ended, RunResult::kPassed) << done->why;
    EXPECT_EQ(news_.front().kind, PlanNews::Kind::kWaits);
    EXPECT_EQ(news_.front().part + ": " + news_.front().why, "first: other holds it");
    EXPECT_EQ(std::ranges::count(news_, PlanNews::Kind::kWaits, &PlanNews::kind), 1);
  }
}

TEST_F(DriveTest, WhileAnotherHoldsItThePlanCanBeStopped) {
  ScriptedWorker worker = notes();
  const PlanHead begun = head();
  for (const char* id : {"here", "other"})
    ASSERT_TRUE(leases_->put_node({.id = id, .clearance = Reach::kLan}));
  books::UnitSpec unit;
  unit.id = "first." + stand_of(begun.plan, begun.rules, {}).tasks[0].basis.substr(0, 16);
  unit.privacy = Reach::kLan;
  ASSERT_TRUE(leases_->add_units(begun.id, std::span(&unit, 1)));
  ASSERT_TRUE(leases_->lease({.node = "other"}).value());
  on_news_ = [&](const PlanNews&) { stop_.raise(); };
  const auto stand = drive(begun, worker);
  ASSERT_TRUE(stand) << stand.error().message;
  EXPECT_FALSE(stand->ended);
  EXPECT_EQ(news_.size(), 1U);
  EXPECT_TRUE(worker.seen().empty());
}

TEST_F(DriveTest, AnOnWithoutAFleetIsRefusedBeforeAnythingRuns) {
  ScriptedWorker worker = notes();
  std::string text(kPlan);
  text.replace(text.find("stage ="), 0, "on = \"desk\"\n");
  const auto stand = drive(head(text), worker);
  ASSERT_FALSE(stand);
  EXPECT_THAT(stand.error().message, HasSubstr("task 'first': "));
  EXPECT_THAT(stand.error().message, HasSubstr("on = \"desk\""));
  EXPECT_TRUE(news_.empty());
}

TEST_F(DriveTest, AWriteOutsideIsRefused) {
  EXPECT_TRUE(write(dir_.path() / "tree/a.py", "x = 1\n"));
  EXPECT_TRUE(write(dir_.path() / "tree/b.py", "y = 1\n"));
  const PlanHead begun = head(R"(plan = 1
goal = "g"
whole = ["secrets"]
[stop]
laps = 1
[[task]]
id = "a"
do = "Set x to 2."
kind = "code"
writes = ["a.py"]
judges = ["secrets"]
)");
  ScriptedWorker worker("w", {says("", "FILE: b.py\n```\ny = 2\n```\n")});
  const auto stand = drive(begun, worker);
  ASSERT_TRUE(stand) << stand.error().message;
  EXPECT_EQ(stand->ended, RunResult::kFailed);
  EXPECT_THAT(ended(), ElementsAre("a failed"));
}

TEST_F(DriveTest, OneProcessAtATime) {
  ScriptedWorker worker = notes();
  const PlanHead begun = head();
  const books::Journal other = journal();
  const auto held = other.lease(begun.id);
  ASSERT_TRUE(held);
  const auto stand = drive(begun, worker);
  ASSERT_FALSE(stand);
  EXPECT_THAT(stand.error().message, HasSubstr("is being worked on by another process"));
}

// What is learnt of takes: the routes of later plans go by it.
TEST_F(DriveTest, TakesAreCounted) {
  ScriptedWorker worker = notes();
  const auto stand = drive(head(), worker);
  ASSERT_TRUE(stand);
  const TakeHistory history = read_history(journal()).value();
  ASSERT_EQ(history.size(), 1U);
  const auto& [key, tally] = *history.begin();
  EXPECT_EQ(key, TakeKey("text", 1, "w"));
  EXPECT_EQ(tally.takes, 4U);
  EXPECT_EQ(tally.passes, 4U);
  EXPECT_EQ(tally.calls, 8U);
  const PlanForecast forecast = forecast_of(head().plan, history);
  EXPECT_EQ(forecast.tasks[0].basis, "from 4 takes of text");
  EXPECT_DOUBLE_EQ(forecast.tasks[0].takes, 6.0 / 5);
  EXPECT_EQ(forecast_of(head().plan, {}).tasks[0].basis, "no history: guess");
}

}  // namespace
}  // namespace lathe::loop
