// Finds a run in the journal by its id, the beginning of it, or "last".
#include "app/cli/opened_run.h"

#include "app/cli/journals.h"

namespace lathe::app {

Result<OpenedRun> open_run(const App& app, const std::string& name) {
  LATHE_TRY(books::Journal journal, open_journal(app));
  LATHE_TRY(std::string id, journal.find_run(name));
  LATHE_TRY(const std::vector<books::Record> records, journal.records(id));
  auto entries = loop::from_records(records);
  if (!entries) return at("run " + id, entries.error());
  auto state = loop::fold(*entries);
  if (!state) return at("run " + id, state.error());
  return OpenedRun{std::move(journal), std::move(id), *std::move(entries), *std::move(state)};
}

}  // namespace lathe::app
