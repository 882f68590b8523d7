// Blobs in PostgreSQL.
#include "books/postgres/postgres_blobs.h"

#include <thread>

#include "books/journal/lease.h"
#include "books/postgres/postgres_records.h"
#include "books/postgres/schema.h"

namespace lathe::books {
namespace {

constexpr std::size_t kMostBlobBytes = std::size_t{1} << 29;  // a row has at most twice that
constexpr Milliseconds kBlobPatience{1000};

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
  if (bytes.size() > kMostBlobBytes)
    return invalid("{}: a blob of {} is too big for a database: it takes up to {}",
                   connection_->place(), format_bytes(bytes.size()), format_bytes(kMostBlobBytes));
  const std::lock_guard guard(mutex_);
  LATHE_TRY_STATUS(connection_->run("store a blob",
                                    "INSERT INTO blob VALUES ($1,$2) ON CONFLICT DO NOTHING",
                                    {sha256, PgValue::bytes(bytes)}));
  return {};
}

Result<std::string> PostgresBlobs::get(std::string_view sha256) const {
  const std::lock_guard guard(mutex_);
  LATHE_TRY(
      const PgRows rows,
      connection_->run("read a blob", "SELECT bytes FROM blob WHERE sha256=$1", {sha256}, true));
  if (!rows.empty()) return rows[0].text(0);
  return fail(ErrorKind::kNotFound, "{}: has no blob {}", connection_->place(), sha256);
}

Result<std::uint64_t> PostgresBlobs::size(std::string_view sha256) const {
  const std::lock_guard guard(mutex_);
  LATHE_TRY(const PgRows rows,
            connection_->run("look a blob up",
                             "SELECT octet_length(bytes) FROM blob WHERE sha256=$1", {sha256}));
  if (!rows.empty()) return static_cast<std::uint64_t>(rows[0].integer(0));
  return fail(ErrorKind::kNotFound, "{}: has no blob {}", connection_->place(), sha256);
}

Status PostgresBlobs::remove(std::string_view sha256) {
  const std::lock_guard guard(mutex_);
  LATHE_TRY_STATUS(connection_->run("remove a blob", "DELETE FROM blob WHERE sha256=$1", {sha256}));
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
    if (waited >= kBlobPatience)
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
  LATHE_TRY(const PgRows rows,
            connection_->run(kWhat, "SELECT sha256, octet_length(bytes) FROM blob"));
  Sweep sweep;
  for (int i = 0; i < rows.size(); ++i) {
    const std::string sha256 = rows[i].text(0);
    if (kept.contains(sha256)) {
      ++sweep.kept;
      continue;
    }
    LATHE_TRY_STATUS(connection_->run(kWhat, "DELETE FROM blob WHERE sha256=$1", {sha256}));
    ++sweep.removed;
    sweep.freed_bytes += static_cast<std::uint64_t>(rows[i].integer(1));
  }
  // Written anew, so that no page holds what was removed.
  if (sweep.removed > 0) LATHE_TRY_STATUS(connection_->execute(kWhat, "VACUUM (FULL) lathe.blob"));
  return sweep;
}

}  // namespace lathe::books
