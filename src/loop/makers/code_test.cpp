#include <gtest/gtest.h>

#include "loop/makers/maker.h"
#include "work/scripted_worker.h"

namespace lathe {
namespace {

std::string long_file() {
  std::string text = "int first() {\n  return 1;\n}\n";
  for (int i = 0; i < 300; ++i) text += fmt::format("// line {}\n", i);
  return text + "int last() {\n  return 2;\n}\n";
}

struct Bench {
  Place place;
  StopFlag stop;
  Json options = Json::object();
  std::vector<Unit> units{{"adds", "adds", {{"message", "want 3, got 4"}, {"locus", "src/a.c:2"}}}};

  explicit Bench(Json given = Json::object()) {
    place.checkout = [](const fs::path& directory) {
      return apply_changes({{{"src/a.c", "int add() {\n  return 4;\n}\n"},
                             {"src/long.c", long_file()},
                             {"src/secret.c", "int key() {\n}\n"},
                             {"tests/t.c", "int test() {\n}\n"}}},
                           directory);
    };
    if (!given.contains("may_write")) given["may_write"] = {"src/**"};
    if (!given.contains("protect")) given["protect"] = {"tests/**", "src/secret.c"};
    const auto checked = check_options(given, kind().options);
    EXPECT_TRUE(checked) << checked.error().message;
    options = checked.value_or(Json::object());
    EXPECT_TRUE(kind().check(options, {}));
  }
  static const MakerKind& kind() { return *find_maker("code"); }

