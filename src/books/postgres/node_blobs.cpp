// A node's blobs: two functions of the schema, and a hash that is looked at each time.
#include "books/postgres/node_blobs.h"

#include "books/postgres/connection.h"
#include "books/postgres/schema.h"
#include "ground/base/file.h"
#include "ground/base/hash.h"
#include "ground/base/units.h"

namespace lathe::books {

Result<std::unique_ptr<NodeBlobs>> NodeBlobs::open(const std::string& address) {
  LATHE_TRY(auto connection, PgConnection::open(address, postgres_greeting()));
  return std::unique_ptr<NodeBlobs>(new NodeBlobs(std::move(connection)));
}

Result<std::string> NodeBlobs::put(std::string_view bytes) {
  if (bytes.size() > kMaxFileBytes)
    return invalid("{}: a blob of {} is too big for the fleet: it takes up to {}",
                   connection_->place(), format_bytes(bytes.size()), format_bytes(kMaxFileBytes));
  const std::string sha256 = sha256_hex(bytes);
  const std::lock_guard guard(mutex_);
  LATHE_TRY(const PgRows rows, connection_->run("store a blob", "SELECT blob_put($1::bytea)",
                                                {PgValue::bytes(bytes)}));
  if (rows[0].text(0) != sha256)
    return invalid("{}: has stored {} where {} was sent: a machine or a link is broken",
                   connection_->place(), rows[0].text(0), sha256);
  return sha256;
}

Result<std::string> NodeBlobs::get(std::string_view sha256) const {
  std::string bytes;
  {
    const std::lock_guard guard(mutex_);
    LATHE_TRY(const PgRows rows,
              connection_->run("read a blob",
                               "SELECT bytes FROM blob_get($1) AS found (bytes) WHERE bytes IS NOT "
                               "NULL",
                               {sha256}, true));
    if (rows.empty())
      return fail(ErrorKind::kNotFound, "{}: has no blob {}", connection_->place(), sha256);
    bytes = rows[0].text(0);
  }
  if (const std::string found = sha256_hex(bytes); found != sha256)
    return invalid("{}: the blob {} holds what has the hash {}: a machine or its disk is broken",
                   connection_->place(), sha256, found);
  return bytes;
}

}  // namespace lathe::books
