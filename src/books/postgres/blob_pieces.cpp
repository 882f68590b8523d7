// Blobs of any size over one connection, piece by piece.
#include "books/postgres/blob_pieces.h"

#include <thread>

#include "ground/base/hash.h"
#include "ground/base/units.h"

namespace lathe::books {
namespace {

constexpr std::string_view kRead = "read a blob", kSend = "store a blob";
constexpr Milliseconds kAgain{200};

}  // namespace

// Of one piece: whatever comes of the next one, it has its whole patience.
template <class Value>
Result<Value> BlobLine::patiently(const std::function<Result<Value>()>& ask) const {
  const Milliseconds end = system_clock().monotonic() + patience_;
  for (;;) {
    auto answer = ask();
    if (answer || answer.error().kind != ErrorKind::kUnavailable) return answer;
    if (system_clock().monotonic() >= end || (stop_ && stop_->raised())) return answer;
    std::this_thread::sleep_for(std::min(kAgain, patience_));
  }
}

Result<std::vector<BlobLine::Told>> BlobLine::there(const std::string& sha256) const {
  LATHE_TRY(const PgRows rows, patiently<PgRows>([&] {
              return connection_.run(kRead, "SELECT * FROM blob_there($1)", {sha256});
            }));
  std::vector<Told> told;
  for (int i = 0; i < rows.size(); ++i)
    told.push_back({rows[i].text(0), static_cast<std::uint64_t>(rows[i].integer(1)),
                    static_cast<std::uint64_t>(rows[i].integer(2))});
  return told;
}

Result<PgRows> BlobLine::piece(const std::string& sha256, const std::string& by,
                               std::uint64_t at) const {
  return patiently<PgRows>([&] {
    return connection_.run(kRead,
                           "SELECT bytes FROM blob_read($1,$2,$3) AS found (bytes) WHERE bytes IS "
                           "NOT NULL",
                           {sha256, by, static_cast<std::int64_t>(at)}, true);
  });
}

Status BlobLine::send(const std::string& sha256, std::string_view bytes) {
  if (bytes.size() <= kBlobPiece) {
    LATHE_TRY(const PgRows rows, patiently<PgRows>([&] {
                return connection_.run(kSend, "SELECT blob_put($1::bytea)",
                                       {PgValue::bytes(bytes)});
              }));
    if (rows[0].text(0) == sha256) return {};
    return invalid("{}: has stored {} where {} was sent: a machine or a link is broken",
                   connection_.place(), rows[0].text(0), sha256);
  }
  // Nobody's word but the database's and one's own: the first of these that has all of it.
  LATHE_TRY(const std::vector<Told> told, there(sha256));
  std::uint64_t at = 0;
  if (!told.empty() && told.front().by.empty()) return {};
  LATHE_TRY(const PgRows own, connection_.run(kSend, "SELECT session_user"));
  for (const Told& each : told)
    if (each.by == own[0].text(0) && each.size == bytes.size()) at = each.there;
  while (at < bytes.size()) {
    LATHE_TRY(const PgRows rows, patiently<PgRows>([&] {
                return connection_.run(
                    kSend, "SELECT blob_add($1,$2,$3,$4)",
                    {sha256, static_cast<std::int64_t>(bytes.size()), static_cast<std::int64_t>(at),
                     PgValue::bytes(bytes.substr(at, kBlobPiece))});
              }));
    const auto now = static_cast<std::uint64_t>(rows[0].integer(0));
    if (now <= at) return invalid("{}: takes no more of the blob {}", connection_.place(), sha256);
    at = now;
  }
  return {};
}

Status BlobLine::read_of(const Told& told, const std::string& sha256, const TakePiece& take) const {
  Sha256 hash;
  std::uint64_t at = 0;
  do {
    LATHE_TRY(const PgRows rows, piece(sha256, told.by, at));
    const std::string_view bytes = rows.empty() ? std::string_view() : rows[0].bytes(0);
    if (at + bytes.size() > told.size || (bytes.empty() && told.size > 0))
      return invalid("{}: the blob {} breaks off at {} of {} bytes", connection_.place(), sha256,
                     at, told.size);
    hash.add(bytes);
    LATHE_TRY_STATUS(take(at, bytes));
    at += bytes.size();
  } while (at < told.size);
  if (const std::string found = hash.hex(); found != sha256)
    return invalid("{}: the blob {} holds what has the hash {}: a machine or its disk is broken",
                   connection_.place(), sha256, found);
  return {};
}

Status BlobLine::read(const std::string& sha256, std::uint64_t max_bytes, const TakePiece& take) {
  LATHE_TRY(const std::vector<Told> told, there(sha256));
  std::optional<Error> wrong;
  for (const Told& each : told) {
    if (each.there < each.size) continue;
    Status done;
    if (each.size > max_bytes)
      done = invalid("{}: the blob {} has {}, and at most {} are taken", connection_.place(),
                     sha256, format_bytes(each.size), format_bytes(max_bytes));
    else
      done = read_of(each, sha256, take);
    if (done || done.error().kind != ErrorKind::kInvalid) return done;
    if (!wrong) wrong = done.error();
  }
  if (wrong) return std::unexpected(*std::move(wrong));
  return fail(ErrorKind::kNotFound, "{}: has no blob {}", connection_.place(), sha256);
}

}  // namespace lathe::books
