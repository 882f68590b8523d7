// A unit of work that is leased to nodes, a node, and the rules of what happens to one unit. Pure.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ground/base/json.h"
#include "ground/base/result.h"
#include "work/work.h"

namespace lathe::books {

inline constexpr std::int64_t kLeaseMs = 30'000;      // what a lease or a heartbeat gives
inline constexpr std::int64_t kBeatMs = 10'000;       // how often a node should say that it lives
inline constexpr std::int64_t kSlowerThanMedian = 2;  // a unit that old may be copied
inline constexpr std::size_t kMedianOf = 31;          // the units of a kind that passed last
inline constexpr std::size_t kMedianLeast = 3;        // with fewer there is no median
// Attempts without a result after which a unit is given up: on two nodes or more, on one alone.
inline constexpr int kPoisonAttempts = 3;
inline constexpr int kPoisonAttemptsAlone = 6;
inline constexpr std::string_view kNodeFailures = "node_failures";

enum class UnitState { kReady, kLeased, kPassed, kGaveUp };
std::string_view unit_state_name(UnitState state);  // "ready" "leased" "passed" "gave_up"
std::optional<UnitState> parse_unit_state(std::string_view name);

// A unit as it is asked for.
struct UnitSpec {
  std::string id;                       // within its run
  std::string kind = {};                // what medians are taken of: "make:code"
  Reach privacy = Reach::kLocal;        // how far what it holds may go
  std::string home = {};                // the node that it comes from, which has it already
  std::vector<std::string> needs = {};  // what a node must have
  std::vector<std::string> deps = {};   // units of its run that must have passed
  std::int64_t prio = 0;                // more goes first
  bool operator==(const UnitSpec&) const = default;
};

// A lease as its holder knows it.
struct Grant {
  std::string run, unit, node;
  std::int64_t epoch = 0;
  std::int64_t since_ms = 0, until_ms = 0;
  bool copy = false;  // the second of two at once
  bool operator==(const Grant&) const = default;
};

// What came of a unit.
struct UnitResult {
  bool passed = true;  // else it is given up, for `reason`
  std::string hash =
      {};  // of what was made, where another node must make the same; "": it need not
  std::string reason = {};
  Json body = {};  // what its run wants to know
  bool operator==(const UnitResult&) const = default;
};

struct UnitRow {
  std::string run;
  UnitSpec spec;
  UnitState state = UnitState::kReady;
  std::int64_t waiting = 0;                  // deps that have not passed
  std::int64_t epoch = 0;                    // of its newest lease
  std::vector<Grant> held = {};              // at most two
  std::map<std::string, int> attempts = {};  // that ended without a result, by node
  std::map<std::string, int> stale = {};     // ends of leases that came too late, by node
  UnitResult result = {};                    // once it has ended
  std::string done_by = {};                  // the node whose completion counted
  std::int64_t done_epoch = 0, done_ms = 0, took_ms = 0;
  bool alarm = false;  // two nodes made different things of it: hardware or a file is broken
  bool operator==(const UnitRow&) const = default;
};

enum class NodeState { kActive, kDraining, kQuarantined, kForgotten };
std::string_view node_state_name(NodeState state);  // "active" "draining" …
std::optional<NodeState> parse_node_state(std::string_view name);

struct NodeRow {
  std::string id;
  std::string tier = {};               // a label: "desk"
  Reach clearance = Reach::kLocal;     // how far away it lies: what may not go there, it never gets
  std::string cert = {};               // the fingerprint of its certificate
  std::vector<std::string> caps = {};  // what it has
  NodeState state = NodeState::kActive;
  Json load = {};            // as it said last
  std::int64_t seen_ms = 0;  // when that was
  bool operator==(const NodeRow&) const = default;
};

// A node that wants work.
struct Wish {
  std::string node;
  std::vector<std::string> caps = {};  // what it can do now
  std::string run = {};                // of this run alone; "": of any
};

// A node may say what it can do, but not who it is: names and tiers ("on:…") count only where the
// fleet has let it in with them.
inline constexpr std::string_view kNameCap = "on:";
Wish believed(Wish wish, const NodeRow& node);

enum class LeaseAnswer {
  kCounted,  // exactly one row was changed
  kAlready,  // it was counted before, and the answer was lost
  kStale,    // the lease is another's by now: the work is thrown away
  kAlarm,    // stale, and another node made something else of the same unit
};
std::string_view lease_answer_name(LeaseAnswer answer);  // "counted" "already" "stale" "alarm"

// What the rules are made of.
bool may_go(const UnitSpec& unit, std::string_view node, Reach clearance);
bool is_poison(const std::map<std::string, int>& attempts);
// Of what units of one kind took; nullopt: they are too few.
std::optional<std::int64_t> median_of(std::vector<std::int64_t> took_ms);
// The reason of a unit that waited for one that was given up.
std::string lost_dependency(std::string_view id);
// What is said to a node that is unknown or was forgotten.
std::unexpected<Error> not_of_the_fleet(std::string_view node);

// Whether it can be a node: its names are names.
Status check_node(const NodeRow& node);
// Whether units may be added: named and not twice, each behind those that it depends on. `there`:
// the state of the run's unit of this name.
Status check_units(std::string_view run, std::span<const UnitSpec> units,
                   const std::function<std::optional<UnitState>(const std::string& id)>& there);

// What happens to one unit. Those that wait for it, and where it is found, are its store's.
bool is_held(const UnitRow& unit, const Grant& lease);
std::int64_t lapses_ms(const UnitRow& unit);  // when the last of its leases runs out; 0: none
Grant give(UnitRow& unit, const std::string& node, std::int64_t now_ms);
// Its leases ran out and another node would take it: those were attempts. Then it is ready, or
// given up.
void lapse(UnitRow& unit);
// For another kLeaseMs; nullopt: the lease is not held.
std::optional<Grant> extend(UnitRow& unit, const Grant& lease, std::int64_t now_ms);
LeaseAnswer complete(UnitRow& unit, const Grant& lease, const UnitResult& result,
                     std::int64_t now_ms);
// An attempt that ended without a result.
LeaseAnswer fail_attempt(UnitRow& unit, const Grant& lease);
// Given back: no attempt.
LeaseAnswer release(UnitRow& unit, const Grant& lease);
void end_leases(UnitRow& unit, const std::string& node);  // likewise, of all that the node holds

}  // namespace lathe::books
