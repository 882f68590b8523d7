// The server over a scripted family of models, for tests that run real clients against it. Prints
// its port; ends when its standard input does.
#include <cstdio>
#include <iostream>

#include "serve/server/api_routes.h"
#include "serve/server/server.h"
#include "testing/scripted_host.h"

int main(int argc, char** argv) {
  using namespace lathe;
  using testing::scripted_family;
  using testing::ScriptedHost;
  using std::chrono_literals::operator""ms;
  const std::vector<ScriptedHost::Line> lines{
      {.when = "!endless", .deltas = {{"on and ", ""}}, .between = 10ms, .endless = true},
      {.when = "!slow", .deltas = {{"late", ""}}, .prefill = 600'000ms},
      {.when = "!think",
       .deltas = {{"", "Let me see. "}, {"", "Yes."}, {"It is ", ""}, {"so.", ""}}},
      {.when = "!bytes",
       .deltas = {{"a\xFF"
                   "b\xE2\x82",
                   ""},
                  {"c", ""}}},
      {.when = "!full", .error = Error{ErrorKind::kUnavailable, "8 requests wait", "queue_full"}},
      {.when = "!huge",
       .error = Error{ErrorKind::kUnavailable, "needs 9 GiB, 2 GiB are free", "does_not_fit"}},
      {.when = "!break",
       .deltas = {{"half ", ""}},
       .error = Error{ErrorKind::kUnavailable, "the engine failed"}},
      {.when = "!stop", .deltas = {{"one two", ""}}, .stopped_by = " three"},
  };
  ScriptedHost host(scripted_family(), lines);
  serve::ServerConfig config;
  config.port = 0;
  if (argc > 1) config.api_keys = {argv[1]};
  auto server = serve::Server::start(config, {serve::api_routes(host)});
  if (!server) {
    std::cerr << server.error().message << "\n";
    return 1;
  }
  std::cout << (*server)->port() << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
  }
  (*server)->stop(Milliseconds(1'000));
}
