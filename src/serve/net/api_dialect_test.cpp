// Anthropic's and Google's APIs: bodies member by member, answers as their documents show them, and
// whatever else may come.
#include "serve/net/api_dialect.h"

#include <gmock/gmock.h>

#include <random>

namespace lathe::serve {
namespace {

using ::testing::HasSubstr;

Json json_of_text(std::string_view text) {
  auto json = parse_json(text);
  EXPECT_TRUE(json) << json.error().message;
  return json ? *json : Json();
}

Request a_request() {
  Request request;
  request.ask = Talk{{{"system", "be brief"}, {"user", "hi"}}};
  request.max_tokens = 64;
  return request;
}

Json body_of(const ApiDialect& api, const Request& request) {
  auto body = api.body(request, "big-1", PeerKind::kCloud);
  EXPECT_TRUE(body) << body.error().message;
  return body ? *body : Json();
}

std::string refusal_of(const ApiDialect& api, const Request& request) {
  const auto body = api.body(request, "big-1", PeerKind::kCloud);
  EXPECT_FALSE(body);
  return body ? "" : body.error().message;
}

// A PNG by its first bytes.
Media picture() {
  return *Media::of_file("\x89PNG\r\n\x1a\nrest");
}
Media sound() {
  return *Media::of_file(std::string("RIFF\x04\0\0\0WAVEfmt ", 16));
}

Request with_tools() {
  Request request = a_request();
  Talk talk;
  talk.messages = {{"user", "weather?"},
                   {"assistant", "I look."},
                   {"tool", "12 degrees"},
                   {"tool", "wind"},
                   {"user", "and now?"}};
  talk.messages[1].calls = {{"call_1", "weather", R"({"city":"Ulm"})"},
                            {"call_2.c2ln", "wind", ""}};
  talk.messages[2].call_id = "call_1";
  talk.messages[3].call_id = "call_2.c2ln";
  talk.tools = {{.name = "weather",
                 .description = "of a city",
                 .parameters = {{"type", "object"}, {"properties", Json::object()}}},
                {.name = "wind"}};
  talk.tool_choice = MustCall{"weather"};
  talk.parallel_calls = false;
  request.ask = talk;
  return request;
}

struct Streamed {
  Result<Reply> reply = std::unexpected(Error());
  Reply deltas;
  bool refused = false, heard = false;
};

Streamed stream_of(const ApiDialect& api, const std::vector<std::string>& events) {
  Streamed streamed;
  const auto stream = api.stream([&](const Delta& delta) {
    streamed.deltas.text += delta.text;
    streamed.deltas.reasoning += delta.reasoning;
    std::ranges::copy(delta.calls, std::back_inserter(streamed.deltas.calls));
  });
  Status status;
  for (const std::string& event : events)
    if (status && !stream->done()) status = stream->event(event);
  streamed.refused = stream->refused();
  streamed.heard = stream->heard();
  streamed.reply = status ? stream->finish() : std::unexpected(status.error());
  return streamed;
}

TEST(AnthropicDialect, WritesARequest) {
  Request request = a_request();
  request.sampling.temperature = 0.5;
  request.sampling.top_k = 40;
  request.sampling.seed = 7;  // a wish that it has no field for
  request.stop = {"END"};
  request.form = SchemaForm{{{"type", "object"}}};
  EXPECT_EQ(body_of(anthropic_dialect(), request), json_of_text(R"({
    "model": "big-1", "max_tokens": 64, "system": "be brief",
    "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
    "temperature": 0.5, "top_k": 40, "stop_sequences": ["END"],
    "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
    "stream": true})"));
  EXPECT_EQ(anthropic_dialect().path("big-1"), "/messages");
  EXPECT_THAT(anthropic_dialect().headers("k"),
              ::testing::ElementsAre("anthropic-version: 2023-06-01", "x-api-key: k"));
}

TEST(AnthropicDialect, WritesCallsAndTheirResults) {
  const Json body = body_of(anthropic_dialect(), with_tools());
  EXPECT_EQ(body["messages"], json_of_text(R"([
    {"role": "user", "content": [{"type": "text", "text": "weather?"}]},
    {"role": "assistant", "content": [{"type": "text", "text": "I look."},
      {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Ulm"}},
      {"type": "tool_use", "id": "call_2.c2ln", "name": "wind", "input": {}}]},
    {"role": "user", "content": [
      {"type": "tool_result", "tool_use_id": "call_1", "content": [{"type": "text", "text": "12 degrees"}]},
      {"type": "tool_result", "tool_use_id": "call_2.c2ln", "content": [{"type": "text", "text": "wind"}]},
      {"type": "text", "text": "and now?"}]}])"));
  EXPECT_EQ(body["tools"], json_of_text(R"([
    {"name": "weather", "description": "of a city", "input_schema": {"type": "object", "properties": {}}},
    {"name": "wind", "input_schema": {"type": "object"}}])"));
  EXPECT_EQ(
      body["tool_choice"],
      json_of_text(R"({"type": "tool", "name": "weather", "disable_parallel_tool_use": true})"));
}

TEST(AnthropicDialect, SendsPicturesAndRefusesWhatItCannotDo) {
  Request request = a_request();
  request.ask = Talk{{{"user", Content("look").add(picture())}}};
  const Json body = body_of(anthropic_dialect(), request);
  const Json& block = body["messages"][0]["content"][1];
  EXPECT_EQ(block["source"]["media_type"], "image/png");
  EXPECT_EQ(block["source"]["data"], "iVBORw0KGgpyZXN0");
  request.ask = Talk{{{"user", Content("hear").add(sound())}}};
  EXPECT_THAT(refusal_of(anthropic_dialect(), request), HasSubstr("takes no sounds"));
  const auto refused = [](auto change) {
    Request asked = a_request();
    change(asked);
    return refusal_of(anthropic_dialect(), asked);
  };
  EXPECT_THAT(refused([](Request& asked) { asked.max_tokens = 0; }), HasSubstr("max_tokens"));
  EXPECT_THAT(refused([](Request& asked) { asked.top_logprobs = 0; }), HasSubstr("log prob"));
  EXPECT_THAT(refused([](Request& asked) { asked.candidates = 2; }), HasSubstr("one answer"));
  EXPECT_THAT(refused([](Request& asked) { asked.sampling.temperature = 1.5; }), HasSubstr("1.5"));
  EXPECT_THAT(refused([](Request& asked) {
                asked.ask = Talk{{{"user", "a"}, {"system", "late"}}};
              }),
              HasSubstr("system message"));
  EXPECT_THAT(refused([](Request& asked) {
                Talk talk{{{"assistant", ""}}};
                talk.messages[0].calls = {{"1", "f", "[1]"}};
                asked.ask = talk;
              }),
              HasSubstr("no JSON object"));
}

// As Anthropic's documents show a stream.
TEST(AnthropicDialect, ReadsAStream) {
  const Streamed streamed = stream_of(
      anthropic_dialect(),
      {R"({"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],"model":"big-1-2026","stop_reason":null,"usage":{"input_tokens":25,"cache_creation_input_tokens":5,"cache_read_input_tokens":70,"output_tokens":1}}})",
       R"({"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":""}})",
       R"({"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}})",
       R"({"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"EqQ"}})",
       R"({"type":"content_block_stop","index":0})",
       R"({"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}})",
       R"({"type":"ping"})",
       R"({"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Okay"}})",
       R"({"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":", wörld"}})",
       R"({"type":"content_block_stop","index":1})",
       R"({"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_1","name":"weather","input":{}}})",
       R"({"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":""}})",
       R"({"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"city\":"}})",
       R"({"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":" \"Ulm\"}"}})",
       R"({"type":"content_block_stop","index":2})",
       R"({"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"toolu_2","name":"now","input":{}}})",
       R"({"type":"content_block_stop","index":3})",
       R"({"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":89}})",
       R"({"type":"message_stop"})"});
  ASSERT_TRUE(streamed.reply) << streamed.reply.error().message;
  const Reply& reply = *streamed.reply;
  EXPECT_EQ(reply.text, "Okay, wörld");
  EXPECT_EQ(reply.reasoning, "hm");
  EXPECT_EQ(reply.model, "big-1-2026");
  EXPECT_EQ(reply.finish, FinishReason::kToolCalls);
  EXPECT_EQ(reply.calls, (std::vector<FunctionCall>{{"toolu_1", "weather", R"({"city": "Ulm"})"},
                                                    {"toolu_2", "now", "{}"}}));
  EXPECT_TRUE(reply.usage.counted);
  EXPECT_EQ(reply.usage.prompt_tokens, 100);
  EXPECT_EQ(reply.usage.cached_tokens, 70);
  EXPECT_EQ(reply.usage.completion_tokens, 89);
  EXPECT_EQ(streamed.deltas.text, reply.text);
  EXPECT_EQ(streamed.deltas.reasoning, reply.reasoning);
  EXPECT_EQ(streamed.deltas.calls, reply.calls);
}

