// lathe fleet init: what a fleet of several machines needs in its database.
#include "app/cli/fleet.h"
#include "books/postgres/open_postgres.h"
#include "books/postgres/schema.h"

namespace lathe::app {
namespace {

int init_fleet(const App& app, const std::string& address) {
  if (!books::is_postgres_address(address))
    return report_error(app, Error{ErrorKind::kInvalid,
                                   fmt::format("--db '{}' is no address of a database; it begins "
                                               "with postgresql://",
                                               address),
                                   ""});
  const auto done = books::init_postgres(address);
  if (!done) return report_error(app, done.error());
  if (app.json) {
    print_json({{"database", done->place},
                {"server", done->server},
                {"format", books::kPostgresFormat},
                {"fresh", done->fresh}});
    return kExitPassed;
  }
  print(fmt::format("{}: {} (PostgreSQL {}, format {})\n", done->place,
                    done->fresh ? "set up" : "was set up before, and is fine", done->server,
                    books::kPostgresFormat));
  print(fmt::format(
      "Whoever drives runs belongs to {}; a node is a user of its own name that belongs to {}:\n"
      "  GRANT {} TO anna;\n"
      "  CREATE ROLE \"laptop\" LOGIN IN ROLE {};\n",
      books::kDeskRole, books::kNodeRole, books::kDeskRole, books::kNodeRole));
  print(
      "Back it up with PostgreSQL's own programs, every night for instance:\n"
      "  pg_dump --format=custom --file=lathe.dump DATABASE\n"
      "  pg_restore --clean --if-exists --dbname=DATABASE lathe.dump\n"
      "A dump is one moment of it; docs/fleet.md tells how to lose nothing at all.\n");
  return kExitPassed;
}

}  // namespace

void add_fleet_init(CLI::App& fleet, App& app, Action& action) {
  auto address = std::make_shared<std::string>();
  CLI::App* command =
      fleet.add_subcommand("init", "Set a PostgreSQL database up for several machines");
  command->add_option("--db", *address, "Its address: postgresql://USER@HOST/DATABASE")->required();
  command->callback(
      [&app, &action, address] { action = [&app, address] { return init_fleet(app, *address); }; });
}

}  // namespace lathe::app
