// A run that has to wait: no calls meanwhile, no working time, the same decisions; samples of how
// the machine does; and what was asked, word for word.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <testing/memory_journal.h>

#include "loop/conductor/conductor.h"
#include "loop/script/scripted_worker.h"

namespace lathe::loop {
namespace {

using ::testing::ElementsAre;

constexpr std::string_view kRecipe = R"(
recipe = "say"
version = 1
[unit]
from = "units.txt"
[make]
kind = "text"
ladder = ["w"]
task = "Say it."
[[judge]]
kind = "text"
forbidden_words = ["no"]
[stop]
laps = 3
time = "1h"
pause_when = ["heat"]
)";

// A clock that goes on by half a minute whenever somebody looks.
class FastClock : public Clock {
 public:
  Milliseconds monotonic() const override { return Milliseconds(now_ += 30'000); }
  std::int64_t unix_ms() const override { return now_; }

 private:
  mutable std::atomic<std::int64_t> now_{0};
};

class PauseTest : public ::testing::Test {
 protected:
  // Says no, then yes.
  ScriptedWorker worker() {
    ScriptedWorker::Line no, yes;
    no.purpose = yes.purpose = "make";
    no.lap = 1;
    no.text = "no";
    yes.text = "yes";
    return ScriptedWorker("w", {no, yes});
  }

  std::vector<Entry> drive(const Bench& bench, std::string_view recipe_text = kRecipe) {
    EXPECT_TRUE(write_file_atomic(dir_.path() / "units.txt", "one\n"));
    auto recipe = parse_recipe(recipe_text, "test.toml");
    EXPECT_TRUE(recipe) << recipe.error().message;
    auto run = Run::start(journal_, {*recipe, dir_.path(), {}, Json::object()}, bench);
    EXPECT_TRUE(run) << run.error().message;
    const Status driven = run->drive();
    EXPECT_TRUE(driven) << driven.error().message;
    auto entries = from_records(journal_.records(run->id()).value()).value();
    EXPECT_TRUE(replay(entries)) << replay(entries).error().message;
    return entries;
  }

  static std::vector<std::string> kinds(std::span<const Entry> entries) {
    std::vector<std::string> names;
    for (const Entry& entry : entries) names.emplace_back(kind_of(entry.event));
    return names;
  }

  TempDir dir_ = *TempDir::make();
  books::Journal journal_ = lathe::testing::memory_journal();
  StopFlag stop_;
};

TEST_F(PauseTest, WaitsWhileItMustAndGoesOn) {
  ScriptedWorker asked = worker();
  int looks = 0;
  std::set<PauseReason> told;
  const Bench bench{.program = "/proc/self/exe",
                    .build = "test",
                    .media = nullptr,
                    .worker = [&](const std::string&) { return &asked; },
                    .joules = {},
                    .energy = {},
                    .hold =
                        [&](const std::set<PauseReason>& when) {
                          told = when;
                          // Twice: before the first call, and some way into the run.
                          ++looks;
                          return looks <= 3 || looks == 6 ? "it is too hot" : "";
                        },
                    .clock = system_clock(),
                    .stop = stop_};
  const auto entries = drive(bench);
  EXPECT_THAT(told, ElementsAre(PauseReason::kHeat));
  const auto names = kinds(entries);
  EXPECT_THAT(std::vector(names.begin(), names.begin() + 5),
              ElementsAre("run", "units", "lap", "pause", "resume"));
  EXPECT_EQ(std::get<Paused>(entries[3].event).reason, "it is too hot");
  EXPECT_EQ(entries[4].t_ms, entries[2].t_ms) << "what it waits is no working time";
  EXPECT_EQ(std::ranges::count(names, "pause"), 2);
  EXPECT_EQ(std::get<RunEnded>(entries.back().event).result, RunResult::kPassed);
}

TEST_F(PauseTest, APersonStopsARunThatWaits) {
  ScriptedWorker asked = worker();
  const Bench bench{.program = "/proc/self/exe",
                    .build = "test",
                    .media = nullptr,
                    .worker = [&](const std::string&) { return &asked; },
                    .joules = {},
                    .energy = {},
                    .hold =
                        [&, looks = 0](const std::set<PauseReason>&) mutable {
                          if (++looks == 3) stop_.raise();
                          return std::string("it is too hot");
                        },
                    .clock = system_clock(),
                    .stop = stop_};
  const auto entries = drive(bench);
  ASSERT_TRUE(std::holds_alternative<Paused>(entries.back().event));
  EXPECT_EQ(std::get<Paused>(entries.back().event).reason, "stopped by the user");
  stop_.clear();
  Bench cool = bench;
  cool.hold = {};
  auto run = Run::resume(journal_, journal_.find_run("last").value(), cool);
  ASSERT_TRUE(run && run->drive());
  EXPECT_EQ(run->state().end_state, RunResult::kPassed);
}

TEST_F(PauseTest, HeatAndPowerAreSampled) {
  ScriptedWorker asked = worker();
  const FastClock clock;
  double joules = 0;
  double celsius = 40;
  const Bench bench{.program = "/proc/self/exe",
                    .build = "test",
                    .media = nullptr,
                    .worker = [&](const std::string&) { return &asked; },
                    .joules = [&] { return joules += 7; },
                    .energy = {},
                    .celsius = [&] { return celsius += 1; },
                    .clock = clock,
                    .stop = stop_};
  std::string recipe(kRecipe);
  recipe.replace(recipe.find("1h\""), 3, "90h\"\ncall = \"9h\"");
  const auto entries = drive(bench, recipe);
  std::int64_t before = 0;
  int samples = 0;
  for (const Entry& entry : entries) {
    const auto* sample = std::get_if<Sampled>(&entry.event);
    if (!sample) continue;
    EXPECT_EQ(sample->celsius, 40 + ++samples);
    ASSERT_TRUE(sample->watts);
    EXPECT_GT(*sample->watts, 0);
    EXPECT_GE(entry.t_ms - before, 60'000) << "not more often";
    before = entry.t_ms;
  }
  EXPECT_GT(samples, 0);
  const RunState state = fold(entries).value();
  EXPECT_EQ(state.celsius.low, 41);
  EXPECT_EQ(state.celsius.high, 40 + samples);
}

// An answer that is of no use is asked for once more: the prompt that is kept has its fault in it.
TEST_F(PauseTest, WhatAWorkerWasAskedIsKept) {
  ScriptedWorker::Line empty, yes, fine;
  empty.purpose = yes.purpose = "make";
  empty.attempt = 0;
  empty.text = "";
  yes.text = "yes";
  fine.purpose = "judge";
  fine.text = "I think that it is fine.";
  ScriptedWorker asked("w", {empty, yes, fine});
  const Bench bench{.program = "/proc/self/exe",
                    .build = "test",
                    .media = nullptr,
                    .worker = [&](const std::string&) { return &asked; },
                    .joules = {},
                    .energy = {},
                    .hold = {},
                    .clock = system_clock(),
                    .stop = stop_};
  std::string recipe(kRecipe);
  recipe.insert(recipe.find("[stop]"),
                "[[judge]]\nkind = \"rubric\"\nworker = \"w\"\ncriteria = [\"Is it polite?\"]\n");
  std::vector<std::string> prompts, judges;
  for (const Entry& entry : drive(bench, recipe))
    if (const auto* made = std::get_if<CandidateMade>(&entry.event)) {
      ASSERT_TRUE(made->prompt);
      prompts.push_back(journal_.blob(*made->prompt).value());
    } else if (const auto* given = std::get_if<VerdictGiven>(&entry.event);
               given && given->prompt) {
      EXPECT_EQ(given->judge_name, "rubric");
      judges.push_back(journal_.blob(*given->prompt).value());
    }
  ASSERT_EQ(prompts.size(), 1);
  EXPECT_THAT(prompts[0], ::testing::StartsWith("[system]\n"));
  EXPECT_THAT(prompts[0], ::testing::HasSubstr("Say it."));
  EXPECT_THAT(prompts[0], ::testing::HasSubstr("The text:\n<<<\none\n>>>"));
  EXPECT_THAT(prompts[0], ::testing::HasSubstr("[user]\nThat answer cannot be used: "));
  ASSERT_FALSE(judges.empty());
  EXPECT_THAT(judges[0], ::testing::HasSubstr("Is it polite?"));
  EXPECT_THAT(judges[0], ::testing::HasSubstr("yes"));
  EXPECT_EQ(asked.seen().size(), prompts.size() + 1 + judges.size());
}

}  // namespace
}  // namespace lathe::loop
