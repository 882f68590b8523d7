// The server with a scripted family: routes, dialects, errors, streams, the end.
#include "serve/server/server_test.h"

#include <fstream>
#include <thread>

#include "ground/base/file.h"
#include "ground/base/version.h"

namespace lathe::serve {
namespace {

// --- bad inputs
// -----------------------------------------------------------------------------------

std::string body_of(const Json& row) {
  const std::string prefix = json_string(row, "prefix");
  if (row.contains("body")) return prefix + row["body"].get<std::string>();
  const std::string messages =
      json_string(row, "messages", R"([{"role": "user", "content": "x"}])");
  const std::string fields = json_string(row, "fields");
  return prefix + R"({"model": "small", "messages": )" + messages +
         (fields.empty() ? "" : ", " + fields) + "}";
}

TEST_F(ServerTest, BadInputs) {
  const auto text = read_file(LATHE_SOURCE_DIR "/tests/cases/server/bad_inputs.json");
  ASSERT_TRUE(text);
  for (const Json& row : parsed(*text)) {
    SCOPED_TRACE(row["name"].get<std::string>());
    const std::string path = json_string(row, "path", "/v1/chat/completions");
    const RawReply reply =
        json_string(row, "method") == "GET" ? get(path) : post(path, body_of(row));
    EXPECT_EQ(reply.status, row["status"].get<int>()) << reply.body;
    if (reply.status == 200) continue;
    const Json error = json_at(parsed(reply.body), "error");
    if (path.starts_with("/api/")) {
      EXPECT_TRUE(error.is_string()) << reply.body;
      continue;
    }
    EXPECT_FALSE(json_string(error, "message").empty()) << reply.body;
    if (path.starts_with("/v1/messages")) continue;
    EXPECT_TRUE(error["code"].is_null() || error["code"].is_string());
    EXPECT_EQ(error["param"], row.value("param", error["param"]));
    EXPECT_EQ(error["code"], row.value("code", error["code"]));
  }
  expect_alive();
}

TEST_F(ServerTest, LargeBadInputs) {
  const std::string deep(100'000, '[');
  std::string wide = "{";
  for (int i = 0; i < 100'000; ++i) wide += fmt::format("\"{}\": -100, ", i);
  std::string stops, tools;
  for (int i = 0; i < 1000; ++i) {
    stops += fmt::format("{}\"s{}\"", i ? ", " : "", i);
    tools +=
        fmt::format(R"({}{{"type": "function", "function": {{"name": "f{}"}}}})", i ? ", " : "", i);
  }
  EXPECT_EQ(post("/v1/chat/completions", deep).status, 400);
  EXPECT_EQ(post("/v1/chat/completions", chat("x", "\"metadata\": " + deep)).status, 400);
  EXPECT_EQ(post("/v1/chat/completions", chat("x", "\"logit_bias\": " + wide + "\"0\": 1}")).status,
            400);
  EXPECT_EQ(post("/v1/chat/completions", chat("x", "\"stop\": [" + stops + "]")).status, 400);
  EXPECT_EQ(
      post("/v1/chat/completions",
           R"({"model": "large", "messages": [{"role": "user", "content": "x"}], "tools": [)" +
               tools + "]}")
          .status,
      200);
  EXPECT_EQ(post("/v1/chat/completions", chat(std::string(131'072, 'Z'))).status, 400);
  EXPECT_EQ(
      post("/v1/chat/completions", "{\"model\": \"" + std::string(20'000, 'm') + "\"}").status,
      400);
  std::string numbers = "[";
  for (int i = 0; i < 2'200'000; ++i) numbers += "0,";
  EXPECT_EQ(post("/v1/completions", R"({"model": "small", "prompt": )" + numbers + "0]}").status,
            400);
  EXPECT_EQ(get("/v1/models/" + std::string(20'000, 'm')).status, 431);
  const RawReply invalid = post("/v1/chat/completions", "{\"model\": \"\xFF\"}");
  EXPECT_EQ(invalid.status, 400);
  EXPECT_EQ(find_invalid_utf8(invalid.body), std::string::npos);
  expect_alive();
}

std::size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::size_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

TEST_F(ServerTest, TenThousandBadInputsLeaveNothingBehind) {
  const auto text = read_file(LATHE_SOURCE_DIR "/tests/cases/server/bad_inputs.json");
  ASSERT_TRUE(text);
  std::vector<std::pair<std::string, std::string>> bad;
  for (const Json& row : parsed(*text))
    if (row["status"] != 200 && !row.contains("method"))
      bad.emplace_back(json_string(row, "path", "/v1/chat/completions"), body_of(row));
  bad.emplace_back("/v1/chat/completions", std::string(50'000, '['));
  const auto send = [&](std::size_t count) {
    RawClient one = client();
    for (std::size_t i = 0; i < count; ++i) {
      if (i % 20 == 0) {  // and some that end the connection
        RawClient broken = client();
        broken.send("POST /x HTTP/1.1\r\nContent-Length: -1\r\n\r\n");
        ASSERT_EQ(broken.reply().status, 400);
      }
      one.post(bad[i % bad.size()].first, bad[i % bad.size()].second);
      ASSERT_GE(one.reply().status, 400);
    }
  };
  send(2'000);
  const std::size_t before = resident_bytes();
  send(10'000);
  // Sanitizers keep freed memory for a while: 256 MiB of it.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr std::size_t kSlack = std::size_t{400} << 20;
#else
  constexpr std::size_t kSlack = std::size_t{8} << 20;
#endif
  EXPECT_LT(resident_bytes(), before + kSlack);
  EXPECT_TRUE(eventually([&] { return server->connections() == 0; }));
  expect_alive();
}

// --- who may come in
// --------------------------------------------------------------------------------

TEST_F(ServerTest, TheGateStandsBeforeTheBody) {
  RawClient evil = client();
  evil.send("POST /v1/chat/completions HTTP/1.1\r\nHost: evil.com\r\nContent-Length: 5\r\n\r\n");
  EXPECT_EQ(evil.reply().status, 403);
  RawClient page = client();
  page.send(
      "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.com\r\n"
      "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}");
  EXPECT_EQ(page.reply().status, 403);
  RawClient form = client();
  form.send(
      "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
      "Content-Type: multipart/form-data\r\nContent-Length: 2\r\n\r\n{}");
  const RawReply refused = form.reply();
  EXPECT_EQ(refused.status, 415);
  EXPECT_THAT(refused.body, HasSubstr("application/json"));
  RawClient preflight = client();
  preflight.send(
      "OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
      "Access-Control-Request-Method: POST\r\n\r\n");
  const RawReply options = preflight.reply();
  EXPECT_EQ(options.status, 200);
  EXPECT_THAT(options.head, HasSubstr("Allow: POST"));
  EXPECT_THAT(options.head, Not(HasSubstr("Access-Control")));
  EXPECT_EQ(host.seen().size(), 0U);
}

TEST_F(ServerTest, SaysWhatArithmeticItHas) {
  start({});
  const Json version = parse_json(get("/version").body).value();
  EXPECT_EQ(json_string(version, "version"), program_version());
  EXPECT_EQ(json_int(version, "numerics", 0), kNumerics);
}

TEST_F(ServerTest, WithAKey) {
  start({.api_keys = {"secret"}});
  for (const char* path : {"/", "/v1/models", "/v1/models/small", "/version", "/metrics",
                           "/api/tags", "/api/ps", "/nowhere"}) {
    EXPECT_EQ(get(path).status, 401) << path;
    EXPECT_EQ(get(path, "X-Api-Key: wrong\r\n").status, 401) << path;
    EXPECT_NE(get(path, "Authorization: Bearer secret\r\n").status, 401) << path;
  }
  for (const char* path : {"/v1/chat/completions", "/v1/messages", "/api/chat", "/models/load"})
    EXPECT_EQ(post(path, "{}").status, 401) << path;
  EXPECT_EQ(get("/health").status, 200);
  const Json anthropic = parsed(post("/v1/messages", "{}").body);
  EXPECT_EQ(anthropic["error"]["type"], "authentication_error");
  EXPECT_EQ(post("/v1/chat/completions", chat("x"), "X-Api-Key: secret\r\n").status, 200);
}

TEST_F(ServerTest, OffLoopbackOnlyWithAKey) {
  EXPECT_FALSE(Server::start({.addresses = {"0.0.0.0"}, .port = 0}, {}));
  EXPECT_FALSE(Server::start({.addresses = {"127.0.0.1", "::"}, .port = 0}, {}));
  EXPECT_FALSE(Server::start({.addresses = {"0.0.0.0"}, .port = 0, .api_keys = {""}}, {}));
  EXPECT_TRUE(Server::start({.addresses = {"0.0.0.0"}, .port = 0, .api_keys = {"k"}}, {}));
}

TEST_F(ServerTest, PagesThatMayCall) {
  start({.origins = {"https://a.example"}});
  const RawReply allowed =
      post("/v1/chat/completions", chat("x", "\"stream\": true"), "Origin: https://a.example\r\n");
  EXPECT_EQ(allowed.status, 200);
  EXPECT_THAT(allowed.head, HasSubstr("Access-Control-Allow-Origin: https://a.example"));
  EXPECT_EQ(get("/v1/models", "Origin: https://b.example\r\n").status, 403);
  EXPECT_THAT(get("/v1/models").head, Not(HasSubstr("Access-Control")));
  // The headers of SDKs are asked for before they are sent.
  const auto preflight = [&](const std::string& headers) {
    RawClient one = client();
    one.send(
        "OPTIONS /v1/messages HTTP/1.1\r\nHost: localhost\r\nOrigin: https://a.example\r\n"
        "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: " +
        headers + "\r\n\r\n");
    return one.reply().head;
  };
  EXPECT_THAT(preflight("X-Stainless-OS,anthropic-version"),
              HasSubstr("Access-Control-Allow-Headers: x-stainless-os,anthropic-version\r\n"));
  EXPECT_THAT(preflight("a\tb"),
              HasSubstr("Allow-Headers: authorization, content-type, x-api-key"));
}

TEST_F(ServerTest, CurlLinesOfOtherServersWork) {
  for (const char* type : {"application/x-www-form-urlencoded", "text/plain"}) {
    RawClient one = client();
    const std::string body = chat("x", R"("stream": false)");
    one.send(
        fmt::format("POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: {}\r\n"
                    "Content-Length: {}\r\n\r\n{}",
                    type, body.size(), body));
    EXPECT_EQ(one.reply().status, 200) << type;
  }
}

TEST_F(ServerTest, TheTargetSaysWhoIsMeant) {
  const auto status = [&](const char* target, const char* named) {
    RawClient one = client();
    one.send(fmt::format("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", target, named));
    return one.reply().status;
  };
  EXPECT_EQ(status("http://evil.com/v1/models", "localhost"), 403);
  EXPECT_EQ(status("https://evil.com", "localhost"), 403);
  EXPECT_EQ(status("http://localhost:80/v1/models", "evil.com"), 200);
  EXPECT_EQ(status("http://localhost?x", "localhost"), 200);
}

TEST_F(ServerTest, MethodsThatAPathDoesNotKnow) {
  for (const char* method : {"DELETE", "PUT", "PATCH"}) {
    RawClient one = client();
    one.send(fmt::format("{} /v1/models/small HTTP/1.1\r\nHost: localhost\r\n\r\n", method));
    EXPECT_EQ(one.reply().status, 405) << method;
  }
}

// --- answers
// ----------------------------------------------------------------------------------------

TEST_F(ServerTest, PathsWithAndWithoutV1) {
  for (const char* path : {"/chat/completions", "/v1/chat/completions", "/v1/v1/chat/completions"})
    EXPECT_EQ(post(path, chat("x")).status, 200) << path;
  EXPECT_EQ(get("/v1/models/tiny").status, 200);  // an alias
  EXPECT_EQ(get("/v1/models/").status, 200);
}

TEST_F(ServerTest, AStreamIsWellFormed) {
  const RawReply reply =
      post("/v1/chat/completions",
           chat("a b", R"("stream": true, "stream_options": {"include_usage": true}, "n": 2)"));
  EXPECT_TRUE(reply.whole);
  EXPECT_THAT(reply.head, HasSubstr("Content-Type: text/event-stream"));
  EXPECT_THAT(reply.head, HasSubstr("X-Accel-Buffering: no"));
  const std::vector<std::string> data = events(reply.body);
  ASSERT_GT(data.size(), 4U);
  EXPECT_EQ(data.back(), "[DONE]");
  std::string texts[2];
  int roles = 0, finishes = 0;
  for (std::size_t i = 0; i + 2 < data.size(); ++i) {
    const Json chunk = parsed(data[i]);
    EXPECT_TRUE(chunk.contains("usage") && chunk["usage"].is_null());
    const Json& choice = chunk["choices"][0];
    texts[choice["index"].get<int>()] += json_string(choice["delta"], "content");
    roles += choice["delta"].contains("role");
    finishes += choice["finish_reason"] == "stop";
  }
  EXPECT_EQ(texts[0], "You said: a b");
  EXPECT_EQ(texts[1], texts[0]);
  EXPECT_EQ(roles, 2);
  EXPECT_EQ(finishes, 2);
  const Json usage = parsed(data[data.size() - 2]);
  EXPECT_TRUE(usage["choices"].empty());
  EXPECT_EQ(usage["usage"]["completion_tokens"], 8);
}

TEST_F(ServerTest, BytesThatAreNoTextNeverFailAnAnswer) {
  const std::string stream = R"("stream": true)";
  for (const RawReply& reply :
       {post("/v1/chat/completions", chat("!bytes")),
        post("/v1/chat/completions", chat("!bytes", stream)), post("/v1/messages", chat("!bytes")),
        post("/v1/messages", chat("!bytes", stream)), post("/api/chat", chat("!bytes")),
        post("/v1/responses", R"({"model": "small", "input": "!bytes", "stream": true})"),
        post("/v1/completions", R"({"model": "small", "prompt": "!bytes", "logprobs": 1})")}) {
    EXPECT_EQ(reply.status, 200);
    EXPECT_TRUE(reply.whole);
    EXPECT_EQ(find_invalid_utf8(reply.body), std::string::npos);
    EXPECT_THAT(reply.body, HasSubstr("a\uFFFDb\uFFFD"));
  }
}

TEST_F(ServerTest, StreamsAreHeldOpenWhileNothingComes) {
  RawClient one = client();
  one.post("/v1/chat/completions", chat("!soon", R"("stream": true)"));
  EXPECT_TRUE(one.wait_for(": ping\n\n"));
  const RawReply reply = one.reply();
  EXPECT_THAT(reply.body, HasSubstr("late"));
  EXPECT_EQ(events(reply.body).back(), "[DONE]");
}

TEST_F(ServerTest, WhatFailsIsSaidInEachDialect) {
  const RawReply full = post("/v1/chat/completions", chat("!never", R"("stream": true)"));
  EXPECT_EQ(full.status, 429);
  EXPECT_THAT(full.head, HasSubstr("Retry-After: "));
  EXPECT_EQ(parsed(full.body)["error"]["code"], "queue_full");
  EXPECT_EQ(parsed(post("/v1/messages", chat("!never")).body)["error"]["type"], "rate_limit_error");
  EXPECT_EQ(parsed(post("/api/chat", chat("!never")).body)["error"], "8 requests wait");
  const std::vector<std::string> codex = events(
      post("/v1/responses", R"({"model": "small", "input": "!never", "stream": true})").body);
  const Json failed = parsed(codex.back());
  EXPECT_EQ(failed["type"], "response.failed");
  EXPECT_EQ(failed["response"]["error"]["code"], "rate_limit_exceeded");
  EXPECT_THAT(failed["response"]["error"]["message"].get<std::string>(),
              HasSubstr("try again in 2s"));

  // In mid-stream there is no status any more: an event says it, and the stream ends whole.
  const std::string stream = R"("stream": true)";
  const RawReply broken = post("/v1/chat/completions", chat("!break", stream));
  EXPECT_TRUE(broken.whole);
  EXPECT_EQ(parsed(events(broken.body).back())["error"]["message"], "the engine failed");
  EXPECT_THAT(post("/v1/messages", chat("!break", stream)).body,
              HasSubstr("event: error\ndata: {\"type\":\"error\""));
  EXPECT_THAT(post("/api/chat", chat("!break")).body,
              HasSubstr("{\"error\":\"the engine failed\"}\n"));
}

TEST_F(ServerTest, TheContextIsRespectedToTheToken) {
  const std::string frame = "<user>";  // what a prompt of one message begins with
  const std::size_t exactly = 4096 - 1 - frame.size();
  EXPECT_EQ(post("/v1/chat/completions", chat(std::string(exactly, 'x'))).status, 200);
  const RawReply over = post("/v1/chat/completions", chat(std::string(exactly + 1, 'x')));
  EXPECT_EQ(over.status, 400);
  const Json error = parsed(over.body)["error"];
  EXPECT_EQ(error["code"], "context_length_exceeded");
  EXPECT_EQ(error["message"], "the prompt has 4096 tokens, but 'small' takes 4096 at most");
  EXPECT_THAT(post("/v1/messages", chat(std::string(exactly + 1, 'x'))).body,
              HasSubstr("prompt is too long: the prompt has 4096 tokens"));
}

TEST_F(ServerTest, WhatARequestSaysReachesTheModel) {
  EXPECT_EQ(post("/v1/chat/completions",
                 R"({"model": "small", "max_completion_tokens": 7, "n": 2, "seed": -1, "top_k": -1,
                     "temperature": 0.25, "min_p": 0.1, "repeat_penalty": 1.1, "stop": "end",
                     "logit_bias": {"5": -100}, "logprobs": true, "top_logprobs": 3,
                     "reasoning_effort": "none", "chat_template_kwargs": {"a": 1},
                     "prompt_cache_retention": "24h",
                     "prediction": {"type": "content", "content": [{"type": "text", "text": "old"}]},
                     "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}},
                     "tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "none",
                     "parallel_tool_calls": false,
                     "messages": [{"role": "system", "content": "a"}, {"role": "developer", "content": "b"},
                                  {"role": "assistant", "content": null, "reasoning_content": "hm",
                                   "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
                                  {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "r"}]}]})")
                .status,
            200);
  const Request seen = host.seen().at(0);
  EXPECT_EQ(seen.max_tokens, 7);
  EXPECT_EQ(seen.candidates, 2);
  EXPECT_EQ(seen.sampling.seed, -1);
  EXPECT_EQ(seen.sampling.top_k, 0);
  EXPECT_EQ(seen.sampling.temperature, 0.25);
  EXPECT_EQ(seen.sampling.min_p, 0.1);
  EXPECT_EQ(seen.sampling.repeat_penalty, 1.1);
  EXPECT_EQ(seen.sampling.logit_bias, (std::map<int, double>{{5, -100}}));
  EXPECT_EQ(seen.stop, std::vector<std::string>{"end"});
  EXPECT_EQ(seen.top_logprobs, 3);
  const Talk talk = talk_of(seen);
  EXPECT_EQ(dump_json(talk.template_variables),
            R"({"a":1,"reasoning_effort":"none","enable_thinking":false})");
  EXPECT_TRUE(seen.keep_prefix);
  EXPECT_EQ(seen.prediction, "old");
  EXPECT_EQ(seen.form, AnswerForm(SchemaForm{{{"type", "object"}}}));
  EXPECT_EQ(talk.tool_choice, ToolChoice(NoCall()));
  EXPECT_FALSE(talk.parallel_calls);
  ASSERT_EQ(talk.messages.size(), 3U);
  EXPECT_EQ(talk.messages[0].content, "a\n\nb");
  EXPECT_EQ(talk.messages[1].reasoning, "hm");
  EXPECT_EQ(talk.messages[1].calls[0].id, "c1");
  EXPECT_EQ(talk.messages[2].name, "f");
  EXPECT_EQ(talk.messages[2].content, "r");
}

TEST_F(ServerTest, ADefaultOnlyAnswers) {
  // The script's default: what is called gpt-… is the first model.
  EXPECT_EQ(post("/v1/chat/completions", chat("x", "", "gpt-5")).status, 200);
  for (const char* path : {"/models/unload", "/models/load", "/api/show", "/api/pull"})
    EXPECT_EQ(post(path, R"({"model": "gpt-5"})").status, 404) << path;
  EXPECT_EQ(get("/v1/models/gpt-5").status, 404);
  EXPECT_EQ(get("/v1/models/../../etc/passwd").status, 404);
  for (const char* empty : {R"({"model": "gpt-5", "messages": []})",
                            R"({"model": "gpt-5", "messages": [], "keep_alive": 0})"})
    EXPECT_EQ(post("/api/chat", empty).status, 404) << empty;
}

TEST_F(ServerTest, TheSeedIsReturned) {
  EXPECT_EQ(parsed(post("/v1/chat/completions", chat("x")).body)["seed"], 4242);
  EXPECT_EQ(parsed(post("/v1/chat/completions", chat("x", R"("seed": 7)")).body)["seed"], 7);
  EXPECT_EQ(parsed(post("/v1/completions", R"({"model": "small", "prompt": "x"})").body)["seed"],
            4242);
  EXPECT_EQ(parsed(post("/v1/responses", R"({"model": "small", "input": "x"})").body)["seed"],
            4242);
  EXPECT_EQ(parsed(post("/api/chat", chat("x", R"("stream": false)")).body)["seed"], 4242);
}

TEST_F(ServerTest, AnthropicStreamsSayAtOnceWhatThePromptCameTo) {
  const std::string body =
      R"({"model": "small", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}])";
  const Json whole = parsed(post("/v1/messages", body + "}").body)["usage"];
  const std::vector<std::string> stream =
      events(post("/v1/messages", body + R"(, "stream": true})").body);
  const Json first = parsed(stream.front())["message"]["usage"];
  EXPECT_EQ(first["input_tokens"].get<int>(),
            whole["input_tokens"].get<int>() + whole["cache_read_input_tokens"].get<int>());
  EXPECT_GT(first["input_tokens"].get<int>(), 0);
  EXPECT_EQ(first["output_tokens"], 0);
  EXPECT_EQ(parsed(stream[stream.size() - 2])["usage"], whole);
}

TEST_F(ServerTest, ToolsOfANamespace) {
  const std::string tools =
      R"("tools": [{"type": "namespace", "name": "mcp__demo", "description": "d", "tools": [)"
      R"({"type": "function", "name": "hello", "parameters": {"type": "object"}}]}])";
  const Json reply =
      parsed(post("/v1/responses", R"({"model": "small", "input": "x", )" + tools + "}").body);
  const std::vector<HostRequest> seen = host.seen();
  EXPECT_EQ(talk_of(seen.back()).tools[0].name, "mcp__demo__hello");
  const Json& call = reply["output"][0];
  EXPECT_EQ(call["type"], "function_call");
  EXPECT_EQ(call["name"], "hello");
  EXPECT_EQ(call["namespace"], "mcp__demo");
  EXPECT_EQ(reply["tools"][0]["type"], "namespace");
  // And back: the model reads the name that it wrote.
  const std::string history =
      R"({"model": "small", "input": [{"type": "message", "role": "user", "content": "x"}, )"
      R"({"type": "function_call", "call_id": "c", "name": "hello", "namespace": "mcp__demo", )"
      R"("arguments": "{}"}, {"type": "function_call_output", "call_id": "c", "output": "hi"}], )";
  EXPECT_EQ(post("/v1/responses", history + tools + "}").status, 200);
  const std::vector<HostRequest> later = host.seen();
  EXPECT_EQ(talk_of(later.back()).messages[1].calls[0].name, "mcp__demo__hello");
}

TEST_F(ServerTest, BillingLinesDoNotReachTheModel) {
  for (const char* system :
       {R"("x-anthropic-billing-header: v=1; cch=0a1b2;\nBe short.")",
        R"([{"type": "text", "text": "x-anthropic-billing-header: v=1; cch=99999;"},
            {"type": "text", "text": "Be short."}])"})
    EXPECT_EQ(post("/v1/messages?beta=true",
                   fmt::format(R"({{"model": "claude-x", "max_tokens": 5, "system": {},
                                    "messages": [{{"role": "user", "content": "a"}}]}})",
                               system))
                  .status,
              200);
  for (const Request& seen : host.seen()) EXPECT_EQ(talk_of(seen).messages[0].content, "Be short.");
}

TEST_F(ServerTest, HealthFollowsTheModels) {
  EXPECT_EQ(get("/health").status, 200);
  host.set_state("small", ModelState::kCold);
  host.set_state("large", ModelState::kLoading);
  EXPECT_EQ(get("/health").status, 503);
  host.set_state("large", ModelState::kCold);  // comes when it is asked for
  EXPECT_EQ(get("/health").status, 200);
  host.set_state("small", ModelState::kFailed);
  host.set_state("large", ModelState::kFailed);
  EXPECT_EQ(get("/health").status, 503);
  EXPECT_EQ(post("/models/load", R"({"model": "tiny"})").status, 200);
  EXPECT_EQ(get("/health").status, 200);
}

TEST_F(ServerTest, Metrics) {
  expect_alive();
  const RawReply reply = get("/metrics");
  EXPECT_THAT(reply.head, HasSubstr("Content-Type: text/plain; version=0.0.4"));
  EXPECT_THAT(reply.body,
              HasSubstr("# TYPE lathe_requests_total counter\nlathe_requests_total 1\n"));
  EXPECT_THAT(reply.body, HasSubstr("lathe_model_bytes{model=\"small\",tag=\"kv\"} 0\n"));
}

TEST_F(ServerTest, MemoryIsToldByDevice) {
  const Json status = parsed(get("/status").body);
  EXPECT_EQ(status["devices"]["cpu"], (Json{{"limit", 1 << 30}, {"booked", 0}}));
  EXPECT_EQ(status["devices"]["gpu0"], (Json{{"limit", 1 << 20}, {"booked", 4096}}));
  EXPECT_EQ(status["memory_limit"], (1 << 30) + (1 << 20));
  EXPECT_EQ(status["memory_booked"], 4096);
  const std::string metrics = get("/metrics").body;
  EXPECT_THAT(metrics, HasSubstr("lathe_device_limit_bytes{device=\"gpu0\"} 1048576\n"));
  EXPECT_THAT(metrics, HasSubstr("lathe_device_booked_bytes{device=\"cpu\"} 0\n"));
}

TEST_F(ServerTest, TokensAndTemplates) {
  EXPECT_EQ(parsed(post("/tokenize", R"({"model": "small", "content": "hi"})").body)["tokens"],
            (Json{104, 105}));
  EXPECT_EQ(
      parsed(post("/detokenize", R"({"model": "small", "tokens": [104, 105]})").body)["content"],
      "hi");
  EXPECT_EQ(parsed(post("/apply-template", chat("hi")).body)["prompt"], "<user>hi");
  EXPECT_EQ(parsed(post("/v1/responses/input_tokens", R"({"model": "small", "input": "hi"})")
                       .body)["input_tokens"],
            8);
}

// --- coming and going
// -------------------------------------------------------------------------------

TEST_F(ServerTest, AClientThatGoesEndsItsWorkAndNoOthers) {
  RawClient neighbour = client();
  neighbour.post("/v1/chat/completions", chat("!endless", R"("stream": true)"));
  ASSERT_TRUE(neighbour.wait_for("on and "));
  int ended = 0;
  // While it waits or reads its prompt, and while it writes; with a stream and without one.
  for (const auto& [text, more] : {std::pair("!slow", ""),
                                   {"!slow", R"("stream": true)"},
                                   {"!endless", ""},
                                   {"!endless", R"("stream": true)"},
                                   {"!endless", R"("stream": true, "n": 3)"}}) {
    const std::size_t before = host.seen().size();
    RawClient one = client();
    one.post("/v1/chat/completions", chat(text, more));
    ASSERT_TRUE(eventually([&] { return host.seen().size() == before + 1; }));
    EXPECT_EQ(host.running(), 2);
    one.close();
    ++ended;
    EXPECT_TRUE(eventually([&] { return host.cancelled() == ended && host.running() == 1; }))
        << text;
  }
  // Several prompts of one request go together.
  RawClient several = client();
  several.post("/v1/completions",
               R"({"model": "small", "prompt": ["!slow", "!slow", "!endless"]})");
  ASSERT_TRUE(eventually([&] { return host.running() == 4; }));
  several.close();
  EXPECT_TRUE(eventually([&] { return host.running() == 1; }));
  EXPECT_TRUE(neighbour.wait_for_bytes(neighbour.input().size() + 4000));
  EXPECT_EQ(host.cancelled(), ended + 3);
}

TEST_F(ServerTest, AReaderThatDoesNotReadEndsItsWork) {
  RawClient one(server->port(), 4096);
  one.post("/v1/chat/completions", chat("!flood", R"("stream": true)"));
  EXPECT_TRUE(eventually([&] { return host.cancelled() == 1; }));
  EXPECT_EQ(host.running(), 0);
  expect_alive();
}

TEST_F(ServerTest, OnePartThatFailsEndsTheOthers) {
  const RawReply reply =
      post("/v1/completions", R"({"model": "small", "prompt": ["!slow", "!never", "!slow"]})");
  EXPECT_EQ(reply.status, 429);
  EXPECT_TRUE(eventually([&] { return host.running() == 0; }));
}

TEST_F(ServerTest, FiveHundredConnections) {
  std::vector<RawClient> clients;
  for (int i = 0; i < 500; ++i) {
    clients.push_back(client());
    clients.back().post("/v1/chat/completions", chat(std::to_string(i), R"("stream": true)"));
  }
  for (std::size_t i = 0; i < clients.size(); ++i) {
    const RawReply reply = clients[i].reply();
    EXPECT_TRUE(reply.whole);
    EXPECT_THAT(reply.body, HasSubstr(fmt::format("\"content\":\"{}\"", i)));
  }
  expect_alive();
}

TEST_F(ServerTest, StopEndsEveryStreamProperly) {
  const std::string stream = R"("stream": true)";
  RawClient chat_stream = client(), messages = client(), responses = client(), lines = client(),
            whole = client(), short_one = client();
  chat_stream.post("/v1/chat/completions", chat("!endless", stream));
  messages.post("/v1/messages", chat("!endless", stream));
  responses.post("/v1/responses", R"({"model": "small", "input": "!endless", "stream": true})");
  lines.post("/api/chat", chat("!endless"));
  whole.post("/v1/chat/completions", chat("!slow"));
  short_one.post("/v1/chat/completions", chat("!soon", stream));
  for (RawClient* one : {&chat_stream, &messages, &responses, &lines})
    ASSERT_TRUE(one->wait_for("on and "));
  ASSERT_TRUE(eventually([&] { return host.seen().size() == 6; }));
  std::thread stop([&] { server->stop(5'000ms); });

  EXPECT_EQ(events(short_one.reply().body).back(), "[DONE]");  // had the time to finish
  const RawReply chat_reply = chat_stream.reply();
  EXPECT_TRUE(chat_reply.whole);
  EXPECT_EQ(parsed(events(chat_reply.body).back())["error"]["code"], "shutting_down");
  EXPECT_EQ(parsed(events(messages.reply().body).back())["type"], "error");
  EXPECT_EQ(parsed(events(responses.reply().body).back())["type"], "response.failed");
  EXPECT_THAT(lines.reply().body, HasSubstr("{\"error\":\"the server is shutting down\"}\n"));
  EXPECT_EQ(whole.reply().status, 503);
  stop.join();
  EXPECT_TRUE(eventually([&] { return host.running() == 0; }));
  EXPECT_EQ(host.cancelled(), 5);
}

}  // namespace
}  // namespace lathe::serve
