// The ears judge on takes that are spoken here: good ones, spoiled ones, other languages.
#include "loop/judges/ears.h"

#include <gmock/gmock.h>

#include "ground/base/hash.h"
#include "ground/base/text.h"
#include "loop/senses/spoken.h"
#include "loop/senses/voice.h"
#include "loop/senses/word_fault.h"

namespace lathe::loop {
namespace {

using ::testing::HasSubstr;

const StopFlag kGo;
constexpr Milliseconds kLimit{120'000};

// Words with made-up phones: each letter is a sound, so that equal spelling is equal sound.
Hearing hearing_of(const std::vector<std::string>& expected,
                   const std::vector<std::string>& heard) {
  Hearing hearing;
  hearing.aligned = true;
  for (const std::string& word : expected) {
    ExpectedWord one;
    one.word = word;
    one.in_dictionary = true;
    one.pronunciations = {word};
    one.voice_says = word;
    hearing.expected.push_back(one);
  }
  double at = 0;
  for (const std::string& word : heard) {
    hearing.heard.push_back({word, word, at, at + 0.3, 1});
    at += 0.3;
  }
  return hearing;
}

std::string signs(const std::vector<AlignedWord>& words) {
  std::string out;
  for (const AlignedWord& word : words) out += "=x-+"[static_cast<int>(word.match)];
  return out;
}

TEST(EarsAlign, MarksRightWrongMissingAndExtraWords) {
  const auto align = [](const char* expected, const char* heard) {
    return signs(align_words(hearing_of(words_of(expected), words_of(heard))));
  };
  EXPECT_EQ(align("a b c", "a b c"), "===");
  EXPECT_EQ(align("a b c", "a x c"), "=x=");
  EXPECT_EQ(align("a b c", "a c"), "=-=");
  EXPECT_EQ(align("a b c", "a b x c"), "==+=");
  EXPECT_EQ(align("a b c", ""), "---");
  EXPECT_EQ(align("", "a b"), "++");
  EXPECT_EQ(align("", ""), "");
  EXPECT_EQ(align("a b a b", "a b"), "--==");
}

TEST(EarsAlign, TakesWordsThatSoundTheSameForTheSame) {
  Hearing hearing = hearing_of({"four", "everyone's", "dr"}, {"fore", "everyones", "doctor"});
  hearing.heard[0].phones = hearing.expected[0].pronunciations[0] = "F AO R";
  hearing.heard[2].phones = "D AA K T ER";
  hearing.expected[2].pronunciations = {"D R AY V", "D AA K T ER"};
  EXPECT_EQ(signs(align_words(hearing)), "===");
}

TEST(EarsAlign, JoinsWordsThatAreWrittenApart) {
  EXPECT_EQ(signs(align_words(hearing_of({"every", "one", "came"}, {"everyone", "came"}))), "==");
  EXPECT_EQ(signs(align_words(hearing_of({"away", "we", "go"}, {"a", "way", "we", "go"}))), "===");
  EXPECT_EQ(signs(align_words(hearing_of({"a", "b"}, {"c", "d"}))), "xx");
}

TEST(EarsAlign, GivesAMissingWordThePlaceWhereItShouldBe) {
  const auto words = align_words(hearing_of({"a", "b", "c"}, {"a", "c"}));
  EXPECT_EQ(words[1].expected, "b");
  EXPECT_DOUBLE_EQ(words[1].start, 0.3);
  EXPECT_DOUBLE_EQ(words[1].end, 0.3);
}

Decoded take_of(Sound sound) {
  Decoded take;
  take.sound = std::move(sound);
  take.source_rate = kSoundRate;
  take.source_channels = 1;
  return take;
}

// Eight bursts in 2.4 s, loud enough to be taken for speech.
Sound bursts() {
  Sound sound;
  for (int i = 0; i < static_cast<int>(2.4 * kSoundRate); ++i)
    sound.samples.push_back(
        static_cast<std::int16_t>(i % 4800 < 4000 ? 6000 * std::sin(i * 0.3) : i % 3 - 1));
  return padded(sound, 0.25);
}

Finding words_of_bursts(Hearing hearing) {
  for (HeardWord& word : hearing.heard) {
    word.start += 0.25;
    word.end += 0.25;
  }
  for (ExpectedWord& word : hearing.expected) word.pronunciations = {"B AH D", word.word};
  for (HeardWord& word : hearing.heard) word.phones = word.word;
  return judge_words(take_of(bursts()), std::move(hearing), "", kWordsHeardLimits);
}

TEST(EarsScore, CapsAnyWrongWordBelowNineOfTen) {
  const std::vector<std::string> line{"a", "b", "c", "d", "e", "f", "g", "h"};
  EXPECT_DOUBLE_EQ(words_of_bursts(hearing_of(line, line)).score, 1);
  auto heard = line;
  heard[3] = "x";
  const Finding one = words_of_bursts(hearing_of(line, heard));
  EXPECT_DOUBLE_EQ(one.score, 1 - 1.0 / 8);
  ASSERT_EQ(one.critiques.size(), 1U);
  EXPECT_EQ(one.critiques[0].locus, "d @ 1.15-1.45 s");
  EXPECT_THAT(one.critiques[0].evidence, HasSubstr("heard 'x'"));
  // In a line of 30 words one wrong one is 0.97 by counting: still no nine.
  std::vector<std::string> longer;
  for (int i = 0; i < 30; ++i) longer.push_back(std::string(1, static_cast<char>('a' + i % 26)));
  auto spoilt = longer;
  spoilt[7] = "x";
  EXPECT_LE(words_of_bursts(hearing_of(longer, spoilt)).score, 0.89);
}

TEST(EarsScore, HasTheSameFingerprintForTheSameFault) {
  const std::vector<std::string> line{"a", "b", "c"};
  const Finding first = words_of_bursts(hearing_of(line, {"a", "x", "c"}));
  const Finding second = words_of_bursts(hearing_of(line, {"a", "y", "c"}));
  ASSERT_FALSE(first.critiques.empty() || second.critiques.empty());
  EXPECT_EQ(first.critiques[0].fingerprint, second.critiques[0].fingerprint);
}

TEST(EarsScore, DoubtsAWordThatOnlyTheScriptMakesRight) {
  const std::vector<std::string> line{"a", "b", "c", "d", "e", "f", "g", "h"};
  Hearing hearing = hearing_of(line, line);
  hearing.expected[4].acoustic = -36;
  const Finding finding = words_of_bursts(std::move(hearing));
  EXPECT_LE(finding.score, 0.89);
  EXPECT_THAT(finding.critiques[0].locus, HasSubstr("e @"));
}

TEST(EarsScore, NamesTheDictionaryOnlyWhereTheVoiceSaysItOtherwise) {
  Hearing hearing = hearing_of({"fourier", "b"}, {"free", "b"});
  hearing.expected[0].pronunciations = {"F UH R IY EY"};
  hearing.expected[0].voice_says = "F R IY ER";
  const Decoded take = take_of(bursts());
  const SignalFacts facts = signal_facts(take.sound);
  const Finding finding = score_words(heard_take(take, facts, hearing, ""));
  ASSERT_FALSE(finding.critiques.empty());
  EXPECT_EQ(finding.critiques[0].evidence, "heard 'free'; dictionary: F UH R IY EY");
}

TEST(EarsScore, MarksAWordWhosePronunciationRestsOnRules) {
  Hearing hearing = hearing_of({"zorb", "b"}, {"zorb", "b"});
  hearing.expected[0].in_dictionary = false;
  const Finding finding = words_of_bursts(std::move(hearing));
  EXPECT_EQ(json_string(finding.evidence["words"][0], "pronunciation"), "not verified");
  EXPECT_FALSE(finding.evidence["words"][1].contains("pronunciation"));

  Hearing agreed = hearing_of({"zorb", "b"}, {"zorb", "b"});
  agreed.expected[0].in_dictionary = false;
  agreed.expected[0].second_opinion = "B AH T";  // one sound off
  EXPECT_EQ(json_string(words_of_bursts(agreed).evidence["words"][0], "pronunciation"),
            "two engines agree");
  agreed.expected[0].second_opinion = "K AE T";
  EXPECT_EQ(json_string(words_of_bursts(agreed).evidence["words"][0], "pronunciation"),
            "not verified");
}

// What nobody could verify is said, and asked for where it went wrong.
TEST(EarsScore, AsksForThePhonesOfWordsInNoDictionary) {
  const std::vector<std::string> line{"a", "zorb", "b", "c", "d", "e", "f", "g"};
  const auto judged = [&](const std::vector<std::string>& heard) {
    Hearing hearing = hearing_of(line, heard);
    hearing.expected[1].in_dictionary = false;
    return words_of_bursts(std::move(hearing));
  };
  const Finding passed = judged(line);
  EXPECT_DOUBLE_EQ(passed.score, 1);
  EXPECT_EQ(json_string(passed.evidence, "caveat"), "1 word not verified: zorb");
  EXPECT_EQ(passed.evidence["not_verified"], Json::array({"zorb"}));

  const std::string wish = "'zorb' is in no dictionary, give its phones under [make.pronounce]";
  const Finding wrong = judged({"a", "orb", "b", "c", "d", "e", "f", "g"});
  EXPECT_EQ(wrong.critiques[0].claim, "the word 'zorb' is not understood: " + wish);
  // Its neighbour went wrong.
  const Finding beside = judged({"a", "zorb", "x", "c", "d", "e", "f", "g"});
  EXPECT_THAT(beside.critiques, ::testing::Contains(::testing::Field(&Critique::claim, wish)));
}

TEST(EarsScore, SaysThatAWordOnlySoundsWrong) {
  const std::vector<std::string> line{"a", "b", "c", "d", "e", "f", "g", "h"};
  Hearing hearing = hearing_of(line, line);
  hearing.expected[4].acoustic = -36;
  EXPECT_EQ(words_of_bursts(std::move(hearing)).critiques[0].claim,
            "'e' does not sound as it should");
}

TEST(EarsScore, CountsTakesThatWereHeardBefore) {
  const std::vector<std::string> words{"a", "b", "c"};
  Coverage coverage(2);
  EXPECT_FALSE(add_heard(coverage, 0, words, {}));
  Judgement judgement;
  judgement.evidence = words_of_bursts(hearing_of(words, {"a", "x", "c"})).evidence;
  EXPECT_FALSE(add_heard(coverage, 0, std::vector<std::string>{"a", "b"}, {{judgement}}));
  EXPECT_TRUE(add_heard(coverage, 0, words, {{judgement}}));
  EXPECT_EQ(coverage.words[0], 3);
  EXPECT_EQ(coverage.heard[0], 2);
}

TEST(EarsScore, CountsWhatOfTheScriptWasHeard) {
  const std::vector<std::string> lines{"a b", "c d e", "f g"};
  Coverage coverage(3);
  add_coverage(coverage, hearing_of({"a", "b", "c", "d", "e"}, {"a", "b", "c"}), {0, 0, 1, 1, 1});
  add_coverage(coverage, hearing_of({"f", "g"}, {"f", "g"}), {2, 2});
  const Finding finding = score_cover(coverage, lines);
  EXPECT_DOUBLE_EQ(finding.score, 5.0 / 7);
  ASSERT_EQ(finding.critiques.size(), 1U);
  EXPECT_EQ(finding.critiques[0].locus, "c d e");
  EXPECT_DOUBLE_EQ(score_cover(Coverage(0), {}).score, 0);
}

TEST(EarsScore, GivesThePriorInBlocks) {
  std::vector<Unit> units;
  for (int i = 0; i < 250; ++i)
    units.push_back({fmt::format("L{}", i), fmt::format("line {}", i), {}});
  EXPECT_EQ(script_block(units, 0).size(), 100U);
  EXPECT_EQ(script_block(units, 199), script_block(units, 100));
  EXPECT_EQ(script_block(units, 249).size(), 50U);
  EXPECT_EQ(script_block(units, 7)[7], words_of("line seven"));
}

// The whole judge, with real voices and the real ear.
class EarsJudge : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    place_.program = "/proc/self/exe";
    place_.media = std::make_shared<MediaPool>(place_.program, 1);
  }
  static void TearDownTestSuite() { place_.media.reset(); }

