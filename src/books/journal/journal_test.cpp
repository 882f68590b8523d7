#include "books/journal/journal.h"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "ground/base/hash.h"

namespace lathe::books {
namespace {

Record record(std::int64_t seq, std::string kind, Json body) {
  return {seq, seq * 10, std::nullopt, std::move(kind), std::move(body)};
}

class JournalTest : public testing::Test {
 protected:
  void SetUp() override {
    auto dir = TempDir::make();
    ASSERT_TRUE(dir);
    dir_.emplace(*std::move(dir));
  }
  Journal open() {
    auto journal = Journal::open(dir_->path());
    EXPECT_TRUE(journal) << journal.error().message;
    return *std::move(journal);
  }
  std::optional<TempDir> dir_;
};

TEST_F(JournalTest, RecordsComeBackAsTheyWereAppended) {
  {
    Journal journal = open();
    const std::vector<Record> first{record(0, "run", {{"recipe", "x"}}),
                                    record(1, "units", {{"n", 2}})};
    auto lease = journal.create_run("r1", "voice-over", "script.md", 1000, first);
    ASSERT_TRUE(lease) << lease.error().message;
    Record third = record(2, "end", {{"text", "ü \"quoted\""}});
    third.joules = 12.5;
    ASSERT_TRUE(journal.append(*lease, third, "passed"));
  }
  const Journal journal = open();
  const auto records = journal.records("r1");
  ASSERT_TRUE(records);
  ASSERT_EQ(records->size(), 3U);
  EXPECT_EQ((*records)[2].body.at("text"), "ü \"quoted\"");
  EXPECT_EQ((*records)[2].joules, 12.5);
  EXPECT_EQ(journal.records("r1", "units")->size(), 1U);
  EXPECT_EQ((*records)[1].joules, std::nullopt);
  const auto rows = journal.runs();
  ASSERT_TRUE(rows);
  ASSERT_EQ(rows->size(), 1U);
  EXPECT_EQ(rows->front().state, "passed");
  EXPECT_EQ(rows->front().records, 3);
  EXPECT_FALSE(rows->front().live);
}

TEST_F(JournalTest, ASecondWriterIsFoundOutNotMerged) {
  Journal journal = open();
  const std::vector<Record> first{record(0, "run", Json::object())};
  auto lease = journal.create_run("r1", "x", "y", 1, first);
  ASSERT_TRUE(lease);
  EXPECT_FALSE(journal.append(*lease, record(0, "again", Json::object())));
  EXPECT_TRUE(journal.append(*lease, record(1, "next", Json::object())));
  Journal other = open();
  const auto second = other.lease("r1");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::kUnavailable);
  EXPECT_FALSE(other.create_run("r1", "x", "y", 1, first));
  EXPECT_TRUE(other.runs()->front().live);
}

TEST_F(JournalTest, AGapInTheRecordsIsAnError) {
  Journal journal = open();
  const std::vector<Record> first{record(0, "run", Json::object()), record(2, "x", Json::object())};
  ASSERT_TRUE(journal.create_run("r1", "x", "y", 1, first));
  const auto records = journal.records("r1");
  ASSERT_FALSE(records);
  EXPECT_NE(records.error().message.find("record 1"), std::string::npos);
}

TEST_F(JournalTest, FindsARunByPrefixAndNamesTheAmbiguous) {
  Journal journal = open();
  const std::vector<Record> first{record(0, "run", Json::object())};
  for (const char* id : {"abc1", "abd2"}) ASSERT_TRUE(journal.create_run(id, "x", "y", 5, first));
  EXPECT_EQ(journal.find_run("abc").value(), "abc1");
  EXPECT_EQ(journal.find_run("last").value(), "abd2");
  EXPECT_NE(journal.find_run("ab").error().message.find("abc1"), std::string::npos);
  EXPECT_EQ(journal.find_run("zz").error().kind, ErrorKind::kNotFound);
  EXPECT_FALSE(journal.find_run(""));
}

TEST_F(JournalTest, BlobsAreCheckedAgainstTheirName) {
  Journal journal = open();
  const std::string bytes("a\0b", 3);
  const auto sha = journal.put_blob(bytes);
  ASSERT_TRUE(sha);
  EXPECT_EQ(*sha, sha256_hex(bytes));
  EXPECT_EQ(journal.put_blob(bytes).value(), *sha);
  EXPECT_EQ(journal.blob(*sha).value(), bytes);
  std::ofstream(dir_->path() / "blobs" / sha->substr(0, 2) / *sha, std::ios::binary) << "abc";
  EXPECT_FALSE(journal.blob(*sha));
  EXPECT_FALSE(journal.blob("../../etc/passwd"));
  EXPECT_EQ(journal.blob(std::string(64, '0')).error().kind, ErrorKind::kNotFound);
}

TEST_F(JournalTest, GcRemovesOnlyWhatNoRecordNames) {
  Journal journal = open();
  const std::string kept = journal.put_blob("kept").value();
  const std::string in_tree = journal.put_blob("in a tree").value();
  const std::string tree =
      journal.put_blob(dump_json({{"files", {{{"path", "a"}, {"blob", in_tree}}}}})).value();
  const std::string loose = journal.put_blob("loose").value();
  const std::vector<Record> first{record(0, "run", {{"tree", {{"blob", tree}}}}),
                                  record(1, "made", {{"deep", {{{"blob", kept}}}}})};
  ASSERT_TRUE(journal.create_run("r1", "x", "y", 1, first));
  {
    Journal other = open();
    EXPECT_FALSE(other.gc());    // the first one has it open
    EXPECT_FALSE(journal.gc());  // and now the other one
  }
  auto report = journal.gc();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->kept, 3);
  EXPECT_EQ(report->removed, 1);
  EXPECT_EQ(report->freed_bytes, 5U);
  EXPECT_TRUE(journal.blob(in_tree));
  EXPECT_FALSE(journal.blob(loose));
  ASSERT_TRUE(journal.remove_run("r1"));
  EXPECT_EQ(journal.gc()->removed, 3);
  EXPECT_TRUE(journal.runs()->empty());
}

