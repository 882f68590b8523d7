#include "app/cli/running_server.h"

#include <signal.h>
#include <unistd.h>

#include <cstdlib>

#include "ground/base/text.h"
#include "serve/net/http_call.h"

namespace lathe {
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
    fmt::print(stderr, "note: {}; other commands need --server {}\n", status.error().message, url);
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

Result<std::string> find_server(const App& app, const std::string& asked) {
  if (!asked.empty()) {
    std::string url = asked.find("://") == asked.npos ? "http://" + asked : asked;
    while (url.ends_with('/')) url.pop_back();
    if (url.ends_with("/v1")) url.resize(url.size() - 3);
    return url;
  }
  if (auto url = running_server(app)) return *url;
  return fail(ErrorKind::kNotFound,
              "no server runs here; start one with `lathe serve`, or name one with --server URL");
}

std::string server_key() {
  const char* key = std::getenv("LATHE_API_KEY");
  return key == nullptr ? "" : key;
}

Result<Json> get_json(const App& app, const std::string& url) {
  HttpCall call{.url = url,
                .body = {},
                .headers = {},
                .allowed = Reach::kAny,
                .total_limit = Milliseconds(10'000)};
  if (const std::string key = server_key(); !key.empty())
    call.headers = {"Authorization: Bearer " + key};
  LATHE_TRY(const HttpAnswer answer, http_call(call, *app.stop));
  if (answer.status == 401)
    return fail(ErrorKind::kDenied, "{}: wants an API key; put it into LATHE_API_KEY", url);
  auto json = parse_json(answer.body);
  if (answer.status != 200 || !json)
    return fail(ErrorKind::kUnavailable, "{}: is no server of lathe (status {})", url,
                answer.status);
  return json;
}

Result<std::vector<std::string>> server_models(const App& app, const std::string& base) {
  LATHE_TRY(const Json list, get_json(app, base + "/v1/models"));
  std::vector<std::string> names;
  for (const Json& model : json_at(list, "data")) names.push_back(json_string(model, "id"));
  return names;
}

}  // namespace lathe
