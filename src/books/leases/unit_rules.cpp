// What happens to one unit.
#include "books/leases/unit_rules.h"

#include <algorithm>
#include <set>

#include "ground/base/text.h"

namespace lathe::books {
namespace {

constexpr std::size_t kLongestName = 200;

constexpr std::string_view kUnitStates[] = {"ready", "leased", "passed", "gave_up"};
constexpr std::string_view kNodeStates[] = {"active", "draining", "quarantined", "forgotten"};
constexpr std::string_view kLeaseAnswers[] = {"counted", "already", "stale", "alarm"};

template <class Enum, std::size_t n>
std::optional<Enum> parse_name(const std::string_view (&names)[n], std::string_view name) {
  const auto found = std::ranges::find(names, name);
  if (found == std::end(names)) return std::nullopt;
  return static_cast<Enum>(found - std::begin(names));
}

// What every store can hold and every message can show.
Status check_name(std::string_view what, std::string_view name, bool may_be_empty = false) {
  const bool fine = name.size() <= kLongestName && (may_be_empty || !name.empty()) &&
                    find_invalid_utf8(name) == std::string_view::npos &&
                    std::ranges::none_of(name, [](char c) {
                      return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
                    });
  if (fine) return {};
  return invalid("'{}' cannot be {}: a name has 1 to {} bytes of UTF-8 without control characters",
                 clip_utf8(make_valid_utf8(name), 80), what, kLongestName);
}

void give_up_poison(UnitRow& unit) {
  if (unit.state != UnitState::kReady || !is_poison(unit.attempts)) return;
  unit.state = UnitState::kGaveUp;
  unit.result = {};
  unit.result.passed = false;
  unit.result.reason = kNodeFailures;
}

// Only a lease that there was is counted.
LeaseAnswer too_late(UnitRow& unit, const Grant& lease) {
  if (lease.epoch >= 1 && lease.epoch <= unit.epoch) ++unit.stale[lease.node];
  return LeaseAnswer::kStale;
}

}  // namespace

std::string_view unit_state_name(UnitState state) {
  return kUnitStates[static_cast<std::size_t>(state)];
}

std::optional<UnitState> parse_unit_state(std::string_view name) {
  return parse_name<UnitState>(kUnitStates, name);
}

std::string_view node_state_name(NodeState state) {
  return kNodeStates[static_cast<std::size_t>(state)];
}

std::optional<NodeState> parse_node_state(std::string_view name) {
  return parse_name<NodeState>(kNodeStates, name);
}

std::string_view lease_answer_name(LeaseAnswer answer) {
  return kLeaseAnswers[static_cast<std::size_t>(answer)];
}

bool may_go(const UnitSpec& unit, std::string_view node, Reach clearance) {
  if (unit.home.empty()) return clearance <= unit.privacy;
  // Whatever a node says of itself: to what comes from another machine it is no part of that one.
  return (node == unit.home ? Reach::kLocal : std::max(clearance, Reach::kLan)) <= unit.privacy;
}

Wish believed(Wish wish, const NodeRow& node) {
  std::erase_if(wish.caps, [&](const std::string& cap) {
    return cap.starts_with(kNameCap) && std::ranges::find(node.caps, cap) == node.caps.end();
  });
  return wish;
}

bool is_poison(const std::map<std::string, int>& attempts) {
  int all = 0;
  for (const auto& [node, count] : attempts) all += count;
  return all >= (attempts.size() >= 2 ? kPoisonAttempts : kPoisonAttemptsAlone);
}

std::optional<std::int64_t> median_of(std::vector<std::int64_t> took_ms) {
  if (took_ms.size() < kMedianLeast) return std::nullopt;
  const auto middle = took_ms.begin() + std::ssize(took_ms) / 2;
  std::ranges::nth_element(took_ms, middle);
  return *middle;
}

std::string lost_dependency(std::string_view id) {
  return fmt::format("dependency: {}", id);
}

Status check_node(const NodeRow& node) {
  LATHE_TRY_STATUS(check_name("the id of a node", node.id));
  LATHE_TRY_STATUS(check_name("a tier", node.tier, true));
  for (const std::string& cap : node.caps) LATHE_TRY_STATUS(check_name("a capability", cap));
  return {};
}

Status check_units(std::string_view run, std::span<const UnitSpec> units,
                   const std::function<std::optional<UnitState>(const std::string& id)>& there) {
  LATHE_TRY_STATUS(check_name("the id of a run", run));
  std::set<std::string_view> added;
  for (const UnitSpec& unit : units) {
    LATHE_TRY_STATUS(check_name("the id of a unit", unit.id));
    LATHE_TRY_STATUS(check_name("a kind", unit.kind, true));
    LATHE_TRY_STATUS(check_name("a home", unit.home, true));
    for (const std::string& need : unit.needs) LATHE_TRY_STATUS(check_name("a need", need));
    if (there(unit.id) || added.contains(unit.id))
      return invalid("run {} has a unit {} already", run, unit.id);
    std::set<std::string_view> deps;
    for (const std::string& dep : unit.deps) {
      if (!deps.insert(dep).second)
        return invalid("unit {} of run {} names the dependency {} twice", unit.id, run, dep);
      if (added.contains(dep)) continue;
      const auto state = there(dep);
      if (!state)
        return invalid(
            "unit {} of run {} depends on {}, which is neither there nor listed before it", unit.id,
            run, dep);
      if (*state == UnitState::kGaveUp)
        return invalid("unit {} of run {} depends on {}, which was given up", unit.id, run, dep);
    }
    added.insert(unit.id);
  }
  return {};
}

std::unexpected<Error> not_of_the_fleet(std::string_view node) {
  return fail(ErrorKind::kDenied,
              "node {} is not of this fleet, or was forgotten; let it join again",
              clip_utf8(make_valid_utf8(node), 80));
}

bool is_held(const UnitRow& unit, const Grant& lease) {
  return std::ranges::any_of(unit.held, [&](const Grant& each) {
    return each.epoch == lease.epoch && each.node == lease.node;
  });
}

std::int64_t lapses_ms(const UnitRow& unit) {
  std::int64_t last = 0;
  for (const Grant& lease : unit.held) last = std::max(last, lease.until_ms);
  return last;
}

Grant give(UnitRow& unit, const std::string& node, std::int64_t now_ms) {
  Grant lease;
  lease.run = unit.run;
  lease.unit = unit.spec.id;
  lease.node = node;
  lease.epoch = ++unit.epoch;
  lease.since_ms = now_ms;
  lease.until_ms = now_ms + kLeaseMs;
  lease.copy = !unit.held.empty();
  unit.held.push_back(lease);
  unit.state = UnitState::kLeased;
  return lease;
}

std::optional<Grant> extend(UnitRow& unit, const Grant& lease, std::int64_t now_ms) {
  if (!is_held(unit, lease)) return std::nullopt;
  const auto held = std::ranges::find(unit.held, lease.epoch, &Grant::epoch);
  held->until_ms = now_ms + kLeaseMs;
  return *held;
}

LeaseAnswer complete(UnitRow& unit, const Grant& lease, const UnitResult& result,
                     std::int64_t now_ms) {
  if (is_held(unit, lease)) {
    unit.took_ms = now_ms - std::ranges::find(unit.held, lease.epoch, &Grant::epoch)->since_ms;
    unit.done_by = lease.node;
    unit.done_epoch = lease.epoch;
    unit.done_ms = now_ms;
    unit.result = result;
    unit.held.clear();
    unit.state = result.passed ? UnitState::kPassed : UnitState::kGaveUp;
    return LeaseAnswer::kCounted;
  }
  const bool same = unit.done_epoch > 0 && lease.epoch == unit.done_epoch &&
                    lease.node == unit.done_by && result.hash == unit.result.hash &&
                    result.passed == unit.result.passed;
  if (same) return LeaseAnswer::kAlready;
  const bool differs = unit.state == UnitState::kPassed && result.passed && !result.hash.empty() &&
                       !unit.result.hash.empty() && result.hash != unit.result.hash &&
                       lease.epoch >= 1 && lease.epoch <= unit.epoch;
  if (!differs) return too_late(unit, lease);
  unit.alarm = true;
  return LeaseAnswer::kAlarm;
}

LeaseAnswer release(UnitRow& unit, const Grant& lease) {
  if (!is_held(unit, lease)) return too_late(unit, lease);
  std::erase_if(unit.held, [&](const Grant& each) { return each.epoch == lease.epoch; });
  if (unit.held.empty())
    unit.state = UnitState::kReady;
  else
    unit.held.front().copy = false;
  return LeaseAnswer::kCounted;
}

LeaseAnswer fail_attempt(UnitRow& unit, const Grant& lease) {
  if (release(unit, lease) == LeaseAnswer::kStale) return LeaseAnswer::kStale;
  ++unit.attempts[lease.node];
  give_up_poison(unit);
  return LeaseAnswer::kCounted;
}

void lapse(UnitRow& unit) {
  for (const Grant& lease : unit.held) ++unit.attempts[lease.node];
  unit.held.clear();
  unit.state = UnitState::kReady;
  give_up_poison(unit);
}

void end_leases(UnitRow& unit, const std::string& node) {
  const std::vector<Grant> held = unit.held;
  for (const Grant& lease : held)
    if (lease.node == node) release(unit, lease);
}

}  // namespace lathe::books
