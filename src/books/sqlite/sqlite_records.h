// Runs and records in one SQLite file, DIR/journal.db; leases are locks on DIR/locks/RUN.
#pragma once

#include "books/journal/record_store.h"
#include "books/sqlite/database.h"

namespace lathe::books {

class SqliteRecords : public RecordStore {
 public:
  static constexpr int kVersion = 1;  // of the tables

  // Both take a database that is open. lay_out: makes the tables where there are none.
  static Result<std::unique_ptr<RecordStore>> lay_out(fs::path directory, Database db);
  static Result<std::unique_ptr<RecordStore>> read_only(fs::path directory, Database db);

  std::string place() const override { return directory_.string(); }
  Result<std::unique_ptr<Hold>> take(const std::string& run) override;
  Status create_run(const Lease& lease, const RunHead& head,
                    std::span<const Record> first) override;
  Status append(const Lease& lease, const Record& record,
                const std::optional<std::string>& state) override;
  Status remove_run(const Lease& lease) override;
  Status scrub() override;
  Result<std::vector<Record>> records(const std::string& run,
                                      const RecordRange& range) const override;
  Result<std::vector<RunRow>> runs() const override;
  Result<std::int64_t> version() const override;

 private:
  SqliteRecords(fs::path directory, Database db, bool read_only)
      : directory_(std::move(directory)), db_(std::move(db)), read_only_(read_only) {}
  Result<std::int64_t> count_of(const std::string& run) const;
  bool insert(const std::string& run, const Record& record) const;

  fs::path directory_;
  Database db_;
  bool read_only_;
};

}  // namespace lathe::books