  static Sound say(const std::string& text, const std::string& voice = "flite:rms") {
    const auto take = speak_take(*place_.media, spoken_text(text), {.voice = voice}, kLimit, kGo);
    EXPECT_TRUE(take) << take.error().message;
    return take ? *take : Sound{};
  }

  static Judgement judge(const std::string& bytes, const std::string& expected, Json given = {}) {
    if (given.is_null()) given = Json::object();
    const auto options = check_options(given, kEarsJudge.options);
    EXPECT_TRUE(options);
    const std::vector<Unit> units{{"L1", expected, {}}};
    JudgeTask task{.options = *options, .units = units, .all_units = script_};
    task.candidate = sha256_hex(bytes);
    task.bytes = bytes;
    return judge_closed(kEarsJudge, task, {.place = place_, .stop = kGo});
  }

  static inline Place place_;
  static inline const std::vector<Unit> script_{
      {"L1", "The bridge was closed because of heavy snow.", {}},
      {"L2", "Our network transfers 40 gigabytes per second.", {}},
      {"L3", "Sophia borrowed a ladder from her neighbor.", {}}};
};

TEST_F(EarsJudge, AcceptsGoodTakes) {
  for (const Unit& unit : script_)
    for (const char* voice : {"flite:rms", "flite:slt"}) {
      const Judgement judgement = judge(wav_bytes(say(unit.text, voice)), unit.text);
      EXPECT_EQ(judgement.outcome, Outcome::kPass) << voice << dump_json(to_json(judgement));
      EXPECT_EQ(judgement.evidence["words"].size(), words_of(spoken_text(unit.text)).size());
    }
}

// German words that happen to be surnames in the dictionary make no line verified.
TEST_F(EarsJudge, JudgesEnglishOnly) {
  const std::string line = "Guten Morgen, meine Damen und Herren.";
  const Judgement judgement = judge(wav_bytes(say(line)), line);
  EXPECT_EQ(judgement.outcome, Outcome::kError);
  EXPECT_EQ(json_string(judgement.evidence, "not_judged"),
            "ears: the line seems to be in German: voice and ear know English only");
}

// flite would spell these names out.
TEST_F(EarsJudge, AcceptsNamesWhosePhonesAreGiven) {
  const Json pronounce{{"Nguyen", "n uw y eh n"}, {"Tchaikovsky", "ch ay k ao f s k iy"}};
  const std::string line = "Ask Nguyen about the music of Tchaikovsky.";
  std::map<std::string, std::string> given;
  for (const auto& [word, phones] : pronounce.items())
    given[to_lower_ascii(word)] = phones.get<std::string>();
  const auto take = speak_take(*place_.media, spoken_text(line),
                               {.voice = "flite:rms", .pronounce = given}, kLimit, kGo);
  ASSERT_TRUE(take) << take.error().message;
  const Judgement judgement = judge(wav_bytes(*take), line, {{"pronounce", pronounce}});
  EXPECT_EQ(judgement.outcome, Outcome::kPass) << dump_json(to_json(judgement));
  EXPECT_FALSE(judgement.evidence.contains("not_verified"));
}

TEST_F(EarsJudge, RejectsSpoiledTakesAndNamesTheWord) {
  const std::array<std::array<std::string, 3>, 5> spoiled{
      {{script_[0].text, "The bridge was open because of heavy snow.", "closed @"},
       {script_[0].text, "The bridge closed because of heavy snow.", "was @"},
       {script_[1].text, "Our network transfers 90 gigabytes per second.", "forty @"},
       {script_[1].text, "Our network transfers gigabytes per second.", "forty @"},
       {script_[2].text, "Sophia borrowed a long ladder from her neighbor.", "long @"}}};
  for (const auto& [line, said, word] : spoiled) {
    const Judgement judgement = judge(wav_bytes(say(said)), line);
    EXPECT_EQ(judgement.outcome, Outcome::kFail) << said;
    EXPECT_LT(judgement.score, 0.9);
    EXPECT_THAT(judgement.critiques,
                ::testing::Contains(::testing::Field(&Critique::locus, HasSubstr(word))))
        << said << dump_json(to_json(judgement));
  }
}

TEST_F(EarsJudge, RejectsACutEndADropoutAndClipping) {
  const std::string line = script_[2].text;
  const Sound good = say(line);
  const SignalFacts facts = signal_facts(good);
  const auto at = [](double s) { return static_cast<std::ptrdiff_t>(s * kSoundRate); };
  Sound cut = good, hole = good;
  cut.samples.resize(static_cast<std::size_t>(at(facts.speech_end * 0.85)));
  const Judgement cut_end = judge(wav_bytes(cut), line);
  EXPECT_EQ(cut_end.outcome, Outcome::kFail);
  EXPECT_THAT(dump_json(to_json(cut_end)), HasSubstr("neighbor @"));

  std::fill(hole.samples.begin() + at(1.0), hole.samples.begin() + at(1.4), std::int16_t{0});
  EXPECT_EQ(judge(wav_bytes(hole), line).outcome, Outcome::kFail);
  EXPECT_EQ(judge(wav_bytes(hole), line, {{"check", "audio_facts"}}).outcome, Outcome::kFail);

  const std::string clipped = wav_bytes(with_gain(good, 30));
  EXPECT_EQ(judge(clipped, line, {{"check", "audio_facts"}}).outcome, Outcome::kFail);
  EXPECT_EQ(judge(wav_bytes(good), line, {{"check", "audio_facts"}}).outcome, Outcome::kPass);
  EXPECT_EQ(
      judge(wav_bytes(good), line, {{"check", "audio_facts"}, {"limits", {{"lufs", {-10, -5}}}}})
          .outcome,
      Outcome::kFail);
}

TEST_F(EarsJudge, FailsFilesThatAreNoSpeech) {
  const Json facts{{"check", "audio_facts"}};
  const std::string line = script_[0].text;
  for (const std::string& bytes : {std::string(), std::string("no sound at all"),
                                   wav_bytes({std::vector<std::int16_t>(32000)}), wav_bytes({}),
                                   wav_bytes({std::vector<std::int16_t>(3, 100)})}) {
    EXPECT_EQ(judge(bytes, line).outcome, Outcome::kFail) << bytes.size();
    EXPECT_EQ(judge(bytes, line, facts).outcome, Outcome::kFail) << bytes.size();
  }
}

TEST_F(EarsJudge, JudgesNothingWhenItsWorkerDies) {
  Place broken = place_;
  broken.media = nullptr;
  broken.program = "/bin/false";
  const std::string bytes = wav_bytes(say("Stop."));
  const auto options = check_options(Json::object(), kEarsJudge.options);
  const std::vector<Unit> units{{"L1", "Stop.", {}}};
  JudgeTask task{.options = *options, .units = units, .all_units = units};
  task.candidate = sha256_hex(bytes);
  task.bytes = bytes;
  const Judgement judgement = judge_closed(kEarsJudge, task, {.place = broken, .stop = kGo});
  EXPECT_EQ(judgement.outcome, Outcome::kError);
  EXPECT_TRUE(judgement.critiques.empty());
}

TEST_F(EarsJudge, HearsTheWholeNarrationAndNamesAMissingLine) {
  const auto options = check_options({{"check", "script_cover"}}, kEarsJudge.options);
  const auto cover = [&](bool with_second) {
    std::vector<Part> parts;
    for (const Unit& unit : script_) {
      Part part;
      part.unit = unit;
      part.passed = true;
      if (with_second || unit.key != "L2") part.bytes = wav_bytes(say(unit.text));
      parts.push_back(std::move(part));
    }
    JudgeTask task{.options = *options, .units = script_, .all_units = script_};
    task.scope = Scope::kWhole;
    task.parts = parts;
    return judge_closed(kEarsJudge, task, {.place = place_, .stop = kGo});
  };
  const Judgement whole = cover(true);
  EXPECT_EQ(whole.outcome, Outcome::kPass) << dump_json(to_json(whole));
  const Judgement gap = cover(false);
  EXPECT_EQ(gap.outcome, Outcome::kFail);
  ASSERT_EQ(gap.critiques.size(), 1U);
  EXPECT_EQ(gap.critiques[0].locus, script_[1].text);
}

TEST(EarsOptions, AreChecked) {
  const auto problem = [](const Json& given) {
    const auto options = check_options(given, kEarsJudge.options);
    if (!options) return options.error().message;
    const Status fine = kEarsJudge.check(*options);
    return fine ? std::string() : fine.error().message;
  };
  EXPECT_EQ(problem({{"limits", {{"clip", 0}, {"silence_s", 0.6}, {"lufs", {-26, -12}}}}}), "");
  EXPECT_THAT(problem({{"check", "words"}}), HasSubstr("words_heard"));
  EXPECT_THAT(problem({{"limits", {{"loud", 3}}}}), HasSubstr("loud"));
  EXPECT_THAT(problem({{"limits", {{"lufs", {1}}}}}), HasSubstr("[low, high]"));
  EXPECT_THAT(problem({{"pronounce", {{"x", "not phones"}}}}), HasSubstr("pronounce.x"));
  EXPECT_EQ(problem({{"pronounce", {{"Kubernetes", "k uw b er n eh t iy z"}}}}), "");
}

}  // namespace
}  // namespace lathe::loop
