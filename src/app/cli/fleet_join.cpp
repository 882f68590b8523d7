// lathe fleet join: this machine becomes a node of a fleet.
#include "app/cli/fleet.h"
#include "app/cli/fleet_desk.h"
#include "books/postgres/open_postgres.h"
#include "books/postgres/schema.h"
#include "serve/net/endpoint.h"
#include "serve/pairing/join.h"
#include "serve/pairing/private_file.h"
#include "serve/pairing/settings.h"

namespace lathe::app {
namespace {

struct FleetJoinFlags {
  std::string invitation, name;
};

Status write_contact_down(const App& app, const serve::HostPort& address) {
  const Reach reach = serve::reach_of_host(address.host);
  if (reach == Reach::kLocal) return {};
  if (!app.contacts)
    return fail(ErrorKind::kDenied, "{}: there is no record to write the contact into",
                serve::to_text(address));
  serve::Contact contact;
  contact.port = address.port;
  contact.host = address.host;
  contact.reach = reach;
  contact.allowed_by = "lathe fleet join";
  contact.what = "the name of this machine and its certificate";
  if (!serve::is_literal_host(address.host)) {
    contact.kind = serve::ContactKind::kLookup;
    LATHE_TRY_STATUS(app.contacts->begin(contact));
  }
  contact.kind = serve::ContactKind::kOut;
  LATHE_TRY_STATUS(app.contacts->begin(contact));
  return {};
}

// A machine is a node of one fleet.
Status check_fleet_of(const App& app, const serve::Invitation& invitation) {
  LATHE_TRY(const auto settings, serve::read_fleet_settings(app.config_dir));
  if (!settings || settings->inviter_fingerprint == invitation.fingerprint) return {};
  return invalid("this machine is {} already; to leave that fleet, remove {} first",
                 settings->inviter.empty() ? "the home of a fleet"
                                           : "a node of the fleet of " + settings->inviter,
                 serve::fleet_settings_path(app.config_dir).string());
}

Result<serve::FleetSettings> join_and_keep(const App& app, const FleetJoinFlags& flags) {
  LATHE_TRY(const serve::Invitation invitation, serve::parse_invitation(flags.invitation));
  LATHE_TRY_STATUS(check_fleet_of(app, invitation));
  LATHE_TRY(const serve::Identity identity, serve::own_identity(app.config_dir));
  serve::FleetSettings settings;
  settings.node = identity.id;
  settings.name = flags.name.empty() ? machine_name() : flags.name;
  LATHE_TRY_STATUS(write_contact_down(app, invitation.address));
  LATHE_TRY(const serve::Welcome welcome,
            serve::join_fleet(invitation, identity, settings.name, *app.stop));
  settings.tier = welcome.tier;
  settings.database = welcome.database;
  settings.password = welcome.password;
  settings.inviter = serve::to_text(invitation.address);
  settings.inviter_fingerprint = invitation.fingerprint;
  if (!welcome.root_certificate.empty()) {
    const fs::path kept = app.config_dir / "fleet-root.crt";
    LATHE_TRY_STATUS(
        serve::write_private_file(kept, welcome.root_certificate, serve::Existing::kReplace));
    settings.root_certificate = kept.string();
  }
  LATHE_TRY_STATUS(serve::write_fleet_settings(app.config_dir, settings));
  return settings;
}

// Once, as the node will: whether the database lets it in.
Status try_database(const serve::FleetSettings& settings) {
  LATHE_TRY(const books::PostgresNode node, books::open_postgres_node(settings.libpq_address()));
  LATHE_TRY_STATUS(node.leases->heartbeat(settings.node, {}, Json::object()));
  return {};
}

std::string remedy_of(const serve::FleetSettings& settings) {
  const std::string name = settings.database.substr(settings.database.rfind('/') + 1);
  return fmt::format(
      "this machine has joined and keeps what it was given, but its database does not answer it "
      "yet. On the database's machine let nodes in: a line in pg_hba.conf,\n"
      "  {} {} +{} samenet scram-sha-256\n"
      "and in postgresql.conf listen_addresses = '*' and ssl = on; then restart PostgreSQL",
      settings.database.contains("sslmode=disable") ? "host" : "hostssl",
      name.substr(0, name.find('?')), books::kNodeRole);
}

int join_and_say(const App& app, const FleetJoinFlags& flags) {
  const auto settings = join_and_keep(app, flags);
  if (!settings) return report_error(app, settings.error());
  const Status tried = try_database(*settings);
  if (app.json)
    print_json({{"node", settings->node},
                {"name", settings->name},
                {"tier", settings->tier},
                {"database", books::postgres_place(settings->database)},
                {"inviter", settings->inviter},
                {"inviter_fingerprint", settings->inviter_fingerprint},
                {"reached", tried.has_value()}});
  else
    print(fmt::format("this machine is the node {} ({}), a {}\n", settings->name, settings->node,
                      settings->tier));
  if (tried) return kExitPassed;
  report_error(app, tried.error());
  print_note(remedy_of(*settings));
  return kExitNotJudged;
}

}  // namespace

void add_fleet_join(CLI::App& fleet, App& app, Action& action) {
  auto flags = std::make_shared<FleetJoinFlags>();
  CLI::App* command =
      fleet.add_subcommand("join", "Make this machine a node of another one's fleet");
  command->add_option("invitation", flags->invitation, "What `lathe fleet invite` printed there")
      ->required();
  command->add_option("--name", flags->name, "Of this machine (default: its host name)");
  command->callback(
      [&app, &action, flags] { action = [&app, flags] { return join_and_say(app, *flags); }; });
}

}  // namespace lathe::app
