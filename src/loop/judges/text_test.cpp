// Facts of texts against a dictionary and the formulas; limits at their borders.
#include <gmock/gmock.h>

#include "loop/judges/judge.h"
#include "loop/judges/text_facts.h"

namespace lathe::loop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(Syllables, AsADictionaryHasThem) {  // counts from the CMU pronouncing dictionary
  const std::pair<std::string_view, std::size_t> words[] = {
      {"the", 1},      {"table", 2},      {"whole", 1},   {"makes", 1},    {"boxes", 2},
      {"places", 2},   {"wanted", 2},     {"needed", 2},  {"jumped", 1},   {"radio", 3},
      {"nation", 2},   {"usual", 3},      {"medium", 3},  {"special", 2},  {"video", 3},
      {"people", 2},   {"trying", 2},     {"reading", 2}, {"language", 2}, {"quality", 3},
      {"computer", 3}, {"judge", 1},      {"judges", 2},  {"rhythm", 2},   {"realism", 4},
      {"engine", 2},   {"memory", 3},     {"eye", 1},     {"a", 1},        {"queue", 1},
      {"banana", 3},   {"tables", 2},     {"watches", 2}, {"million", 2},  {"yes", 1},
      {"beyond", 2},   {"evaluation", 5}, {"private", 2}, {"measured", 2}, {"strength", 1}};
  std::size_t right = 0;
  for (const auto& [word, count] : words) {
    right += count_syllables(word) == count;
    EXPECT_NEAR(static_cast<double>(count_syllables(word)), static_cast<double>(count), 1) << word;
  }
  EXPECT_GE(right, std::size(words) - 3);
  EXPECT_EQ(count_syllables(""), 1U);
  EXPECT_EQ(count_syllables("TABLE"), 2U);
  EXPECT_EQ(count_syllables("1984"), 1U);
}

std::vector<std::size_t> sentence_lengths(std::string_view text) {
  const auto facts = text_facts(text);
  EXPECT_TRUE(facts);
  std::vector<std::size_t> lengths;
  for (const Sentence& each : facts->sentences) lengths.push_back(each.words);
  return lengths;
}

TEST(TextFacts, WordsAndSentences) {
  EXPECT_THAT(sentence_lengths(""), IsEmpty());
  EXPECT_THAT(sentence_lengths(" \n.!?\n"), IsEmpty());
  EXPECT_THAT(sentence_lengths("One two. Three!"), ElementsAre(2U, 1U));
  EXPECT_THAT(sentence_lengths("It's 3.14 e.g. here, isn't it? Well-known."), ElementsAre(7U, 1U));
  EXPECT_THAT(sentence_lengths("No full stop\n\nNext paragraph"), ElementsAre(3U, 2U));
  EXPECT_THAT(sentence_lengths("a line\nthat goes on"), ElementsAre(5U));
  EXPECT_THAT(sentence_lengths("\"Stop!\" He went… Away?!"), ElementsAre(1U, 2U, 1U));
  EXPECT_THAT(sentence_lengths("Élan vital. Übermut tut gut."), ElementsAre(2U, 3U));
  EXPECT_THAT(sentence_lengths("x.y. 5 apples"), ElementsAre(2U, 2U));
  EXPECT_EQ(text_facts("aé€😀")->characters, 4U);
  EXPECT_FALSE(text_facts("\xff"));
}

// By hand: 9 words, 2 sentences, 10 syllables.
TEST(TextFacts, ReadabilityByTheFormula) {
  const auto facts = text_facts("The cat sat on the mat. A dog waited.");
  EXPECT_EQ(facts->words, 9U);
  EXPECT_EQ(facts->syllables, 10U);
  EXPECT_NEAR(facts->reading_ease(), 206.835 - 1.015 * 4.5 - 84.6 * 10 / 9, 1e-9);
  EXPECT_NEAR(facts->grade(), 0.39 * 4.5 + 11.8 * 10 / 9 - 15.59, 1e-9);
  EXPECT_EQ(text_facts("")->reading_ease(), 0);
}

TEST(Numbers, WithoutSeparators) {
  EXPECT_THAT(*numbers_in("1,250.5 and 12, 13; v1.2.3 in 2024, 7"),
              ElementsAre("1.2.3", "12", "1250.5", "13", "2024", "7"));
  EXPECT_THAT(*numbers_in("none"), IsEmpty());
}

Judgement run(std::string_view options, std::string_view text, std::string_view source = "") {
  const JudgeKind* kind = find_judge("text");
  const auto checked = check_options(*parse_json(options), kind->options);
  EXPECT_TRUE(checked) << options;
  const std::vector<Unit> units{{"a", std::string(source), {}}};
  const JudgeTask task{.options = *checked, .units = units, .candidate = "c", .bytes = text};
  const Place place;
  const StopFlag stop;
  return judge_closed(*kind, task, {.place = place, .stop = stop});
}

std::string check(std::string_view options) {
  const JudgeKind* kind = find_judge("text");
  const auto checked = check_options(*parse_json(options), kind->options);
  EXPECT_TRUE(checked) << options;
  const Status status = kind->check(*checked);
  return status ? "" : status.error().message;
}