TEST(AnthropicDialect, SaysHowAnAnswerEnded) {
  const auto ended = [](const char* reason) {
    return stream_of(anthropic_dialect(),
                     {fmt::format(R"({{"type":"message","content":[{{"type":"text","text":"x"}}],)"
                                  R"("stop_reason":"{}","stop_sequence":"END"}})",
                                  reason)});
  };
  EXPECT_EQ(ended("end_turn").reply->finish, FinishReason::kStop);
  EXPECT_EQ(ended("max_tokens").reply->finish, FinishReason::kLength);
  EXPECT_EQ(ended("refusal").reply->finish, FinishReason::kContentFilter);
  EXPECT_EQ(ended("stop_sequence").reply->stopped_by, "END");
  EXPECT_FALSE(ended("something new").reply);
  EXPECT_EQ(stream_of(anthropic_dialect(), {}).reply.error().kind, ErrorKind::kUnavailable);
  const auto error = [](const char* type) {
    return stream_of(
        anthropic_dialect(),
        {fmt::format(R"({{"type":"error","error":{{"type":"{}","message":"no"}}}})", type)});
  };
  EXPECT_FALSE(error("overloaded_error").refused) << "worth another try";
  EXPECT_TRUE(error("invalid_request_error").refused);
  EXPECT_THAT(error("overloaded_error").reply.error().message, HasSubstr("overloaded_error: no"));
}

