// The subcommands of `lathe fleet`, a file each.
#pragma once

#include "app/cli/app.h"

namespace lathe::app {

void add_fleet_run(CLI::App& fleet, App& app, Action& action);  // run, resume, show
void add_fleet_init(CLI::App& fleet, App& app, Action& action);
void add_fleet_invite(CLI::App& fleet, App& app, Action& action);
void add_fleet_join(CLI::App& fleet, App& app, Action& action);
void add_fleet_nodes(CLI::App& fleet, App& app, Action& action);  // nodes, drain, admit, forget
void add_fleet_simulate(CLI::App& fleet, App& app, Action& action);

}  // namespace lathe::app
