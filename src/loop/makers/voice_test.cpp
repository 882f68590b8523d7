// The voice maker: moves by what was heard, pronunciations, options.
#include <gmock/gmock.h>

#include <cmath>

#include "ground/media/sound.h"
#include "loop/makers/maker.h"
#include "loop/senses/word_fault.h"

namespace lathe::loop {
namespace {

using ::testing::HasSubstr;

const std::vector<std::string> kLadder{"flite:rms", "flite:slt"};

Critique fault(const std::string& word, const std::string& heard, const std::string& dictionary) {
  const WordFault fault{word, 1, 1.5, heard, dictionary};
  return {fault_locus(fault), "must", "not understood", fault_evidence(fault), ""};
}

Attempt attempt_of(const Proposal& proposal, double score, std::vector<Critique> critiques) {
  Attempt attempt;
  attempt.move = proposal.move;
  attempt.rung = proposal.rung;
  attempt.setting = proposal.setting;
  attempt.made = true;
  attempt.score = score;
  attempt.critiques = std::move(critiques);
  return attempt;
}

class VoiceMaker : public ::testing::Test {
 protected:
  std::optional<Proposal> propose(const std::vector<std::string>& ladder = kLadder) {
    return find_maker("voice")->propose({.options = options_,
                                         .ladder = ladder,
                                         .units = units_,
                                         .attempts = attempts_,
                                         .best_of = 2,
                                         .repairs = 2});
  }
  Json options_ = *check_options(Json::object(), find_maker("voice")->options);
  std::vector<Unit> units_{{"L1", "The Fourier transform.", {}}};
  std::vector<Attempt> attempts_;
};

TEST_F(VoiceMaker, BeginsAsWritten) {
  const auto first = propose();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->move, Move::kSample);
  EXPECT_EQ(first->rung, 0);
  EXPECT_EQ(first->n, 2);
  EXPECT_EQ(json_string(first->setting, "voice"), "flite:rms");
}

// Dictionary, other voice with it, comma, end: the measured order, and finite.
TEST_F(VoiceMaker, GoesThroughTheRepairsInOrderAndEnds) {
  attempts_.push_back(attempt_of(*propose(), 0.6, {fault("fourier", "free air", "F UH R IY EY")}));
  const auto repair = propose();
  ASSERT_TRUE(repair);
  EXPECT_EQ(repair->move, Move::kRepair);
  EXPECT_EQ(repair->rung, 0);
  EXPECT_EQ(repair->setting["pronounce"]["fourier"], "F UH R IY EY");
  EXPECT_THAT(repair->reason, HasSubstr("heard 'free air' for 'fourier'"));

  attempts_.push_back(attempt_of(*repair, 0.7, {fault("fourier", "for", "F UH R IY EY")}));
  const auto other = propose();
  ASSERT_TRUE(other);
  EXPECT_EQ(other->move, Move::kEscalate);
  EXPECT_EQ(other->rung, 1);
  EXPECT_EQ(json_string(other->setting, "voice"), "flite:slt");
  EXPECT_EQ(other->setting["pronounce"]["fourier"], "F UH R IY EY");

  attempts_.push_back(attempt_of(*other, 0.5, {fault("transform", "trance", "")}));
  const auto comma = propose();
  ASSERT_TRUE(comma);
  EXPECT_EQ(comma->rung, 0);  // where it was best
  EXPECT_EQ(comma->setting["comma_before"], Json::array({"fourier"}));

  attempts_.push_back(attempt_of(*comma, 0.5, {fault("transform", "trance", "")}));
  EXPECT_FALSE(propose());
}

TEST_F(VoiceMaker, GivesReasonsThatMakeSense) {
  attempts_.push_back(attempt_of(*propose(), 0.6, {fault("nguyen", "nguyen", "W IH N")}));
  EXPECT_THAT(propose()->reason, ::testing::StartsWith("'nguyen' does not sound right: say it"));
}

TEST_F(VoiceMaker, TakesAnotherVoiceWhenTheDictionaryHelpsNothing) {
  attempts_.push_back(attempt_of(*propose(), 0.6, {fault("night", "might", "")}));
  EXPECT_EQ(propose()->move, Move::kEscalate);
  // Nothing was made, or the fault has no word.
  attempts_[0].made = false;
  attempts_[0].critiques.clear();
  EXPECT_EQ(propose()->move, Move::kEscalate);
}

TEST_F(VoiceMaker, HasVoicesOfItsOwnWhenTheLadderIsEmpty) {
  const auto first = propose({});
  ASSERT_TRUE(first);
  EXPECT_EQ(json_string(first->setting, "voice"), "flite:rms");
  int laps = 0;
  for (auto next = first; next && laps < 20; next = propose({}), ++laps)
    attempts_.push_back(attempt_of(*next, 0.5, {fault("x", "y", "K AE T")}));
  EXPECT_EQ(laps, 7);  // five voices, one repair, one comma
}

TEST_F(VoiceMaker, IsPure) {
  attempts_.push_back(attempt_of(*propose(), 0.6, {fault("fourier", "free", "F UH R IY EY")}));
  const auto once = propose(), again = propose();
  EXPECT_EQ(once->setting, again->setting);
  EXPECT_EQ(once->reason, again->reason);
}

TEST_F(VoiceMaker, ChecksVoicesAndOptions) {
  const MakerKind& kind = *find_maker("voice");
  const std::vector<std::string> wrong{"flite:rsm"};
  EXPECT_TRUE(kind.check(options_, kLadder));
  EXPECT_THAT(kind.check(options_, wrong).error().message, HasSubstr("flite:rms"));
  Json options = options_;
  options["pronounce"] = {{"Kubernetes", "k uw b er n eh t iy z"}};
  EXPECT_TRUE(kind.check(options, kLadder));
  options["pronounce"] = {{"Kubernetes", "coo ber"}};
  EXPECT_THAT(kind.check(options, kLadder).error().message, HasSubstr("Kubernetes"));
  options = options_;
  options["stretch"] = 9;
  EXPECT_FALSE(kind.check(options, kLadder));
}

TEST_F(VoiceMaker, SaysNothingForALineWithoutWords) {
  const std::vector<Unit> units{{"L1", "— … —", {}}};
  Place place;
  place.program = "/no/such/program";
  const StopFlag stop;
  MakeTask task{options_, units};
  const auto made = find_maker("voice")->make(task, {.place = place, .stop = stop});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind, ErrorKind::kInvalid);
  EXPECT_THAT(made.error().message, HasSubstr("nothing to say"));
}

