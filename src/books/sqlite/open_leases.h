// Leases in a file of its own, DIR/leases.db, beside the journal: for one machine.
#pragma once

#include "books/leases/lease_store.h"
#include "ground/base/file.h"

namespace lathe::books {

// Makes the directory and the file where they are missing, for their owner alone. `clock` must
// outlive it. Errors: a newer format, a file that is something else.
Result<std::unique_ptr<LeaseStore>> open_leases(const fs::path& directory,
                                                const Clock& clock = system_clock());

}  // namespace lathe::books
