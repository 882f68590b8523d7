// An SQLite database with its statements. One thread.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "ground/base/file.h"
#include "ground/base/result.h"
#include "ground/base/units.h"

namespace lathe::books {

// What a person can do where SQLite refuses; each goes on a sentence.
struct Remedies {
  const char* full = "; free some space, then run `lathe resume`: nothing recorded so far is lost";
  const char* damaged = "; move the file away or give another directory with --journal";
  const char* refused = "; check its permissions or give another directory with --journal";
};

class Database {
 public:
  explicit Database(fs::path file, Remedies remedies = {})
      : file_(std::move(file)), remedies_(remedies) {}
  Database(Database&& other) noexcept
      : file_(std::move(other.file_)),
        remedies_(other.remedies_),
        db_(std::exchange(other.db_, nullptr)),
        prepared_(std::exchange(other.prepared_, {})) {}
  ~Database();

  // `name`: the file, or a URI of it. `flags`: SQLite's. Waits for others for at most `patience`.
  Status open(const std::string& name, int flags, Milliseconds patience);
  bool execute(const std::string& sql) const;
  // Leaves no byte of what was deleted in the file or its log (with secure_delete). kUnavailable
  // while another program reads it: its log still holds it then. `again`: what to do about that.
  Status scrub(std::string_view again) const;
  // What SQLite said last, with the remedy: "FILE: cannot read it: …".
  std::unexpected<Error> error(std::string_view what) const;
  const fs::path& file() const { return file_; }
  sqlite3* handle() const { return db_; }

  // A prepared statement is kept for the next one of the same words: to prepare it takes longer
  // than most of them take. Null: it cannot be prepared.
  sqlite3_stmt* prepare(const std::string& sql) const;
  void give_back(const std::string& sql, sqlite3_stmt* statement, bool fine) const;

 private:
  fs::path file_;
  Remedies remedies_;
  sqlite3* db_ = nullptr;
  mutable std::map<std::string, sqlite3_stmt*> prepared_;  // that nobody uses
};

// What a database of ours holds.
struct Tables {
  int application_id, version;
  const char* sql;   // makes them where there are none
  const char* name;  // "memory": what errors call it
};

// Of one file that is this machine's alone; made where there is none, for its owner only. Commits
// are durable, and what is deleted is written over. Errors: it is no such database.
Result<Database> open_database(const fs::path& file, const Tables& tables, Remedies remedies);

// All that is done while it lives, or nothing: what is not committed is taken back.
class Transaction {
 public:
  explicit Transaction(const Database& db) : db_(db), open_(db.execute("BEGIN IMMEDIATE")) {}
  ~Transaction() {
    if (open_) db_.execute("ROLLBACK");
  }
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  bool begun() const { return open_; }
  bool commit() {
    const bool done = db_.execute("COMMIT");
    open_ = open_ && !done;
    return done;
  }

 private:
  const Database& db_;
  bool open_;
};

// A prepared statement, bound and stepped in order. Every failure is kept by the connection for
// Database::error().
class Statement {
 public:
  Statement(const Database& db, std::string sql)
      : db_(db), sql_(std::move(sql)), statement_(db.prepare(sql_)), ok_(statement_ != nullptr) {}
  ~Statement() { db_.give_back(sql_, statement_, ok_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  Statement& bind(std::string_view text) {
    ok_ = ok_ && sqlite3_bind_text64(statement_, ++index_, text.empty() ? "" : text.data(),
                                     text.size(), SQLITE_TRANSIENT, SQLITE_UTF8) == SQLITE_OK;
    return *this;
  }
  Statement& bind_bytes(std::string_view bytes) {
    ok_ = ok_ && sqlite3_bind_blob64(statement_, ++index_, bytes.empty() ? "" : bytes.data(),
                                     bytes.size(), SQLITE_TRANSIENT) == SQLITE_OK;
    return *this;
  }
  Statement& bind(std::int64_t number) {
    ok_ = ok_ && sqlite3_bind_int64(statement_, ++index_, number) == SQLITE_OK;
    return *this;
  }
  Statement& bind(std::optional<double> number) {
    ++index_;
    ok_ = ok_ && (number ? sqlite3_bind_double(statement_, index_, *number)
                         : sqlite3_bind_null(statement_, index_)) == SQLITE_OK;
    return *this;
  }

  bool row() {
    if (!ok_) return false;
    const int code = sqlite3_step(statement_);
    ok_ = code == SQLITE_ROW || code == SQLITE_DONE;
    return code == SQLITE_ROW;
  }
  bool run() {
    while (row()) {
    }
    return ok_;
  }
  bool ok() const { return ok_; }

  // Of a text, or of bytes.
  std::string text(int column) const {
    const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
    return bytes ? std::string(bytes,
                               static_cast<std::size_t>(sqlite3_column_bytes(statement_, column)))
                 : std::string();
  }
  std::int64_t integer(int column) const { return sqlite3_column_int64(statement_, column); }
  std::optional<double> real(int column) const {
    if (sqlite3_column_type(statement_, column) == SQLITE_NULL) return std::nullopt;
    return sqlite3_column_double(statement_, column);
  }

 private:
  const Database& db_;
  const std::string sql_;
  sqlite3_stmt* statement_;
  int index_ = 0;
  bool ok_;
};

}  // namespace lathe::books
