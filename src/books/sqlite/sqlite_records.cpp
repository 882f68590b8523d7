// Runs, records and the ledger in SQLite: the tables, and each change as one transaction.
#include "books/sqlite/sqlite_records.h"

#include "books/sqlite/file_blobs.h"
#include "books/sqlite/file_lock.h"
#include "ground/base/hash.h"

namespace lathe::books {
namespace {

constexpr int kApplicationId = 0x4C415448;  // "LATH"

constexpr const char* kRuns = R"sql(
  CREATE TABLE runs (
    id TEXT PRIMARY KEY, recipe TEXT NOT NULL, title TEXT NOT NULL, state TEXT NOT NULL,
    created_ms INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE records (
    run TEXT NOT NULL REFERENCES runs(id), seq INTEGER NOT NULL, t_ms INTEGER NOT NULL, joules REAL,
    kind TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (run, seq)) WITHOUT ROWID;
)sql";

// `run` and `start_ms` are taken from the body, to find it by. The tip has one row at most.
constexpr const char* kLedgerAndQueue = R"sql(
  CREATE TABLE ledger (
    number INTEGER PRIMARY KEY, body TEXT NOT NULL,
    run TEXT AS (json_extract(body, '$.run')) STORED,
    start_ms INTEGER AS (json_extract(body, '$.start_ms')) STORED);
  CREATE INDEX ledger_by_run ON ledger (run) WHERE run != '';
  CREATE TABLE ledger_tip (one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER NOT NULL,
    hash TEXT NOT NULL);
  CREATE TABLE price_tables (sha256 TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE intents (id TEXT PRIMARY KEY, owner TEXT NOT NULL, body TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE queue (run TEXT PRIMARY KEY, added_ms INTEGER NOT NULL, paused INTEGER NOT NULL)
    WITHOUT ROWID;
)sql";

constexpr const char* kLabels = R"sql(
  CREATE TABLE labels (
    run TEXT NOT NULL, unit TEXT NOT NULL, blob TEXT NOT NULL, accept INTEGER NOT NULL,
    reason TEXT NOT NULL, by TEXT NOT NULL, t_ms INTEGER NOT NULL, revision INTEGER NOT NULL,
    PRIMARY KEY (run, unit, blob)) WITHOUT ROWID;
)sql";

// The version of the tables; 0: there are none yet. Errors: another's database, a newer lathe's.
Result<int> format_of(const Database& db) {
  const std::string file = db.file().string();
  std::int64_t version = -1, application = -1, tables = -1;
  {
    Statement statement(db,
                        "SELECT user_version, application_id, (SELECT count(*) FROM sqlite_master) "
                        "FROM pragma_user_version, pragma_application_id");
    if (!statement.row()) return db.error("read it");
    version = statement.integer(0);
    application = statement.integer(1);
    tables = statement.integer(2);
  }
  if ((application != 0 && application != kApplicationId) || (version == 0 && tables > 0) ||
      version < 0)
    return invalid(
        "{}: is another program's database, not a lathe journal; give another directory with "
        "--journal",
        file);
  if (version > SqliteRecords::kVersion)
    return invalid(
        "{}: was written by a newer lathe (journal format {}, this one reads up to {}); use that "
        "lathe, or give "
        "another directory with --journal",
        file, version, SqliteRecords::kVersion);
  return static_cast<int>(version);
}

}  // namespace

Result<std::unique_ptr<RecordStore>> SqliteRecords::lay_out(fs::path directory, Database db) {
  if (auto fine = format_of(db); !fine)
    return std::unexpected(fine.error());  // before anything of another's is changed
  // FULL: a commit survives a power cut.
  if (!db.execute("PRAGMA journal_mode=WAL") || !db.execute("PRAGMA synchronous=FULL") ||
      !db.execute("PRAGMA secure_delete=ON"))
    return db.error("open it");
  Transaction change(db);
  if (!change.begun()) return db.error("open it");
  LATHE_TRY(const int version, format_of(db));
  const std::string stamp =
      fmt::format("PRAGMA user_version={}; PRAGMA application_id={}", kVersion, kApplicationId);
  const bool laid =
      (version >= 1 || db.execute(kRuns)) && (version >= 2 || db.execute(kLedgerAndQueue)) &&
      (version >= 3 || db.execute(kLabels)) && (version == kVersion || db.execute(stamp));
  if (!laid) return db.error("lay it out");
  if (!change.commit()) return db.error("open it");
  return std::unique_ptr<RecordStore>(
      new SqliteRecords(std::move(directory), std::move(db), false));
}

Result<std::unique_ptr<RecordStore>> SqliteRecords::read_only(fs::path directory, Database db) {
  LATHE_TRY(const int version, format_of(db));
  if (version == 0)
    return fail(ErrorKind::kNotFound, "{}: holds no journal, and none can be made there",
                directory.string());
  return std::unique_ptr<RecordStore>(
      new SqliteRecords(std::move(directory), std::move(db), true, version));
}

Result<std::unique_ptr<Hold>> SqliteRecords::take(const std::string& run) {
  if (read_only_) return only_read(directory_);
  LATHE_TRY(FileLock lock, FileLock::open(directory_ / "locks" / run));
  if (!lock.alone(Milliseconds(0))) return nullptr;
  return std::make_unique<FileLock>(std::move(lock));
}

Result<std::int64_t> SqliteRecords::count_of(const std::string& run) const {
  Statement statement(db_,
                      "SELECT coalesce((SELECT max(seq)+1 FROM records WHERE run=id), 0) FROM runs "
                      "WHERE id=?");
  statement.bind(run);
  if (statement.row()) return statement.integer(0);
  if (!statement.ok()) return db_.error("read run " + run);
  return fail(ErrorKind::kNotFound, "{}: there is no run {}", db_.file().string(), run);
}

bool SqliteRecords::insert(const std::string& run, const Record& record) const {
  return Statement(db_, "INSERT INTO records VALUES (?,?,?,?,?,?)")
      .bind(run)
      .bind(record.seq)
      .bind(record.t_ms)
      .bind(record.joules)
      .bind(record.kind)
      .bind(dump_json(record.body))
      .run();
}

Status SqliteRecords::create_run(const Lease& lease, const RunHead& head,
                                 std::span<const Record> first) {
  LATHE_TRY_STATUS(next_in_line(lease.run(), 0, first));
  Transaction change(db_);
  bool ok = change.begun() && Statement(db_, "INSERT INTO runs VALUES (?,?,?,'open',?)")
                                  .bind(lease.run())
                                  .bind(head.recipe)
                                  .bind(head.title)
                                  .bind(head.created_ms)
                                  .run();
  for (const Record& record : first) ok = ok && insert(lease.run(), record);
  if (ok && change.commit()) return {};
  return db_.error("record a new run");
}

Status SqliteRecords::append(const Lease& lease, const Record& record,
                             const std::optional<std::string>& state,
                             std::span<const LedgerRow> rows) {
  const std::string what = fmt::format("append record {} of run {}", record.seq, lease.run());
  Transaction change(db_);
  if (!change.begun()) return db_.error(what);
  LATHE_TRY(const std::int64_t there, count_of(lease.run()));
  LATHE_TRY_STATUS(next_in_line(lease.run(), there, std::span(&record, 1)));
  bool ok = insert(lease.run(), record);
  if (state)
    ok = ok &&
         Statement(db_, "UPDATE runs SET state=? WHERE id=?").bind(*state).bind(lease.run()).run();
  if (!ok) return db_.error(what);
  LATHE_TRY_STATUS(put_behind(rows));
  if (change.commit()) return {};
  return db_.error(what);
}

Status SqliteRecords::remove_run(const Lease& lease) {
  {
    Transaction change(db_);
    const bool ok = change.begun() &&
                    Statement(db_, "DELETE FROM records WHERE run=?").bind(lease.run()).run() &&
                    Statement(db_, "DELETE FROM runs WHERE id=?").bind(lease.run()).run() &&
                    Statement(db_, "DELETE FROM queue WHERE run=?").bind(lease.run()).run() &&
                    Statement(db_, "DELETE FROM labels WHERE run=?").bind(lease.run()).run() &&
                    change.commit();
    if (!ok) return db_.error("remove run " + lease.run());
  }
  std::error_code ignored;
  fs::remove(directory_ / "locks" / lease.run(), ignored);
  return {};
}

// Deleted rows are written over with zeros (secure_delete). What an older lathe deleted lies in
// free pages, which VACUUM leaves out, and the log has all of it until it is emptied.
Status SqliteRecords::scrub() {
  return db_.scrub("run `lathe gc` when that has ended");
}

Result<std::vector<Record>> SqliteRecords::records(const std::string& run,
                                                   const RecordRange& range) const {
  std::vector<Record> records;
  Statement statement(db_,
                      "SELECT seq, t_ms, joules, kind, body FROM records WHERE run=?1 AND "
                      "seq>=?2 AND (?3='' OR kind=?3) ORDER BY seq");
  statement.bind(run).bind(range.from).bind(range.kind);
  while (statement.row()) {
    auto body = parse_json(statement.text(4));
    if (!body)
      return at(
          fmt::format("{}: record {} of run {}", db_.file().string(), statement.integer(0), run),
          body.error());
    records.push_back({statement.integer(0), statement.integer(1), statement.real(2),
                       statement.text(3), *std::move(body)});
  }
  if (!statement.ok()) return db_.error("read run " + run);
  return records;
}

Result<std::vector<RunRow>> SqliteRecords::runs() const {
  std::vector<RunRow> rows;
  Statement statement(db_,
                      "SELECT id, recipe, title, created_ms, state, coalesce((SELECT max(seq)+1 "
                      "FROM records WHERE run=id), 0) FROM runs ORDER BY created_ms DESC, id DESC");
  while (statement.row())
    rows.push_back({{statement.text(0), statement.text(1), statement.text(2), statement.integer(3)},
                    statement.text(4),
                    statement.integer(5)});
  if (!statement.ok()) return db_.error("list the runs");
  return rows;
}

Status SqliteRecords::put_queued(const QueuedRun& row) {
  if (Statement(db_,
                "INSERT INTO queue VALUES (?1,?2,?3) ON CONFLICT (run) DO UPDATE SET paused=?3")
          .bind(row.run)
          .bind(row.added_ms)
          .bind(std::int64_t{row.paused})
          .run())
    return {};
  return db_.error("queue run " + row.run);
}

Status SqliteRecords::remove_queued(const std::string& run) {
  if (Statement(db_, "DELETE FROM queue WHERE run=?").bind(run).run()) return {};
  return db_.error("take run " + run + " out of the queue");
}

Result<std::vector<QueuedRun>> SqliteRecords::queue() const {
  std::vector<QueuedRun> rows;
  if (!has_ledger_) return rows;
  Statement statement(db_, "SELECT run, added_ms, paused FROM queue ORDER BY added_ms, run");
  while (statement.row())
    rows.push_back({statement.text(0), statement.integer(1), statement.integer(2) != 0});
  if (!statement.ok()) return db_.error("read the queue");
  return rows;
}

Result<std::optional<std::int64_t>> SqliteRecords::put_label(const TakeLabel& label) {
  if (read_only_) return only_read(directory_);
  const std::string what = "label a take of run " + label.run;
  Transaction change(db_);
  if (!change.begun()) return db_.error(what);
  LATHE_TRY_STATUS(count_of(label.run));
  std::int64_t there = 0;
  {
    Statement statement(db_, "SELECT revision FROM labels WHERE run=? AND unit=? AND blob=?");
    statement.bind(label.run).bind(label.unit).bind(label.blob);
    if (statement.row()) there = statement.integer(0);
    if (!statement.ok()) return db_.error(what);
  }
  if (there != label.revision) return std::nullopt;
  const bool ok = Statement(db_, "INSERT OR REPLACE INTO labels VALUES (?,?,?,?,?,?,?,?)")
                      .bind(label.run)
                      .bind(label.unit)
                      .bind(label.blob)
                      .bind(std::int64_t{label.accept})
                      .bind(label.reason)
                      .bind(label.by)
                      .bind(label.t_ms)
                      .bind(there + 1)
                      .run() &&
                  change.commit();
  if (!ok) return db_.error(what);
  return there + 1;
}

Result<std::vector<TakeLabel>> SqliteRecords::labels(const std::string& run) const {
  std::vector<TakeLabel> labels;
  if (!has_labels_) return labels;
  Statement statement(db_,
                      "SELECT unit, blob, accept, reason, by, t_ms, revision FROM labels WHERE "
                      "run=? ORDER BY unit, blob");
  statement.bind(run);
  while (statement.row()) {
    TakeLabel& label = labels.emplace_back();
    label.run = run;
    label.unit = statement.text(0);
    label.blob = statement.text(1);
    label.accept = statement.integer(2) != 0;
    label.reason = statement.text(3);
    label.by = statement.text(4);
    label.t_ms = statement.integer(5);
    label.revision = statement.integer(6);
  }
  if (!statement.ok()) return db_.error("read the labels of run " + run);
  return labels;
}

Result<std::int64_t> SqliteRecords::version() const {
  Statement statement(db_, "PRAGMA data_version");
  if (!statement.row()) return db_.error("read its version");
  return statement.integer(0);
}

Result<LedgerTip> SqliteRecords::ledger_tip() const {
  LedgerTip tip;
  if (!has_ledger_) return tip;
  Statement statement(db_, "SELECT number, hash FROM ledger_tip");
  if (statement.row()) tip = {statement.integer(0), statement.text(1)};
  if (!statement.ok()) return db_.error("read the end of its ledger");
  return tip;
}

Status SqliteRecords::put_behind(std::span<const LedgerRow> rows) const {
  if (rows.empty()) return {};
  LATHE_TRY(LedgerTip tip, ledger_tip());
  bool ok = true;
  for (const LedgerRow& row : rows) {
    const SealedRow sealed = seal(row, tip);
    ok = ok && Statement(db_, "INSERT INTO ledger (number, body) VALUES (?,?)")
                   .bind(sealed.number)
                   .bind(sealed.body)
                   .run();
  }
  ok = ok && Statement(db_, "INSERT OR REPLACE INTO ledger_tip VALUES (1,?,?)")
                 .bind(tip.number)
                 .bind(tip.hash)
                 .run();
  if (!ok) return db_.error("write in its ledger");
  return {};
}

Status SqliteRecords::book(const LedgerChange& change) {
  if (read_only_) return only_read(directory_);
  if (change.empty()) return {};
  Transaction transaction(db_);
  bool ok = transaction.begun();
  for (const LedgerIntent& intent : change.begun)
    ok = ok && Statement(db_, "INSERT INTO intents VALUES (?,?,?)")
                   .bind(intent.row.id)
                   .bind(intent.owner)
                   .bind(dump_json(to_json(intent.row)))
                   .run();
  for (const std::string& id : change.ended)
    ok = ok && Statement(db_, "DELETE FROM intents WHERE id=?").bind(id).run();
  for (const std::string& table : change.tables)
    ok = ok && Statement(db_, "INSERT OR IGNORE INTO price_tables VALUES (?,?)")
                   .bind(sha256_hex(table))
                   .bind(table)
                   .run();
  if (!ok) return db_.error("write in its ledger");
  LATHE_TRY_STATUS(put_behind(change.rows));
  if (transaction.commit()) return {};
  return db_.error("write in its ledger");
}

Result<std::string> SqliteRecords::price_table(std::string_view sha256) const {
  const auto missing = fail(ErrorKind::kNotFound, "{}: its ledger has no table of prices {}",
                            db_.file().string(), sha256);
  if (!has_ledger_) return missing;
  Statement statement(db_, "SELECT text FROM price_tables WHERE sha256=?");
  statement.bind(sha256);
  if (statement.row()) return statement.text(0);
  if (!statement.ok()) return db_.error("read a table of prices");
  return missing;
}

Result<std::vector<LedgerIntent>> SqliteRecords::intents() const {
  std::vector<LedgerIntent> intents;
  if (!has_ledger_) return intents;
  Statement statement(db_, "SELECT id, owner, body FROM intents ORDER BY id");
  while (statement.row()) {
    auto json = parse_json(statement.text(2));
    auto row = json ? row_from_json(*json) : std::unexpected(json.error());
    if (!row)
      return at(fmt::format("{}: call {}, which was begun", db_.file().string(), statement.text(0)),
                row.error());
    intents.push_back({statement.text(1), *std::move(row)});
  }
  if (!statement.ok()) return db_.error("read what its ledger waits for");
  return intents;
}

Status SqliteRecords::rows(const RowRange& range, const OnRow& on_row) const {
  if (!has_ledger_) return {};
  // A row that does not say when it was is not hidden by a range.
  Statement statement(db_,
                      range.run.empty()
                          ? "SELECT number, body FROM ledger WHERE ?1='' AND (start_ms IS NULL OR "
                            "(start_ms>=?2 AND start_ms<?3)) ORDER BY number"
                          : "SELECT number, body FROM ledger WHERE run=?1 AND run!='' AND "
                            "start_ms>=?2 AND start_ms<?3 ORDER BY number");
  statement.bind(range.run).bind(range.from_ms).bind(range.to_ms);
  while (statement.row()) LATHE_TRY_STATUS(on_row({statement.integer(0), statement.text(1)}));
  if (!statement.ok()) return db_.error("read its ledger");
  return {};
}

}  // namespace lathe::books
