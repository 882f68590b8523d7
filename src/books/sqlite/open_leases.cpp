// Leases in SQLite: each event is one transaction, in which the rules change the rows.
#include "books/sqlite/open_leases.h"

#include <algorithm>
#include <thread>

#include "books/leases/lease_columns.h"
#include "books/sqlite/database.h"

namespace lathe::books {
namespace {

constexpr int kLeasesId = 0x4C41544C;  // "LATL"
constexpr int kLeasesVersion = 2;
constexpr Milliseconds kLeasesPatience{10'000};
constexpr Milliseconds kLooksEvery{50};

constexpr Remedies kLeasesRemedies{
    .full = "; free some space, then go on: no completion that was counted is lost",
    .damaged = "; move the file away: the runs that used it begin again",
    .refused = "; check its permissions or give another directory with --journal"};

constexpr const char* kLeaseTables = R"sql(
  CREATE TABLE unit (
    run TEXT NOT NULL, id TEXT NOT NULL, kind TEXT NOT NULL, privacy INTEGER NOT NULL,
    home TEXT NOT NULL, needs TEXT NOT NULL, deps TEXT NOT NULL, prio INTEGER NOT NULL,
    state INTEGER NOT NULL, waiting INTEGER NOT NULL, epoch INTEGER NOT NULL,
    holder TEXT NOT NULL, held_epoch INTEGER NOT NULL, since_ms INTEGER NOT NULL,
    until_ms INTEGER NOT NULL, copy_holder TEXT NOT NULL, copy_epoch INTEGER NOT NULL,
    copy_since_ms INTEGER NOT NULL, copy_until_ms INTEGER NOT NULL, attempts TEXT NOT NULL,
    passed INTEGER NOT NULL, hash TEXT NOT NULL, reason TEXT NOT NULL, body TEXT NOT NULL,
    done_by TEXT NOT NULL, done_epoch INTEGER NOT NULL, done_ms INTEGER NOT NULL,
    took_ms INTEGER NOT NULL, alarm INTEGER NOT NULL, PRIMARY KEY (run, id)) WITHOUT ROWID;
  CREATE INDEX unit_open ON unit (prio DESC, run, id) WHERE state < 2 AND waiting = 0;
  CREATE INDEX unit_passed ON unit (kind, done_ms, run, id) WHERE state = 2;
  CREATE TABLE dep (run TEXT NOT NULL, on_unit TEXT NOT NULL, unit TEXT NOT NULL,
    PRIMARY KEY (run, on_unit, unit)) WITHOUT ROWID;
  CREATE TABLE node (
    id TEXT PRIMARY KEY, tier TEXT NOT NULL, clearance INTEGER NOT NULL, cert TEXT NOT NULL,
    caps TEXT NOT NULL, state INTEGER NOT NULL, load TEXT NOT NULL, seen_ms INTEGER NOT NULL)
    WITHOUT ROWID;
)sql";

// Since version 2.
constexpr const char* kStaleColumn = "ALTER TABLE unit ADD COLUMN stale TEXT NOT NULL DEFAULT '{}'";

// What a node may have: 1 the node, 2 its clearance, 3 its run, 4 what it can do.
constexpr std::string_view kMayHave =
    "(CASE home WHEN '' THEN ?2 WHEN ?1 THEN 0 ELSE max(?2, 1) END) <= privacy AND (?3 = '' OR run "
    "= ?3) "
    "AND NOT EXISTS (SELECT 1 FROM json_each(needs) AS need WHERE need.value NOT IN (SELECT value "
    "FROM json_each(?4)))";

class SqliteLeases : public LeaseStore {
 public:
  SqliteLeases(Database db, const Clock& clock) : db_(std::move(db)), clock_(clock) {}