TEST(GeminiDialect, WritesARequest) {
  Request request = a_request();
  request.sampling.temperature = 0.5;
  request.sampling.seed = 7;
  request.stop = {"END"};
  request.form = SchemaForm{{{"type", "object"}}};
  EXPECT_EQ(body_of(gemini_dialect(), request), json_of_text(R"({
    "systemInstruction": {"parts": [{"text": "be brief"}]},
    "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
    "generationConfig": {"maxOutputTokens": 64, "temperature": 0.5, "seed": 7, "stopSequences": ["END"],
      "responseMimeType": "application/json", "responseJsonSchema": {"type": "object"}}})"));
  EXPECT_EQ(gemini_dialect().path("g-3"), "/models/g-3:streamGenerateContent?alt=sse");
  EXPECT_EQ(gemini_dialect().path("tunedModels/g"), "/tunedModels/g:streamGenerateContent?alt=sse");
  EXPECT_THAT(gemini_dialect().headers("k"), ::testing::ElementsAre("x-goog-api-key: k"));
}

TEST(GeminiDialect, WritesCallsWithTheirSignatures) {
  const Json body = body_of(gemini_dialect(), with_tools());
  EXPECT_EQ(body["contents"], json_of_text(R"([
    {"role": "user", "parts": [{"text": "weather?"}]},
    {"role": "model", "parts": [{"text": "I look."},
      {"functionCall": {"name": "weather", "args": {"city": "Ulm"}}},
      {"functionCall": {"name": "wind", "args": {}}, "thoughtSignature": "c2ln"}]},
    {"role": "user", "parts": [
      {"functionResponse": {"name": "weather", "response": {"output": "12 degrees"}}},
      {"functionResponse": {"name": "wind", "response": {"output": "wind"}}},
      {"text": "and now?"}]}])"));
  EXPECT_EQ(body["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"]["type"], "object");
  EXPECT_EQ(body["toolConfig"], json_of_text(R"({"functionCallingConfig":
    {"mode": "ANY", "allowedFunctionNames": ["weather"]}})"));
}

