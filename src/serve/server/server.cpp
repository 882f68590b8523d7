// The server: gate, routes, what is under way.
#include "serve/server/server.h"

#include <algorithm>

#include "ground/base/text.h"
#include "serve/server/names.h"
#include "serve/server/routes.h"

namespace lathe::serve {
namespace {

constexpr JsonLimits kBodyLimits{.max_depth = 128, .max_values = std::size_t{2} << 20};

// Those that the page asks for: clients have headers of their own (x-stainless-…,
// anthropic-version), and none of them does anything here.
std::string allowed_headers(const HttpRequest& request) {
  constexpr std::string_view kUsual = "authorization, content-type, x-api-key";
  constexpr std::string_view kOfNames = "abcdefghijklmnopqrstuvwxyz0123456789-_, ";
  const std::string* asked = request.header("access-control-request-headers");
  if (!asked) return std::string(kUsual);
  const std::string names = to_lower_ascii(*asked);
  return names.find_first_not_of(kOfNames) == names.npos ? names : std::string(kUsual);
}

// A name for the request, by which it can be talked about: OpenAI's clients look for the first,
// Anthropic's for the second. And a page that may call this server must be told so; others never
// see that.
HttpHeaders answer_headers(const GateRules& rules, const HttpRequest& request) {
  const std::string id = fresh_id("req_");
  HttpHeaders headers{{"x-request-id", id}, {"request-id", id}};
  const std::string* origin = request.header("origin");
  if (!origin || std::ranges::count(rules.origins, *origin) == 0) return headers;
  headers.insert(headers.end(), {{"Access-Control-Allow-Origin", *origin},
                                 {"Access-Control-Allow-Headers", allowed_headers(request)},
                                 {"Access-Control-Allow-Methods", "GET, POST, OPTIONS"},
                                 {"Access-Control-Expose-Headers", "x-request-id, request-id"},
                                 {"Vary", "Origin"}});
  return headers;
}

ApiResult<Json> read_body(const HttpRequest& request) {
  if (request.method != "POST") return Json::object();
  auto body = parse_json(request.body, kBodyLimits);
  if (!body) return refuse("the body cannot be read: " + body.error().message);
  if (!body->is_object()) return refuse("the body must be a JSON object");
  return std::move(*body);
}

// A form's fields: texts, and of names that end with "[]" lists of them. Its files stand apart.
ApiResult<void> read_form(const HttpRequest& request, Call& call) {
  const std::string* type = request.header("content-type");
  const auto boundary = form_boundary(type ? *type : "");
  if (!boundary) return refuse("the body cannot be read: " + boundary.error().message);
  auto parts = parse_form(*boundary, request.body);
  if (!parts) return refuse("the body cannot be read: " + parts.error().message);
  call.body = Json::object();
  for (FormPart& part : *parts) {
    const bool list = part.name.ends_with("[]");
    const bool there = call.body.contains(part.name) ||
                       std::ranges::count(call.files, part.name, &FormPart::name) > 0;
    if (there && !list)
      return refuse(fmt::format("'{}' is there twice", clip_utf8(part.name, 40)), part.name);
    if (part.is_file)
      call.files.push_back(std::move(part));
    else if (list)
      call.body[part.name].push_back(make_valid_utf8(part.data));
    else
      call.body[part.name] = make_valid_utf8(part.data);
  }
  return {};
}

// The gate, with the keys as they are now.
struct Gate {
  GateRules rules;
  std::shared_ptr<KeyFile> keys;
  std::shared_ptr<QuotaMeter> quotas;

