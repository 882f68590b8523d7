// What a step takes and who is admitted, as pure plans.
#include "infer/engine/scheduler.h"

#include <gtest/gtest.h>

#include <random>

namespace lathe::infer {
namespace {

SequenceState running(SequenceId id, std::size_t pending, bool decoding, std::size_t blocks = 0) {
  return {
      .id = id, .running = true, .pending = pending, .decoding = decoding, .bytes_left = blocks};
}
SequenceState waiting(SequenceId id, std::size_t pending, std::size_t blocks) {
  return {.id = id, .running = false, .pending = pending, .decoding = false, .bytes_left = blocks};
}

TEST(Scheduler, DecodesGoFirstAndPromptsFillTheRest) {
  const SequenceState states[] = {running(1, 300, false), running(2, 1, true), running(3, 1, true),
                                  running(4, 90, false)};
  const StepPlan plan =
      plan_step(states, {.step_tokens = 128, .step_outputs = 8, .sequences = 8, .free_bytes = 0});
  EXPECT_EQ(plan.parts, (std::vector<StepPlan::Part>{{2, 1}, {3, 1}, {1, 126}}));
}

// Five tokens, 40 rows that see each other, ten tokens.
TEST(Scheduler, RowsThatSeeEachOtherAreNotCut) {
  Prompt prompt(std::vector<TokenId>(5, 1));
  prompt.add(*RowBlock::make(1, std::vector<float>(40, 1.0f), {.mutual = true}));
  prompt.add(std::vector<TokenId>(10, 1));
  const auto reading = [&](SequenceId id, std::size_t computed) {
    SequenceState state = running(id, 55 - computed, false);
    state.computed = computed;
    state.rows = prompt.rows();
    return state;
  };
  using Parts = std::vector<StepPlan::Part>;
  const auto parts = [](std::vector<SequenceState> states, SchedulerLimits limits) {
    return plan_step(states, limits).parts;
  };
  EXPECT_EQ(parts({reading(1, 0)}, {.step_tokens = 44}), (Parts{{1, 5}}));
  EXPECT_EQ(parts({reading(1, 0)}, {.step_tokens = 46}), (Parts{{1, 46}}));
  // More than its caller wants, as it cannot be less; but nothing where nothing is wanted.
  EXPECT_EQ(parts({reading(1, 5)}, {.step_tokens = 46, .prompt_tokens = 1}), (Parts{{1, 40}}));
  EXPECT_EQ(parts({reading(1, 5)}, {.step_tokens = 46, .prompt_tokens = 0}), Parts{});
  // What a prefix has left of them.
  EXPECT_EQ(parts({reading(1, 30)}, {.step_tokens = 46, .prompt_tokens = 14}), (Parts{{1, 15}}));
  // Beside a decode, or if there is no room beside it, without it: it goes on in the next step.
  EXPECT_EQ(parts({running(2, 1, true), reading(1, 5)}, {.step_tokens = 41}),
            (Parts{{2, 1}, {1, 40}}));
  EXPECT_EQ(parts({running(2, 1, true), reading(1, 5)}, {.step_tokens = 40}), (Parts{{1, 40}}));
  EXPECT_EQ(parts({running(2, 1, true), reading(1, 45)}, {.step_tokens = 40}),
            (Parts{{2, 1}, {1, 10}}));
  // Prompts in front of it are not overtaken.
  EXPECT_EQ(parts({running(2, 30, false), reading(1, 5)}, {.step_tokens = 60}), (Parts{{2, 30}}));
  EXPECT_EQ(parts({reading(1, 5), running(2, 30, false)}, {.step_tokens = 60}),
            (Parts{{1, 50}, {2, 10}}));
}

TEST(Scheduler, AdmitsInOrderWhileTheWorstCaseFits) {
  const SequenceState states[] = {running(1, 1, true, 3), waiting(2, 10, 4), waiting(3, 10, 2),
                                  waiting(4, 10, 1)};
  EXPECT_EQ(plan_step(states, {.free_bytes = 9}).admit, (std::vector<SequenceId>{2, 3}));
  // A small one does not overtake a large one: that could wait for ever.
  EXPECT_EQ(plan_step(states, {.free_bytes = 6}).admit, std::vector<SequenceId>{});
  EXPECT_EQ(plan_step(states, {.sequences = 2, .free_bytes = 99}).admit,
            std::vector<SequenceId>{2});
}

TEST(Scheduler, NeverPlansMoreThanItsLimits) {
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    std::vector<SequenceState> states;
    const SchedulerLimits limits{.step_tokens = 1 + random() % 64,
                                 .step_outputs = 1 + random() % 6,
                                 .sequences = 1 + random() % 8,
                                 .free_bytes = random() % 40};
    std::size_t promised = 0, count = 0;
    for (SequenceId id = 1; id <= random() % 12; ++id) {
      const bool runs =
          count < limits.sequences && promised < limits.free_bytes && random() % 2 == 0;
      const bool decodes = runs && random() % 2 == 0;
      const std::size_t blocks = random() % 5;
      states.push_back(
          {.id = id,
           .running = runs,
           .pending = decodes && random() % 2 == 0 ? 1 : 1 + random() % 50,
           .decoding = decodes,
           .bytes_left = runs ? std::min(blocks, limits.free_bytes - promised) : blocks});
      if (runs) promised += states.back().bytes_left, ++count;
    }
    const StepPlan plan = plan_step(states, limits);
    std::size_t tokens = 0, outputs = 0;
    for (const StepPlan::Part& part : plan.parts) {
      const SequenceState& state =
          *std::find_if(states.begin(), states.end(), [&](auto& s) { return s.id == part.id; });
      EXPECT_TRUE(state.running ||
                  std::find(plan.admit.begin(), plan.admit.end(), part.id) != plan.admit.end());
      EXPECT_GE(part.tokens, 1u);
      EXPECT_LE(part.tokens, state.pending);
      tokens += part.tokens;
      outputs += part.tokens == state.pending;
    }
    for (const SequenceId id : plan.admit) {
      promised += std::find_if(states.begin(), states.end(), [&](auto& s) {
                    return s.id == id;
                  })->bytes_left;
      ++count;
    }
    EXPECT_LE(tokens, limits.step_tokens);
    EXPECT_LE(outputs, limits.step_outputs);
    EXPECT_LE(promised, limits.free_bytes);
    EXPECT_LE(count, std::max(limits.sequences, count - plan.admit.size()));
    // Whoever may run gets on: no step is empty while somebody has work.
    const bool work = std::any_of(states.begin(), states.end(),
                                  [](auto& s) { return s.running && s.pending > 0; });
    EXPECT_TRUE(!work || !plan.parts.empty());
  }
}

SequenceState drafting(SequenceId id, std::size_t drafted, double confidence) {
  SequenceState state = running(id, 1, true);
  state.drafted = drafted;
  state.confidence = confidence;
  return state;
}

TEST(Drafts, AreCheckedWhereThatPays) {
  const SequenceState states[] = {drafting(1, 20, 0.9), drafting(2, 20, 0.3), drafting(3, 0, 0.99)};
  const std::vector<double> flat(64, 1.0);
  EXPECT_EQ(choose_drafts(states, 60, flat), (std::vector<std::size_t>{20, 20, 0}));
  EXPECT_EQ(choose_drafts(states, 7, flat), (std::vector<std::size_t>{7, 0, 0}));
  // Each token costs as much as a step: guessing loses.
  std::vector<double> steep(64);
  for (std::size_t i = 0; i < 64; ++i) steep[i] = static_cast<double>(i + 1);
  EXPECT_EQ(choose_drafts(states, 60, steep), (std::vector<std::size_t>{0, 0, 0}));
  // Nothing was measured: nothing is checked.
  EXPECT_EQ(choose_drafts(states, 60, {}), (std::vector<std::size_t>{0, 0, 0}));
  // Up to 16 rows cost the same, from there the double: the surer draft gets what is cheap.
  std::vector<double> stairs(64, 1.0);
  std::fill(stairs.begin() + 16, stairs.end(), 2.0);
  EXPECT_EQ(choose_drafts(states, 60, stairs), (std::vector<std::size_t>{12, 1, 0}));
}

// What is computed again where a draft was wrong is a cost too: a sure draft is still checked, a
// doubtful one no longer.
TEST(Drafts, ThatRewindMustBeSurer) {
  std::vector<double> seconds(64);  // a token costs a tenth of a step
  for (std::size_t i = 0; i < 64; ++i) seconds[i] = 1 + 0.1 * static_cast<double>(i);
  const auto checked = [&](double confidence, bool rewinds) {
    SequenceState state = drafting(1, 20, confidence);
    state.rewinds = rewinds;
    return choose_drafts({&state, 1}, 60, seconds)[0];
  };
  EXPECT_EQ(checked(0.99, false), 20u);
  EXPECT_EQ(checked(0.99, true), 20u);
  EXPECT_GT(checked(0.15, false), 0u);
  EXPECT_EQ(checked(0.15, true), 0u);
}

// A sequence that was taken back computes what counted again, with its next token.
TEST(Scheduler, ADecodeThatWasTakenBackComputesAllThatIsPending) {
  const SequenceState states[] = {running(1, 5, true), running(2, 1, true), running(3, 90, false)};
  const StepPlan plan = plan_step(states, {.step_tokens = 32, .step_outputs = 8});
  EXPECT_EQ(plan.parts, (std::vector<StepPlan::Part>{{1, 5}, {2, 1}, {3, 26}}));
}

TEST(Drafts, GoBeforePromptsAndStayWithinTheStep) {
  const std::vector<double> flat(64, 1.0);
  const SequenceState states[] = {running(1, 300, false), drafting(2, 30, 0.9)};
  const StepPlan plan = plan_step(
      states, {.step_tokens = 100, .step_outputs = 16, .prompt_tokens = 40, .step_seconds = flat});
  EXPECT_EQ(plan.parts, (std::vector<StepPlan::Part>{{2, 1, 15}}));
  const StepPlan wide = plan_step(
      states, {.step_tokens = 100, .step_outputs = 64, .prompt_tokens = 40, .step_seconds = flat});
  EXPECT_EQ(wide.parts, (std::vector<StepPlan::Part>{{2, 1, 30}, {1, 40}}));
}

}  // namespace
}  // namespace lathe::infer
