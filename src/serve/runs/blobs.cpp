// GET /blobs/{sha256}, /blobs/{sha256}/page.html, /blobs/{sha256}/page.png: what a record of a run
// names, byte for byte or as it looks.
#include "ground/base/hash.h"
#include "ground/base/units.h"
#include "serve/runs/answers.h"
#include "serve/runs/byte_range.h"
#include "serve/runs/sniff.h"

namespace lathe::serve {
namespace {

// Larger ones are for `lathe export`: whoever asks would have all of it held here.
constexpr std::uint64_t kMostBytes = std::uint64_t{64} << 20;

// Whether a run that this caller may see names it. The newest are looked at first, and all that is
// known before anything is read for it.
ApiResult<bool> is_named(RunDesk& desk, const RunCall& call, const std::string& sha256) {
  LATHE_TRY(const auto rows, or_api_error(desk.reader().rows()));
  for (const bool known : {true, false})
    for (const books::RunRow& row : rows) {
      LATHE_TRY(const std::string by, or_api_error(desk.reader().begun_by(row.id)));
      if (!may_see(call, by)) continue;
      LATHE_TRY(const bool named, or_api_error(desk.reader().names_blob(row, sha256, known)));
      if (named) return true;
    }
  return false;
}

// Nothing of it runs anywhere, nothing of it is guessed at, and nothing of it stays behind in a
// browser: a run may be erased.
HttpHeaders blob_headers(std::string_view type) {
  HttpHeaders headers{{"Content-Security-Policy", "sandbox; default-src 'none'"},
                      {"X-Content-Type-Options", "nosniff"},
                      {"Cross-Origin-Resource-Policy", "same-origin"},
                      {"Cache-Control", "no-store"}};
  if (!shown_inline(type)) headers.emplace_back("Content-Disposition", "attachment");
  return headers;
}

// Its bytes, for a caller who may see it. They are checked against their name.
ApiResult<std::shared_ptr<const std::string>> read_blob(RunDesk& desk, const RunCall& call) {
  const std::string& sha256 = call.names.front();
  if (!is_sha256_hex(sha256))
    return refuse("an artifact is named by its SHA-256: 64 digits, 0 to 9 and a to f");
  LATHE_TRY(const bool named, is_named(desk, call, sha256));
  if (!named)
    return std::unexpected(
        ApiError{404, fmt::format("no run has an artifact {}", sha256), {}, "not_found"});
  LATHE_TRY(const books::Journal* journal, or_api_error(desk.reader().journal()));
  LATHE_TRY(const std::uint64_t size, or_api_error(journal->blob_size(sha256)));
  if (size > kMostBytes)
    return std::unexpected(
        ApiError{413, fmt::format("the artifact has {}, and at most {} are sent from here; `lathe "
                                  "export RUN DIRECTORY` writes it as a file",
                                  format_bytes(size), format_bytes(kMostBytes))});
  auto read = journal->blob(sha256);
  if (!read && read.error().kind == ErrorKind::kInvalid)
    return std::unexpected(ApiError{500, read.error().message, {}, "artifact_changed"});
  if (!read) return std::unexpected(api_error(read.error()));
  return std::make_shared<const std::string>(*std::move(read));
}

}  // namespace

Handled get_blob(RunDesk& desk, RunCall& call) {
  LATHE_TRY(const auto bytes, read_blob(desk, call));
  const WantedBytes wanted = wanted_bytes(call.request().header("range"), bytes->size());
  HttpStreamHead head;
  head.type = sniffed_media_type(*bytes);
  head.headers = blob_headers(head.type);
  head.headers.emplace_back("Accept-Ranges", "bytes");
  if (wanted.how == WantedBytes::How::kOutside) {
    HttpReply reply = error_reply(Dialect::kOpenAi,
                                  {416, fmt::format("the artifact has {} bytes", bytes->size())});
    reply.headers.emplace_back("Content-Range", fmt::format("bytes */{}", bytes->size()));
    return reply;
  }
  const auto [from, to] = wanted.range;
  if (wanted.how == WantedBytes::How::kPart) {
    head.status = 206;
    head.headers.emplace_back("Content-Range",
                              fmt::format("bytes {}-{}/{}", from, to - 1, bytes->size()));
  }
  head.length = to - from;
  call.exchange->begin(std::move(head));
  desk.send(call, bytes, from, to);
  return std::nullopt;
}

Handled get_page(RunDesk& desk, RunCall& call) {
  LATHE_TRY(const auto bytes, read_blob(desk, call));
  if (!sniffed_media_type(*bytes).starts_with("text/"))
    return std::unexpected(ApiError{404, "the artifact is no text", {}, "not_found"});
  HttpReply reply{200, *bytes, "text/html; charset=utf-8"};
  reply.headers = {{"Content-Security-Policy",
                    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
                    "font-src data:; frame-ancestors 'self'"},
                   {"X-Content-Type-Options", "nosniff"},
                   {"Cross-Origin-Resource-Policy", "same-origin"},
                   {"Cache-Control", "no-store"}};
  return reply;
}

Handled get_picture(RunDesk& desk, RunCall& call) {
  LATHE_TRY(auto bytes, read_blob(desk, call));
  if (!looks_like_markup(*bytes))
    return std::unexpected(ApiError{415, "the artifact is neither a page nor an SVG"});
  if (!desk.draw()) return std::unexpected(ApiError{503, "nothing is drawn here"});
  desk.draw()(call.names.front(), std::move(bytes), [exchange = call.exchange](auto drawn) {
    if (!drawn) {
      ApiError error = api_error(drawn.error());
      if (drawn.error().kind == ErrorKind::kInvalid) error.status = 422;
      return exchange->finish(error_reply(Dialect::kOpenAi, error), "");
    }
    HttpReply reply{200, **drawn, "image/png"};
    reply.headers = blob_headers(reply.type);
    exchange->finish(std::move(reply), "");
  });
  return std::nullopt;
}

}  // namespace lathe::serve
