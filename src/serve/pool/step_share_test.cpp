// A step's room between clients with many requests and clients with few.
#include "serve/pool/step_share.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "serve/pool/fair_queue.h"

namespace lathe::serve {
namespace {

std::vector<StepRequest> requests_of(std::size_t many, std::size_t few) {
  std::vector<StepRequest> requests(many, StepRequest{.client = 0});
  requests.resize(many + few, StepRequest{.client = 1});
  return requests;
}
std::size_t count(const std::vector<bool>& chosen, std::size_t from, std::size_t to) {
  return static_cast<std::size_t>(std::count(chosen.begin() + static_cast<std::ptrdiff_t>(from),
                                             chosen.begin() + static_cast<std::ptrdiff_t>(to),
                                             true));
}

StepCosts costs_of(std::initializer_list<double> seconds) {
  StepCosts costs;
  for (std::size_t rows = 1; const double each : seconds) costs.note(rows++, each);
  return costs;
}

const std::vector<double> kEqual{1, 1};

TEST(StepShare, AloneEverybodyTakesPart) {
  const auto requests = requests_of(40, 0);
  EXPECT_EQ(count(choose_requests(requests, std::vector<double>{1}, {}, 1).chosen, 0, 40), 40U);
}

// A step takes the one who asks once at most twice as long as alone.
TEST(StepShare, OneBesideManyIsSlowedDownByTwoAtMost) {
  const StepCosts flat = costs_of({10, 11, 12, 13, 15, 17, 19, 21, 24});
  const auto requests = requests_of(32, 1);
  const auto chosen = choose_requests(requests, kEqual, flat, 1).chosen;
  EXPECT_TRUE(chosen[32]);
  EXPECT_EQ(count(chosen, 0, 32), 6U);  // 7 rows take 19
  // Where each row costs the same, one each.
  EXPECT_EQ(count(choose_requests(requests, kEqual, {}, 1).chosen, 0, 32), 1U);
  // Where they cost nothing more, all.
  StepCosts free;
  for (std::size_t rows = 1; rows <= 64; ++rows) free.note(rows, 1);
  EXPECT_EQ(count(choose_requests(requests, kEqual, free, 1).chosen, 0, 32), 32U);
}

TEST(StepShare, WeightsCount) {
  const auto requests = requests_of(30, 30);
  const auto chosen = choose_requests(requests, std::vector<double>{1, 3}, {}, 1).chosen;
  EXPECT_EQ(count(chosen, 0, 30), 10U);
  EXPECT_EQ(count(chosen, 30, 60), 30U);
}

// Of three clients one is background work: the one who asks once is slowed down by two, not three.
TEST(StepShare, BackgroundSlowsNobodyDown) {
  const Caller person{.key = "a"}, night{.key = "n", .call_class = CallClass::kBackground};
  const std::vector<double> weights{weight_in_step(person), weight_in_step(person),
                                    weight_in_step(night)};
  auto requests = requests_of(32, 1);
  requests.resize(37, StepRequest{.client = 2});
  const auto chosen = choose_requests(requests, weights, {}, 1).chosen;  // a row is a second
  EXPECT_EQ(count(chosen, 0, 32), 1U);
  EXPECT_EQ(count(chosen, 32, 33), 1U);
  EXPECT_EQ(count(chosen, 33, 37), 1U) << "its turn is a row at least";
  // Alone it has all of the step.
  EXPECT_EQ(
      count(choose_requests(requests_of(4, 0), std::vector{weight_in_step(night)}, {}, 1).chosen, 0,
            4),
      4U);
}

TEST(StepShare, ThoseOfOneClientTakeTurns) {
  auto requests = requests_of(5, 1);
  std::vector<std::size_t> turns(6);
  for (std::uint64_t step = 1; step <= 50; ++step) {
    const auto chosen = choose_requests(requests, kEqual, {}, step).chosen;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      if (!chosen[i]) continue;
      ++turns[i];
      requests[i].last = step;
    }
  }
  EXPECT_EQ(turns, (std::vector<std::size_t>{10, 10, 10, 10, 10, 50}));
}

TEST(StepShare, SecondsOfWidthsThatWereNotSeen) {
  StepCosts costs;
  EXPECT_FALSE(costs.known());
  EXPECT_EQ(costs.seconds_of(6), 6);
  costs.note(1, 2);
  costs.note(4, 3);
  EXPECT_TRUE(costs.known());
  EXPECT_EQ(costs.seconds_of(1), 2);
  EXPECT_EQ(costs.seconds_of(2), 3) << "no more than a wider one";
  EXPECT_EQ(costs.seconds_of(6), 4.5);
}

// Every tenth step is held up: by five times as long, and once by a thousand times.
TEST(StepShare, AStepThatIsHeldUpSaysLittle) {
  StepCosts costs;
  costs.note(1, 50);
  for (int step = 1; step <= 200; ++step)
    costs.note(1, step == 101 ? 10'000 : step % 10 == 0 ? 50 : 10);
  EXPECT_GE(costs.seconds_of(1), 10);
  EXPECT_LE(costs.seconds_of(1), 11.5);
  // It became slower for good: a longer context.
  for (int step = 1; step <= 50; ++step) costs.note(1, 30);
  EXPECT_NEAR(costs.seconds_of(1), 30, 0.5);
}

// Wider steps are tried until one takes too long.
TEST(StepShare, FindsHowWideAStepMayBe) {
  const auto truth = [](std::size_t rows) { return (9 + static_cast<double>(rows)) / 10; };
  StepCosts costs;
  costs.note(1, truth(1));
  auto requests = requests_of(32, 1);
  for (std::uint64_t step = 1; step <= 30; ++step) {
    const auto chosen = choose_requests(requests, kEqual, costs, step).chosen;
    const std::size_t rows = count(chosen, 0, 33);
    EXPECT_LE(truth(rows), 2 * truth(1) + 0.2) << rows;
    costs.note(rows, truth(rows));
  }
  EXPECT_EQ(count(choose_requests(requests, kEqual, costs, 1).chosen, 0, 33), 10U)
      << "at the price of its rows the next one would not fit";
}

// The one who asks once was first seen while the machine was busy. Steps of many alone would never
// tell what it takes by itself.
TEST(StepShare, WhatOneTakesAloneIsMeasuredAgain) {
  const auto truth = [](std::size_t rows) { return 9 + static_cast<double>(rows); };
  StepCosts costs;
  costs.note(1, 8 * truth(1));
  const auto requests = requests_of(64, 1);
  for (std::uint64_t step = 1; step <= 20 * kMeasureEvery; ++step) {
    const StepChoice choice = choose_requests(requests, kEqual, costs, step);
    const std::size_t rows = count(choice.chosen, 0, 65);
    EXPECT_EQ(choice.measures, step % kMeasureEvery == 0);
    EXPECT_TRUE(choice.chosen[64]);
    if (choice.measures) {
      EXPECT_EQ(rows, 1U);
    }
    costs.note(rows, truth(rows));
  }
  EXPECT_NEAR(costs.seconds_of(1), truth(1), 0.01);
  EXPECT_EQ(count(choose_requests(requests, kEqual, costs, 1).chosen, 0, 65), 11U);
  // It has nothing but a prompt yet: there is nothing to measure.
  auto begins = requests;
  begins[64].soon = true;
  EXPECT_FALSE(choose_requests(begins, kEqual, costs, kMeasureEvery, 1).measures);
}

// What one who asks once waits for is all of a step: the others' rows and their prompts.
TEST(StepShare, PromptsAreInTheShareOfTheirClient) {
  StepCosts flat;
  for (std::size_t rows = 1; rows <= 40; ++rows)
    flat.note(rows, 9.75 + 0.25 * static_cast<double>(rows));
  // It answers as well: half of its share is left to its prompt.
  const auto both = choose_requests(requests_of(32, 1), kEqual, flat, 1, 0);
  const std::size_t rows = count(both.chosen, 0, 33);
  EXPECT_EQ(rows, 21U) << "a step of 15";
  EXPECT_TRUE(both.chosen[32]);
  EXPECT_EQ(both.prompt_seconds, 5);
  // It has nothing but prompts yet: all of its share.
  std::vector<StepRequest> begins = requests_of(1, 1);
  begins[0].soon = true;
  EXPECT_EQ(choose_requests(begins, kEqual, flat, 1, 0).prompt_seconds, 10);
  // The one who asks once reads, many answer: as long as their rows take.
  std::vector<StepRequest> asks = requests_of(32, 1);
  asks[32].soon = true;
  const auto choice = choose_requests(asks, kEqual, flat, 1, 1);
  EXPECT_EQ(count(choice.chosen, 0, 32), 32U);
  EXPECT_EQ(choice.prompt_seconds, flat.seconds_of(32));
  // Nobody answers: there is nobody who waits.
  std::vector<StepRequest> none = requests_of(1, 1);
  none[0].soon = none[1].soon = true;
  EXPECT_EQ(choose_requests(none, kEqual, flat, 1, 0).prompt_seconds,
            std::numeric_limits<double>::infinity());
}

}  // namespace
}  // namespace lathe::serve