  std::string place() const override { return db_.file().string(); }
  Status put_node(const NodeRow& node) override;
  Status set_node_state(const std::string& node, NodeState state) override;
  Result<std::vector<NodeRow>> nodes() const override;
  Status add_units(const std::string& run, std::span<const UnitSpec> units) override;
  Status remove_run(const std::string& run) override;
  Result<std::vector<UnitRow>> units(const std::string& run) const override;
  Result<std::optional<Grant>> lease(const Wish& wish) override;
  Result<std::vector<Grant>> heartbeat(const std::string& node, std::span<const Grant> leases,
                                       const Json& load) override;
  Result<LeaseAnswer> complete(const Grant& lease, const UnitResult& result) override;
  Result<LeaseAnswer> fail(const Grant& lease) override;
  Result<LeaseAnswer> release(const Grant& lease) override;
  Status wait(Milliseconds patience) override;
  Result<bool> wait_for_end(Milliseconds patience) override;

 private:
  // `what` within one transaction: all of it, or nothing where it fails.
  template <class T>
  Result<T> change(std::string_view what, const std::function<Result<T>()>& work);
  Result<NodeRow> member(const std::string& node) const;
  Result<std::vector<UnitRow>> find(std::string_view where,
                                    const std::function<void(Statement&)>& bind) const;
  Result<std::optional<UnitRow>> unit(const std::string& run, const std::string& id) const;
  Result<std::optional<UnitRow>> slow_one(const Wish& wish, Reach clearance,
                                          std::int64_t now_ms) const;
  Status write(const UnitRow& unit, bool fresh = false) const;
  Status let_dependents_go(const UnitRow& unit) const;
  Status lose_dependents(const UnitRow& unit) const;
  Result<LeaseAnswer> end(const Grant& lease, std::string_view what,
                          const std::function<LeaseAnswer(UnitRow&)>& rule);

