// Large blobs as they go over a connection: in pieces, so that neither side holds one twice, and a
// connection that was lost costs one piece. Who reads one holds it against its hash: its pieces
// stand under the name of who sent them, and anybody may have sent any.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "books/postgres/connection.h"

namespace lathe::books {

// A blob that is no larger is a row, whose hash the database has made itself.
inline constexpr std::size_t kBlobPiece = std::size_t{1} << 20;

// The bytes from `at` on; 0 once more: all that was told before is void.
using TakePiece = std::function<Status(std::uint64_t at, std::string_view bytes)>;

class BlobLine {
 public:
  // What cannot be reached is not asked twice.
  explicit BlobLine(PgConnection& connection) : connection_(connection) {}
  // A piece that cannot be had or sent is tried again for as long as `patience` is, and given up
  // where it does not move for so long. All ends (kCancelled) when `stop` is raised.
  BlobLine(PgConnection& connection, Milliseconds patience, const StopFlag& stop)
      : connection_(connection), patience_(patience), stop_(&stop) {
    connection.be_patient(patience, &stop);
  }
  ~BlobLine() {
    if (stop_) connection_.be_patient(patience_);
  }
  BlobLine(const BlobLine&) = delete;
  BlobLine& operator=(const BlobLine&) = delete;

  // Durable when it returns. What is there of it is not sent again.
  Status send(const std::string& sha256, std::string_view bytes);
  // Errors: kNotFound; kInvalid: larger than `max_bytes`, or nobody has bytes of this hash.
  Status read(const std::string& sha256, std::uint64_t max_bytes, const TakePiece& take);

 private:
  struct Told {
    std::string by;
    std::uint64_t size = 0, there = 0;
  };
  template <class Value>
  Result<Value> patiently(const std::function<Result<Value>()>& ask) const;
  Result<std::vector<Told>> there(const std::string& sha256) const;
  Result<PgRows> piece(const std::string& sha256, const std::string& by, std::uint64_t at) const;
  Status read_of(const Told& told, const std::string& sha256, const TakePiece& take) const;

  PgConnection& connection_;
  Milliseconds patience_{0};
  const StopFlag* stop_ = nullptr;
};

}  // namespace lathe::books
