// Blobs as a node has them, which may read and change no table: bytes that it names by their hash,
// over a connection of their own. Any thread.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "ground/base/result.h"
#include "ground/base/stop.h"
#include "ground/base/units.h"

namespace lathe::books {

class PgConnection;

// How long a piece of a blob may neither come nor go before its transfer is given up.
inline constexpr Milliseconds kBlobPatience{60'000};

class NodeBlobs {
 public:
  static Result<std::unique_ptr<NodeBlobs>> open(const std::string& address,
                                                 Milliseconds patience = kBlobPatience);

  // Both end early (kCancelled) when `stop` is raised. put: durable when it returns: their SHA-256.
  Result<std::string> put(std::string_view bytes, const StopFlag& stop);
  // Piece by piece, from their beginning; 0 once more: what was told before is void. Errors:
  // kNotFound; more than `max_bytes`, or bytes whose hash is another (kInvalid); what has not
  // moved for as long as the patience is (kUnavailable).
  Status get(const std::string& sha256, std::uint64_t max_bytes, const StopFlag& stop,
             const std::function<Status(std::uint64_t at, std::string_view piece)>& take) const;

 private:
  NodeBlobs(std::shared_ptr<PgConnection> connection, Milliseconds patience)
      : connection_(std::move(connection)), patience_(patience) {}

  mutable std::mutex mutex_;
  std::shared_ptr<PgConnection> connection_;
  Milliseconds patience_;
};

}  // namespace lathe::books
