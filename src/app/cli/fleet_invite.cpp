// lathe fleet invite: lets one other machine join, and ends.
#include "app/cli/fleet.h"
#include "app/cli/fleet_desk.h"
#include "books/postgres/node_roles.h"
#include "books/postgres/open_postgres.h"
#include "serve/net/endpoint.h"
#include "serve/pairing/invite.h"
#include "serve/pairing/messages.h"
#include "serve/pairing/settings.h"

namespace lathe::app {
namespace {

constexpr const char* kInviteAt = "127.0.0.1:8443";
constexpr std::size_t kPasswordBytes = 32;

struct FleetInviteFlags {
  std::string database, for_nodes, listen = kInviteAt, host, tier = "desk", clearance = "lan";
  int minutes = 10;
};

// Where others find what listens at `listen`.
Result<std::string> host_for_others(const serve::HostPort& listen, const std::string& given) {
  if (!given.empty()) {
    LATHE_TRY(const serve::HostPort address, serve::parse_host_port(given + ":1"));
    return address.interface.empty() ? address.host : address.host + "%" + address.interface;
  }
  if (!serve::is_any_host(listen.host))
    return listen.interface.empty() ? listen.host : listen.host + "%" + listen.interface;
  const std::vector<std::string> addresses = serve::lan_addresses();
  if (!addresses.empty()) return addresses[0];
  return invalid("this machine has no address in a network; say by --host how others reach it");
}

// One machine is let in: a role of its own, a row among the nodes.
class Doorkeeper {
 public:
  Doorkeeper(const App& app, const FleetInviteFlags& flags, std::string database, std::string host)
      : app_(app), flags_(flags), database_(std::move(database)), host_(std::move(host)) {}

  // What would be refused in any case, before anybody is asked in.
  Status look() const {
    LATHE_TRY_STATUS(books::open_postgres_leases(database_));
    LATHE_TRY_STATUS(welcome_of("any"));
    return {};
  }

  Result<serve::Welcome> let_in(const serve::JoinRequest& request) const {
    LATHE_TRY_STATUS(write_down(request));
    LATHE_TRY(serve::Welcome welcome, welcome_of(request.id));
    LATHE_TRY(welcome.password, serve::random_hex(kPasswordBytes));
    LATHE_TRY_STATUS(books::add_node_role(database_, request.id, welcome.password));
    LATHE_TRY(const auto store, books::open_postgres_leases(database_));
    LATHE_TRY_STATUS(
        put_fleet_node(*store, fleet_node(request.id, request.fingerprint, request.name,
                                          flags_.tier, parse_clearance(flags_.clearance))));
    return welcome;
  }

 private:
  // Without a password.
  Result<serve::Welcome> welcome_of(const std::string& node) const {
    const std::string& told = flags_.for_nodes.empty() ? database_ : flags_.for_nodes;
    LATHE_TRY(const books::NodeAddress address, books::address_for_node(told, host_, node));
    serve::Welcome welcome;
    welcome.tier = flags_.tier;
    welcome.database = address.database;
    if (address.root_certificate.empty()) return welcome;
    LATHE_TRY(welcome.root_certificate,
              read_file(address.root_certificate, serve::kMostRootCertificateBytes));
    return welcome;
  }

  Status write_down(const serve::JoinRequest& request) const {
    const Reach reach = serve::reach_of_host(request.from);
    if (reach == Reach::kLocal) return {};
    if (!app_.contacts)
      return fail(ErrorKind::kDenied, "{}: there is no record to write the contact into",
                  request.from);
    serve::Contact contact;
    contact.kind = serve::ContactKind::kIn;
    contact.host = request.from;
    contact.reach = reach;
    contact.allowed_by = "lathe fleet invite";
    contact.what = "a machine that joins the fleet";
    LATHE_TRY_STATUS(app_.contacts->begin(contact));
    return {};
  }