  Database db_;
  const Clock& clock_;
  std::int64_t seen_ = 0;  // what another wrote, as of the last wait
};

template <class T>
Result<T> SqliteLeases::change(std::string_view what, const std::function<Result<T>()>& work) {
  Transaction transaction(db_);
  if (!transaction.begun()) return db_.error(what);
  Result<T> done = work();
  if (done && !transaction.commit()) return db_.error(what);
  return done;
}

Result<NodeRow> SqliteLeases::member(const std::string& node) const {
  Statement statement(db_, fmt::format("SELECT {} FROM node WHERE id=?", kNodeColumns).c_str());
  statement.bind(node);
  if (!statement.row()) {
    if (!statement.ok()) return db_.error("look a node up");
    return not_of_the_fleet(node);
  }
  auto row = node_from_row(statement);
  if (!row) return at(place(), row.error());
  return row;
}

Status SqliteLeases::put_node(const NodeRow& node) {
  LATHE_TRY_STATUS(check_node(node));
  const bool ok = Statement(db_,
                            "INSERT INTO node VALUES (?1,?2,?3,?4,?5,?6,?7,?8) ON CONFLICT (id) DO "
                            "UPDATE SET tier=?2, clearance=?3, cert=?4, caps=?5, load=?7, "
                            "seen_ms=?8")
                      .bind(node.id)
                      .bind(node.tier)
                      .bind(static_cast<std::int64_t>(node.clearance))
                      .bind(node.cert)
                      .bind(dump_json(to_json(node.caps)))
                      .bind(static_cast<std::int64_t>(node.state))
                      .bind(dump_json(node.load))
                      .bind(node.seen_ms)
                      .run();
  if (!ok) return db_.error("write a node down");
  return {};
}

Status SqliteLeases::set_node_state(const std::string& node, NodeState state) {
  const auto done = change<bool>("change a node", [&]() -> Result<bool> {
    const bool ok = Statement(db_, "UPDATE node SET state=? WHERE id=?")
                        .bind(static_cast<std::int64_t>(state))
                        .bind(node)
                        .run();
    if (!ok) return db_.error("change a node");
    if (sqlite3_changes(db_.handle()) == 0) return not_of_the_fleet(node);
    if (state != NodeState::kQuarantined && state != NodeState::kForgotten) return true;
    LATHE_TRY(auto held, find("state = 1 AND (holder = ?1 OR copy_holder = ?1)",
                              [&](Statement& statement) { statement.bind(node); }));
    for (UnitRow& unit : held) {
      end_leases(unit, node);
      LATHE_TRY_STATUS(write(unit));
    }
    return true;
  });
  if (!done) return std::unexpected(done.error());
  return {};
}

Result<std::vector<NodeRow>> SqliteLeases::nodes() const {
  std::vector<NodeRow> rows;
  Statement statement(db_, fmt::format("SELECT {} FROM node ORDER BY id", kNodeColumns).c_str());
  while (statement.row()) {
    auto row = node_from_row(statement);
    if (!row) return at(place(), row.error());
    rows.push_back(*std::move(row));
  }
  if (!statement.ok()) return db_.error("list its nodes");
  return rows;
}

Status SqliteLeases::add_units(const std::string& run, std::span<const UnitSpec> units) {
  const auto done = change<bool>("add units", [&]() -> Result<bool> {
    std::map<std::string, UnitState> there;
    {
      Statement statement(db_, "SELECT id, state FROM unit WHERE run=?");
      statement.bind(run);
      while (statement.row())
        there[statement.text(0)] = static_cast<UnitState>(statement.integer(1));
      if (!statement.ok()) return db_.error("add units");
    }
    LATHE_TRY_STATUS(
        check_units(run, units, [&](const std::string& id) -> std::optional<UnitState> {
          const auto found = there.find(id);
          if (found == there.end()) return std::nullopt;
          return found->second;
        }));
    for (const UnitSpec& spec : units) {
      UnitRow unit;
      unit.run = run;
      unit.spec = spec;
      for (const std::string& dep : spec.deps) {
        const auto found = there.find(dep);
        unit.waiting += found == there.end() || found->second != UnitState::kPassed;
        if (!Statement(db_, "INSERT INTO dep VALUES (?,?,?)")
                 .bind(run)
                 .bind(dep)
                 .bind(spec.id)
                 .run())
          return db_.error("add units");
      }
      LATHE_TRY_STATUS(write(unit, true));
    }
    return true;
  });
  if (!done) return std::unexpected(done.error());
  return {};
}

Status SqliteLeases::remove_run(const std::string& run) {
  const auto done = change<bool>("remove a run", [&]() -> Result<bool> {
    if (!Statement(db_, "DELETE FROM unit WHERE run=?").bind(run).run() ||
        !Statement(db_, "DELETE FROM dep WHERE run=?").bind(run).run())
      return db_.error("remove a run");
    return true;
  });
  if (!done) return std::unexpected(done.error());
  return {};
}

Result<std::vector<UnitRow>> SqliteLeases::find(std::string_view where,
                                                const std::function<void(Statement&)>& bind) const {
  std::vector<UnitRow> rows;
  Statement statement(db_,
                      fmt::format("SELECT {} FROM unit WHERE {}", kUnitColumns, where).c_str());
  bind(statement);
  while (statement.row()) {
    auto row = unit_from_row(statement);
    if (!row) return at(place(), row.error());
    rows.push_back(*std::move(row));
  }
  if (!statement.ok()) return db_.error("look units up");
  return rows;
}

Result<std::vector<UnitRow>> SqliteLeases::units(const std::string& run) const {
  return find("run = ? ORDER BY id", [&](Statement& statement) { statement.bind(run); });
}

Result<std::optional<UnitRow>> SqliteLeases::unit(const std::string& run,
                                                  const std::string& id) const {
  LATHE_TRY(auto rows, find("run = ? AND id = ?",
                            [&](Statement& statement) { statement.bind(run).bind(id); }));
  if (rows.empty()) return std::nullopt;
  return std::move(rows.front());
}

Status SqliteLeases::write(const UnitRow& unit, bool fresh) const {
  static const std::string kInsert = fmt::format(
      "INSERT INTO unit ({}) VALUES "
      "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
      kUnitColumns);
  static const std::string kReplace =
      fmt::format("INSERT OR REPLACE{}", std::string_view(kInsert).substr(6));
  Statement statement(db_, (fresh ? kInsert : kReplace).c_str());
  statement.bind(unit.run)
      .bind(unit.spec.id)
      .bind(unit.spec.kind)
      .bind(static_cast<std::int64_t>(unit.spec.privacy))
      .bind(unit.spec.home)
      .bind(dump_json(to_json(unit.spec.needs)))
      .bind(dump_json(to_json(unit.spec.deps)))
      .bind(unit.spec.prio)
      .bind(static_cast<std::int64_t>(unit.state))
      .bind(unit.waiting)
      .bind(unit.epoch);
  for (std::size_t i = 0; i < 2; ++i) {
    const Grant lease = i < unit.held.size() ? unit.held[i] : Grant();
    statement.bind(lease.node).bind(lease.epoch).bind(lease.since_ms).bind(lease.until_ms);
  }
  const bool ok = statement.bind(dump_json(to_json(unit.attempts)))
                      .bind(std::int64_t{unit.result.passed})
                      .bind(unit.result.hash)
                      .bind(unit.result.reason)
                      .bind(dump_json(unit.result.body))
                      .bind(unit.done_by)
                      .bind(unit.done_epoch)
                      .bind(unit.done_ms)
                      .bind(unit.took_ms)
                      .bind(std::int64_t{unit.alarm})
                      .bind(dump_json(to_json(unit.stale)))
                      .run();
  if (!ok) return db_.error("write a unit down");
  return {};
}

Result<std::optional<Grant>> SqliteLeases::lease(const Wish& asked) {
  return change<std::optional<Grant>>("lease", [&]() -> Result<std::optional<Grant>> {
    const std::int64_t now_ms = clock_.unix_ms();
    LATHE_TRY(const NodeRow node, member(asked.node));
    if (node.state == NodeState::kForgotten) return not_of_the_fleet(asked.node);
    if (node.state != NodeState::kActive) return std::nullopt;
    const Wish wish = believed(asked, node);
    const std::string first = fmt::format(
        "state < 2 AND waiting = 0 AND (state = 0 OR max(until_ms, copy_until_ms) < ?5) AND {} "
        "ORDER BY prio DESC, run, id LIMIT 1",
        kMayHave);
    while (true) {
      LATHE_TRY(auto found, find(first, [&](Statement& statement) {
                  statement.bind(wish.node)
                      .bind(static_cast<std::int64_t>(node.clearance))
                      .bind(wish.run)
                      .bind(dump_json(to_json(wish.caps)))
                      .bind(now_ms);
                }));
      std::optional<UnitRow> unit;
      if (!found.empty()) unit = std::move(found.front());
      if (!unit) {
        LATHE_TRY(unit, slow_one(wish, node.clearance, now_ms));
        if (!unit) return std::nullopt;
      } else if (unit->state == UnitState::kLeased) {
        lapse(*unit);
      }
      if (unit->state == UnitState::kGaveUp) {
        LATHE_TRY_STATUS(write(*unit));
        LATHE_TRY_STATUS(lose_dependents(*unit));
        continue;
      }
      const Grant lease = give(*unit, wish.node, now_ms);
      LATHE_TRY_STATUS(write(*unit));
      return lease;
    }
  });
}

Result<std::optional<UnitRow>> SqliteLeases::slow_one(const Wish& wish, Reach clearance,
                                                      std::int64_t now_ms) const {
  const std::string single = fmt::format(
      "state = 1 AND copy_epoch = 0 AND until_ms >= ?5 AND holder != ?1 AND {} "
      "ORDER BY prio DESC, run, id",
      kMayHave);
  LATHE_TRY(auto leased, find(single, [&](Statement& statement) {
              statement.bind(wish.node)
                  .bind(static_cast<std::int64_t>(clearance))
                  .bind(wish.run)
                  .bind(dump_json(to_json(wish.caps)))
                  .bind(now_ms);
            }));
  std::map<std::string, std::optional<std::int64_t>> medians;
  for (UnitRow& unit : leased) {
    const auto [median, fresh] = medians.try_emplace(unit.spec.kind);
    if (fresh) {
      Statement statement(db_,
                          "SELECT took_ms FROM unit WHERE kind=? AND state = 2 ORDER BY done_ms "
                          "DESC, run DESC, id DESC LIMIT ?");
      statement.bind(unit.spec.kind).bind(static_cast<std::int64_t>(kMedianOf));
      std::vector<std::int64_t> took;
      while (statement.row()) took.push_back(statement.integer(0));
      if (!statement.ok()) return db_.error("look units up");
      median->second = median_of(std::move(took));
    }
    if (median->second && now_ms - unit.held.front().since_ms > kSlowerThanMedian * *median->second)
      return std::move(unit);
  }
  return std::nullopt;
}

Result<std::vector<Grant>> SqliteLeases::heartbeat(const std::string& node,
                                                   std::span<const Grant> leases,
                                                   const Json& load) {
  return change<std::vector<Grant>>("extend leases", [&]() -> Result<std::vector<Grant>> {
    const std::int64_t now_ms = clock_.unix_ms();
    LATHE_TRY(NodeRow row, member(node));
    if (row.state == NodeState::kForgotten) return not_of_the_fleet(node);
    row.load = load;
    row.seen_ms = now_ms;
    LATHE_TRY_STATUS(put_node(row));
    std::vector<Grant> still;
    for (const Grant& lease : leases) {
      if (lease.node != node) continue;
      LATHE_TRY(auto held, unit(lease.run, lease.unit));
      if (!held) continue;
      const auto longer = extend(*held, lease, now_ms);
      if (!longer) continue;
      LATHE_TRY_STATUS(write(*held));
      still.push_back(*longer);
    }
    return still;
  });
}

Result<LeaseAnswer> SqliteLeases::end(const Grant& lease, std::string_view what,
                                      const std::function<LeaseAnswer(UnitRow&)>& rule) {
  return change<LeaseAnswer>(what, [&]() -> Result<LeaseAnswer> {
    LATHE_TRY(auto row, unit(lease.run, lease.unit));
    if (!row) return LeaseAnswer::kStale;
    const LeaseAnswer answer = rule(*row);
    if (answer == LeaseAnswer::kAlready) return answer;
    LATHE_TRY_STATUS(write(*row));
    if (answer != LeaseAnswer::kCounted) return answer;
    if (row->state == UnitState::kPassed) LATHE_TRY_STATUS(let_dependents_go(*row));
    if (row->state == UnitState::kGaveUp) LATHE_TRY_STATUS(lose_dependents(*row));
    return answer;
  });
}

Result<LeaseAnswer> SqliteLeases::complete(const Grant& lease, const UnitResult& result) {
  return end(lease, "complete a unit",
             [&](UnitRow& unit) { return books::complete(unit, lease, result, clock_.unix_ms()); });
}

Result<LeaseAnswer> SqliteLeases::fail(const Grant& lease) {
  return end(lease, "end a lease", [&](UnitRow& unit) { return fail_attempt(unit, lease); });
}

Result<LeaseAnswer> SqliteLeases::release(const Grant& lease) {
  return end(lease, "end a lease", [&](UnitRow& unit) { return books::release(unit, lease); });
}

Status SqliteLeases::let_dependents_go(const UnitRow& unit) const {
  const bool ok = Statement(db_,
                            "UPDATE unit SET waiting = waiting - 1 WHERE run = ?1 AND id IN "
                            "(SELECT unit FROM dep WHERE run = ?1 AND on_unit = ?2)")
                      .bind(unit.run)
                      .bind(unit.spec.id)
                      .run();
  if (!ok) return db_.error("complete a unit");
  return {};
}

Status SqliteLeases::lose_dependents(const UnitRow& unit) const {
  const bool ok =
      Statement(db_,
                "WITH RECURSIVE lost (id) AS (SELECT unit FROM dep WHERE run = ?1 AND on_unit = ?2 "
                "UNION SELECT dep.unit FROM dep JOIN lost ON dep.on_unit = lost.id WHERE dep.run = "
                "?1) UPDATE unit SET state = 3, passed = 0, reason = ?3 WHERE run = ?1 AND state = "
                "0 AND id IN (SELECT id FROM lost)")
          .bind(unit.run)
          .bind(unit.spec.id)
          .bind(lost_dependency(unit.spec.id))
          .run();
  if (!ok) return db_.error("give a unit up");
  return {};
}

Status SqliteLeases::wait(Milliseconds patience) {
  LATHE_TRY_STATUS(wait_for_end(patience));
  return {};
}

// Whatever another has written since the last wait.
Result<bool> SqliteLeases::wait_for_end(Milliseconds patience) {
  const Milliseconds end = clock_.monotonic() + patience;
  for (;;) {
    std::int64_t version = 0;
    {
      Statement statement(db_, "PRAGMA data_version");
      if (!statement.row()) return db_.error("wait for news");
      version = statement.integer(0);
    }
    if (version != std::exchange(seen_, version)) return true;
    const Milliseconds left = end - clock_.monotonic();
    if (left <= Milliseconds(0)) return false;
    std::this_thread::sleep_for(std::min(kLooksEvery, left));
  }
}

// The version of its tables; 0: there are none.
Result<std::int64_t> leases_format(const Database& db) {
  Statement statement(db,
                      "SELECT user_version, application_id, (SELECT count(*) FROM sqlite_master) "
                      "FROM pragma_user_version, pragma_application_id");
  if (!statement.row()) return db.error("read it");
  const std::int64_t version = statement.integer(0), tables = statement.integer(2);
  if ((tables > 0 || statement.integer(1) != 0) && statement.integer(1) != kLeasesId)
    return invalid("{}: is another program's database; give another directory with --journal",
                   db.file().string());
  if (version > kLeasesVersion)
    return invalid(
        "{}: was written by a newer lathe (format {} of leases, this one reads up to {}); use that "
        "lathe, or give another directory with --journal",
        db.file().string(), version, kLeasesVersion);
  return version;
}

// Makes the tables where there are none.
Result<std::unique_ptr<LeaseStore>> leases_in(Database db, const Clock& clock) {
  LATHE_TRY_STATUS(leases_format(db));  // before anything of another's is changed
  // FULL: a commit survives a power cut.
  if (!db.execute("PRAGMA journal_mode=WAL") || !db.execute("PRAGMA synchronous=FULL"))
    return db.error("open it");
  {
    Transaction change(db);
    if (!change.begun()) return db.error("open it");
    LATHE_TRY(const std::int64_t version, leases_format(db));
    const std::string stamp =
        fmt::format("PRAGMA user_version={}; PRAGMA application_id={}", kLeasesVersion, kLeasesId);
    const bool laid_out = version == kLeasesVersion ||
                          ((version > 0 || db.execute(kLeaseTables)) && db.execute(kStaleColumn) &&
                           db.execute(stamp) && change.commit());
    if (!laid_out) return db.error("lay it out");
  }
  return std::make_unique<SqliteLeases>(std::move(db), clock);
}

}  // namespace

Result<std::unique_ptr<LeaseStore>> open_leases(const fs::path& directory, const Clock& clock) {
  std::error_code ignored;
  const bool fresh = !fs::exists(directory, ignored);
  LATHE_TRY_STATUS(make_directories(directory));
  if (fresh) fs::permissions(directory, fs::perms::owner_all, ignored);
  const fs::path file = directory / "leases.db";
  Database db(file, kLeasesRemedies);
  LATHE_TRY_STATUS(
      db.open(file.string(), SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, kLeasesPatience));
  fs::permissions(file, fs::perms::owner_read | fs::perms::owner_write, ignored);
  return leases_in(std::move(db), clock);
}

}  // namespace lathe::books
