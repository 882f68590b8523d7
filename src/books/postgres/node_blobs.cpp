// A node's blobs: functions of the schema, over a connection that is not waited for in vain.
#include "books/postgres/node_blobs.h"

#include "books/postgres/blob_pieces.h"
#include "books/postgres/schema.h"
#include "ground/base/file.h"
#include "ground/base/hash.h"
#include "ground/base/units.h"

namespace lathe::books {

Result<std::unique_ptr<NodeBlobs>> NodeBlobs::open(const std::string& address,
                                                   Milliseconds patience) {
  LATHE_TRY(auto connection, PgConnection::open(address, postgres_greeting()));
  return std::unique_ptr<NodeBlobs>(new NodeBlobs(std::move(connection), patience));
}

Result<std::string> NodeBlobs::put(std::string_view bytes, const StopFlag& stop) {
  if (bytes.size() > kMaxFileBytes)
    return invalid("{}: a blob of {} is too big for the fleet: it takes up to {}",
                   connection_->place(), format_bytes(bytes.size()), format_bytes(kMaxFileBytes));
  std::string sha256 = sha256_hex(bytes);
  const std::lock_guard guard(mutex_);
  LATHE_TRY_STATUS(BlobLine(*connection_, patience_, stop).send(sha256, bytes));
  return sha256;
}

Status NodeBlobs::get(
    const std::string& sha256, std::uint64_t max_bytes, const StopFlag& stop,
    const std::function<Status(std::uint64_t at, std::string_view piece)>& take) const {
  const std::lock_guard guard(mutex_);
  return BlobLine(*connection_, patience_, stop).read(sha256, max_bytes, take);
}

}  // namespace lathe::books