// Answers each text with the next of its sounds or errors, the last again and again.
class Narrator final : public Worker {
 public:
  explicit Narrator(std::vector<Result<SpokenFile>> answers) : answers_(std::move(answers)) {}
  WorkerInfo info() const override { return {"narrator", "m", "here", Reach::kLocal}; }
  Result<Reply> complete(const Request&, const StopFlag&,
                         const std::function<void(const Delta&)>&) override {
    return invalid("it only speaks");
  }
  Result<SpokenFile> speak(const SpeechRequest& asked, const StopFlag&) override {
    const auto& answer = answers_[std::min(seen.size(), answers_.size() - 1)];
    seen.push_back(asked);
    return answer;
  }
  std::vector<SpeechRequest> seen;

 private:
  std::vector<Result<SpokenFile>> answers_;
};

// A second of a tone, as samples of some rate.
std::string tone_samples(int rate) {
  std::string samples;
  for (int i = 0; i < rate; ++i) {
    const auto value = static_cast<std::int16_t>(8000 * std::sin(i * 440 * 6.2831853 / rate));
    samples += static_cast<char>(value & 0xff);
    samples += static_cast<char>(value >> 8 & 0xff);
  }
  return samples;
}

SpokenFile spoken_file_of(std::string bytes, int raw_rate = 0) {
  SpokenFile file;
  file.file = std::move(bytes);
  file.raw_rate = raw_rate;
  file.model = "m-1";
  file.usage.calls = 1;
  return file;
}

class WorkerVoice : public VoiceMaker {
 protected:
  Result<Made> make(Worker* worker, const Json& options, const Json& setting, int n = 0) {
    const Json checked = *check_options(options, find_maker("voice")->options);
    MakeTask task{checked, units_};
    task.lap = 2;
    task.n_index = n;
    task.rung = "narrator";
    task.setting = setting;
    place_.program = "/proc/self/exe";
    const StopFlag stop;
    return find_maker("voice")->make(
        task, {.place = place_, .worker = worker, .stop = stop, .usage = &usage_});
  }
  Place place_;
  Usage usage_;
};

TEST_F(WorkerVoice, AsksForTheLineAndMakesATakeOfIt) {
  const std::string samples = tone_samples(24000);
  Narrator narrator({spoken_file_of(wav_head(48000, 24000) + samples)});
  const auto made = make(&narrator, {{"voices", {{"narrator", "alloy"}}}, {"language", "english"}},
                         {{"seed", 2000}, {"comma_before", {"transform"}}}, 1);
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_EQ(narrator.seen.size(), 1U);
  EXPECT_EQ(narrator.seen[0].text, "The Fourier, transform.");
  EXPECT_EQ(narrator.seen[0].voice, "alloy");
  EXPECT_EQ(narrator.seen[0].language, "english");
  EXPECT_EQ(narrator.seen[0].seed, 2001);
  EXPECT_EQ(narrator.seen[0].speed, 1);
  // 16 kHz, a quarter of a second of silence on each side.
  EXPECT_EQ(made->media_type, "audio/wav");
  EXPECT_NEAR(static_cast<double>(made->bytes.size() - 44) / 2 / kSoundRate, 1.5, 0.01);
  EXPECT_EQ(made->facts["voice"], "narrator (alloy)");
  EXPECT_EQ(made->facts["model"], "m-1");
  EXPECT_EQ(made->facts["seed"], 2001);
  EXPECT_EQ(usage_.calls, 1);
  // Samples without a head are the same sound.
  Narrator raw({spoken_file_of(samples, 24000)});
  EXPECT_EQ(make(&raw, Json::object(), Json::object())->bytes, made->bytes);
  EXPECT_EQ(raw.seen[0].voice, "");
  EXPECT_EQ(raw.seen[0].seed, 2000);
}

