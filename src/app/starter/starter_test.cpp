// Drawn tasks are right, come again from their seed and are never what is measured; the
// tokenizer's learner.
#include <gmock/gmock.h>

#include <set>

#include "app/starter/base_model.h"
#include "app/starter/bpe.h"
#include "app/starter/drills.h"
#include "app/starter/evaluate.h"
#include "app/starter/takes.h"
#include "infer/formats/gguf.h"
#include "infer/models/vocabulary.h"

namespace lathe::app {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

bool all_green(const loop::MiniTask& task, std::string_view body,
               std::span<const loop::MiniTest> tests) {
  return std::ranges::all_of(loop::run_mini_tests(task, body, tests), &std::string::empty);
}

TEST(DrawnTasks, AreRightAndTheBrokenOnesFail) {
  Random random(1);
  std::size_t vague = 0;
  std::set<std::string> errors;
  for (int i = 0; i < 400; ++i) {
    const DrawnTask drawn = draw_task(random, Split::kTrain, random.between(1, 4), i % 2 == 0);
    const loop::MiniTask& task = drawn.task;
    EXPECT_EQ(task.tests.size(), 3U);
    EXPECT_EQ(task.hidden.size(), 8U);
    EXPECT_TRUE(all_green(task, drawn.gold, task.tests)) << drawn.gold;
    EXPECT_TRUE(all_green(task, drawn.gold, task.hidden)) << drawn.gold;
    EXPECT_EQ(task.body.empty(), i % 2 == 1);
    if (!task.body.empty()) {
      EXPECT_FALSE(all_green(task, task.body, task.tests)) << task.body;
      for (const std::string& got : loop::run_mini_tests(task, task.body, task.tests))
        if (got.ends_with("Error")) errors.insert(got);
    }
    const auto again = loop::mini_task_from_json(to_json(task));
    EXPECT_TRUE(again) << again.error().message;
    vague += drawn.vague;
    std::set<std::string> inputs;
    for (const auto* tests : {&task.tests, &task.hidden})
      for (const loop::MiniTest& test : *tests) inputs.insert(test.arguments);
    EXPECT_EQ(inputs.size(), 11U);  // nothing is asked twice
  }
  EXPECT_GT(vague, 100U);
  EXPECT_LT(vague, 300U);
  EXPECT_THAT(errors, Contains("SyntaxError"));
  EXPECT_GE(errors.size(), 3U);
}

TEST(DrawnTasks, ComeAgainFromTheSameSeed) {
  Random one(7), two(7), other(8);
  const auto draw = [](Random& random) {
    std::string all;
    for (int i = 0; i < 20; ++i)
      all += dump_json(to_json(draw_task(random, Split::kTrain, 2, i % 2 == 0).task));
    return all;
  };
  const std::string first = draw(one);
  EXPECT_EQ(first, draw(two));
  EXPECT_NE(first, draw(other));
}

TEST(DrawnTasks, WhatIsMeasuredIsNeverTrained) {
  Random random(3);
  std::set<std::uint64_t> trained, unseen, pairs;
  for (int i = 0; i < 1500; ++i) {
    trained.insert(draw_task(random, Split::kTrain, random.between(1, 3), false).behaviour);
    if (i < 500)
      unseen.insert(draw_task(random, Split::kUnseen, random.between(1, 3), false).behaviour);
  }
  EXPECT_GT(trained.size(), 500U);
  EXPECT_GT(unseen.size(), 100U);
  for (const std::uint64_t behaviour : unseen) EXPECT_FALSE(trained.contains(behaviour));
}

TEST(DrawnTasks, FunctionsWithAnUnseenPairStandApart) {
  Random random(4);
  std::size_t held_out = 0;
  for (int i = 0; i < 3000; ++i) held_out += has_held_out_pair(draw_sketch(random, 2));
  // 15 of 100 pairs, give or take: not all pairs come equally often.
  EXPECT_GT(held_out, 3000U * 8 / 100);
  EXPECT_LT(held_out, 3000U * 25 / 100);
  EXPECT_GE(idiom_count(), 30U);
}

TEST(Behaviour, IsWhatAFunctionDoesNotHowItIsNamed) {
  Random random(5);
  std::size_t seen = 0;
  for (int i = 0; i < 100; ++i) {
    Sketch sketch = draw_sketch(random, 2);
    const auto before = behaviour_of(sketch);
    sketch.function = "other";
    sketch.total = sketch.total == "t" ? "out" : "t";
    sketch.words = ~sketch.words;
    EXPECT_EQ(behaviour_of(sketch), before);
    seen += before.has_value();
  }
  EXPECT_GT(seen, 50U);
}

TEST(Slips, ChangeSomethingAndNearMissesChangeAnIdiom) {
  Random random(6);
  std::set<std::string> bodies;
  const std::string body =
      " t=0\n for x in xs[1:]:\n  if x>2 and x!=5:\n   t+=max(x,3)\n return t\n";
  for (int i = 0; i < 2000; ++i)
    if (const auto slipped = slip(body, random)) bodies.insert(*slipped);
  EXPECT_GE(bodies.size(), 25U);
  EXPECT_THAT(bodies, Contains(" t=0\n for x in xs[1:]:\n  t+=max(x,3)\n return t\n"));
  EXPECT_THAT(
      bodies,
      Contains(" t=0\n for x in xs[1:]:\n  if x>2 and x!=5:\n   t+=max(x,3)\n   return t\n"));
  EXPECT_FALSE(bodies.contains(body));
  for (int i = 0; i < 200; ++i) {
    const auto missed = near_miss(draw_sketch(random, 3), random);
    if (!missed) continue;
    EXPECT_TRUE(loop::MiniProgram::parse("def f(xs,s,n,k):\n" + body_of(*missed)))
        << body_of(*missed);
  }
}

TEST(Drills, LeadToARightBody) {
  Random random(9);
  const std::vector<int> depths{1, 2};
  std::size_t edits = 0;
  for (int i = 0; i < 200; ++i) {
    const Drill drill = draw_drill(random, depths, 50);
    EXPECT_TRUE(drill.prompt.ends_with("):\n") || drill.prompt.ends_with("\n#\n")) << drill.prompt;
    edits += !drill.completion.starts_with(' ');
  }
  EXPECT_GT(edits, 50U);
}

TEST(Bpe, MergesTheMostFrequentPairFirst) {
  const std::vector<std::string> texts{"abab abab", "ab", "77777777 77"};
  const infer::VocabularySpec spec = learn_bpe(texts, 300, 2);
  ASSERT_GE(spec.merges.size(), 2U);
  EXPECT_EQ(spec.merges[0], "a b");
  EXPECT_EQ(spec.merges[1], "ab ab");
  EXPECT_EQ(spec.tokens[0], "<|end|>");
  for (const std::string& merge : spec.merges) EXPECT_EQ(merge.find('7'), std::string::npos);
  EXPECT_LT(spec.tokens.size(), 300U);  // nothing else comes twice
}

// The tokenizer that reads the file, written apart, cuts a text as it was learnt.
TEST(Bpe, TheTokenizerUsesIt) {
  Random random(10);
  std::vector<std::string> texts;
  for (int i = 0; i < 300; ++i) {
    const Drill drill = draw_drill(random, std::vector<int>{1, 2}, 50);
    texts.push_back(drill.prompt + drill.completion);
  }
  const auto tokenizer = infer::Tokenizer::make(learn_bpe(texts, 600, 5));
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  std::size_t bytes = 0, tokens = 0;
  for (const std::string& text : texts) {
    const std::vector<infer::TokenId> ids = (*tokenizer)->encode(text, true, false);
    EXPECT_EQ((*tokenizer)->decode(ids), text);
    bytes += text.size();
    tokens += ids.size();
  }
  EXPECT_GT(bytes, tokens * 17 / 10);
  EXPECT_EQ((*tokenizer)->encode("2026", false, false).size(), 4U);
  EXPECT_EQ((*tokenizer)->encode(" return", false, false).size(), 1U);
}

class BaseModel : public ::testing::Test {
 protected:
  BaseModel() : directory_(*TempDir::make()) {
    const std::vector<std::string> texts{" return t\n for x in xs:\n  t+=x\n"};
    vocabulary_ = learn_bpe(texts, 280, 1);
  }
  fs::path write(const char* name, std::uint64_t seed) {
    const fs::path path = directory_.path() / name;
    const StarterShape shape{
        .width = 64, .layers = 2, .hidden = 96, .heads = 2, .kv_heads = 1, .context = 256};
    EXPECT_TRUE(write_base_model(path, shape, vocabulary_, seed));
    return path;
  }
  TempDir directory_;
  infer::VocabularySpec vocabulary_;
};

TEST_F(BaseModel, IsAFileThatComesAgain) {
  const fs::path one = write("one.gguf", 1), again = write("again.gguf", 1),
                 two = write("two.gguf", 2);
  EXPECT_EQ(*read_file(one), *read_file(again));
  EXPECT_NE(*read_file(one), *read_file(two));
  const auto gguf = infer::Gguf::open(one);
  ASSERT_TRUE(gguf) << gguf.error().message;
  EXPECT_EQ(gguf->tensors().size(), 2U + 2 * 9);
  const auto read = infer::read_vocabulary(*gguf);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->tokens, vocabulary_.tokens);
  EXPECT_EQ(read->merges, vocabulary_.merges);
}

