// `fleet.toml`: what a machine knows of the fleet that it belongs to. Its owner's alone, since it
// opens the database.
#pragma once

#include <optional>

#include "ground/base/file.h"

namespace lathe::serve {

struct FleetSettings {
  std::string node;  // this machine's id
  std::string name, tier;
  std::string database;               // postgresql://…, as it is kept: see libpq_address()
  std::string password = {};          // of the database's role; "": the address says all
  std::string root_certificate = {};  // a file: who may sign for the database; "": as it says
  // The machine that invited this one; "": it is the fleet's own.
  std::string inviter = {}, inviter_fingerprint = {};

  // With password and certificate.
  std::string libpq_address() const;
};

fs::path fleet_settings_path(const fs::path& config);
// nullopt: this machine belongs to no fleet.
Result<std::optional<FleetSettings>> read_fleet_settings(const fs::path& config);
Status write_fleet_settings(const fs::path& config, const FleetSettings& settings);

// What a node and a tier may be called: a-z, A-Z, 0-9, '.', '_', '-', up to 64.
Status check_fleet_name(std::string_view what, std::string_view name);
Status check_database_address(std::string_view address);

}  // namespace lathe::serve