TEST(GeminiDialect, SendsMediaAndRefusesWhatItCannotDo) {
  Request request = a_request();
  request.ask = Talk{{{"user", Content("hear").add(sound()).add(picture())}}};
  const Json body = body_of(gemini_dialect(), request);
  EXPECT_EQ(body["contents"][0]["parts"][1]["inlineData"]["mimeType"], "audio/wav");
  EXPECT_EQ(body["contents"][0]["parts"][2]["inlineData"]["data"], "iVBORw0KGgpyZXN0");
  request = a_request();
  request.top_logprobs = 3;
  EXPECT_THAT(refusal_of(gemini_dialect(), request), HasSubstr("log prob"));
  request = a_request();
  request.candidates = 2;
  EXPECT_THAT(refusal_of(gemini_dialect(), request), HasSubstr("one answer"));
  request = a_request();
  Talk talk{{{"tool", "a result of nothing"}}};
  talk.messages[0].call_id = "call_9";
  request.ask = talk;
  EXPECT_THAT(refusal_of(gemini_dialect(), request), HasSubstr("answers no call"));
}

// As Google's documents show a stream.
TEST(GeminiDialect, ReadsAStream) {
  const Streamed streamed = stream_of(
      gemini_dialect(),
      {R"({"candidates":[{"content":{"parts":[{"text":"hm","thought":true}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":100,"cachedContentTokenCount":70,"totalTokenCount":100},"modelVersion":"g-3-pro","responseId":"r"})",
       R"({"candidates":[{"content":{"parts":[{"text":"Okay"}],"role":"model"},"index":0}],"modelVersion":"g-3-pro"})",
       R"({"candidates":[{"content":{"parts":[{"text":", wörld"},{"functionCall":{"name":"weather","args":{"city":"Ulm"}},"thoughtSignature":"c2ln"}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":100,"candidatesTokenCount":20,"totalTokenCount":189,"cachedContentTokenCount":70,"thoughtsTokenCount":69}})"});
  ASSERT_TRUE(streamed.reply) << streamed.reply.error().message;
  const Reply& reply = *streamed.reply;
  EXPECT_EQ(reply.text, "Okay, wörld");
  EXPECT_EQ(reply.reasoning, "hm");
  EXPECT_EQ(reply.model, "g-3-pro");
  EXPECT_EQ(reply.finish, FinishReason::kToolCalls);
  EXPECT_EQ(reply.calls,
            (std::vector<FunctionCall>{{"call_0.c2ln", "weather", R"({"city":"Ulm"})"}}));
  EXPECT_EQ(reply.usage.prompt_tokens, 100);
  EXPECT_EQ(reply.usage.cached_tokens, 70);
  EXPECT_EQ(reply.usage.completion_tokens, 89);
  EXPECT_EQ(reply.usage.reasoning_tokens, 69);
  EXPECT_EQ(streamed.deltas.text, reply.text);
  EXPECT_EQ(streamed.deltas.calls, reply.calls);
}

