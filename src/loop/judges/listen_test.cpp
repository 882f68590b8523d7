// The judge that has a model write a take down: what was heard beside what should be, with times
// and without, and that it only advises.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "loop/judges/judge.h"
#include "loop/senses/word_fault.h"

namespace lathe::loop {
namespace {

using ::testing::HasSubstr;

class Ears : public Worker {
 public:
  Result<Transcription> answer = Transcription{};
  std::vector<TranscriptOptions> seen;

  WorkerInfo info() const override { return {"ears", "whisper", "test", Reach::kLocal}; }
  Result<Reply> complete(const Request&, const StopFlag&,
                         const std::function<void(const Delta&)>&) override {
    return invalid("it only hears");
  }
  Result<Transcription> transcribe(const SoundRequest& asked, const StopFlag&) override {
    seen.push_back(asked.options);
    return answer;
  }

  void says(const std::string& text) {
    Transcription heard;
    heard.transcript.segments.emplace_back().text = text;
    heard.usage.prompt_tokens = 75;
    answer = heard;
  }
  void says(const std::vector<TranscriptWord>& words) {
    says("as words");
    answer->transcript.words = words;
  }
};

class ListenTest : public ::testing::Test {
 protected:
  Judgement judge(const std::string& line, Json options = Json::object()) {
    const JudgeKind& kind = *find_judge("listen");
    options["worker"] = "ears";
    const auto checked = check_options(options, kind.options);
    EXPECT_TRUE(checked);
    Unit unit;
    unit.key = "L1";
    unit.text = line;
    JudgeTask task{.options = *checked};
    task.units = std::span(&unit, 1);
    task.candidate = "c";
    task.bytes = "a sound";
    return judge_closed(kind, task, {.place = place_, .worker = &ears_, .stop = stop_});
  }
  std::vector<std::string> claims(const Judgement& judgement) {
    std::vector<std::string> all;
    for (const Critique& critique : judgement.critiques) all.push_back(critique.claim);
    return all;
  }

  Ears ears_;
  Place place_;
  StopFlag stop_;
};

TEST_F(ListenTest, HearsWithoutTheScriptAndAdvises) {
  ears_.says("Please put the kettle on the stove, at 5.");
  const Judgement judgement = judge("Please put the kettle on the stove at five.");
  EXPECT_EQ(judgement.outcome, Outcome::kAbstain) << "nobody has calibrated it";
  EXPECT_EQ(judgement.score, 1);
  EXPECT_EQ(judgement.usage.prompt_tokens, 75);
  ASSERT_EQ(ears_.seen.size(), 1U);
  EXPECT_EQ(ears_.seen[0].prompt, "") << "the script is not told";
  EXPECT_TRUE(ears_.seen[0].words);
}

TEST_F(ListenTest, NamesTheWordAndItsSecond) {
  ears_.says({{" Please", 0.2, 0.5},
              {" put", 0.5, 0.7},
              {" the", 0.7, 0.8},
              {" cattle", 0.8, 1.3},
              {" on", 1.3, 1.4},
              {" the", 1.4, 1.5},
              {" the", 1.5, 1.6}});
  const Judgement judgement = judge("Please put the kettle on the stove");
  EXPECT_THAT(claims(judgement),
              ::testing::ElementsAre("'kettle' is heard as another word", ::testing::_));
  const auto fault = parse_fault(judgement.critiques[0].locus, judgement.critiques[0].evidence);
  ASSERT_TRUE(fault) << "the maker of voices reads it";
  EXPECT_EQ(fault->word, "kettle");
  EXPECT_EQ(fault->heard, "cattle");
  EXPECT_DOUBLE_EQ(fault->start, 0.8);
  EXPECT_EQ(judgement.critiques[0].severity, "should");
  EXPECT_LT(judgement.score, 0.9);
  Json evidence = judgement.evidence;
  const auto exhibits = find_judge("listen")->exhibits(evidence);
  ASSERT_EQ(exhibits.size(), 1U);
  EXPECT_EQ(std::get<SoundExhibit>(exhibits[0]).words.size(), 7U);
}

TEST_F(ListenTest, MissingAndExtraWords) {
  ears_.says("put the old kettle on");
  const Judgement judgement = judge("Please put the kettle on");
  EXPECT_THAT(claims(judgement), ::testing::ElementsAre("'please' is not heard",
                                                        "'old' is heard and not in the line"));
  EXPECT_EQ(judgement.critiques[0].locus, "please") << "no times: no second";
  EXPECT_DOUBLE_EQ(judgement.score, 4.0 / 6);
}

TEST_F(ListenTest, SilenceIsNoWord) {
  const Judgement judgement = judge("Please.");
  EXPECT_EQ(judgement.score, 0);
  EXPECT_THAT(claims(judgement), ::testing::ElementsAre("'please' is not heard"));
}

TEST_F(ListenTest, WithoutAnAnswerThereIsNoAdvice) {
  ears_.answer = fail(ErrorKind::kUnavailable, "the server is gone");
  const Judgement gone = judge("Please.");
  EXPECT_EQ(gone.outcome, Outcome::kAbstain);
  EXPECT_THAT(why_no_advice(gone), HasSubstr("gone"));
  ears_.says("x");
  EXPECT_THAT(why_no_advice(judge("...")), HasSubstr("no word"));
  std::string endless;
  for (int i = 0; i < 3000; ++i) endless += "na ";
  ears_.says(endless);
  EXPECT_THAT(why_no_advice(judge("Hey.")), HasSubstr("3000 words"));
}

TEST_F(ListenTest, WorkersThatDoNotHearSaySo) {
  class Deaf : public Worker {
    WorkerInfo info() const override { return {"deaf", "m", "test", Reach::kLocal}; }
    Result<Reply> complete(const Request&, const StopFlag&,
                           const std::function<void(const Delta&)>&) override {
      return Reply{};
    }
  } deaf;
  const auto heard = static_cast<Worker&>(deaf).transcribe({}, stop_);
  ASSERT_FALSE(heard);
  EXPECT_THAT(heard.error().message, HasSubstr("worker deaf: hears no sounds"));
}

}  // namespace
}  // namespace lathe::loop
