// Questions to hubs and registries, with patience.
#include "serve/hub/hub_client.h"

#include <thread>

#include "ground/base/text.h"
#include "serve/net/endpoint.h"

namespace lathe::serve {
namespace {

constexpr int kAttempts = 5;  // without anything new
constexpr Milliseconds kFirstWait{500};
constexpr Milliseconds kLongestWait{30'000};
constexpr std::size_t kMaxListing = std::size_t{32} << 20;
constexpr std::string_view kManifest =
    "Accept: application/vnd.docker.distribution.manifest.v2+json, application/json";

// A token is for https, or for this machine.
bool is_safe_for_secrets(const std::string& base) {
  const auto endpoint = parse_base_url(base);
  return endpoint && (endpoint->url.starts_with("https:") || endpoint->reach == Reach::kLocal);
}

}  // namespace

bool may_pass(int status) {
  return status == 408 || status == 429 || status >= 500;
}

bool may_pass(const Error& error) {
  return error.kind == ErrorKind::kUnavailable || error.kind == ErrorKind::kTimeout;
}

std::optional<Milliseconds> wait_before(int tried, Milliseconds asked) {
  if (tried >= kAttempts || asked > kLongestWait) return {};
  return std::max(asked, kFirstWait * (1 << (tried - 1)));
}

Error refusal_of(const HttpAnswer& answer, const HubAccess& access, const ModelSource& source,
                 const std::string& what) {
  const std::string page = page_url(access.base, source);
  const bool known = !access.token.empty();
  switch (answer.status) {
    case 401:
      if (source.ollama)
        return {ErrorKind::kDenied, fmt::format("{}: the registry wants a login, which is not "
                                                "spoken here: is the name right?",
                                                what)};
      if (known)
        return {ErrorKind::kDenied, fmt::format("{}: the token is not taken (401): make a new one "
                                                "with the right to read, and put it into HF_TOKEN",
                                                what)};
      return {ErrorKind::kDenied,
              fmt::format("{}: is private, gated or not there (401): look at {}, accept its terms, "
                          "and put a token with the right to read into HF_TOKEN or a --token-file",
                          what, page)};
    case 403:
      return {ErrorKind::kDenied,
              fmt::format("{}: access is not granted (403): {}", what,
                          known ? fmt::format("accept the terms at {} with the token's account, or "
                                              "wait until its owner has agreed",
                                              page)
                                : fmt::format("accept the terms at {}, and put a token into "
                                              "HF_TOKEN or a --token-file",
                                              page))};
    case 404:
      return {ErrorKind::kNotFound, fmt::format("{}: is not there (404): look at {}", what, page)};
    case 429:
      return {
          ErrorKind::kUnavailable,
          fmt::format("{}: the server wants fewer requests (429){}", what,
                      answer.retry_after.count() > 0
                          ? fmt::format(": try again in {}", format_duration(answer.retry_after))
                          : ": try again later")};
    default:
      return {answer.status >= 500 ? ErrorKind::kUnavailable : ErrorKind::kInvalid,
              fmt::format("{}: the server answers with status {}: try again later, or another "
                          "server (--hub, --registry)",
                          what, answer.status)};
  }
}

bool wait_for(Milliseconds time, const StopFlag& stop) {
  const Milliseconds end = system_clock().monotonic() + time;
  while (!stop.raised() && system_clock().monotonic() < end)
    std::this_thread::sleep_for(Milliseconds(20));
  return !stop.raised();
}

std::vector<std::string> HubClient::credentials() const {
  if (access_.token.empty() || !is_safe_for_secrets(access_.base)) return {};
  return {"Authorization: Bearer " + access_.token};
}

Result<HttpAnswer> HubClient::get(const std::string& url, std::vector<std::string> headers,
                                  OnBody on_body) const {
  HttpCall call{.url = url,
                .body = {},
                .headers = std::move(headers),
                .allowed = Reach::kAny,
                .contacts = access_.contacts,
                .allowed_by = "lathe pull " + source_.text(),
                .idle_limit = access_.patience,
                .total_limit = Milliseconds::max(),
                .max_body = kMaxListing,
                .on_body = std::move(on_body)};
  return http_follow(std::move(call), credentials(), stop_);
}

// Until it is a 200 or 206, or there is no hope.
Result<HttpAnswer> HubClient::answered(const std::string& what,
                                       const std::function<Result<HttpAnswer>()>& ask) const {
  for (int tried = 1;; ++tried) {
    auto answer = ask();
    if (answer && answer->status < 400) return answer;
    const Error error =
        answer ? refusal_of(*answer, access_, source_, what) : std::move(answer.error());
    const bool again = answer ? may_pass(answer->status) : may_pass(error);
    const auto wait = wait_before(tried, answer ? answer->retry_after : Milliseconds(0));
    if (!again || !wait || tried == 3) return std::unexpected(error);
    if (!wait_for(*wait, stop_)) return fail(ErrorKind::kCancelled, "{}: stopped", what);
  }
}

Result<Json> HubClient::json(const std::string& url, const std::string& what) const {
  LATHE_TRY(const HttpAnswer answer,
            answered(what, [&] { return get(url, {std::string(kManifest)}, {}); }));
  auto json = parse_json(answer.body);
  if (!json || !json->is_object())
    return invalid("{}: {} answers with no JSON object: is it a hub?", what, access_.base);
  return json;
}

Result<HttpAnswer> HubClient::head(const std::string& url, const std::string& what) const {
  return answered(what, [&] {
    HttpCall call{.url = url,
                  .body = {},
                  .headers = credentials(),
                  .allowed = Reach::kAny,
                  .contacts = access_.contacts,
                  .allowed_by = "lathe pull " + source_.text(),
                  .idle_limit = access_.patience,
                  .on_body = [](const HttpAnswer&, std::string_view) { return false; }};
    call.headers.emplace_back("Range: bytes=0-0");
    return http_call(call, stop_);
  });
}

Result<std::string> HubClient::piece(const std::string& url, std::uint64_t from,
                                     std::uint64_t count, const std::string& what) const {
  std::string bytes;
  const std::string range = fmt::format("Range: bytes={}-{}", from, from + count - 1);
  std::optional<std::uint64_t> skip;
  const OnBody take = [&](const HttpAnswer& head, std::string_view more) {
    if (!skip) skip = head.status == 200 ? from : 0;  // it may know no ranges
    const auto cut = static_cast<std::size_t>(std::min<std::uint64_t>(*skip, more.size()));
    *skip -= cut;
    bytes += more.substr(cut, static_cast<std::size_t>(count) - bytes.size());
    return bytes.size() < count;
  };
  LATHE_TRY(const HttpAnswer answer, answered(what, [&] {
              bytes.clear();
              skip.reset();
              return get(url, {range}, take);
            }));
  return bytes;
}

}  // namespace lathe::serve
