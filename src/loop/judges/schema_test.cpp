// The schema judge: faults, scores, files beside the recipe, numbers beyond 64 bits.
#include <gmock/gmock.h>

#include "loop/judges/judge.h"

namespace lathe::loop {
namespace {

using ::testing::HasSubstr;

const JudgeKind& kind() {
  return *find_judge("schema");
}

Judgement run(std::string_view options, std::string_view bytes, const fs::path& dir = {}) {
  const auto checked = check_options(*parse_json(options), kind().options);
  EXPECT_TRUE(checked) << options;
  const JudgeTask task{.options = *checked, .candidate = "c", .bytes = bytes};
  Place place;
  place.recipe_dir = dir;
  const StopFlag stop;
  return judge_closed(kind(), task, {.place = place, .stop = stop});
}

constexpr std::string_view kOptions =
    R"({"schema":{"type":"object","required":["name"],"properties":{"age":{"minimum":0}}}})";

TEST(SchemaJudge, PassesAndFails) {
  EXPECT_EQ(run(kOptions, R"({"name":"x","age":0})").outcome, Outcome::kPass);
  EXPECT_EQ(run(kOptions, " {\"name\":1}\n").score, 1);
  const Judgement judgement = run(kOptions, R"({"age":-1})");
  EXPECT_EQ(judgement.outcome, Outcome::kFail);
  ASSERT_EQ(judgement.critiques.size(), 2U);
  EXPECT_EQ(judgement.critiques[0].claim, "The document must have the member \"name\".");
  EXPECT_EQ(judgement.critiques[1].locus, "/age");
  EXPECT_EQ(judgement.critiques[1].claim, "must be at least 0, but is -1.");
}

TEST(SchemaJudge, EachFaultCountsAndWhatItHidesToo) {
  constexpr std::string_view kOrder =
      R"({"schema":{"type":"object","required":["name","items"],"properties":{
          "name":{"type":"string","minLength":1},"items":{"type":"array","items":{"type":"object",
          "required":["n"],"properties":{"n":{"type":"integer","minimum":1},"price":{"minimum":0}}}}}}})";
  // From worst to best: each must beat the one before.
  double last = -1;
  for (const char* document : {R"([])", R"({})", R"({"name":"x"})", R"({"name":"x","items":{}})",
                               R"({"name":"","items":[{"n":0,"price":-1}]})",
                               R"({"name":"x","items":[{"n":0,"price":-1}]})",
                               R"({"name":"x","items":[{"n":0,"price":1}]})",
                               R"({"name":"x","items":[{"n":1,"price":1}]})"}) {
    const Judgement judgement = run(kOrder, document);
    const bool tie = std::string_view(document) == R"({"name":"x","items":{}})";
    EXPECT_TRUE(judgement.score > last || (tie && judgement.score >= last))
        << document << " " << judgement.score << " " << last;
    last = judgement.score;
  }
  EXPECT_EQ(last, 1);
  EXPECT_EQ(run(kOrder, R"([1])").score, 0);
  EXPECT_EQ(run(kOrder, "{").score, 0);
  // However many items are wrong: one less is better.
  EXPECT_GT(run(R"({"schema":{"items":{"type":"integer"}}})", R"(["a","b","c",1])").score,
            run(R"({"schema":{"items":{"type":"integer"}}})", R"(["a","b","c","d"])").score);
}

TEST(SchemaJudge, OnlyOneBareJsonDocumentWillDo) {
  const std::string json = R"({"name":"x"})";
  for (const std::string& bytes :
       {std::string(), std::string("pass"), "```json\n" + json + "\n```", "Here: " + json,
        json + json, json + "x", std::string("{\"name\":\"\xff\"}"),
        std::string(R"({"name":1,"name":2})"), std::string(100'000, '[')}) {
    const Judgement judgement = run(kOptions, bytes);
    EXPECT_EQ(judgement.outcome, Outcome::kFail) << bytes.substr(0, 40);
    EXPECT_EQ(judgement.critiques.at(0).fingerprint, "schema:parse");
  }
}

// As a Json both would be one double.
TEST(SchemaJudge, NumbersThatCannotBeComparedAreNotJudged) {
  const auto exact = [](std::string_view document) {
    return run(R"({"schema":{"enum":[1e30,18446744073709551616.0]}})", document);
  };
  EXPECT_EQ(exact("18446744073709551616").outcome, Outcome::kPass);  // 2^64 is a double
  const Judgement beyond = exact("18446744073709551617");
  EXPECT_EQ(beyond.outcome, Outcome::kError);
  EXPECT_THAT(dump_json(beyond.evidence), HasSubstr("18446744073709551617"));
  EXPECT_EQ(exact("1.5").outcome, Outcome::kFail);
}

TEST(SchemaJudge, AFileBesideTheRecipe) {
  const auto dir = TempDir::make();
  ASSERT_TRUE(write_file_atomic(dir->path() / "s.json", R"({"type":"integer"})"));
  ASSERT_TRUE(write_file_atomic(dir->path() / "bad.json", R"({"type":"int"})"));
  EXPECT_EQ(run(R"({"schema_file":"s.json"})", "1", dir->path()).outcome, Outcome::kPass);
  EXPECT_EQ(run(R"({"schema_file":"s.json"})", "1.5", dir->path()).outcome, Outcome::kFail);
  for (const char* options :
       {R"({"schema_file":"bad.json"})", R"({"schema_file":"absent.json"})"}) {
    const Judgement judgement = run(options, "1", dir->path());
    EXPECT_EQ(judgement.outcome, Outcome::kError);
    EXPECT_THAT(json_string(judgement.evidence, "not_judged"), HasSubstr(".json"));
  }
}

TEST(SchemaJudge, WrongSchemasAreFoundBeforeTheRun) {
  EXPECT_FALSE(kind().check(Json::object()));
  EXPECT_FALSE(kind().check({{"schema", Json::object()}, {"schema_file", "x"}}));
  EXPECT_FALSE(kind().check({{"schema", {{"type", "int"}}}}));
  EXPECT_FALSE(kind().check({{"schema", {{"format", "shoe"}}}, {"formats", true}}));
  EXPECT_TRUE(kind().check({{"schema", {{"format", "shoe"}}}, {"formats", false}}));
}

}  // namespace
}  // namespace lathe::loop
