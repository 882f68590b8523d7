// A text maker's prompt, and the work in an answer without its talk.
#include <gmock/gmock.h>
#include <testing/requests.h>

#include "ground/base/text.h"
#include "loop/makers/maker.h"
#include "loop/script/scripted_worker.h"

namespace lathe::loop {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class TextMakerTest : public ::testing::Test {
 protected:
  TextMakerTest() { place_.recipe_dir = directory_->path(); }

  const MakerKind& kind() { return *find_maker("text"); }
  Json checked(Json options) {
    if (!options.contains("task") && !options.contains("task_file")) options["task"] = "Do it.";
    auto result = check_options(options, kind().options);
    EXPECT_TRUE(result);
    return *result;
  }
  // One call of make() with a worker that gives these answers, by attempt.
  Result<Made> make(const Json& options, std::vector<std::string> answers, int lap = 1,
                    std::string tail = "") {
    std::vector<ScriptedWorker::Line> lines;
    for (std::size_t i = 0; i < answers.size(); ++i)
      lines.push_back({"", "", {}, {}, static_cast<int>(i), "", answers[i], {}});
    worker_ = std::make_unique<ScriptedWorker>("writer", std::move(lines));
    const Json all = checked(options);
    const std::vector<Unit> units{{"L001", "the unit's words", {}}};
    MakeTask task{.options = all, .units = units, .lap = lap, .tail = std::move(tail)};
    LATHE_TRY(task.prefix, kind().prefix(all, units, place_));
    const StopFlag stop;
    return kind().make(task,
                       {.place = place_, .worker = worker_.get(), .stop = stop, .usage = &usage_});
  }
  std::string bytes(const Json& options, std::vector<std::string> answers) {
    const auto made = make(options, std::move(answers));
    return made ? made->bytes : "error: " + made.error().message;
  }
  std::string problem(const Json& options) {
    const Status status = kind().check(checked(options), {});
    return status ? "" : status.error().message;
  }
  void put(std::string_view name, std::string_view text) {
    ASSERT_TRUE(write_file_atomic(place_.recipe_dir / name, text));
  }

  Usage usage_;
  Result<TempDir> directory_ = TempDir::make();
  Place place_;
  std::unique_ptr<ScriptedWorker> worker_;
};

TEST_F(TextMakerTest, ThePromptHasAFrozenPrefixAndATail) {
  put("style.md", "Be plain.");
  const Json options = {{"task", "Rewrite."}, {"references", {"style.md"}}};
  const auto made = make(options, {" A plain text.\n"}, 2, "What is wrong:\n- too long\n");
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->bytes, "A plain text.");
  EXPECT_EQ(made->media_type, "text/plain");
  const Request first = worker_->seen().at(0);
  EXPECT_THAT(said(first, 0), HasSubstr("Rewrite."));
  EXPECT_THAT(said(first, 0), HasSubstr("Be plain."));
  EXPECT_THAT(said(first, 0), Not(HasSubstr("the unit's words")));
  EXPECT_THAT(said(first, 1), StartsWith("The text:\n<<<\nthe unit's words"));
  EXPECT_THAT(said(first, 1), HasSubstr("too long"));
  EXPECT_EQ(origin_of(first), (Origin{"make", 2}));
  EXPECT_TRUE(first.keep_prefix);
  ASSERT_TRUE(make(options, {"x"}, 3, "other"));
  EXPECT_EQ(said(worker_->seen().at(0), 0), said(first, 0)) << "the same bytes in every lap";
}

TEST_F(TextMakerTest, ThoughtsAndTalkAreNotTheWork) {
  const Json options = Json::object(), json = {{"format", "json"}};
  EXPECT_EQ(bytes(options, {"<think>Keep 412.</think>\nA plain text."}), "A plain text.");
  EXPECT_EQ(
      bytes(options, {"Sure! Here is the rewritten paragraph:\n\nA plain text.\n\nLet me know if "
                      "you want changes."}),
      "A plain text.");
  EXPECT_EQ(bytes(options, {"```\nA plain text.\n```"}), "A plain text.");
  EXPECT_EQ(bytes(options, {"Certainly. A plain text.", "A plain text."}), "A plain text.");
  EXPECT_THAT(bytes(options, {"<think>no end", "<think>no end"}), StartsWith("error: "));
  EXPECT_EQ(bytes(json, {"<think>hm</think>{\"a\": 1}"}), "{\"a\": 1}");
}