TEST_F(JournalTest, RefusesANewerFormatAndForeignFiles) {
  { open(); }
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open((dir_->path() / "journal.db").c_str(), &db), SQLITE_OK);
  sqlite3_exec(db, "PRAGMA user_version=2", nullptr, nullptr, nullptr);
  sqlite3_close(db);
  const auto newer = Journal::open(dir_->path());
  ASSERT_FALSE(newer);
  EXPECT_NE(newer.error().message.find("newer lathe"), std::string::npos);

  fs::remove(dir_->path() / "journal.db");
  std::ofstream(dir_->path() / "journal.db")
      << "this is a text file, long enough to be looked at as a header";
  const auto foreign = Journal::open(dir_->path());
  ASSERT_FALSE(foreign);
  EXPECT_NE(foreign.error().message.find("journal.db"), std::string::npos);
}

TEST_F(JournalTest, RefusesIdsThatLeaveTheDirectory) {
  Journal journal = open();
  const std::vector<Record> first{record(0, "run", Json::object())};
  for (const char* id : {"", "..", "a/b", "/etc/x", ".store", "-x", "a\033[2J", "a b"})
    EXPECT_FALSE(journal.create_run(id, "x", "y", 1, first)) << id;
}

void change(const fs::path& db_file, const std::string& sql) {
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(db_file.c_str(), &db), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
      << sqlite3_errmsg(db);
  sqlite3_close(db);
}

// A foreign journal says what it likes: its ids become names of reports and locks.
TEST_F(JournalTest, AnIdThatLeavesTheDirectoryIsNotFound) {
  {
    Journal journal = open();
    ASSERT_TRUE(
        journal.create_run("r1", "x", "y", 1, std::vector{record(0, "run", Json::object())}));
  }
  change(dir_->path() / "journal.db", "UPDATE runs SET id='../../PWN', state='open'");
  const Journal journal = open();
  for (const char* name : {"last", "../../PWN", ".."}) {
    const auto found = journal.find_run(name);
    ASSERT_FALSE(found) << name;
    EXPECT_NE(found.error().message.find("not the id of a run"), std::string::npos);
  }
  const auto rows = journal.runs();
  ASSERT_TRUE(rows);
  EXPECT_FALSE((*rows)[0].live);
  EXPECT_FALSE(fs::exists(dir_->path().parent_path() / "PWN"));
}

TEST_F(JournalTest, TablesWithoutAFormatAreAnothersDatabase) {
  change(dir_->path() / "journal.db", "CREATE TABLE runs (id TEXT)");
  const auto journal = Journal::open(dir_->path());
  ASSERT_FALSE(journal);
  EXPECT_NE(journal.error().message.find("another program's database"), std::string::npos);
}

