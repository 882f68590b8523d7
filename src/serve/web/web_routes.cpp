// GET /, /web/HASH/NAME, and GET, POST, DELETE /session
#include "serve/web/web_routes.h"

#include <algorithm>

#include "ground/base/text.h"
#include "serve/server/names.h"
#include "serve/web/assets.h"

namespace lathe::serve {
namespace {

// The page runs its own script and nothing else, asks its own server and nobody else, and no text
// becomes markup: a browser holds it to that.
constexpr std::string_view kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src "
    "'self'; connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

HttpHeaders page_headers(std::string_view cache) {
  return {{"Cache-Control", std::string(cache)},
          {"Content-Security-Policy", std::string(kPolicy)},
          {"X-Content-Type-Options", "nosniff"},
          {"Referrer-Policy", "no-referrer"},
          {"Cross-Origin-Opener-Policy", "same-origin"},
          {"Cross-Origin-Resource-Policy", "same-origin"}};
}

// Clients of Ollama ask for the same path and expect a line of text.
bool wants_html(const HttpRequest& request) {
  const std::string* accept = request.header("accept");
  if (!accept) return false;
  return std::ranges::any_of(split(*accept, ','), [](const std::string& range) {
    return to_lower_ascii(std::string(trim(range.substr(0, range.find(';'))))) == "text/html";
  });
}

// Browsers that take no gzip there are none.
Handled asset_reply(std::string_view hash, const Call& call) {
  for (const Asset& asset : web_assets()) {
    if (call.rest != fmt::format("{}/{}", hash, asset.name)) continue;
    HttpReply reply{200, std::string(asset.gzip), std::string(asset.type),
                    page_headers("public, max-age=31536000, immutable")};
    reply.headers.emplace_back("Content-Encoding", "gzip");
    return reply;
  }
  return std::unexpected(ApiError{
      404, "the page has no such file; load the page again: the server is another one now"});
}

HttpReply session_reply(const Call& call) {
  const std::string& name = call.caller.key;
  HttpReply reply = json_reply({{"keys", !name.empty()}, {"owner", call.owner}, {"name", name}});
  reply.headers.emplace_back("Cache-Control", "no-store");
  return reply;
}

// The gate has let the key in that the request brings: from now on a cookie stands for it.
HttpReply begin_session(Sessions& sessions, const Call& call) {
  HttpReply reply = session_reply(call);
  const HttpRequest& request = call.exchange->request();
  const std::vector<std::string> keys = given_keys({}, request);
  if (call.caller.key.empty() || keys.empty()) return reply;
  const std::string* origin = request.header("origin");
  reply.headers.emplace_back("Set-Cookie",
                             session_cookie(sessions.open(keys.front(), unix_seconds()),
                                            origin && origin->starts_with("https://")));
  return reply;
}

}  // namespace

std::vector<RouteTable> web_routes(std::shared_ptr<Sessions> sessions) {
  if (web_index().empty()) return {};
  const std::string hash = web_hash();
  RouteTable page;
  page.applies = wants_html;
  page.rows.push_back(
      {"GET", "/", [index = replace_all(std::string(web_index()), "@HASH@", hash)](Call&) {
         return HttpReply{200, index, "text/html; charset=utf-8", page_headers("no-store")};
       }});
  RouteTable rest;
  rest.rows.push_back({"GET", "/web/*", [hash](Call& call) { return asset_reply(hash, call); }});
  rest.rows.push_back({"GET", "/session", [](Call& call) { return session_reply(call); }});
  rest.rows.push_back({"POST", "/session",
                       [sessions](Call& call) { return begin_session(*sessions, call); }, true});
  rest.rows.push_back({"DELETE", "/session",
                       [sessions](Call& call) {
                         sessions->close(session_of(call.exchange->request()));
                         return HttpReply{204, "", "", {{"Set-Cookie", ended_cookie()}}};
                       },
                       true});
  return {std::move(page), std::move(rest)};
}

}  // namespace lathe::serve
