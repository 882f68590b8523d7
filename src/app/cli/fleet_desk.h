// What the commands of a fleet share: its database, its nodes by the names that people give them.
#pragma once

#include "app/cli/app.h"
#include "books/leases/lease_store.h"
#include "serve/pairing/identity.h"

namespace lathe::app {

// --db, else --journal where that is a database, else what `lathe fleet init` has kept.
Result<std::string> fleet_database(const App& app, const std::string& given);

// What this machine calls itself.
std::string machine_name();

// A clearance in the words of plans: "local", "lan", "cloud".
std::string_view clearance_name(Reach clearance);
Reach parse_clearance(const std::string& name);

// A node that has its name and its tier among what it has ("on:NAME", "on:TIER").
books::NodeRow fleet_node(const std::string& id, const std::string& fingerprint,
                          const std::string& name, const std::string& tier, Reach clearance);
std::string node_name(const books::NodeRow& node);
// All that is known of it.
Json node_json(const books::NodeRow& node);
// By its id, its name, or the beginning of its id, where that is one's alone.
Result<books::NodeRow> find_node(const std::vector<books::NodeRow>& nodes, const std::string& text);
// Writes it down; what it said last stays. Errors: another node that is not forgotten has the name.
Status put_fleet_node(books::LeaseStore& store, books::NodeRow node);

}  // namespace lathe::app
