// A canary of a model: a few tokens whose bits must be the same wherever the model's file is, so
// that a broken file, memory or processor shows. Nodes say theirs with each heartbeat; whoever
// drives the fleet's runs compares.
#pragma once

#include <map>
#include <span>

#include "books/leases/lease_store.h"
#include "work/work.h"

namespace lathe::app {

// The member of a node's load that has them: {"canary": {MODEL: what canary_of() gave}}.
inline constexpr const char* kCanary = "canary";
// How often a node makes them again.
inline constexpr Milliseconds kCanaryEvery{3'600'000};

// 32 tokens drawn after a text and with a seed that never change: "NUMERICS:HASH", of them and of
// how probable they and their neighbours were, to the last bit. Errors: as the worker's.
Result<std::string> canary_of(Worker& worker, const StopFlag& stop);

struct OddNode {
  std::string node, model;
  bool operator==(const OddNode&) const = default;
};
// Nodes whose canary of a model is not the fleet's: that is what `trusted` has, else what most
// active nodes have; where two are had by equally many nobody knows which one is broken, and all
// are odd. Canaries of other numerics are not compared. Pure; what nodes say may be anything.
std::vector<OddNode> odd_ones(std::span<const books::NodeRow> nodes, const std::string& trusted);
// Puts the odd ones into quarantine: they get nothing more, and lose what they hold. `seen` keeps
// what nodes said earlier, since of two processes of one machine only one may make canaries.
Result<std::vector<OddNode>> quarantine_odd_ones(books::LeaseStore& store,
                                                 const std::string& trusted,
                                                 std::map<std::string, Json>& seen);

}  // namespace lathe::app