// A model that knows nothing: every lap is played, nothing passes, and nothing breaks.
TEST_F(BaseModel, PlaysAllLapsWhenNothingPasses) {
  const auto player = Player::open(write("random.gguf", 1), 1);
  ASSERT_TRUE(player) << player.error().message;
  Random random(11);
  const DrawnTask drawn = draw_task(random, Split::kTrain, 2, true);
  for (const bool feedback : {true, false}) {
    const auto played = (*player)->play(drawn.task, 3, feedback, 0);
    ASSERT_TRUE(played) << played.error().message;
    ASSERT_EQ(played->size(), 3U);
    EXPECT_FALSE(played->back().visible);
    EXPECT_FALSE(played->back().hidden);
    EXPECT_GT((*played)[0].tokens, (*played)[0].completion);
    EXPECT_GT((*played)[2].tokens, (*played)[1].tokens);
  }
}

TEST_F(BaseModel, TakesOfAModelThatKnowsNothingAreNone) {
  const auto takes = accepted_takes(
      {.model = write("random.gguf", 1), .count = 4, .depths = {3}, .laps = 2, .threads = 1});
  ASSERT_TRUE(takes) << takes.error().message;
  EXPECT_EQ(takes->tasks, 4U);
  EXPECT_EQ(takes->accepted, 0U);
  EXPECT_TRUE(takes->drills.empty());
}

