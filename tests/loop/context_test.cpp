// A run whose units get passages of documents, or facts that are remembered: in the prompt, in the
// record, to the judge, and to no worker that they may not reach.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <testing/memory_journal.h>

#include "ground/base/hash.h"
#include "loop/conductor/conductor.h"
#include "loop/script/scripted_worker.h"

namespace lathe::loop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::string_view kRecipe = R"(
recipe = "answer"
version = 1
privacy = "any"
[unit]
from = "units.txt"
[context]
from = "docs/**"
k = 2
[make]
kind = "text"
ladder = ["w"]
task = "Answer the question, and quote what you answer from."
[[judge]]
kind = "cited"
[stop]
laps = 2
time = "1h"
)";

// Remembers what it was asked, and is as far away as it is told to be.
class Asked : public ScriptedWorker {
 public:
  Asked(std::vector<Line> lines, Reach reach)
      : ScriptedWorker("w", std::move(lines)), reach_(reach) {}
  WorkerInfo info() const override {
    WorkerInfo info = ScriptedWorker::info();
    info.reach = reach_;
    return info;
  }
  Result<Reply> complete(const Request& request, const StopFlag& stop,
                         const std::function<void(const Delta&)>& on_delta) override {
    prompts.push_back(request.talk()->messages.back().content.text());
    return ScriptedWorker::complete(request, stop, on_delta);
  }
  std::vector<std::string> prompts;

 private:
  Reach reach_;
};

ScriptedWorker::Line line(int lap, const std::string& text) {
  ScriptedWorker::Line line;
  line.purpose = "make";
  line.lap = lap;
  line.text = text;
  return line;
}

class ContextTest : public ::testing::Test {
 protected:
  Result<loop::Run> start(Worker& worker, std::string_view recipe_text = kRecipe) {
    EXPECT_TRUE(write_file_atomic(dir_.path() / "units.txt", "Which port?\nWhen is it open?\n"));
    auto recipe = parse_recipe(recipe_text, "test.toml");
    EXPECT_TRUE(recipe) << recipe.error().message;
    asked_ = &worker;
    return loop::Run::start(
        journal_,
        {*recipe,
         dir_.path(),
         {},
         Json::object(),
         [this](std::string_view question) {
           questions_.emplace_back(question);
           std::vector<Passage> found;
           if (question.contains("port"))
             found.push_back({"a:0-9", "guide.md", "line 3", "The port is 8080."});
           else
             found.push_back({"b:0-9", "cafe.md", "line 1", "It opens at nine."});
           return Result<std::vector<Passage>>(found);
         }},
        bench_);
  }

  TempDir dir_ = *TempDir::make();
  books::Journal journal_ = lathe::testing::memory_journal();
  StopFlag stop_;
  Worker* asked_ = nullptr;
  std::vector<std::string> questions_;
  Bench bench_{.program = "/proc/self/exe",
               .build = "test",
               .media = nullptr,
               .worker = [this](const std::string&) { return asked_; },
               .joules = {},
               .energy = {},
               .clock = system_clock(),
               .stop = stop_};
};

TEST_F(ContextTest, PassagesAreShownRecordedAndJudged) {
  Asked worker({line(1, "It is \"8081\" [1]."), line(2, "It says \"The port is 8080.\" [1]")},
               Reach::kLocal);
  auto run = start(worker);
  ASSERT_TRUE(run) << run.error().message;
  ASSERT_TRUE(run->drive());
  EXPECT_THAT(questions_, ElementsAre("Which port?\n", "When is it open?\n"));
  EXPECT_THAT(worker.prompts.at(0),
              HasSubstr("[1] guide.md, line 3:\n<<<\nThe port is 8080.\n>>>"));
  const auto entries = from_records(journal_.records(run->id()).value()).value();
  EXPECT_TRUE(replay(entries)) << replay(entries).error().message;
  const auto& units = std::get<UnitsNamed>(entries[1].event).units;
  EXPECT_EQ(passages_of(std::span(units).first(1)).at(0).id, "a:0-9");
  EXPECT_EQ(passages_of(std::span(units).last(1)).at(0).text, "It opens at nine.");
  // The first unit's second answer stands there; the second unit's stands nowhere.
  const auto& end = std::get<RunEnded>(entries.back().event);
  EXPECT_EQ(end.passed, 1U);
  EXPECT_EQ(end.gave_up, 1U);
}

TEST_F(ContextTest, NoWorkerBeyondWhatTheDocumentsAllow) {
  Asked far({line(1, "\"The port is 8080.\" [1]")}, Reach::kAny);
  const auto refused = start(far);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kDenied);
  EXPECT_THAT(refused.error().message, HasSubstr("beyond what [context] allows"));
  EXPECT_THAT(questions_, ElementsAre());
  std::string allowed(kRecipe);
  allowed.replace(allowed.find("k = 2"), 5, "k = 2\nprivacy = \"any\"");
  EXPECT_TRUE(start(far, allowed));
  // Nor is one come by later.
  Asked near({line(1, "\"The port is 8080.\" [1]")}, Reach::kLocal);
  std::string id;
  {
    auto run = start(near);
    ASSERT_TRUE(run);
    id = run->id();
  }
  asked_ = &far;
  const auto resumed = loop::Run::resume(journal_, id, bench_);
  ASSERT_FALSE(resumed);
  EXPECT_EQ(resumed.error().kind, ErrorKind::kDenied);
}

