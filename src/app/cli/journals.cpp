// Opens the journal where --journal says.
#include "app/cli/journals.h"

#include "books/postgres/open_postgres.h"
#include "books/sqlite/open_journal.h"

namespace lathe::app {

Result<books::Journal> open_journal(const App& app) {
  if (!app.journal_database.empty()) return books::open_postgres_journal(app.journal_database);
  return books::open_journal(app.journal_dir);
}

Result<books::Journal> open_ledger(const App& app) {
  if (!app.journal_database.empty()) return books::open_postgres_ledger(app.journal_database);
  return books::open_ledger(app.journal_dir);
}

std::string journal_place(const App& app) {
  if (!app.journal_database.empty()) return books::postgres_place(app.journal_database);
  return app.journal_dir.string();
}

std::string journal_argument(const App& app) {
  return app.journal_database.empty() ? app.journal_dir.string() : app.journal_database;
}

}  // namespace lathe::app
