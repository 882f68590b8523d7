// lathe fleet init: what a fleet of several machines needs in its database, and this machine as its
// first node.
#include "app/cli/fleet.h"
#include "app/cli/fleet_desk.h"
#include "books/postgres/open_postgres.h"
#include "books/postgres/schema.h"
#include "serve/pairing/settings.h"

namespace lathe::app {
namespace {

struct FleetInitFlags {
  std::string address, name, tier = "desk";
};

struct InitDone {
  books::PostgresInit database;
  serve::Identity identity;
  std::string name;
};

Result<InitDone> set_up(const App& app, const FleetInitFlags& flags) {
  InitDone done;
  LATHE_TRY(const std::string address, fleet_database(app, flags.address));
  LATHE_TRY(const auto settings, serve::read_fleet_settings(app.config_dir));
  if (settings && !settings->inviter.empty())
    return invalid(
        "this machine is a node of the fleet of {}; to begin one of its own, remove {} first",
        settings->inviter, serve::fleet_settings_path(app.config_dir).string());
  done.name = flags.name.empty() ? machine_name() : flags.name;
  LATHE_TRY_STATUS(serve::check_fleet_name("--name", done.name));
  LATHE_TRY_STATUS(serve::check_fleet_name("--tier", flags.tier));
  LATHE_TRY(done.database, books::init_postgres(address));
  LATHE_TRY(done.identity, serve::own_identity(app.config_dir));
  LATHE_TRY(const auto store, books::open_postgres_leases(address));
  const std::string& id = done.identity.id;
  LATHE_TRY_STATUS(put_fleet_node(
      *store, fleet_node(id, done.identity.fingerprint, done.name, flags.tier, Reach::kLan)));
  serve::FleetSettings own;
  own.node = id;
  own.name = done.name;
  own.tier = flags.tier;
  own.database = address;
  LATHE_TRY_STATUS(serve::write_fleet_settings(app.config_dir, own));
  return done;
}

int init_fleet(const App& app, const FleetInitFlags& flags) {
  const auto done = set_up(app, flags);
  if (!done) return report_error(app, done.error());
  const auto& [database, identity, name] = *done;
  if (app.json) {
    print_json({{"database", database.place},
                {"server", database.server},
                {"format", books::kPostgresFormat},
                {"fresh", database.fresh},
                {"node", identity.id},
                {"name", name},
                {"fingerprint", identity.fingerprint}});
    return kExitPassed;
  }
  const bool older = !database.fresh && database.before < books::kPostgresFormat;
  print(fmt::format("{}: {} (PostgreSQL {}, format {})\n", database.place,
                    database.fresh ? "set up"
                    : older ? fmt::format("brought from format {} to this one", database.before)
                            : "was set up before, and is fine",
                    database.server, books::kPostgresFormat));
  print(fmt::format("This machine is its node {} ({})\n  fingerprint {}\n", name, identity.id,
                    identity.fingerprint));
  print(fmt::format(
      "Others join by `lathe fleet invite` here and `lathe fleet join` there. Whoever else drives "
      "runs belongs to {}:\n"
      "  GRANT {} TO anna;\n",
      books::kDeskRole, books::kDeskRole));
  print(fmt::format(
      "Back it up with PostgreSQL's own programs, as its superuser, every night for instance:\n"
      "  pg_dumpall --roles-only --file=roles.sql\n"
      "  pg_dump --format=custom --file=lathe.dump {}\n"
      "and bring it back, on this server or on a new one, while nobody is connected:\n"
      "  psql --file=roles.sql postgres\n"
      "  pg_restore --create --clean --if-exists --dbname=postgres lathe.dump\n"
      "Keep roles.sql to yourself: nodes log in by what stands in it. A dump is one moment;\n"
      "docs/fleet.md tells how to lose nothing at all.\n",
      database.place.substr(database.place.rfind('/') + 1)));
  return kExitPassed;
}

}  // namespace

void add_fleet_init(CLI::App& fleet, App& app, Action& action) {
  auto flags = std::make_shared<FleetInitFlags>();
  CLI::App* command =
      fleet.add_subcommand("init", "Set a PostgreSQL database up for several machines");
  command->add_option("--db", flags->address, "Its address: postgresql://USER@HOST/DATABASE")
      ->required();
  command->add_option("--name", flags->name, "Of this machine (default: its host name)");
  command->add_option("--tier", flags->tier, "Of this machine")->capture_default_str();
  command->callback(
      [&app, &action, flags] { action = [&app, flags] { return init_fleet(app, *flags); }; });
}

}  // namespace lathe::app