  const App& app_;
  const FleetInviteFlags& flags_;
  std::string database_, host_;
};

void say_invitation(const App& app, const std::string& text, const std::string& host,
                    const FleetInviteFlags& flags) {
  if (app.json)
    return print_json({{"event", "invitation"}, {"invitation", text}, {"minutes", flags.minutes}});
  print(fmt::format("On the other machine, within {} minutes:\n\n  lathe fleet join '{}'\n\n",
                    flags.minutes, text));
  if (serve::is_loopback_host(host))
    print(
        "Only this machine itself can reach that address; for another one: --listen "
        "0.0.0.0:8443\n");
  print("It is good once. Ctrl-C takes it back.\n");
}

Result<serve::JoinRequest> invite(const App& app, const FleetInviteFlags& flags) {
  LATHE_TRY(std::string database, fleet_database(app, flags.database));
  LATHE_TRY_STATUS(serve::check_fleet_name("--tier", flags.tier));
  LATHE_TRY(const serve::HostPort listen, serve::parse_host_port(flags.listen));
  LATHE_TRY(const std::string host, host_for_others(listen, flags.host));
  const Doorkeeper door(app, flags, std::move(database), host);
  LATHE_TRY_STATUS(door.look());
  LATHE_TRY(const serve::Identity identity, serve::own_identity(app.config_dir));
  serve::InviteTerms terms;
  terms.lifetime = Milliseconds(flags.minutes * 60'000);
  LATHE_TRY(const auto inviter, serve::Inviter::open(identity, listen, terms));
  say_invitation(app, serve::to_text(inviter->invitation(host)), host, flags);
  return inviter->serve(
      [&](const serve::JoinRequest& request) { return door.let_in(request); },
      [&](const std::string& from, const Error& why) {
        if (app.json)
          print_json({{"event", "refused"}, {"from", from}, {"why", why.message}});
        else
          print_note(fmt::format("refused: {}: {}", from, why.message));
      },
      *app.stop);
}

int invite_and_say(const App& app, const FleetInviteFlags& flags) {
  const auto joined = invite(app, flags);
  if (!joined) return report_error(app, joined.error());
  if (app.json)
    print_json({{"event", "joined"},
                {"node", joined->id},
                {"name", joined->name},
                {"tier", flags.tier},
                {"from", joined->from}});
  else
    print(fmt::format("{} ({}) has joined from {} as a {}\n", joined->name, joined->id,
                      joined->from, flags.tier));
  return kExitPassed;
}

}  // namespace

void add_fleet_invite(CLI::App& fleet, App& app, Action& action) {
  auto flags = std::make_shared<FleetInviteFlags>();
  CLI::App* command = fleet.add_subcommand("invite", "Let one other machine join the fleet");
  command
      ->add_option("--listen", flags->listen,
                   "ADDRESS:PORT where it waits; another machine needs an address of the "
                   "network, or 0.0.0.0:8443")
      ->capture_default_str();
  command->add_option("--host", flags->host,
                      "Name or address by which the other machine reaches this one (default: "
                      "that of --listen)");
  command->add_option("--tier", flags->tier, "What the other machine is: laptop, desk, station …")
      ->capture_default_str();
  command->add_option("--clearance", flags->clearance, "How far away it counts as")
      ->check(CLI::IsMember({"local", "lan", "cloud"}))
      ->capture_default_str();
  command->add_option("--minutes", flags->minutes, "That the invitation is good for")
      ->check(CLI::Range(1, 24 * 60))
      ->capture_default_str();
  command->add_option("--db", flags->database,
                      "The fleet's database (default: that of --journal, or of `lathe fleet "
                      "init`)");
  command->add_option("--db-for-nodes", flags->for_nodes,
                      "Its address as the other machine has it (default: that of --db, and this "
                      "machine's where that is a local one)");
  command->callback(
      [&app, &action, flags] { action = [&app, flags] { return invite_and_say(app, *flags); }; });
}

}  // namespace lathe::app
