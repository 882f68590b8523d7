// What a program does next: every phase and event, and the rest of one that keeps ending.
#include "serve/programs/program_phase.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lathe::serve {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Phase = ProgramPhase;
using Act = ProgramAct;

// A program under events, one after the other, and what was to be done last.
struct Life {
  ProgramRules rules = {.ready_timeout = Milliseconds(1000),
                        .grace = Milliseconds(200),
                        .failures = 3,
                        .window = Milliseconds(60'000),
                        .rest = Milliseconds(30'000)};
  ProgramState state = {};
  Milliseconds now{5000};

  Act take(const ProgramEvent& event, int later = 0) {
    now += Milliseconds(later);
    ProgramStep step = next_step(state, event, rules, now);
    state = std::move(step.state);
    return step.act;
  }
  Act fail_once(int later = 0) {
    EXPECT_EQ(take(ProgramWanted(), later), Act::kStart);
    return take(ProgramEnded{"exit code 3"}, 10);
  }
};

TEST(ProgramPhase, StartsAnswersAndIsStopped) {
  Life life;
  EXPECT_EQ(life.take(ProgramWanted()), Act::kStart);
  EXPECT_EQ(life.state.phase, Phase::kStarting);
  EXPECT_EQ(life.take(ProgramWanted()), Act::kNothing);
  EXPECT_EQ(life.take(ProgramTick(), 999), Act::kNothing);
  EXPECT_EQ(life.take(ProgramAnswered()), Act::kOpen);
  EXPECT_EQ(life.take(ProgramTick(), 100'000), Act::kNothing);
  EXPECT_EQ(life.take(ProgramUnwanted()), Act::kTerminate);
  EXPECT_EQ(life.take(ProgramAnswered()), Act::kNothing);
  EXPECT_EQ(life.take(ProgramWanted()), Act::kNothing);
  EXPECT_EQ(life.take(ProgramEnded{"killed by SIGTERM"}), Act::kTellGone);
  EXPECT_EQ(life.state.phase, Phase::kOff);
  EXPECT_THAT(life.state.problem, IsEmpty());
}

TEST(ProgramPhase, WhatSaysThreeTimesThatItCannotBeAskedGoes) {
  Life life;
  life.take(ProgramWanted());
  for (int i = 0; i < 5; ++i) EXPECT_EQ(life.take(ProgramUnwell{503}), Act::kNothing);  // it loads
  EXPECT_EQ(life.take(ProgramAnswered()), Act::kOpen);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(life.take(ProgramUnwell{503}), Act::kNothing);
  EXPECT_EQ(life.take(ProgramAnswered()), Act::kNothing);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(life.take(ProgramUnwell{503}), Act::kNothing);
  EXPECT_EQ(life.take(ProgramUnwell{503}), Act::kTerminate);
  EXPECT_THAT(life.state.problem, HasSubstr("cannot be asked any more (status 503)"));
  EXPECT_EQ(life.take(ProgramUnwell{503}), Act::kNothing);
  EXPECT_EQ(life.take(ProgramEnded{"killed by SIGTERM"}), Act::kTellFailed);
  EXPECT_EQ(life.take(ProgramWanted()), Act::kStart);
}

TEST(ProgramPhase, WhatIgnoresSigtermIsKilledOnceAfterTheGrace) {
  Life life;
  life.take(ProgramWanted());
  EXPECT_EQ(life.take(ProgramUnwanted()), Act::kTerminate);  // before it was ready, too
  EXPECT_EQ(life.take(ProgramTick(), 199), Act::kNothing);
  EXPECT_EQ(life.take(ProgramTick(), 1), Act::kKill);
  EXPECT_EQ(life.take(ProgramTick(), 1000), Act::kNothing);
  EXPECT_EQ(life.take(ProgramEnded{"killed by SIGKILL"}), Act::kTellGone);
}

TEST(ProgramPhase, WhatIsNotReadyInTimeIsAFailure) {
  Life life;
  life.take(ProgramWanted());
  EXPECT_EQ(life.take(ProgramTick(), 1000), Act::kTerminate);
  EXPECT_EQ(life.take(ProgramEnded{"killed by SIGTERM"}), Act::kTellFailed);
  EXPECT_THAT(life.state.problem, HasSubstr("not ready within 1.0 s"));
}

TEST(ProgramPhase, AnEndByItselfIsAFailureThatSaysHow) {
  Life life;
  life.take(ProgramWanted());
  EXPECT_EQ(life.take(ProgramEnded{"exit code 3"}), Act::kTellFailed);
  EXPECT_THAT(life.state.problem, HasSubstr("before it was ready: exit code 3"));
  EXPECT_EQ(life.take(ProgramWanted()), Act::kStart);  // the next request starts it again
  EXPECT_THAT(life.state.problem, IsEmpty());
  life.take(ProgramAnswered());
  EXPECT_EQ(life.take(ProgramEnded{"killed by SIGSEGV"}), Act::kTellFailed);
  EXPECT_EQ(life.state.problem, "it ended: killed by SIGSEGV");
}

TEST(ProgramPhase, ThreeFailuresInARowAreFollowedByARest) {
  Life life;
  EXPECT_EQ(life.fail_once(), Act::kTellFailed);
  EXPECT_EQ(life.fail_once(), Act::kTellFailed);
  EXPECT_EQ(life.state.rests_until(life.rules, life.now), Milliseconds(0));
  EXPECT_EQ(life.fail_once(), Act::kTellFailed);
  EXPECT_EQ(life.state.rests_until(life.rules, life.now), life.now + Milliseconds(30'000));
  EXPECT_EQ(life.take(ProgramWanted(), 29'999), Act::kTellFailed);  // not started; why is told
  EXPECT_EQ(life.state.phase, Phase::kOff);
  EXPECT_THAT(life.state.problem, HasSubstr("exit code 3"));
  EXPECT_EQ(life.take(ProgramWanted(), 1), Act::kStart);
}

TEST(ProgramPhase, FailuresFarApartAndStopsInBetweenAreNoRow) {
  Life life;
  for (int i = 0; i < 9; ++i) EXPECT_EQ(life.fail_once(31'000), Act::kTellFailed);
  EXPECT_EQ(life.state.rests_until(life.rules, life.now), Milliseconds(0));
  life.fail_once(61'000);
  life.fail_once();
  // It was there, and was told to go.
  life.take(ProgramWanted());
  life.take(ProgramAnswered());
  life.take(ProgramUnwanted());
  life.take(ProgramEnded{"exit code 0"});
  EXPECT_THAT(life.state.failures, IsEmpty());
}

TEST(ProgramPhase, WhatHasToGoIsToldWhy) {
  Life life;
  life.take(ProgramWanted());
  life.take(ProgramAnswered());
  EXPECT_EQ(life.take(ProgramUnwanted{"it is too large"}), Act::kTerminate);
  EXPECT_EQ(life.take(ProgramEnded{"exit code 0"}), Act::kTellFailed);
  EXPECT_EQ(life.state.problem, "it is too large");
  EXPECT_EQ(life.state.failures.size(), 1U);
}

}  // namespace
}  // namespace lathe::serve
