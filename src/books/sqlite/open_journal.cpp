// Opens the journal in a directory: made where it is missing, read only where it cannot be written.
#include "books/sqlite/open_journal.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "books/sqlite/file_blobs.h"
#include "books/sqlite/sqlite_records.h"

namespace lathe::books {
namespace {

constexpr Milliseconds kOpening{10'000};

// The directories, for the owner alone: prompts, sources and answers lie there. A directory that
// was there before keeps its mode, it may hold other things.
Status make_places(const fs::path& directory) {
  std::error_code ignored;
  const bool fresh = !fs::exists(directory, ignored);
  for (const char* part : {"", "blobs", "locks"}) {
    LATHE_TRY_STATUS(make_directories(directory / part));
    if (*part != 0 || fresh) fs::permissions(directory / part, fs::perms::owner_all, ignored);
  }
  return {};
}

// What an open journal needs of its directory before the database is looked at.
struct Doors {
  FileLock shared;   // of all who use the directory
  FileLock opening;  // of the one that makes the tables
};

// Makes the database's file where there is none, and not SQLite does, so that it is the owner's
// alone from its first moment. It is made under another name, and one that is there is not opened:
// a descriptor of it that is closed would take along the locks of all this process's connections
// (POSIX), and another process that believed itself alone would remove their log.
Status make_database(const fs::path& file) {
  const auto cannot = [&] {
    return fail(ErrorKind::kUnavailable, "{}: cannot open it: {}", file.string(),
                std::strerror(errno));
  };
  std::error_code ignored;
  if (!fs::exists(file, ignored)) {
    std::string fresh = file.string() + ".XXXXXX";
    const int fd = ::mkstemp(fresh.data());
    if (fd < 0) return cannot();
    ::close(fd);
    const bool made = ::link(fresh.c_str(), file.c_str()) == 0 || errno == EEXIST;
    if (!made && ::rename(fresh.c_str(), file.c_str()) != 0) return cannot();  // no links here
    ::unlink(fresh.c_str());
  }
  return ::access(file.c_str(), R_OK | W_OK) == 0 ? Status() : cannot();
}

Result<Doors> open_doors(const fs::path& directory) {
  LATHE_TRY_STATUS(make_places(directory));
  auto shared = FileLock::open(directory / "locks" / ".store");
  auto opening = FileLock::open(directory / "locks" / ".open");
  const Status database = make_database(directory / "journal.db");
  for (const Status& fine : {shared ? Status() : std::unexpected(shared.error()),
                             opening ? Status() : std::unexpected(opening.error()), database})
    if (!fine)
      return fail(ErrorKind::kUnavailable,
                  "cannot write in this directory: {}; give another with --journal",
                  fine.error().message);
  if (!shared->share())
    return fail(ErrorKind::kUnavailable,
                "{}/locks/.store: cannot be locked; give another directory with --journal",
                directory.string());
  return Doors{*std::move(shared), *std::move(opening)};
}

// The records of a directory that can be written.
Result<std::unique_ptr<RecordStore>> open_records(const fs::path& directory, Doors& doors) {
  const fs::path file = directory / "journal.db";
  Database db(file);
  LATHE_TRY_STATUS(db.open(file.string(), SQLITE_OPEN_READWRITE, kOpening));

  // One process makes the tables, the others wait here for it: SQLite itself does not wait for
  // another that changes to WAL at the same moment.
  if (!doors.opening.alone(kOpening))
    return fail(ErrorKind::kUnavailable,
                "{}: another process has kept locks/.open for {} s; stop it, or give another "
                "directory with --journal",
                directory.string(), kOpening.count() / 1000);
  LATHE_TRY(auto records, SqliteRecords::lay_out(directory, std::move(db)));
  std::error_code ignored;
  for (const char* end : {"", "-wal", "-shm"})
    fs::permissions(file.string() + end, fs::perms::owner_read | fs::perms::owner_write, ignored);
  return records;
}

}  // namespace

Result<Journal> open_journal(const fs::path& directory) {
  std::error_code ignored;
  const bool there = fs::exists(directory / "journal.db", ignored);
  auto doors = open_doors(directory);
  if (!doors && there) return open_journal_read_only(directory);
  if (!doors) return std::unexpected(doors.error());
  LATHE_TRY(auto records, open_records(directory, *doors));
  return Journal(std::move(records),
                 std::make_unique<FileBlobs>(directory, std::move(doors->shared)));
}

Result<Journal> open_ledger(const fs::path& directory) {
  LATHE_TRY(Doors doors, open_doors(directory));
  LATHE_TRY(auto records, open_records(directory, doors));
  return Journal(std::move(records), std::make_unique<FileBlobs>(directory, std::nullopt));
}

Result<Journal> open_journal_read_only(const fs::path& directory) {
  const fs::path file = directory / "journal.db", wal = directory / "journal.db-wal";
  std::error_code ignored;
  // Beside a log that holds something the database alone would be an older state of it. Without
  // one, nothing else is needed: SQLite would want to make files beside it.
  const bool whole = !fs::exists(wal, ignored) || fs::file_size(wal, ignored) == 0;
  std::string name = "file:";
  for (const char c : file.string())
    name += c == '?' || c == '#' || c == '%' ? fmt::format("%{:02x}", c) : std::string(1, c);
  name += whole ? "?immutable=1" : "?mode=ro";
  Database db(file);
  LATHE_TRY_STATUS(db.open(name, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, Milliseconds(0)));
  LATHE_TRY(auto records, SqliteRecords::read_only(directory, std::move(db)));
  return Journal(std::move(records), std::make_unique<FileBlobs>(directory, std::nullopt));
}

}  // namespace lathe::books
