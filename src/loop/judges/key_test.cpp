// The judge of answer keys: choices by likelihood with their ties, texts with what may differ,
// tests in the sandbox, and every bad key.
#include <gmock/gmock.h>

#include "loop/judges/judge.h"

namespace lathe::loop {
namespace {

using ::testing::HasSubstr;

class Key : public ::testing::Test {
 protected:
  Judgement judge(const Json& data, const std::string& bytes, Json options = Json::object()) {
    const JudgeKind* kind = find_judge("key");
    const auto checked = check_options(options, kind->options);
    EXPECT_TRUE(checked);
    const std::vector<Unit> units{{"u", "text", data}};
    JudgeTask task{.options = *checked, .units = units};
    task.candidate = "c";
    task.bytes = bytes;
    return judge_closed(*kind, task, {.place = place_, .stop = stop_});
  }
  std::string mark(const Json& data, const std::string& bytes, Json options = Json::object()) {
    return dump_json(json_at(judge(data, bytes, std::move(options)).evidence, kMarks));
  }
  static std::string weighed(std::vector<std::pair<std::string, double>> choices) {
    Json list = Json::array();
    for (const auto& [text, sum] : choices)
      list.push_back({{"choice", text}, {"log_likelihood", sum}, {"tokens", 1}});
    return dump_json({{"choices", std::move(list)}});
  }
  static std::string problem(const Json& data) {
    const Status fine = find_judge("key")->check_unit({"u", "text", data});
    return fine ? "none" : fine.error().message;
  }

