// Whatever a judge does wrong is no verdict.
#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <stdexcept>

#include "loop/judges/judge.h"

namespace lathe::loop {
namespace {

using ::testing::HasSubstr;

const std::string kCandidate(64, 'a');

Judgement sound() {
  Judgement judgement;
  judgement.candidate = kCandidate;
  judgement.outcome = Outcome::kPass;
  judgement.score = 0.9;
  judgement.bar = 0.9;
  judgement.critiques = {{"line 1", "must", "too long", "12 words", ""}};
  judgement.usage.calls = 1;
  return judgement;
}

// What the judge under test says: a plain function pointer has no other way to be told.
std::function<Result<Judgement>()> says;

Judgement closed(std::function<Result<Judgement>()> answer) {
  says = std::move(answer);
  static constexpr JudgeKind kKind{
      .name = "fake",
      .judge = [](const JudgeTask&, const JudgeContext&) { return says(); },
  };
  const Json options = Json::object();
  const std::vector<Unit> units{{"a", "", {}}, {"b", "", {}}};
  const JudgeTask task{.options = options, .units = units, .candidate = kCandidate};
  const Place place;
  const StopFlag stop;
  return judge_closed(kKind, task, {.place = place, .stop = stop});
}

Judgement closed_with(const std::function<void(Judgement&)>& change) {
  return closed([&] {
    Judgement judgement = sound();
    change(judgement);
    return Result<Judgement>(judgement);
  });
}

void expect_not_judged(const Judgement& judgement, std::string_view why) {
  EXPECT_EQ(judgement.outcome, Outcome::kError);
  EXPECT_EQ(judgement.score, 0);
  EXPECT_EQ(judgement.candidate, kCandidate);
  EXPECT_TRUE(judgement.critiques.empty()) << "never shown to the generator";
  EXPECT_TRUE(judgement.units.empty());
  EXPECT_THAT(json_string(judgement.evidence, "not_judged"), HasSubstr(std::string(why)));
}

TEST(JudgeClosed, ASoundJudgementComesThrough) {
  const Judgement pass = closed_with([](Judgement&) {});
  EXPECT_EQ(to_json(pass), to_json(sound()));
  EXPECT_EQ(closed_with([](Judgement& j) { j.outcome = Outcome::kFail; }).outcome, Outcome::kFail)
      << "a veto fails above the bar";
  EXPECT_EQ(closed_with([](Judgement& j) {
              j.outcome = Outcome::kAbstain;
              j.score = 0.2;
            }).outcome,
            Outcome::kAbstain);
}

TEST(JudgeClosed, ErrorsAndExceptions) {
  expect_not_judged(closed([] { return Result<Judgement>(invalid("no such ear")); }),
                    "no such ear");
  expect_not_judged(closed([]() -> Result<Judgement> { throw std::runtime_error("boom"); }),
                    "fake: broke down: boom");
  expect_not_judged(closed([]() -> Result<Judgement> { throw 7; }), "broke down");
}

TEST(JudgeClosed, ScoresAndBarsThatAreNoShares) {
  const double nan = std::nan(""), inf = std::numeric_limits<double>::infinity();
  for (const double bad : {nan, -nan, inf, -inf, -0.01, 1.01, 9.0, -1e-300})
    for (const Outcome outcome : {Outcome::kPass, Outcome::kFail, Outcome::kAbstain}) {
      expect_not_judged(closed_with([&](Judgement& j) { j.score = bad, j.outcome = outcome; }),
                        "score");
      expect_not_judged(closed_with([&](Judgement& j) { j.bar = bad, j.outcome = outcome; }),
                        "bar");
    }
}

TEST(JudgeClosed, APassBelowItsOwnBar) {
  expect_not_judged(closed_with([](Judgement& j) { j.score = std::nextafter(0.9, 0); }),
                    "below its bar");
}

TEST(JudgeClosed, AnAnswerForAnotherCandidate) {
  expect_not_judged(closed_with([](Judgement& j) { j.candidate = std::string(64, 'b'); }),
                    "answered for candidate");
  expect_not_judged(closed_with([](Judgement& j) { j.candidate.clear(); }), "candidate");
}

TEST(JudgeClosed, OutcomesThatDoNotExist) {
  expect_not_judged(closed_with([](Judgement& j) { j.outcome = static_cast<Outcome>(17); }),
                    "outcome is unknown");
  expect_not_judged(closed_with([](Judgement& j) {
                      j.units = {{"a", static_cast<Outcome>(17)}};
                    }),
                    "unknown");
}

TEST(JudgeClosed, EvidenceThatContradicts) {
  expect_not_judged(closed_with([](Judgement& j) { j.evidence = "pass"; }), "not an object");
  expect_not_judged(closed_with([](Judgement& j) { j.evidence["not_judged"] = "hm"; }), "reason");
  expect_not_judged(closed_with([](Judgement& j) { j.outcome = Outcome::kError; }),
                    "without a reason");
  expect_not_judged(closed_with([](Judgement& j) {
                      j.outcome = Outcome::kError;
                      j.evidence["not_judged"] = "the ear crashed";
                    }),
                    "the ear crashed");
}

TEST(JudgeClosed, UnitsOfAGroup) {
  const auto with = [](std::vector<UnitOutcome> units, Outcome outcome = Outcome::kPass) {
    return closed_with([&](Judgement& j) { j.units = units, j.outcome = outcome; });
  };
  EXPECT_EQ(with({{"b", Outcome::kPass}, {"a", Outcome::kPass}}).outcome, Outcome::kPass);
  EXPECT_EQ(with({{"a", Outcome::kPass}}, Outcome::kFail).outcome, Outcome::kFail);
  expect_not_judged(with({{"a", Outcome::kPass}}), "left out 'b'");
  expect_not_judged(with({{"a", Outcome::kPass}, {"b", Outcome::kFail}}), "'b' did not");
  expect_not_judged(with({{"a", Outcome::kPass}, {"c", Outcome::kPass}}), "'c'");
  expect_not_judged(with({{"a", Outcome::kFail}, {"a", Outcome::kPass}}, Outcome::kFail), "before");
}

TEST(JudgeClosed, AKindThatCannotRun) {
  const Json options = Json::object();
  const JudgeTask task{.options = options, .candidate = kCandidate};
  const Place place;
  const StopFlag stop;
  const JudgeContext context{.place = place, .stop = stop};
  expect_not_judged(judge_closed({.name = "empty"}, task, context), "cannot judge");
  const JudgeKind needy{
      .name = "needy", .needs_worker = true, .judge = [](const JudgeTask&, const JudgeContext&) {
        return Result<Judgement>(sound());
      }};
  expect_not_judged(judge_closed(needy, task, context), "needs a worker");
  JudgeKind adviser = needy;
  adviser.advises = [](const Json&) { return true; };
  const Judgement silent = judge_closed(adviser, task, context);
  EXPECT_EQ(silent.outcome, Outcome::kAbstain);
  EXPECT_EQ(silent.candidate, task.candidate);
  EXPECT_THAT(json_string(silent.evidence, "no_advice"), HasSubstr("needs a worker"));
}

TEST(JudgeClosed, UsageOfAnUnsoundAnswerIsStillBooked) {
  EXPECT_EQ(closed_with([](Judgement& j) { j.score = 2; }).usage.calls, 1);
}

TEST(JudgementJson, RoundTrip) {
  Judgement judgement = sound();
  judgement.units = {{"a", Outcome::kFail}, {"b", Outcome::kAbstain}};
  judgement.evidence = {{"x", {1, 2}}};
  const Json json = to_json(judgement);
  const auto back = judgement_from_json(json);
  ASSERT_TRUE(back);
  EXPECT_EQ(to_json(*back), json);
}

TEST(JudgementJson, ABrokenRecordIsAnErrorNotAPass) {
  const Json json = to_json(sound());
  for (const char* key : {"outcome", "score", "bar", "evidence"}) {
    Json broken = json;
    broken.erase(key);
    EXPECT_FALSE(judgement_from_json(broken)) << key;
    broken[key] = "high";
    EXPECT_FALSE(judgement_from_json(broken)) << key;
  }
  Json broken = json;
  broken["score"] = 1.5;
  EXPECT_FALSE(judgement_from_json(broken));
  broken = json;
  broken["units"] = {{{"unit", "a"}}};
  EXPECT_FALSE(judgement_from_json(broken));
  EXPECT_FALSE(judgement_from_json(Json()));
  EXPECT_FALSE(judgement_from_json("pass"));
}

}  // namespace
}  // namespace lathe::loop
