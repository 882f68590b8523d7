// Blobs in PostgreSQL.
#include "books/postgres/postgres_blobs.h"

#include <thread>

#include "books/journal/lease.h"
#include "books/postgres/blob_pieces.h"
#include "books/postgres/postgres_records.h"
#include "books/postgres/schema.h"
#include "ground/base/file.h"

namespace lathe::books {
namespace {

constexpr Milliseconds kSweepPatience{1000};

constexpr const char* kDelete =
    "WITH pieces AS (DELETE FROM piece WHERE sha256=$1) DELETE FROM blob WHERE sha256=$1";

std::string store_lock() {
  return std::to_string(lock_number("store"));
}

}  // namespace

Result<std::unique_ptr<PostgresBlobs>> PostgresBlobs::open(const std::string& address,
                                                           bool shared) {
  std::string greeting = postgres_greeting();
  if (shared) greeting += "; SELECT pg_advisory_lock_shared(" + store_lock() + ")";
  LATHE_TRY(auto connection, PgConnection::open(address, std::move(greeting)));
  return std::unique_ptr<PostgresBlobs>(new PostgresBlobs(std::move(connection), shared));
}

Status PostgresBlobs::put(std::string_view sha256, std::string_view bytes) {
  if (bytes.size() > kMaxFileBytes)
    return invalid("{}: a blob of {} is too big for a database: it takes up to {}",
                   connection_->place(), format_bytes(bytes.size()), format_bytes(kMaxFileBytes));
  const std::lock_guard guard(mutex_);
  return BlobLine(*connection_).send(std::string(sha256), bytes);
}

Result<std::string> PostgresBlobs::get(std::string_view sha256) const {
  const std::lock_guard guard(mutex_);
  std::string bytes;
  LATHE_TRY_STATUS(BlobLine(*connection_)
                       .read(std::string(sha256), kMaxFileBytes,
                             [&](std::uint64_t at, std::string_view piece) -> Status {
                               bytes.resize(at);
                               bytes += piece;
                               return {};
                             }));
  return bytes;
}

Result<std::uint64_t> PostgresBlobs::size(std::string_view sha256) const {
  const std::lock_guard guard(mutex_);
  LATHE_TRY(const PgRows rows,
            connection_->run("look a blob up",
                             "SELECT o_size FROM blob_there($1) WHERE o_there = o_size", {sha256}));
  if (!rows.empty()) return static_cast<std::uint64_t>(rows[0].integer(0));
  return fail(ErrorKind::kNotFound, "{}: has no blob {}", connection_->place(), sha256);
}

Status PostgresBlobs::remove(std::string_view sha256) {
  const std::lock_guard guard(mutex_);
  LATHE_TRY_STATUS(connection_->run("remove a blob", kDelete, {sha256}));
  return {};
}

Result<Sweep> PostgresBlobs::sweep(const Named& named) {
  constexpr std::string_view kWhat = "clean up";
  if (!shared_)
    return fail(ErrorKind::kUnavailable, "{}: is open for its ledger alone", connection_->place());
  for (Milliseconds waited{0};; waited += kLeasePause) {
    {
      const std::lock_guard guard(mutex_);
      LATHE_TRY(
          const PgRows rows,
          connection_->run(kWhat, "SELECT pg_try_advisory_lock($1::bigint)::int", {store_lock()}));
      if (rows[0].integer(0) != 0) break;
    }
    if (waited >= kSweepPatience)
      return fail(ErrorKind::kUnavailable,
                  "{}: another lathe is using this journal; clean up when it has ended",
                  connection_->place());
    std::this_thread::sleep_for(kLeasePause);
  }
  connection_->begin_hold();
  auto swept = sweep_alone(named);
  connection_->end_hold();
  const std::lock_guard guard(mutex_);
  if (connection_->lives())
    LATHE_TRY_STATUS(
        connection_->run(kWhat, "SELECT pg_advisory_unlock($1::bigint)", {store_lock()}));
  return swept;
}

Result<Sweep> PostgresBlobs::sweep_alone(const Named& named) {
  constexpr std::string_view kWhat = "clean up";
  LATHE_TRY(const std::set<std::string> kept, named());
  const std::lock_guard guard(mutex_);
  LATHE_TRY(
      const PgRows rows,
      connection_->run(kWhat,
                       "SELECT sha256, sum(octet_length(bytes))::bigint FROM (SELECT sha256, bytes "
                       "FROM blob UNION ALL SELECT sha256, bytes FROM piece) AS stored GROUP "
                       "BY sha256"));
  Sweep sweep;
  for (int i = 0; i < rows.size(); ++i) {
    const std::string sha256 = rows[i].text(0);
    if (kept.contains(sha256)) {
      ++sweep.kept;
      continue;
    }
    LATHE_TRY_STATUS(connection_->run(kWhat, kDelete, {sha256}));
    ++sweep.removed;
    sweep.freed_bytes += static_cast<std::uint64_t>(rows[i].integer(1));
  }
  // Written anew, so that no page holds what was removed.
  if (sweep.removed > 0)
    LATHE_TRY_STATUS(connection_->execute(kWhat, "VACUUM (FULL) lathe.blob, lathe.piece"));
  return sweep;
}

}  // namespace lathe::books
