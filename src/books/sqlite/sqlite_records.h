// Runs, records and the ledger in one SQLite file, DIR/journal.db; leases are locks on
// DIR/locks/RUN.
#pragma once

#include "books/journal/record_store.h"
#include "books/sqlite/database.h"

namespace lathe::books {

class SqliteRecords : public RecordStore {
 public:
  // Of the tables. 2: the ledger came to runs and records; 3: labels did.
  static constexpr int kVersion = 3;

  // Both take a database that is open. lay_out: makes the tables where there are none, and adds
  // those that an older format lacks. read_only: an older format is read as it is.
  static Result<std::unique_ptr<RecordStore>> lay_out(fs::path directory, Database db);
  static Result<std::unique_ptr<RecordStore>> read_only(fs::path directory, Database db);

  std::string place() const override { return directory_.string(); }
  Result<std::unique_ptr<Hold>> take(const std::string& run) override;
  Status create_run(const Lease& lease, const RunHead& head,
                    std::span<const Record> first) override;
  Status append(const Lease& lease, const Record& record, const std::optional<std::string>& state,
                std::span<const LedgerRow> rows) override;
  Status remove_run(const Lease& lease) override;
  Status scrub() override;
  Result<std::vector<Record>> records(const std::string& run,
                                      const RecordRange& range) const override;
  Result<std::vector<RunRow>> runs() const override;
  Status put_queued(const QueuedRun& row) override;
  Status remove_queued(const std::string& run) override;
  Result<std::vector<QueuedRun>> queue() const override;
  Result<std::optional<std::int64_t>> put_label(const TakeLabel& label) override;
  Result<std::vector<TakeLabel>> labels(const std::string& run) const override;
  Result<std::int64_t> version() const override;
  Status book(const LedgerChange& change) override;
  Result<std::vector<LedgerIntent>> intents() const override;
  Status rows(const RowRange& range, const OnRow& on_row) const override;
  Result<LedgerTip> ledger_tip() const override;
  Result<std::string> price_table(std::string_view sha256) const override;

 private:
  SqliteRecords(fs::path directory, Database db, bool read_only, int version = kVersion)
      : directory_(std::move(directory)),
        db_(std::move(db)),
        read_only_(read_only),
        has_ledger_(version >= 2),
        has_labels_(version >= 3) {}
  Result<std::int64_t> count_of(const std::string& run) const;
  bool insert(const std::string& run, const Record& record) const;
  // Within a transaction.
  Status put_behind(std::span<const LedgerRow> rows) const;

  fs::path directory_;
  Database db_;
  bool read_only_;
  bool has_ledger_, has_labels_;  // not in what an older lathe wrote and can only be read
};

}  // namespace lathe::books
