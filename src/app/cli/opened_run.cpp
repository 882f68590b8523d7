// Finds a run in the journal by its id, the beginning of it, or "last".
#include "app/cli/opened_run.h"

namespace lathe {

Result<OpenedRun> open_run(const App& app, const std::string& name) {
  LATHE_TRY(Journal journal, Journal::open(app.journal_dir));
  LATHE_TRY(std::string id, journal.find_run(name));
  LATHE_TRY(std::vector<Record> records, journal.records(id));
  auto state = fold(records);
  if (!state) return at("run " + id, state.error());
  return OpenedRun{std::move(journal), std::move(id), std::move(records), *std::move(state)};
}

}  // namespace lathe
