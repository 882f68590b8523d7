// Redirects, one at a time.
#include "serve/net/http_follow.h"

#include "ground/base/text.h"
#include "serve/net/url_parts.h"

namespace lathe::serve {
namespace {

constexpr int kMaxHops = 5;

std::string origin_of(const Url& url) {
  return part_of(url, CURLUPART_SCHEME) + "://" + to_lower_ascii(part_of(url, CURLUPART_HOST)) +
         ":" + part_of(url, CURLUPART_PORT, CURLU_DEFAULT_PORT);
}

// Signed addresses carry keys in their query: it is not repeated.
std::string shown_url(std::string_view url) {
  return clip_utf8(make_valid_utf8(url.substr(0, url.find('?'))), 200);
}

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

}  // namespace

Result<Hop> next_hop(const std::string& from, const std::string& location) {
  const auto wrong = [&](std::string_view why) {
    return fail(ErrorKind::kDenied, "{}: sends on to '{}', {}", shown_url(from),
                shown_url(location), why);
  };
  const Url url(curl_url());
  if (!url || curl_url_set(url.get(), CURLUPART_URL, from.c_str(), 0) != CURLUE_OK)
    return wrong("and cannot be read as a URL itself");
  const std::string origin = origin_of(url);
  if (location.empty() || location.find('\0') != location.npos ||
      curl_url_set(url.get(), CURLUPART_URL, location.c_str(), 0) != CURLUE_OK)
    return wrong("which is no URL");
  const std::string scheme = part_of(url, CURLUPART_SCHEME);
  if (scheme != "http" && scheme != "https") return wrong("which is neither http nor https");
  if (scheme == "http" && origin.starts_with("https:"))
    return wrong("which is not encrypted, and this is");
  if (!part_of(url, CURLUPART_USER).empty() || !part_of(url, CURLUPART_PASSWORD).empty())
    return fail(ErrorKind::kDenied, "{}: sends on to a URL that holds a user or a password",
                shown_url(from));
  curl_url_set(url.get(), CURLUPART_FRAGMENT, nullptr, 0);
  return Hop{part_of(url, CURLUPART_URL), origin_of(url) == origin};
}

Result<HttpAnswer> http_follow(HttpCall call, const std::vector<std::string>& credentials,
                               const StopFlag& stop) {
  const std::vector<std::string> plain = call.headers;
  bool at_home = true;
  for (int hop = 0;; ++hop) {
    call.headers = plain;
    if (at_home) call.headers.insert(call.headers.end(), credentials.begin(), credentials.end());
    auto answer = http_call(call, stop);
    if (!answer) {
      Error error = answer.error();
      error.message = replace_all(error.message, call.url, shown_url(call.url));
      return std::unexpected(std::move(error));
    }
    if (!is_redirect(answer->status)) return answer;
    if (hop == kMaxHops)
      return fail(ErrorKind::kDenied, "{}: sends on more than {} times", shown_url(call.url),
                  kMaxHops);
    LATHE_TRY(Hop next, next_hop(call.url, answer->header("location")));
    at_home = at_home && next.same_origin;
    call.url = std::move(next.url);
    call.nearest = std::max(call.nearest, answer->reach);
  }
}

}  // namespace lathe::serve
