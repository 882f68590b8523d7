// Tasks, prompts and answers of Mini-Python, there and back.
#include "loop/mini/task.h"

#include <gmock/gmock.h>

namespace lathe::loop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

MiniTask evens() {
  MiniTask task;
  task.id = "T1";
  task.text = "sum of even numbers";
  task.parameters = {"xs"};
  task.tests = {{"[2,3]", "2"}, {"[]", "0"}, {"[1]", "0"}};
  task.hidden = {{"[4,4]", "8"}};
  return task;
}

const std::string kSum = " t=0\n for x in xs:\n  t+=x\n return t\n";
const std::string kEvens = " t=0\n for x in xs:\n  if x%2==0:\n   t+=x\n return t\n";

TEST(MiniTask, GoesThroughJson) {
  const MiniTask task = evens();
  const auto again = mini_task_from_json(to_json(task));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(dump_json(to_json(*again)), dump_json(to_json(task)));
}

TEST(MiniTask, WrongOnesAreRefused) {
  Json json = to_json(evens());
  json["tests"] = Json::array();
  EXPECT_THAT(mini_task_from_json(json).error().message, HasSubstr("'tests' is missing"));
  json["tests"] = Json::array({Json::array({"f(", "1"})});
  EXPECT_THAT(mini_task_from_json(json).error().message, HasSubstr("'tests': f("));
  json["tests"] = Json::array({"x"});
  EXPECT_THAT(mini_task_from_json(json).error().message, HasSubstr("pairs of strings"));
  json = to_json(evens());
  json["parameters"] = Json::array({"for"});
  EXPECT_THAT(mini_task_from_json(json).error().message, HasSubstr("'parameters'"));
}

TEST(MiniTask, TestsSayWhatWasGot) {
  const MiniTask task = evens();
  EXPECT_THAT(run_mini_tests(task, kEvens, task.tests), ElementsAre("", "", ""));
  EXPECT_THAT(run_mini_tests(task, kSum, task.tests), ElementsAre("5", "", "1"));
  EXPECT_THAT(run_mini_tests(task, " return xs[0]\n", task.tests),
              ElementsAre("", "IndexError", "1"));
  EXPECT_THAT(run_mini_tests(task, " retrun 1\n", task.tests),
              ElementsAre("SyntaxError", "SyntaxError", "SyntaxError"));
  // True is no 1, and 0 is no False.
  EXPECT_THAT(run_mini_tests(task, " return False\n", task.tests),
              ElementsAre("False", "False", "False"));
}

TEST(MiniPrompt, OfAFreshStartAndOfARepair) {
  const MiniTask task = evens();
  EXPECT_EQ(mini_prompt(task, "", {}),
            "# sum of even numbers\nf([2,3])==2\nf([])==0\nf([1])==0\ndef f(xs):\n");
  EXPECT_EQ(mini_prompt(task, kSum, run_mini_tests(task, kSum, task.tests)),
            "# sum of even numbers\nf([2,3])==2 got 5\nf([])==0\nf([1])==0 got 1\ndef f(xs):\n"
            "1 t=0\n2 for x in xs:\n3  t+=x\n4 return t\n#\n");
}

TEST(MiniPrompt, HasNothingOfTheHiddenTests) {
  MiniTask task = evens();
  const std::string before = mini_prompt(task, kSum, run_mini_tests(task, kSum, task.tests));
  task.hidden = {{"[12345]", "54321"}};
  EXPECT_EQ(mini_prompt(task, kSum, run_mini_tests(task, kSum, task.tests)), before);
}

TEST(MiniAnswer, EditsAndBodies) {
  EXPECT_EQ(*apply_mini_answer(kSum, "3  if x%2==0:\n+3   t+=x\n"), kEvens);
  EXPECT_EQ(*apply_mini_answer(kEvens, "-3\n4  t+=x\n"), kSum);
  EXPECT_EQ(*apply_mini_answer(kSum, "+0 a=1\n+4 b=2"),
            " a=1\n t=0\n for x in xs:\n  t+=x\n return t\n b=2\n");
  EXPECT_EQ(*apply_mini_answer(kSum, " return 1"), " return 1\n");
  EXPECT_EQ(*apply_mini_answer("", " return 1\n"), " return 1\n");
}

TEST(MiniAnswer, WhatCannotBeAppliedIsRefused) {
  for (const char* answer : {"", "5 x=1", "0 x=1", "-5", "+5 x", "-3 x=1", "3", "3 ", "hello",
                             "99999999999999999999 x", "3  t+=x\nhello"})
    EXPECT_FALSE(apply_mini_answer(kSum, answer)) << answer;
  std::string many;
  for (int i = 0; i < 1000; ++i) many += "1 t=0\n";
  EXPECT_FALSE(apply_mini_answer(kSum, many));
}

// Whatever two bodies are, the answer between them leads from one to the other.
TEST(MiniAnswer, LeadsFromOneBodyToTheOther) {
  const std::vector<std::string> lines{" a=1\n", " b=2\n", "  c=3\n", " return a\n"};
  std::vector<std::string> bodies;
  for (int code = 1; code < 400; ++code) {
    std::string body;
    for (int rest = code; rest > 0; rest /= 5)
      if (rest % 5 > 0) body += lines[static_cast<std::size_t>(rest % 5 - 1)];
    if (!body.empty()) bodies.push_back(body);
  }
  std::size_t edits = 0;
  for (std::size_t i = 0; i < bodies.size(); i += 3) {
    for (std::size_t j = 0; j < bodies.size(); j += 7) {
      if (bodies[i] == bodies[j]) continue;
      const std::string answer = mini_answer(bodies[i], bodies[j]).value();
      EXPECT_EQ(*apply_mini_answer(bodies[i], answer), bodies[j]) << bodies[i] << answer;
      EXPECT_LE(answer.size(), bodies[j].size());
      edits += !answer.starts_with(' ');
    }
  }
  EXPECT_GT(edits, 1000U);
}

}  // namespace
}  // namespace lathe::loop
