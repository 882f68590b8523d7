// What every store of the journal must do. To add a store: a row in kStores.
#include <gtest/gtest.h>
#include <testing/memory_journal.h>
#include <testing/postgres_server.h>

#include <map>
#include <random>

#include "books/postgres/open_postgres.h"
#include "books/postgres/schema.h"
#include "books/sqlite/open_journal.h"
#include "ground/base/hash.h"

namespace lathe::books {
namespace {

// Opens what lies at one place as another process would: each call gives an object of its own.
using Opener = std::function<Journal()>;

struct StoreKind {
  const char* name;
  Opener (*place)(const fs::path& directory);  // an empty place
};

// One server and one database for all cases; each finds it empty.
Opener postgres_place() {
  static lathe::testing::PostgresServer server;
  const std::string address = server.address(server.clear_database(
      "stores",
      "TRUNCATE lathe.run, lathe.record, lathe.queue, lathe.label, lathe.ledger, "
      "lathe.price_table, "
      "lathe.intent, lathe.blob, lathe.piece; UPDATE lathe.ledger_tip SET number = 0, hash = ''"));
  EXPECT_TRUE(init_postgres(address));
  return [address] { return open_postgres_journal(address).value(); };
}

const StoreKind kStores[] = {
    {"memory",
     [](const fs::path&) -> Opener {
       return [shelf = std::make_shared<lathe::testing::MemoryShelf>()] {
         return lathe::testing::memory_journal(shelf);
       };
     }},
    {"sqlite",
     [](const fs::path& directory) -> Opener {
       return [directory] { return open_journal(directory).value(); };
     }},
    {"postgres", [](const fs::path&) -> Opener { return postgres_place(); }},
};

Record record(std::int64_t seq, std::string kind, Json body = Json::object()) {
  return {seq, seq * 10, std::nullopt, std::move(kind), std::move(body)};
}
const std::vector<Record> kFirst{record(0, "run")};

std::vector<Record> read(const Journal& journal, const std::string& run, auto what) {
  return journal.records(run, what).value();
}
std::vector<RunRow> rows(const Journal& journal) {
  return journal.runs().value();
}

class Store : public ::testing::TestWithParam<StoreKind> {
 protected:
  Store() : dir_(TempDir::make().value()), open_(GetParam().place(dir_.path())) {}
  Journal open() const { return open_(); }

