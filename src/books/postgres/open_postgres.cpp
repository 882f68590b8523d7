// Opens the journal in PostgreSQL.
#include "books/postgres/open_postgres.h"

#include "books/postgres/postgres_blobs.h"
#include "books/postgres/postgres_records.h"
#include "books/postgres/schema.h"
#include "ground/base/text.h"

namespace lathe::books {
namespace {

Result<Journal> journal_at(const std::string& address, bool shared) {
  LATHE_TRY(auto blobs, PostgresBlobs::open(address, shared));
  LATHE_TRY(auto connection, PgConnection::open(address, postgres_greeting()));
  return Journal(std::make_unique<PostgresRecords>(std::move(connection)), std::move(blobs));
}

}  // namespace

bool is_postgres_address(std::string_view text) {
  return text.starts_with("postgresql://") || text.starts_with("postgres://");
}

std::string postgres_place(const std::string& address) {
  std::string host, port, name, user;
  PQconninfoOption* const options = PQconninfoParse(address.c_str(), nullptr);
  for (const PQconninfoOption* option = options; option && option->keyword; ++option) {
    const std::string_view keyword = option->keyword;
    if (!option->val) continue;
    if (keyword == "host") host = option->val;
    if (keyword == "port") port = std::string(":") + option->val;
    if (keyword == "dbname") name = option->val;
    if (keyword == "user") user = std::string(option->val) + "@";
  }
  PQconninfoFree(options);
  return make_valid_utf8(fmt::format("postgresql://{}{}{}/{}", user, host, port, name));
}

std::vector<std::string> postgres_hosts(const std::string& address) {
  std::vector<std::string> hosts;
  PQconninfoOption* const options = PQconninfoParse(address.c_str(), nullptr);
  for (const PQconninfoOption* option = options; option && option->keyword; ++option) {
    const std::string_view keyword = option->keyword;
    if (!option->val || (keyword != "host" && keyword != "hostaddr")) continue;
    for (std::string& host : split(option->val, ','))
      if (!host.empty() && !host.starts_with('/')) hosts.push_back(std::move(host));
  }
  PQconninfoFree(options);
  return hosts;
}

Result<Journal> open_postgres_journal(const std::string& address) {
  return journal_at(address, true);
}

Result<Journal> open_postgres_ledger(const std::string& address) {
  return journal_at(address, false);
}

Result<PostgresNode> open_postgres_node(const std::string& address) {
  PostgresNode node;
  LATHE_TRY(node.leases, open_postgres_leases(address));
  LATHE_TRY(node.blobs, NodeBlobs::open(address));
  return node;
}

}  // namespace lathe::books
