// The maker that works by tools: what each tool does and refuses, how a talk ends, what is left.
#include <gmock/gmock.h>
#include <testing/requests.h>

#include "ground/base/text.h"
#include "loop/makers/maker.h"
#include "loop/makers/tree_tools.h"
#include "loop/script/scripted_worker.h"

namespace lathe::loop {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

struct Bench {
  Place place;
  StopFlag stop;
  Json options;
  std::vector<Unit> units{
      {"adds", "adds", {{"message", "want 3, got 4"}, {"locus", "src/a.sh:1"}}}};

  explicit Bench(const Json& more = Json::object()) {
    place.checkout = [](const fs::path& directory) {
      return apply_changes({{{"src/a.sh", "add() {\n  echo 4\n}\n"},
                             {"src/b.bin", std::string("\0\1", 2)},
                             {"tests/t.sh", ". src/a.sh\n[ $(add) = 3 ]\n"}}},
                           directory);
    };
    Json given = {{"may_write", {"src/**"}}, {"protect", {"tests/**"}}};
    given.update(more);
    const auto checked = check_options(given, kind().options);
    EXPECT_TRUE(checked) << checked.error().message;
    options = checked.value_or(Json::object());
    EXPECT_TRUE(kind().check(options, {}));
  }
  static const MakerKind& kind() { return *find_maker("agent"); }

  Result<Made> make(Worker& worker, std::optional<Changes> best = {}) const {
    MakeTask task{options, units};
    task.setting = {{"temperature", 0.2}};
    task.prefix = "the prefix";
    task.tail = "the tail\n";
    if (best) task.best = serialise(*best);
    return kind().make(task, {place, &worker, stop});
  }
};

ScriptedWorker::Line calls(int turn, const char* name, const Json& arguments) {
  ScriptedWorker::Line line;
  line.turn = turn;
  line.call = FunctionCall{"", name, dump_json(arguments)};
  return line;
}
ScriptedWorker::Line says(const char* text) {
  ScriptedWorker::Line line;
  line.text = text;
  return line;
}

const Json kEdit = {{"path", "src/a.sh"}, {"old", "  echo 4"}, {"new", "  echo 3"}};

TEST(AgentMaker, WorksByToolsUntilItIsDone) {
  const Bench bench;
  ScriptedWorker worker(
      "coder", {calls(0, "read_file", {{"path", "src/a.sh"}}), calls(1, "edit_file", kEdit),
                calls(2, "run", {{"command", "sh tests/t.sh && echo fine; date > src/log"}}),
                says("It added wrongly.")});
  const auto made = bench.make(worker);
  ASSERT_TRUE(made) << made.error().message;
  const auto changes = parse_changes(made->bytes);
  ASSERT_TRUE(changes);
  EXPECT_EQ(changes->files.at("src/a.sh"), "add() {\n  echo 3\n}\n");
  EXPECT_TRUE(changes->files.contains("src/log"));
  EXPECT_EQ(made->facts["calls"].size(), 3U);
  EXPECT_EQ(made->facts["ended"], "done");
  EXPECT_EQ(made->facts["said"], "It added wrongly.");
  const std::vector<Request> seen = worker.seen();
  ASSERT_EQ(seen.size(), 4U);
  const Talk& last = *seen.back().talk();
  EXPECT_EQ(last.messages[0].content.text(), "the prefix");
  EXPECT_THAT(last.messages[1].content.text(), HasSubstr("the tail"));
  EXPECT_EQ(last.messages[3].role, "tool");
  EXPECT_EQ(last.messages[3].call_id, last.messages[2].calls.at(0).id);
  EXPECT_THAT(last.messages[3].content.text(), HasSubstr("    2    echo 4"));
  EXPECT_THAT(last.messages.back().content.text(), HasSubstr("fine"));
  EXPECT_FALSE(last.parallel_calls);
  for (const Tool& tool : last.tools) EXPECT_EQ(tool.strict, true);
}

TEST(AgentMaker, BeginsWithTheBestVersion) {
  const Bench bench;
  ScriptedWorker worker(
      "coder",
      {calls(0, "edit_file", {{"path", "src/a.sh"}, {"old", "  echo 5"}, {"new", "  echo 3"}}),
       says("done")});
  const auto made = bench.make(worker, Changes{{{"src/a.sh", "add() {\n  echo 5\n}\n"}}});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(parse_changes(made->bytes)->files.at("src/a.sh"), "add() {\n  echo 3\n}\n");
}

TEST(AgentMaker, WhatItMayNotWriteStaysAsItIs) {
  const Bench bench;
  ScriptedWorker worker(
      "coder",
      {calls(0, "write_file", {{"path", "tests/t.sh"}, {"text", "true\n"}}),
       calls(1, "run", {{"command", "echo true > tests/t.sh; rm -f src/b.bin; echo x > Makefile"}}),
       calls(2, "edit_file", kEdit), says("done")});
  const auto made = bench.make(worker);
  ASSERT_TRUE(made) << made.error().message;
  const Changes changes = *parse_changes(made->bytes);
  EXPECT_EQ(changes.files.size(), 2U);
  EXPECT_TRUE(changes.files.contains("src/a.sh"));
  EXPECT_EQ(changes.files.at("src/b.bin"), std::nullopt);
  EXPECT_EQ(made->facts["left_out"], (Json{"Makefile", "tests/t.sh"}));
  EXPECT_EQ(made->facts["calls"][0]["ok"], false);
}

TEST(AgentMaker, EndsOfATalk) {
  const Bench bench;
  const auto fails = [&](std::vector<ScriptedWorker::Line> lines, const char* words) {
    ScriptedWorker worker("coder", std::move(lines));
    const auto made = bench.make(worker);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().kind, ErrorKind::kInvalid);
    EXPECT_THAT(made.error().message, HasSubstr(words));
  };
  fails({says("I cannot do it.")}, "nothing was changed; it ended so: done: I cannot do it.");
  ScriptedWorker::Line again = calls(0, "read_file", {{"path", "src/a.sh"}});
  again.turn.reset();
  fails({again}, "it repeats itself");
  const Json three = {{"calls", 3}};
  const Bench few(three);
  ScriptedWorker worker("coder",
                        {calls(0, "edit_file", kEdit), calls(1, "search", {{"text", "a"}}),
                         calls(2, "search", {{"text", "b"}}), calls(3, "search", {{"text", "c"}})});
  const auto made = few.make(worker);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->facts["ended"], "all 3 calls are used up");
  EXPECT_EQ(worker.seen().size(), 3U);
}