 private:
  TempDir dir_;
  Opener open_;
};

INSTANTIATE_TEST_SUITE_P(Each, Store, ::testing::ValuesIn(kStores),
                         [](const auto& tested) { return std::string(tested.param.name); });

TEST_P(Store, RecordsComeBackAsTheyWereWritten) {
  const Json body{{"text", "ü \"quoted\"\n"}, {"deep", {1, 2.5, nullptr, {{"a", true}}}}};
  {
    Journal journal = open();
    const std::vector<Record> first{record(0, "run", {{"recipe", "x"}}), record(1, "units", body)};
    auto lease = journal.create_run({"r1", "voice-over", "script.md", 1000}, first);
    ASSERT_TRUE(lease) << lease.error().message;
    Record third = record(2, "end");
    third.joules = 12.5;
    ASSERT_TRUE(journal.append(*lease, third, "passed"));
  }
  const Journal journal = open();
  const auto records = journal.records("r1");
  ASSERT_TRUE(records);
  ASSERT_EQ(records->size(), 3U);
  EXPECT_EQ((*records)[1].body, body);
  EXPECT_EQ((*records)[1].kind, "units");
  EXPECT_EQ((*records)[1].t_ms, 10);
  EXPECT_EQ((*records)[1].joules, std::nullopt);
  EXPECT_EQ((*records)[2].joules, 12.5);
  const auto rows = journal.runs();
  ASSERT_TRUE(rows);
  ASSERT_EQ(rows->size(), 1U);
  EXPECT_EQ(rows->front().id, "r1");
  EXPECT_EQ(rows->front().recipe, "voice-over");
  EXPECT_EQ(rows->front().title, "script.md");
  EXPECT_EQ(rows->front().created_ms, 1000);
  EXPECT_EQ(rows->front().state, "passed");
  EXPECT_EQ(rows->front().records, 3);
}

TEST_P(Store, RecordsAreReadFromANumberOnAndByKind) {
  Journal journal = open();
  auto lease = journal.create_run({"r1", "x", "y", 1}, kFirst);
  for (int seq = 1; seq < 6; ++seq)
    ASSERT_TRUE(journal.append(*lease, record(seq, seq % 2 ? "odd" : "even")));
  const auto numbers = [&](auto what) {
    std::vector<std::int64_t> found;
    for (const Record& each : read(journal, "r1", what)) found.push_back(each.seq);
    return found;
  };
  EXPECT_EQ(numbers(4), (std::vector<std::int64_t>{4, 5}));
  EXPECT_EQ(numbers(6), std::vector<std::int64_t>{});
  EXPECT_EQ(numbers("odd"), (std::vector<std::int64_t>{1, 3, 5}));
  EXPECT_EQ(numbers("none"), std::vector<std::int64_t>{});
  EXPECT_TRUE(journal.records("no such run")->empty());
}

TEST_P(Store, ASecondWriterIsFoundOutNotMerged) {
  Journal journal = open();
  auto lease = journal.create_run({"r1", "x", "y", 1}, kFirst);
  ASSERT_TRUE(lease);
  EXPECT_FALSE(journal.append(*lease, record(0, "again")));
  EXPECT_FALSE(journal.append(*lease, record(2, "too far")));
  EXPECT_FALSE(journal.append(*lease, record(2, "too far"), "passed"));
  EXPECT_TRUE(journal.append(*lease, record(1, "next")));
  EXPECT_EQ(journal.runs()->front().state, "open");
  EXPECT_EQ(journal.records("r1")->size(), 2U);
}

TEST_P(Store, ARunIsMadeWholeOrNotAtAll) {
  Journal journal = open();
  const std::vector<Record> gap{record(0, "run"), record(2, "x")};
  EXPECT_FALSE(journal.create_run({"r1", "x", "y", 1}, gap));
  EXPECT_TRUE(journal.runs()->empty());
  EXPECT_TRUE(journal.records("r1")->empty());
  ASSERT_TRUE(journal.create_run({"r1", "x", "y", 1}, kFirst));
  // One of this name is there.
  EXPECT_FALSE(journal.create_run({"r1", "other", "y", 2}, kFirst));
  EXPECT_EQ(journal.runs()->front().recipe, "x");
  EXPECT_EQ(journal.records("r1")->size(), 1U);
}

TEST_P(Store, NothingIsAppendedToARunThatIsNotThere) {
  Journal journal = open();
  auto lease = journal.lease("r1");
  ASSERT_TRUE(lease);
  EXPECT_EQ(journal.append(*lease, record(0, "x")).error().kind, ErrorKind::kNotFound);
  EXPECT_TRUE(journal.runs()->empty());
}

TEST_P(Store, OneHoldsARunAtATime) {
  Journal one = open(), other = open();
  auto held = one.create_run({"r1", "x", "y", 1}, kFirst);
  ASSERT_TRUE(held);
  EXPECT_TRUE(other.runs()->front().live);
  for (Journal* journal : {&one, &other}) {
    EXPECT_EQ(journal->lease("r1", Milliseconds(0)).error().kind, ErrorKind::kUnavailable);
    EXPECT_FALSE(journal->remove_run("r1"));
  }
  // Another run is another matter.
  EXPECT_TRUE(other.create_run({"r2", "x", "y", 1}, kFirst));
  { const Lease ended = *std::move(held); }
  EXPECT_FALSE(other.runs()->back().live);
  auto taken = other.lease("r1", Milliseconds(0));
  ASSERT_TRUE(taken);
  EXPECT_FALSE(one.lease("r1", Milliseconds(0)));
  EXPECT_TRUE(other.append(*taken, record(1, "next")));
  EXPECT_EQ(one.records("r1")->size(), 2U);
}

TEST_P(Store, RunsAreListedNewestFirst) {
  Journal journal = open();
  for (const auto& [id, created] : {std::pair("b", 5), {"a", 9}, {"c", 5}, {"d", 1}})
    ASSERT_TRUE(journal.create_run({id, "x", "y", created}, kFirst));
  std::string order;
  for (const RunRow& row : rows(journal)) order += row.id;
  EXPECT_EQ(order, "acbd");
}

TEST_P(Store, ARemovedRunIsGoneAndItsNameIsFree) {
  Journal journal = open();
  ASSERT_TRUE(journal.create_run({"r1", "x", "y", 1}, kFirst));
  ASSERT_TRUE(journal.create_run({"r2", "x", "y", 2}, kFirst));
  ASSERT_TRUE(journal.remove_run("r1"));
  EXPECT_EQ(journal.runs()->size(), 1U);
  EXPECT_TRUE(journal.records("r1")->empty());
  EXPECT_EQ(journal.records("r2")->size(), 1U);
  EXPECT_TRUE(journal.create_run({"r1", "x", "y", 3}, kFirst));
}

TEST_P(Store, AnErasedRunTakesItsBlobsAlongAndNoOthers) {
  Journal journal = open();
  const std::string own = journal.put_blob("own").value();
  const std::string shared = journal.put_blob("shared").value();
  const std::vector both{record(0, "run", {{"files", {{{"blob", own}}, {{"blob", shared}}}}})};
  ASSERT_TRUE(journal.create_run({"r1", "x", "y", 1}, both));
  ASSERT_TRUE(
      journal.create_run({"r2", "x", "y", 2}, std::vector{record(0, "run", {{"blob", shared}})}));
  const std::vector<std::string> doomed{"r1"};
  {
    const Journal other = open();
    EXPECT_EQ(journal.erase(doomed).error().kind, ErrorKind::kUnavailable);
    EXPECT_EQ(journal.records("r1")->size(), 1U) << "nothing has gone";
  }
  {
    const auto held = journal.lease("r1");
    EXPECT_EQ(journal.erase(doomed).error().kind, ErrorKind::kUnavailable) << "it is worked on";
  }
  const auto report = journal.erase(doomed);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->removed, 1);
  EXPECT_TRUE(journal.records("r1")->empty());
  EXPECT_EQ(journal.records("r2")->size(), 1U);
  EXPECT_EQ(journal.blob(own).error().kind, ErrorKind::kNotFound);
  EXPECT_TRUE(journal.blob(shared));
}

TEST_P(Store, TheQueueIsInOrderAndSurvives) {
  const auto names = [](const Journal& journal) {
    std::string text;
    const auto rows = journal.queue().value();
    for (const QueuedRun& row : rows) text += row.run + (row.paused ? "* " : " ");
    return text;
  };
  {
    Journal journal = open();
    for (const char* id : {"r1", "r2", "r3"})
      ASSERT_TRUE(journal.create_run({id, "x", "y", 1}, kFirst));
    EXPECT_EQ(names(journal), "");
    ASSERT_TRUE(journal.enqueue("r3", 10));
    ASSERT_TRUE(journal.enqueue("r1", 20));
    ASSERT_TRUE(journal.enqueue("r2", 20));
    EXPECT_EQ(journal.enqueue("r4", 30).error().kind, ErrorKind::kNotFound);
    ASSERT_TRUE(journal.enqueue("r3", 40, true)) << "once more: its place stays";
  }
  Journal journal = open(), other = open();
  EXPECT_EQ(names(journal), "r3* r1 r2 ");
  ASSERT_TRUE(other.enqueue("r3", 50, false));
  ASSERT_TRUE(other.dequeue("r1"));
  ASSERT_TRUE(other.dequeue("r1")) << "is not there any more";
  EXPECT_EQ(names(journal), "r3 r2 ");
  ASSERT_TRUE(other.remove_run("r2"));
  EXPECT_EQ(names(journal), "r3 ");
}

TEST_P(Store, ALabelIsReplacedOnlyByWhoHasSeenIt) {
  Journal one = open(), other = open();
  ASSERT_TRUE(one.create_run({"r1", "x", "y", 1}, kFirst));
  ASSERT_TRUE(one.create_run({"r2", "x", "y", 2}, kFirst));
  TakeLabel label;
  label.run = "r1";
  label.unit = "ü\n\"x\"";
  label.blob = sha256_hex("take");
  label.accept = true;
  label.reason = "why\nnot";
  label.by = "anna";
  label.t_ms = 5;
  EXPECT_EQ(one.put_label(label).value(), 1);
  EXPECT_EQ(other.put_label(label).value(), std::nullopt) << "it has not seen the first";
  label.revision = 1;
  label.accept = false;
  EXPECT_EQ(other.put_label(label).value(), 2);
  EXPECT_EQ(one.put_label(label).value(), std::nullopt);
  label.revision = 3;
  EXPECT_EQ(one.put_label(label).value(), std::nullopt) << "there has been no third";
  label.revision = 2;
  ASSERT_EQ(one.labels("r1")->size(), 1U);
  EXPECT_EQ(one.labels("r1")->front(), label);
  // Another unit's take of the same bytes is another one.
  TakeLabel second = label;
  second.unit = "a";
  second.revision = 0;
  EXPECT_EQ(one.put_label(second).value(), 1);
  EXPECT_EQ(other.labels("r1")->front().unit, "a");
  EXPECT_TRUE(one.labels("r2")->empty());
  second.run = "no such run";
  EXPECT_EQ(one.put_label(second).error().kind, ErrorKind::kNotFound);
  second.run = "r2";
  second.blob = "no blob";
  EXPECT_EQ(one.put_label(second).error().kind, ErrorKind::kInvalid);
  ASSERT_TRUE(one.remove_run("r1"));
  EXPECT_TRUE(other.labels("r1")->empty());
}

TEST_P(Store, ABlobsSizeIsKnownBeforeItIsRead) {
  const Journal journal = open();
  EXPECT_EQ(journal.blob_size(journal.put_blob("").value()).value(), 0U);
  EXPECT_EQ(journal.blob_size(journal.put_blob("12345").value()).value(), 5U);
  const std::string large(3'000'000, 'x');
  EXPECT_EQ(journal.blob_size(journal.put_blob(large).value()).value(), large.size());
  EXPECT_EQ(journal.blob_size(sha256_hex("none")).error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(journal.blob_size("x").error().kind, ErrorKind::kInvalid);
}

TEST_P(Store, AForgottenBlobIsGoneWhateverNamesIt) {
  Journal journal = open();
  for (const std::string& bytes : {std::string("forget me"), std::string(3'000'000, 'x')}) {
    const std::string blob = journal.put_blob(bytes).value();
    EXPECT_TRUE(journal.forget_blob(blob));
    EXPECT_EQ(journal.blob(blob).error().kind, ErrorKind::kNotFound);
    EXPECT_TRUE(journal.forget_blob(blob));
  }
  EXPECT_FALSE(journal.forget_blob("../journal.db"));
}

// A watcher asks for the version again and again, and reads when it is another one.
TEST_P(Store, TheVersionTellsWhatOthersChange) {
  Journal writer = open(), watcher = open();
  auto lease = writer.create_run({"r1", "x", "y", 1}, kFirst);
  std::int64_t seen = watcher.version().value();
  const auto changed = [&] {
    const std::int64_t before = std::exchange(seen, watcher.version().value());
    return before != seen;
  };
  EXPECT_FALSE(changed());
  ASSERT_TRUE(writer.append(*lease, record(1, "x")));
  EXPECT_TRUE(changed());
  EXPECT_FALSE(changed());
  EXPECT_EQ(watcher.records("r1", 1)->size(), 1U);
  EXPECT_FALSE(writer.append(*lease, record(1, "refused")));
  EXPECT_FALSE(changed());
  ASSERT_TRUE(writer.append(*lease, record(2, "end"), "passed"));
  EXPECT_TRUE(changed());
  ASSERT_TRUE(writer.create_run({"r2", "x", "y", 1}, kFirst));
  EXPECT_TRUE(changed());
  ASSERT_TRUE(writer.remove_run("r2"));
  EXPECT_TRUE(changed());
}

LedgerRow row_of(std::string id, std::string run = "") {
  LedgerRow row;
  row.id = std::move(id);
  row.run = std::move(run);
  row.start_ms = 1000;
  row.finish = "stop";
  return row;
}

std::string row_ids(const Journal& journal, const RowRange& range = {}) {
  std::string ids;
  EXPECT_TRUE(journal.rows(range, [&](const LedgerRow& row) { ids += row.id; }));
  return ids;
}

TEST_P(Store, RowsComeBackAsTheyWereWritten) {
  LedgerRow row = row_of("ü \"x\"\n", "r1");
  row.end_ms = 2000;
  row.key = "line\nbreak";
  row.model_sha256 = std::string(64, 'a');
  row.tokens = {1, 2, 3, 4, CountedBy::kProvider};
  row.queued_us = 0;
  row.busy_us = INT64_MAX;
  row.energy = {12, "socket", "busy time"};
  row.cash = {-5, "EUR", std::string(kComputed)};
  {
    Journal journal = open();
    ASSERT_TRUE(journal.book({.rows = {row, row_of("b")}}));
  }
  std::vector<LedgerRow> rows;
  ASSERT_TRUE(open().rows({}, [&](const LedgerRow& each) { rows.push_back(each); }));
  ASSERT_EQ(rows.size(), 2U);
  row.number = 1;
  EXPECT_EQ(rows[0], row);
  EXPECT_EQ(rows[1].number, 2);
  EXPECT_EQ(rows[1].previous, sha256_hex(dump_json(to_json(row))));
  EXPECT_EQ(rows[1].queued_us, std::nullopt);
  EXPECT_EQ(open().verify_ledger().value(), 2);
}

TEST_P(Store, ARowGoesWithItsRecordOrNotAtAll) {
  Journal journal = open();
  auto lease = journal.create_run({"r1", "x", "y", 1}, kFirst);
  ASSERT_TRUE(journal.append(*lease, record(1, "x"), {}, std::vector{row_of("a", "r1")}));
  EXPECT_FALSE(journal.append(*lease, record(1, "again"), {}, std::vector{row_of("b", "r1")}));
  ASSERT_TRUE(journal.book({.rows = {row_of("c")}}));
  EXPECT_EQ(row_ids(journal), "ac");
  EXPECT_EQ(row_ids(journal, {.run = "r1"}), "a");
  EXPECT_EQ(row_ids(journal, {.run = "r2"}), "");
  EXPECT_EQ(row_ids(journal, {.from_ms = 1000, .to_ms = 1001}), "ac");
  EXPECT_EQ(row_ids(journal, {.from_ms = 1001}), "");
  EXPECT_EQ(row_ids(journal, {.to_ms = 1000}), "");
  { const Lease ended = *std::move(lease); }
  ASSERT_TRUE(journal.remove_run("r1"));
  EXPECT_EQ(row_ids(journal), "ac") << "what it took stays";
  EXPECT_EQ(journal.verify_ledger().value(), 2);
}

TEST_P(Store, ABegunCallIsRememberedUntilItEnds) {
  Journal journal = open(), other = open();
  auto owner = journal.serving_lease();
  ASSERT_TRUE(owner);
  ASSERT_TRUE(journal.book({.begun = {{owner->run(), row_of("a")}, {owner->run(), row_of("b")}}}));
  EXPECT_FALSE(journal.book({.begun = {{owner->run(), row_of("a")}}, .rows = {row_of("x")}}));
  EXPECT_EQ(row_ids(journal), "") << "a change that fails leaves nothing";
  EXPECT_EQ(other.book_lost_calls().value(), 0);
  ASSERT_TRUE(journal.book({.ended = {"a"}, .rows = {row_of("a")}}));
  { const Lease gone = *std::move(owner); }
  EXPECT_EQ(other.book_lost_calls().value(), 1);
  EXPECT_EQ(row_ids(journal), "ab");
  EXPECT_EQ(journal.book_lost_calls().value(), 0);
}

TEST_P(Store, TablesOfPricesStayWhateverIsCleanedUp) {
  Journal journal = open();
  for (int times = 0; times < 2; ++times)
    ASSERT_TRUE(journal.book({.tables = {"prices = \"ü\"\n", ""}}));
  ASSERT_TRUE(journal.gc());
  EXPECT_EQ(open().price_table(sha256_hex("prices = \"ü\"\n")).value(), "prices = \"ü\"\n");
  EXPECT_EQ(open().price_table(sha256_hex("")).value(), "");
  EXPECT_EQ(open().price_table(sha256_hex("other")).error().kind, ErrorKind::kNotFound);
}

TEST_P(Store, BlobsComeBackAsTheyWereStored) {
  std::string all(5 << 19, '\0');
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<char>(i * 31 % 251);
  std::vector<std::string> names;
  {
    const Journal journal = open();
    for (const std::string& bytes : {std::string(), std::string("a\0b", 3), all}) {
      const auto name = journal.put_blob(bytes);
      ASSERT_TRUE(name) << name.error().message;
      EXPECT_EQ(journal.put_blob(bytes).value(), *name);
      names.push_back(*name);
    }
  }
  const Journal journal = open();
  EXPECT_EQ(journal.blob(names[0]).value(), "");
  EXPECT_EQ(journal.blob(names[1]).value(), std::string("a\0b", 3));
  EXPECT_EQ(journal.blob(names[2]).value(), all);
  EXPECT_EQ(journal.blob(std::string(64, '0')).error().kind, ErrorKind::kNotFound);
}

TEST_P(Store, SweepsOnlyWhatNothingNamesAndOnlyAlone) {
  Journal journal = open();
  const std::string kept = journal.put_blob("kept").value();
  const std::string loose = journal.put_blob("loose").value();
  const std::string large = journal.put_blob(std::string(3'000'000, 'x')).value();
  ASSERT_TRUE(
      journal.create_run({"r1", "x", "y", 1}, std::vector{record(0, "run", {{"blob", kept}})}));
  {
    Journal other = open();
    EXPECT_EQ(other.gc().error().kind, ErrorKind::kUnavailable);
    EXPECT_EQ(journal.gc().error().kind, ErrorKind::kUnavailable);
    EXPECT_TRUE(journal.blob(loose));
  }
  const auto report = journal.gc();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->kept, 1);
  EXPECT_EQ(report->removed, 2);
  EXPECT_EQ(report->freed_bytes, 3'000'005U);
  EXPECT_TRUE(journal.blob(kept));
  EXPECT_FALSE(journal.blob(loose));
  EXPECT_FALSE(journal.blob(large));
  EXPECT_EQ(journal.gc()->removed, 0);
}

// Two writers do anything in any order; all that they are told, as one text.
std::string told(const Opener& open, std::uint32_t seed) {
  std::mt19937 random(seed);
  const auto pick = [&](std::uint32_t n) { return static_cast<int>(random() % n); };
  Journal journals[] = {open(), open()};
  std::map<std::pair<int, std::string>, Lease> leases;
  std::string text;
  const auto tell = [&](std::string_view what, const auto& result) {
    text += fmt::format("{}:{} ", what, result ? "ok" : "no");
  };
  for (int step = 0; step < 120; ++step) {
    const int who = pick(2);
    Journal& journal = journals[who];
    const std::string run(1, static_cast<char>('a' + pick(3)));
    const auto held = leases.find({who, run});
    switch (pick(6)) {
      case 0: {
        auto lease = journal.lease(run, Milliseconds(0));
        tell("lease", lease);
        if (lease) leases.emplace(std::pair(who, run), *std::move(lease));
        break;
      }
      case 1:
        if (held != leases.end()) leases.erase(held);
        break;
      case 2: {
        if (!journal.lease(run, Milliseconds(0))) break;  // else it is waited for
        auto made = journal.create_run({run, "x", "y", step}, kFirst);
        tell("create", made);
        if (made) leases.emplace(std::pair(who, run), *std::move(made));
        break;
      }
      case 3:
      case 4:
        if (held == leases.end()) break;
        tell("append", journal.append(held->second, record(pick(4), "x", {{"step", step}}),
                                      pick(2) ? std::optional<std::string>("open") : std::nullopt));
        break;
      default:
        if (held == leases.end() && journal.lease(run, Milliseconds(0)))
          tell("remove", journal.remove_run(run));
    }
    for (const RunRow& row : rows(journals[1 - who]))
      text += fmt::format("{}={}{}{} ", row.id, row.records, row.state, row.live ? "!" : "");
    for (const Record& each : read(journal, run, 1)) text += dump_json(each.body);
    text += '\n';
  }
  return text;
}

TEST_P(Store, DoesWhatTheOneInMemoryDoes) {
  for (std::uint32_t seed = 1; seed <= 20; ++seed) {
    const auto dir = TempDir::make();
    ASSERT_TRUE(dir);
    const std::string plain = told(kStores[0].place(dir->path() / "plain"), seed);
    EXPECT_EQ(told(GetParam().place(dir->path() / "store"), seed), plain) << "seed " << seed;
    EXPECT_NE(plain.find("append:ok"), std::string::npos);
    EXPECT_NE(plain.find("append:no"), std::string::npos);
  }
}

}  // namespace
}  // namespace lathe::books
