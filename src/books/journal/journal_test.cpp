// What the journal itself sees to, over stores in memory: names, hashes, gaps, clean-up.
#include "books/journal/journal.h"

#include <gtest/gtest.h>
#include <testing/memory_journal.h>

#include "ground/base/hash.h"

namespace lathe::books {
namespace {

using lathe::testing::memory_journal;
using lathe::testing::MemoryShelf;

Record record(std::int64_t seq, std::string kind, Json body) {
  return {seq, seq * 10, std::nullopt, std::move(kind), std::move(body)};
}
const std::vector<Record> kFirst{record(0, "run", Json::object())};

TEST(Journal, FindsARunByPrefixAndNamesTheAmbiguous) {
  Journal journal = memory_journal();
  for (const char* id : {"abc1", "abd2"})
    ASSERT_TRUE(journal.create_run({id, "x", "y", 5}, kFirst));
  EXPECT_EQ(journal.find_run("abc").value(), "abc1");
  EXPECT_EQ(journal.find_run("last").value(), "abd2");
  EXPECT_NE(journal.find_run("ab").error().message.find("abc1"), std::string::npos);
  EXPECT_EQ(journal.find_run("zz").error().kind, ErrorKind::kNotFound);
  EXPECT_FALSE(journal.find_run(""));
  // A whole id is meant, though another begins with it.
  ASSERT_TRUE(journal.create_run({"abc", "x", "y", 5}, kFirst));
  EXPECT_EQ(journal.find_run("abc").value(), "abc");
}

TEST(Journal, RefusesIdsThatLeaveADirectory) {
  Journal journal = memory_journal();
  for (const char* id : {"", "..", "a/b", "/etc/x", ".store", "-x", "a\033[2J", "a b"})
    EXPECT_FALSE(journal.create_run({id, "x", "y", 1}, kFirst)) << id;
}

TEST(Journal, BlobsAreCheckedAgainstTheirName) {
  const auto shelf = std::make_shared<MemoryShelf>();
  const Journal journal = memory_journal(shelf);
  const std::string bytes("a\0b", 3);
  const auto sha = journal.put_blob(bytes);
  ASSERT_TRUE(sha);
  EXPECT_EQ(*sha, sha256_hex(bytes));
  EXPECT_EQ(journal.blob(*sha).value(), bytes);
  shelf->blobs[*sha] = "abc";
  EXPECT_FALSE(journal.blob(*sha));
  EXPECT_FALSE(journal.blob("../../etc/passwd"));
}

TEST(Journal, AGapInTheRecordsIsAnError) {
  const auto shelf = std::make_shared<MemoryShelf>();
  Journal journal = memory_journal(shelf);
  auto lease = journal.create_run({"r1", "x", "y", 1}, kFirst);
  for (int seq = 1; seq < 4; ++seq)
    ASSERT_TRUE(journal.append(*lease, record(seq, "x", Json::object())));
  auto& records = shelf->runs.at("r1").records;
  records.erase(records.begin() + 2);
  for (const int from : {0, 1, 2}) {
    const auto read = journal.records("r1", from);
    ASSERT_FALSE(read) << from;
    EXPECT_NE(read.error().message.find("record 2"), std::string::npos);
  }
  EXPECT_EQ(journal.records("r1", 3)->size(), 1U);
  EXPECT_EQ(journal.records("r1", "x")->size(), 2U);
}

TEST(Journal, ARunIsLiveWhileItIsOpenAndHeld) {
  Journal journal = memory_journal();
  const auto live = [&] { return journal.runs()->front().live; };
  {
    auto lease = journal.create_run({"r1", "x", "y", 1}, kFirst);
    EXPECT_TRUE(live());
    ASSERT_TRUE(journal.append(*lease, record(1, "end", Json::object()), "passed"));
    EXPECT_FALSE(live());
    ASSERT_TRUE(journal.append(*lease, record(2, "resume", Json::object()), "open"));
    EXPECT_TRUE(live());
  }
  EXPECT_FALSE(live());
}

TEST(Journal, GcKeepsWhatTreesName) {
  Journal journal = memory_journal();
  const std::string kept = journal.put_blob("kept").value();
  const std::string in_tree = journal.put_blob("in a tree").value();
  const std::string tree =
      journal.put_blob(dump_json({{"files", {{{"path", "a"}, {"blob", in_tree}}}}})).value();
  const std::string loose = journal.put_blob("loose").value();
  const std::vector<Record> first{record(0, "run", {{"tree", {{"blob", tree}}}}),
                                  record(1, "made", {{"deep", {{{"blob", kept}}}}})};
  ASSERT_TRUE(journal.create_run({"r1", "x", "y", 1}, first));
  auto report = journal.gc();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->kept, 3);
  EXPECT_EQ(report->removed, 1);
  EXPECT_EQ(report->freed_bytes, 5U);
  EXPECT_TRUE(journal.blob(in_tree));
  EXPECT_FALSE(journal.blob(loose));
  ASSERT_TRUE(journal.remove_run("r1"));
  EXPECT_EQ(journal.gc()->removed, 3);
}

TEST(Journal, GcSurvivesASnapshotThatIsGone) {
  const auto shelf = std::make_shared<MemoryShelf>();
  Journal journal = memory_journal(shelf);
  const std::string kept = *journal.put_blob("kept"), manifest = *journal.put_blob("{}");
  ASSERT_TRUE(journal.create_run({"r1", "x", "y", 1},
                                 std::vector{record(0, "run", {{"tree", {{"blob", manifest}}}}),
                                             record(1, "made", {{"blob", kept}})}));
  ASSERT_TRUE(journal.put_blob("not named"));
  shelf->blobs.erase(manifest);
  const auto report = journal.gc();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->missing, 1);
  EXPECT_EQ(report->removed, 1);
  EXPECT_EQ(report->kept, 1);
}

}  // namespace
}  // namespace lathe::books
