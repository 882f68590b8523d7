// The closed model of a shared box: its reference values, its borders, and terms that cannot be.
#include "app/bench/capacity.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

namespace lathe::app {
namespace {

using ::testing::HasSubstr;

const CapacityTerms kTwoCores{.decode = {{1, 67.9}, {8, 232}},
                              .prefill = 277,
                              .answer_tokens = 200,
                              .fresh_tokens = 256,
                              .think_seconds = 60};
const CapacityTerms kSpark{.decode = {{1, 57.1}, {8, 159}, {32, 353}},
                           .prefill = 2400,
                           .answer_tokens = 500,
                           .fresh_tokens = 1000,
                           .think_seconds = 300};

TEST(Capacity, ReferenceValuesOfTwoCores) {
  const std::pair<std::size_t, double> seconds[] = {{1, 3.870}, {2, 4.013},  {4, 4.318},
                                                    {8, 5.011}, {16, 6.758}, {32, 12.109}};
  for (const auto& [people, expected] : seconds)
    EXPECT_NEAR(capacity_at(kTwoCores, people).seconds, expected, 1e-3) << people;
  EXPECT_NEAR(capacity_at(kTwoCores, 8).slowdown, 1.295, 1e-3);
  EXPECT_NEAR(capacity_at(kTwoCores, 16).slowdown, 1.746, 1e-3);
  EXPECT_NEAR(capacity_at(kTwoCores, 32).slowdown, 3.129, 1e-3);
  EXPECT_NEAR(capacity_at(kTwoCores, 32).answers_per_minute, 26.63, 5e-3);
}

TEST(Capacity, ReferenceValuesOfABiggerBox) {
  const std::pair<std::size_t, double> seconds[] = {
      {16, 12.03}, {32, 15.79}, {48, 19.89}, {64, 24.01}};
  for (const auto& [people, expected] : seconds)
    EXPECT_NEAR(capacity_at(kSpark, people).seconds, expected, 5e-3 + 1e-3) << people;
}

TEST(Capacity, ListensForTwoAnswersOfEach) {
  EXPECT_EQ(listening_seconds(200, 1, 0), 3) << "nothing is known";
  EXPECT_EQ(listening_seconds(200, 2, 10'000), 3);
  EXPECT_EQ(listening_seconds(200, 16, 800), 8);
  EXPECT_EQ(listening_seconds(200, 32, 40), 30);
}

// Each of these is heard at its end alone: half of the second one, and nothing of the third one.
TEST(Capacity, WhatIsWrittenIsNotWhatIsHeard) {
  const auto sample = [](std::int64_t sent_us, std::int64_t end_us) {
    Sample made;
    made.sent_us = sent_us;
    made.end_us = end_us;
    made.pieces_us = {end_us};
    made.counted = true;
    made.answer_tokens = 100;
    return made;
  };
  std::vector<Sample> samples{sample(0, 2'000'000), sample(1'000'000, 3'000'000),
                              sample(2'000'000, 4'000'000)};
  EXPECT_DOUBLE_EQ(written_per_second(samples, 2), 75);
  EXPECT_DOUBLE_EQ(written_per_second(samples, 4), 75);
  samples.front().error = "broken off";
  EXPECT_DOUBLE_EQ(written_per_second(samples, 2), 25);
}

// With one server of one speed it is the machine-repair model, M/M/1//N, whose idle share has a
// recurrence of its own (mean value analysis: R(N) = s·(1 + L(N−1))).
TEST(Capacity, OneSpeedIsMeanValueAnalysis) {
  const CapacityTerms terms{.decode = {{1, 100}},
                            .prefill = 1,
                            .answer_tokens = 250,
                            .fresh_tokens = 0,
                            .think_seconds = 17};
  double queue = 0;
  for (std::size_t people = 1; people <= 300; ++people) {
    const double seconds = 2.5 * (1 + queue);
    const double answers = static_cast<double>(people) / (seconds + 17);
    queue = answers * seconds;
    const CapacityPoint point = capacity_at(terms, people);
    ASSERT_NEAR(point.seconds, seconds, seconds * 1e-9) << people;
    ASSERT_NEAR(point.answers_per_minute, answers * 60, answers * 1e-7) << people;
  }
}

TEST(Capacity, ManyPeopleFillTheBox) {
  const CapacityPoint most = capacity_at(kTwoCores, kMostPeople);
  // The box is never idle: its rate is that of a full batch, and Little's law gives the rest.
  const double rate = 1 / (200 / 232.0 + 256 / 277.0);
  EXPECT_NEAR(most.answers_per_minute, rate * 60, 1e-6);
  EXPECT_NEAR(most.seconds, static_cast<double>(kMostPeople) / rate - 60, 1e-3);
}

TEST(Capacity, PeopleAtASlowdownIsTheLastWithinIt) {
  for (const CapacityTerms& terms : {kTwoCores, kSpark}) {
    for (const double slowdown : {1.01, 1.5, 2.0, 3.0, 100.0}) {
      const std::size_t people = people_at(terms, slowdown);
      EXPECT_TRUE(people == 1 || capacity_at(terms, people).slowdown <= slowdown) << slowdown;
      EXPECT_GT(capacity_at(terms, people + 1).slowdown, slowdown);
    }
  }
  EXPECT_EQ(people_at(kTwoCores, 1e9), kMostPeople);
}

TEST(Capacity, RefusesTermsThatCannotBe) {
  const auto refused = [](auto change, std::string_view words) {
    CapacityTerms terms = kTwoCores;
    change(terms);
    const Status status = check(terms);
    ASSERT_FALSE(status);
    EXPECT_THAT(status.error().message, HasSubstr(words));
  };
  EXPECT_TRUE(check(kTwoCores));
  refused([](CapacityTerms& terms) { terms.think_seconds = 0; }, "think");
  refused([](CapacityTerms& terms) { terms.prefill = std::nan(""); }, "prompts");
  refused([](CapacityTerms& terms) { terms.answer_tokens = -1; }, "answer");
  refused([](CapacityTerms& terms) { terms.fresh_tokens = -1; }, "fresh");
  refused([](CapacityTerms& terms) { terms.decode = {}; }, "streams");
  refused([](CapacityTerms& terms) { terms.decode[1].second = 0; }, "8 streams");
  refused([](CapacityTerms& terms) { std::swap(terms.decode[0], terms.decode[1]); }, "grow");
  refused(
      [](CapacityTerms& terms) { terms.answer_tokens = std::numeric_limits<double>::infinity(); },
      "answer");
}

}  // namespace
}  // namespace lathe::app
