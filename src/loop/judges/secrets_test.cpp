// The judge of secrets: what it says, and what it never shows.
#include <gmock/gmock.h>

#include "loop/judges/judge.h"

namespace lathe::loop {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(SecretsJudge, NamesThePlaceAndKeepsTheSecret) {
  const JudgeKind& kind = *find_judge("secrets");
  const Json options = Json::object();
  const Place place;
  const StopFlag stop;
  const auto run = [&](std::string_view bytes) {
    return judge_closed(kind, {.options = options, .candidate = "c", .bytes = bytes},
                        {.place = place, .stop = stop});
  };
  EXPECT_EQ(run("nothing here").outcome, Outcome::kPass);
  EXPECT_EQ(run("").outcome, Outcome::kPass);
  const Judgement found = run("one\ntwo\npassword = hunter2222\n");
  EXPECT_EQ(found.outcome, Outcome::kFail);
  EXPECT_EQ(found.score, 0);
  ASSERT_EQ(found.critiques.size(), 1U);
  EXPECT_EQ(found.critiques[0].locus, "line 3");
  EXPECT_EQ(found.critiques[0].claim, "holds a password");
  EXPECT_THAT(dump_json(to_json(found)), Not(HasSubstr("hunter")));
}

TEST(SecretsJudge, LooksThroughAllParts) {
  const JudgeKind& kind = *find_judge("secrets");
  const Json options = Json::object();
  const Place place;
  const StopFlag stop;
  std::vector<Part> parts(2);
  parts[0].unit.key = "a.txt";
  parts[1].unit.key = "b.txt";
  parts[1].bytes = "ftp://me:pa55word@box";
  const Judgement found = judge_closed(
      kind, {.options = options, .scope = Scope::kWhole, .candidate = "c", .parts = parts},
      {.place = place, .stop = stop});
  EXPECT_EQ(found.outcome, Outcome::kFail);
  ASSERT_EQ(found.critiques.size(), 1U);
  EXPECT_EQ(found.critiques[0].locus, "b.txt line 1");
}

// In a set of changes quotation marks are escaped: the file counts, and not how it is carried.
TEST(SecretsJudge, LooksIntoTheFilesOfChanges) {
  const JudgeKind& kind = *find_judge("secrets");
  const Json options = Json::object();
  const Place place;
  const StopFlag stop;
  const auto run = [&](std::string_view bytes) {
    return judge_closed(
        kind,
        {.options = options, .candidate = "c", .bytes = bytes, .media_type = kChangesMediaType},
        {.place = place, .stop = stop});
  };
  Changes changes;
  changes.files["old.py"] = std::nullopt;
  changes.files["src/a.py"] = "import os\nDB_PASSWORD = \"c0rrecthorse\"\n";
  const Judgement found = run(serialise(changes));
  EXPECT_EQ(found.outcome, Outcome::kFail);
  ASSERT_EQ(found.critiques.size(), 1U);
  EXPECT_EQ(found.critiques[0].locus, "src/a.py line 2");
  EXPECT_EQ(run("no changes").outcome, Outcome::kError);
}

}  // namespace
}  // namespace lathe::loop
