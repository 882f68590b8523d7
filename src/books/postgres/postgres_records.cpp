// Runs, records and the ledger in PostgreSQL: each change as one transaction.
#include "books/postgres/postgres_records.h"

#include <unistd.h>

#include "ground/base/hash.h"

namespace lathe::books {
namespace {

constexpr int kRowsAtOnce = 1000;

}  // namespace

std::int64_t lock_number(std::string_view name) {
  const std::string hex = sha256_hex(name).substr(0, 16);
  return static_cast<std::int64_t>(std::stoull(hex, nullptr, 16));
}

class PostgresRecords::Held : public Hold {
 public:
  Held(std::shared_ptr<Session> session, std::string run)
      : session_(std::move(session)), run_(std::move(run)) {
    session_->connection->begin_hold();
  }
  ~Held() override {
    session_->held.erase(run_);
    // With a connection that was lost, it has gone already.
    if (session_->connection->lives())
      (void)session_->connection->run("give a run back", "SELECT pg_advisory_unlock($1)",
                                      {lock_number("run:" + run_)});
    session_->connection->end_hold();
  }

 private:
  std::shared_ptr<Session> session_;
  std::string run_;
};

Result<std::unique_ptr<Hold>> PostgresRecords::take(const std::string& run) {
  if (session_->held.contains(run)) return nullptr;
  LATHE_TRY(const PgRows rows, db().run("hold run " + run, "SELECT pg_try_advisory_lock($1)::int",
                                        {lock_number("run:" + run)}));
  if (rows[0].integer(0) == 0) return nullptr;
  session_->held.insert(run);
  return std::make_unique<Held>(session_, run);
}

Result<std::int64_t> PostgresRecords::count_of(const std::string& run) const {
  LATHE_TRY(const PgRows rows,
            db().run("read run " + run,
                     "SELECT coalesce((SELECT max(seq)+1 FROM record WHERE run=run.id), 0) FROM "
                     "run WHERE id=$1",
                     {run}));
  if (!rows.empty()) return rows[0].integer(0);
  return fail(ErrorKind::kNotFound, "{}: there is no run {}", place(), run);
}

Status PostgresRecords::insert(const std::string& run, const Record& record) const {
  LATHE_TRY_STATUS(
      db().run(fmt::format("append record {} of run {}", record.seq, run),
               "INSERT INTO record VALUES ($1,$2,$3,$4,$5,$6)",
               {run, record.seq, record.t_ms, record.joules, record.kind, dump_json(record.body)}));
  return {};
}

Status PostgresRecords::note_change(std::string_view what) const {
  LATHE_TRY_STATUS(db().run(what, "UPDATE change SET version=version+1 WHERE shard=$1",
                            {std::int64_t{::getpid() % 16}}));
  return {};
}

Status PostgresRecords::create_run(const Lease& lease, const RunHead& head,
                                   std::span<const Record> first) {
  constexpr std::string_view kWhat = "record a new run";
  LATHE_TRY_STATUS(next_in_line(lease.run(), 0, first));
  LATHE_TRY(PgTransaction change, PgTransaction::begin(db(), kWhat));
  LATHE_TRY_STATUS(db().run(kWhat, "INSERT INTO run VALUES ($1,$2,$3,'open',$4)",
                            {lease.run(), head.recipe, head.title, head.created_ms}));
  for (const Record& record : first) LATHE_TRY_STATUS(insert(lease.run(), record));
  LATHE_TRY_STATUS(note_change(kWhat));
  return change.commit(kWhat);
}

Status PostgresRecords::append(const Lease& lease, const Record& record,
                               const std::optional<std::string>& state,
                               std::span<const LedgerRow> rows) {
  const std::string what = fmt::format("append record {} of run {}", record.seq, lease.run());
  LATHE_TRY(PgTransaction change, PgTransaction::begin(db(), what));
  LATHE_TRY(const std::int64_t there, count_of(lease.run()));
  LATHE_TRY_STATUS(next_in_line(lease.run(), there, std::span(&record, 1)));
  LATHE_TRY_STATUS(insert(lease.run(), record));
  if (state)
    LATHE_TRY_STATUS(db().run(what, "UPDATE run SET state=$1 WHERE id=$2", {*state, lease.run()}));
  LATHE_TRY_STATUS(put_behind(rows));
  LATHE_TRY_STATUS(note_change(what));
  return change.commit(what);
}

Status PostgresRecords::remove_run(const Lease& lease) {
  const std::string what = "remove run " + lease.run();
  LATHE_TRY(PgTransaction change, PgTransaction::begin(db(), what));
  for (const char* statement : {"DELETE FROM record WHERE run=$1", "DELETE FROM run WHERE id=$1",
                                "DELETE FROM queue WHERE run=$1", "DELETE FROM label WHERE run=$1"})
    LATHE_TRY_STATUS(db().run(what, statement, {lease.run()}));
  LATHE_TRY_STATUS(note_change(what));
  return change.commit(what);
}

// FULL writes the tables anew, so that no page of them holds what was removed. The database's log
// and its backups go by their own rules: docs/journal.md says which.
Status PostgresRecords::scrub() {
  for (const char* table : {"record", "run", "queue", "label", "intent"})
    LATHE_TRY_STATUS(db().execute("clean it up", fmt::format("VACUUM (FULL) lathe.{}", table)));
  return {};
}

Result<std::vector<Record>> PostgresRecords::records(const std::string& run,
                                                     const RecordRange& range) const {
  std::vector<Record> records;
  LATHE_TRY(const PgRows rows,
            db().run("read run " + run,
                     "SELECT seq, t_ms, joules, kind, body FROM record WHERE run=$1 AND seq>=$2 "
                     "AND ($3='' OR kind=$3) ORDER BY seq",
                     {run, range.from, range.kind}));
  for (int i = 0; i < rows.size(); ++i) {
    const PgRows::Row row = rows[i];
    auto body = parse_json(row.text(4));
    if (!body)
      return at(fmt::format("{}: record {} of run {}", place(), row.integer(0), run), body.error());
    records.push_back({row.integer(0), row.integer(1), row.real(2), row.text(3), *std::move(body)});
  }
  return records;
}

Result<std::vector<RunRow>> PostgresRecords::runs() const {
  std::vector<RunRow> runs;
  LATHE_TRY(const PgRows rows,
            db().run("list the runs",
                     "SELECT id, recipe, title, created_ms, state, coalesce((SELECT max(seq)+1 "
                     "FROM record WHERE run=run.id), 0) FROM run ORDER BY created_ms DESC, id "
                     "DESC"));
  for (int i = 0; i < rows.size(); ++i) {
    const PgRows::Row row = rows[i];
    runs.push_back(
        {{row.text(0), row.text(1), row.text(2), row.integer(3)}, row.text(4), row.integer(5)});
  }
  return runs;
}

Status PostgresRecords::put_queued(const QueuedRun& row) {
  LATHE_TRY_STATUS(
      db().run("queue run " + row.run,
               "INSERT INTO queue VALUES ($1,$2,$3) ON CONFLICT (run) DO UPDATE SET paused=$3",
               {row.run, row.added_ms, std::int64_t{row.paused}}));
  return {};
}

Status PostgresRecords::remove_queued(const std::string& run) {
  LATHE_TRY_STATUS(
      db().run("take run " + run + " out of the queue", "DELETE FROM queue WHERE run=$1", {run}));
  return {};
}

Result<std::vector<QueuedRun>> PostgresRecords::queue() const {
  std::vector<QueuedRun> queue;
  LATHE_TRY(
      const PgRows rows,
      db().run("read the queue", "SELECT run, added_ms, paused FROM queue ORDER BY added_ms, run"));
  for (int i = 0; i < rows.size(); ++i)
    queue.push_back({rows[i].text(0), rows[i].integer(1), rows[i].integer(2) != 0});
  return queue;
}

Result<std::optional<std::int64_t>> PostgresRecords::put_label(const TakeLabel& label) {
  const std::string what = "label a take of run " + label.run;
  LATHE_TRY(PgTransaction change, PgTransaction::begin(db(), what));
  LATHE_TRY_STATUS(count_of(label.run));
  // A label that is not there cannot be locked, the run is: two that write the first come in turn.
  LATHE_TRY_STATUS(db().run(what, "SELECT 1 FROM run WHERE id=$1 FOR UPDATE", {label.run}));
  LATHE_TRY(const PgRows rows,
            db().run(what, "SELECT revision FROM label WHERE run=$1 AND unit=$2 AND blob=$3",
                     {label.run, label.unit, label.blob}));
  const std::int64_t there = rows.empty() ? 0 : rows[0].integer(0);
  if (there != label.revision) return std::nullopt;
  LATHE_TRY_STATUS(db().run(what,
                            "INSERT INTO label VALUES ($1,$2,$3,$4,$5,$6,$7,$8) ON CONFLICT (run, "
                            "unit, blob) DO UPDATE SET accept=$4, reason=$5, by=$6, t_ms=$7, "
                            "revision=$8",
                            {label.run, label.unit, label.blob, std::int64_t{label.accept},
                             label.reason, label.by, label.t_ms, there + 1}));
  LATHE_TRY_STATUS(note_change(what));
  LATHE_TRY_STATUS(change.commit(what));
  return there + 1;
}

Result<std::vector<TakeLabel>> PostgresRecords::labels(const std::string& run) const {
  std::vector<TakeLabel> labels;
  LATHE_TRY(const PgRows rows,
            db().run("read the labels of run " + run,
                     "SELECT unit, blob, accept, reason, by, t_ms, revision FROM label WHERE "
                     "run=$1 ORDER BY unit, blob",
                     {run}));
  for (int i = 0; i < rows.size(); ++i) {
    const PgRows::Row row = rows[i];
    TakeLabel& label = labels.emplace_back();
    label.run = run;
    label.unit = row.text(0);
    label.blob = row.text(1);
    label.accept = row.integer(2) != 0;
    label.reason = row.text(3);
    label.by = row.text(4);
    label.t_ms = row.integer(5);
    label.revision = row.integer(6);
  }
  return labels;
}

Result<std::int64_t> PostgresRecords::version() const {
  LATHE_TRY(const PgRows rows, db().run("read its version", "SELECT sum(version) FROM change"));
  return rows[0].integer(0);
}

Result<LedgerTip> PostgresRecords::ledger_tip() const {
  LATHE_TRY(const PgRows rows,
            db().run("read the end of its ledger", "SELECT number, hash FROM ledger_tip"));
  if (rows.empty()) return LedgerTip();
  return LedgerTip{rows[0].integer(0), rows[0].text(1)};
}

Status PostgresRecords::put_behind(std::span<const LedgerRow> rows) const {
  constexpr std::string_view kWhat = "write in its ledger";
  if (rows.empty()) return {};
  LATHE_TRY(const PgRows end, db().run(kWhat, "SELECT number, hash FROM ledger_tip FOR UPDATE"));
  if (end.empty())
    return invalid("{}: the end of its ledger is missing: restore it from its backup", place());
  LedgerTip tip{end[0].integer(0), end[0].text(1)};
  for (const LedgerRow& row : rows) {
    const SealedRow sealed = seal(row, tip);
    LATHE_TRY_STATUS(db().run(kWhat, "INSERT INTO ledger VALUES ($1,$2,$3,$4)",
                              {sealed.number, sealed.body, row.run, row.start_ms}));
  }
  LATHE_TRY_STATUS(
      db().run(kWhat, "UPDATE ledger_tip SET number=$1, hash=$2", {tip.number, tip.hash}));
  return {};
}

Status PostgresRecords::book(const LedgerChange& change) {
  constexpr std::string_view kWhat = "write in its ledger";
  if (change.empty()) return {};
  LATHE_TRY(PgTransaction transaction, PgTransaction::begin(db(), kWhat));
  for (const LedgerIntent& intent : change.begun)
    LATHE_TRY_STATUS(db().run(kWhat, "INSERT INTO intent VALUES ($1,$2,$3)",
                              {intent.row.id, intent.owner, dump_json(to_json(intent.row))}));
  for (const std::string& id : change.ended)
    LATHE_TRY_STATUS(db().run(kWhat, "DELETE FROM intent WHERE id=$1", {id}));
  for (const std::string& table : change.tables)
    LATHE_TRY_STATUS(db().run(kWhat,
                              "INSERT INTO price_table VALUES ($1,$2) ON CONFLICT DO NOTHING",
                              {sha256_hex(table), PgValue::bytes(table)}));
  LATHE_TRY_STATUS(put_behind(change.rows));
  LATHE_TRY_STATUS(note_change(kWhat));
  return transaction.commit(kWhat);
}

Result<std::string> PostgresRecords::price_table(std::string_view sha256) const {
  LATHE_TRY(const PgRows rows,
            db().run("read a table of prices", "SELECT bytes FROM price_table WHERE sha256=$1",
                     {sha256}, true));
  if (!rows.empty()) return rows[0].text(0);
  return fail(ErrorKind::kNotFound, "{}: its ledger has no table of prices {}", place(), sha256);
}

Result<std::vector<LedgerIntent>> PostgresRecords::intents() const {
  std::vector<LedgerIntent> intents;
  LATHE_TRY(const PgRows rows, db().run("read what its ledger waits for",
                                        "SELECT id, owner, body FROM intent ORDER BY id"));
  for (int i = 0; i < rows.size(); ++i) {
    auto json = parse_json(rows[i].text(2));
    auto row = json ? row_from_json(*json) : std::unexpected(json.error());
    if (!row)
      return at(fmt::format("{}: call {}, which was begun", place(), rows[i].text(0)), row.error());
    intents.push_back({rows[i].text(1), *std::move(row)});
  }
  return intents;
}

Status PostgresRecords::rows(const RowRange& range, const OnRow& on_row) const {
  std::int64_t last = 0;
  while (true) {
    LATHE_TRY(const PgRows rows,
              db().run("read its ledger",
                       "SELECT number, body FROM ledger WHERE number>$1 AND ($2='' OR run=$2) AND "
                       "start_ms>=$3 AND start_ms<$4 ORDER BY number LIMIT $5",
                       {last, range.run, range.from_ms, range.to_ms, std::int64_t{kRowsAtOnce}}));
    for (int i = 0; i < rows.size(); ++i) {
      last = rows[i].integer(0);
      LATHE_TRY_STATUS(on_row({last, rows[i].text(1)}));
    }
    if (rows.size() < kRowsAtOnce) return {};
  }
}

}  // namespace lathe::books