TEST(GeminiDialect, SaysHowAnAnswerEnded) {
  const auto ended = [](const char* reason) {
    return stream_of(gemini_dialect(),
                     {fmt::format(R"({{"candidates":[{{"finishReason":"{}"}}]}})", reason)});
  };
  EXPECT_EQ(ended("STOP").reply->finish, FinishReason::kStop);
  EXPECT_EQ(ended("MAX_TOKENS").reply->finish, FinishReason::kLength);
  EXPECT_EQ(ended("SAFETY").reply->finish, FinishReason::kContentFilter);
  EXPECT_FALSE(ended("MALFORMED_FUNCTION_CALL").reply);
  EXPECT_EQ(
      stream_of(gemini_dialect(), {R"({"promptFeedback":{"blockReason":"OTHER"}})"}).reply->finish,
      FinishReason::kContentFilter);
  EXPECT_EQ(
      stream_of(gemini_dialect(), {R"([{"candidates":[{"finishReason":"STOP"}]}])"}).reply->finish,
      FinishReason::kStop)
      << "an array of events";
  const auto busy =
      stream_of(gemini_dialect(), {R"({"error":{"code":503,"message":"overloaded"}})"});
  EXPECT_FALSE(busy.refused);
  EXPECT_TRUE(stream_of(gemini_dialect(), {R"({"error":{"code":400,"message":"no"}})"}).refused);
}

TEST(ApiDialects, ErrorsTellTheirWaitAndMessage) {
  constexpr const char* kBusy =
      R"([{"error":{"code":429,"message":"quota","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.Help"},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34.5s"}]}}])";
  EXPECT_EQ(retry_delay_in(kBusy), Milliseconds(34'500));
  EXPECT_EQ(error_message_of(kBusy), "quota");
  for (const char* body : {"", "[]", "{}", R"({"error":{"details":[{"retryDelay":"nans"}]}})",
                           R"({"error":{"details":[{"retryDelay":"-3s"}]}})",
                           R"({"error":{"details":[{"retryDelay":"34"}]}})"})
    EXPECT_EQ(retry_delay_in(body), Milliseconds(-1)) << body;
  EXPECT_EQ(error_message_of(R"({"type":"error","error":{"type":"a","message":"too long"}})"),
            "too long");
  EXPECT_EQ(find_api_dialect("gemini"), &gemini_dialect());
  EXPECT_EQ(find_api_dialect("other"), nullptr);
}

// Every prefix and many changed bytes of an event: an error or a reply, and nothing else.
TEST(ApiDialects, WhateverComesIsAnErrorOrAReply) {
  const std::vector<std::pair<const ApiDialect*, std::string>> events{
      {&anthropic_dialect(),
       R"({"type":"message","content":[{"type":"tool_use","id":"1","name":"f","input":{"a":[1]}}],"stop_reason":"tool_use","usage":{"input_tokens":9223372036854775807,"cache_read_input_tokens":9223372036854775807,"output_tokens":-5}})"},
      {&gemini_dialect(),
       R"({"candidates":[{"content":{"parts":[{"text":"a","thought":true},{"functionCall":{"name":"f","args":{}}}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":9223372036854775807,"candidatesTokenCount":9223372036854775807,"thoughtsTokenCount":9223372036854775807}})"}};
  std::mt19937 random(1);
  for (const auto& [api, event] : events) {
    const auto whole = stream_of(*api, {event});
    ASSERT_TRUE(whole.reply) << whole.reply.error().message;
    EXPECT_GE(whole.reply->usage.prompt_tokens, 0);
    EXPECT_GE(whole.reply->usage.completion_tokens, 0);
    for (std::size_t length = 0; length < event.size(); ++length)
      EXPECT_FALSE(stream_of(*api, {event.substr(0, length)}).reply);
    for (int i = 0; i < 3000; ++i) {
      std::string changed = event;
      for (int j = 0; j < 3; ++j)
        changed[random() % changed.size()] = "{}[]\",:01aT\\\x80"[random() % 13];
      (void)stream_of(*api, {changed, changed});
    }
  }
}

}  // namespace
}  // namespace lathe::serve
