// The maker of code: prompts, edits, refusals, and answers as the inverse of making.
#include <gtest/gtest.h>
#include <testing/requests.h>

#include "ground/base/random.h"
#include "ground/base/text.h"
#include "loop/makers/maker.h"
#include "loop/script/scripted_worker.h"

namespace lathe::loop {
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
  EXPECT_EQ(talk_of(request).messages[0].role, "system");
  EXPECT_EQ(said(request, 0), "the prefix");
  EXPECT_TRUE(said(request, 1).starts_with("the tail"));
  EXPECT_EQ(origin_of(request), (Origin{"make", 2, 1}));
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
  EXPECT_NE(said(worker.seen().front(), 1).find("int better;"), std::string::npos);
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
  EXPECT_NE(said(worker.seen().front(), 1).find("FUNCTION: src/long.c last (lines 304 to 306)"),
            std::string::npos)
      << said(worker.seen().front(), 1);
}

TEST(CodeMaker, UnusableAnswerIsRetriedOnceWithItsFault) {
  const Bench bench;
  ScriptedWorker worker("coder", {says("Try turning it off and on.", 0), says(kFix, 1)});
  const auto made = bench.make(worker);
  ASSERT_TRUE(made) << made.error().message;
  const auto seen = worker.seen();
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(origin_of(seen[1]).attempt, 1);
  EXPECT_NE(said(seen[1]).find("holds no edit"), std::string::npos);
  EXPECT_EQ(said(seen[1], 0), said(seen[0], 0));  // the prefix stays
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
           {"FILE: src/long.c" + block, "306 lines: send only the lines that change"},
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

// Trees and changes of them, drawn at random.
class Draw {
 public:
  explicit Draw(std::uint64_t seed) : seed_(seed) {}
  std::uint64_t below(std::uint64_t n) { return random_at(seed_, 0, ++place_) % n; }
  std::string pick(const std::vector<std::string>& from) { return from[below(from.size())]; }

  std::string lines(std::uint64_t most) {
    std::string text = "y\n";  // an existing file is never made empty
    for (auto n = below(most); n > 0; --n)
      text += pick({"x = 1\n", "\n", "```\n", "FILE: src/other\n", "  \u00fc \u4f60\u597d\n",
                    "~~~~\n", "DELETE: src/a\n", "````sh\n", "\t}\n"});
    return text;
  }
  // Some files of src/, none of which is also a directory.
  std::map<std::string, std::string> tree() {
    std::map<std::string, std::string> files;
    for (const char* name : {"src/a.py", "src/_b.py", "src/deep/er/c.c", "src/\u00fc d.txt"})
      if (below(3) > 0) files[name] = lines(6);
    return files;
  }

 private:
  std::uint64_t seed_, place_ = 0;
};

using Files = std::map<std::string, std::string>;

Changes difference(const Files& from, const Files& to) {
  Changes changes;
  for (const auto& [path, text] : to)
    if (!from.contains(path) || from.at(path) != text) changes.files[path] = text;
  for (const auto& [path, text] : from)
    if (!to.contains(path)) changes.files[path] = std::nullopt;
  return changes;
}

// The answer for `to`, and what the maker makes of it: both trees are changes of `clean`.
struct Inverse {
  Result<std::string> answer;
  bool true_to_it = false;
};
Inverse inverse(const Files& clean, const Files& from, const Files& to, const Json& given) {
  Bench bench(given);
  bench.place.checkout = [&](const fs::path& directory) {
    return apply_changes(difference({}, clean), directory);
  };
  MakeTask task{bench.options, bench.units};
  if (from != clean) task.best = serialise(difference(clean, from));
  const std::string take = serialise(difference(clean, to));
  Inverse result{Bench::kind().answer(task, bench.place, take)};
  if (!result.answer) return result;
  ScriptedWorker worker("coder", {says(*result.answer, 0)});
  const auto made = Bench::kind().make(task, {bench.place, &worker, bench.stop});
  result.true_to_it = made && made->bytes == take;
  return result;
}

TEST(CodeMaker, AnswersAreTheInverseOfMaking) {
  std::size_t removed = 0, added = 0;
  for (std::uint64_t seed = 0; seed < 24; ++seed) {
    Draw draw(seed);
    const Files clean = draw.tree(), from = seed % 3 == 0 ? clean : draw.tree(), to = draw.tree();
    if (from == to) continue;
    const Inverse found = inverse(clean, from, to, Json::object());
    ASSERT_TRUE(found.answer) << seed << ": " << found.answer.error().message;
    EXPECT_TRUE(found.true_to_it) << seed << ":\n" << *found.answer;
    removed += found.answer->starts_with("DELETE: ") || found.answer->contains("\nDELETE: src/_b");
    added += from.size() < to.size();
  }
  EXPECT_GT(removed, 0U);
  EXPECT_GT(added, 0U);
}

// A file of functions, each with one of a few bodies; long enough to be edited by function alone.
std::string functions_text(Draw& draw, bool newline_at_end) {
  std::string text;
  for (int i = 0; i < 5; ++i)
    text += fmt::format("def f{}(x):\n  return {}\n\n", i, draw.pick({"1", "x", "'\u00fc'"}));
  for (int i = 0; i < 250; ++i) text += fmt::format("# {}\n", i);
  text += "def last():\n  return " + draw.pick({"1", "2"});
  return text + (newline_at_end ? "\n" : "");
}

TEST(CodeMaker, AnswersForLongFilesAreFunctions) {
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    Draw draw(seed);
    const bool newline = seed % 2 == 0;
    const Files clean{{"src/a.py", functions_text(draw, newline)}};
    const Files from{{"src/a.py", functions_text(draw, newline)}};
    Files to{{"src/a.py", functions_text(draw, newline)}};
    if (from == to) continue;
    const Inverse found = inverse(clean, from, to, Json::object());
    ASSERT_TRUE(found.answer) << seed << ": " << found.answer.error().message;
    EXPECT_TRUE(found.true_to_it) << seed << ":\n" << *found.answer;
    EXPECT_LT(found.answer->size(), 500U);
    // A change beside the functions is said by its lines.
    to["src/a.py"] = replace_all(to["src/a.py"], "# 99\n", "# changed\n");
    const auto beside = inverse(clean, from, to, Json::object());
    ASSERT_TRUE(beside.answer) << beside.answer.error().message;
    EXPECT_TRUE(beside.answer->contains("<<<<<<< SEARCH\n")) << *beside.answer;
    EXPECT_TRUE(beside.true_to_it) << seed << ":\n" << *beside.answer;
    if (newline) {
      EXPECT_TRUE(inverse(clean, from, to, {{"edits", "file"}}).true_to_it);
    }
  }
}

