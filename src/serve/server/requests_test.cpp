// What requests may say in each API, and what answers say back.
#include "serve/server/chat_reply.h"
#include "serve/server/server_test.h"

namespace lathe::serve {
namespace {

constexpr std::string_view kCompletions = "/v1/completions", kChat = "/v1/chat/completions",
                           kResponses = "/v1/responses";

// As harnesses ask: token ids, lists of them, the prompt's tokens and one more.
TEST_F(ServerTest, PromptsAreScored) {
  const Json whole =
      parsed(post(kCompletions, R"({"model": "small", "prompt": [[97, 98, 99], [100, 101]],
                             "max_tokens": 1, "echo": true, "logprobs": 1, "temperature": 0})")
                 .body);
  ASSERT_EQ(whole["choices"].size(), 2U);
  const Json& first = whole["choices"][0];
  EXPECT_EQ(first["text"], "abcYou ");
  const Json& logprobs = first["logprobs"];
  EXPECT_EQ(logprobs["tokens"], (Json{"a", "b", "c", "You "}));
  EXPECT_EQ(logprobs["token_logprobs"][1], -0.25);
  EXPECT_EQ(logprobs["top_logprobs"][1], (Json{{"e", -0.25}}));
  EXPECT_EQ(logprobs["text_offset"], (Json{0, 1, 2, 3}));
  EXPECT_EQ(whole["choices"][1]["logprobs"]["tokens"].size(), 3U);
  EXPECT_TRUE(host.seen().at(0).prompt_logprobs);
  EXPECT_FALSE(host.seen().at(0).no_answer);

  const std::string nothing =
      R"({"model": "small", "prompt": "ab", "max_tokens": 0, "echo": true, "logprobs": 0)";
  const Json alone = parsed(post(kCompletions, nothing + "}").body)["choices"][0];
  EXPECT_EQ(alone["text"], "ab");
  EXPECT_EQ(alone["finish_reason"], "length");
  EXPECT_EQ(alone["logprobs"]["tokens"], (Json{"a", "b"}));
  EXPECT_TRUE(alone["logprobs"]["token_logprobs"][0].is_null());
  EXPECT_TRUE(alone["logprobs"]["top_logprobs"][0].is_null());
  // The same as a stream; and nothing at all.
  const auto chunks = events(post(kCompletions, nothing + R"(, "stream": true})").body);
  EXPECT_EQ(parsed(chunks.at(0))["choices"][0]["text"], "ab");
  EXPECT_EQ(parsed(chunks.at(0))["choices"][0]["logprobs"], alone["logprobs"]);
  EXPECT_EQ(chunks.back(), "[DONE]");
  const Json silent =
      parsed(post(kCompletions, R"({"model": "small", "prompt": "ab", "max_tokens": 0})").body);
  EXPECT_EQ(silent["choices"][0]["text"], "");
  EXPECT_EQ(silent["usage"]["completion_tokens"], 0);
}

TEST_F(ServerTest, WarningsAreInEveryAnswer) {
  const std::string stream = R"("stream": true)";
  const auto has = [&](std::string_view path, const std::string& body) {
    EXPECT_THAT(post(path, body).body, HasSubstr(R"("warnings":["as you wished"])"))
        << path << body;
  };
  for (const char* path : {"/v1/chat/completions", "/v1/messages", "/api/chat"}) {
    has(path, chat("warn me", R"("stream": false)"));
    has(path, chat("warn me", stream));
  }
  for (const char* more : {"false", "true"}) {
    has(kResponses, fmt::format(R"({{"model": "small", "input": "warn me", "stream": {}}})", more));
  }
  has(kCompletions, R"({"model": "small", "prompt": "warn me"})");
  EXPECT_THAT(post(kChat, chat("x")).body, Not(HasSubstr("warnings")));
}

TEST_F(ServerTest, CompletionsAreHeldToASchemaToo) {
  const auto seen = [&](std::string_view path, const std::string& more) {
    const std::size_t before = host.seen().size();
    const bool completion = path == kCompletions;
    EXPECT_EQ(post(path, completion ? R"({"model": "small", "prompt": "x", )" + more + "}"
                                    : chat("x", more))
                  .status,
              200)
        << more;
    return host.seen().at(before);
  };
  for (const std::string_view path : {kCompletions, kChat}) {
    EXPECT_EQ(seen(path, R"("response_format": {"type": "json_object"})").form,
              AnswerForm(AnyJsonForm()));
    for (
        const char* more :
        {R"("response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "null"}}})",
         R"("guided_json": {"type": "null"})", R"("json_schema": {"type": "null"})"})
      EXPECT_EQ(seen(path, more).form, AnswerForm(SchemaForm{{{"type", "null"}}})) << more;
    EXPECT_EQ(seen(path, R"("grammar": "root ::= \"a\"")").form,
              AnswerForm(GrammarForm{"root ::= \"a\""}));
  }
}

