// SQLite's database: opening it, and what is said when it refuses.
#include "books/sqlite/database.h"

#include <thread>

namespace lathe::books {
namespace {

constexpr Milliseconds kBusyPause{1};

// Asks again after the same short while. SQLite's own handler waits longer each time, so that
// whoever has waited longest asks least often: beside several busy writers one could wait for many
// seconds.
int ask_again(void* tries, int asked) {
  if (asked >= static_cast<int>(reinterpret_cast<std::intptr_t>(tries))) return 0;
  std::this_thread::sleep_for(kBusyPause);
  return 1;
}

}  // namespace

Status Database::open(const std::string& name, int flags, Milliseconds patience) {
  if (sqlite3_open_v2(name.c_str(), &db_, flags, nullptr) != SQLITE_OK) return error("open it");
  const std::intptr_t tries = patience / kBusyPause;
  sqlite3_busy_handler(db_, ask_again, reinterpret_cast<void*>(tries));
  return {};
}

bool Database::execute(const std::string& sql) const {
  return sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK;
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
