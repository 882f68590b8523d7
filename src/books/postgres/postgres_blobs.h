// Blobs in PostgreSQL: rows of bytes that are not compressed. Any thread: they come one after
// the other over a connection of their own.
#pragma once

#include <mutex>

#include "books/journal/blob_store.h"
#include "books/postgres/connection.h"

namespace lathe::books {

class PostgresBlobs : public BlobStore {
 public:
  // `shared`: with a share of the lock that sweep() wants alone; else nothing is swept here.
  static Result<std::unique_ptr<PostgresBlobs>> open(const std::string& address, bool shared);

  Status put(std::string_view sha256, std::string_view bytes) override;
  Result<std::string> get(std::string_view sha256) const override;
  Result<std::uint64_t> size(std::string_view sha256) const override;
  Status remove(std::string_view sha256) override;
  Result<Sweep> sweep(const Named& named) override;

 private:
  PostgresBlobs(std::shared_ptr<PgConnection> connection, bool shared)
      : connection_(std::move(connection)), shared_(shared) {}
  Result<Sweep> sweep_alone(const Named& named);

  mutable std::mutex mutex_;
  std::shared_ptr<PgConnection> connection_;
  bool shared_;
};

}  // namespace lathe::books
