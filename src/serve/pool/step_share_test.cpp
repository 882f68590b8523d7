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

const std::vector<double> kEqual{1, 1};

TEST(StepShare, AloneEverybodyTakesPart) {
  const auto requests = requests_of(40, 0);
  EXPECT_EQ(count(choose_requests(requests, std::vector<double>{1}, {}).chosen, 0, 40), 40U);
}

// A step takes the one who asks once at most twice as long as alone.
TEST(StepShare, OneBesideManyIsSlowedDownByTwoAtMost) {
  const std::vector<double> flat{10, 11, 12, 13, 15, 17, 19, 21, 24};
  const auto requests = requests_of(32, 1);
  const auto chosen = choose_requests(requests, kEqual, flat).chosen;
  EXPECT_TRUE(chosen[32]);
  EXPECT_EQ(count(chosen, 0, 32), 6U);  // 7 rows take 19
  // Where each row costs the same, one each.
  EXPECT_EQ(count(choose_requests(requests, kEqual, {}).chosen, 0, 32), 1U);
  // Where they cost nothing more, all.
  EXPECT_EQ(count(choose_requests(requests, kEqual, std::vector<double>(64, 1.0)).chosen, 0, 32),
            32U);
}

TEST(StepShare, WeightsCount) {
  const auto requests = requests_of(30, 30);
  const auto chosen = choose_requests(requests, std::vector<double>{1, 3}, {}).chosen;
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
  const auto chosen = choose_requests(requests, weights, {}).chosen;  // a row is a second
  EXPECT_EQ(count(chosen, 0, 32), 1U);
  EXPECT_EQ(count(chosen, 32, 33), 1U);
  EXPECT_EQ(count(chosen, 33, 37), 1U) << "its turn is a row at least";
  // Alone it has all of the step.
  EXPECT_EQ(count(choose_requests(requests_of(4, 0), std::vector{weight_in_step(night)}, {}).chosen,
                  0, 4),
            4U);
}

TEST(StepShare, ThoseOfOneClientTakeTurns) {
  auto requests = requests_of(5, 1);
  std::vector<std::size_t> turns(6);
  for (std::uint64_t step = 1; step <= 50; ++step) {
    const auto chosen = choose_requests(requests, kEqual, {}).chosen;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      if (!chosen[i]) continue;
      ++turns[i];
      requests[i].last = step;
    }
  }
  EXPECT_EQ(turns, (std::vector<std::size_t>{10, 10, 10, 10, 10, 50}));
}

TEST(StepShare, SecondsOfWidthsThatWereNotSeen) {
  const std::vector<double> measured{2, 0, 0, 3, 0};
  EXPECT_EQ(step_seconds_of(1, measured), 2);
  EXPECT_EQ(step_seconds_of(2, measured), 3) << "no more than a wider one";
  EXPECT_EQ(step_seconds_of(6, measured), 4.5);
  EXPECT_EQ(step_seconds_of(6, {}), 6);
}

// Wider steps are tried until one takes too long.
TEST(StepShare, FindsHowWideAStepMayBe) {
  const auto truth = [](std::size_t rows) { return (9 + static_cast<double>(rows)) / 10; };
  std::vector<double> measured(40);
  measured[0] = truth(1);
  auto requests = requests_of(32, 1);
  for (std::uint64_t step = 1; step <= 30; ++step) {
    const auto chosen = choose_requests(requests, kEqual, measured).chosen;
    const std::size_t rows = count(chosen, 0, 33);
    EXPECT_LE(truth(rows), 2 * truth(1) + 0.2) << rows;
    measured[rows - 1] = truth(rows);
  }
  EXPECT_EQ(count(choose_requests(requests, kEqual, measured).chosen, 0, 33), 10U)
      << "at the price of its rows the next one would not fit";
}

// What one who asks once waits for is all of a step: the others' rows and their prompts.
TEST(StepShare, PromptsAreInTheShareOfTheirClient) {
  std::vector<double> flat(40);
  for (std::size_t i = 0; i < flat.size(); ++i) flat[i] = 10 + 0.25 * static_cast<double>(i);
  // It answers as well: half of its share is left to its prompt.
  const auto both = choose_requests(requests_of(32, 1), kEqual, flat, 0);
  const std::size_t rows = count(both.chosen, 0, 33);
  EXPECT_EQ(rows, 21U) << "a step of 15";
  EXPECT_TRUE(both.chosen[32]);
  EXPECT_EQ(both.prompt_seconds, 5);
  // It has nothing but prompts yet: all of its share.
  std::vector<StepRequest> begins = requests_of(1, 1);
  begins[0].soon = true;
  EXPECT_EQ(choose_requests(begins, kEqual, flat, 0).prompt_seconds, 10);
  // The one who asks once reads, many answer: as long as their rows take.
  std::vector<StepRequest> asks = requests_of(32, 1);
  asks[32].soon = true;
  const auto choice = choose_requests(asks, kEqual, flat, 1);
  EXPECT_EQ(count(choice.chosen, 0, 32), 32U);
  EXPECT_EQ(choice.prompt_seconds, flat[31]);
  // Nobody answers: there is nobody who waits.
  std::vector<StepRequest> none = requests_of(1, 1);
  none[0].soon = none[1].soon = true;
  EXPECT_EQ(choose_requests(none, kEqual, flat, 0).prompt_seconds,
            std::numeric_limits<double>::infinity());
}

}  // namespace
}  // namespace lathe::serve
