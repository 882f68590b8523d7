// Rows are addressed by what they hold and where; and what no model can compute with is no row.
#include "infer/executor/prompt.h"

#include <gtest/gtest.h>

#include <limits>
#include <set>

namespace lathe::infer {
namespace {

std::vector<float> numbers(std::size_t count, float first = 0.5f) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = first + static_cast<float>(i);
  return values;
}

TEST(RowBlock, WhatIsNoRowIsRefusedByItsPlace) {
  const auto message = [](std::size_t width, std::vector<float> values) {
    const auto block = RowBlock::make(width, std::move(values));
    return block ? "taken" : block.error().message;
  };
  EXPECT_EQ(message(4, numbers(12)), "taken");
  EXPECT_EQ(message(4, numbers(11)), "11 numbers are no rows of 4");
  EXPECT_EQ(message(4, {}), "0 numbers are no rows of 4");
  EXPECT_EQ(message(0, numbers(4)), "4 numbers are no rows of 0");
  EXPECT_EQ(RowBlock::make(4, numbers(12), {.grid_columns = 2}).error().message,
            "3 rows are no grid of 2 columns");
  for (const float odd :
       {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
        std::numeric_limits<float>::quiet_NaN()})
    for (const std::size_t at : {0u, 5u, 11u}) {
      auto values = numbers(12);
      values[at] = odd;
      EXPECT_EQ(message(4, values),
                fmt::format("number {} of row {} is {}; rows are finite", at % 4, at / 4, odd));
    }
}

// Whatever differs, in a single bit or in how the same numbers are cut into rows and how these
// stand to each other, differs in the keys of all rows.
TEST(RowBlock, AKeyIsOfTheWholeContentAndThePlace) {
  const auto block = *RowBlock::make(4, numbers(12)), same = *RowBlock::make(4, numbers(12));
  std::set<PositionKey> keys;
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(block->key(i), same->key(i));
    EXPECT_GT(block->key(i), PositionKey{UINT32_MAX}) << "no token's";
    keys.insert(block->key(i));
  }
  std::vector<std::shared_ptr<const RowBlock>> others;
  for (std::size_t at = 0; at < 12; ++at) {
    auto values = numbers(12);
    values[at] = std::nextafter(values[at], 100.0f);
    others.push_back(*RowBlock::make(4, values));
  }
  auto negative = numbers(12, 0.0f);
  others.push_back(*RowBlock::make(4, negative));
  negative[0] = -0.0f;
  others.push_back(*RowBlock::make(4, negative));
  others.push_back(*RowBlock::make(2, numbers(12)));
  others.push_back(*RowBlock::make(4, numbers(8)));
  others.push_back(*RowBlock::make(4, numbers(16)));
  for (const std::size_t columns : {1u, 3u})
    others.push_back(*RowBlock::make(4, numbers(12), {.grid_columns = columns}));
  others.push_back(*RowBlock::make(4, numbers(12), {.mutual = true}));
  others.push_back(*RowBlock::make(4, numbers(12), {.grid_columns = 3, .mutual = true}));
  std::size_t rows = 3;
  for (const auto& other : others) {
    for (std::size_t i = 0; i < other->rows(); ++i) keys.insert(other->key(i));
    rows += other->rows();
  }
  EXPECT_EQ(keys.size(), rows);
}

TEST(Prompt, RowsStandInPlaceOfTokens) {
  const auto picture = *RowBlock::make(2, numbers(6)), sound = *RowBlock::make(2, numbers(2, 9));
  Prompt prompt({7, 8});
  prompt.add(picture);
  prompt.add(std::vector<TokenId>{9});
  prompt.add(sound);
  prompt.add(picture);
  EXPECT_EQ(prompt.size(), 10u);
  EXPECT_EQ(prompt.ids(), (std::vector<TokenId>{7, 8, -1, -1, -1, 9, -1, -1, -1, -1}));
  EXPECT_EQ(prompt.tokens(), (std::vector<TokenId>{7, 8, 9}));
  EXPECT_EQ(prompt.keys(), (std::vector<PositionKey>{
                               7, 8, picture->key(0), picture->key(1), picture->key(2), 9,
                               sound->key(0), picture->key(0), picture->key(1), picture->key(2)}));
  const float* expected[] = {nullptr,         nullptr,        picture->row(0), picture->row(1),
                             picture->row(2), nullptr,        sound->row(0),   picture->row(0),
                             picture->row(1), picture->row(2)};
  for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(row_at(prompt.rows(), i), expected[i]) << i;
  EXPECT_EQ(row_at(prompt.rows(), 10), nullptr);
  EXPECT_EQ(row_at({}, 0), nullptr);
}

// Two tokens, a grid of 2 × 3, a token, a column of 4, rows in a sequence, a token.
TEST(Prompt, GridsTurnByTheirRowsAndColumns) {
  Prompt prompt({7, 8});
  prompt.add(*RowBlock::make(2, numbers(12), {.grid_columns = 3}));
  prompt.add(std::vector<TokenId>{9});
  prompt.add(*RowBlock::make(2, numbers(8), {.grid_columns = 1}));
  prompt.add(*RowBlock::make(2, numbers(4)));
  prompt.add(std::vector<TokenId>{9});
  const RopePosition expected[] = {{0, 0, 0},    {1, 1, 1},   {2, 2, 2}, {2, 2, 3},    {2, 2, 4},
                                   {2, 3, 2},    {2, 3, 3},   {2, 3, 4}, {5, 5, 5},    {6, 6, 6},
                                   {6, 7, 6},    {6, 8, 6},   {6, 9, 6}, {10, 10, 10}, {11, 11, 11},
                                   {12, 12, 12}, {13, 13, 13}};
  ASSERT_EQ(prompt.size(), 16u);
  for (std::size_t i = 0; i < std::size(expected); ++i)
    EXPECT_EQ(rope_position(prompt.rows(), i), expected[i]) << i;
  EXPECT_EQ(rope_position({}, 5), RopePosition::of_text(5));
}

TEST(Prompt, IsNotCutThroughRowsThatSeeEachOther) {
  Prompt prompt({7, 8});
  prompt.add(*RowBlock::make(2, numbers(8), {.mutual = true}));  // [2, 6)
  prompt.add(*RowBlock::make(2, numbers(6), {.mutual = true}));  // [6, 9)
  prompt.add(*RowBlock::make(2, numbers(4)));                    // [9, 11)
  const std::size_t ends[] = {1, 2, 6, 6, 6, 6, 9, 9, 9, 10, 11, 12};
  for (std::size_t i = 0; i < std::size(ends); ++i)
    EXPECT_EQ(together_until(prompt.rows(), i), ends[i]) << i;
  for (std::size_t from = 0; from < 11; ++from)
    for (std::size_t count = 0; from + count <= 11; ++count) {
      std::size_t most = count;  // the last border that is none inside
      const auto inside = [](std::size_t at) { return (at > 2 && at < 6) || (at > 6 && at < 9); };
      while (most > 0 && inside(from + most)) --most;
      EXPECT_EQ(uncut(prompt.rows(), from, count), most) << from << " " << count;
    }
}

}  // namespace
}  // namespace lathe::infer
