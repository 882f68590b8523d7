// Programs as judges: by exit code, by number, by JSON; broken ones do not judge.
#include <gtest/gtest.h>

#include <fstream>

#include "ground/base/hash.h"
#include "loop/judges/judge.h"

namespace lathe::loop {
namespace {

struct Bench {
  TempDir recipe_dir = TempDir::make("lathe-recipe").value();
  StopFlag stop;
  Place place;
  std::string bytes = "line one\nline two\n";
  std::string media_type = "text/plain";
  std::vector<Part> parts;

  Bench() { place.recipe_dir = recipe_dir.path(); }

  Judgement judge(std::vector<std::string> command, Json options = Json::object(),
                  Scope scope = Scope::kUnit) const {
    const JudgeKind* kind = find_judge("command");
    options["command"] = std::move(command);
    if (!options.contains("time")) options["time"] = "20s";
    auto checked = check_options(options, kind->options);
    EXPECT_TRUE(checked) << checked.error().key << " " << checked.error().message;
    EXPECT_TRUE(kind->check(*checked)) << kind->check(*checked).error().message;
    JudgeTask task{*checked, {}, {}};
    task.scope = scope;
    task.candidate = sha256_hex(bytes);
    task.bytes = bytes;
    task.media_type = media_type;
    task.parts = parts;
    return judge_closed(*kind, task, {place, nullptr, stop});
  }
  Judgement shell(const std::string& script, Json options = Json::object()) const {
    return judge({"sh", "-c", script, "{file}"}, std::move(options));
  }
  Status check(Json options) const {
    const JudgeKind* kind = find_judge("command");
    auto checked = check_options(options, kind->options);
    return checked ? kind->check(*checked) : Status(invalid("{}", checked.error().message));
  }
  // What a fair program would print.
  std::string answer(const std::string& more) const {
    return fmt::format("echo '{{\"candidate\": \"{}\", {}}}'", sha256_hex(bytes), more);
  }
};

std::string reason(const Judgement& judgement) {
  return json_string(judgement.evidence, "not_judged");
}

TEST(CommandJudge, ExitCodeDecides) {
  const Bench bench;
  EXPECT_EQ(bench.judge({"grep", "-q", "two"}).outcome, Outcome::kPass);  // {file} comes last
  EXPECT_EQ(bench.judge({"grep", "-q", "one", "{file}"}).score, 1);
  const Judgement fail = bench.shell("echo 'line 3 is missing' >&2; exit 1");
  EXPECT_EQ(fail.outcome, Outcome::kFail);
  ASSERT_EQ(fail.critiques.size(), 1U);
  EXPECT_EQ(fail.critiques[0].claim, "line 3 is missing");
  EXPECT_EQ(bench.shell("exit 125").outcome, Outcome::kFail);
}

TEST(CommandJudge, BrokenProgramsDoNotJudge) {
  const Bench bench;
  EXPECT_EQ(bench.shell("exit 126").outcome, Outcome::kError);
  EXPECT_EQ(bench.judge({"no-such-program"}).outcome, Outcome::kError);
  EXPECT_EQ(bench.shell("kill -SEGV $$").outcome, Outcome::kError);
  EXPECT_NE(reason(bench.shell("kill -SEGV $$")).find("SIGSEGV"), std::string::npos);
  const Judgement hang = bench.shell("sleep 600", {{"time", "300ms"}});
  EXPECT_EQ(hang.outcome, Outcome::kError);
  EXPECT_NE(reason(hang).find("ran longer"), std::string::npos);
  EXPECT_EQ(bench.shell("while :; do sleep 60 & done").outcome, Outcome::kError);
  EXPECT_EQ(bench.shell("head -c 20000000 /dev/zero").outcome, Outcome::kError);
}

TEST(CommandJudge, NumberAgainstABar) {
  const Bench bench;
  const Json at_most{{"protocol", "number"}, {"bar", 20}, {"higher_is_better", false}};
  const Json at_least{{"protocol", "number"}, {"bar", 0.8}};
  EXPECT_EQ(bench.shell("wc -c <$0", at_most).outcome, Outcome::kPass);  // 18 bytes
  EXPECT_EQ(bench.shell("echo 20", at_most).outcome, Outcome::kPass);
  EXPECT_EQ(bench.shell("echo 20.01", at_most).outcome, Outcome::kFail);
  EXPECT_EQ(bench.shell("echo 'score: 0.8 (good)'", at_least).outcome, Outcome::kPass);
  const Judgement low = bench.shell("echo 0.4", at_least);
  EXPECT_EQ(low.outcome, Outcome::kFail);
  EXPECT_DOUBLE_EQ(low.score, 0.5);
  EXPECT_EQ(low.evidence["number"], 0.4);
  EXPECT_EQ(bench.shell("echo -1e3", at_least).outcome, Outcome::kFail);
  for (const char* garbage :
       {"echo nan", "echo inf", "echo -- -inf", "echo", "echo good", "echo 'score 0.9 nan'",
        "echo 1e999", "echo 2025-01-03", "echo 0.9; exit 1"})
    EXPECT_EQ(bench.shell(garbage, at_least).outcome, Outcome::kError) << garbage;
}

TEST(CommandJudge, NumberFromJsonAndPattern) {
  const Bench bench;
  const Json json{{"protocol", "number"}, {"bar", 3}, {"number", "json:/a/1"}};
  EXPECT_EQ(bench.shell("echo '{\"a\": [9, 3]}'", json).outcome, Outcome::kPass);
  EXPECT_EQ(bench.shell("echo '{\"a\": [9, 2.9]}'", json).outcome, Outcome::kFail);
  for (const char* garbage : {"echo '{\"a\": [9]}'", "echo '{\"a\": [9, \"3\"]}'", "echo 3",
                              "echo '{\"a\": [9, NaN]}'", "echo '{\"a\": [9, 1e999]}'"})
    EXPECT_EQ(bench.shell(garbage, json).outcome, Outcome::kError) << garbage;
  const Json regex{{"protocol", "number"}, {"bar", 3}, {"number", "regex:accuracy = [0-9.]+"}};
  EXPECT_EQ(bench.shell("echo accuracy = 1; echo accuracy = 5; echo loss = 1", regex).outcome,
            Outcome::kPass);
  EXPECT_EQ(bench.shell("echo 5", regex).outcome, Outcome::kError);
}

TEST(CommandJudge, JsonProtocol) {
  const Bench bench;
  const Json json{{"protocol", "json"}};
  const Judgement pass = bench.shell(bench.answer("\"outcome\": \"pass\", \"score\": 0.9"), json);
  EXPECT_EQ(pass.outcome, Outcome::kPass) << reason(pass);
  const Judgement fail = bench.shell(
      bench.answer(
          R"("outcome": "fail", "score": 0.2, "critiques": [{"claim": "too long", "locus": "line 3"}])"),
      json);
  EXPECT_EQ(fail.outcome, Outcome::kFail);
  ASSERT_EQ(fail.critiques.size(), 1U);
  EXPECT_EQ(fail.critiques[0].locus, "line 3");
  EXPECT_EQ(bench.shell(bench.answer("\"outcome\": \"abstain\""), json).outcome, Outcome::kAbstain);
}

TEST(CommandJudge, JsonProtocolIsClosed) {
  const Bench bench;
  const Json json{{"protocol", "json"}};
  const std::vector<std::string> answers{
      "echo '{\"outcome\": \"pass\"}'",
      "echo '{\"candidate\": \"other\", \"outcome\": \"pass\"}'",
      "echo 'The verdict is: \"outcome\": \"pass\"'",
      "echo pass",
      "true",
      bench.answer("\"outcome\": \"pass\"") + "; exit 1",
      bench.answer("\"outcome\": \"pass\"") + "; " + bench.answer("\"outcome\": \"pass\""),
      bench.answer("\"outcome\": \"passed\""),
      bench.answer("\"outcome\": true"),
      bench.answer("\"outcome\": \"error\""),
      bench.answer("\"outcome\": \"pass\", \"score\": \"10\""),
      bench.answer("\"outcome\": \"pass\", \"score\": 10"),
      bench.answer("\"outcome\": \"pass\", \"score\": -1"),
      bench.answer("\"outcome\": \"pass\", \"score\": NaN"),
      bench.answer("\"outcome\": \"pass\", \"score\": 0.5, \"bar\": 0.8"),
      bench.answer("\"outcome\": \"pass\", \"score\": 0.5, \"bar\": null"),
      bench.answer("\"outcome\": \"fail\", \"outcome\": \"pass\""),
      bench.answer("\"outcome\": \"fail\", \"critiques\": [{}]")};
  for (const std::string& answer : answers) {
    const Judgement judgement = bench.shell(answer, json);
    EXPECT_EQ(judgement.outcome, Outcome::kError) << answer;
    EXPECT_FALSE(reason(judgement).empty()) << answer;
  }
}

TEST(CommandJudge, FilesOfTheRecipeAreThere) {
  const Bench bench;
  std::ofstream(bench.recipe_dir.path() / "check.sh") << "grep -q two \"$1\"\n";
  EXPECT_EQ(bench.judge({"sh", "check.sh"}, {{"files", {"check.sh"}}}).outcome, Outcome::kPass);
  EXPECT_EQ(bench.judge({"sh", "check.sh"}, {{"files", {"none.sh"}}}).outcome, Outcome::kError);
  EXPECT_EQ(bench.judge({"sh", "check.sh"}, {{"files", {"../check.sh"}}}).outcome, Outcome::kError);
}

TEST(CommandJudge, ChangesAreLaidOverTheTree) {
  Bench bench;
  bench.place.checkout = [](const fs::path& directory) {
    return apply_changes({{{"src/a", std::string("old")}, {"src/b", std::string("kept")}}},
                         directory);
  };
  bench.bytes = serialise({{{"src/a", "new"}}});
  bench.media_type = kChangesMediaType;
  EXPECT_EQ(bench.shell("[ $(cat src/a) = new ] && [ $(cat src/b) = kept ]").outcome,
            Outcome::kPass);
}

TEST(CommandJudge, WholeScopeSeesEveryPart) {
  Bench bench;
  bench.parts = {{{"L1", "one", {}}, true, "c1", "first\n", "text/plain"},
                 {{"L2", "two", {}}, false, "", "", ""},
                 {{"L3", "three", {}}, true, "c3", "third\n", "text/plain"}};
  const Judgement judgement =
      bench.judge({"sh", "-c", "ls {file}; cat {file}/*.txt {file}/index.json >&2; exit 1"},
                  Json::object(), Scope::kWhole);
  ASSERT_EQ(judgement.critiques.size(), 1U);
  EXPECT_TRUE(judgement.critiques[0].evidence.starts_with("first\nthird\n"));
  EXPECT_NE(judgement.critiques[0].evidence.find("\"key\": \"L2\""), std::string::npos);
}

TEST(CommandJudge, ChecksItsOptions) {
  const Bench bench;
  EXPECT_FALSE(bench.check({{"command", Json::array()}}));
  EXPECT_FALSE(bench.check({{"command", {"x"}}, {"protocol", "prose"}}));
  EXPECT_FALSE(bench.check({{"command", {"x"}}, {"protocol", "number"}}));
  EXPECT_FALSE(bench.check({{"command", {"x"}}, {"bar", 3}}));
  EXPECT_FALSE(bench.check({{"command", {"x"}}, {"number", "regex:("}}));
  EXPECT_FALSE(bench.check({{"command", {"x"}}, {"number", "first"}}));
  EXPECT_FALSE(bench.check({{"command", {"x"}}, {"extension", "../x"}}));
}

}  // namespace
}  // namespace lathe::loop