// Two tools of another program: one looks, one goes wrong.
class OtherTools final : public ToolSet {
 public:
  std::vector<Tool> tools() const override {
    return {{"db__look", "looks", {{"type", "object"}}},
            {"db__fall", "falls", {{"type", "object"}}}};
  }
  bool reads_only(const std::string&) const override { return true; }
  Result<ToolAnswer> call(const FunctionCall& call, const StopFlag&) override {
    if (call.name == "db__fall") return fail(ErrorKind::kUnavailable, "it hung");
    return ToolAnswer{std::string(100'000, 'x'), calls++ > 0};
  }
  int calls = 0;
};

TEST(AgentMaker, HasToolsOfOthersBesideItsOwn) {
  const Bench bench;
  OtherTools others;
  const auto make = [&](ScriptedWorker& worker) {
    MakeTask task{bench.options, bench.units};
    task.setting = {{"temperature", 0.2}};
    MakeContext context{bench.place, &worker, bench.stop};
    context.tools = &others;
    return Bench::kind().make(task, context);
  };
  ScriptedWorker worker("coder",
                        {calls(0, "db__look", Json::object()), calls(1, "edit_file", kEdit),
                         calls(2, "db__look", {{"a", 1}}), says("done")});
  const auto made = make(worker);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->facts["calls"].size(), 3U);
  EXPECT_EQ(made->facts["calls"][0]["ok"], false);
  const std::vector<Request> seen = worker.seen();
  const Talk& last = *seen.back().talk();
  EXPECT_EQ(last.tools.size(), 8U);
  EXPECT_THAT(last.messages[3].content.text(), StartsWith("error: xxx"));
  EXPECT_LE(last.messages[7].content.text().size(), 64U << 10);
  ScriptedWorker falls("coder",
                       {calls(0, "edit_file", kEdit), calls(1, "db__fall", Json::object())});
  const auto fell = make(falls);
  ASSERT_FALSE(fell);
  EXPECT_EQ(fell.error().kind, ErrorKind::kUnavailable);
}

TEST(AgentMaker, AWorkerThatFailsIsNoFaultOfTheWork) {
  const Bench bench;
  ScriptedWorker::Line down;
  down.error = Error{ErrorKind::kUnavailable, "down"};
  ScriptedWorker worker("coder", {calls(0, "edit_file", kEdit), down});
  const auto made = bench.make(worker);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind, ErrorKind::kUnavailable);
}

class Tools : public ::testing::Test {
 protected:
  std::string call(const char* name, const Json& arguments) {
    const auto result = tools_->call({"1", name, dump_json(arguments)}, bench_.stop);
    EXPECT_TRUE(result) << result.error().message;
    return answer_for_prompt(result.value_or(ToolAnswer{}));
  }

  Bench bench_;
  MakeContext context_{bench_.place, nullptr, bench_.stop};
  Result<TreeTools> tools_ = TreeTools::make(bench_.options, {}, context_);
};

