// The journal in a directory: one SQLite file, and files for its blobs.
//
//   DIR/journal.db      tables runs and records; user_version is the format's version
//   DIR/blobs/ab/ab12…  each file is named by the SHA-256 of its bytes
//   DIR/locks/RUN       held (flock) by the process that drives the run
#pragma once

#include "books/journal/journal.h"
#include "ground/base/file.h"

namespace lathe::books {

// Makes the directory when it is missing; it and what is in it are for its owner alone. Where
// nothing can be written, a journal that is there can still be read. Errors: a newer format, a
// file that is no journal.
Result<Journal> open_journal(const fs::path& directory);
// For its ledger alone: nothing is put among its blobs, so that others may clean up there
// meanwhile. Errors: a place that cannot be written.
Result<Journal> open_ledger(const fs::path& directory);
Result<Journal> open_journal_read_only(const fs::path& directory);

}  // namespace lathe::books
