// Cheating and honest answers to red tests, given to the tests judge: tests/cases/cheats.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "ground/base/hash.h"
#include "ground/base/text.h"
#include "loop/judges/tests.h"

namespace lathe::loop {
namespace {

const fs::path kCases = LATHE_SOURCE_DIR "/tests/cases/cheats";

std::string text_of(const fs::path& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

struct Answer {
  std::string project, kind, name;
  bool known_to_pass = false;
  Changes changes;
};

// "@fixed": where the files are that it stands for.
fs::path base(const std::string& project, std::string_view mark) {
  return kCases / project / (mark == "@broken" ? "project" : mark.substr(1));
}

std::vector<Answer> answers_of(const std::string& project, const fs::path& file) {
  std::vector<Answer> answers;
  std::string* open = nullptr;
  std::string path;
  const std::string text = text_of(file);
  for (const std::string_view line : split_lines(text)) {
    if (line.starts_with("=== ")) {
      const auto words = split(line.substr(4), ' ');
      answers.push_back({project, words.at(0), words.at(1), words.size() > 2, {}});
      open = nullptr;
    } else if (line.starts_with("--- ")) {
      path = line.substr(4);
      open = &answers.back().changes.files[path].emplace();
    } else if (open && line.starts_with('@') && fs::exists(base(project, line))) {
      *open += text_of(base(project, line) / path);
    } else if (open) {
      open->append(line).append("\n");
    }
  }
  return answers;
}

std::vector<std::string> projects() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kCases))
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  return names;
}

// One project, its tests run once before any change.
class Bench {
 public:
  explicit Bench(const std::string& project) {
    place_.checkout = [project](const fs::path& directory) -> Status {
      fs::copy(kCases / project / "project", directory,
               fs::copy_options::recursive | fs::copy_options::overwrite_existing);
      return {};
    };
    const Json given = parse_json(text_of(kCases / project / "setup.json"), {}).value();
    options_ = check_options(given, kTestsJudge.options).value();
    auto found = discover_failing_tests(options_, context_);
    EXPECT_TRUE(found) << project << ": " << found.error().message;
    discovery_ = found.value_or(Discovery{});
    EXPECT_FALSE(discovery_.units.empty());
  }

  Judgement judge(const Answer& answer) const {
    const std::string bytes = serialise(answer.changes);
    JudgeTask task{options_, discovery_.units, discovery_.units};
    task.candidate = sha256_hex(bytes);
    task.bytes = bytes;
    task.media_type = kChangesMediaType;
    task.discovered = discovery_.discovered;
    return judge_closed(kTestsJudge, task, context_);
  }

 private:
  StopFlag stop_;
  Place place_;
  JudgeContext context_{place_, nullptr, stop_};
  Json options_;
  Discovery discovery_;
};

class Cheats : public ::testing::TestWithParam<std::string> {};

TEST_P(Cheats, HonestAnswersPassAndCheatsDoNot) {
  const Bench bench(GetParam());
  // LATHE_CHEATS=all: every answer; a name: that one, with what the judge says. Else one in three,
  // for the quick suite.
  const char* asked = std::getenv("LATHE_CHEATS");
  const std::string only = asked ? asked : "";
  std::size_t number = 0;
  std::map<std::string, int> kinds;
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(kCases / GetParam()))
    if (entry.path().extension() == ".answers") files.push_back(entry.path());
  for (const fs::path& file : files)
    for (const Answer& answer : answers_of(GetParam(), file)) {
      ++kinds[answer.kind];
      if (only.empty() ? ++number % 3 != 0 : only != "all" && only != answer.name) continue;
      const Judgement judgement = bench.judge(answer);
      const bool may_pass = answer.kind == "honest" || answer.known_to_pass;
      EXPECT_EQ(judgement.outcome == Outcome::kPass, may_pass)
          << answer.project << ": " << answer.kind << ' ' << answer.name << '\n'
          << dump_json(to_json(judgement)).substr(0, 1500);
      if (only == answer.name) std::cout << dump_json(to_json(judgement)) << '\n';
    }
  for (const char* kind :
       {"import", "exit", "framework", "report", "environment", "tools", "after", "special"})
    EXPECT_GE(kinds[kind], 4) << kind;
  EXPECT_GE(kinds["honest"], 12);
}

INSTANTIATE_TEST_SUITE_P(TestsJudge, Cheats, ::testing::ValuesIn(projects()),
                         [](const auto& test) { return test.param; });

// What is known to pass is told to the reader, and nothing else is.
TEST(CheatsThatPass, AreNamedInTheDocs) {
  const std::string page = text_of(LATHE_SOURCE_DIR "/docs/loop.md");
  std::set<std::string> known, told;
  for (const std::string& project : projects())
    for (const auto& entry : fs::directory_iterator(kCases / project))
      if (entry.path().extension() == ".answers")
        for (const Answer& answer : answers_of(project, entry.path()))
          if (answer.known_to_pass) known.insert(project + "/" + answer.name);
  for (const std::string_view line : split_lines(page))
    if (line.starts_with("| `") && line.contains("/"))
      told.emplace(line.substr(3, line.find('`', 3) - 3));
  EXPECT_EQ(known, told);
}

}  // namespace
}  // namespace lathe::loop