  const Place place_;
  StopFlag stop_;
};

TEST_F(Key, ChoicesByLikelihoodAndByBytes) {
  const Json data = {{"choices", {"no", "certainly"}}, {"answer", 1}};
  // −4 against −6: the short one; by bytes −2 against −0.67: the long one.
  EXPECT_EQ(mark(data, weighed({{"no", -4}, {"certainly", -6}})),
            R"({"acc":false,"acc_norm":true})");
  EXPECT_EQ(mark(data, weighed({{"no", -9}, {"certainly", -6}})),
            R"({"acc":true,"acc_norm":true})");
  // Bytes, not letters: "éé" has four.
  EXPECT_EQ(mark({{"choices", {"éé", "abc"}}, {"answer", 0}}, weighed({{"éé", -4}, {"abc", -3.9}})),
            R"({"acc":false,"acc_norm":true})");
}

TEST_F(Key, OfEqualChoicesTheFirstIsChosen) {
  const std::string tie = weighed({{"ab", -4}, {"cd", -4}});
  EXPECT_EQ(mark({{"choices", {"ab", "cd"}}, {"answer", 0}}, tie),
            R"({"acc":true,"acc_norm":true})");
  EXPECT_EQ(mark({{"choices", {"ab", "cd"}}, {"answer", 1}}, tie),
            R"({"acc":false,"acc_norm":false})");
}

TEST_F(Key, WhatIsNotWeighedIsNotJudged) {
  const Json data = {{"choices", {"a", "b"}}, {"answer", 0}};
  for (const std::string& bytes :
       {std::string("a"), weighed({{"a", -1}}), weighed({{"a", -1}, {"x", -2}}),
        std::string(R"({"choices":[{"choice":"a","log_likelihood":null},{"choice":"b"}]})")})
    EXPECT_EQ(judge(data, bytes).outcome, Outcome::kError) << bytes;
}

TEST_F(Key, TextsAreComparedByteByByte) {
  const auto passes = [&](const Json& expect, const std::string& said,
                          std::vector<std::string> ignore = {}) {
    return judge({{"expect", expect}}, said, {{"ignore", std::move(ignore)}}).outcome ==
           Outcome::kPass;
  };
  EXPECT_TRUE(passes("Zürich", "Zürich"));
  EXPECT_FALSE(passes("Zürich", "Zu\u0308rich")) << "composed and decomposed are different texts";
  EXPECT_FALSE(passes("Zürich", "Zürich\n"));
  EXPECT_FALSE(passes("Zürich", "ZÜRICH"));
  EXPECT_TRUE(passes({"four", "4"}, "4"));
  EXPECT_TRUE(passes("Zürich", "\u00a0Zürich \n", {"blanks"}));
  EXPECT_TRUE(passes("Zürich", "ZÜRICH", {"case"}));
  EXPECT_TRUE(passes("a.*b", "A.*B", {"case"})) << "it is no pattern";
  EXPECT_FALSE(passes("a.*b", "axxb", {"case"}));
  EXPECT_FALSE(passes("Straße", "STRASSE", {"case"})) << "one letter by one";
  EXPECT_TRUE(passes("Well done", "Well, done!", {"punctuation"}));
  EXPECT_TRUE(passes("Well done", "«well  DONE»\n", {"punctuation", "case", "blanks"}));
  EXPECT_FALSE(passes("x", "\xff", {"case"}));
}

TEST_F(Key, CodeByItsTests) {
  const Json data = {{"tests", "assert add(2, 3) == 5\nassert add(-1, 1) == 0"}};
  const std::string right = "def add(a, b):\n    return a + b\n";
  EXPECT_EQ(judge(data, right).outcome, Outcome::kPass);
  EXPECT_EQ(judge(data, "Sure:\n```python\n" + right + "```\nDone.").outcome, Outcome::kPass);
  const Judgement wrong = judge(data, "def add(a, b):\n    return a * b\n");
  EXPECT_EQ(wrong.outcome, Outcome::kFail);
  EXPECT_THAT(wrong.critiques.at(0).evidence, HasSubstr("AssertionError"));
  EXPECT_EQ(mark(data, "no code"), R"({"tests":false})");
  // It ends before the tests do.
  EXPECT_EQ(judge(data, "import os\nos._exit(0)\n").outcome, Outcome::kFail);
  EXPECT_EQ(judge(data, right + "raise SystemExit(0)\n").outcome, Outcome::kFail);
  EXPECT_EQ(judge(data, "while True: pass\n", {{"time", "300ms"}}).outcome, Outcome::kFail);
  EXPECT_EQ(judge(data, right + "open('/etc/lathe-was-here', 'w')\n").outcome, Outcome::kFail);
}

TEST_F(Key, EveryBadKeyIsNamed) {
  EXPECT_EQ(problem({{"choices", {"a", "b"}}, {"answer", 1}}), "none");
  EXPECT_EQ(problem({{"expect", {"a", "b"}}}), "none");
  EXPECT_THAT(problem(Json::object()), HasSubstr("needs one of"));
  EXPECT_THAT(problem({{"expect", "a"}, {"tests", "b"}}), HasSubstr("needs one of"));
  EXPECT_THAT(problem({{"choices", {"a"}}, {"answer", 0}}), HasSubstr("\"choices\" must be"));
  EXPECT_THAT(problem({{"choices", {"a", 3}}, {"answer", 0}}), HasSubstr("\"choices\"[1]"));
  EXPECT_THAT(problem({{"choices", {"a", "a"}}, {"answer", 0}}), HasSubstr("same as [0]"));
  for (const Json& answer : {Json(2), Json(-1), Json("a"), Json(0.5), Json()})
    EXPECT_THAT(problem({{"choices", {"a", "b"}}, {"answer", answer}}), HasSubstr("\"answer\""));
  EXPECT_THAT(problem({{"choices", {"a", "b"}}, {"answer", 0}, {"delimiter", 1}}),
              HasSubstr("\"delimiter\""));
  for (const Json& expect : {Json(""), Json(1), Json::array(), Json::array({""})})
    EXPECT_THAT(problem({{"expect", expect}}), HasSubstr("\"expect\""));
  EXPECT_THAT(problem({{"tests", 1}}), HasSubstr("\"tests\""));
  EXPECT_THAT(problem({{"expect", "a"}, {"group", 1}}), HasSubstr("\"group\""));
  const JudgeKind* kind = find_judge("key");
  EXPECT_THAT(kind->check({{"ignore", {"blank"}}}).error().message,
              HasSubstr("did you mean 'blanks'"));
}

}  // namespace
}  // namespace lathe::loop
