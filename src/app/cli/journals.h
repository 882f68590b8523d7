// Where the journal is: a directory, or a database that several machines share (--journal).
#pragma once

#include "app/cli/app.h"

namespace lathe::app {

Result<books::Journal> open_journal(const App& app);
// For its ledger alone: others may clean up there meanwhile.
Result<books::Journal> open_ledger(const App& app);
// As messages name it: no password.
std::string journal_place(const App& app);
// As --journal takes it.
std::string journal_argument(const App& app);

}  // namespace lathe::app