std::string custom_body(std::string_view path, const std::string& more = "") {
  const bool chat_form = path == kChat;
  return fmt::format(R"({{"model": "small", {}, "tools": [{}]{}}})",
                     chat_form ? R"("messages": [{"role": "user", "content": "!custom"}])"
                               : R"("input": "!custom")",
                     chat_form
                         ? R"({"type": "custom", "custom": {"name": "patch",
                                     "description": "Changes files.", "format": {"type": "grammar",
                                     "grammar": {"syntax": "lark", "definition": "start: X"}}}})"
                         : R"({"type": "custom", "name": "patch", "description": "Changes files.",
                                     "format": {"type": "grammar", "syntax": "lark", "definition": "start: X"}})",
                     more);
}

TEST_F(ServerTest, CustomToolsTakeText) {
  for (const std::string_view path : {kChat, kResponses}) {
    const bool chat_form = path == kChat;
    const std::size_t before = host.seen().size();
    const Json whole = parsed(post(path, custom_body(path)).body);
    const Tool tool = talk_of(host.seen().at(before)).tools.at(0);
    EXPECT_EQ(tool.name, "patch");
    EXPECT_EQ(tool.parameters["required"], Json{"input"});
    EXPECT_THAT(*tool.description,
                HasSubstr("Changes files.\n\nThe input follows this grammar (lark):\nstart: X"));
    const Json call =
        chat_form ? whole["choices"][0]["message"]["tool_calls"][0] : whole["output"][0];
    EXPECT_EQ(call["type"], chat_form ? "custom" : "custom_tool_call");
    EXPECT_EQ((chat_form ? call["custom"] : call)["name"], "patch");
    EXPECT_EQ((chat_form ? call["custom"] : call)["input"], "*** Begin");
    const std::string streamed = post(path, custom_body(path, R"(, "stream": true)")).body;
    EXPECT_THAT(streamed, HasSubstr(chat_form ? R"("custom":{"name":"patch","input":"*** Begin"})"
                                              : R"(event: response.custom_tool_call_input.done)"));
  }
  // The history has the model's own form.
  EXPECT_EQ(post(kChat, R"({"model": "small", "messages": [{"role": "user", "content": "x"},
      {"role": "assistant", "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "patch", "input": "p"}}]},
      {"role": "tool", "tool_call_id": "c", "content": "done"}]})")
                .status,
            200);
  EXPECT_EQ(talk_of(host.seen().back()).messages[1].calls[0].arguments, R"({"input":"p"})");
}

TEST_F(ServerTest, ToolsMayBeAllowed) {
  const std::string two =
      R"("tools": [{"type": "function", "function": {"name": "f"}}, {"type": "function", "function": {"name": "g"}}])";
  const auto allowed = [&](const char* mode, const char* name) {
    return post(kChat, chat("x", two + fmt::format(R"(, "tool_choice": {{"type": "allowed_tools",
        "allowed_tools": {{"mode": "{}", "tools": [{{"type": "function", "function": {{"name": "{}"}}}}]}}}})",
                                                   mode, name)));
  };
  EXPECT_EQ(allowed("auto", "g").status, 200);
  Talk seen = talk_of(host.seen().back());
  ASSERT_EQ(seen.tools.size(), 1U);
  EXPECT_EQ(seen.tools[0].name, "g");
  EXPECT_EQ(seen.tool_choice, ToolChoice(MayCall()));
  EXPECT_EQ(allowed("required", "f").status, 200);
  EXPECT_EQ(talk_of(host.seen().back()).tool_choice, ToolChoice(MustCall()));
  EXPECT_EQ(parsed(allowed("auto", "h").body)["error"]["param"],
            "tool_choice.allowed_tools.tools[0].function.name");
  EXPECT_EQ(allowed("perhaps", "f").status, 400);
  EXPECT_EQ(post(kResponses, R"({"model": "small", "input": "x",
      "tools": [{"type": "function", "name": "f"}, {"type": "function", "name": "g"}],
      "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]}})")
                .status,
            200);
  seen = talk_of(host.seen().back());
  EXPECT_EQ(seen.tools.size(), 1U);
  EXPECT_EQ(seen.tool_choice, ToolChoice(MustCall()));
}