TEST(CodeMaker, WhatNoAnswerMakesIsAnError) {
  const Files clean{{"src/a.txt", "a\n"}};
  for (const auto& [path, text] : Files{{"src/a.txt", "no newline"},
                                        {"src/a.txt ", "x\n"},
                                        {"src/`b`", "x\n"},
                                        {"src/a.txt/b", "x\n"},
                                        {"src/secret.c", "x\n"},
                                        {"src/crlf", "x\r\n"}}) {
    Files to = clean;
    to[path] = text;
    EXPECT_FALSE(inverse(clean, clean, to, Json::object()).answer) << path;
  }
}

// A tree with one file, and what an answer makes of it: the file's new text, or why not.
std::string made_of(const std::string& path, const std::string& text, const std::string& reply,
                    const Json& given = {{"may_write", {"**"}}}) {
  Bench bench(given);
  bench.place.checkout = [&](const fs::path& directory) {
    return apply_changes({{{path, text}}}, directory);
  };
  ScriptedWorker worker("coder", {says(reply)});
  const auto made = bench.make(worker);
  if (!made) return "refused: " + made.error().message;
  const Changes changes = parse_changes(made->bytes).value();
  return changes.files.contains(path) ? changes.files.at(path).value_or("removed") : text;
}

TEST(CodeMaker, NothingVanishesUnasked) {
  const std::string text = "def a():\n    return 1\n\ndef b():\n    return 2\n";
  const std::string lazy = "FILE: m.py\n```\ndef a():\n    return 3\n```\n";
  EXPECT_NE(made_of("m.py", text, lazy).find("leaves out b"), std::string::npos);
  EXPECT_EQ(made_of("m.py", text, lazy + "DELETE: m.py b\n"), "def a():\n    return 3\n");
  EXPECT_EQ(made_of("m.py", text, "DELETE: m.py b\n"), "def a():\n    return 1\n\n");
  const std::string placeholder =
      "FILE: m.py\n```\ndef a():\n    return 3\n\n# ... rest of the code unchanged ...\n```\n";
  EXPECT_NE(made_of("m.py", text, placeholder).find("left out"), std::string::npos);
  EXPECT_NE(made_of("m.js", "const f = () => 1;\nfunction g() {}\n",
                    "FILE: m.js\n```\nconst f = () => 2;\n```\n")
                .find("leaves out g"),
            std::string::npos);
}

