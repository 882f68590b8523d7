// Leases in PostgreSQL: what nodes do are calls of its functions, the rest are statements of the
// desk's.
#include <algorithm>

#include "books/leases/lease_columns.h"
#include "books/postgres/connection.h"
#include "books/postgres/open_postgres.h"
#include "books/postgres/schema.h"

namespace lathe::books {
namespace {

// None of its statements takes more than moments.
constexpr Milliseconds kLeasesPatience{60'000};

// There may be work; a unit has ended.
constexpr const char* kWorkChannel = "lathe";
constexpr const char* kEndChannel = "lathe_end";

class PostgresLeases : public LeaseStore {
 public:
  explicit PostgresLeases(std::shared_ptr<PgConnection> connection)
      : connection_(std::move(connection)) {}

  std::string place() const override { return connection_->place(); }
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
  // A call of a node's: the fleet's own refusals in the fleet's words.
  Result<PgRows> call(std::string_view what, const std::string& node, const std::string& sql,
                      std::initializer_list<PgValue> values);
  Result<LeaseAnswer> end(const Grant& lease, std::string_view what, const char* function);

  std::shared_ptr<PgConnection> connection_;
};

Grant lease_from_row(const PgRows::Row& row, const std::string& node) {
  Grant lease;
  lease.run = row.text(0);
  lease.unit = row.text(1);
  lease.node = node;
  lease.epoch = row.integer(2);
  lease.since_ms = row.integer(3);
  lease.until_ms = row.integer(4);
  lease.copy = row.integer(5) != 0;
  return lease;
}

Result<PgRows> PostgresLeases::call(std::string_view what, const std::string& node,
                                    const std::string& sql, std::initializer_list<PgValue> values) {
  auto rows = connection_->run(what, sql, values);
  if (!rows && rows.error().code == "LT003") return not_of_the_fleet(node);
  return rows;
}

Status PostgresLeases::put_node(const NodeRow& node) {
  LATHE_TRY_STATUS(check_node(node));
  LATHE_TRY_STATUS(connection_->run(
      "write a node down",
      "INSERT INTO node VALUES ($1,$2,$3,$4,$5,$6,$7,$8) ON CONFLICT (id) DO UPDATE SET tier=$2, "
      "clearance=$3, cert=$4, caps=$5, load=$7, seen_ms=$8",
      {node.id, node.tier, static_cast<std::int64_t>(node.clearance), node.cert,
       dump_json(to_json(node.caps)), static_cast<std::int64_t>(node.state), dump_json(node.load),
       node.seen_ms}));
  return {};
}

Status PostgresLeases::set_node_state(const std::string& node, NodeState state) {
  constexpr std::string_view kWhat = "change a node";
  LATHE_TRY(PgTransaction change, PgTransaction::begin(*connection_, kWhat));
  LATHE_TRY(const PgRows changed, connection_->run(kWhat, "UPDATE node SET state=$1 WHERE id=$2",
                                                   {static_cast<std::int64_t>(state), node}));
  if (changed.changed() == 0) return not_of_the_fleet(node);
  if (state == NodeState::kQuarantined || state == NodeState::kForgotten) {
    LATHE_TRY_STATUS(connection_->run(
        kWhat,
        "UPDATE unit SET copy_holder='', copy_epoch=0, copy_since_ms=0, copy_until_ms=0 WHERE "
        "state=1 AND waiting=0 AND copy_holder=$1",
        {node}));
    LATHE_TRY_STATUS(connection_->run(
        kWhat,
        "UPDATE unit SET state=CASE WHEN copy_epoch=0 THEN 0 ELSE 1 END, holder=copy_holder, "
        "held_epoch=copy_epoch, since_ms=copy_since_ms, until_ms=copy_until_ms, copy_holder='', "
        "copy_epoch=0, copy_since_ms=0, copy_until_ms=0 WHERE state=1 AND waiting=0 AND holder=$1",
        {node}));
    LATHE_TRY_STATUS(connection_->run(kWhat, "SELECT wake()"));
  }
  return change.commit(kWhat);
}

Result<std::vector<NodeRow>> PostgresLeases::nodes() const {
  std::vector<NodeRow> nodes;
  LATHE_TRY(const PgRows rows,
            connection_->run("list its nodes",
                             fmt::format("SELECT {} FROM node ORDER BY id", kNodeColumns)));
  for (int i = 0; i < rows.size(); ++i) {
    auto node = node_from_row(rows[i]);
    if (!node) return at(place(), node.error());
    nodes.push_back(*std::move(node));
  }
  return nodes;
}

Status PostgresLeases::add_units(const std::string& run, std::span<const UnitSpec> units) {
  constexpr std::string_view kWhat = "add units";
  LATHE_TRY(PgTransaction change, PgTransaction::begin(*connection_, kWhat));
  // Nothing that is depended on passes meanwhile.
  LATHE_TRY(const PgRows rows,
            connection_->run(kWhat, "SELECT id, state FROM unit WHERE run=$1 ORDER BY id FOR SHARE",
                             {run}));
  std::map<std::string, UnitState> there;
  for (int i = 0; i < rows.size(); ++i)
    there[rows[i].text(0)] = static_cast<UnitState>(rows[i].integer(1));
  LATHE_TRY_STATUS(check_units(run, units, [&](const std::string& id) -> std::optional<UnitState> {
    const auto found = there.find(id);
    if (found == there.end()) return std::nullopt;
    return found->second;
  }));
  Json list = Json::array(), deps = Json::array();
  for (const UnitSpec& spec : units) {
    std::int64_t waiting = 0;
    for (const std::string& dep : spec.deps) {
      const auto found = there.find(dep);
      waiting += found == there.end() || found->second != UnitState::kPassed;
      deps.push_back({{"on_unit", dep}, {"unit", spec.id}});
    }
    list.push_back({{"id", spec.id},
                    {"kind", spec.kind},
                    {"privacy", static_cast<int>(spec.privacy)},
                    {"home", spec.home},
                    {"needs", to_json(spec.needs)},
                    {"deps", to_json(spec.deps)},
                    {"prio", spec.prio},
                    {"waiting", waiting}});
  }
  LATHE_TRY_STATUS(connection_->run(
      kWhat,
      "INSERT INTO unit (run, id, kind, privacy, home, needs, deps, prio, waiting) SELECT $1, id, "
      "kind, privacy, home, needs, deps, prio, waiting FROM jsonb_to_recordset($2) AS made (id "
      "text, kind text, privacy integer, home text, needs jsonb, deps jsonb, prio bigint, waiting "
      "bigint)",
      {run, dump_json(list)}));
  LATHE_TRY_STATUS(connection_->run(
      kWhat,
      "INSERT INTO dep (run, on_unit, unit) SELECT $1, on_unit, unit FROM jsonb_to_recordset($2) "
      "AS made (on_unit text, unit text)",
      {run, dump_json(deps)}));
  LATHE_TRY_STATUS(connection_->run(kWhat, "SELECT wake()"));
  return change.commit(kWhat);
}

Status PostgresLeases::remove_run(const std::string& run) {
  LATHE_TRY_STATUS(connection_->run(
      "remove a run", "WITH gone AS (DELETE FROM dep WHERE run=$1) DELETE FROM unit WHERE run=$1",
      {run}));
  return {};
}

Result<std::vector<UnitRow>> PostgresLeases::units(const std::string& run) const {
  std::vector<UnitRow> units;
  LATHE_TRY(const PgRows rows,
            connection_->run(
                "look units up",
                fmt::format("SELECT {} FROM unit WHERE run=$1 ORDER BY id", kUnitColumns), {run}));
  for (int i = 0; i < rows.size(); ++i) {
    auto unit = unit_from_row(rows[i]);
    if (!unit) return at(place(), unit.error());
    units.push_back(*std::move(unit));
  }
  return units;
}

Result<std::optional<Grant>> PostgresLeases::lease(const Wish& wish) {
  LATHE_TRY(const PgRows rows, call("lease a unit", wish.node, "SELECT * FROM lease($1,$2,$3)",
                                    {wish.node, dump_json(to_json(wish.caps)), wish.run}));
  if (rows.empty()) return std::nullopt;
  return lease_from_row(rows[0], wish.node);
}

Result<std::vector<Grant>> PostgresLeases::heartbeat(const std::string& node,
                                                     std::span<const Grant> leases,
                                                     const Json& load) {
  Json list = Json::array();
  for (const Grant& lease : leases)
    if (lease.node == node)
      list.push_back({{"run", lease.run}, {"id", lease.unit}, {"epoch", lease.epoch}});
  LATHE_TRY(const PgRows rows, call("extend leases", node, "SELECT * FROM heartbeat($1,$2,$3)",
                                    {node, dump_json(list), dump_json(load)}));
  std::vector<Grant> held, still;
  for (int i = 0; i < rows.size(); ++i) held.push_back(lease_from_row(rows[i], node));
  for (const Grant& lease : leases) {  // in the order that they were given
    const auto found = std::ranges::find_if(held, [&](const Grant& each) {
      return each.run == lease.run && each.unit == lease.unit && each.epoch == lease.epoch;
    });
    if (lease.node == node && found != held.end()) still.push_back(*found);
  }
  return still;
}

Result<LeaseAnswer> PostgresLeases::complete(const Grant& lease, const UnitResult& result) {
  LATHE_TRY(const PgRows rows,
            call("complete a unit", lease.node, "SELECT complete($1,$2,$3,$4,$5,$6,$7,$8)",
                 {lease.node, lease.run, lease.unit, lease.epoch,
                  static_cast<std::int64_t>(result.passed), result.hash, result.reason,
                  dump_json(result.body)}));
  const auto answer = static_cast<LeaseAnswer>(rows[0].integer(0));
  // Behind the transaction: in it, all that notify would wait for each other's disk. Where it is
  // lost, who waits looks all the same.
  if (answer == LeaseAnswer::kCounted)
    std::ignore = connection_->execute("tell of an end", fmt::format("NOTIFY {}", kEndChannel));
  return answer;
}

Result<LeaseAnswer> PostgresLeases::end(const Grant& lease, std::string_view what,
                                        const char* function) {
  LATHE_TRY(const PgRows rows,
            call(what, lease.node, fmt::format("SELECT {}($1,$2,$3,$4)", function),
                 {lease.node, lease.run, lease.unit, lease.epoch}));
  return static_cast<LeaseAnswer>(rows[0].integer(0));
}

Result<LeaseAnswer> PostgresLeases::fail(const Grant& lease) {
  return end(lease, "end a lease", "fail");
}

Result<LeaseAnswer> PostgresLeases::release(const Grant& lease) {
  return end(lease, "give a lease back", "release");
}

Status PostgresLeases::wait(Milliseconds patience) {
  LATHE_TRY_STATUS(connection_->wait(patience, kWorkChannel));
  return {};
}

Result<bool> PostgresLeases::wait_for_end(Milliseconds patience) {
  LATHE_TRY_STATUS(connection_->listen(kEndChannel));
  return connection_->wait(patience, kEndChannel);
}

}  // namespace

Result<std::unique_ptr<LeaseStore>> open_postgres_leases(const std::string& address) {
  LATHE_TRY(auto connection, PgConnection::open(address, postgres_greeting()));
  connection->be_patient(kLeasesPatience);
  LATHE_TRY_STATUS(connection->listen(kWorkChannel));
  return std::make_unique<PostgresLeases>(std::move(connection));
}

}  // namespace lathe::books
