// Runs and records in SQLite, blobs in files named by their hash, leases.
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

namespace lathe::books {
namespace {

constexpr int kApplicationId = 0x4C415448;  // "LATH"
constexpr std::chrono::milliseconds kOpening{10'000};
constexpr std::size_t kShownIds = 3;

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

// As this program makes them: what cannot be a path, an option or a control sequence.
bool is_run_id(std::string_view id) {
  return !id.empty() && id.size() <= 100 && id.front() != '.' && id.front() != '-' &&
         std::ranges::all_of(id, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '_' || c == '.';
         });
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
      read_only_(other.read_only_),
      store_lock_(std::exchange(other.store_lock_, -1)) {}
Journal& Journal::operator=(Journal&& other) noexcept {
  std::swap(directory_, other.directory_);
  std::swap(db_, other.db_);
  std::swap(read_only_, other.read_only_);
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

// The version of the tables; 0: there are none yet. Errors: another's database, a newer lathe's.
Result<int> Journal::format() const {
  const std::string file = (directory_ / "journal.db").string();
  std::int64_t version = -1, application = -1, tables = -1;
  {
    Statement statement(db_,
                        "SELECT user_version, application_id, (SELECT count(*) FROM sqlite_master) "
                        "FROM pragma_user_version, pragma_application_id");
    if (!statement.row()) return error("read it");
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
  if (version > kVersion)
    return invalid(
        "{}: was written by a newer lathe (journal format {}, this one reads up to {}); use that "
        "lathe, or give "
        "another directory with --journal",
        file, version, kVersion);
  return static_cast<int>(version);
}

Status Journal::lay_out() {
  if (auto fine = format(); !fine)
    return std::unexpected(fine.error());  // before anything of another's is changed
  // FULL: a commit survives a power cut.
  if (!execute(db_, "PRAGMA journal_mode=WAL") || !execute(db_, "PRAGMA synchronous=FULL") ||
      !execute(db_, "BEGIN IMMEDIATE"))
    return error("open it");
  LATHE_TRY(const int version, format());
  const std::string stamp =
      fmt::format("PRAGMA user_version={}; PRAGMA application_id={}", kVersion, kApplicationId);
  if (version == 0 && (!execute(db_, kSchema) || !execute(db_, stamp.c_str())))
    return error("lay it out");
  if (!execute(db_, "COMMIT")) return error("open it");
  return {};
}

Result<Journal> Journal::open(const fs::path& directory) {
  std::error_code ignored;
  const bool fresh = !fs::exists(directory, ignored);
  const fs::path file = directory / "journal.db";
  const bool there = fs::exists(file, ignored);
  for (const char* part : {"", "blobs", "locks"}) {
    if (auto made = make_directories(directory / part); !made) {
      if (there) return open_read_only(directory);
      return std::unexpected(made.error());
    }
    // Prompts, sources and answers: for the owner alone. A directory that was there before keeps
    // its mode, it may hold other things.
    if (*part != 0 || fresh) fs::permissions(directory / part, fs::perms::owner_all, ignored);
  }
  const auto open_private = [](const fs::path& path) {
    return ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  };
  const int store = open_private(directory / "locks" / ".store");
  const int lock = open_private(directory / "locks" / ".open");
  const int database = open_private(file);
  const int why = errno;
  const RunLease opening(".open", lock);
  Journal journal(directory, nullptr);
  journal.store_lock_ = store;
  if (database >= 0) ::close(database);
  if (lock < 0 || store < 0 || database < 0 || ::flock(store, LOCK_SH) != 0) {
    if (there) return open_read_only(directory);
    return fail(ErrorKind::kUnavailable,
                "{}: cannot write in this directory: {}; give another with --journal",
                directory.string(), std::strerror(why));
  }
  const int opened = sqlite3_open_v2(file.c_str(), &journal.db_, SQLITE_OPEN_READWRITE, nullptr);
  if (opened != SQLITE_OK) return journal.error("open it");
  sqlite3_busy_timeout(journal.db_, static_cast<int>(kOpening.count()));

  // One process makes the tables, the others wait here for it: SQLite itself does not wait for
  // another that changes to WAL at the same moment.
  if (!lock_alone(lock, kOpening))
    return fail(ErrorKind::kUnavailable,
                "{}: another process has kept locks/.open for {} s; stop it, or give another "
                "directory with --journal",
                directory.string(), kOpening.count() / 1000);
  LATHE_TRY_STATUS(journal.lay_out());
  for (const char* end : {"", "-wal", "-shm"})
    fs::permissions(file.string() + end, fs::perms::owner_read | fs::perms::owner_write, ignored);
  return journal;
}

Result<Journal> Journal::open_read_only(const fs::path& directory) {
  const fs::path file = directory / "journal.db", wal = directory / "journal.db-wal";
  std::error_code ignored;
  // Beside a log that holds something the database alone would be an older state of it. Without
  // one, nothing else is needed: SQLite would want to make files beside it.
  const bool whole = !fs::exists(wal, ignored) || fs::file_size(wal, ignored) == 0;
  std::string name = "file:";
  for (const char c : file.string())
    name += c == '?' || c == '#' || c == '%' ? fmt::format("%{:02x}", c) : std::string(1, c);
  name += whole ? "?immutable=1" : "?mode=ro";
  Journal journal(directory, nullptr);
  journal.read_only_ = true;
  if (sqlite3_open_v2(name.c_str(), &journal.db_, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI,
                      nullptr) != SQLITE_OK)
    return journal.error("open it");
  LATHE_TRY(const int version, journal.format());
  if (version == 0)
    return fail(ErrorKind::kNotFound, "{}: holds no journal, and none can be made there",
                directory.string());
  return journal;
}

Status Journal::writable() const {
  if (!read_only_) return {};
  return fail(ErrorKind::kUnavailable,
              "{}: can only be read, nothing can be written there; give another directory with "
              "--journal",
              directory_.string());
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
  fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write, ignored);
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
  LATHE_TRY_STATUS(writable());
  const fs::path path = directory_ / "locks" / run;
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
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
    row.live = row.state == "open" && is_run_id(row.id) && !read_only_ &&
               !lease(row.id, std::chrono::milliseconds(0));
  return rows;
}

Result<std::string> Journal::find_run(std::string_view name) const {
  std::vector<std::string> found;
  Statement statement(db_, "SELECT id FROM runs ORDER BY created_ms DESC, id DESC");
  while (statement.row()) {
    std::string id = statement.text(0);
    const bool exact = id == name || name == "last";
    if (exact) found.clear();
    if (exact || (!name.empty() && id.starts_with(name))) found.push_back(std::move(id));
    if (exact) break;
  }
  if (!statement.ok()) return error("look for a run");
  // What stands in the database becomes part of file names.
  if (found.size() == 1 && !is_run_id(found.front()))
    return invalid("{}: names a run '{}', which is not the id of a run",
                   (directory_ / "journal.db").string(),
                   clip_utf8(make_valid_utf8(found.front()), 80));
  if (found.size() == 1) return found.front();
  if (found.empty())
    return fail(ErrorKind::kNotFound, "there is no run '{}' in {}; `lathe runs` lists them",
                clip_utf8(name, 80), directory_.string());
  const std::size_t shown = std::min(found.size(), kShownIds);
  return invalid(
      "'{}' fits {} runs; give more of the id, like {}{}", clip_utf8(name, 80), found.size(),
      join(std::span(found).first(shown), ", "),
      shown < found.size() ? fmt::format(" or one of {} older ones", found.size() - shown) : "");
}

Result<std::vector<Record>> Journal::records(const std::string& run, std::string_view kind) const {
  std::vector<Record> records;
  Statement statement(db_,
                      "SELECT seq, t_ms, joules, kind, body FROM records WHERE run=?1 AND "
                      "(?2='' OR kind=?2) ORDER BY seq");
  statement.bind(run).bind(kind);
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
  return records;
}

Result<std::vector<Record>> Journal::records(const std::string& run) const {
  LATHE_TRY(std::vector<Record> records, this->records(run, ""));
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
  LATHE_TRY_STATUS(writable());
  // Another process may have stored a blob whose record is still to come.
  if (!lock_alone(store_lock_, std::chrono::milliseconds(1000))) {
    ::flock(store_lock_, LOCK_SH);  // a change that fails gives up what was held before
    return fail(ErrorKind::kUnavailable,
                "{}: another lathe is using this journal; clean up when it has ended",
                directory_.string());
  }
  LATHE_TRY(const std::vector<RunRow> rows, runs());
  std::set<std::string> named;
  GcReport report;
  for (const RunRow& row : rows) {
    LATHE_TRY(const std::vector<Record> run_records, records(row.id));
    for (const Record& record : run_records) {
      collect_blobs(record.body, named);
      // A tree manifest is a blob that names blobs.
      const std::string manifest = json_string(json_at(record.body, "tree"), "blob");
      if (manifest.empty()) continue;
      const auto text = blob(manifest);
      if (!text && text.error().kind == ErrorKind::kUnavailable)
        return std::unexpected(text.error());
      const auto tree = text ? parse_json(*text) : Result<Json>(std::unexpected(text.error()));
      // A snapshot that is lost names nothing any more; the others are still cleaned up after.
      if (!tree)
        ++report.missing;
      else
        collect_blobs(*tree, named);
    }
  }
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

}  // namespace lathe::books
