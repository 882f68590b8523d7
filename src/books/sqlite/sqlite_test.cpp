// The journal in a directory: its files and their modes, foreign and damaged ones, several
// processes.
#include "books/sqlite/open_journal.h"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <functional>
#include <utility>

namespace lathe::books {
namespace {

Record record(std::int64_t seq, std::string kind, Json body) {
  return {seq, seq * 10, std::nullopt, std::move(kind), std::move(body)};
}

class SqliteJournal : public ::testing::Test {
 protected:
  void SetUp() override {
    auto dir = TempDir::make();
    ASSERT_TRUE(dir);
    dir_.emplace(*std::move(dir));
  }
  Journal open() {
    auto journal = open_journal(dir_->path());
    EXPECT_TRUE(journal) << journal.error().message;
    return *std::move(journal);
  }
  std::optional<TempDir> dir_;
};

TEST_F(SqliteJournal, RefusesANewerFormatAndForeignFiles) {
  { open(); }
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open((dir_->path() / "journal.db").c_str(), &db), SQLITE_OK);
  sqlite3_exec(db, "PRAGMA user_version=4", nullptr, nullptr, nullptr);
  sqlite3_close(db);
  const auto newer = open_journal(dir_->path());
  ASSERT_FALSE(newer);
  EXPECT_NE(newer.error().message.find("newer lathe"), std::string::npos);

