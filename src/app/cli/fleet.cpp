// lathe fleet: plans carried out, and the machines that do it.
#include "app/cli/fleet.h"

namespace lathe::app {

void add_fleet(CLI::App& cli, App& app, Action& action) {
  CLI::App* fleet = cli.add_subcommand("fleet", "Carry plans out, on this machine or several");
  fleet->require_subcommand(1);
  add_fleet_run(*fleet, app, action);
  add_fleet_init(*fleet, app, action);
  add_fleet_invite(*fleet, app, action);
  add_fleet_join(*fleet, app, action);
  add_fleet_nodes(*fleet, app, action);
  add_fleet_simulate(*fleet, app, action);
}

}  // namespace lathe::app
