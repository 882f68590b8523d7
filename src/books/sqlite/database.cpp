// SQLite's database: opening it, and what is said when it refuses.
#include "books/sqlite/database.h"

#include <fcntl.h>
#include <unistd.h>

#include <thread>

namespace lathe::books {
namespace {

constexpr Milliseconds kBusyPause{1};
constexpr Milliseconds kPatience{10'000};
constexpr std::size_t kMostPrepared = 64;

// Asks again after the same short while. SQLite's own handler waits longer each time, so that
// whoever has waited longest asks least often: beside several busy writers one could wait for many
// seconds.
int ask_again(void* tries, int asked) {
  if (asked >= static_cast<int>(reinterpret_cast<std::intptr_t>(tries))) return 0;
  std::this_thread::sleep_for(kBusyPause);
  return 1;
}

// Within a transaction, so that of two that open it first one lays it out.
Status lay_out(const Database& db, const Tables& tables) {
  Statement statement(db,
                      "SELECT user_version, application_id, (SELECT count(*) FROM sqlite_master) "
                      "FROM pragma_user_version, pragma_application_id");
  if (!statement.row()) return db.error("read it");
  const std::int64_t version = statement.integer(0), application = statement.integer(1);
  const bool empty = application == 0 && statement.integer(2) == 0;
  if (!empty && (application != tables.application_id || version != tables.version))
    return invalid("{}: is no {} that this lathe can read; move the file away", db.file().string(),
                   tables.name);
  const std::string stamp = fmt::format("PRAGMA user_version={}; PRAGMA application_id={}",
                                        tables.version, tables.application_id);
  if (empty && !(db.execute(tables.sql) && db.execute(stamp))) return db.error("lay it out");
  return {};
}

}  // namespace

Result<Database> open_database(const fs::path& file, const Tables& tables, Remedies remedies) {
  LATHE_TRY_STATUS(make_directories(file.parent_path()));
  // For its owner alone from its first moment.
  const int fd = ::open(file.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
  if (fd >= 0) ::close(fd);
  Database db(file, remedies);
  LATHE_TRY_STATUS(db.open(file.string(), SQLITE_OPEN_READWRITE, kPatience));
  if (!db.execute("PRAGMA journal_mode=WAL") || !db.execute("PRAGMA synchronous=FULL") ||
      !db.execute("PRAGMA secure_delete=ON"))
    return db.error("open it");
  {
    Transaction change(db);
    if (!change.begun()) return db.error("open it");
    LATHE_TRY_STATUS(lay_out(db, tables));
    if (!change.commit()) return db.error("lay it out");
  }
  return db;
}

Database::~Database() {
  for (const auto& [sql, statement] : prepared_) sqlite3_finalize(statement);
  sqlite3_close(db_);
}

sqlite3_stmt* Database::prepare(const std::string& sql) const {
  if (auto kept = prepared_.extract(sql)) return kept.mapped();
  sqlite3_stmt* statement = nullptr;
  sqlite3_prepare_v2(db_, sql.c_str(), static_cast<int>(sql.size()) + 1, &statement, nullptr);
  return statement;
}

// What failed keeps its error by that it is not begun anew.
void Database::give_back(const std::string& sql, sqlite3_stmt* statement, bool fine) const {
  if (!fine || prepared_.size() >= kMostPrepared || prepared_.contains(sql)) {
    sqlite3_finalize(statement);
    return;
  }
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
  prepared_[sql] = statement;
}

Status Database::open(const std::string& name, int flags, Milliseconds patience) {
  if (sqlite3_open_v2(name.c_str(), &db_, flags, nullptr) != SQLITE_OK) return error("open it");
  const std::intptr_t tries = patience / kBusyPause;
  sqlite3_busy_handler(db_, ask_again, reinterpret_cast<void*>(tries));
  return {};
}

bool Database::execute(const std::string& sql) const {
  return sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK;
}

Status Database::scrub(std::string_view again) const {
  if (!execute("VACUUM")) return error("clean it up");
  Statement emptied(*this, "PRAGMA wal_checkpoint(TRUNCATE)");
  if (!emptied.row()) return error("empty its log");
  if (emptied.integer(0) != 0)
    return fail(ErrorKind::kUnavailable,
                "{}: another program is reading it, so its log still holds what was removed; {}",
                file_.string(), again);
  return {};
}

std::unexpected<Error> Database::error(std::string_view what) const {
  const int code = sqlite3_errcode(db_);
  const char* remedy = "";
  if (code == SQLITE_FULL) remedy = remedies_.full;
  if (code == SQLITE_BUSY) remedy = "; another process has held it for over 10 seconds: try again";
  if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT) remedy = remedies_.damaged;
  if (code == SQLITE_READONLY || code == SQLITE_CANTOPEN) remedy = remedies_.refused;
  return fail(ErrorKind::kUnavailable, "{}: cannot {}: {}{}", file_.string(), what,
              sqlite3_errmsg(db_), remedy);
}

}  // namespace lathe::books
