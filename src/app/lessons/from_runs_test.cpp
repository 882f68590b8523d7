// Each maker that asks a model: a loop with a failed and an accepted take, and the lines that come
// of it.
#include "app/lessons/from_runs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <testing/memory_journal.h>

#include "ground/base/text.h"
#include "loop/conductor/conductor.h"
#include "loop/script/scripted_worker.h"

namespace lathe::app {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

loop::ScriptedWorker::Line says(int lap, std::string text) {
  loop::ScriptedWorker::Line line;
  line.purpose = "make";
  line.lap = lap;
  line.text = std::move(text);
  return line;
}

// A long file: what the prompt wants edited by function.
std::string long_script(const std::string& first, const std::string& last) {
  std::string text = first;
  for (int i = 0; i < 300; ++i) text += fmt::format("# {}\n", i);
  return text + last;
}

class FromRuns : public ::testing::Test {
 protected:
  void SetUp() override {
    auto dir = TempDir::make("lathe-lessons");
    ASSERT_TRUE(dir);
    dir_.emplace(*std::move(dir));
  }

  void put(const std::string& name, std::string_view text) {
    ASSERT_TRUE(make_directories((dir_->path() / name).parent_path()));
    ASSERT_TRUE(write_file_atomic(dir_->path() / name, text));
  }

  // Goes through a loop in which the worker "w" says these things, a lap each.
  void loop(const std::string& recipe_text, std::vector<loop::ScriptedWorker::Line> lines) {
    loop::ScriptedWorker worker("w", std::move(lines));
    const StopFlag stop;
    const loop::Bench bench{.program = "/proc/self/exe",
                            .build = "test",
                            .media = nullptr,
                            .worker = [&](const std::string&) { return &worker; },
                            .joules = {},
                            .energy = {},
                            .clock = system_clock(),
                            .stop = stop};
    const auto recipe = loop::parse_recipe(recipe_text, "test.toml");
    ASSERT_TRUE(recipe) << recipe.error().message;
    auto run = loop::Run::start(journal_, {*recipe, dir_->path(), {}, Json::object()}, bench);
    ASSERT_TRUE(run) << run.error().message;
    ASSERT_TRUE(run->drive());
    ASSERT_EQ(result_name(run->state().end_state), "passed") << run->state().end_why;
    id_ = run->id();
  }

  Result<RunLines> lines(const std::string& id) const {
    return lines_of_runs(journal_, std::vector<std::string>{id}, "/proc/self/exe");
  }
  RunLines lines() const {
    auto read = lines(id_);
    EXPECT_TRUE(read) << read.error().message;
    return read.value_or(RunLines{});
  }

  // The same run with another accepted take, as if the maker had made it.
  Result<RunLines> lines_with_accepted(const std::string& take) {
    auto records = journal_.records(id_).value();
    const loop::RunState state = loop::fold(loop::from_records(records).value()).value();
    const std::string accepted = loop::best_candidate(state.tracks.front())->blob;
    const std::string other = journal_.put_blob(take).value();
    for (books::Record& record : records)
      record.body = parse_json(replace_all(dump_json(record.body), accepted, other)).value();
    EXPECT_TRUE(journal_.create_run({"altered", "test", "", 0}, records));
    return lines("altered");
  }

  std::string accepted_take() const {
    const loop::RunState state =
        loop::fold(loop::from_records(journal_.records(id_).value()).value()).value();
    return journal_.blob(loop::best_candidate(state.tracks.front())->blob).value();
  }