TEST(TextJudge, LimitsHoldAtTheBorder) {
  const std::string text = "One two three.";
  const char* held[] = {R"({"min_words":3})",
                        R"({"max_words":3})",
                        R"({"min_chars":14})",
                        R"({"max_chars":14})",
                        R"({"max_sentence_words":3})",
                        R"({"required_words":["TWO"]})",
                        R"({"forbidden_words":["tw","wo","twothree"]})",
                        R"({"required_patterns":["T?t.o"]})",
                        R"({"forbidden_patterns":["\\d"]})",
                        R"({"max_grade":20})",
                        R"({"min_reading_ease":0})",
                        R"({"keep_numbers":true})"};
  for (const char* options : held) {
    const Judgement judgement = run(options, text);
    EXPECT_EQ(judgement.outcome, Outcome::kPass) << options << to_json(judgement);
    EXPECT_EQ(judgement.score, 1);
  }
  const char* broken[] = {R"({"min_words":4})",
                          R"({"max_words":2})",
                          R"({"min_chars":15})",
                          R"({"max_chars":13})",
                          R"({"max_sentence_words":2})",
                          R"({"required_words":["tw"]})",
                          R"({"forbidden_words":["two  THREE"]})",
                          R"({"required_patterns":["^two"]})",
                          R"({"forbidden_patterns":["t"]})",
                          R"({"max_grade":-5})",
                          R"({"min_reading_ease":500})",
                          R"({"max_reading_ease":0})"};
  for (const char* options : broken) {
    const Judgement judgement = run(options, text);
    EXPECT_EQ(judgement.outcome, Outcome::kFail) << options << to_json(judgement);
    EXPECT_THAT(judgement.critiques, ::testing::Not(IsEmpty()));
  }
}

TEST(TextJudge, CritiquesHaveNumbersAndPlaces) {
  const Judgement judgement = run(R"({"max_words":5,"forbidden_words":["synergy"],"min_words":1})",
                                  "First line here.\nMore synergy, SYNERGY and synergies now.\n");
  ASSERT_THAT(judgement.critiques, SizeIs(3));
  EXPECT_EQ(judgement.critiques[0].claim, "The text has 9 words, but may have at most 5.");
  EXPECT_EQ(judgement.critiques[1].locus, "line 2");
  EXPECT_EQ(judgement.critiques[1].evidence, "More synergy, SYNERGY and synergies now.");
  EXPECT_EQ(judgement.critiques[2].locus, "line 2");
  EXPECT_NEAR(judgement.score, 1.0 / 3, 1e-9);
}

TEST(TextJudge, NumbersOfTheSourceMustStay) {
  const char* options = R"({"keep_numbers":true})";
  const char* source = "It grew 12.5% to 1,250 units in 2024.";
  EXPECT_EQ(run(options, "In 2024: 1250 (12.5%).", source).outcome, Outcome::kPass);
  const Judgement judgement = run(options, "In 2024 it grew to 12500.", source);
  EXPECT_EQ(judgement.outcome, Outcome::kFail);
  EXPECT_THAT(judgement.critiques.at(0).claim, HasSubstr("12.5, 1250."));
}

TEST(TextJudge, BadTextsFail) {
  EXPECT_EQ(run(R"({"max_words":5})", "a\xff").outcome, Outcome::kFail);
  EXPECT_EQ(run(R"({"min_words":1})", "").outcome, Outcome::kFail);
  EXPECT_EQ(run(R"({"required_words":["é"]})", "É!").outcome, Outcome::kPass);
  constexpr std::string_view kPunctuation = R"x({"forbidden_words":["C++ (new)"]})x";
  EXPECT_EQ(run(kPunctuation, "use c++  (NEW)").outcome, Outcome::kFail);
}

TEST(TextJudge, APatternThatNeedsTooMuchWorkIsNoVerdict) {
  const Judgement judgement =
      run(R"({"forbidden_patterns":["^(a+)+$"]})", std::string(5000, 'a') + "!");
  EXPECT_EQ(judgement.outcome, Outcome::kError);
}

TEST(TextJudge, LargeTextsTakeLinearWork) {
  std::string text;
  for (int i = 0; i < 60'000; ++i) text += "word number here. ";
  EXPECT_EQ(run(R"({"max_words":180000,"forbidden_words":["absent"]})", text).outcome,
            Outcome::kPass);
}

TEST(TextJudge, WholeScopeJudgesTheJoinedParts) {
  const JudgeKind* kind = find_judge("text");
  const Json options = {{"max_words", 3}, {"keep_numbers", true}};
  std::vector<Part> parts{{{"a", "1", {}}, true, "", "one 1", ""},
                          {{"b", "2", {}}, true, "", "two", ""}};
  const Place place;
  const StopFlag stop;
  JudgeTask task{.options = options, .scope = Scope::kWhole, .candidate = "c", .parts = parts};
  EXPECT_EQ(judge_closed(*kind, task, {.place = place, .stop = stop}).outcome, Outcome::kFail);
  parts[1].bytes = "2";
  task.parts = parts;
  EXPECT_EQ(judge_closed(*kind, task, {.place = place, .stop = stop}).outcome, Outcome::kPass);
}

TEST(TextJudge, WrongOptionsAreFoundBeforeTheRun) {
  EXPECT_THAT(check("{}"), HasSubstr("sets no limit"));
  EXPECT_THAT(check(R"({"required_words":[" "]})"), HasSubstr("required_words"));
  EXPECT_THAT(check(R"({"forbidden_patterns":["("]})"), HasSubstr("forbidden_patterns"));
  EXPECT_THAT(check(R"({"max_words":-1})"), HasSubstr("max_words"));
  EXPECT_EQ(check(R"({"max_words":0})"), "");
  EXPECT_EQ(check(R"({"keep_numbers":true})"), "");
}

}  // namespace
}  // namespace lathe::loop
