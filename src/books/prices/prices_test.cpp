// Prices, the machine and when it has paid for itself: reference figures, and every bad input.
#include <gmock/gmock.h>

#include "books/prices/answer_price.h"
#include "books/prices/payback.h"
#include "books/prices/price_table.h"
#include "books/prices/run_cost.h"
#include "ground/base/clock.h"
#include "ground/base/file.h"
#include "ground/base/hash.h"

namespace lathe::books {
namespace {

using ::testing::HasSubstr;

constexpr const char* kHead = R"(table = "t"
date = "2026-08-01"
currency = "USD"
unit = "million tokens"
source = "a list"
)";

PriceTable table_of(const std::string& rows, const std::string& head = kHead) {
  auto table = parse_price_table(head + rows, "t.toml");
  EXPECT_TRUE(table) << table.error().message;
  return table ? *table : PriceTable{};
}
std::string refusal(const std::string& text) {
  const auto table = parse_price_table(text, "t.toml");
  return table ? "taken" : table.error().message;
}

TEST(Prices, TheShippedTableIsWhole) {
  const std::string text = read_file(fs::path(LATHE_SOURCE_DIR) / "prices/2026-08.toml").value();
  const auto table = parse_price_table(text, "2026-08.toml");
  ASSERT_TRUE(table) << table.error().message;
  EXPECT_EQ(table->hash, sha256_hex(text));
  EXPECT_EQ(table->prices.size(), 22U);
  const Price* oss = find_price(std::span(&*table, 1), "openai/gpt-oss-120b");
  ASSERT_NE(oss, nullptr);
  EXPECT_EQ(oss->in, 37'000'000);
  EXPECT_EQ(oss->out, 170'000'000);
  EXPECT_EQ(find_price(std::span(&*table, 1), "claude-haiku-4-5")->out, 5'000'000'000);
}

// The agent step of the sheet: 30,000 in, of them 26,000 cached, 600 out.
TEST(Prices, ReferenceCosts) {
  const std::string text = read_file(fs::path(LATHE_SOURCE_DIR) / "prices/2026-08.toml").value();
  const PriceTable table = parse_price_table(text, "x").value();
  const auto step = [&](const char* model) {
    return static_cast<double>(cost_of(*find_price(std::span(&table, 1), model),
                                       {.fresh = 4'000, .cached = 26'000, .out = 600})) /
           1e9;
  };
  EXPECT_NEAR(step("claude-opus-5"), 0.048, 0.0005);
  EXPECT_NEAR(step("claude-sonnet-5"), 0.019, 0.0005);
  EXPECT_NEAR(step("claude-haiku-4.5"), 0.0096, 0.00005);
  EXPECT_NEAR(step("gpt-5.6-sol"), 0.051, 0.0005);
  EXPECT_NEAR(step("gpt-oss-120b"), 0.0012, 0.00005);
}

TEST(Prices, AmountsOfMoney) {
  EXPECT_EQ(parse_money("2.50 USD")->nano, 2'500'000'000);
  EXPECT_EQ(parse_money(" 0.000000001  EUR ")->nano, 1);
  for (const char* bad : {"", "2.50", "USD", "2.50USD", "0 USD", "-1 USD", "nan USD", "inf USD",
                          "1e3 USD", "2.50 usd", "2,50 USD", "9e99 USD", "2.50 USD EUR"})
    EXPECT_FALSE(parse_money(bad)) << bad;
}

TEST(Prices, RoundsOnceToTheNearestNano) {
  const Price price{.in = 1, .out = 0};  // a nano a million
  EXPECT_EQ(cost_of(price, {.fresh = 499'999}), 0);
  EXPECT_EQ(cost_of(price, {.fresh = 500'000}), 1);
  const Price dear{.in = 1'000 * kNano, .out = 1'000 * kNano};
  EXPECT_EQ(cost_of(dear, {.fresh = 1'000'000'000'000}), 1'000'000'000 * kNano);
}

TEST(Prices, BadTablesAreRefusedByPlace) {
  const std::string head = kHead;
  const auto row = [&](const std::string& values) {
    return refusal(head + "[[price]]\nmodel = \"m\"\n" + values);
  };
  EXPECT_THAT(row("in = -1.0\nout = 1.0\n"), HasSubstr("t.toml:8: in is negative"));
  EXPECT_THAT(row("in = nan\nout = 1.0\n"), HasSubstr("in is no number"));
  EXPECT_THAT(row("in = \"1\"\nout = 1.0\n"), HasSubstr("in is no number"));
  EXPECT_THAT(row("in = 1000.1\nout = 1.0\n"), HasSubstr("mistake of the unit"));
  EXPECT_THAT(row("in = 0.000003\nout = 1.0\n"), HasSubstr("price of one token"));
  EXPECT_THAT(row("in = 1.0\n"), HasSubstr("needs 'in' and 'out'"));
  EXPECT_THAT(row("in = 0\nout = 0\n"), HasSubstr("costs 0"));
  EXPECT_THAT(row("in = 1\nout = 1\nprice = 2\n"), HasSubstr("has no 'price'"));
  EXPECT_THAT(row("in = 1\nout = 1\ntokens = [1.2, 1.1]\n"), HasSubstr("the smaller one first"));
  EXPECT_THAT(row("in = 1\nout = 1\ntokens = [1.2]\n"), HasSubstr("two numbers"));
  EXPECT_THAT(row("in = 1\nout = 1\nbatch = 0\n"), HasSubstr("batch must lie in (0, 10]"));
  EXPECT_THAT(row("in = 1\nout = 1\n[[price]]\nmodel = \"m\"\nin = 1\nout = 1\n"),
              HasSubstr("m stands there twice"));
  EXPECT_THAT(refusal("table = \"t\"\n"), HasSubstr("unit = \"million tokens\""));
  EXPECT_THAT(refusal(head), HasSubstr("has no [[price]]"));
  for (const char* key : {"table", "date", "currency", "source"}) {
    std::string less = head;
    const auto line = less.find(key);
    less.erase(line, less.find('\n', line) - line);
    EXPECT_THAT(refusal(less + "[[price]]\nmodel=\"m\"\nin=1\nout=1\n"), HasSubstr(key)) << key;
  }
}

TEST(Prices, TheNewerTableCountsAndNothingIsGuessed) {
  const std::vector<PriceTable> tables{
      table_of("[[price]]\nmodel=\"gpt-5.5\"\nin=1\nout=1\n[[price]]\nmodel=\"a/x\"\nin=1\nout=1\n"
               "[[price]]\nmodel=\"b/x\"\nin=2\nout=2\n"),
      table_of("[[price]]\nmodel=\"gpt-5.5\"\nin=7\nout=7\n",
               "table=\"u\"\ndate=\"2026-09-01\"\ncurrency=\"USD\"\nunit=\"million tokens\"\n"
               "source=\"me\"\n")};
  EXPECT_EQ(find_price(tables, "gpt-5.5")->in, 7 * kNano);
  EXPECT_EQ(find_price(tables, "openai/GPT-5.5:free")->in, 7 * kNano);
  EXPECT_EQ(find_price(tables, "gpt-5.5-pro"), nullptr) << "another model";
  EXPECT_EQ(find_price(tables, "a/x")->in, kNano);
  EXPECT_EQ(find_price(tables, "x"), nullptr) << "two prices";
  EXPECT_EQ(find_price(tables, ""), nullptr);
  EXPECT_EQ(find_like(tables, "gpt-5.5-q4_0")->in, 7 * kNano);
  EXPECT_EQ(find_like(tables, "gpt-5"), nullptr);
}

TEST(Prices, OldTablesSaySo) {
  EXPECT_EQ(age_note("2026-08-01", "2026-10-30"), "");  // 90 days
  EXPECT_THAT(age_note("2026-08-01", "2026-10-31"), HasSubstr("91 days old"));
  EXPECT_EQ(age_note("2026-08-01", "2026-07-01"), "");
}

TEST(Prices, WhatIsNotKnownIsUnpricedAndNever0) {
  const LedgerRow::Tokens counted{10, 0, 5, 0, CountedBy::kProvider};
  EXPECT_EQ(cash_of(std::nullopt, counted).nano, std::nullopt);
  EXPECT_EQ(cash_of(std::nullopt, counted).source, kUnpriced);
  EXPECT_EQ(cash_of(Price{.in = kNano, .currency = "USD"}, {}).source, kUnpriced);
  EXPECT_EQ(cash_of(Price{.in = kNano, .currency = "USD"}, counted).nano, 10'000);
}

TEST(Prices, ImportTakesWhatHasAUnitAndRejectsTheRest) {
  const auto imported = import_litellm(R"({
    "sample_spec": {"input_cost_per_token": "text"},
    "good": {"input_cost_per_token": 2e-06, "output_cost_per_token": 1e-05,
             "cache_read_input_token_cost": 2e-07, "source": "https://example.org/\"p\""},
    "a/model": {"input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06},
    "b/model": {"input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06},
    "c/model": {"input_cost_per_token": 51e-06, "output_cost_per_token": 1e-06},
    "d/model": {"input_cost_per_token": 0.015, "output_cost_per_token": 0.06},
    "image": {"input_cost_per_image": 0.04},
    "negative": {"input_cost_per_token": -1e-06, "output_cost_per_token": 1e-06},
    "free": {"input_cost_per_token": 0, "output_cost_per_token": 0},
    "tiny": {"input_cost_per_token": 1e-12, "output_cost_per_token": 1e-12}
  })",
                                       "2026-08-01", "LiteLLM");
  ASSERT_TRUE(imported) << imported.error().message;
  std::map<std::string, std::string> why;
  for (const auto& [model, reason] : imported->rejected) why[model] = reason;
  EXPECT_EQ(imported->taken, 3U);
  EXPECT_EQ(why.size(), 7U);
  EXPECT_THAT(why["c/model"], HasSubstr("more than 50 times"));
  EXPECT_THAT(why["d/model"], HasSubstr("more than $1,000"));
  EXPECT_THAT(why["image"], HasSubstr("unit"));
  EXPECT_THAT(why["negative"], HasSubstr("negative"));
  EXPECT_THAT(why["free"], HasSubstr("costs 0"));
  EXPECT_THAT(why["tiny"], HasSubstr("less than"));
  const auto table = parse_price_table(imported->toml, "imported");
  ASSERT_TRUE(table) << table.error().message << imported->toml;
  const Price* good = find_price(std::span(&*table, 1), "good");
  ASSERT_NE(good, nullptr);
  EXPECT_EQ(good->in, 2 * kNano);
  EXPECT_EQ(good->cache_read, 200'000'000);
  EXPECT_EQ(good->source, "https://example.org/\"p\"");
  for (const char* bad : {"[]", "{}", "nonsense", R"({"a": 1})"})
    EXPECT_FALSE(import_litellm(bad, "2026-08-01", "x")) << bad;
}

constexpr const char* kBox = R"(price = 4699.0
currency = "USD"
bought = "2026-06-01"
life_years = 3
watts_idle = 30
watts_load = 150
[[tariff]]
from = "2026-01-01"
per_kwh = 0.15
[[tariff]]
from = "2026-10-01"
per_kwh = 0.30
)";

std::string box_refusal(const std::string& text) {
  const auto box = parse_box(text, "box.toml", "2026-12-01");
  return box ? "taken" : box.error().message;
}
std::string with(const std::string& from, const std::string& to) {
  std::string text = kBox;
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(Box, BadInputsAreRefusedByPlace) {
  EXPECT_EQ(box_refusal(kBox), "taken");
  for (const char* bad : {"0", "-0.1", "nan", "inf", "\"0.15\""})
    EXPECT_THAT(box_refusal(with("per_kwh = 0.15", fmt::format("per_kwh = {}", bad))),
                HasSubstr("box.toml:9: 'tariff.per_kwh' must be a number above 0"))
        << bad;
  for (const char* bad : {"0", "-1", "nan", "100"})
    EXPECT_THAT(box_refusal(with("life_years = 3", fmt::format("life_years = {}", bad))),
                HasSubstr("'life_years' must be"))
        << bad;
  EXPECT_THAT(box_refusal(with("bought = \"2026-06-01\"", "bought = \"2026-12-02\"")),
              HasSubstr("that day has not come yet"));
  EXPECT_EQ(box_refusal(with("bought = \"2026-06-01\"", "bought = 2026-06-01")), "taken");
  EXPECT_THAT(box_refusal(with("bought = \"2026-06-01\"", "bought = \"June\"")),
              HasSubstr("is no day"));
  EXPECT_THAT(box_refusal(with("watts_idle = 30", "watts_idle = 151")), HasSubstr("more than"));
  EXPECT_THAT(box_refusal(with("watts_idle = 30", "resale = 5000")), HasSubstr("'resale' is more"));
  EXPECT_THAT(box_refusal(with("watts_idle = 30", "wats_idle = 30")), HasSubstr("no key 'wats"));
  EXPECT_THAT(box_refusal(with("price = 4699.0", "price = 0")), HasSubstr("'price' must be"));
  EXPECT_THAT(box_refusal("price = "), HasSubstr("box.toml"));
  EXPECT_THAT(box_refusal(std::string(kBox) + "[cash]\nmonth = 5\n"), HasSubstr("'cash.what'"));
  EXPECT_THAT(box_refusal(std::string(kBox) + "[cash]\nmonth = 0\nwhat = \"x\"\n"),
              HasSubstr("'cash.month' must be"));
}

TEST(Box, PowerIsPricedByTheTariffOfTheDay) {
  const Box box = parse_box(kBox, "box.toml", "2026-12-01").value();
  const auto at = [&](const char* day) { return box.tariff_at(parse_day(day).value()); };
  EXPECT_EQ(at("2025-12-31"), nullptr);
  EXPECT_EQ(at("2026-09-30")->nano_per_kwh, 150'000'000);
  EXPECT_EQ(at("2026-10-01")->nano_per_kwh, 300'000'000);
}

// $18.35 a used hour at 1 %, $0.20 at 100 %: a hundredfold, less the power.
TEST(Box, AnHourOfUseCostsAHundredfoldWhereItIsUsedAHundredthOfTheTime) {
  const Box box = parse_box(kBox, "box.toml", "2026-12-01").value();
  EXPECT_NEAR(cost_of_used_hour(box, 0.01, 150'000'000) / kNano, 18.35, 0.005);
  EXPECT_NEAR(cost_of_used_hour(box, 1, 150'000'000) / kNano, 0.20, 0.005);
  EXPECT_NEAR(capital_of_second(box, 0.01) / capital_of_second(box, 1), 100, 1e-9);
  // The same machine at $2,500 and at $6,500.
  Box cheap = box, dear = box;
  cheap.price = 2500 * kNano;
  dear.price = 6500 * kNano;
  EXPECT_NEAR(capital_of_second(dear, 0.1) / capital_of_second(cheap, 0.1), 2.6, 1e-9);
}

LedgerRow busy_row(std::int64_t start_ms, std::optional<std::int64_t> busy_us) {
  LedgerRow row;
  row.start_ms = start_ms;
  row.busy_us = busy_us;
  row.route = "local";
  row.tokens = {1, 0, 1, 0, CountedBy::kEngine};
  return row;
}

TEST(Box, HowBusyItIsNeedsADayOfCalls) {
  const std::int64_t now = parse_day("2026-12-01").value();
  UtilisationCount none(now);
  EXPECT_THAT(none.count().error().message, HasSubstr("0.0 hours"));
  UtilisationCount young(now);
  young.add(busy_row(now - kDayMs + 1, 1'000'000));
  EXPECT_THAT(young.count().error().message, HasSubstr("24 are needed"));
  UtilisationCount idle(now);
  idle.add(busy_row(now - 2 * kDayMs, {}));
  EXPECT_THAT(idle.count().error().message, HasSubstr("no busy second"));
  UtilisationCount fine(now);
  fine.add(busy_row(now - 10 * kDayMs, kDayMs * 1000));
  fine.add(busy_row(now - 40 * kDayMs, kDayMs * 1000));  // too long ago
  fine.add(busy_row(now + 1, kDayMs * 1000));            // the clock was set back
  fine.add(busy_row(now - kDayMs, {}));
  EXPECT_NEAR(fine.count()->share(), 0.1, 1e-9);
  EXPECT_EQ(fine.count()->unknown, 1);
}

// The figures of the sheet: $8 of power a month.
TEST(Payback, ReferenceFigures) {
  const auto months = [](double price, double cash, double share, double power = 8) {
    return payback_months({.price = price, .cash = cash, .share = share, .power = power}, 1)
        .value_or(-1);
  };
  EXPECT_NEAR(months(3999, 500, 1, 0), 8.0, 0.01);
  EXPECT_NEAR(months(3999, 2000, 1, 0), 2.0, 0.01);
  EXPECT_NEAR(months(3999, 500, 1), 8.1, 0.05);
  EXPECT_NEAR(months(3999, 500, 0.5), 16.5, 0.05);
  EXPECT_NEAR(months(3999, 2000, 0.5), 4.0, 0.05);
  EXPECT_NEAR(months(3999, 500, 0.2), 43.5, 0.05);
  EXPECT_NEAR(months(3999, 2000, 0.2), 10.2, 0.05);
  EXPECT_NEAR(months(4699, 500, 1), 9.6, 0.05);
  EXPECT_NEAR(months(4699, 500, 0.2), 51, 0.1);
  EXPECT_NEAR(months(3999, 20, 1), 333, 0.5);
  EXPECT_NEAR(months(2500, 500, 1, 0), 5.0, 0.01);
  EXPECT_NEAR(months(6500, 500, 1, 0), 13.0, 0.01);
  EXPECT_EQ(months(3999, 500, 0.01), -1) << "power costs more than what is displaced";
}

TEST(Payback, FallingPricesMakeItLaterOrNever) {
  const PaybackTerms terms{.price = 3999, .cash = 500, .power = 8};
  const double flat = payback_months(terms, 1).value();
  const double halved = payback_months(terms, 2).value();
  EXPECT_GT(halved, flat);
  // By hand: 500 · 2^(−t/12), less 8, summed over whole months.
  EXPECT_NEAR(halved, 10.6243, 0.001);
  EXPECT_EQ(payback_months(terms, 10), std::nullopt);
  // 1,992.00 and 1,642.80, and of the third month's 1,354.58 what is left: 364.20.
  EXPECT_NEAR(payback_months({.price = 3999, .cash = 2000, .power = 8}, 10).value(), 2.269, 0.001);
}

TEST(Payback, WithoutDataItIsRefusedWithTheWayToEach) {
  PaybackBasis basis{.why_no_box = "write CONFIG/box.toml",
                     .utilisation = fail(ErrorKind::kUnavailable, "too early")};
  const std::string nothing = payback_of(basis).error().message;
  for (const char* part : {"write CONFIG/box.toml", "acceptance rate", "too early"})
    EXPECT_THAT(nothing, HasSubstr(part));
  basis.box = parse_box("price=1\ncurrency=\"USD\"\nbought=\"2026-01-01\"\nlife_years=1\n", "b",
                        "2026-12-01")
                  .value();
  basis.takes = 3;
  const std::string some = payback_of(basis).error().message;
  for (const char* part :
       {"[[tariff]]", "watts_idle", "cash basis", "lathe capacity", "none passed"})
    EXPECT_THAT(some, HasSubstr(part));
  basis.box = parse_box(std::string(kBox) +
                            "[cash]\nmonth=500\nwhat=\"bill\"\nshare=0.5\n[capacity]\n"
                            "checked=\"2026-11-30\"\npeople=3\n",
                        "b", "2026-12-01")
                  .value();
  basis.now_ms = parse_day("2026-12-01").value();
  basis.takes = 10;
  basis.accepted = 8;
  basis.utilisation = Utilisation{.busy_us = 10, .window_us = 100};
  const auto payback = payback_of(basis);
  ASSERT_TRUE(payback) << payback.error().message;
  EXPECT_NEAR(payback->terms.acceptance, 0.8, 1e-9);
  EXPECT_NEAR(payback->terms.power, 0.042 * 730 * 0.30, 1e-6);
  EXPECT_NEAR(payback->flat.value(), 4699 / (500 * 0.5 * 0.8 - 0.042 * 730 * 0.30), 0.01);
}

// A run of four units: three calls of a model here, a judge that asks none, one call that failed.
std::vector<LedgerRow> run_rows() {
  const std::int64_t day = parse_day("2026-12-01").value();
  std::vector<LedgerRow> rows;
  for (int i = 0; i < 5; ++i) {
    LedgerRow row = busy_row(day, 2'000'000);
    row.run = "r1";
    row.model = "gpt-oss-120b-mxfp4";
    row.tokens = {1000, 3000, 500, 0, CountedBy::kEngine};
    row.finish = "done";
    if (i == 3) row.finish = kFailed;
    if (i == 4) {
      row.model = "";
      row.busy_us = {};
      row.tokens = {0, 0, 0, 0, CountedBy::kNoModel};
    }
    rows.push_back(row);
  }
  return rows;
}
const RunFacts kFacts{.units = 4, .accepted = 2, .laps = 3, .candidates = 4, .working_ms = 9000};

LocalPrices local_prices() {
  return {.box = parse_box(std::string(kBox) + "", "box.toml", "2026-12-01").value(),
          .utilisation = Utilisation{.busy_us = 10, .window_us = 100},
          .now_ms = parse_day("2026-12-01").value()};
}

TEST(RunCost, Golden) {
  const std::string text = read_file(fs::path(LATHE_SOURCE_DIR) / "prices/2026-08.toml").value();
  const PriceTable table = parse_price_table(text, "x").value();
  LocalPrices local = local_prices();
  local.box->replaces = "claude-opus-5";
  RunFacts facts = kFacts;
  facts.joules = 600;
  facts.scope = "socket";
  const RunCost cost = cost_of_run(facts, run_rows(), local, std::span(&table, 1));
  std::string all;
  for (const std::string& line : cost_lines(cost)) all += line + "\n";
  EXPECT_EQ(all, R"(2 of 4 takes accepted, by 3 laps with 4 candidates
                                   in all          an accepted take
calls                                   5                       2.5  (1 failed)
tokens fresh                         4000                      2000
tokens cached                       12000                      6000
tokens out                           2000                      1000
working time                        9.0 s                     4.5 s
energy                            600.0 J                   300.0 J  (socket)
power                         0.00005 USD              0.000025 USD
machine                   0.003973448 USD           0.001986724 USD
priced at                    0.000932 USD              0.000466 USD  gpt-oss-120b, the same open model
                 the same tokenizer; OpenRouter /api/v1/models, the cheapest host; others ask for 0.15 and 0.60, 2026-08-01 (122 days old: look whether it still holds); quality not compared
priced at                     0.08816 USD               0.04408 USD  claude-opus-5, which this machine replaces, you say
     up to                     0.1134 USD                0.0567 USD
                 1.16 to 1.40 tokens for one of this model's; OpenRouter /api/v1/models, 2026-08-01 (122 days old: look whether it still holds); quality not compared
)");
}

TEST(RunCost, WhatCannotBeReadIsSaid) {
  const RunCost cost = cost_of_run(
      kFacts, run_rows(),
      {.why_no_box = "write box.toml", .utilisation = fail(ErrorKind::kUnavailable, "too early")},
      {});
  std::string all;
  for (const std::string& line : cost_lines(cost)) all += line + "\n";
  EXPECT_THAT(all, HasSubstr("energy           not readable here"));
  EXPECT_THAT(all, HasSubstr("power            no amount: write box.toml"));
  EXPECT_THAT(all, HasSubstr("gpt-oss-120b-mxfp4: unpriced"));
  EXPECT_THAT(all, ::testing::Not(HasSubstr(" 0.00")));
  EXPECT_THAT(all, ::testing::Not(HasSubstr("saved")));
  EXPECT_TRUE(to_json(cost)["power"]["nano"].is_null());
}

TEST(RunCost, DeclaredWattsAreMarkedAndUncountedCallsMakeSumsLeast) {
  std::vector<LedgerRow> rows = run_rows();
  rows[0].tokens.counted_by = CountedBy::kNobody;
  const RunCost cost = cost_of_run(kFacts, rows, local_prices(), {});
  EXPECT_TRUE(cost.modelled);
  EXPECT_NEAR(cost.joules.value(), 150 * 8, 1e-9);  // four times two busy seconds
  std::string all;
  for (const std::string& line : cost_lines(cost)) all += line + "\n";
  EXPECT_THAT(all, HasSubstr("~1.2 kJ"));
  EXPECT_THAT(all, HasSubstr("≥ 4000"));
  // Where a call's busy time is not known, the run's working time stands for all.
  rows[1].busy_us = {};
  EXPECT_NEAR(cost_of_run(kFacts, rows, local_prices(), {}).joules.value(), 150 * 9, 1e-9);
}

// The table is changed later: what was priced by the old one adds up to the same.
TEST(AnswerPrice, SaysWhatIsKnownAndNothingElse) {
  const std::string text = read_file(fs::path(LATHE_SOURCE_DIR) / "prices/2026-08.toml").value();
  const PriceTable table = parse_price_table(text, "x").value();
  LocalPrices local = local_prices();
  local.box->replaces = "claude-opus-5";
  LedgerRow call = run_rows()[0];
  call.route = "local";
  call.energy = {600'000, "socket", ""};
  const auto lines = price_of_answer(call, local, std::span(&table, 1));
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0].low, 50'000);  // 600 J at 0.30 a kWh
  EXPECT_EQ(lines[0].basis, "socket; the tariff of box.toml");
  EXPECT_EQ(lines[1].what, "gpt-oss-120b, the same open model");
  EXPECT_EQ(lines[1].low, 233'000);  // a quarter of the run's
  EXPECT_THAT(lines[2].what, HasSubstr("claude-opus-5, which this machine replaces"));
  EXPECT_LT(lines[2].low, lines[2].high);
  call.energy = {};
  EXPECT_THAT(price_of_answer(call, local, {})[0].basis, HasSubstr("modelled: 150 W"));
  // Of another machine's watts nothing is known, nor of an unknown model's price.
  call.busy_us = {};
  EXPECT_TRUE(price_of_answer(call, local, {}).empty());
  EXPECT_TRUE(
      price_of_answer(call, {.utilisation = fail(ErrorKind::kUnavailable, "")}, {}).empty());
}

TEST(AnswerPrice, AModelThatIsPaidForIsPricedAsItsRowIs) {
  const PriceTable table = table_of("[[price]]\nmodel=\"gpt-5.5\"\nin=1\nout=2\n");
  LedgerRow call = run_rows()[0];
  call.route = "any";
  call.model = table.prices[0].model;
  const auto lines = price_of_answer(call, local_prices(), std::span(&table, 1));
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].low, cash_of(table.prices[0], call.tokens).nano);
  EXPECT_THAT(lines[0].basis, HasSubstr(table.source));
  call.model = "nobody's";
  EXPECT_TRUE(price_of_answer(call, local_prices(), std::span(&table, 1)).empty());
}

TEST(RunCost, OldRowsKeepTheirPrices) {
  const auto priced = [](const PriceTable& table) {
    LedgerRow row;
    row.run = "r1";
    row.route = "any";
    row.model = "m";
    row.tokens = {1'000'000, 0, 0, 0, CountedBy::kProvider};
    row.cash = cash_of(*find_price(std::span(&table, 1), "m"), row.tokens);
    row.price_table = table.hash;
    return row;
  };
  const PriceTable old = table_of("[[price]]\nmodel=\"m\"\nin=1\nout=1\n"),
                   later = table_of("[[price]]\nmodel=\"m\"\nin=9\nout=9\n");
  const std::vector<LedgerRow> rows{priced(old), priced(later)};
  for (const PriceTable* known : {&old, &later}) {
    const RunCost cost = cost_of_run(kFacts, rows, local_prices(), std::span(known, 1));
    EXPECT_EQ(cost.sum.nano.at("USD"), 10 * kNano);
  }
  EXPECT_NE(rows[0].price_table, rows[1].price_table);
}

}  // namespace
}  // namespace lathe::books