  std::optional<TempDir> dir_;
  books::Journal journal_ = lathe::testing::memory_journal();
  std::string id_;
};

struct Turn {
  std::string prompt, answer;
};

Turn turn_of(const std::string& line) {
  const Json json = parse_json(line).value();
  if (json.contains("prompt")) return {json["prompt"], json["completion"]};
  const Json& messages = json["messages"];
  std::string prompt;
  for (std::size_t i = 0; i + 1 < messages.size(); ++i)
    prompt += json_string(messages[i], "content");
  EXPECT_EQ(messages.back()["role"], "assistant");
  return {prompt, json_string(messages.back(), "content")};
}

TEST_F(FromRuns, TextSvgAndHtmlTakesAreTheAnswersThemselves) {
  struct Case {
    const char *maker, *bad, *good;
  };
  for (const Case& each : {Case{"text", "a bad one", "a good one"},
                           Case{"svg", "<svg>bad</svg>\n", "<svg>good</svg>\n"},
                           Case{"html", "<html>bad</html>\n", "<html>good</html>\n"}}) {
    put("units.txt", "the unit\n");
    loop(fmt::format(R"toml(
recipe = "r"
version = 1
[unit]
from = "units.txt"
[make]
kind = "{}"
task = "Write."
ladder = ["w"]
[[judge]]
kind = "command"
command = ["grep", "-q", "good"]
)toml",
                     each.maker),
         {says(1, each.bad), says(2, each.good)});
    const RunLines out = lines();
    ASSERT_EQ(out.lines.size(), 2U) << each.maker;
    EXPECT_EQ(out.accepted, 1U);
    EXPECT_EQ(out.repairs, 1U);
    EXPECT_EQ(out.left_out, 0U);
    const Turn first = turn_of(out.lines[0]), repair = turn_of(out.lines[1]);
    EXPECT_EQ(first.answer, each.good);
    EXPECT_EQ(repair.answer, each.good);
    EXPECT_THAT(first.prompt, Not(HasSubstr("bad")));
    EXPECT_THAT(repair.prompt, HasSubstr(each.bad));
  }
  // What the maker would not make of any answer is no lesson: it ends an html file with a newline.
  const auto altered = lines_with_accepted("<html>good</html>");
  ASSERT_FALSE(altered);
  EXPECT_THAT(altered.error().message, HasSubstr("2 left out"));
  EXPECT_THAT(altered.error().message, HasSubstr("makes something else of an answer"));
}

constexpr const char* kMiniRecipe = R"toml(
recipe = "r"
version = 1
[unit]
from = "tasks.jsonl"
split = "jsonl"
[make]
kind = "mini"
ladder = ["w"]
[[judge]]
kind = "mini"
)toml";

TEST_F(FromRuns, MiniLearnsTheShortestAnswers) {
  put("tasks.jsonl",
      R"({"key": "k", "text": "sum", "name": "f", "parameters": ["xs"], "tests": [["[2,3]", "5"]],)"
      R"( "hidden": [["[1]", "1"]], "body": " t=0\n for x in xs:\n  t=x\n return t\n"})"
      "\n");
  loop(kMiniRecipe, {says(1, "3  t-=x"), says(2, " t=0\n for x in xs:\n  t+=x\n return t\n")});
  const RunLines out = lines();
  ASSERT_EQ(out.lines.size(), 2U);
  const Turn first = turn_of(out.lines[0]), repair = turn_of(out.lines[1]);
  EXPECT_EQ(first.prompt,
            "# sum\nf([2,3])==5 got 3\ndef f(xs):\n1 t=0\n2 for x in xs:\n3  t=x\n4 return t\n#\n");
  EXPECT_EQ(first.answer, "3  t+=x\n");
  EXPECT_EQ(
      repair.prompt,
      "# sum\nf([2,3])==5 got -5\ndef f(xs):\n1 t=0\n2 for x in xs:\n3  t-=x\n4 return t\n#\n");
  EXPECT_EQ(repair.answer, "3  t+=x\n");
  EXPECT_EQ(parse_json(out.lines[0]).value()["task"], "sum");

  const auto altered = lines_with_accepted("def f(xs):\n return 5");  // no newline at the end
  ASSERT_FALSE(altered);
  EXPECT_THAT(altered.error().message, HasSubstr("2 left out"));
  // Another function than the task's: only what the maker makes of the answer tells.
  ASSERT_TRUE(journal_.remove_run("altered"));
  const auto named = lines_with_accepted("def g(xs):\n return 5\n");
  ASSERT_FALSE(named);
  EXPECT_THAT(named.error().message, HasSubstr("2 left out"));
  EXPECT_THAT(named.error().message, HasSubstr("makes something else of an answer"));
}

