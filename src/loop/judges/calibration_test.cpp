// Agreement with people: published values, worked examples, a simulation.
#include "loop/judges/calibration.h"

#include <gmock/gmock.h>

#include <cmath>
#include <random>

namespace lathe::loop {
namespace {

using ::testing::HasSubstr;

CalibrationTable table(std::int64_t both_pass, std::int64_t both_fail, std::int64_t false_pass,
                       std::int64_t false_fail) {
  return {both_pass, both_fail, false_pass, false_fail, 0};
}

TEST(Wilson, PublishedValues) {  // Newcombe (1998), table I, method 3
  const auto check = [](double k, double n, double low, double high) {
    EXPECT_NEAR(wilson(k, n).low, low, 5e-5) << k << '/' << n;
    EXPECT_NEAR(wilson(k, n).high, high, 5e-5) << k << '/' << n;
  };
  check(81, 263, 0.2553, 0.3662);
  check(15, 148, 0.0624, 0.1605);
  check(0, 20, 0.0, 0.1611);
  check(1, 29, 0.0061, 0.1718);
  EXPECT_EQ(wilson(5, 5).high, 1);
}

TEST(KappaStatistic, WorkedExamples) {
  // Agreement 0.7, chance 0.5.
  EXPECT_NEAR(kappa(table(20, 15, 5, 10))->value, 0.4, 1e-12);
  EXPECT_NEAR(kappa(table(25, 25, 0, 0))->value, 1, 1e-12);
  EXPECT_NEAR(kappa(table(0, 0, 25, 25))->value, -1, 1e-12);
  EXPECT_NEAR(kappa(table(25, 25, 25, 25))->value, 0, 1e-12);
  EXPECT_FALSE(kappa(table(50, 0, 0, 0))) << "chance alone agrees always";
  EXPECT_FALSE(kappa(table(0, 0, 0, 0)));
  EXPECT_NEAR(kappa(table(25, 25, 0, 0))->interval.low, 1, 1e-9);
}

// The standard error against the spread of kappa over samples drawn from the same probabilities.
TEST(KappaStatistic, IntervalAgreesWithSimulation) {
  const CalibrationTable tables[] = {table(80, 60, 20, 40), table(150, 20, 10, 20),
                                     table(90, 90, 10, 10)};
  std::mt19937 random(7);
  for (const CalibrationTable& t : tables) {
    const auto estimate = kappa(t);
    ASSERT_TRUE(estimate);
    std::discrete_distribution<int> cell{
        {static_cast<double>(t.both_pass), static_cast<double>(t.both_fail),
         static_cast<double>(t.false_pass), static_cast<double>(t.false_fail)}};
    double sum = 0, squares = 0;
    constexpr int kSamples = 3000;
    for (int i = 0; i < kSamples; ++i) {
      std::array<std::int64_t, 4> counts{};
      for (std::int64_t k = 0; k < t.judged(); ++k)
        ++counts[static_cast<std::size_t>(cell(random))];
      const double value = kappa(table(counts[0], counts[1], counts[2], counts[3]))->value;
      sum += value;
      squares += value * value;
    }
    const double spread = std::sqrt(squares / kSamples - std::pow(sum / kSamples, 2));
    const double error = (estimate->interval.high - estimate->interval.low) / 2 / 1.959964;
    EXPECT_NEAR(error, spread, 0.06 * spread);
  }
}

TEST(Table, CountsByPersonAndJudge) {
  CalibrationTable t;
  t.add(true, true);
  t.add(true, false);
  t.add(false, true);
  t.add(false, false);
  t.add(true, std::nullopt);
  EXPECT_EQ(t.both_pass, 1);
  EXPECT_EQ(t.false_fail, 1);
  EXPECT_EQ(t.false_pass, 1);
  EXPECT_EQ(t.both_fail, 1);
  EXPECT_EQ(t.not_judged, 1);
  EXPECT_EQ(t.judged(), 4);
}

TEST(Verdict, OnlyWhatWasJudgedCounts) {
  Judgement judgement;
  EXPECT_EQ(verdict_of(judgement), std::nullopt);
  judgement.outcome = Outcome::kPass;
  EXPECT_EQ(verdict_of(judgement), true);
  judgement.outcome = Outcome::kFail;
  EXPECT_EQ(verdict_of(judgement), false);
  judgement.outcome = Outcome::kAbstain;
  EXPECT_EQ(verdict_of(judgement), std::nullopt);
  judgement.evidence["would"] = "error";
  EXPECT_EQ(verdict_of(judgement), std::nullopt);
  judgement.evidence["would"] = "pass";
  EXPECT_EQ(verdict_of(judgement), true);
}

class LabelsTest : public ::testing::Test {
 protected:
  Result<std::vector<Label>> read(std::string_view text) {
    EXPECT_TRUE(write_file_atomic(directory_->path() / "labels", text));
    return read_labels(directory_->path() / "labels");
  }
  std::string problem(std::string_view text) {
    const auto labels = read(text);
    return labels ? "" : labels.error().message;
  }
  Result<TempDir> directory_ = TempDir::make();
};

TEST_F(LabelsTest, BothForms) {
  ASSERT_TRUE(write_file_atomic(directory_->path() / "a b.txt", "A"));
  const auto labels = read(
      "# comment\n\npass\ta b.txt\n{\"text\":\"T\",\"label\":\"fail\",\"source\":\"S\"}\r\n"
      "{\"file\":\"a b.txt\",\"label\":\"fail\"}\n");
  ASSERT_TRUE(labels) << labels.error().message;
  ASSERT_EQ(labels->size(), 3U);
  EXPECT_TRUE((*labels)[0].pass);
  EXPECT_EQ((*labels)[0].bytes, "A");
  EXPECT_EQ((*labels)[1].bytes, "T");
  EXPECT_EQ((*labels)[1].source, "S");
  EXPECT_EQ((*labels)[1].name, "line 4");
  EXPECT_EQ((*labels)[2].name, "a b.txt");
  EXPECT_FALSE((*labels)[2].pass);
}

TEST_F(LabelsTest, ErrorsNameTheLine) {
  EXPECT_THAT(problem("\npass absent.txt\n"), HasSubstr("labels:2: neither"));
  EXPECT_THAT(problem("pass\tabsent.txt\n"), HasSubstr("absent.txt"));
  EXPECT_THAT(problem("good\tx\n"), HasSubstr("labels:1: the label must be pass or fail"));
  EXPECT_THAT(problem("{\"text\":\"x\",\"label\":\"PASS\"}"), HasSubstr("'PASS'"));
  EXPECT_THAT(problem("{\"text\":\"x\"}"), HasSubstr("pass or fail"));
  EXPECT_THAT(problem("{\"label\":\"pass\"}"), HasSubstr("'file' or 'text'"));
  EXPECT_THAT(problem("{\"texts\":\"x\",\"label\":\"pass\"}"), HasSubstr("did you mean 'text'"));
  EXPECT_THAT(problem("{\"text\":1,\"label\":\"pass\"}"), HasSubstr("must be a string"));
  EXPECT_THAT(problem("{\"text\""), HasSubstr("not valid JSON"));
  EXPECT_THAT(problem("# nothing\n"), HasSubstr("holds no labels"));
}

TEST(Record, SaysWhenItCounts) {
  const JudgeKind& kind = *find_judge("text");
  const auto problem = [&](const CalibrationTable& t, const std::string& identity = "id") {
    return calibration_problem(calibration_record(t, kind, "id", nullptr), identity);
  };
  EXPECT_EQ(problem(table(10, 10, 0, 0)), "");
  EXPECT_THAT(problem(table(10, 9, 0, 0)), HasSubstr("19 labels"));
  EXPECT_THAT(problem(table(20, 10, 10, 10)), HasSubstr("kappa is 0.17"));
  EXPECT_THAT(problem(table(100, 0, 0, 0)), HasSubstr("kappa")) << "no failing label at all";
  EXPECT_THAT(problem(table(10, 10, 0, 0), "other"), HasSubstr("other options"));
  const Json record = calibration_record(table(8, 9, 1, 2), kind, "id", nullptr);
  EXPECT_DOUBLE_EQ(record["false_pass_rate"]["rate"], 0.1);
  EXPECT_DOUBLE_EQ(record["false_fail_rate"]["rate"], 0.2);
  EXPECT_EQ(calibration_problem(*parse_json(dump_json(record)), "id"), "");
}

TEST(Identity, ChangesWithEverythingThatDecidesTheVerdict) {
  const auto directory = TempDir::make();
  Place place;
  place.recipe_dir = directory->path();
  const JudgeKind& kind = *find_judge("rubric");
  const auto identity = [&](const Json& options) {
    const auto result = judge_identity(kind, options, place, nullptr);
    return result ? *result : result.error().message;
  };
  const std::string base = identity({{"bar", 1}, {"criteria", {"a"}}});
  EXPECT_EQ(base,
            identity({{"criteria", {"a"}}, {"bar", 1}, {"calibration", "x"}, {"advisory", true}}));
  EXPECT_NE(base, identity({{"bar", 1}, {"criteria", {"b"}}}));
  ASSERT_TRUE(write_file_atomic(directory->path() / "c", "one"));
  const std::string file = identity({{"criteria_file", "c"}});
  ASSERT_TRUE(write_file_atomic(directory->path() / "c", "two"));
  EXPECT_NE(file, identity({{"criteria_file", "c"}}));
  ASSERT_TRUE(write_file_atomic(directory->path() / "same", "two"));
  EXPECT_EQ(identity({{"criteria_file", "c"}, {"worker", "a"}}),
            identity({{"criteria_file", "same"}, {"worker", "b"}}));
  EXPECT_THAT(identity({{"criteria_file", "absent"}}), HasSubstr("absent"));
}

}  // namespace
}  // namespace lathe::loop