TEST(CodeMaker, EveryLineOfALongFileIsReached) {
  std::string text = "LIMIT = 1\n";
  for (int i = 0; i < 400; ++i) text += fmt::format("# {}\n", i);
  const std::string reply =
      "FILE: m.py\n```\n<<<<<<< SEARCH\nLIMIT = 1\n=======\nLIMIT = 2\n>>>>>>> REPLACE\n```\n"
      "FILE: m.py\n```diff\n@@ -400,2 +400,2 @@\n # 398\n-# 399\n+# end\n```\n";
  EXPECT_EQ(made_of("m.py", text, reply),
            replace_all(replace_all(text, "LIMIT = 1", "LIMIT = 2"), "# 399\n", "# end\n"));
}

TEST(CodeMaker, BytesOutsideTheEditStay) {
  const std::string text =
      "\xEF\xBB\xBF"
      "def a():\r\n\treturn 1\r\n\r\nX = 2";
  const std::string wanted = replace_all(text, "return 1", "return 3");
  for (const char* reply :
       {"FILE: m.py\n```\ndef a():\n\treturn 3\n\nX = 2\n```\n",
        "FUNCTION: m.py a\n```\ndef a():\n\treturn 3\n```\n",
        "FILE: m.py\n```\n<<<<<<< SEARCH\n\treturn 1\n=======\n\treturn 3\n>>>>>>> "
        "REPLACE\n```\n"})
    EXPECT_EQ(made_of("m.py", text, reply), wanted) << reply;
}

TEST(CodeMaker, ThoughtsAreNoEdits) {
  EXPECT_EQ(made_of("m.py", "x = 1\n",
                    "<think>Let me try\nFILE: m.py\n```\ndecoy!!\n```\nNo.</think>\nHere it is:\n"
                    "FILE: m.py\n```\nx = 2\n```\n"),
            "x = 2\n");
  EXPECT_NE(made_of("m.py", "x = 1\n", "<think>FILE: m.py\n```\nx = 2\n```\n").find("all thoughts"),
            std::string::npos);
}

TEST(CodeMaker, AnAnswerDoesNotReachBeyondTheCode) {
  const std::string block = "\n```\nx\n```\n";
  for (const char* path : {"src/.git/config", "src/.git", "conftest.py", ".envrc", "src/.GIT/HEAD",
                           "Makefile", "src/g/HEAD"})
    EXPECT_NE(made_of("src/m.py", "x = 1\n", std::string("FILE: ") + path + block).find("refused"),
              std::string::npos)
        << path;
}

}  // namespace
}  // namespace lathe::loop
