// Calls of a run as rows: what is counted, by whom, and what is not known.
#include "loop/conductor/account.h"

#include <gtest/gtest.h>
#include <testing/memory_journal.h>

#include <atomic>

#include "loop/conductor/conductor.h"

namespace lathe::loop {
namespace {

using books::CountedBy;
using books::LedgerRow;

RunBegun header() {
  RunBegun run;
  run.recipe = {{"recipe", "texts"}};
  run.build = "lathe test";
  run.created_ms = 5000;
  return run;
}

const WorkerInfo kHere{"coder", "small", "models/small.gguf", Reach::kLocal};
const WorkerInfo kAway{"cloud", "big", "https://example.org/v1", Reach::kAny};

Usage used(std::int64_t prompt, std::int64_t cached, std::int64_t out) {
  return {.prompt_tokens = prompt,
          .cached_tokens = cached,
          .completion_tokens = out,
          .calls = 1,
          .counted = true};
}

LedgerRow made_row(const std::optional<WorkerInfo>& asked, const Usage& usage,
                   const RunBegun& run = header()) {
  return row_of("r1", run, {7, 9000, asked},
                CandidateMade{.call = CallId::make(2, 1, 0), .ms = 1500, .usage = usage});
}

TEST(Account, ARowSaysWhatACallTook) {
  Usage usage = used(100, 40, 20);
  usage.reasoning_tokens = 5;
  usage.busy_us = 1'000'000;
  usage.millijoules = 90;
  usage.energy_scope = "socket";
  const LedgerRow row = made_row(kHere, usage);
  EXPECT_EQ(row.id, "r1:7");
  EXPECT_EQ(row.call, "make:2:1:0:0:0");
  EXPECT_EQ(row.recipe, "texts");
  EXPECT_EQ(row.purpose, "make");
  EXPECT_EQ(row.start_ms, 9000);
  EXPECT_EQ(row.end_ms, 10500);
  EXPECT_EQ(row.wall_us, 1'500'000);
  EXPECT_EQ(row.model, "small");
  EXPECT_EQ(row.route, "local");
  EXPECT_EQ(row.tokens, (LedgerRow::Tokens{60, 40, 20, 5, CountedBy::kEngine}));
  EXPECT_EQ(row.energy, (LedgerRow::Energy{90, "socket", "busy time"}));
  EXPECT_EQ(row.queued_us, std::nullopt);
  EXPECT_EQ(row.cash, LedgerRow::Cash{});
  EXPECT_EQ(row.finish, "done");
}

TEST(Account, WhoCountedIsTold) {
  EXPECT_EQ(made_row(kAway, used(1, 0, 1)).tokens.counted_by, CountedBy::kProvider);
  EXPECT_EQ(made_row({}, {}).tokens, (LedgerRow::Tokens{0, 0, 0, 0, CountedBy::kNoModel}));
  // The request never reached the worker: nothing was used.
  EXPECT_EQ(made_row(kAway, {}).tokens.counted_by, CountedBy::kNoModel);
  EXPECT_EQ(made_row(kAway, {}).cash, LedgerRow::Cash{});
  Usage blind{.calls = 1};
  EXPECT_EQ(made_row(kAway, blind).tokens, LedgerRow::Tokens{});
  // Of two requests one was counted: at least that many.
  blind += used(10, 0, 3);
  EXPECT_EQ(made_row(kHere, blind).tokens, (LedgerRow::Tokens{10, 0, 3, 0, CountedBy::kNobody}));
}

TEST(Account, AFailedCallIsARow) {
  const LedgerRow failed =
      row_of("r1", header(), {7, 9000, kHere},
             CandidateMade{
                 .call = CallId::make(0, 1, 0),
                 .ms = 3,
                 .usage = used(5, 0, 1),
                 .answer = std::unexpected(Error{ErrorKind::kTimeout, "a text of the model's"})});
  EXPECT_EQ(failed.finish, "failed");
  EXPECT_EQ(failed.problem, "timeout") << "rows hold no texts";
  EXPECT_EQ(failed.tokens.out, 1);
  const LedgerRow cut =
      row_of("r1", header(), {7, 9000, kHere},
             CandidateMade{.call = CallId::make(0, 1, 0),
                           .answer = std::unexpected(Error{ErrorKind::kCancelled, "stopped"})});
  EXPECT_EQ(cut.finish, "cancelled");
  VerdictGiven given{.call = CallId::judging(0, 1, 0, 0, 0), .ms = 4};
  given.judgement.outcome = Outcome::kError;
  EXPECT_EQ(row_of("r1", header(), {7, 9000, kHere}, given).finish, "failed");
  given.judgement.outcome = Outcome::kFail;
  EXPECT_EQ(row_of("r1", header(), {7, 9000, kHere}, given).finish, "done");
}

TEST(Account, OnlyWhatIsPaidForHasAPrice) {
  RunBegun run = header();
  const books::Price price{.model = "big",
                           .in = 2'000'000'000,
                           .out = 10'000'000'000,
                           .cache_read = 200'000'000,
                           .currency = "USD",
                           .table = "hash"};
  run.prices = {{"cloud", price}, {"coder", price}};
  const LedgerRow paid = made_row(kAway, used(1'000'000, 500'000, 100'000), run);
  EXPECT_EQ(paid.cash, (LedgerRow::Cash{1'000'000'000 + 100'000'000 + 1'000'000'000, "USD",
                                        std::string(books::kComputed)}));
  EXPECT_EQ(paid.price_table, "hash");
  EXPECT_EQ(made_row(kHere, used(10, 0, 1), run).cash, LedgerRow::Cash{});
  EXPECT_EQ(made_row(kAway, used(10, 0, 1)).cash.source, books::kUnpriced);
  EXPECT_EQ(made_row(kAway, used(10, 0, 1)).cash.nano, std::nullopt) << "never 0";
  EXPECT_EQ(made_row(kAway, {.calls = 1}, run).cash.source, books::kUnpriced);
}

TEST(Account, WhatWasUnderWayWhenTheProcessEndedIsLost) {
  const auto at = [](std::int64_t seq, Event event) {
    return Entry{seq, 0, std::nullopt, std::move(event)};
  };
  const CallId ended = CallId::make(0, 1, 0), open = CallId::make(1, 1, 0);
  const std::vector<Entry> entries{at(0, header()), at(1, CallBegun{ended, "k", "pure"}),
                                   at(2, CandidateMade{.call = ended}), at(3, Resumed{"b", 8000}),
                                   at(4, CallBegun{open, "k", "pure"})};
  const std::vector<LedgerRow> rows = lost_calls("r1", entries);
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].id, "r1:4");
  EXPECT_EQ(rows[0].finish, books::kLost);
  EXPECT_EQ(rows[0].start_ms, 8000);
  EXPECT_FALSE(rows[0].counted());
}

