// Finds the server of this machine, and asks it or another one.
#include "app/cli/running_server.h"

#include <signal.h>
#include <unistd.h>

#include <cstdlib>

#include "ground/base/text.h"
#include "serve/net/endpoint.h"
#include "serve/net/http_call.h"

namespace lathe::app {
namespace {

fs::path note_path(const App& app) {
  return app.config_dir / "server.json";
}

}  // namespace

ServerNote::ServerNote(const App& app, const std::string& url) : path_(note_path(app)) {
  const Json note = {{"url", url}, {"pid", ::getpid()}};
  auto status = make_directories(app.config_dir);
  if (status) status = write_file_atomic(path_, dump_json(note) + "\n");
  if (!status) {
    print_note(
        fmt::format("note: {}; other commands need --server {}", status.error().message, url));
  }
}

ServerNote::~ServerNote() {
  const auto text = read_file(path_, 4096);
  const auto note = text ? parse_json(*text) : Result<Json>(Json());
  // A later server has written its own.
  if (note && json_int(*note, "pid", 0) != ::getpid()) return;
  std::error_code ignored;
  fs::remove(path_, ignored);
}

std::optional<std::string> running_server(const App& app) {
  const auto text = read_file(note_path(app), 4096);
  const auto note = text ? parse_json(*text) : Result<Json>(Json());
  if (!note || !note->is_object()) return {};
  const auto pid = static_cast<pid_t>(json_int(*note, "pid", 0));
  // Left behind by one that was killed.
  if (pid <= 0 || (::kill(pid, 0) != 0 && errno == ESRCH)) return {};
  const std::string url = json_string(*note, "url");
  return url.empty() ? std::nullopt : std::optional(url);
}

void add_server_flags(CLI::App& command, ServerFlags& flags, const std::string& help) {
  command.add_option("--server", flags.url, help);
  command.add_option("--allow", flags.allow, "How far what you ask may travel: local, lan or any")
      ->capture_default_str();
}

Result<ServerAddress> find_server(const App& app, const ServerFlags& flags) {
  const auto allowed = parse_reach(flags.allow);
  if (!allowed) return invalid("--allow is '{}'; it may be local, lan or any", flags.allow);
  if (!flags.url.empty()) {
    std::string url = flags.url.find("://") == flags.url.npos ? "http://" + flags.url : flags.url;
    while (url.ends_with('/')) url.pop_back();
    if (url.ends_with("/v1")) url.resize(url.size() - 3);
    LATHE_TRY(const serve::Endpoint endpoint, serve::parse_endpoint(url));
    // Before any name is looked up.
    if (endpoint.reach > *allowed)
      return fail(ErrorKind::kDenied,
                  "{} is beyond this machine ('{}'), and --allow is '{}'; --allow {} lets what you "
                  "ask travel there",
                  url, reach_name(endpoint.reach), flags.allow, reach_name(endpoint.reach));
    return ServerAddress{url, *allowed, "--allow " + flags.allow};
  }
  // What a server of this machine has noted is as near as it says.
  if (auto url = running_server(app)) {
    LATHE_TRY(const serve::Endpoint endpoint, serve::parse_endpoint(*url));
    return ServerAddress{*url, endpoint.reach, "the server that runs here"};
  }
  return fail(ErrorKind::kNotFound,
              "no server runs here; start one with `lathe serve`, or name one with --server URL");
}

std::string server_key() {
  const char* key = std::getenv("LATHE_API_KEY");
  return key == nullptr ? "" : key;
}

Result<Json> get_json(const App& app, const ServerAddress& server, const std::string& path) {
  const std::string url = server.base + path;
  serve::HttpCall call{.url = url,
                       .body = {},
                       .headers = {},
                       .allowed = server.allowed,
                       .contacts = app.contacts.get(),
                       .allowed_by = server.allowed_by,
                       .total_limit = Milliseconds(10'000)};
  if (const std::string key = server_key(); !key.empty())
    call.headers = {"Authorization: Bearer " + key};
  LATHE_TRY(const serve::HttpAnswer answer, serve::http_call(call, *app.stop));
  if (answer.status == 401)
    return fail(ErrorKind::kDenied, "{}: wants an API key; put it into LATHE_API_KEY", url);
  auto json = parse_json(answer.body);
  if (answer.status != 200 || !json)
    return fail(ErrorKind::kUnavailable, "{}: is no server of lathe (status {})", url,
                answer.status);
  return json;
}

Result<std::vector<std::string>> server_models(const App& app, const ServerAddress& server) {
  LATHE_TRY(const Json list, get_json(app, server, "/v1/models"));
  std::vector<std::string> names;
  for (const Json& model : json_at(list, "data")) names.push_back(json_string(model, "id"));
  return names;
}

}  // namespace lathe::app
