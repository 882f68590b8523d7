// Where units, their leases and the nodes are kept. A store is this interface and keeps to
// LeaseRules: tests/books/leases_test.cpp holds each beside it. Any number of objects, in any
// number of processes and on any number of machines, may stand before one place; each object is for
// one thread, but that in memory. The time is the place's, never a node's. Every change is durable
// when it returns. Errors: kDenied, a node that is not of the fleet; kUnavailable, what may work
// later; kInvalid, a place that holds something else.
#pragma once

#include <memory>

#include "books/leases/lease_rules.h"
#include "ground/base/clock.h"

namespace lathe::books {

class LeaseStore {
 public:
  virtual ~LeaseStore() = default;
  // What messages call the place.
  virtual std::string place() const = 0;

  // As LeaseRules has them.
  virtual Status put_node(const NodeRow& node) = 0;
  virtual Status set_node_state(const std::string& node, NodeState state) = 0;
  virtual Result<std::vector<NodeRow>> nodes() const = 0;
  virtual Status add_units(const std::string& run, std::span<const UnitSpec> units) = 0;
  virtual Status remove_run(const std::string& run) = 0;
  virtual Result<std::vector<UnitRow>> units(const std::string& run) const = 0;
  virtual Result<std::optional<Grant>> lease(const Wish& wish) = 0;
  virtual Result<std::vector<Grant>> heartbeat(const std::string& node,
                                               std::span<const Grant> leases, const Json& load) = 0;
  virtual Result<LeaseAnswer> complete(const Grant& lease, const UnitResult& result) = 0;
  virtual Result<LeaseAnswer> fail(const Grant& lease) = 0;
  virtual Result<LeaseAnswer> release(const Grant& lease) = 0;

  // Returns when there may be work, at the latest after `patience`.
  virtual Status wait(Milliseconds patience) = 0;
  // For who waits for units to end: whether one may have, within `patience`.
  virtual Result<bool> wait_for_end(Milliseconds patience) = 0;
};

// How long one who found nothing waits before asking again, at most: a lost wake-up costs that.
inline constexpr Milliseconds kLeasePoll{5'000};

// In memory: for one process, any thread. `clock` must outlive it.
std::unique_ptr<LeaseStore> memory_leases(const Clock& clock = system_clock());

}  // namespace lathe::books
