// The server before a scripted host, for tests of this room.
#pragma once

#include "serve/server/server.h"

#include <gmock/gmock.h>
#include <testing/raw_client.h>
#include <testing/requests.h>
#include <testing/scripted_host.h>

#include "ground/base/text.h"
#include "serve/server/api_routes.h"

namespace lathe::serve {

using testing::eventually;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::RawClient;
using testing::RawReply;
using testing::scripted_family;
using testing::ScriptedHost;
using std::chrono_literals::operator""ms;

inline const std::vector<ScriptedHost::Line>& script() {
  static const std::vector<ScriptedHost::Line> lines{
      {.when = "!endless", .deltas = {{"on and ", ""}}, .between = 5ms, .endless = true},
      {.when = "!flood", .deltas = {{std::string(4000, 'x'), ""}}, .endless = true},
      {.when = "!slow", .deltas = {{"late", ""}}, .prefill = 600'000ms},
      {.when = "!soon", .deltas = {{"late", ""}}, .prefill = 1'500ms},
      {.when = "!bytes",
       .deltas = {{"a\xFF"
                   "b\xE2\x82",
                   ""},
                  {"c", ""}}},
      {.when = "!never", .error = Error{ErrorKind::kUnavailable, "8 requests wait", "queue_full"}},
      {.when = "!custom",
       .deltas = {{"", "", {{"call_1", "patch", R"({"input":"*** Begin"})"}}}},
       .finish = FinishReason::kToolCalls},
      {.when = "!bad schema", .error = Error{ErrorKind::kInvalid, "no", "unsupported_schema"}},
      {.when = "!bad grammar", .error = Error{ErrorKind::kInvalid, "no", "unsupported_grammar"}},
      {.when = "!bad bias", .error = Error{ErrorKind::kInvalid, "no", "unsupported_bias"}},
      {.when = "!bad candidates",
       .error = Error{ErrorKind::kInvalid, "no", "unsupported_candidates"}},
      {.when = "!bad suffix", .error = Error{ErrorKind::kInvalid, "no", "unsupported_suffix"}},
      {.when = "!bad tools", .error = Error{ErrorKind::kInvalid, "no", "unsupported_tools"}},
      {.when = "!blind",
       .error = Error{ErrorKind::kInvalid, "'small' takes text only", "unsupported_messages"}},
      {.when = "!bad file", .error = Error{ErrorKind::kInvalid, "no", "model_load_failed"}},
      {.when = "!break",
       .deltas = {{"half ", ""}},
       .error = Error{ErrorKind::kUnavailable, "the engine failed"}},
  };
  return lines;
}

inline std::string chat(const std::string& text, const std::string& more = "",
                        const std::string& model = "small") {
  return fmt::format(R"({{"model": "{}", "messages": [{{"role": "user", "content": {}}}]{}}})",
                     model, dump_json(text), more.empty() ? "" : ", " + more);
}

class ServerTest : public ::testing::Test {
 protected:
  ServerTest() : host(scripted_family(), script()) {}

  void SetUp() override { start({}); }
  void start(ServerConfig config) {
    config.port = 0;
    config.limits.ping_time = 200ms;
    auto started = Server::start(std::move(config), {api_routes(host)});
    ASSERT_TRUE(started) << started.error().message;
    server = std::move(*started);
  }

  RawClient client() { return RawClient(server->port()); }
  RawReply post(std::string_view path, std::string_view body, std::string_view headers = "") {
    RawClient one = client();
    one.post(path, body, headers);
    return one.reply();
  }
  RawReply get(std::string_view path, std::string_view headers = "") {
    RawClient one = client();
    one.get(path, headers);
    return one.reply();
  }
  void expect_alive() {
    const RawReply reply = post("/v1/chat/completions", chat("alive"));
    EXPECT_EQ(reply.status, 200);
    EXPECT_THAT(reply.body, HasSubstr("You said: alive"));
  }

  ScriptedHost host;
  std::unique_ptr<Server> server;
};

inline Json parsed(const std::string& text) {
  const auto json = parse_json(text);
  EXPECT_TRUE(json) << text;
  return json ? *json : Json();
}

// The data of a stream's events. Every event is whole; comments are left out.
inline std::vector<std::string> events(const std::string& stream) {
  std::vector<std::string> data;
  EXPECT_TRUE(stream.ends_with("\n\n")) << stream;
  for (const std::string& line : split(stream, '\n'))
    if (line.starts_with("data: "))
      data.push_back(line.substr(6));
    else
      EXPECT_TRUE(line.empty() || line.starts_with(":") || line.starts_with("event: ")) << line;
  return data;
}

}  // namespace lathe::serve
