// What judges show of the evidence that runs of lathe 0.1 left.
#include <gmock/gmock.h>

#include <testing/stored_journal.h>

#include "loop/judges/judge.h"

namespace lathe::loop {
namespace {

// The evidence of the verdict `seq` of a stored run.
Json evidence_of(const std::string& name, std::int64_t seq) {
  const Json record = parse_json(stored_lines(name)[static_cast<std::size_t>(seq)]).value();
  EXPECT_EQ(json_int(record, "seq", -1), seq);
  return record["body"]["judgement"]["evidence"];
}

std::vector<Exhibit> shown_by(std::string_view judge, Json& evidence) {
  return find_judge(judge)->exhibits(evidence);
}

TEST(ExhibitsTest, APictureIsShownWithItsBoxesAndItsHeat) {
  Json evidence = evidence_of("pictures", 8);
  const std::string png = evidence["views"][0]["png"];
  const auto exhibits = shown_by("same_as", evidence);
  ASSERT_EQ(exhibits.size(), 3U);
  const auto& candidate = std::get<PictureExhibit>(exhibits[0]);
  EXPECT_TRUE(candidate.of_candidate());
  EXPECT_EQ(candidate.boxes.size(), 6U);
  EXPECT_TRUE(candidate.boxes[0].empty());  // of the whole: it has a number and no place
  const auto& difference = std::get<PictureExhibit>(exhibits[1]);
  EXPECT_EQ(difference.title, "difference from the reference");
  EXPECT_EQ(difference.base64, png);
  EXPECT_EQ(difference.width, 96);
  EXPECT_EQ(difference.boxes[1].x, 32);
  EXPECT_EQ(difference.heat.columns, 3);
  EXPECT_EQ(difference.heat.rows, 2);
  EXPECT_EQ(difference.heat.values.size(), 6U);
  EXPECT_EQ(std::get<PictureExhibit>(exhibits[2]).title, "the reference");
  EXPECT_FALSE(evidence.contains("views"));  // shown, so not read
  EXPECT_TRUE(evidence.contains("findings"));
}

TEST(ExhibitsTest, AHeatMapThatDoesNotFitIsNone) {
  Json evidence = evidence_of("pictures", 8);
  evidence["views"][0]["heat"]["columns"] = 7;
  EXPECT_TRUE(std::get<PictureExhibit>(shown_by("same_as", evidence)[1]).heat.values.empty());
}

TEST(ExhibitsTest, TheEyesKnowTheCandidatesSize) {
  Json evidence = evidence_of("pictures", 6);
  const auto exhibits = shown_by("eyes", evidence);
  ASSERT_EQ(exhibits.size(), 2U);
  EXPECT_EQ(std::get<PictureExhibit>(exhibits[0]).width, 96);
  EXPECT_EQ(std::get<PictureExhibit>(exhibits[0]).height, 64);
}

TEST(ExhibitsTest, AWordThatWasHeardOtherwiseIsMarked) {
  Json evidence = evidence_of("voice", 17);
  const auto exhibits = shown_by("ears", evidence);
  ASSERT_EQ(exhibits.size(), 1U);
  const auto& words = std::get<SoundExhibit>(exhibits[0]).words;
  ASSERT_GT(words.size(), 2U);
  EXPECT_EQ(words[1].expected, "fourier");
  EXPECT_EQ(words[1].heard, "your");
  EXPECT_EQ(words[1].match, "wrong");
  EXPECT_EQ(words[1].start, 0.58);
  // The signal alone has no words, nor has the narration as a whole.
  for (const std::int64_t seq : {16, 29}) {
    Json other = evidence_of("voice", seq);
    EXPECT_TRUE(shown_by("ears", other).empty()) << seq;
  }
}

TEST(ExhibitsTest, NoEvidenceBreaksThem) {
  for (const JudgeKind* kind : judge_kinds()) {
    if (!kind->exhibits) continue;
    for (
        const char* text :
        {"{}", R"({"views": 3, "findings": "x", "words": {"a": 1}, "picture": []})",
         R"({"views": [1, {"heat": {"columns": 1, "rows": 1, "values": ["x"]}}], "words": [0]})"}) {
      Json evidence = parse_json(text).value();
      kind->exhibits(evidence);
    }
  }
}

}  // namespace
}  // namespace lathe::loop