TEST_F(BaseModel, WhereThereIsARightBodyEveryFailedTakeLeadsToIt) {
  const auto takes = accepted_takes(
      {.model = write("random.gguf", 1), .count = 4, .depths = {2}, .laps = 2, .threads = 1});
  ASSERT_TRUE(takes) << takes.error().message;
  EXPECT_EQ(takes->accepted, 0U);
  EXPECT_GE(takes->drills.size(), 4U);
}

// Figures in docs/starter.md and models/README.md are about these tasks: if this changes, they do.
TEST(Frozen, TasksStayTheSame) {
  const std::vector<TaskGroup> groups = frozen_tasks(200);
  EXPECT_EQ(digest_of(groups), "8ef49b29c1a975f655bf45eb8aa9ece0345eb14c88416a06ca73ef01f80bb4ab");
  ASSERT_EQ(groups.size(), 4U);
  for (const TaskGroup& group : groups) EXPECT_EQ(group.tasks.size(), 200U);
}

// The first tasks of a group do not depend on how many follow.
TEST(Frozen, AFewAreTheFirstOfMany) {
  const std::vector<TaskGroup> few = frozen_tasks(3), more = frozen_tasks(5);
  for (std::size_t g = 0; g < few.size(); ++g)
    for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(few[g].tasks[i].gold, more[g].tasks[i].gold);
}

}  // namespace
}  // namespace lathe::app
