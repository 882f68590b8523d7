// The run's side: calls become orders, orders are leased to nodes, and what these answer is read as
// what a stranger says.
#pragma once

#include "books/leases/lease_store.h"
#include "loop/conductor/elsewhere.h"
#include "loop/orders/order.h"

namespace lathe::loop {

struct LeasedCallsSetup {
  std::function<Result<std::unique_ptr<books::LeaseStore>>()> open;  // any thread
  OrderBlobs& blobs;
  std::string home;             // this machine as a node
  bool all = false;             // every call that may leave; else only those with an `on`
  Reach reach = Reach::kLocal;  // as far as the command line lets anything go
  Milliseconds patience = books::kLeasePoll;  // between two looks, at most
};

// A unit that has an answer stays until its run has ended: a run that goes on after its process was
// killed finds it. Whoever stops a run takes its units back once the last call has seen that.
std::unique_ptr<Elsewhere> leased_calls(LeasedCallsSetup setup);

// A recipe's `on` as something that a node has: every node has "on:" with its name and its tier.
std::string need_of(std::string_view on);
// What a node must have for the call. `worker`: that is asked; "": nobody is.
std::vector<std::string> needs_of(const Recipe& recipe, const CallId& call,
                                  const std::string& worker);
// What a node has: as it was let in with, and as its last heartbeat says.
std::vector<std::string> caps_of(const books::NodeRow& node);
// The workers that the nodes who are there have, by name.
std::set<std::string> workers_of(std::span<const books::NodeRow> nodes, std::int64_t now_ms);
// What a unit without an answer waits for, in words.
std::string waiting_text(const books::UnitRow& unit, std::span<const books::NodeRow> nodes,
                         std::int64_t now_ms);

}  // namespace lathe::loop