  std::string prefix() const {
    const auto text = kind().prefix(options, units, place);
    EXPECT_TRUE(text) << text.error().message;
    return text.value_or("");
  }
  Result<Made> make(Worker& worker, std::optional<Changes> best = {},
                    std::vector<Critique> critiques = {}) const {
    MakeTask task{options, units};
    task.lap = 2;
    task.n_index = 1;
    task.setting = {{"temperature", 0.8}};
    task.prefix = "the prefix";
    task.tail = "the tail\n";
    if (best) task.best = serialise(*best);
    task.critiques = std::move(critiques);
    return kind().make(task, {place, &worker, stop});
  }
};

Bench with(const Json& given) {
  return Bench(given);
}

ScriptedWorker::Line says(std::string text, std::optional<int> attempt = {}) {
  ScriptedWorker::Line line;
  line.purpose = "make";
  line.attempt = attempt;
  line.text = std::move(text);
  return line;
}

const std::string kFix = "FILE: src/a.c\n```c\nint add() {\n  return 3;\n}\n```\n";

TEST(CodeMaker, PrefixHoldsTaskUnitsAndSourcesAndNothingElse) {
  const Json given = {{"task", "Make it add."}};
  const Bench bench(given);
  const std::string prefix = bench.prefix();
  for (const char* part : {"Make it add.", "- adds (src/a.c:2)", "want 3, got 4", "FILE: src/a.c",
                           "return 4;", "FILE: src/long.c"})
    EXPECT_NE(prefix.find(part), std::string::npos) << part;
  EXPECT_EQ(prefix.find("tests/t.c"), std::string::npos);
  EXPECT_EQ(prefix, bench.prefix());  // byte for byte
  EXPECT_NE(with({{"context", {"tests/**"}}}).prefix().find("FILE: tests/t.c"), std::string::npos);
}

TEST(CodeMaker, PromptThatIsTooLargeNamesThePart) {
  Bench bench;
  bench.place.checkout = [](const fs::path& directory) {
    return apply_changes({{{"src/huge.c", std::string(500'000, 'x')}}}, directory);
  };
  const auto prefix = Bench::kind().prefix(bench.options, bench.units, bench.place);
  ASSERT_FALSE(prefix);
  EXPECT_NE(prefix.error().message.find("src/huge.c"), std::string::npos);
}

TEST(CodeMaker, WholeFileBecomesAChange) {
  const Bench bench;
  ScriptedWorker worker("coder", {says(kFix)});
  const auto made = bench.make(worker);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->media_type, kChangesMediaType);
  const Changes changes = parse_changes(made->bytes).value();
  ASSERT_EQ(changes.files.size(), 1U);
  EXPECT_EQ(changes.files.at("src/a.c"), "int add() {\n  return 3;\n}\n");
  const Request request = worker.seen().front();
  EXPECT_EQ(request.messages[0].role, "system");
  EXPECT_EQ(request.messages[0].content, "the prefix");
  EXPECT_TRUE(request.messages[1].content.starts_with("the tail"));
  EXPECT_EQ(request.purpose, "make");
  EXPECT_EQ(request.n_index, 1);
  EXPECT_EQ(request.lap, 2);
  EXPECT_EQ(request.sampling.temperature, 0.8);
  EXPECT_EQ(request.sampling.seed, 2001);
}

TEST(CodeMaker, ChangesAddUpOnTheBestSoFar) {
  const Bench bench;
  ScriptedWorker worker("coder", {says("FILE: src/new.c\n```\nint n;\n```\n")});
  const auto made = bench.make(worker, Changes{{{"src/a.c", "int better;\n"}}});
  ASSERT_TRUE(made) << made.error().message;
  const Changes changes = parse_changes(made->bytes).value();
  EXPECT_EQ(changes.files.size(), 2U);
  EXPECT_EQ(changes.files.at("src/a.c"), "int better;\n");
  EXPECT_NE(worker.seen().front().messages[1].content.find("int better;"), std::string::npos);
}

TEST(CodeMaker, WhatEqualsTheTreeIsNoChange) {
  const Bench bench;
  ScriptedWorker worker("coder", {says("FILE: src/a.c\n```\nint add() {\n  return 4;\n}\n```\n")});
  const auto made = bench.make(worker, Changes{{{"src/a.c", "int better;\n"}}});
  ASSERT_TRUE(made);
  EXPECT_TRUE(parse_changes(made->bytes)->files.empty());
}

TEST(CodeMaker, FunctionsOfLongFilesAreShownAndSpliced) {
  const Bench bench;
  ScriptedWorker worker(
      "coder", {says("FUNCTION: src/long.c last\n```\nint last() {\n  return 5;\n}\n```\n")});
  const auto made = bench.make(worker, {}, {{"src/long.c:305", "must", "wrong", "", ""}});
  ASSERT_TRUE(made) << made.error().message;
  const std::string text = *parse_changes(made->bytes)->files.at("src/long.c");
  EXPECT_TRUE(text.starts_with("int first() {\n  return 1;\n}\n// line 0\n"));
  EXPECT_TRUE(text.ends_with("// line 299\nint last() {\n  return 5;\n}\n"));
  EXPECT_NE(worker.seen().front().messages[1].content.find(
                "FUNCTION: src/long.c last (lines 304 to 306)"),
            std::string::npos)
      << worker.seen().front().messages[1].content;
}

TEST(CodeMaker, UnusableAnswerIsRetriedOnceWithItsFault) {
  const Bench bench;
  ScriptedWorker worker("coder", {says("Try turning it off and on.", 0), says(kFix, 1)});
  const auto made = bench.make(worker);
  ASSERT_TRUE(made) << made.error().message;
  const auto seen = worker.seen();
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen[1].attempt, 1);
  EXPECT_NE(seen[1].messages.back().content.find("holds no edit"), std::string::npos);
  EXPECT_EQ(seen[1].messages[0].content, seen[0].messages[0].content);  // the prefix stays
  EXPECT_FALSE(json_string(made->facts, "refused").empty());
}

TEST(CodeMaker, RefusedAndUnusableEdits) {
  const std::string block = "\n```\nint x() {\n}\n```\n";
  for (const auto& [reply, reason] : std::vector<std::pair<std::string, std::string>>{
           {"FILE: tests/t.c" + block, "'tests/t.c' is refused: the file is protected"},
           {"FILE: src/secret.c" + block, "'src/secret.c' is refused: the file is protected"},
           {"DELETE: tests/t.c\n", "'tests/t.c' is refused"},
           {"FUNCTION: tests/t.c test" + block, "'tests/t.c' is refused"},
           {kFix + "FILE: tests/new.c" + block, "'tests/new.c' is refused"},
           {"FILE: Makefile" + block, "only src/** may be written"},
           {"FILE: src/long.c" + block, "306 lines: send only the functions"},
           {"FILE: src/a.c\n```\n```\n", "is empty"},
           {"FILE: src/a.c/x" + block, "src/a.c is a file"},
           {"FILE: src/../tests/t.c" + block, "inside the project"},
           {"DELETE: src/b.c\n", "did you mean 'src/a.c'"},
           {"FUNCTION: src/a.c sum" + block, "line 1: int add() {"},
           {"FUNCTION: src/a.c add" + block, "does not define add"}}) {
    const Bench bench;
    ScriptedWorker worker("coder", {says(reply)});
    const auto made = bench.make(worker);
    ASSERT_FALSE(made) << reply;
    EXPECT_EQ(made.error().kind, ErrorKind::kInvalid) << reply;
    EXPECT_NE(made.error().message.find(reason), std::string::npos) << made.error().message;
    EXPECT_EQ(worker.seen().size(), 2U) << reply;
  }
}

TEST(CodeMaker, EditModes) {
  ScriptedWorker by_function("coder", {says("FUNCTION: src/a.c add\n```\nint add() {\n}\n```\n")});
  ScriptedWorker by_file("coder", {says(kFix)});
  EXPECT_FALSE(with({{"edits", "file"}}).make(by_function));
  EXPECT_TRUE(with({{"edits", "function"}}).make(by_function));
  EXPECT_FALSE(with({{"edits", "function"}}).make(by_file));
  EXPECT_TRUE(with({{"edits", "file"}}).make(by_file));
}

TEST(CodeMaker, WorkerErrorsAreNotRetried) {
  ScriptedWorker::Line line;
  line.error = Error{ErrorKind::kUnavailable, "no such host"};
  const Bench bench;
  ScriptedWorker worker("coder", {line});
  const auto made = bench.make(worker);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind, ErrorKind::kUnavailable);
  EXPECT_EQ(worker.seen().size(), 1U);
}

TEST(CodeMaker, ChecksItsOptions) {
  const auto check = [](Json given) {
    const auto checked = check_options(given, Bench::kind().options);
    return checked && Bench::kind().check(*checked, {});
  };
  EXPECT_TRUE(check({{"may_write", {"src/**"}}}));
  EXPECT_FALSE(check(Json::object()));
  EXPECT_FALSE(check({{"may_write", Json::array()}}));
  EXPECT_FALSE(check({{"may_write", {"a"}}, {"edits", "diff"}}));
  EXPECT_FALSE(check({{"may_write", {"a"}}, {"max_tokens", 0}}));
}

}  // namespace
}  // namespace lathe
