// Leases in a file of its own, DIR/leases.db, beside the journal: for one machine.
#pragma once

#include "books/leases/lease_store.h"
#include "books/sqlite/database.h"
#include "ground/base/file.h"

namespace lathe::books {

// Makes the directory and the file where they are missing, for their owner alone. `clock` must
// outlive it. Errors: a newer format, a file that is something else.
Result<std::unique_ptr<LeaseStore>> open_leases(const fs::path& directory,
                                                const Clock& clock = system_clock());
// In a database that is open; makes the tables where there are none.
Result<std::unique_ptr<LeaseStore>> leases_in(Database db, const Clock& clock);

}  // namespace lathe::books