class NamedWorker : public Worker {
 public:
  explicit NamedWorker(WorkerInfo info) : info_(std::move(info)) {}
  WorkerInfo info() const override { return info_; }
  Result<Reply> complete(const Request&, const StopFlag&,
                         const std::function<void(const Delta&)>&) override {
    return Reply{};
  }

 private:
  WorkerInfo info_;
};

TEST(Account, ALimitOfMoneyWantsThePriceOfEveryWorkerThatIsPaidFor) {
  const auto recipe = [](const std::string& stop) {
    auto parsed = parse_recipe(
        "recipe = \"r\"\nversion = 1\n[unit]\nfrom = \"a\"\n[make]\nkind = "
        "\"text\"\ntask = \"t\"\nladder = [\"coder\", \"cloud\"]\n"
        "[[judge]]\nkind = \"text\"\nmin_words = 1\n[stop]\n" +
            stop,
        "r.toml");
    EXPECT_TRUE(parsed) << parsed.error().message;
    return *parsed;
  };
  NamedWorker here(kHere), away(kAway);
  const auto worker = [&](const std::string& name) -> Worker* {
    return name == "coder" ? &here : name == "cloud" ? &away : nullptr;
  };
  const auto table = [](const std::string& currency) {
    return books::parse_price_table("table = \"t\"\ndate = \"2026-08-01\"\ncurrency = \"" +
                                        currency +
                                        "\"\nunit = \"million tokens\"\nsource = \"me\"\n"
                                        "[[price]]\nmodel = \"big\"\nin = 1\nout = 1\n",
                                    "t.toml")
        .value();
  };
  const std::vector<books::PriceTable> none, usd{table("USD")}, eur{table("EUR")};
  EXPECT_TRUE(prices_of(recipe("laps = 1"), none, worker)->empty()) << "unpriced, and not limited";
  const auto priced = prices_of(recipe("money = \"2.50 USD\""), usd, worker);
  ASSERT_TRUE(priced) << priced.error().message;
  ASSERT_EQ(priced->size(), 1U);
  EXPECT_EQ(priced->front().worker, "cloud");
  EXPECT_EQ(priced->front().price.table, usd.front().hash);
  const auto unpriced = prices_of(recipe("money = \"2.50 USD\""), none, worker);
  ASSERT_FALSE(unpriced);
  for (const char* part : {"'cloud'", "'big'", "lathe prices list"})
    EXPECT_NE(unpriced.error().message.find(part), std::string::npos) << part;
  const auto mixed = prices_of(recipe("money = \"2.50 USD\""), eur, worker);
  ASSERT_FALSE(mixed);
  EXPECT_NE(mixed.error().message.find("in EUR"), std::string::npos);
}

