// A step's room between clients with many requests and clients with few.
#include "serve/pool/step_share.h"

#include <gtest/gtest.h>

#include <algorithm>

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
  EXPECT_EQ(count(choose_requests(requests, std::vector<double>{1}, {}), 0, 40), 40U);
}

// A step takes the one who asks once at most twice as long as alone.
TEST(StepShare, OneBesideManyIsSlowedDownByTwoAtMost) {
  const std::vector<double> flat{10, 11, 12, 13, 15, 17, 19, 21, 24};
  const auto requests = requests_of(32, 1);
  const auto chosen = choose_requests(requests, kEqual, flat);
  EXPECT_TRUE(chosen[32]);
  EXPECT_EQ(count(chosen, 0, 32), 6U);  // 7 rows take 19
  // Where each row costs the same, one each.
  EXPECT_EQ(count(choose_requests(requests, kEqual, {}), 0, 32), 1U);
  // Where they cost nothing more, all.
  EXPECT_EQ(count(choose_requests(requests, kEqual, std::vector<double>(64, 1.0)), 0, 32), 32U);
}

TEST(StepShare, WeightsCount) {
  const auto requests = requests_of(30, 30);
  const auto chosen = choose_requests(requests, std::vector<double>{1, 3}, {});
  EXPECT_EQ(count(chosen, 0, 30), 10U);
  EXPECT_EQ(count(chosen, 30, 60), 30U);
}

TEST(StepShare, ThoseOfOneClientTakeTurns) {
  auto requests = requests_of(5, 1);
  std::vector<std::size_t> turns(6);
  for (std::uint64_t step = 1; step <= 50; ++step) {
    const auto chosen = choose_requests(requests, kEqual, {});
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
    const auto chosen = choose_requests(requests, kEqual, measured);
    const std::size_t rows = count(chosen, 0, 33);
    EXPECT_LE(truth(rows), 2 * truth(1) + 0.2) << rows;
    measured[rows - 1] = truth(rows);
  }
  EXPECT_EQ(count(choose_requests(requests, kEqual, measured), 0, 33), 10U)
      << "at the price of its rows the next one would not fit";
}

}  // namespace
}  // namespace lathe::serve