TEST_F(Tools, LookAtTheTree) {
  EXPECT_EQ(call("list_files", Json::object()), "src/a.sh\nsrc/b.bin\ntests/t.sh\n");
  EXPECT_EQ(call("list_files", {{"glob", "src/*.sh"}}), "src/a.sh\n");
  EXPECT_EQ(call("list_files", {{"glob", "*.zip"}}), "no file matches");
  EXPECT_EQ(call("read_file", {{"path", "src/a.sh"}, {"from", 2}, {"lines", 1}}),
            "    2    echo 4\n… 3 lines in all\n");
  EXPECT_EQ(call("read_file", {{"path", "src/a.sh"}, {"from", 99}}), "the file has 3 lines");
  EXPECT_EQ(call("search", {{"text", "add"}}),
            "src/a.sh:1: add() {\ntests/t.sh:2: [ $(add) = 3 ]\n");
  EXPECT_EQ(call("search", {{"text", "add"}, {"glob", "src/**"}}), "src/a.sh:1: add() {\n");
  EXPECT_EQ(call("search", {{"text", "nowhere"}}), "nothing contains it");
}

TEST_F(Tools, WrongCallsAreToldAndEndNothing) {
  for (const char* path :
       {"../../etc/passwd", "/etc/passwd", "src", "", "src/none.sh", "src/b.bin"})
    EXPECT_THAT(call("read_file", {{"path", path}}), StartsWith("error: ")) << path;
  EXPECT_THAT(call("read_file", {{"path", "src/a.hs"}}), HasSubstr("did you mean 'src/a.sh'"));
  for (const char* arguments : {"{", "[]"})
    EXPECT_FALSE(tools_->call({"1", "read_file", arguments}, bench_.stop)->ok) << arguments;
  EXPECT_THAT(call("edit_file", {{"path", "src/a.sh"}, {"old", "echo 9"}, {"new", ""}}),
              StartsWith("error: "));
  EXPECT_THAT(call("edit_file", {{"path", "src/a.sh"}, {"old", " "}, {"new", ""}}),
              StartsWith("error: "));
  EXPECT_THAT(call("edit_file", {{"path", "tests/t.sh"}, {"old", "x"}, {"new", ""}}),
              HasSubstr("protected"));
  for (const char* path :
       {"tests/new.sh", ".git/hooks/pre-commit", "src/.bashrc", "../x", "src/Makefile"})
    EXPECT_THAT(call("write_file", {{"path", path}, {"text", "x"}}), StartsWith("error: ")) << path;
  EXPECT_TRUE(tools_->changes()->files.empty());
}

TEST_F(Tools, LinksThatCommandsMakeLeadNowhere) {
  call("run", {{"command", "ln -s /etc/hostname src/link; mkfifo src/pipe"}});
  for (const char* path : {"src/link", "src/pipe"})
    EXPECT_THAT(call("read_file", {{"path", path}}), StartsWith("error: ")) << path;
  EXPECT_TRUE(tools_->changes()->files.empty());
}

TEST_F(Tools, CommandsRunInTheSandbox) {
  EXPECT_THAT(call("run", {{"command", "exit 7"}}), HasSubstr("exit code 7"));
  EXPECT_THAT(call("run", {{"command", "ls /home /root 2>&1; echo end"}}), HasSubstr("end"));
  EXPECT_THAT(call("run", {{"command", "seq 1 20000"}}), HasSubstr("20000"));
  EXPECT_LT(call("run", {{"command", "seq 1 20000"}}).size(), 20'000U);
  bench_.stop.raise();
  EXPECT_FALSE(tools_->call({"1", "run", R"({"command":"sleep 60"})"}, bench_.stop));
}

TEST_F(Tools, ARecipeMayKeepThemFromCommands) {
  const Json no_commands = {{"commands", false}};
  const Bench still(no_commands);
  const MakeContext context{still.place, nullptr, still.stop};
  auto tools = TreeTools::make(still.options, {}, context);
  ASSERT_TRUE(tools);
  EXPECT_EQ(tools->tools().size(), 5U);
  ScriptedWorker worker(
      "coder", {calls(0, "run", {{"command", "true"}}), calls(1, "raed_file", Json::object()),
                calls(2, "edit_file", kEdit), says("done")});
  ASSERT_TRUE(still.make(worker));
  const std::vector<Request> seen = worker.seen();
  const Talk& last = *seen.back().talk();
  EXPECT_THAT(last.messages[3].content.text(), HasSubstr("error: there is no tool 'run'"));
  EXPECT_THAT(last.messages[5].content.text(), HasSubstr("did you mean 'read_file'"));
}

}  // namespace
}  // namespace lathe::loop
