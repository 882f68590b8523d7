// Roles of nodes: made, taken back, and the address that goes to them.
#include "books/postgres/node_roles.h"

#include <libpq-fe.h>

#include <algorithm>
#include <map>

#include "books/postgres/connection.h"
#include "books/postgres/open_postgres.h"
#include "books/postgres/schema.h"

namespace lathe::books {
namespace {

// The statement that `format` makes of a name: the server quotes it.
Status run_about(PgConnection& desk, std::string_view what, const std::string& format,
                 std::initializer_list<PgValue> values) {
  LATHE_TRY(const PgRows made,
            desk.run(what, fmt::format("SELECT pg_catalog.format({})", format), values));
  return desk.execute(what, made[0].text(0));
}

// A desk may make roles: what is said where it may not.
Status explained(Status done, const std::string& place) {
  if (done || done.error().code != "42501") return done;
  return fail(ErrorKind::kDenied,
              "{}: its user may not make roles, which nodes need; as the database's superuser: "
              "ALTER ROLE its user CREATEROLE ({})",
              place, done.error().message);
}

Status add_role(PgConnection& desk, const std::string& node, const std::string& password) {
  constexpr std::string_view kWhat = "make the role of a node";
  LATHE_TRY(const std::string verifier, desk.scram_verifier(node, password));
  LATHE_TRY(PgTransaction change, PgTransaction::begin(desk, kWhat));
  LATHE_TRY(
      const PgRows found,
      desk.run(kWhat,
               fmt::format("SELECT pg_has_role(oid, '{}', 'MEMBER') AND NOT rolsuper AND NOT "
                           "rolcreaterole AND NOT pg_has_role(oid, '{}', 'MEMBER') FROM pg_roles "
                           "WHERE rolname = $1",
                           kNodeRole, kDeskRole),
               {node}));
  if (!found.empty() && found[0].text(0) != "t")
    return invalid("{}: has a role '{}' that is no node's; rename or drop it", desk.place(), node);
  if (found.empty())
    LATHE_TRY_STATUS(run_about(
        desk, kWhat,
        fmt::format("'CREATE ROLE %I LOGIN IN ROLE {} PASSWORD %L', $1::text, $2::text", kNodeRole),
        {node, verifier}));
  else
    LATHE_TRY_STATUS(run_about(desk, kWhat, "'ALTER ROLE %I LOGIN PASSWORD %L', $1::text, $2::text",
                               {node, verifier}));
  return change.commit(kWhat);
}

Status drop_role(PgConnection& desk, const std::string& node) {
  constexpr std::string_view kWhat = "take the role of a node back";
  LATHE_TRY(const PgRows found,
            desk.run(kWhat,
                     fmt::format("SELECT pg_has_role(oid, '{}', 'MEMBER') AND NOT rolsuper FROM "
                                 "pg_roles WHERE rolname = $1",
                                 kNodeRole),
                     {node}));
  if (found.empty() || found[0].text(0) != "t") return {};
  LATHE_TRY_STATUS(
      run_about(desk, kWhat, "'ALTER ROLE %I NOLOGIN PASSWORD NULL', $1::text", {node}));
  // Only who belongs to a role may end its connections.
  LATHE_TRY_STATUS(run_about(desk, kWhat, "'GRANT %I TO %I', $1::text, current_user", {node}));
  LATHE_TRY_STATUS(desk.run(
      kWhat, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", {node}));
  return run_about(desk, kWhat, "'REVOKE %I FROM %I', $1::text, current_user", {node});
}

// The parts of an address that it says itself.
Result<std::map<std::string, std::string>> parts_of_address(const std::string& address) {
  char* problem = nullptr;
  PQconninfoOption* const options = PQconninfoParse(address.c_str(), &problem);
  const std::string why = problem ? problem : "";
  PQfreemem(problem);
  if (!options) return invalid("the address of the database cannot be read: {}", why);
  std::map<std::string, std::string> parts;
  for (const PQconninfoOption* option = options; option->keyword; ++option)
    if (option->val) parts[option->keyword] = option->val;
  PQconninfoFree(options);
  return parts;
}

std::string uri_text(std::string_view text, std::string_view also = "") {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       c == '.' || c == '-' || c == '_' || also.contains(c);
    if (plain)
      out += c;
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

// What holds on any machine. The rest (certificates of the user's own, files of passwords) is the
// desk's.
std::string options_for_node(std::map<std::string, std::string>& parts) {
  std::string& mode = parts["sslmode"];
  if (mode.empty()) mode = "require";
  std::string& binding = parts["channel_binding"];
  if (binding.empty() && (mode == "require" || mode.starts_with("verify-"))) binding = "require";
  if (parts["sslrootcert"] != "system") parts["sslrootcert"].clear();
  std::string options;
  for (const char* key : {"sslmode", "channel_binding", "sslrootcert", "ssl_min_protocol_version",
                          "target_session_attrs", "connect_timeout"})
    if (!parts[key].empty())
      options += fmt::format("{}{}={}", options.empty() ? '?' : '&', key, uri_text(parts[key]));
  return options;
}

}  // namespace

Status add_node_role(const std::string& address, const std::string& node,
                     const std::string& password) {
  LATHE_TRY(const auto desk, PgConnection::open(address, postgres_greeting()));
  return explained(add_role(*desk, node, password), desk->place());
}

Status drop_node_role(const std::string& address, const std::string& node) {
  LATHE_TRY(const auto desk, PgConnection::open(address, postgres_greeting()));
  return explained(drop_role(*desk, node), desk->place());
}

Result<NodeAddress> address_for_node(const std::string& address, const std::string& host,
                                     const std::string& node) {
  LATHE_TRY(auto parts, parts_of_address(address));
  NodeAddress made;
  std::string at = parts["host"];
  if (is_this_machine(at)) at = host;
  const std::string port = parts["port"].empty() ? "" : ":" + parts["port"];
  if (at.find(',') != std::string::npos || parts["dbname"].empty())
    return invalid(
        "the address of the database names {}; give the one for nodes with --db-for-nodes",
        parts["dbname"].empty() ? "no database" : "several hosts");
  if (parts["sslrootcert"] != "system") made.root_certificate = parts["sslrootcert"];
  const bool v6 = at.find(':') != std::string::npos;
  made.database = fmt::format("postgresql://{}@{}{}/{}{}", uri_text(node),
                              v6 ? "[" + uri_text(at, ":") + "]" : uri_text(at), port,
                              uri_text(parts["dbname"]), options_for_node(parts));
  return made;
}

}  // namespace lathe::books