TEST_F(JournalTest, IsForItsOwnerAlone) {
  const fs::path home = dir_->path() / "home";
  const auto mode = [](const fs::path& path) {
    return static_cast<unsigned>(fs::status(path).permissions());
  };
  auto journal = Journal::open(home);
  ASSERT_TRUE(journal);
  ASSERT_TRUE(
      journal->create_run("r1", "x", "y", 1, std::vector{record(0, "run", Json::object())}));
  const auto blob = journal->put_blob("secret");
  EXPECT_EQ(mode(home), 0700U);
  for (const char* part : {"blobs", "locks"}) EXPECT_EQ(mode(home / part), 0700U);
  for (const char* file : {"journal.db", "journal.db-wal", "journal.db-shm", "locks/r1"})
    EXPECT_EQ(mode(home / file), 0600U) << file;
  EXPECT_EQ(mode(home / "blobs" / blob->substr(0, 2) / *blob), 0600U);
}

TEST_F(JournalTest, CanBeReadWhereNothingCanBeWritten) {
  std::string blob;
  {
    Journal journal = open();
    blob = *journal.put_blob("bytes");
    ASSERT_TRUE(
        journal.create_run("r1", "x", "y", 1, std::vector{record(0, "run", Json::object())}));
  }
  auto journal = Journal::open_read_only(dir_->path());
  ASSERT_TRUE(journal) << journal.error().message;
  EXPECT_EQ(*journal->find_run("last"), "r1");
  EXPECT_EQ(journal->records("r1")->size(), 1U);
  EXPECT_EQ(*journal->blob(blob), "bytes");
  EXPECT_FALSE((*journal->runs())[0].live);
  EXPECT_FALSE(journal->lease("r1"));
  EXPECT_FALSE(journal->gc());
  EXPECT_FALSE(Journal::open_read_only(dir_->path() / "nothing"));
}

TEST_F(JournalTest, GcSurvivesASnapshotThatIsGone) {
  Journal journal = open();
  const std::string kept = *journal.put_blob("kept"), manifest = *journal.put_blob("{}");
  ASSERT_TRUE(journal.create_run("r1", "x", "y", 1,
                                 std::vector{record(0, "run", {{"tree", {{"blob", manifest}}}}),
                                             record(1, "made", {{"blob", kept}})}));
  ASSERT_TRUE(journal.put_blob("not named"));
  fs::remove(dir_->path() / "blobs" / manifest.substr(0, 2) / manifest);
  const auto report = journal.gc();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->missing, 1);
  EXPECT_EQ(report->removed, 1);
  EXPECT_EQ(report->kept, 1);
}

// A killed process's child may hold the lock until it reaches its exec().
TEST_F(JournalTest, ALockThatIsGivenUpSoonIsWaitedFor) {
  Journal journal = open();
  const std::vector<Record> first{record(0, "run", Json::object())};
  ASSERT_TRUE(journal.create_run("r1", "x", "y", 1, first));
  int held[2];
  ASSERT_EQ(pipe(held), 0);
  const pid_t child = fork();
  if (child == 0) {
    auto lease = journal.lease("r1");
    const char told = lease ? 'y' : 'n';
    if (write(held[1], &told, 1) != 1) _exit(1);
    usleep(200'000);
    _exit(0);
  }
  char told = 0;
  ASSERT_EQ(read(held[0], &told, 1), 1);
  EXPECT_EQ(told, 'y');
  EXPECT_FALSE(journal.lease("r1", std::chrono::milliseconds(0)));
  EXPECT_TRUE(journal.lease("r1", std::chrono::milliseconds(20'000)));
  int status = 0;
  waitpid(child, &status, 0);
  close(held[0]);
  close(held[1]);
}

// Two processes, each with a run of its own, on one journal.
TEST_F(JournalTest, TwoProcessesWriteAtOnce) {
  constexpr int kRecords = 100;
  std::vector<pid_t> children;
  for (int child = 0; child < 2; ++child) {
    const pid_t pid = fork();
    if (pid == 0) {
      auto journal = Journal::open(dir_->path());
      if (!journal) _exit(1);
      const std::vector<Record> first{record(0, "run", Json::object())};
      auto lease = journal->create_run(fmt::format("r{}", child), "x", "y", 1, first);
      if (!lease) _exit(2);
      for (int i = 1; i < kRecords; ++i)
        if (!journal->append(*lease, record(i, "x", {{"i", i}}))) _exit(3);
      _exit(0);
    }
    children.push_back(pid);
  }
  for (const pid_t pid : children) {
    int status = -1;
    waitpid(pid, &status, 0);
    EXPECT_EQ(status, 0);
  }
  const Journal journal = open();
  for (const char* run : {"r0", "r1"})
    EXPECT_EQ(journal.records(run)->size(), std::size_t{kRecords});
}

}  // namespace
}  // namespace lathe::books