// A talk that began with another server is taken over: what was said, called and found out is
// there, what only that server knows is left out.
TEST_F(ServerTest, HistoriesOfOtherServers) {
  const RawReply reply = post(kResponses, R"({"model": "small", "input": [
      {"role": "user", "content": "x"},
      {"type": "web_search_call", "id": "ws", "status": "completed"},
      {"type": "compaction", "encrypted_content": "…"},
      {"type": "custom_tool_call", "call_id": "c1", "name": "patch", "input": "p"},
      {"type": "custom_tool_call_output", "call_id": "c1", "output": "done"},
      {"type": "local_shell_call", "call_id": "c2", "action": {"type": "exec", "command": ["ls"]}},
      {"type": "local_shell_call_output", "id": "c2", "output": "a b"}]})");
  EXPECT_EQ(reply.status, 200) << reply.body;
  const auto messages = talk_of(host.seen().back()).messages;
  ASSERT_EQ(messages.size(), 5U);
  EXPECT_EQ(messages[1].calls.at(0).arguments, R"({"input":"p"})");
  EXPECT_EQ(messages[2].content, "done");
  EXPECT_EQ(messages[2].name, "patch");
  EXPECT_EQ(messages[3].calls.at(0).name, "local_shell");
  EXPECT_EQ(messages[4].name, "local_shell");
}

TEST_F(ServerTest, RequestsHaveNames) {
  const RawReply fine = post(kChat, chat("x"));
  const auto header = [](const RawReply& reply, const std::string& name) {
    const auto at = reply.head.find("\r\n" + name + ": ");
    if (at == std::string::npos) return std::string();
    const auto from = at + name.size() + 4;
    return reply.head.substr(from, reply.head.find("\r\n", from) - from);
  };
  EXPECT_THAT(header(fine, "x-request-id"), ::testing::StartsWith("req_"));
  EXPECT_EQ(header(fine, "request-id"), header(fine, "x-request-id"));
  EXPECT_NE(header(post(kChat, chat("x")), "request-id"), header(fine, "request-id"));
  EXPECT_FALSE(header(post(kChat, chat("x", R"("stream": true)")), "x-request-id").empty());
  const RawReply wrong = post("/v1/messages", "{}");
  EXPECT_EQ(parsed(wrong.body)["request_id"], header(wrong, "request-id"));
}

TEST_F(ServerTest, ErrorsOfTheModelNameTheField) {
  const auto param = [&](std::string_view path, const std::string& body) {
    return parsed(post(path, body).body)["error"]["param"];
  };
  const std::string long_text(5000, 'x');
  EXPECT_EQ(param(kChat, chat(long_text)), "messages");
  EXPECT_EQ(param(kCompletions, R"({"model": "small", "prompt": ")" + long_text + "\"}"), "prompt");
  EXPECT_EQ(param(kResponses, R"({"model": "small", "input": ")" + long_text + "\"}"), "input");
  EXPECT_EQ(param("/v1/embeddings", R"({"model": "small", "input": ")" + long_text + "\"}"),
            "input");
  for (const auto& [word, field] : {std::pair("!bad schema", "response_format"),
                                    {"!bad grammar", "grammar"},
                                    {"!bad bias", "logit_bias"},
                                    {"!bad candidates", "n"},
                                    {"!bad suffix", "suffix"},
                                    {"!bad tools", "tools"}}) {
    const RawReply reply = post(kChat, chat(word));
    EXPECT_EQ(reply.status, 400);
    EXPECT_EQ(parsed(reply.body)["error"]["param"], field);
    EXPECT_EQ(parsed(reply.body)["error"]["code"], "unsupported_value");
  }
  const RawReply broken = post(kChat, chat("!bad file"));
  EXPECT_EQ(broken.status, 500);
  EXPECT_EQ(parsed(broken.body)["error"]["type"], "server_error");
  EXPECT_EQ(parsed(broken.body)["error"]["code"], "model_load_failed");
  EXPECT_THAT(broken.head, HasSubstr("x-should-retry: false"));
}

