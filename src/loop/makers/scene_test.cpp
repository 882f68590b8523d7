// A scene's moves: each note of the eyes has one, notes of the ears go the voice's way, and both
// are answered at once.
#include <gmock/gmock.h>

#include "loop/makers/maker.h"
#include "loop/senses/script_scene.h"
#include "loop/senses/word_fault.h"

namespace lathe::loop {

extern const MakerKind kSceneMaker;

namespace {

using ::testing::HasSubstr;

Critique scene_note(const std::string& print) {
  return {"@ 1.00 s", "must", "wrong", "", print};
}

Critique slurred(const std::string& word) {
  const WordFault fault{word, 1, 1.5, "free air", "F UH R IY EY"};
  return {fault_locus(fault), "must", "not understood", fault_evidence(fault), "word:1:" + word};
}

class SceneMaker : public ::testing::Test {
 protected:
  std::optional<Proposal> propose() const {
    return kSceneMaker.propose({.options = options_, .ladder = ladder_, .attempts = attempts_});
  }
  void tried(const Proposal& proposal, std::vector<Critique> critiques) {
    Attempt attempt;
    attempt.rung = proposal.rung;
    attempt.setting = proposal.setting;
    attempt.made = true;
    attempt.score = 0.5;
    attempt.critiques = std::move(critiques);
    attempts_.push_back(std::move(attempt));
  }
  Json options_ = *check_options(Json::object(), kSceneMaker.options);
  std::vector<std::string> ladder_{"flite:rms", "flite:slt"};
  std::vector<Attempt> attempts_;
};

TEST_F(SceneMaker, AnswersEachNoteAndNothingElse) {
  const auto first = propose();
  ASSERT_TRUE(first);
  const std::pair<const char*, const char*> moves[] = {
      {"eyes:too_small:x", "larger"}, {"eyes:contrast:x", "stand out"},
      {"eyes:clipped:x", "smaller"},  {"eyes:missing:x", "smaller"},
      {"clip:reading:1", "hold"},     {"word:1:fourier", "dictionary"}};
  for (const auto& [print, reason] : moves) {
    attempts_.clear();
    tried(*first,
          {std::string_view(print).starts_with("word") ? slurred("fourier") : scene_note(print)});
    const auto next = propose();
    ASSERT_TRUE(next) << print;
    EXPECT_THAT(next->reason, HasSubstr(reason)) << print;
    EXPECT_NE(next->setting, first->setting) << print;
  }
  // The way of saying it stays while only the picture was wrong.
  attempts_.clear();
  tried(*first, {scene_note("eyes:contrast:x")});
  EXPECT_EQ(json_string(propose()->setting, "voice"), "flite:rms");
  EXPECT_EQ(propose()->rung, 0);
  // What the layout has no answer to is given up.
  attempts_.clear();
  tried(*first, {scene_note("clip:black:1")});
  EXPECT_FALSE(propose());
}

TEST_F(SceneMaker, AnswersEyesAndEarsAtOnce) {
  tried(*propose(), {slurred("fourier"), scene_note("eyes:too_small:x")});
  const auto next = propose();
  ASSERT_TRUE(next);
  EXPECT_EQ(next->setting["pronounce"]["fourier"], "F UH R IY EY");
  EXPECT_GT(next->setting["look"]["text_scale"].get<double>(), 1);
  EXPECT_THAT(next->reason, HasSubstr("larger letters"));
  // The next lap keeps what was learnt of the picture while another voice is tried.
  tried(*next, {slurred("fourier")});
  const auto voice = propose();
  ASSERT_TRUE(voice);
  EXPECT_EQ(voice->rung, 1);
  EXPECT_EQ(voice->setting["look"], next->setting["look"]);
}

TEST_F(SceneMaker, ComesToAnEnd) {
  for (const char* print : {"eyes:too_small:x", "eyes:missing:x", "clip:reading:1", "word"}) {
    attempts_.clear();
    int laps = 0;
    for (auto next = propose(); next && laps < 30; next = propose(), ++laps)
      tried(*next, {std::string_view(print) == "word" ? slurred("fourier") : scene_note(print)});
    EXPECT_LT(laps, 10) << print;
  }
}

TEST_F(SceneMaker, ChecksItsOptions) {
  EXPECT_TRUE(kSceneMaker.check(options_, ladder_));
  for (const Json& wrong : {Json{{"size", "1281x720"}}, Json{{"size", "wide"}},
                            Json{{"palette", "neon"}}, Json{{"text_size", 1}}, Json{{"pitch", 9}}})
    EXPECT_FALSE(kSceneMaker.check(*check_options(wrong, kSceneMaker.options), ladder_))
        << dump_json(wrong);
}

TEST(ScriptScene, IsReadAsPeopleWriteIt) {
  const auto scenes = script_scenes(
      "# Coffee\r\n- Fresh\n* Hot\nThe coffee\nis fresh.\n\n\n## Tea ##\n\nOnly said.\n");
  ASSERT_EQ(scenes.size(), 3U);
  EXPECT_EQ(scenes[0].phrases(), (std::vector<std::string>{"Coffee", "Fresh", "Hot"}));
  EXPECT_EQ(scenes[0].line, "The coffee is fresh.");
  EXPECT_TRUE(scenes[1].heading.starts_with("Tea"));
  EXPECT_EQ(scenes[2].line, "Only said.");
  EXPECT_TRUE(scenes[2].phrases().empty());
  EXPECT_EQ(reading_length({"Käse ab", "  9 %"}), 11U);
}

}  // namespace
}  // namespace lathe::loop
