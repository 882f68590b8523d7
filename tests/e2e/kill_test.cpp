// Kills a run with SIGKILL behind every one of its records, resumes it, and compares the end with
// that of a run that was left alone. No answered call may be made again.
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "books/sqlite/open_journal.h"
#include "ground/base/text.h"
#include "loop/conductor/account.h"
#include "loop/conductor/conductor.h"
#include "loop/script/scripted_worker.h"

namespace lathe {
namespace {

struct Scene {
  std::string recipe;
  fs::path recipe_dir, input;
  fs::path script;  // of the worker "coder"; empty: there is none
};

// Ends the process behind record `at`; writes down which calls were begun.
class Killer : public loop::Observer {
 public:
  Killer(std::int64_t at, std::set<loop::CallId>* begun) : at_(at), begun_(begun) {}
  void on_entry(const loop::RunState&, const loop::Entry& entry) override {
    if (const auto* call = std::get_if<loop::CallBegun>(&entry.event); call && begun_)
      begun_->insert(call->call);
    if (entry.seq == at_) ::kill(::getpid(), SIGKILL);
  }
  void on_progress(const loop::CallId&, std::string_view) override {}

 private:
  std::int64_t at_;
  std::set<loop::CallId>* begun_;
};

std::unique_ptr<Worker> load_worker(const Scene& scene) {
  if (scene.script.empty()) return nullptr;
  auto worker = loop::ScriptedWorker::load("coder", scene.script);
  return worker ? std::unique_ptr<Worker>(*std::move(worker)) : nullptr;
}

loop::Bench bench_for(Worker* worker, loop::Observer* observer, const StopFlag& stop) {
  return loop::Bench{
      .program = "/proc/self/exe",
      .parallel = 2,
      .build = "test",
      .media = nullptr,
      .worker = [worker](const std::string& name) { return name == "coder" ? worker : nullptr; },
      .joules = {},
      .energy = {},
      .clock = system_clock(),
      .stop = stop,
      .observer = observer};
}

std::vector<loop::Entry> entries_of(const books::Journal& journal, const std::string& id) {
  return loop::from_records(journal.records(id).value()).value();
}

// What must be the same however often a run was killed: what became of each unit, and by which
// candidates.
Json ending(const loop::RunState& state) {
  Json tracks = Json::array();
  for (const loop::Track& track : state.tracks) {
    Json laps = Json::array();
    for (const loop::LapState& lap : track.laps) {
      Json candidates = Json::array();
      for (const loop::CandidateState& candidate : lap.candidates) {
        Json verdicts = Json::array();
        for (const loop::JudgedBy* verdict : loop::counted_verdicts(candidate))
          verdicts.push_back({verdict->judge, loop::outcome_name(verdict->judgement.outcome),
                              verdict->judgement.score});
        candidates.push_back(
            {candidate.blob, candidate.error ? candidate.error->message : "", std::move(verdicts)});
      }
      laps.push_back(
          {loop::move_name(lap.move), lap.rung, lap.best, lap.gained, std::move(candidates)});
    }
    const loop::CandidateState* best = loop::best_candidate(track);
    tracks.push_back({loop::track_state_name(track.state), loop::rule_text(track.rule),
                      best ? best->blob : "", std::move(laps)});
  }
  return {{"state", loop::result_name(state.end_state)},
          {"why", state.end_why},
          {"tracks", std::move(tracks)}};
}

// Every call that was begun has one row, whatever became of it: its end, or that it was lost.
void expect_a_row_for_each_call(const books::Journal& journal, const std::string& id) {
  std::multiset<std::string> begun, rows;
  std::size_t answers = 0, lost = 0;
  for (const loop::Entry& entry : entries_of(journal, id)) {
    if (std::holds_alternative<loop::CallBegun>(entry.event))
      begun.insert(loop::row_id(id, entry.seq));
    const auto* made = std::get_if<loop::CandidateMade>(&entry.event);
    const auto* given = std::get_if<loop::VerdictGiven>(&entry.event);
    answers += (made && !made->reused) || (given && !given->reused);
  }
  const Status read = journal.rows({.run = id}, [&](const books::LedgerRow& row) {
    rows.insert(row.id);
    lost += row.finish == books::kLost;
  });
  EXPECT_TRUE(read) << read.error().message;
  EXPECT_EQ(rows, begun);
  EXPECT_EQ(rows.size(), answers + lost);
  const auto whole = journal.verify_ledger();
  EXPECT_TRUE(whole) << whole.error().message;
}

struct Ended {
  Json ending;
  std::int64_t records = 0;
};

// In a child process: starts (or resumes) the run and goes to its end, or to its death.
int run_in_child(const Scene& scene, const fs::path& journal_dir, std::int64_t kill_at) {
  const pid_t pid = fork();
  if (pid == 0) {
    const StopFlag stop;
    const auto worker = load_worker(scene);
    Killer killer(kill_at, nullptr);
    const loop::Bench bench = bench_for(worker.get(), &killer, stop);
    auto journal = books::open_journal(journal_dir);
    auto recipe = loop::parse_recipe(scene.recipe, "test.toml");
    if (!journal || !recipe) _exit(10);
    auto run =
        loop::Run::start(*journal, {*recipe, scene.recipe_dir, scene.input, Json::object()}, bench);
    if (!run) {
      std::fprintf(stderr, "%s\n", run.error().message.c_str());
      _exit(11);
    }
    if (kill_at == run->state().next_seq - 1)
      ::kill(::getpid(), SIGKILL);  // behind the records that begin it
    const auto driven = run->drive();
    _exit(driven ? 0 : 12);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return status;
}

void kill_everywhere(const Scene& scene, std::size_t least_kills) {
  auto recipe = loop::parse_recipe(scene.recipe, "test.toml");
  ASSERT_TRUE(recipe) << recipe.error().message;
  auto whole_dir = TempDir::make("lathe-kill");
  ASSERT_TRUE(whole_dir);
  ASSERT_EQ(run_in_child(scene, whole_dir->path(), -1), 0);
  Ended expected;
  {
    auto journal = books::open_journal(whole_dir->path());
    const auto entries = entries_of(*journal, journal->find_run("last").value());
    const auto state = loop::fold(entries);
    ASSERT_TRUE(state && state->ended);
    expected = {ending(*state), std::ssize(entries)};
  }
  std::size_t kills = 0;
  for (std::int64_t at = 1; at < expected.records - 1; ++at) {
    auto dir = TempDir::make("lathe-kill");
    ASSERT_TRUE(dir);
    const int status = run_in_child(scene, dir->path(), at);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        << "record " << at << " status " << status;
    ++kills;

    auto journal = books::open_journal(dir->path());
    ASSERT_TRUE(journal);
    const std::string id = journal->find_run("last").value();
    const auto before = entries_of(*journal, id);
    ASSERT_EQ(std::ssize(before), at + 1);
    const std::set<loop::CallId> answered = loop::fold(before)->answered;
    const StopFlag stop;
    const auto worker = load_worker(scene);
    std::set<loop::CallId> begun;
    Killer observer(-1, &begun);
    const loop::Bench bench = bench_for(worker.get(), &observer, stop);
    auto run = loop::Run::resume(*journal, id, bench);
    ASSERT_TRUE(run) << run.error().message;
    ASSERT_TRUE(run->drive());
    EXPECT_EQ(ending(run->state()), expected.ending) << "killed behind record " << at;
    for (const loop::CallId& call : begun)
      EXPECT_FALSE(answered.contains(call))
          << call.text() << " was answered before the kill behind record " << at;
    const auto decisions = loop::replay(entries_of(*journal, id));
    EXPECT_TRUE(decisions) << decisions.error().message;
    expect_a_row_for_each_call(*journal, id);
    if (::testing::Test::HasFailure()) return;
  }
  EXPECT_GE(kills, least_kills);
  std::printf("%zu kills, %ld records\n", kills, static_cast<long>(expected.records));
}

class KillTest : public testing::Test {
 protected:
  void SetUp() override {
    auto dir = TempDir::make("lathe-scene");
    ASSERT_TRUE(dir);
    dir_.emplace(*std::move(dir));
    scene_.recipe_dir = dir_->path();
  }
  void put(const std::string& name, std::string_view text) {
    ASSERT_TRUE(make_directories((dir_->path() / name).parent_path()));
    ASSERT_TRUE(write_file_atomic(dir_->path() / name, text));
  }
  std::optional<TempDir> dir_;
  Scene scene_;
};

// Programs as maker and judge; best of two, repairs, a unit that never passes, one that waits for
// another.
TEST_F(KillTest, ProgramsAsMakerAndJudge) {
  std::string units;
  for (const int i : {0, 2, 6, 7})
    units += fmt::format("{{\"key\":\"u{}\",\"text\":\"{}\"{}}}\n", i, i,
                         i == 7 ? ",\"after\":[\"u6\"]" : "");
  put("units.jsonl", units);
  scene_.recipe = R"toml(
recipe = "programs"
version = 1
[unit]
from = "units.jsonl"
split = "jsonl"
[make]
kind = "command"
command = ["sh", "-c", "read unit; echo $((unit + {lap} * 3 + {n}))"]
best_of = 2
[[judge]]
kind = "command"
command = ["sh", "-c", "n=$(cat \"$1\"); [ $((n % 4)) -eq 0 ] && [ \"$n\" -lt 14 ]", "judge", "{file}"]
[[judge]]
name = "whole"
kind = "command"
scope = "whole"
command = ["true"]
[stop]
laps = 4
)toml";
  kill_everywhere(scene_, 50);
}

// A source tree, repaired by a scripted model: a wrong fix, a forbidden one, an unusable answer,
// the right one.
TEST_F(KillTest, CodeRepair) {
  const fs::path example = fs::path(LATHE_SOURCE_DIR) / "examples" / "fix-tests" / "shell";
  scene_.recipe_dir = example;
  scene_.recipe = read_file(example / "recipe.toml").value();
  scene_.script = example / "worker.toml";
  kill_everywhere(scene_, 15);
}

// Text under measured limits, from a scripted model, several units at once.
TEST_F(KillTest, TextUnderLimits) {
  put("texts.md",
      "first text\n\nsecond text\n\nthird text\n\nfourth text\n\nfifth text\n\nsixth text\n");
  scene_.recipe = R"toml(
recipe = "texts"
version = 1
[unit]
from = "texts.md"
split = "paragraph"
[make]
kind = "text"
task = "Rewrite the text."
ladder = ["missing", "coder"]
best_of = 2
[[judge]]
kind = "text"
stage = "gate"
min_words = 3
required_words = ["good"]
[[judge]]
name = "short"
kind = "text"
max_words = 6
[[judge]]
name = "all"
kind = "text"
scope = "whole"
stage = "gate"
min_words = 10
[stop]
laps = 6
)toml";
  put("worker.toml", R"toml(
[[reply]]
lap = 2
text = "too short"
[[reply]]
lap = 3
text = "now it is a good one"
[[reply]]
text = "this one is good but it is far too long"
)toml");
  scene_.script = dir_->path() / "worker.toml";
  kill_everywhere(scene_, 60);
}

// A full disk is not the unit's failure: the run stops there, and what was lost is made again.
TEST_F(KillTest, WhatTheJournalCouldNotTakeIsMadeAgain) {
  put("units.txt", "1\n");
  scene_.recipe = R"toml(
recipe = "full"
version = 1
[unit]
from = "units.txt"
[make]
kind = "command"
command = ["echo", "made"]
[[judge]]
kind = "command"
command = ["true"]
)toml";
  auto dir = TempDir::make("lathe-full");
  ASSERT_TRUE(dir);
  auto journal = books::open_journal(dir->path());
  const auto recipe = loop::parse_recipe(scene_.recipe, "test.toml");
  ASSERT_TRUE(journal && recipe);
  const StopFlag stop;
  const loop::Bench bench = bench_for(nullptr, nullptr, stop);
  const fs::path blobs = dir->path() / "blobs", away = dir->path() / "away";
  {
    auto run = loop::Run::start(*journal, {*recipe, scene_.recipe_dir, {}, Json::object()}, bench);
    ASSERT_TRUE(run) << run.error().message;
    fs::rename(blobs, away);
    ASSERT_TRUE(write_file_atomic(blobs, "no directory"));
    EXPECT_FALSE(run->drive());
  }
  fs::remove(blobs);
  fs::rename(away, blobs);
  auto run = loop::Run::resume(*journal, journal->find_run("last").value(), bench);
  ASSERT_TRUE(run) << run.error().message;
  ASSERT_TRUE(run->drive());
  EXPECT_EQ(run->state().end_state, loop::RunResult::kPassed) << run->state().end_why;
}

}  // namespace
}  // namespace lathe
