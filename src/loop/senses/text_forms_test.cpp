// The small written forms of the media room: phones, faults in critiques, frames, the script's
// language model.
#include <gmock/gmock.h>

#include <cmath>

#include "ground/base/text.h"
#include "loop/senses/media_codec.h"
#include "loop/senses/phones.h"
#include "loop/senses/script_lm.h"
#include "loop/senses/word_fault.h"

namespace lathe::loop {
namespace {

TEST(Phones, ReadWhatPeopleAndVoicesWrite) {
  EXPECT_EQ(cmu_phones("k uw1 b er0 n eh1 t iy0 z"), "K UW B ER N EH T IY Z");
  EXPECT_EQ(cmu_phones("  M AY1  T AX0 "), "M AY T AH");
  EXPECT_EQ(cmu_phones("k xx"), std::nullopt);
  EXPECT_EQ(cmu_phones(""), std::nullopt);
  EXPECT_EQ(cmu_phones("1"), std::nullopt);
}

TEST(Phones, StressAVowelForFliteAndEspeak) {
  EXPECT_EQ(flite_phones("M AY T AH K AA N"), "m ay1 t ax0 k aa0 n");
  EXPECT_EQ(flite_phones("m ay0 t ax0 k aa1 n"), "m ay0 t ax0 k aa1 n");
  EXPECT_EQ(flite_phones("B AH T"), "b ah1 t");  // a lone reduced vowel is a full one
  EXPECT_EQ(flite_phones("nonsense"), "");
  EXPECT_EQ(espeak_phones("F UH R IY EY"), "f'Uri:eI");
}

TEST(Phones, ReadEspeaksMnemonics) {
  EXPECT_EQ(cmu_from_espeak(" k'u:b@n,eIti:z\n"), "K UW B AH N EY T IY Z");
  EXPECT_EQ(cmu_from_espeak("tS'i:z"), "CH IY Z");
  EXPECT_EQ(cmu_from_espeak("x"), std::nullopt);
  EXPECT_EQ(cmu_from_espeak(""), std::nullopt);
}

TEST(Phones, GoToThePossessiveToo) {
  EXPECT_EQ(possessive_phones("T AA M"), "T AA M Z");
  EXPECT_EQ(possessive_phones("K AE T"), "K AE T S");
  EXPECT_EQ(possessive_phones("r ow z"), "r ow z IH Z");
  const std::map<std::string, std::string> given{{"nguyen", "w ih n"}};
  EXPECT_EQ(given_phones(given, "nguyen"), "w ih n");
  EXPECT_EQ(given_phones(given, "nguyen's"), "w ih n Z");
  EXPECT_EQ(given_phones(given, "nguyens"), std::nullopt);
}

TEST(Phones, CountDifferences) {
  EXPECT_EQ(phone_distance("K AE T", "K AE T"), 0);
  EXPECT_EQ(phone_distance("K AE T", "K AE T S"), 1);
  EXPECT_EQ(phone_distance("K AE T", "B AE D"), 2);
  EXPECT_EQ(count_phones("K AE T"), 3);
  EXPECT_EQ(count_phones(""), 0);
}

TEST(WordFault, IsReadBackAsWritten) {
  const WordFault faults[] = {{"fourier", 1.24, 1.61, "free air", "F UH R IY EY"},
                              {"fourier", 0, 0.5, "", ""},
                              {"o'clock", 2, 3, "a clock", ""},
                              {"at home", 2, 3, "", "AE T"}};
  for (const WordFault& fault : faults) {
    const auto back = parse_fault(fault_locus(fault), fault_evidence(fault));
    ASSERT_TRUE(back) << fault_locus(fault);
    EXPECT_EQ(back->word, fault.word);
    EXPECT_EQ(back->heard, fault.heard);
    EXPECT_EQ(back->dictionary, fault.dictionary);
    EXPECT_DOUBLE_EQ(back->start, fault.start);
    EXPECT_DOUBLE_EQ(back->end, fault.end);
  }
  EXPECT_EQ(fault_locus(faults[0]), "fourier @ 1.24-1.61 s");
}

TEST(WordFault, LeavesOtherCritiquesAlone) {
  for (const char* locus : {"", "src/a.cpp:3", "+big @ 1.00-1.20 s", "@ 1.0 s", "x @ y-z s",
                            "x @ 1.0 s", "x @ 1.0-", "x @ 1-2 m"})
    EXPECT_FALSE(parse_fault(locus, "heard 'x'")) << locus;
  EXPECT_TRUE(parse_fault("x @ 1.00-2.00 s", "heard '"));
}

TEST(MediaFrame, IsReadBackAndLiesAreRefused) {
  const MediaMessage message{{{"a", 1}}, std::string("\0\xff\n", 3)};
  const std::string frame = to_frame(message);
  const auto back = parse_frame(frame);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->head, message.head);
  EXPECT_EQ(back->body, message.body);
  for (const std::string& bad :
       {std::string(), std::string("abc"), std::string("\xff\xff\xff\xff{}", 6),
        std::string("\x02\0\0\0[]", 6), std::string("\x03\0\0\0{]}", 7)})
    EXPECT_FALSE(parse_frame(bad)) << bad;
  EXPECT_FALSE(sound_from_body("abc"));
}

TEST(MediaFrame, TakesNoNonsenseFromAWorker) {
  EXPECT_FALSE(hearing_from(Json::object()));
  const auto hearing =
      hearing_from(Json::parse(R"({"heard":[{"word":1,"start":-5,"end":1e300,"posterior":7}, 3],
                      "expected":[{"word":"a","pronunciations":"x"}],"aligned":"yes"})"));
  ASSERT_TRUE(hearing);
  EXPECT_EQ(hearing->heard[0].word, "");
  EXPECT_EQ(hearing->heard[0].start, 0);
  EXPECT_LE(hearing->heard[0].end, 2 * kMaxSoundSeconds);
  EXPECT_EQ(hearing->heard[0].posterior, 1);
  EXPECT_TRUE(hearing->expected[0].pronunciations.empty());
  EXPECT_FALSE(hearing->aligned);
}

// For every history the model's probabilities over all words sum to one: read from the ARPA text by
// its own rules, not by ours.
TEST(ScriptLm, IsAProbabilityForEveryHistory) {
  const std::string arpa = script_language_model(
      {{"the", "cat", "sat"}, {"the", "cat", "ran"}, {"a", "dog", "sat", "sat"}, {}});
  std::map<std::string, std::pair<double, double>> grams;  // log10 p, log10 back-off
  std::vector<std::string> vocabulary;
  std::size_t order = 0;
  for (const std::string_view line : split_lines(arpa)) {
    if (line.ends_with("-grams:")) order = static_cast<std::size_t>(line[1] - '0');
    const auto parts = split(line, ' ');
    if (order == 0 || parts.size() < order + 1) continue;
    std::vector<std::string> words(parts.begin() + 1,
                                   parts.begin() + 1 + static_cast<std::ptrdiff_t>(order));
    const double back_off = parts.size() > order + 1 ? std::stod(parts.back()) : 0;
    grams[join(words, " ")] = {std::stod(parts[0]), back_off};
    if (order == 1 && words[0] != "<s>") vocabulary.push_back(words[0]);
  }
  EXPECT_THAT(vocabulary,
              ::testing::UnorderedElementsAre("the", "cat", "sat", "ran", "a", "dog", "</s>"));
  std::function<double(std::vector<std::string>, const std::string&)> log_p =
      [&](std::vector<std::string> history, const std::string& word) -> double {
    auto gram = history;
    gram.push_back(word);
    if (const auto it = grams.find(join(gram, " ")); it != grams.end()) return it->second.first;
    if (history.empty()) return -99;
    const auto context = grams.find(join(history, " "));
    const double back_off = context == grams.end() ? 0 : context->second.second;
    history.erase(history.begin());
    return back_off + log_p(history, word);
  };
  for (const std::vector<std::string>& history : {std::vector<std::string>{},
                                                  {"<s>"},
                                                  {"<s>", "the"},
                                                  {"the", "cat"},
                                                  {"sat", "sat"},
                                                  {"dog"},
                                                  {"never", "seen"}}) {
    double sum = 0;
    for (const std::string& word : vocabulary) sum += std::pow(10, log_p(history, word));
    EXPECT_NEAR(sum, 1.0, 1e-4) << join(history, " ");
  }
  EXPECT_GT(log_p({"the", "cat"}, "sat"), log_p({"the", "cat"}, "dog"));
}

}  // namespace
}  // namespace lathe::loop
