#include "books/journal/journal.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <set>
#include <thread>

#include "ground/base/hash.h"
#include "ground/base/text.h"

namespace lathe {
namespace {

constexpr int kApplicationId = 0x4C415448;  // "LATH"
constexpr std::chrono::milliseconds kOpening{10'000};

constexpr const char* kSchema = R"sql(
  CREATE TABLE runs (
    id TEXT PRIMARY KEY, recipe TEXT NOT NULL, title TEXT NOT NULL, state TEXT NOT NULL,
    created_ms INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE records (
    run TEXT NOT NULL REFERENCES runs(id), seq INTEGER NOT NULL, t_ms INTEGER NOT NULL, joules REAL,
    kind TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (run, seq)) WITHOUT ROWID;
)sql";

// A prepared statement, bound and stepped in order. Every failure is kept by the connection for
// Journal::error().
class Statement {
 public:
  Statement(sqlite3* db, const char* sql) {
    ok_ = sqlite3_prepare_v2(db, sql, -1, &statement_, nullptr) == SQLITE_OK;
  }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  Statement& bind(std::string_view text) {
    ok_ = ok_ && sqlite3_bind_text64(statement_, ++index_, text.data(), text.size(),
                                     SQLITE_TRANSIENT, SQLITE_UTF8) == SQLITE_OK;
    return *this;
  }
  Statement& bind(std::int64_t number) {
    ok_ = ok_ && sqlite3_bind_int64(statement_, ++index_, number) == SQLITE_OK;
    return *this;
  }
  Statement& bind(std::optional<double> number) {
    ++index_;
    ok_ = ok_ && (number ? sqlite3_bind_double(statement_, index_, *number)
                         : sqlite3_bind_null(statement_, index_)) == SQLITE_OK;
    return *this;
  }

  bool row() {
    if (!ok_) return false;
    const int code = sqlite3_step(statement_);
    ok_ = code == SQLITE_ROW || code == SQLITE_DONE;
    return code == SQLITE_ROW;
  }
  bool run() {
    while (row()) {
    }
    return ok_;
  }
  bool ok() const { return ok_; }

  std::string text(int column) const {
    const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
    return bytes ? std::string(bytes,
                               static_cast<std::size_t>(sqlite3_column_bytes(statement_, column)))
                 : std::string();
  }
  std::int64_t integer(int column) const { return sqlite3_column_int64(statement_, column); }
  std::optional<double> real(int column) const {
    if (sqlite3_column_type(statement_, column) == SQLITE_NULL) return std::nullopt;
    return sqlite3_column_double(statement_, column);
  }

 private:
  sqlite3_stmt* statement_ = nullptr;
  int index_ = 0;
  bool ok_;
};

bool execute(sqlite3* db, const char* sql) {
  return sqlite3_exec(db, sql, nullptr, nullptr, nullptr) == SQLITE_OK;
}

bool insert_record(sqlite3* db, const std::string& run, const Record& record) {
  return Statement(db, "INSERT INTO records VALUES (?,?,?,?,?,?)")
      .bind(run)
      .bind(record.seq)
      .bind(record.t_ms)
      .bind(record.joules)
      .bind(record.kind)
      .bind(dump_json(record.body))
      .run();
}

void collect_blobs(const Json& value, std::set<std::string>& blobs) {
  if (value.is_object()) {
    if (const Json& blob = json_at(value, "blob"); blob.is_string()) blobs.insert(blob);
  }
  if (value.is_structured())
    for (const Json& member : value) collect_blobs(member, blobs);
}

// A process that was killed may leave a child that has not yet reached its exec(), and with it the
// lock, for a moment.
bool lock_alone(int fd, std::chrono::milliseconds patience) {
  constexpr std::chrono::milliseconds kStep{20};
  for (auto waited = kStep * 0; ::flock(fd, LOCK_EX | LOCK_NB) != 0; waited += kStep) {
    if (waited >= patience) return false;
    std::this_thread::sleep_for(kStep);
  }
  return true;
}

bool is_run_id(std::string_view id) {
  return !id.empty() && id.size() <= 100 && is_safe_relative(id) && id.find('/') == id.npos;
}

}  // namespace

RunLease::RunLease(RunLease&& other) noexcept : run_(std::move(other.run_)), fd_(other.fd_) {
  other.fd_ = -1;
}
RunLease::~RunLease() {
  if (fd_ >= 0) ::close(fd_);
}

Journal::Journal(fs::path directory, sqlite3* db) : directory_(std::move(directory)), db_(db) {}
Journal::Journal(Journal&& other) noexcept
    : directory_(std::move(other.directory_)),
      db_(std::exchange(other.db_, nullptr)),
      store_lock_(std::exchange(other.store_lock_, -1)) {}
Journal& Journal::operator=(Journal&& other) noexcept {
  std::swap(directory_, other.directory_);
  std::swap(db_, other.db_);
  std::swap(store_lock_, other.store_lock_);
  return *this;
}
Journal::~Journal() {
  sqlite3_close(db_);
  if (store_lock_ >= 0) ::close(store_lock_);
}

std::unexpected<Error> Journal::error(std::string_view what) const {
  const int code = sqlite3_errcode(db_);
  const char* remedy = "";
  if (code == SQLITE_FULL)
    remedy = "; free some space, then run `lathe resume`: nothing recorded so far is lost";
  if (code == SQLITE_BUSY) remedy = "; another process has held it for over 10 seconds: try again";
  if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT)
    remedy = "; move the file away or give another directory with --journal";
  if (code == SQLITE_READONLY || code == SQLITE_CANTOPEN)
    remedy = "; check its permissions or give another directory with --journal";
  return fail(ErrorKind::kUnavailable, "{}: cannot {}: {}{}", (directory_ / "journal.db").string(),
              what, sqlite3_errmsg(db_), remedy);
}

Result<Journal> Journal::open(const fs::path& directory) {
  for (const char* part : {"", "blobs", "locks"})
    LATHE_TRY_STATUS(make_directories(directory / part));
  sqlite3* db = nullptr;
  const fs::path file = directory / "journal.db";
  const int opened =
      sqlite3_open_v2(file.c_str(), &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
  Journal journal(directory, db);
  journal.store_lock_ =
      ::open((directory / "locks" / ".store").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  const int lock =
      ::open((directory / "locks" / ".open").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  const RunLease opening(".open", lock);
  if (lock < 0 || journal.store_lock_ < 0 || ::flock(journal.store_lock_, LOCK_SH) != 0)
    return fail(ErrorKind::kUnavailable,
                "{}: cannot write in this directory: {}; give another with --journal",
                directory.string(), std::strerror(errno));
  if (opened != SQLITE_OK) return journal.error("open it");
  sqlite3_busy_timeout(db, static_cast<int>(kOpening.count()));

  // One process makes the tables, the others wait here for it: SQLite itself does not wait for
  // another that changes to WAL at the same moment.
  if (!lock_alone(lock, kOpening))
    return fail(ErrorKind::kUnavailable,
                "{}: another process has kept locks/.open for {} s; stop it, or give another "
                "directory with --journal",
                directory.string(), kOpening.count() / 1000);
  // FULL: a commit survives a power cut.
  if (!execute(db, "PRAGMA journal_mode=WAL") || !execute(db, "PRAGMA synchronous=FULL") ||
      !execute(db, "BEGIN IMMEDIATE"))
    return journal.error("open it");
  std::int64_t version = -1, application = -1;
  {
    Statement statement(
        db, "SELECT user_version, application_id FROM pragma_user_version, pragma_application_id");
    if (statement.row()) {
      version = statement.integer(0);
      application = statement.integer(1);
    }
  }
  if (application != 0 && application != kApplicationId)
    return invalid(
        "{}: is another program's database, not a lathe journal; give another directory with "
        "--journal",
        file.string());
  if (version > kVersion)
    return invalid(
        "{}: was written by a newer lathe (journal format {}, this one reads up to {}); use that "
        "lathe, or give "
        "another directory with --journal",
        file.string(), version, kVersion);
  if (version == 0) {
    const std::string stamp =
        fmt::format("PRAGMA user_version={}; PRAGMA application_id={}", kVersion, kApplicationId);
    if (!execute(db, kSchema) || !execute(db, stamp.c_str())) return journal.error("lay it out");
  }
  if (!execute(db, "COMMIT")) return journal.error("open it");
  return journal;
}

fs::path Journal::blob_path(std::string_view sha256) const {
  return directory_ / "blobs" / sha256.substr(0, 2) / sha256;
}

Result<std::string> Journal::put_blob(std::string_view bytes) const {
  std::string sha = sha256_hex(bytes);
  const fs::path path = blob_path(sha);
  // A blob that is there already is trusted only as far as its size: reading checks the hash.
  std::error_code ignored;
  if (fs::exists(path, ignored) && fs::file_size(path, ignored) == bytes.size()) return sha;
  LATHE_TRY_STATUS(make_directories(path.parent_path()));
  LATHE_TRY_STATUS(write_file_atomic(path, bytes));
  return sha;
}

Result<std::string> Journal::blob(std::string_view sha256) const {
  if (!is_sha256_hex(sha256))
    return invalid("'{}' is not the name of a blob", clip_utf8(sha256, 80));
  LATHE_TRY(std::string bytes, read_file(blob_path(sha256), std::uint64_t{1} << 32));
  if (sha256_hex(bytes) != sha256)
    return invalid("{}: its bytes were changed after they were stored; this artifact is lost",
                   blob_path(sha256).string());
  return bytes;
}

Result<RunLease> Journal::lease(const std::string& run, std::chrono::milliseconds patience) const {
  if (!is_run_id(run)) return invalid("'{}' is not the id of a run", clip_utf8(run, 80));
  const fs::path path = directory_ / "locks" / run;
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0)
    return fail(ErrorKind::kUnavailable, "{}: cannot open it: {}", path.string(),
                std::strerror(errno));
  RunLease lease(run, fd);
  if (!lock_alone(fd, patience))
    return fail(ErrorKind::kUnavailable,
                "run {} is being worked on by another process; wait for it, or stop it first", run);
  return lease;
}

Result<RunLease> Journal::create_run(const std::string& id, const std::string& recipe,
                                     const std::string& title, std::int64_t created_ms,
                                     std::span<const Record> first) {
  LATHE_TRY(RunLease held, lease(id));
  bool ok =
      execute(db_, "BEGIN IMMEDIATE") && Statement(db_, "INSERT INTO runs VALUES (?,?,?,'open',?)")
                                             .bind(id)
                                             .bind(recipe)
                                             .bind(title)
                                             .bind(created_ms)
                                             .run();
  for (const Record& record : first) ok = ok && insert_record(db_, id, record);
  ok = ok && execute(db_, "COMMIT");
  if (!ok) {
    auto failure = error("record a new run");
    execute(db_, "ROLLBACK");
    return failure;
  }
  return held;
}

Status Journal::append(const RunLease& lease, const Record& record,
                       std::optional<std::string> state) {
  bool ok = true;
  if (state) {
    ok =
        execute(db_, "BEGIN IMMEDIATE") && insert_record(db_, lease.run(), record) &&
        Statement(db_, "UPDATE runs SET state=? WHERE id=?").bind(*state).bind(lease.run()).run() &&
        execute(db_, "COMMIT");
  } else {
    ok = insert_record(db_, lease.run(), record);
  }
  if (ok) return {};
  auto failure = error(fmt::format("append record {} of run {}", record.seq, lease.run()));
  if (state) execute(db_, "ROLLBACK");
  return failure;
}

Result<std::vector<RunRow>> Journal::runs() const {
  std::vector<RunRow> rows;
  Statement statement(
      db_,
      "SELECT id, recipe, title, state, created_ms, (SELECT count(*) FROM records WHERE run=id) "
      "FROM runs ORDER BY created_ms DESC, id DESC");
  while (statement.row())
    rows.push_back({statement.text(0), statement.text(1), statement.text(2), statement.text(3),
                    statement.integer(4), statement.integer(5), false});
  if (!statement.ok()) return error("list the runs");
  for (RunRow& row : rows)
    row.live = row.state == "open" && !lease(row.id, std::chrono::milliseconds(0));
  return rows;
}

Result<std::string> Journal::find_run(std::string_view name) const {
  std::vector<std::string> found;
  Statement statement(db_, "SELECT id FROM runs ORDER BY created_ms DESC, id DESC");
  while (statement.row()) {
    const std::string id = statement.text(0);
    if (id == name || name == "last") return id;
    if (!name.empty() && id.starts_with(name)) found.push_back(id);
  }
  if (!statement.ok()) return error("look for a run");
  if (found.size() == 1) return found.front();
  if (found.empty())
    return fail(ErrorKind::kNotFound, "there is no run '{}' in {}; `lathe runs` lists them",
                clip_utf8(name, 80), directory_.string());
  return invalid("'{}' fits {} runs; give more of the id: {}", name, found.size(),
                 join(found, ", "));
}

Result<std::vector<Record>> Journal::records(const std::string& run) const {
  std::vector<Record> records;
  Statement statement(db_,
                      "SELECT seq, t_ms, joules, kind, body FROM records WHERE run=? ORDER BY seq");
  statement.bind(run);
  while (statement.row()) {
    auto body = parse_json(statement.text(4));
    if (!body)
      return at(fmt::format("{}: record {} of run {}", (directory_ / "journal.db").string(),
                            statement.integer(0), run),
                body.error());
    records.push_back({statement.integer(0), statement.integer(1), statement.real(2),
                       statement.text(3), *std::move(body)});
  }
  if (!statement.ok()) return error("read run " + run);
  for (std::size_t i = 0; i < records.size(); ++i)
    if (records[i].seq != static_cast<std::int64_t>(i))
      return invalid("{}: record {} of run {} is missing", (directory_ / "journal.db").string(), i,
                     run);
  return records;
}

Status Journal::remove_run(const std::string& run) {
  LATHE_TRY(const RunLease held, lease(run));
  const bool ok = execute(db_, "BEGIN IMMEDIATE") &&
                  Statement(db_, "DELETE FROM records WHERE run=?").bind(run).run() &&
                  Statement(db_, "DELETE FROM runs WHERE id=?").bind(run).run() &&
                  execute(db_, "COMMIT");
  if (!ok) {
    auto failure = error("remove run " + run);
    execute(db_, "ROLLBACK");
    return failure;
  }
  std::error_code ignored;
  fs::remove(directory_ / "locks" / run, ignored);
  return {};
}

Result<GcReport> Journal::gc() {
  // Another process may have stored a blob whose record is still to come.
  if (!lock_alone(store_lock_, std::chrono::milliseconds(1000))) {
    ::flock(store_lock_, LOCK_SH);  // a change that fails gives up what was held before
    return fail(ErrorKind::kUnavailable,
                "{}: another lathe is using this journal; clean up when it has ended",
                directory_.string());
  }
  LATHE_TRY(const std::vector<RunRow> rows, runs());
  std::set<std::string> named;
  for (const RunRow& row : rows) {
    LATHE_TRY(const std::vector<Record> run_records, records(row.id));
    for (const Record& record : run_records) {
      collect_blobs(record.body, named);
      // A tree manifest is a blob that names blobs.
      const std::string manifest = json_string(json_at(record.body, "tree"), "blob");
      if (manifest.empty()) continue;
      LATHE_TRY(const std::string text, blob(manifest));
      LATHE_TRY(const Json tree, parse_json(text));
      collect_blobs(tree, named);
    }
  }
  GcReport report;
  std::error_code ignored;
  LATHE_TRY(const std::vector<std::string> files, list_files(directory_ / "blobs", 10'000'000));
  for (const std::string& file : files) {
    const fs::path path = directory_ / "blobs" / file;
    if (named.contains(path.filename().string())) {
      ++report.kept;
      continue;
    }
    report.freed_bytes += fs::file_size(path, ignored);
    if (fs::remove(path, ignored)) ++report.removed;
  }
  ::flock(store_lock_, LOCK_SH);
  return report;
}

}  // namespace lathe
