// Paths against all that there are, medians and words by hand.
#include "infer/whisper/align.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>

namespace lathe::infer {
namespace {

// The least sum of all paths, one by one.
double least(std::span<const double> cost, std::size_t rows, std::size_t columns) {
  double best = INFINITY;
  const std::function<void(std::size_t, std::size_t, double)> walk =
      [&](std::size_t r, std::size_t c, double sum) {
        sum += cost[r * columns + c];
        if (r + 1 == rows && c + 1 == columns) best = std::min(best, sum);
        if (r + 1 < rows) walk(r + 1, c, sum);
        if (c + 1 < columns) walk(r, c + 1, sum);
        if (r + 1 < rows && c + 1 < columns) walk(r + 1, c + 1, sum);
      };
  walk(0, 0, 0);
  return best;
}

// Of the path that enters its rows there: columns of a row up to where the next one is entered, or
// to the one before it.
double sum_of(std::span<const double> cost, const std::vector<std::size_t>& entered,
              std::size_t columns) {
  std::vector<double> sums{0};
  for (std::size_t r = 0; r < entered.size(); ++r) {
    const std::size_t next = r + 1 < entered.size() ? entered[r + 1] : columns - 1;
    double stay = 0, before = INFINITY;  // with and without the column of the next row's entry
    for (std::size_t c = entered[r]; c <= next; ++c) {
      if (c == next && c > entered[r]) before = stay;
      stay += cost[r * columns + c];
    }
    const bool last = r + 1 == entered.size();
    sums.push_back(sums.back() + (last ? stay : std::min(stay, before)));
  }
  return sums.back();
}

TEST(Warp, FindsTheLeastOfAllPaths) {
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    const std::size_t rows = 1 + random() % 5, columns = 1 + random() % 6;
    std::vector<double> cost(rows * columns);
    for (double& each : cost) each = static_cast<double>(random() % 1000) / 100 - 5;
    const auto entered = warp(cost, rows, columns);
    ASSERT_EQ(entered.size(), rows);
    EXPECT_EQ(entered[0], 0u);
    for (std::size_t r = 1; r < rows; ++r) EXPECT_GE(entered[r], entered[r - 1]);
    EXPECT_NEAR(sum_of(cost, entered, columns), least(cost, rows, columns), 1e-9);
  }
}

TEST(Warp, FollowsARidge) {
  // Three words, each looking at its own third.
  std::vector<double> cost(3 * 9, 0.1);
  for (std::size_t r = 0; r < 3; ++r)
    for (std::size_t c = 3 * r; c < 3 * r + 3; ++c) cost[r * 9 + c] = -1;
  EXPECT_EQ(warp(cost, 3, 9), (std::vector<std::size_t>{0, 3, 6}));
}

TEST(MedianFilter, TakesTheMiddleOfTheNeighbours) {
  std::vector<float> values{1, 9, 2, 8, 3};
  median_filter(values, 3);
  EXPECT_EQ(values, (std::vector<float>{9, 2, 8, 3, 8}));
  std::vector<float> few{5, 1};
  median_filter(few, 7);
  EXPECT_EQ(few, (std::vector<float>{5, 1}));
}

TEST(StandardizeColumns, TakesMeansAndDeviations) {
  std::vector<float> weights{1, 4, 3, 4};
  standardize_columns(weights, 2, 2);
  EXPECT_EQ(weights, (std::vector<float>{-1, 0, 1, 0}));
}

TEST(Words, BeginWithBlanksOrCharacters) {
  using Lengths = std::vector<std::size_t>;
  EXPECT_EQ(word_lengths(std::vector<std::string_view>{" Hel", "lo", ",", " you", "!"}, true),
            (Lengths{3, 2}));
  EXPECT_EQ(word_lengths(std::vector<std::string_view>{"No", " blank"}, true), (Lengths{1, 1}));
  EXPECT_EQ(word_lengths(std::vector<std::string_view>{"\xe4\xbd", "\xa0", "\xe5\xa5\xbd"}, false),
            (Lengths{2, 1}));
  EXPECT_EQ(word_lengths({}, true), Lengths{});
}

}  // namespace
}  // namespace lathe::infer
