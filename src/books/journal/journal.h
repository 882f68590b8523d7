// The journal: what happened, in one SQLite file, plus a content-addressed store of blobs beside
// it.
//
//   DIR/journal.db      tables runs and records; user_version is the format's version
//   DIR/blobs/ab/ab12…  each file is named by the SHA-256 of its bytes
//   DIR/locks/RUN       held (flock) by the process that drives the run
//
// A run is its records, numbered from 0 without gaps and never changed. A blob is durable before a
// record names it; wherever a record names one, the member is called "blob": that is what gc() goes
// by. Every append is durable when it returns. One Journal object per thread; any number of
// processes may use one directory at once.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ground/base/file.h"
#include "ground/base/json.h"
#include "ground/base/result.h"

struct sqlite3;

namespace lathe::books {

struct Record {
  std::int64_t seq = 0;
  std::int64_t t_ms =
      0;  // working time of the run so far: time between a stop and a resume does not count
  std::optional<double> joules;  // energy so far, where the machine can be read
  std::string kind;
  Json body;
};

struct RunRow {
  std::string id;
  std::string recipe;
  std::string title;            // the input, for people
  std::string state;            // "open" until the run ended
  std::int64_t created_ms = 0;  // UTC
  std::int64_t records = 0;
  bool live = false;  // some process drives it now
};

// The right to append to a run; given back when it goes out of scope (or when the process dies).
class RunLease {
 public:
  RunLease(std::string run, int fd) : run_(std::move(run)), fd_(fd) {}
  RunLease(RunLease&& other) noexcept;
  RunLease& operator=(RunLease&&) = delete;
  ~RunLease();
  const std::string& run() const { return run_; }

 private:
  std::string run_;
  int fd_;
};

struct GcReport {
  std::int64_t kept = 0;
  std::int64_t removed = 0;
  std::uint64_t freed_bytes = 0;
  std::int64_t missing = 0;  // snapshots that records name and that are not there
};

class Journal {
 public:
  static constexpr int kVersion = 1;

  // Makes the directory when it is missing; it and what is in it are for its owner alone. Where
  // nothing can be written, a journal that is there can still be read. Errors: a newer format, a
  // file that is no journal.
  static Result<Journal> open(const fs::path& directory);
  static Result<Journal> open_read_only(const fs::path& directory);
  Journal(Journal&&) noexcept;
  Journal& operator=(Journal&&) noexcept;
  ~Journal();

  // Safe from any thread.
  Result<std::string> put_blob(std::string_view bytes) const;  // → sha256
  Result<std::string> blob(std::string_view sha256) const;  // the bytes, checked against their name

  // All of `first` or nothing: the run exists once this has returned.
  Result<RunLease> create_run(const std::string& id, const std::string& recipe,
                              const std::string& title, std::int64_t created_ms,
                              std::span<const Record> first);
  // kUnavailable when another process holds it, and still does when patience is at its end.
  Result<RunLease> lease(const std::string& run, std::chrono::milliseconds patience =
                                                     std::chrono::milliseconds(1000)) const;
  // record.seq must be the next number: a second writer is found out, not merged. `state`: what
  // runs() shows from now on.
  Status append(const RunLease& lease, const Record& record, std::optional<std::string> state = {});

  Result<std::vector<RunRow>> runs() const;  // newest first
  // The run whose id is `name`, or the only one whose id starts with it; "last" is the newest.
  Result<std::string> find_run(std::string_view name) const;
  Result<std::vector<Record>> records(const std::string& run) const;
  Result<std::vector<Record>> records(const std::string& run, std::string_view kind) const;

  Status remove_run(const std::string& run);  // its blobs go with the next gc()
  // Removes the blobs that no record names. Refused while another process has this journal open.
  Result<GcReport> gc();

  const fs::path& directory() const { return directory_; }

 private:
  Journal(fs::path directory, sqlite3* db);
  Result<int> format() const;
  Status lay_out();
  Status writable() const;
  std::unexpected<Error> error(std::string_view what) const;
  fs::path blob_path(std::string_view sha256) const;

  fs::path directory_;
  sqlite3* db_ = nullptr;
  bool read_only_ = false;
  int store_lock_ = -1;  // shared by all who use the directory; gc() wants it alone
};

}  // namespace lathe::books
