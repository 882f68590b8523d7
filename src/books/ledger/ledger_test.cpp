// Rows as JSON, the chain, and sums.
#include <gtest/gtest.h>

#include <random>

#include "books/ledger/chain.h"
#include "books/ledger/totals.h"
#include "ground/base/clock.h"
#include "ground/base/hash.h"

namespace lathe::books {
namespace {

LedgerRow row_of(const std::string& id) {
  LedgerRow row;
  row.id = id;
  row.start_ms = 1'796'100'000'000;  // 2026-12-01
  row.model = "small";
  row.tokens = {10, 4, 5, 0, CountedBy::kEngine};
  row.finish = "stop";
  return row;
}

TEST(Ledger, ARowWithoutAMemberOrWithOneOfAnotherKindIsRefused) {
  LedgerRow row = row_of("a");
  row.energy = {5, "gpu", "busy time"};
  row.cash = {7, "USD", std::string(kComputed)};
  const Json whole = to_json(row);
  EXPECT_EQ(row_from_json(whole).value(), row);
  const auto wrong = [&](const Json& json) {
    const auto read = row_from_json(json);
    return read ? std::string() : read.error().message;
  };
  for (const auto& [key, value] : whole.items()) {
    if (value.is_null() || key == "model_sha256") continue;
    Json less = whole;
    less.erase(key);
    EXPECT_NE(wrong(less).find(key), std::string::npos) << key;
    Json other = whole;
    other[key] = 1.5;
    EXPECT_NE(wrong(other).find(key), std::string::npos) << key;
  }
  Json by = whole;
  by["tokens"]["counted_by"] = "guess";
  EXPECT_NE(wrong(by).find("tokens.counted_by"), std::string::npos);
  EXPECT_NE(wrong(Json(3)), "");
}

// One line of `sha256sum` a row is all that it takes to follow the chain.
TEST(Ledger, TheHashOfARowIsThatOfItsBytes) {
  LedgerTip tip;
  const SealedRow first = seal(row_of("a"), tip);
  EXPECT_EQ(tip, (LedgerTip{1, sha256_hex(first.body)}));
  const SealedRow second = seal(row_of("b"), tip);
  EXPECT_EQ(unseal(second)->previous, sha256_hex(first.body));
  ChainCheck check;
  EXPECT_TRUE(check.take(first));
  EXPECT_TRUE(check.take(second));
  EXPECT_TRUE(check.end(tip));
}

// Whatever single row of a long chain is changed in whatever place, that row or the one behind it
// is named.
TEST(Ledger, OneChangedByteAnywhereIsFound) {
  std::vector<SealedRow> chain;
  LedgerTip tip;
  for (int i = 0; i < 20; ++i) chain.push_back(seal(row_of(fmt::format("id{}", i)), tip));
  std::mt19937 random(1);
  for (int round = 0; round < 400; ++round) {
    std::vector<SealedRow> other = chain;
    SealedRow& row = other[random() % other.size()];
    char& byte = row.body[random() % row.body.size()];
    byte = static_cast<char>(byte ^ (1 << random() % 7));
    ChainCheck check;
    Status fine;
    for (const SealedRow& each : other)
      if (fine) fine = check.take(each);
    if (fine) fine = check.end(tip);
    ASSERT_FALSE(fine) << row.body;
    EXPECT_NE(fine.error().message.find(fmt::format("row {} ", row.number)), std::string::npos)
        << fine.error().message;
  }
}

TEST(Ledger, TheTwoBooksAreNeverAddedUp) {
  Totals totals(Grouping::kModel);
  LedgerRow served = row_of("a"), run = row_of("b");
  run.run = "r1";
  totals.add(served);
  totals.add(run);
  totals.add(run);
  const std::vector<Total> list = totals.list();
  ASSERT_EQ(list.size(), 2U);
  EXPECT_EQ(list[0].book, "runs");
  EXPECT_EQ(list[0].calls, 2);
  EXPECT_EQ(list[0].fresh, 20);
  EXPECT_EQ(list[1].book, "served");
  EXPECT_EQ(list[1].out, 5);
}

TEST(Ledger, WhatIsNotKnownIsCountedAsSuch) {
  LedgerRow blind = row_of("a");
  blind.tokens = {};
  blind.cash.source = kUnpriced;
  blind.finish = kLost;
  LedgerRow known = row_of("b");
  known.energy = {100, "gpu", "busy time"};
  known.busy_us = 7;
  known.cash = {2'500'000'000, "USD", std::string(kComputed)};
  LedgerRow other = known;
  other.energy.scope = "socket";
  other.cash.currency = "EUR";
  LedgerRow judge = row_of("c");
  judge.tokens = {0, 0, 0, 0, CountedBy::kNoModel};
  Total total;
  for (const LedgerRow* row : {&blind, &known, &other, &judge}) total.add(*row);
  EXPECT_EQ(total.uncounted, 1);
  EXPECT_EQ(total.lost, 1);
  EXPECT_EQ(total.unpriced, 1);
  EXPECT_EQ(total.without_busy, 1);
  EXPECT_EQ(total.without_energy, 1);
  EXPECT_EQ(total.millijoules,
            (std::map<std::string, std::int64_t>{{"gpu", 100}, {"socket", 100}}));
  EXPECT_EQ(total.nano,
            (std::map<std::string, std::int64_t>{{"EUR", 2'500'000'000}, {"USD", 2'500'000'000}}));
}

TEST(Ledger, SumsDoNotDependOnTheOrder) {
  std::vector<LedgerRow> rows;
  std::mt19937 random(2);
  for (int i = 0; i < 200; ++i) {
    LedgerRow row = row_of(std::to_string(i));
    row.key = std::string(1, static_cast<char>('a' + random() % 3));
    row.start_ms += static_cast<std::int64_t>(random() % 5) * kDayMs;
    row.tokens.out = static_cast<std::int64_t>(random() % 1000);
    if (random() % 2) row.run = "r";
    rows.push_back(row);
  }
  for (const Grouping by : {Grouping::kModel, Grouping::kKey, Grouping::kRecipe, Grouping::kDay}) {
    Totals forward(by), shuffled(by);
    for (const LedgerRow& row : rows) forward.add(row);
    std::vector<LedgerRow> other = rows;
    std::ranges::shuffle(other, random);
    for (const LedgerRow& row : other) shuffled.add(row);
    EXPECT_EQ(forward.list(), shuffled.list());
    std::int64_t out = 0, expected = 0;
    for (const Total& total : forward.list()) out += total.out;
    for (const LedgerRow& row : rows) expected += *row.tokens.out;
    EXPECT_EQ(out, expected);
  }
}

TEST(Ledger, CellsOfATableAreQuotedWhereTheyMustBe) {
  Total total;
  total.book = "served";
  total.name = "a \"b\", c\nd";
  total.millijoules = {{"gpu", 1}, {"socket", 2}};
  const std::string csv = to_csv(std::span(&total, 1));
  EXPECT_NE(csv.find("\nserved,\"a \"\"b\"\", c\nd\",0,"), std::string::npos) << csv;
  EXPECT_NE(csv.find(",gpu=1;socket=2,"), std::string::npos) << csv;
}

TEST(Ledger, MoneyIsWrittenToTheLastDigit) {
  EXPECT_EQ(format_nano(0, "USD"), "0.00 USD");
  EXPECT_EQ(format_nano(2'500'000'000, "USD"), "2.50 USD");
  EXPECT_EQ(format_nano(41'000, "EUR"), "0.000041 EUR");
  EXPECT_EQ(format_nano(1, "USD"), "0.000000001 USD");
  EXPECT_EQ(format_nano(-1'250'000'000, "USD"), "-1.25 USD");
  EXPECT_EQ(format_nano(-5, "USD"), "-0.000000005 USD");
}

}  // namespace
}  // namespace lathe::books