TEST_F(WorkerVoice, NoTakeIsMadeOfWhatIsNoSound) {
  Narrator noise({spoken_file_of("RIFF and nothing more"), spoken_file_of(wav_head(0, 24000)),
                  fail(ErrorKind::kUnavailable, "it is away")});
  const auto unreadable = make(&noise, Json::object(), Json::object());
  ASSERT_FALSE(unreadable);
  EXPECT_EQ(unreadable.error().kind, ErrorKind::kInvalid);
  EXPECT_THAT(unreadable.error().message, HasSubstr("what narrator spoke"));
  EXPECT_FALSE(make(&noise, Json::object(), Json::object()));
  const auto away = make(&noise, Json::object(), Json::object());
  ASSERT_FALSE(away);
  EXPECT_EQ(away.error().kind, ErrorKind::kUnavailable);
  EXPECT_FALSE(make(nullptr, Json::object(), Json::object()));
}

TEST_F(WorkerVoice, IsAskedAgainWithOtherSeedsAndThenAVoiceIsTaken) {
  const std::vector<std::string> ladder{"narrator", "flite:slt"};
  EXPECT_TRUE(asks_worker(*find_maker("voice"), "narrator"));
  EXPECT_FALSE(asks_worker(*find_maker("voice"), "flite:slt"));
  const auto after = [&](const Proposal& proposal) {
    attempts_.push_back(attempt_of(proposal, 0.6, {fault("fourier", "free", "F UH R IY EY")}));
    attempts_.back().lap = static_cast<int>(attempts_.size());
  };
  const auto first = propose(ladder);
  EXPECT_EQ(first->setting["seed"], 1000);
  after(*first);
  for (const int seed : {2000, 3000}) {
    const auto next = propose(ladder);
    ASSERT_TRUE(next);
    EXPECT_EQ(next->move, Move::kResample);
    EXPECT_EQ(next->rung, 0);
    EXPECT_EQ(next->setting["seed"], seed);
    EXPECT_THAT(next->reason, HasSubstr("another seed"));
    after(*next);
  }
  const auto voice = propose(ladder);
  ASSERT_TRUE(voice);
  EXPECT_EQ(voice->move, Move::kEscalate);
  EXPECT_EQ(voice->rung, 1);
  EXPECT_FALSE(voice->setting.contains("seed"));
  EXPECT_EQ(voice->setting["pronounce"]["fourier"], "F UH R IY EY");
  // A worker that made nothing is not asked for the same again.
  attempts_.resize(1);
  attempts_[0].made = false;
  EXPECT_EQ(propose(ladder)->rung, 1);
}

TEST_F(WorkerVoice, VoicesAreThoseOfWorkersInTheLadder) {
  const MakerKind& kind = *find_maker("voice");
  const std::vector<std::string> ladder{"narrator", "flite:slt"};
  Json options = options_;
  options["voices"] = {{"narrator", "alloy"}};
  EXPECT_TRUE(kind.check(options, ladder));
  EXPECT_THAT(kind.check(options, kLadder).error().message, HasSubstr("voices.narrator"));
  options["voices"] = {{"narrator", 3}};
  EXPECT_FALSE(kind.check(options, ladder));
}

// Nothing is spoken of a line that the hook does not pass; no voice is started here.
TEST_F(VoiceMaker, SpeaksNothingThatTheHookHoldsBack) {
  const auto options =
      check_options({{"hook", {"rules:no_secrets"}}}, find_maker("voice")->options);
  ASSERT_TRUE(options);
  const std::vector<Unit> units{{"L1", "The password is hunter22.", {}}};
  const MakeTask task{.options = *options, .units = units, .rung = "flite:rms"};
  const Place place;
  const StopFlag stop;
  const auto made = find_maker("voice")->make(task, {.place = place, .stop = stop});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind, ErrorKind::kDenied);
  EXPECT_THAT(made.error().message, HasSubstr("rules:no_secrets"));
  EXPECT_THAT(made.error().message, ::testing::Not(HasSubstr("hunter")));
}

}  // namespace
}  // namespace lathe::loop
