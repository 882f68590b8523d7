// The rules by which units of work are leased to nodes: one machine, the same behind every store.
// Pure: it knows no clock and no disk, what happens comes with its time.
//
//   kReady ──lease──▶ kLeased ──complete──▶ kPassed | kGaveUp
//     ▲                  │
//     └─fail, or a lease that ran out and that another node takes─┘ ──too often──▶ kGaveUp
//
// Each lease of a unit has a number, its epoch, and only who holds that epoch can complete it. A
// lease that ran out is its holder's until another node takes the unit. A unit that is slow may be
// leased a second time, to a node that has nothing else: then the first completion counts.
#pragma once

#include <set>
#include <tuple>

#include "books/leases/unit_rules.h"

namespace lathe::books {

class LeaseRules {
 public:
  // Adds the node, or replaces what is known of it but its state.
  Status put_node(const NodeRow& node);
  // A node that is quarantined or forgotten loses its leases, which are no attempts.
  Status set_node_state(const std::string& node, NodeState state);
  std::vector<NodeRow> nodes() const;  // by id

  // All of them or none. A dependency is there already or stands before.
  Status add_units(const std::string& run, std::span<const UnitSpec> units);
  void remove_run(const std::string& run);
  std::vector<UnitRow> units(const std::string& run) const;  // by id
  const UnitRow* unit(const std::string& run, const std::string& id) const;

  // The first in order of urgency, run and id that the node may have; else a copy of a slow one.
  // Errors: a node that is not of the fleet.
  Result<std::optional<Grant>> lease(const Wish& asked, std::int64_t now_ms);
  // Those of `leases` that the node still holds, for longer.
  Result<std::vector<Grant>> heartbeat(const std::string& node, std::span<const Grant> leases,
                                       const Json& load, std::int64_t now_ms);
  LeaseAnswer complete(const Grant& lease, const UnitResult& result, std::int64_t now_ms);
  // An attempt that ended without a result.
  LeaseAnswer fail(const Grant& lease);
  // Given back: no attempt.
  LeaseAnswer release(const Grant& lease);

 private:
  struct Unit;
  struct Before {
    bool operator()(const Unit* a, const Unit* b) const;
  };
  struct Sooner {
    bool operator()(const Unit* a, const Unit* b) const;
  };
  // Units that the same nodes may have.
  struct Class {
    UnitSpec like;
    std::set<Unit*, Before> takeable;  // ready, or seen to have run out
  };
  // When a unit of a kind passed, which, and what it took.
  using Passed = std::tuple<std::int64_t, std::string, std::string, std::int64_t>;
  struct Kind {
    std::set<Passed> last;
    std::optional<std::int64_t> median_ms;  // of those
  };
  struct Unit {
    UnitRow row;
    Class* of = nullptr;
    Kind* kind = nullptr;
    std::vector<Unit*> dependents = {};
    bool takeable = false;      // where it is found: there,
    std::int64_t until_ms = 0;  // or in leased_ under this time
  };
  using ClassKey = std::tuple<Reach, std::string, std::vector<std::string>>;
  Result<NodeRow*> member(const std::string& node);
  Unit* find(const std::string& run, const std::string& id);
  Unit* first_of(const Wish& wish, Reach clearance);
  Unit* slow_one(const Wish& wish, Reach clearance, std::int64_t now_ms) const;
  void free_lapsed(std::int64_t now_ms);
  void unplace(Unit& unit);  // before its row is changed
  void place(Unit& unit);    // after that
  void lose_dependents(Unit& unit);
  void note_passed(const Unit& unit);

  std::map<std::string, NodeRow> nodes_;
  std::map<std::string, std::map<std::string, Unit>> runs_;
  std::map<ClassKey, Class> classes_;
  std::set<Unit*, Sooner> leased_;
  std::map<std::string, Kind> kinds_;
};

}  // namespace lathe::books