  fs::remove(dir_->path() / "journal.db");
  std::ofstream(dir_->path() / "journal.db")
      << "this is a text file, long enough to be looked at as a header";
  const auto foreign = open_journal(dir_->path());
  ASSERT_FALSE(foreign);
  EXPECT_NE(foreign.error().message.find("journal.db"), std::string::npos);
}

void change(const fs::path& db_file, const std::string& sql) {
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(db_file.c_str(), &db), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
      << sqlite3_errmsg(db);
  sqlite3_close(db);
}

std::int64_t number_in(const fs::path& db_file, const char* sql) {
  sqlite3* db = nullptr;
  EXPECT_EQ(sqlite3_open(db_file.c_str(), &db), SQLITE_OK);
  sqlite3_stmt* statement = nullptr;
  EXPECT_EQ(sqlite3_prepare_v2(db, sql, -1, &statement, nullptr), SQLITE_OK);
  EXPECT_EQ(sqlite3_step(statement), SQLITE_ROW);
  const std::int64_t number = sqlite3_column_int64(statement, 0);
  sqlite3_finalize(statement);
  sqlite3_close(db);
  return number;
}

LedgerRow row_of(const std::string& id) {
  LedgerRow row;
  row.id = id;
  row.tokens = {.fresh = 10, .cached = 2, .out = 5, .counted_by = CountedBy::kEngine};
  row.finish = "stop";
  return row;
}

// As lathe 0.2 left it: format 1, without a ledger.
void lay_out_format_1(const fs::path& db_file) {
  change(db_file, R"sql(
    CREATE TABLE runs (
      id TEXT PRIMARY KEY, recipe TEXT NOT NULL, title TEXT NOT NULL, state TEXT NOT NULL,
      created_ms INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE records (
      run TEXT NOT NULL REFERENCES runs(id), seq INTEGER NOT NULL, t_ms INTEGER NOT NULL,
      joules REAL, kind TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (run, seq)) WITHOUT ROWID;
    INSERT INTO runs VALUES ('r1', 'x', 'y', 'open', 1);
    INSERT INTO records VALUES ('r1', 0, 0, NULL, 'run', '{}');
    PRAGMA user_version=1; PRAGMA application_id=1279349832;
  )sql");
}

TEST_F(SqliteJournal, TakesAnOlderFormatOverWhereItStands) {
  const fs::path file = dir_->path() / "journal.db";
  lay_out_format_1(file);
  {
    // Where nothing can be written it is read as it is.
    auto journal = open_journal_read_only(dir_->path());
    ASSERT_TRUE(journal) << journal.error().message;
    EXPECT_EQ(journal->records("r1")->size(), 1U);
    EXPECT_EQ(journal->verify_ledger().value(), 0);
    EXPECT_EQ(number_in(file, "PRAGMA user_version"), 1);
  }
  Journal journal = open();
  EXPECT_EQ(number_in(file, "PRAGMA user_version"), 3);
  auto lease = journal.lease("r1");
  ASSERT_TRUE(lease);
  ASSERT_TRUE(journal.append(*lease, record(1, "x", nullptr), {}, std::vector{row_of("a")}));
  EXPECT_EQ(journal.records("r1")->size(), 2U);
  EXPECT_EQ(journal.verify_ledger().value(), 1);
}

// Whatever is done to the file behind the program's back, the first place is named.
TEST_F(SqliteJournal, ALedgerThatWasTamperedWithNamesThePlace) {
  const auto verdict_after = [&](const std::string& sql) {
    const auto fresh = TempDir::make().value();
    {
      Journal journal = open_journal(fresh.path()).value();
      LedgerChange change;
      for (const char* id : {"a", "b", "c", "d", "e"}) change.rows.push_back(row_of(id));
      EXPECT_TRUE(journal.book(change));
      EXPECT_EQ(journal.verify_ledger().value(), 5);
    }
    change(fresh.path() / "journal.db", sql);
    const auto verdict = open_journal(fresh.path())->verify_ledger();
    return verdict ? std::string("whole") : verdict.error().message;
  };
  const auto expect = [&](const std::string& sql, const std::string& said) {
    const std::string verdict = verdict_after(sql);
    EXPECT_NE(verdict.find(said), std::string::npos) << sql << " → " << verdict;
  };
  expect("DELETE FROM ledger WHERE number=3", "row 3 of the ledger is missing");
  expect("DELETE FROM ledger WHERE number IN (2,3)", "rows 2 to 3 of the ledger are missing");
  expect("DELETE FROM ledger WHERE number=1", "row 1 of the ledger is missing");
  expect("DELETE FROM ledger WHERE number=5", "row 5 of the ledger is missing, and all behind");
  expect("DELETE FROM ledger", "row 1 of the ledger is missing, and all behind it: 5 were written");
  expect("UPDATE ledger SET body=replace(body, '\"out\":5', '\"out\":6') WHERE number=2",
         "row 2 of the ledger was changed");
  expect("UPDATE ledger SET body=replace(body, '\"out\":5', '\"out\":6') WHERE number=5",
         "row 5 of the ledger, the last one, was changed");
  expect("DELETE FROM ledger WHERE number=3; UPDATE ledger SET number=number-1 WHERE number>3",
         "row 3 of the ledger: it says that it is row 4");
  expect("UPDATE ledger SET body='{}' WHERE number=4", "row 4 of the ledger: is no row");
}

// Several processes put rows behind one another: one chain.
TEST_F(SqliteJournal, ProcessesShareOneChainOfRows) {
  constexpr int kRows = 60;
  { open(); }
  std::vector<pid_t> children;
  for (int child = 0; child < 3; ++child) {
    const pid_t pid = fork();
    if (pid == 0) {
      auto journal = open_journal(dir_->path());
      if (!journal) _exit(1);
      for (int i = 0; i < kRows; ++i)
        if (!journal->book({.rows = {row_of(fmt::format("{}:{}", child, i))}})) _exit(2);
      _exit(0);
    }
    children.push_back(pid);
  }
  for (const pid_t pid : children) {
    int status = -1;
    waitpid(pid, &status, 0);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(open().verify_ledger().value(), 3 * kRows);
}

TEST_F(SqliteJournal, IsCleanedUpWhileAServerKeepsItsBooks) {
  auto ledger = open_ledger(dir_->path());
  ASSERT_TRUE(ledger) << ledger.error().message;
  ASSERT_TRUE(ledger->book({.rows = {row_of("a")}}));
  Journal journal = open();
  const std::string loose = journal.put_blob("loose").value();
  ASSERT_TRUE(journal.gc());
  EXPECT_FALSE(journal.blob(loose));
  EXPECT_FALSE(ledger->put_blob("what gc() may sweep"));
  ASSERT_TRUE(ledger->book({.rows = {row_of("b")}}));
  EXPECT_EQ(journal.verify_ledger().value(), 2);
  std::ofstream(dir_->path() / "file") << "no directory";
  EXPECT_FALSE(open_ledger(dir_->path() / "file")) << "it can only be read, if that";
}

// A process that is killed leaves what it had begun; who opens the journal next says so.
TEST_F(SqliteJournal, CallsOfAKilledProcessAreLostAndSaidToBe) {
  { open(); }
  int told[2];
  ASSERT_EQ(pipe(told), 0);
  const pid_t child = fork();
  if (child == 0) {
    auto journal = open_journal(dir_->path());
    const auto owner = journal ? journal->serving_lease() : std::unexpected(Error{});
    LedgerRow lost = row_of("dead");
    lost.finish = kLost;
    lost.tokens = {};
    LedgerRow other = lost;
    other.id = "done";
    if (!owner || !journal->book({.begun = {{owner->run(), lost}, {owner->run(), other}}}) ||
        !journal->book({.ended = {"done"}, .rows = {row_of("done")}}) ||
        write(told[1], "y", 1) != 1)
      _exit(1);
    pause();
    _exit(0);
  }
  char byte = 0;
  ASSERT_EQ(read(told[0], &byte, 1), 1);
  Journal journal = open();
  EXPECT_EQ(journal.book_lost_calls().value(), 0) << "its process lives";
  kill(child, SIGKILL);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(journal.book_lost_calls().value(), 1);
  EXPECT_EQ(journal.book_lost_calls().value(), 0);
  std::vector<std::pair<std::string, std::string>> rows;
  ASSERT_TRUE(
      journal.rows({}, [&](const LedgerRow& row) { rows.emplace_back(row.id, row.finish); }));
  EXPECT_EQ(rows,
            (std::vector<std::pair<std::string, std::string>>{{"done", "stop"}, {"dead", "lost"}}));
  EXPECT_EQ(journal.verify_ledger().value(), 2);
  for (const auto& file : fs::directory_iterator(dir_->path() / "locks"))
    EXPECT_FALSE(file.path().filename().string().starts_with("serving-")) << file.path();
  close(told[0]);
  close(told[1]);
}

// A foreign journal says what it likes: its ids become names of reports and locks.
TEST_F(SqliteJournal, AnIdThatLeavesTheDirectoryIsNotFound) {
  {
    Journal journal = open();
    ASSERT_TRUE(
        journal.create_run({"r1", "x", "y", 1}, std::vector{record(0, "run", Json::object())}));
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

TEST_F(SqliteJournal, TablesWithoutAFormatAreAnothersDatabase) {
  change(dir_->path() / "journal.db", "CREATE TABLE runs (id TEXT)");
  const auto journal = open_journal(dir_->path());
  ASSERT_FALSE(journal);
  EXPECT_NE(journal.error().message.find("another program's database"), std::string::npos);
}

TEST_F(SqliteJournal, IsForItsOwnerAlone) {
  const fs::path home = dir_->path() / "home";
  const auto mode = [](const fs::path& path) {
    return static_cast<unsigned>(fs::status(path).permissions());
  };
  auto journal = open_journal(home);
  ASSERT_TRUE(journal);
  ASSERT_TRUE(
      journal->create_run({"r1", "x", "y", 1}, std::vector{record(0, "run", Json::object())}));
  const auto blob = journal->put_blob("secret");
  EXPECT_EQ(mode(home), 0700U);
  for (const char* part : {"blobs", "locks"}) EXPECT_EQ(mode(home / part), 0700U);
  for (const char* file : {"journal.db", "journal.db-wal", "journal.db-shm", "locks/r1"})
    EXPECT_EQ(mode(home / file), 0600U) << file;
  EXPECT_EQ(mode(home / "blobs" / blob->substr(0, 2) / *blob), 0600U);
}

TEST_F(SqliteJournal, CanBeReadWhereNothingCanBeWritten) {
  std::string blob;
  {
    Journal journal = open();
    blob = *journal.put_blob("bytes");
    ASSERT_TRUE(
        journal.create_run({"r1", "x", "y", 1}, std::vector{record(0, "run", Json::object())}));
  }
  auto journal = open_journal_read_only(dir_->path());
  ASSERT_TRUE(journal) << journal.error().message;
  EXPECT_EQ(*journal->find_run("last"), "r1");
  EXPECT_EQ(journal->records("r1")->size(), 1U);
  EXPECT_EQ(*journal->blob(blob), "bytes");
  EXPECT_FALSE((*journal->runs())[0].live);
  EXPECT_FALSE(journal->lease("r1"));
  EXPECT_FALSE(journal->gc());
  EXPECT_FALSE(open_journal_read_only(dir_->path() / "nothing"));
}

// A killed process's child may hold the lock until it reaches its exec().
TEST_F(SqliteJournal, ALockThatIsGivenUpSoonIsWaitedFor) {
  Journal journal = open();
  const std::vector<Record> first{record(0, "run", Json::object())};
  ASSERT_TRUE(journal.create_run({"r1", "x", "y", 1}, first));
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
  EXPECT_FALSE(journal.lease("r1", Milliseconds(0)));
  EXPECT_TRUE(journal.lease("r1", Milliseconds(20'000)));
  int status = 0;
  waitpid(child, &status, 0);
  close(held[0]);
  close(held[1]);
}

// Two processes, each with a run of its own, on one journal.
// Forked before this process has a journal, so that it knows nothing of it: it does its work when
// it is told to.
class OtherProcess {
 public:
  OtherProcess(const fs::path& directory, const std::function<bool(Journal&)>& work) {
    EXPECT_EQ(pipe(pipe_), 0);
    child_ = fork();
    if (child_ != 0) return;
    char word = 0;
    bool fine = read(pipe_[0], &word, 1) == 1;
    {
      auto journal = open_journal(directory);
      fine = fine && journal && work(*journal);
    }
    _exit(fine ? 0 : 1);
  }
  bool works() {
    int status = -1;
    EXPECT_EQ(write(pipe_[1], "x", 1), 1);
    waitpid(child_, &status, 0);
    return status == 0;
  }

 private:
  int pipe_[2] = {-1, -1};
  pid_t child_ = -1;
};

// Several journals of one process are one process to others: who opens and closes a second one must
// not lose the first one's locks, or another process takes itself for the last one and removes the
// log that this one goes on writing to.
TEST_F(SqliteJournal, ASecondJournalOfAProcessTakesNothingFromTheFirst) {
  const std::vector first{record(0, "run", {})};
  OtherProcess writer(dir_->path(), [&](Journal& journal) {
    return journal.create_run({"theirs", "x", "y", 1}, first).has_value();
  });
  OtherProcess reader(dir_->path(), [](Journal& journal) { return journal.runs()->size() == 2; });
  Journal journal = open();
  { open(); }
  EXPECT_TRUE(writer.works());
  ASSERT_TRUE(journal.create_run({"ours", "x", "y", 1}, first));
  EXPECT_EQ(journal.runs()->size(), 2U);
  EXPECT_TRUE(reader.works());
}

TEST_F(SqliteJournal, TwoProcessesWriteAtOnce) {
  constexpr int kRecords = 100;
  std::vector<pid_t> children;
  for (int child = 0; child < 2; ++child) {
    const pid_t pid = fork();
    if (pid == 0) {
      auto journal = open_journal(dir_->path());
      if (!journal) _exit(1);
      const std::vector<Record> first{record(0, "run", Json::object())};
      auto lease = journal->create_run({fmt::format("r{}", child), "x", "y", 1}, first);
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

// One process writes, this one watches: it asks for the version, and reads what it has not seen.
TEST_F(SqliteJournal, ARunIsWatchedFromAnotherProcess) {
  constexpr std::int64_t kRecords = 40;
  const Journal watcher = open();
  ASSERT_EQ(watcher.version().value(), watcher.version().value());
  const pid_t child = fork();
  if (child == 0) {
    auto journal = open_journal(dir_->path());
    if (!journal) _exit(1);
    auto lease = journal->create_run({"r1", "x", "y", 1}, std::vector{record(0, "run", nullptr)});
    if (!lease) _exit(2);
    for (std::int64_t i = 1; i < kRecords; ++i)
      if (!journal->append(*lease, record(i, "x", {{"i", i}}))) _exit(3);
    _exit(0);
  }
  std::vector<std::int64_t> seen;
  int looks = 0, status = -1;
  std::int64_t version = -1;
  for (bool ended = false; !ended;) {
    ended = waitpid(child, &status, WNOHANG) == child;  // before the look: nothing is missed
    const auto now = watcher.version();
    ASSERT_TRUE(now) << now.error().message;
    if (std::exchange(version, *now) == *now) {
      usleep(500);
      continue;
    }
    ++looks;
    const auto fresh = watcher.records("r1", std::ssize(seen));
    ASSERT_TRUE(fresh) << fresh.error().message;
    for (const Record& each : *fresh) seen.push_back(each.seq);
  }
  EXPECT_EQ(status, 0);
  ASSERT_EQ(std::ssize(seen), kRecords);
  for (std::int64_t i = 0; i < kRecords; ++i) EXPECT_EQ(seen[static_cast<std::size_t>(i)], i);
  // Never more often than something was written: the run, its records, and the first look.
  EXPECT_LE(looks, kRecords + 2);
}

// A record that was taken out is found out, whatever else reads well.
TEST_F(SqliteJournal, ARecordThatWasTakenOutIsMissed) {
  {
    Journal journal = open();
    const std::vector<Record> first{record(0, "run", nullptr), record(1, "x", nullptr),
                                    record(2, "x", nullptr)};
    ASSERT_TRUE(journal.create_run({"r1", "x", "y", 1}, first));
  }
  change(dir_->path() / "journal.db", "DELETE FROM records WHERE seq=1");
  const auto records = open().records("r1");
  ASSERT_FALSE(records);
  EXPECT_NE(records.error().message.find("record 1"), std::string::npos);
}

}  // namespace
}  // namespace lathe::books
