// The voice maker: moves by what was heard, pronunciations, options.
#include <gmock/gmock.h>

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