TEST_F(ContextTest, AUnitForWhichNothingIsFoundIsNamedBeforeAnyWork) {
  Asked worker({}, Reach::kLocal);
  asked_ = &worker;
  EXPECT_TRUE(write_file_atomic(dir_.path() / "units.txt", "Which port?\n"));
  const auto recipe = parse_recipe(kRecipe, "test.toml");
  ASSERT_TRUE(recipe);
  const auto none = loop::Run::start(
      journal_,
      {*recipe,
       dir_.path(),
       {},
       Json::object(),
       [](std::string_view) { return Result<std::vector<Passage>>(std::vector<Passage>{}); }},
      bench_);
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr("units.txt:1: the unit 'L001' has no passages"));
  EXPECT_THAT(worker.prompts, ElementsAre());
}

// --- Memory ---

constexpr std::string_view kMemoryRecipe = R"(
recipe = "answer"
version = 1
privacy = "any"
[unit]
from = "units.txt"
[memory]
[make]
kind = "text"
ladder = ["w"]
task = "Answer."
[[judge]]
kind = "text"
forbidden_words = ["wrong"]
[stop]
laps = 2
time = "1h"
)";

class MemoryRunTest : public ContextTest {
 protected:
  Result<loop::Run> start_with_memory(Worker& worker) {
    EXPECT_TRUE(write_file_atomic(dir_.path() / "units.txt", "Which port?\n"));
    auto recipe = parse_recipe(kMemoryRecipe, "test.toml");
    EXPECT_TRUE(recipe) << recipe.error().message;
    asked_ = &worker;
    loop::NewRun request{*recipe, dir_.path(), {}, Json::object()};
    request.recall = [](std::string_view) {
      return Result<std::vector<Recalled>>(std::vector<Recalled>{{3, "the port: 8080"}});
    };
    return loop::Run::start(journal_, request, bench_);
  }
};

TEST_F(MemoryRunTest, FactsAreShownAndNamedAndProposalsTakenOut) {
  Asked worker({line(1, "wrong\nREMEMBER: the colour: red"),
                line(2, "It is 8080.\n\nREMEMBER: the host: a")},
               Reach::kLocal);
  auto run = start_with_memory(worker);
  ASSERT_TRUE(run) << run.error().message;
  ASSERT_TRUE(run->drive());
  EXPECT_THAT(worker.prompts.at(0), HasSubstr("Known from earlier work:\n- the port: 8080\n"));
  EXPECT_THAT(worker.prompts.at(1), HasSubstr("the port: 8080"));
  const auto entries = from_records(journal_.records(run->id()).value()).value();
  EXPECT_TRUE(replay(entries)) << replay(entries).error().message;
  const auto& units = std::get<UnitsNamed>(entries[1].event).units;
  EXPECT_EQ(units[0].data["facts"], Json::parse(fmt::format(R"([{{"id": 3, "blob": "{}"}}])",
                                                            sha256_hex("the port: 8080"))));
  std::vector<std::string> proposed, takes;
  for (const Entry& entry : entries)
    if (const auto* made = std::get_if<CandidateMade>(&entry.event)) {
      takes.push_back(journal_.blob(made->answer->blob).value());
      for (const Json& each : made->answer->facts["proposed"])
        proposed.push_back(journal_.blob(json_string(each, "blob")).value());
    }
  EXPECT_THAT(takes, ElementsAre("wrong", "It is 8080."));
  EXPECT_THAT(proposed, ElementsAre("the colour: red", "the host: a"));
}

TEST_F(MemoryRunTest, AForgottenFactIsLeftOutAndTheRunGoesOn) {
  Asked worker({line(1, "It is 8080.")}, Reach::kLocal);
  std::string id;
  {
    auto run = start_with_memory(worker);
    ASSERT_TRUE(run) << run.error().message;
    id = run->id();
  }
  EXPECT_TRUE(journal_.forget_blob(sha256_hex("the port: 8080")));
  auto run = loop::Run::resume(journal_, id, bench_);
  ASSERT_TRUE(run) << run.error().message;
  ASSERT_TRUE(run->drive());
  EXPECT_THAT(worker.prompts.at(0), Not(HasSubstr("Known from earlier work")));
  const auto entries = from_records(journal_.records(id).value()).value();
  EXPECT_TRUE(replay(entries)) << replay(entries).error().message;
}

TEST_F(MemoryRunTest, NoWorkerBeyondWhatFactsAllow) {
  Asked far({line(1, "x")}, Reach::kLan);
  const auto refused = start_with_memory(far);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("beyond what [memory] allows"));
}

}  // namespace
}  // namespace lathe::loop