// Ollama cuts what is too long, and this server says so; OpenAI's API refuses it.
TEST_F(ServerTest, TextsToEmbedThatAreTooLong) {
  const std::string text(5000, 'x');
  const auto ollama = [&](const char* more) {
    return post("/api/embed",
                R"({"model": "small", "input": [")" + text + "\", \"y\"]" + more + "}");
  };
  for (const char* more : {"", R"(, "truncate": true)"}) {
    const RawReply reply = ollama(more);
    EXPECT_EQ(reply.status, 200);
    EXPECT_THAT(reply.body, HasSubstr("1 of 2 inputs did not fit"));
    EXPECT_EQ(parsed(reply.body)["prompt_eval_count"], 4096 + 1);
  }
  EXPECT_EQ(ollama(R"(, "truncate": false)").status, 400);
  EXPECT_EQ(post("/v1/embeddings", R"({"model": "small", "input": ")" + text + "\"}").status, 400);
  EXPECT_THAT(post("/api/embed", R"({"model": "small", "input": "y"})").body,
              Not(HasSubstr("warnings")));
}

TEST(ChatUsage, SaysTheEnergyWhereItCouldBeRead) {
  Usage usage;
  EXPECT_FALSE(chat_usage_json(usage).contains("millijoules"));
  EXPECT_FALSE(chat_usage_json(usage).contains("busy_us"));
  usage.busy_us = 7;
  usage.millijoules = 31'400;
  usage.energy_scope = "socket";
  const Json json = chat_usage_json(usage);
  EXPECT_EQ(json["busy_us"], 7);
  EXPECT_EQ(json["millijoules"], 31'400);
  EXPECT_EQ(json["energy_scope"], "socket");
}

TEST_F(ServerTest, RerankSortsAndCounts) {
  for (const char* path : {"/v1/rerank", "/rerank"}) {
    const RawReply reply = post(
        path,
        R"({"model": "small", "query": "ab", "documents": ["b", "aaa", {"text": "a"}, "aaa"]})");
    EXPECT_EQ(reply.status, 200);
    const Json json = parsed(reply.body);
    std::vector<int> order;
    for (const Json& result : json["results"]) order.push_back(result["index"].get<int>());
    EXPECT_EQ(order, (std::vector{1, 3, 2, 0}));
    EXPECT_EQ(json["results"][0]["relevance_score"], 3.0 / 16);
    EXPECT_FALSE(json["results"][0].contains("document"));
    EXPECT_EQ(json["usage"]["total_tokens"], 4 * 2 + 1 + 3 + 1 + 3);
  }
  const Json best =
      parsed(post("/v1/rerank", R"({"model": "small", "query": "a", "documents": ["b", "a"], )"
                                R"("top_n": 1, "return_documents": true})")
                 .body)["results"];
  ASSERT_EQ(best.size(), 1u);
  EXPECT_EQ(best[0]["document"]["text"], "a");
  for (const auto& [body, field] : {std::pair(R"("documents": ["a"])", "query"),
                                    {R"("query": "", "documents": ["a"])", "query"},
                                    {R"("query": "a")", "documents"},
                                    {R"("query": "a", "documents": [])", "documents"},
                                    {R"("query": "a", "documents": ["a", 1])", "documents"},
                                    {R"("query": "a", "documents": ["a"], "top_n": 0)", "top_n"}}) {
    const RawReply reply = post("/v1/rerank", std::string(R"({"model": "small", )") + body + "}");
    EXPECT_EQ(reply.status, 400) << body;
    EXPECT_EQ(parsed(reply.body)["error"]["param"], field) << body;
  }
}

// "large" was made so that the first numbers of its vectors are vectors themselves.
TEST_F(ServerTest, DimensionsWhereTheModelHasThem) {
  const auto embed = [&](const char* model, int dimensions) {
    return post(
        "/v1/embeddings",
        fmt::format(R"({{"model": "{}", "input": "xyz", "dimensions": {}}})", model, dimensions));
  };
  EXPECT_EQ(embed("small", 8).status, 200);
  EXPECT_EQ(embed("small", 4).status, 400);
  EXPECT_EQ(embed("large", 9).status, 400);
  const Json vector = parsed(embed("large", 2).body)["data"][0]["embedding"];
  ASSERT_EQ(vector.size(), 2u);
  EXPECT_NEAR(vector[0].get<double>(), 3 / std::hypot(3, 0.25), 1e-6);
  EXPECT_NEAR(vector[1].get<double>(), 0.25 / std::hypot(3, 0.25), 1e-6);
}

}  // namespace
}  // namespace lathe::serve
