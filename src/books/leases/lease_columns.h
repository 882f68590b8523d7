// A unit and a node as rows of a database, the same in SQLite and PostgreSQL: lists and what is
// counted by node are JSON texts, and a lease that is not there has the epoch 0.
#pragma once

#include "books/leases/unit_rules.h"

namespace lathe::books {

// In the order of unit_from_row() and node_from_row().
inline constexpr std::string_view kUnitColumns =
    "run, id, kind, privacy, home, needs, deps, prio, state, waiting, epoch, holder, held_epoch, "
    "since_ms, until_ms, copy_holder, copy_epoch, copy_since_ms, copy_until_ms, attempts, passed, "
    "hash, reason, body, done_by, done_epoch, done_ms, took_ms, alarm, stale";
inline constexpr std::string_view kNodeColumns =
    "id, tier, clearance, cert, caps, state, load, seen_ms";

Json to_json(std::span<const std::string> names);
Json to_json(const std::map<std::string, int>& counts);
// Errors: what is no such list, no such state. What nodes write is another's word: where it cannot
// be read it says nothing, and all else can be read as before.
Result<std::vector<std::string>> names_from_text(std::string_view text);
Result<std::map<std::string, int>> counts_from_text(std::string_view text);

// `row` has text(i) and integer(i).
template <class Row>
Result<UnitRow> unit_from_row(const Row& row) {
  UnitRow unit;
  unit.run = row.text(0);
  unit.spec.id = row.text(1);
  unit.spec.kind = row.text(2);
  unit.spec.privacy = static_cast<Reach>(row.integer(3));
  unit.spec.home = row.text(4);
  LATHE_TRY(unit.spec.needs, names_from_text(row.text(5)));
  LATHE_TRY(unit.spec.deps, names_from_text(row.text(6)));
  unit.spec.prio = row.integer(7);
  unit.state = static_cast<UnitState>(row.integer(8));
  unit.waiting = row.integer(9);
  unit.epoch = row.integer(10);
  for (const int first : {11, 15}) {
    if (row.integer(first + 1) == 0) continue;
    Grant& lease = unit.held.emplace_back();
    lease.run = unit.run;
    lease.unit = unit.spec.id;
    lease.node = row.text(first);
    lease.epoch = row.integer(first + 1);
    lease.since_ms = row.integer(first + 2);
    lease.until_ms = row.integer(first + 3);
    lease.copy = unit.held.size() > 1;
  }
  LATHE_TRY(unit.attempts, counts_from_text(row.text(19)));
  unit.result.passed = row.integer(20) != 0;
  unit.result.hash = row.text(21);
  unit.result.reason = row.text(22);
  unit.result.body = parse_json(row.text(23)).value_or(Json());
  unit.done_by = row.text(24);
  unit.done_epoch = row.integer(25);
  unit.done_ms = row.integer(26);
  unit.took_ms = row.integer(27);
  unit.alarm = row.integer(28) != 0;
  LATHE_TRY(unit.stale, counts_from_text(row.text(29)));
  return unit;
}

template <class Row>
Result<NodeRow> node_from_row(const Row& row) {
  NodeRow node;
  node.id = row.text(0);
  node.tier = row.text(1);
  node.clearance = static_cast<Reach>(row.integer(2));
  node.cert = row.text(3);
  LATHE_TRY(node.caps, names_from_text(row.text(4)));
  node.state = static_cast<NodeState>(row.integer(5));
  node.load = parse_json(row.text(6)).value_or(Json());
  node.seen_ms = row.integer(7);
  return node;
}

}  // namespace lathe::books