TEST_F(TextMakerTest, JsonIsTakenBareOrFromTheOnlyFence) {
  const Json options = {{"format", "json"}};
  EXPECT_EQ(bytes(options, {"\n{\"a\": 1}\n"}), "{\"a\": 1}");
  EXPECT_EQ(bytes(options, {"```json\n{\"a\": 1}\n```"}), "{\"a\": 1}");
  EXPECT_EQ(bytes(options, {"Here:\n```\n[1,\n2]\n```\nDone."}), "[1,\n2]");
  EXPECT_EQ(bytes(options, {"\"a ``` b\""}), "\"a ``` b\"");
  for (const char* bad : {"", "no json", "Here: {\"a\":1}", "```\n{}\n```\n```\n{}\n```",
                          "```json\n{\"a\":1}", "```json\n{\"a\":}\n```", "{} {}"})
    EXPECT_THAT(bytes(options, {bad, bad}), StartsWith("error: text: the answer cannot be used"))
        << bad;
}

TEST_F(TextMakerTest, OneMechanicalRetryWithTheFault) {
  const auto made = make({{"format", "json"}}, {"{\"a\":", "{\"a\":1}"});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->bytes, "{\"a\":1}");
  EXPECT_EQ(usage_.calls, 2);
  EXPECT_THAT(made->facts["refused"].get<std::string>(), HasSubstr("not one JSON document"));
  const Request retry = worker_->seen().at(1);
  EXPECT_EQ(origin_of(retry).attempt, 1);
  EXPECT_THAT(said(retry), HasSubstr("not one JSON document"));

  const auto failed = make({{"format", "json"}}, {"a", "b"});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind, ErrorKind::kInvalid);
  EXPECT_EQ(worker_->seen().size(), 2U);
  EXPECT_FALSE(make(Json::object(), {" \n", "\n"}));
}

TEST_F(TextMakerTest, TheSchemaConstrainsTheOutput) {
  put("s.json", R"({"type":"object"})");
  ASSERT_TRUE(make({{"format", "json"}, {"schema_file", "s.json"}}, {"{}"}));
  EXPECT_EQ(worker_->seen().at(0).form, AnswerForm(SchemaForm{{{"type", "object"}}}));
  EXPECT_THAT(said(worker_->seen().at(0), 1), HasSubstr(R"({"type":"object"})"));
  ASSERT_TRUE(make({{"format", "json"}, {"schema", {{"type", "array"}}}}, {"[]"}));
  EXPECT_EQ(worker_->seen().at(0).form, AnswerForm(SchemaForm{{{"type", "array"}}}));
  put("s.json", "{");
  EXPECT_THAT(bytes({{"format", "json"}, {"schema_file", "s.json"}}, {"{}"}), HasSubstr("s.json"));
}

TEST_F(TextMakerTest, APromptThatIsTooLongNamesWhatToCut) {
  put("big.md", std::string(2000, 'x'));
  const auto made = make({{"references", {"big.md"}}, {"prompt_limit", 1500}}, {"x"});
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message, HasSubstr("cut the reference 'big.md'"));
  const auto tail = make({{"prompt_limit", 1500}}, {"x"}, 1, std::string(2000, 'y'));
  ASSERT_FALSE(tail);
  EXPECT_THAT(tail.error().message, HasSubstr("cut the feedback"));
  EXPECT_TRUE(worker_->seen().empty()) << "nothing was sent";
  EXPECT_FALSE(make({{"references", {"absent.md"}}}, {"x"}));
}

TEST_F(TextMakerTest, WrongOptionsAreFoundBeforeTheRun) {
  EXPECT_EQ(problem({{"task", "x"}}), "");
  EXPECT_THAT(problem({{"task", ""}}), HasSubstr("'task'"));
  EXPECT_THAT(problem({{"task", "x"}, {"task_file", "y"}}), HasSubstr("either"));
  EXPECT_THAT(problem({{"format", "yaml"}}), HasSubstr("yaml"));
  EXPECT_THAT(problem({{"schema_file", "s"}}), HasSubstr("format = \"json\""));
  EXPECT_THAT(problem({{"max_tokens", 0}}), HasSubstr("max_tokens"));
  EXPECT_THAT(problem({{"prompt_limit", 10}}), HasSubstr("prompt_limit"));
}

}  // namespace
}  // namespace lathe::loop