// Each call costs 1 USD, and never makes what is asked for.
class DearWorker : public Worker {
 public:
  WorkerInfo info() const override { return kAway; }
  Result<Reply> complete(const Request&, const StopFlag&,
                         const std::function<void(const Delta&)>&) override {
    ++asked;
    Reply reply;
    reply.text = "word";
    reply.usage.completion_tokens = 1'000;
    reply.usage.calls = 1;
    reply.usage.counted = true;
    return reply;
  }
  std::atomic<int> asked = 0;
};

TEST(Account, MoneyEndsARunThatCallsInFlightAloneMayExceed) {
  const auto dir = TempDir::make().value();
  std::string units;
  for (int i = 0; i < 20; ++i) units += fmt::format("text {}\n\n", i);
  ASSERT_TRUE(write_file_atomic(dir.path() / "units.md", units));
  const auto recipe = parse_recipe(R"toml(
recipe = "dear"
version = 1
privacy = "any"
[unit]
from = "units.md"
split = "paragraph"
[make]
kind = "text"
task = "Rewrite."
ladder = ["cloud"]
[[judge]]
kind = "text"
min_words = 3
[stop]
laps = 9
no_gain = 9
money = "5.00 USD"
)toml",
                                   "dear.toml");
  ASSERT_TRUE(recipe) << recipe.error().message;
  constexpr int kParallel = 3;
  DearWorker worker;
  const StopFlag stop;
  const Bench bench{
      .program = "/proc/self/exe",
      .parallel = kParallel,
      .build = "test",
      .media = nullptr,
      .worker = [&](const std::string& name) { return name == "cloud" ? &worker : nullptr; },
      .joules = {},
      .energy = {},
      .clock = system_clock(),
      .stop = stop,
      .prices = {books::parse_price_table("table = \"t\"\ndate = \"2026-08-01\"\n"
                                          "currency = \"USD\"\nunit = \"million tokens\"\n"
                                          "source = \"me\"\n[[price]]\nmodel = \"big\"\n"
                                          "in = 0\nout = 1000\n",
                                          "t.toml")
                     .value()}};
  books::Journal journal = lathe::testing::memory_journal();
  auto run = Run::start(journal, {*recipe, dir.path(), {}, Json::object()}, bench);
  ASSERT_TRUE(run) << run.error().message;
  const Status driven = run->drive();
  ASSERT_TRUE(driven) << driven.error().message;
  EXPECT_TRUE(run->state().ended);
  EXPECT_GE(worker.asked, 5);
  EXPECT_LE(worker.asked, 5 + kParallel - 1);
  std::int64_t nano = 0;
  int rows = 0;
  std::string table;
  ASSERT_TRUE(journal.rows({.run = run->id()}, [&](const LedgerRow& row) {
    if (row.purpose != "make") return;
    ++rows;
    nano += row.cash.nano.value_or(0);
    table = row.price_table;
  }));
  EXPECT_EQ(rows, worker.asked) << "those that came too late, too";
  EXPECT_EQ(nano, rows * books::kNano);
  EXPECT_EQ(journal.price_table(table).value(), bench.prices.front().text);
  // And again, from the records alone.
  const auto entries = from_records(journal.records(run->id()).value()).value();
  EXPECT_TRUE(replay(entries));
  EXPECT_GE(fold(entries)->paid_nano, 5 * books::kNano);
  // The table is changed later: what was priced stays as it was priced.
  EXPECT_EQ(fold(entries)->header.prices.front().price.out, 1000 * books::kNano);
}

}  // namespace
}  // namespace lathe::loop