TEST_F(FromRuns, SeveralCandidatesALapAndLapsThatPassedAreNoRepairs) {
  put("tasks.jsonl",
      R"({"key": "k", "text": "sum", "name": "f", "parameters": ["xs"], "tests": [["[2,3]", "5"]]})"
      "\n");
  std::vector<loop::ScriptedWorker::Line> script{says(1, " return 1\n"), says(2, " return 2\n"),
                                                 says(2, " return 5\n")};
  script[1].n = 0, script[2].n = 1;
  loop(replace_all(kMiniRecipe, "ladder", "best_of = 2\nladder"), script);
  const RunLines out = lines();
  ASSERT_EQ(out.lines.size(), 2U);
  EXPECT_EQ(turn_of(out.lines[0]).answer, " return 5\n");
  EXPECT_EQ(turn_of(out.lines[1]).answer, " return 5\n");  // shorter than "1 return 5"
  EXPECT_THAT(turn_of(out.lines[1]).prompt, HasSubstr("1 return 1\n"));
}

constexpr const char* kCodeRecipe = R"toml(
recipe = "r"
version = 1
[unit]
from = "units.txt"
tree = "tree"
[make]
kind = "code"
ladder = ["w"]
may_write = ["src/**"]
[[judge]]
kind = "command"
command = ["sh", "-c", "grep -q good src/a.sh && ! test -e src/old.sh"]
)toml";

TEST_F(FromRuns, CodeLearnsEdits) {
  put("units.txt", "the unit\n");
  put("tree/src/a.sh", "f() {\n  echo no\n}\n");
  put("tree/src/old.sh", "echo old\n");
  loop(kCodeRecipe,
       {says(1, "FILE: src/a.sh\n```\nf() {\n  echo bad\n}\n```\nFILE: src/new.sh\n```\nx\n```\n"),
        says(2,
             "FUNCTION: src/a.sh f\n```\nf() {\n  echo good\n}\n```\nDELETE: src/old.sh\n"
             "DELETE: src/new.sh\n")});
  const RunLines out = lines();
  ASSERT_EQ(out.lines.size(), 2U);
  const Turn first = turn_of(out.lines[0]), repair = turn_of(out.lines[1]);
  EXPECT_THAT(first.prompt, HasSubstr("echo no"));
  EXPECT_EQ(first.answer,
            "FILE: src/a.sh\n```\nf() {\n  echo good\n}\n```\n\nDELETE: src/old.sh\n");
  EXPECT_THAT(repair.prompt, HasSubstr("Your best version so far changes these files"));
  EXPECT_THAT(repair.prompt, HasSubstr("echo bad"));
  EXPECT_EQ(repair.answer,
            "FILE: src/a.sh\n```\nf() {\n  echo good\n}\n```\n\nDELETE: src/new.sh\n"
            "\nDELETE: src/old.sh\n");

  const loop::Changes unfinished{{{"src/a.sh", "echo good"}, {"src/old.sh", std::nullopt}}};
  const auto altered = lines_with_accepted(loop::serialise(unfinished));
  ASSERT_FALSE(altered);
  EXPECT_THAT(altered.error().message, HasSubstr("2 left out"));
  EXPECT_THAT(altered.error().message, HasSubstr("no edit makes 'src/a.sh'"));
}

// A line above a function is no part of it, so what brings one is learnt by lines, the rest by
// function.
TEST_F(FromRuns, LongFilesAreLearntByPartsOfThem) {
  put("units.txt", "the unit\n");
  put("tree/src/a.sh", long_script("f() {\n  echo f\n}\n", "g() {\n  echo g\n}\n"));
  loop(kCodeRecipe, {says(1, "FUNCTION: src/a.sh f\n```\n# above\nf() {\n  echo bad\n}\n```\n"),
                     says(2, "FUNCTION: src/a.sh g\n```\ng() {\n  echo good\n}\n```\n")});
  const RunLines out = lines();
  ASSERT_EQ(out.lines.size(), 2U);
  EXPECT_EQ(out.accepted, 1U);
  EXPECT_EQ(out.repairs, 1U);
  EXPECT_EQ(out.left_out, 0U);
  EXPECT_THAT(turn_of(out.lines[0]).answer, HasSubstr("<<<<<<< SEARCH\n"));
  EXPECT_EQ(turn_of(out.lines[1]).answer,
            "FUNCTION: src/a.sh g\n```\ng() {\n  echo good\n}\n```\n");
}

}  // namespace
}  // namespace lathe::app
