// The journal and the leases in PostgreSQL: for several machines. The address is libpq's, TLS and
// all: "postgresql://lathe@desk/lathe?sslmode=verify-full&sslcert=…". `lathe fleet init` has made
// the schema. Errors: no database there, none of ours, another format.
#pragma once

#include "books/journal/journal.h"
#include "books/leases/lease_store.h"
#include "books/postgres/node_blobs.h"

namespace lathe::books {

// "postgresql://…" or "postgres://…".
bool is_postgres_address(std::string_view text);
// What can be shown of it: no password.
std::string postgres_place(const std::string& address);
// The hosts that it may lead to: names or addresses; none where it is a socket of this machine.
std::vector<std::string> postgres_hosts(const std::string& address);

Result<Journal> open_postgres_journal(const std::string& address);
// For its ledger alone: others may clean up among its blobs meanwhile.
Result<Journal> open_postgres_ledger(const std::string& address);
// The time is the database's.
Result<std::unique_ptr<LeaseStore>> open_postgres_leases(const std::string& address);

// What a node has of it, whose role may call functions and read no table: lease() to release() of
// the leases, which only speak for the node itself, wait(), and blobs. Errors: kDenied where the
// node may not log in (any more).
struct PostgresNode {
  std::unique_ptr<LeaseStore> leases;
  std::unique_ptr<NodeBlobs> blobs;
};
Result<PostgresNode> open_postgres_node(const std::string& address);

}  // namespace lathe::books
