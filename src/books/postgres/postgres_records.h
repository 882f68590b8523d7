// Runs, records and the ledger in PostgreSQL. A run is held by an advisory lock of the connection's
// session: where the connection is lost, so is the run, and nothing more is written to it.
#pragma once

#include <mutex>
#include <set>

#include "books/journal/record_store.h"
#include "books/postgres/connection.h"

namespace lathe::books {

class PostgresRecords : public RecordStore {
 public:
  explicit PostgresRecords(std::shared_ptr<PgConnection> connection)
      : session_(std::make_shared<Session>(std::move(connection))) {}

  std::string place() const override { return session_->connection->place(); }
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
  class Held;
  // What a hold needs when it ends.
  struct Session {
    explicit Session(std::shared_ptr<PgConnection> opened) : connection(std::move(opened)) {}
    std::shared_ptr<PgConnection> connection;
    std::set<std::string> held;  // a session may take its own lock again: here it may not
  };

  PgConnection& db() const { return *session_->connection; }
  Result<std::int64_t> count_of(const std::string& run) const;
  Status insert(const std::string& run, const Record& record) const;
  // Within a transaction.
  Status put_behind(std::span<const LedgerRow> rows) const;
  Status note_change(std::string_view what) const;

  std::shared_ptr<Session> session_;
};

// The number that stands for a name among the database's advisory locks.
std::int64_t lock_number(std::string_view name);

}  // namespace lathe::books