  GateRules now() const {
    GateRules current = rules;
    if (keys) current.keys = keys->current();
    current.now = unix_seconds();
    return current;
  }
};

// From a request to its endpoint.
Handled serve(const Gate& gate, std::span<const RouteTable> tables,
              const std::shared_ptr<HttpExchange>& exchange) {
  const HttpRequest& request = exchange->request();
  const RouteMatch match = find_route(tables, request);
  if (request.method == "OPTIONS")
    return HttpReply{200, "", "", {{"Allow", match.allowed.empty() ? "GET, POST" : match.allowed}}};
  if (match.allowed.empty())
    return std::unexpected(
        ApiError{404,
                 fmt::format("there is no {}", clip_utf8(make_valid_utf8(request.path), 200)),
                 {},
                 "not_found"});
  if (!match.route)
    return std::unexpected(ApiError{405, fmt::format("this path knows only {}", match.allowed)});
  if (match.route->change && !says_change(request)) return std::unexpected(no_change_said());
  const Visitor visitor = visitor_of(gate.now(), request);
  Call call;
  call.exchange = exchange;
  call.dialect = dialect_of(request.path);
  call.rest = match.rest;
  call.names = match.names;
  call.caller = visitor.caller;
  call.owner = visitor.owner;
  call.key = visitor.key;
  if (match.route->form) {
    if (const auto read = read_form(request, call); !read) return std::unexpected(read.error());
  } else if (!match.route->raw) {
    LATHE_TRY(call.body, read_body(request));
  }
  if (visitor.key && request.method == "POST") {
    LATHE_TRY(call.ticket, gate.quotas->admit(*visitor.key));
  }
  return match.route->handler(call);
}

void handle(const Gate& gate, std::span<const RouteTable> tables,
            const std::shared_ptr<HttpExchange>& exchange) {
  Handled handled;
  try {
    handled = serve(gate, tables, exchange);
  } catch (const std::exception& problem) {
    handled = std::unexpected(ApiError{500, fmt::format("inside the server: {}", problem.what())});
  }
  if (handled && !*handled) return;
  // A failure may come when a stream has begun.
  exchange->finish(handled ? std::move(**handled)
                           : error_reply(dialect_of(exchange->request().path), handled.error()),
                   "");
}

Result<GateRules> gate_rules(const ServerConfig& config) {
  GateRules rules{.api_keys = config.api_keys,
                  .sessions = config.sessions,
                  .hosts = config.hosts,
                  .origins = config.origins};
  for (const std::string& key : config.api_keys)
    if (key.empty()) return invalid("an API key may not be empty");
  for (const std::string& address : config.addresses) {
    if (is_loopback(address)) continue;
    rules.any_address = true;
    if (config.api_keys.empty() && (!config.keys || config.keys->current()->empty()))
      return invalid(
          "listening on {} opens this server to other machines: that needs keys (`lathe key add "
          "NAME`) or an API key of its owner's (--api-key-env), or listen on 127.0.0.1 only",
          address);
  }
  return rules;
}

}  // namespace

Result<std::unique_ptr<Server>> Server::start(ServerConfig config, std::vector<RouteTable> tables) {
  LATHE_TRY(const GateRules rules, gate_rules(config));
  const Gate gate{rules, config.keys, config.quotas};
  HttpServerConfig http;
  http.hosts = config.addresses;
  http.port = config.port;
  http.limits = config.limits;
  http.contacts = config.contacts;
  http.takes_form = [tables](const HttpRequest& head) { return takes_form(tables, head); };
  http.gate = [gate, tables](const HttpRequest& head) -> std::optional<HttpReply> {
    const auto refusal = check_gate(gate.now(), head, takes_form(tables, head));
    if (!refusal) return std::nullopt;
    return error_reply(dialect_of(head.path), *refusal);
  };
  http.handler = [gate, tables = std::move(tables)](const std::shared_ptr<HttpExchange>& exchange) {
    handle(gate, tables, exchange);
  };
  http.headers = [rules](const HttpRequest& request) { return answer_headers(rules, request); };
  http.refusal = [](int status, std::string_view message, std::string_view path) {
    return error_reply(dialect_of(path),
                       {status, std::string(message), {}, {}, status == 503 ? 1 : 0});
  };
  LATHE_TRY(auto server, HttpServer::start(std::move(http)));
  return std::unique_ptr<Server>(new Server(std::move(server)));
}

}  // namespace lathe::serve
