// Blobs as a node has them, which may read and change no table: bytes that it names by their hash,
// over a connection of their own. Any thread.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "ground/base/result.h"

namespace lathe::books {

class PgConnection;

class NodeBlobs {
 public:
  static Result<std::unique_ptr<NodeBlobs>> open(const std::string& address);

  // Durable when it returns: their SHA-256.
  Result<std::string> put(std::string_view bytes);
  // Errors: kNotFound; bytes whose hash is another (kInvalid).
  Result<std::string> get(std::string_view sha256) const;

 private:
  explicit NodeBlobs(std::shared_ptr<PgConnection> connection)
      : connection_(std::move(connection)) {}

  mutable std::mutex mutex_;
  std::shared_ptr<PgConnection> connection_;
};

}  // namespace lathe::books
