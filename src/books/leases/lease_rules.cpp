// The state machine of leases over many units: where each is found.
#include "books/leases/lease_rules.h"

#include <algorithm>

namespace lathe::books {
namespace {

bool has_all(std::span<const std::string> caps, std::span<const std::string> needs) {
  return std::ranges::all_of(
      needs, [&](const std::string& need) { return std::ranges::find(caps, need) != caps.end(); });
}

}  // namespace

bool LeaseRules::Before::operator()(const Unit* a, const Unit* b) const {
  const UnitRow &x = a->row, &y = b->row;
  if (x.spec.prio != y.spec.prio) return x.spec.prio > y.spec.prio;
  if (const int order = x.run.compare(y.run); order != 0) return order < 0;
  return x.spec.id < y.spec.id;
}

bool LeaseRules::Sooner::operator()(const Unit* a, const Unit* b) const {
  if (a->until_ms != b->until_ms) return a->until_ms < b->until_ms;
  return Before()(a, b);
}

Status LeaseRules::put_node(const NodeRow& node) {
  LATHE_TRY_STATUS(check_node(node));
  const auto there = nodes_.find(node.id);
  const NodeState state = there == nodes_.end() ? node.state : there->second.state;
  nodes_[node.id] = node;
  nodes_[node.id].state = state;
  return {};
}

Status LeaseRules::set_node_state(const std::string& node, NodeState state) {
  const auto there = nodes_.find(node);
  if (there == nodes_.end()) return not_of_the_fleet(node);
  there->second.state = state;
  if (state != NodeState::kQuarantined && state != NodeState::kForgotten) return {};
  for (auto& [run, units] : runs_)
    for (auto& [id, unit] : units) {
      unplace(unit);
      end_leases(unit.row, node);
      place(unit);
    }
  return {};
}

std::vector<NodeRow> LeaseRules::nodes() const {
  std::vector<NodeRow> rows;
  for (const auto& [id, node] : nodes_) rows.push_back(node);
  return rows;
}

Status LeaseRules::add_units(const std::string& run, std::span<const UnitSpec> units) {
  LATHE_TRY_STATUS(check_units(run, units, [&](const std::string& id) -> std::optional<UnitState> {
    const UnitRow* there = unit(run, id);
    if (!there) return std::nullopt;
    return there->state;
  }));
  auto& of_run = runs_[run];
  for (const UnitSpec& spec : units) {
    Unit& unit = of_run[spec.id];
    unit.row.run = run;
    unit.row.spec = spec;
    std::vector<std::string> needs = spec.needs;
    std::ranges::sort(needs);
    Class& like = classes_[{spec.privacy, spec.home, std::move(needs)}];
    like.like = spec;
    unit.of = &like;
    unit.kind = &kinds_[spec.kind];
    for (const std::string& dep : spec.deps) {
      Unit& on = of_run.at(dep);
      if (on.row.state == UnitState::kPassed) continue;
      on.dependents.push_back(&unit);
      ++unit.row.waiting;
    }
    place(unit);
  }
  return {};
}

void LeaseRules::remove_run(const std::string& run) {
  const auto there = runs_.find(run);
  if (there == runs_.end()) return;
  for (auto& [id, unit] : there->second) unplace(unit);
  runs_.erase(there);
  for (auto& [name, kind] : kinds_) kind = {};
  for (const auto& [name, units] : runs_)
    for (const auto& [id, unit] : units)
      if (unit.row.state == UnitState::kPassed) note_passed(unit);
}

std::vector<UnitRow> LeaseRules::units(const std::string& run) const {
  std::vector<UnitRow> rows;
  if (const auto there = runs_.find(run); there != runs_.end())
    for (const auto& [id, unit] : there->second) rows.push_back(unit.row);
  return rows;
}

const UnitRow* LeaseRules::unit(const std::string& run, const std::string& id) const {
  const auto units = runs_.find(run);
  if (units == runs_.end()) return nullptr;
  const auto there = units->second.find(id);
  return there == units->second.end() ? nullptr : &there->second.row;
}

Result<std::optional<Grant>> LeaseRules::lease(const Wish& asked, std::int64_t now_ms) {
  LATHE_TRY(const NodeRow* const node, member(asked.node));
  if (node->state != NodeState::kActive) return std::nullopt;
  const Wish wish = believed(asked, *node);
  free_lapsed(now_ms);
  while (Unit* const unit = first_of(wish, node->clearance)) {
    unplace(*unit);
    if (unit->row.state == UnitState::kLeased) lapse(unit->row);
    const bool fine = unit->row.state == UnitState::kReady;
    std::optional<Grant> lease;
    if (fine) lease = give(unit->row, wish.node, now_ms);
    place(*unit);
    if (fine) return lease;
    lose_dependents(*unit);
  }
  Unit* const slow = slow_one(wish, node->clearance, now_ms);
  if (!slow) return std::nullopt;
  unplace(*slow);
  const Grant copy = give(slow->row, wish.node, now_ms);
  place(*slow);
  return copy;
}

Result<std::vector<Grant>> LeaseRules::heartbeat(const std::string& node,
                                                 std::span<const Grant> leases, const Json& load,
                                                 std::int64_t now_ms) {
  LATHE_TRY(NodeRow* const row, member(node));
  row->seen_ms = now_ms;
  row->load = load;
  std::vector<Grant> still;
  for (const Grant& lease : leases) {
    Unit* const unit = lease.node == node ? find(lease.run, lease.unit) : nullptr;
    if (!unit) continue;
    unplace(*unit);
    if (const auto longer = extend(unit->row, lease, now_ms)) still.push_back(*longer);
    place(*unit);
  }
  return still;
}

LeaseAnswer LeaseRules::complete(const Grant& lease, const UnitResult& result,
                                 std::int64_t now_ms) {
  Unit* const unit = find(lease.run, lease.unit);
  if (!unit) return LeaseAnswer::kStale;
  unplace(*unit);
  const LeaseAnswer answer = books::complete(unit->row, lease, result, now_ms);
  place(*unit);
  if (answer != LeaseAnswer::kCounted) return answer;
  if (!result.passed) {
    lose_dependents(*unit);
    return answer;
  }
  note_passed(*unit);
  for (Unit* const next : unit->dependents) {
    --next->row.waiting;
    place(*next);
  }
  return answer;
}

LeaseAnswer LeaseRules::fail(const Grant& lease) {
  Unit* const unit = find(lease.run, lease.unit);
  if (!unit) return LeaseAnswer::kStale;
  unplace(*unit);
  const LeaseAnswer answer = fail_attempt(unit->row, lease);
  place(*unit);
  if (answer == LeaseAnswer::kCounted && unit->row.state == UnitState::kGaveUp)
    lose_dependents(*unit);
  return answer;
}

LeaseAnswer LeaseRules::release(const Grant& lease) {
  Unit* const unit = find(lease.run, lease.unit);
  if (!unit) return LeaseAnswer::kStale;
  unplace(*unit);
  const LeaseAnswer answer = books::release(unit->row, lease);
  place(*unit);
  return answer;
}

Result<NodeRow*> LeaseRules::member(const std::string& node) {
  const auto there = nodes_.find(node);
  if (there == nodes_.end() || there->second.state == NodeState::kForgotten)
    return not_of_the_fleet(node);
  return &there->second;
}

LeaseRules::Unit* LeaseRules::find(const std::string& run, const std::string& id) {
  const auto units = runs_.find(run);
  if (units == runs_.end()) return nullptr;
  const auto there = units->second.find(id);
  return there == units->second.end() ? nullptr : &there->second;
}

LeaseRules::Unit* LeaseRules::first_of(const Wish& wish, Reach clearance) {
  Unit* first = nullptr;
  for (auto& [key, like] : classes_) {
    if (like.takeable.empty() || !may_go(like.like, wish.node, clearance) ||
        !has_all(wish.caps, like.like.needs))
      continue;
    const auto found = wish.run.empty()
                           ? like.takeable.begin()
                           : std::ranges::find(like.takeable, wish.run,
                                               [](const Unit* unit) { return unit->row.run; });
    if (found != like.takeable.end() && (!first || Before()(*found, first))) first = *found;
  }
  return first;
}

LeaseRules::Unit* LeaseRules::slow_one(const Wish& wish, Reach clearance,
                                       std::int64_t now_ms) const {
  Unit* first = nullptr;
  for (Unit* const unit : leased_) {
    const UnitRow& row = unit->row;
    const auto& median = unit->kind->median_ms;
    if (!median || row.held.size() != 1 ||
        now_ms - row.held.front().since_ms <= kSlowerThanMedian * *median)
      continue;
    if (row.held.front().node == wish.node || (!wish.run.empty() && row.run != wish.run) ||
        !may_go(row.spec, wish.node, clearance) || !has_all(wish.caps, row.spec.needs))
      continue;
    if (!first || Before()(unit, first)) first = unit;
  }
  return first;
}

void LeaseRules::free_lapsed(std::int64_t now_ms) {
  while (!leased_.empty() && (*leased_.begin())->until_ms < now_ms) {
    Unit* const unit = *leased_.begin();
    unplace(*unit);
    unit->takeable = true;
    unit->of->takeable.insert(unit);
  }
}

void LeaseRules::unplace(Unit& unit) {
  if (unit.takeable) unit.of->takeable.erase(&unit);
  if (unit.until_ms > 0) leased_.erase(&unit);
  unit.takeable = false;
  unit.until_ms = 0;
}

void LeaseRules::place(Unit& unit) {
  if (unit.row.state == UnitState::kLeased) {
    unit.until_ms = lapses_ms(unit.row);
    leased_.insert(&unit);
  } else if (unit.row.state == UnitState::kReady && unit.row.waiting == 0) {
    unit.takeable = true;
    unit.of->takeable.insert(&unit);
  }
}

void LeaseRules::lose_dependents(Unit& unit) {
  std::vector<Unit*> lost = unit.dependents;
  while (!lost.empty()) {
    UnitRow& row = lost.back()->row;
    const std::vector<Unit*>& next = lost.back()->dependents;
    lost.pop_back();
    if (row.state != UnitState::kReady) continue;
    row.state = UnitState::kGaveUp;
    row.result.passed = false;
    row.result.reason = lost_dependency(unit.row.spec.id);
    lost.insert(lost.end(), next.begin(), next.end());
  }
}

void LeaseRules::note_passed(const Unit& unit) {
  const UnitRow& row = unit.row;
  Kind& kind = *unit.kind;
  kind.last.emplace(row.done_ms, row.run, row.spec.id, row.took_ms);
  if (kind.last.size() > kMedianOf) kind.last.erase(kind.last.begin());
  std::vector<std::int64_t> took;
  for (const Passed& each : kind.last) took.push_back(std::get<3>(each));
  kind.median_ms = median_of(std::move(took));
}

}  // namespace lathe::books
