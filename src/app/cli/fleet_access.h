// Where the fleet that this machine belongs to keeps its units and their bytes: the database of
// CONFIG/fleet.toml, else the journal's directory, which only processes of this machine share.
#pragma once

#include "app/cli/app.h"
#include "books/leases/lease_store.h"
#include "loop/orders/order.h"

namespace lathe::app {

struct FleetAccess {
  std::string place;            // as messages name it: no password
  std::string node;             // this machine's id there
  std::string name, tier;       // as recipes say `on`
  Reach reach = Reach::kLocal;  // how far away the store lies
  bool own = true;  // it may make units and judge nodes; an invited one only takes units
  std::function<Result<std::unique_ptr<books::LeaseStore>>()> leases;  // any thread
  std::function<Result<std::unique_ptr<loop::OrderBlobs>>()> blobs;
};

// What is wrong with a database is said when it is asked.
Result<FleetAccess> fleet_access(const App& app);

}  // namespace lathe::app
