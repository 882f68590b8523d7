// Anthropic's messages: the request, and the events of its answer.
#include <algorithm>

#include "ground/base/text.h"
#include "serve/net/api_dialect.h"
#include "serve/net/plain_stream.h"

namespace lathe::serve {
namespace {

constexpr std::size_t kMaxBlocks = 4096;  // of one answer

std::string messages_path(const std::string&) {
  return "/messages";
}

std::vector<std::string> messages_headers(const std::string& key) {
  std::vector<std::string> headers{"anthropic-version: 2023-06-01"};
  if (!key.empty()) headers.push_back("x-api-key: " + key);
  return headers;
}

Result<Json> blocks_of(const Content& content) {
  Json blocks = Json::array();
  for (const ContentPart& part : content.parts()) {
    if (const auto* text = std::get_if<std::string>(&part)) {
      if (!text->empty()) blocks.push_back({{"type", "text"}, {"text", *text}});
      continue;
    }
    const auto& media = std::get<Media>(part);
    if (media.kind != Media::Kind::kPicture)
      return invalid("Anthropic's API takes no sounds, and the prompt holds {}", media.name());
    blocks.push_back({{"type", "image"},
                      {"source",
                       {{"type", "base64"},
                        {"media_type", media.media_type},
                        {"data", to_base64(*media.bytes)}}}});
  }
  return blocks;
}

// A call's arguments are an object there.
Result<Json> tool_use(const FunctionCall& call) {
  auto input = parse_json(call.arguments.empty() ? "{}" : call.arguments);
  if (!input || !input->is_object())
    return invalid("the arguments of the call of '{}' are no JSON object",
                   clip_utf8(call.name, 100));
  return Json{
      {"type", "tool_use"}, {"id", call.id}, {"name", call.name}, {"input", *std::move(input)}};
}

Result<Json> blocks_of(const Message& message) {
  LATHE_TRY(Json blocks, blocks_of(message.content));
  if (message.role == "tool")
    return Json::array({{{"type", "tool_result"},
                         {"tool_use_id", message.call_id},
                         {"content", std::move(blocks)}}});
  for (const FunctionCall& call : message.calls) {
    LATHE_TRY(Json use, tool_use(call));
    blocks.push_back(std::move(use));
  }
  return blocks;
}

// What stands at the front of role system is apart; what follows is said by turns.
Status put_messages(Json& body, const Talk& talk) {
  std::string system;
  Json turns = Json::array();
  for (const Message& message : talk.messages) {
    if (message.role == "system") {
      if (!turns.empty() || !message.content.is_text())
        return invalid(
            "Anthropic's API takes a system message of text alone, before all others; this talk "
            "has another");
      if (!system.empty()) system += "\n\n";
      system += message.content.text();
      continue;
    }
    LATHE_TRY(Json blocks, blocks_of(message));
    if (blocks.empty()) continue;
    const char* role = message.role == "assistant" ? "assistant" : "user";
    // Results of several calls belong into one message.
    if (!turns.empty() && json_string(turns.back(), "role") == role) {
      for (Json& block : blocks) turns.back()["content"].push_back(std::move(block));
    } else {
      turns.push_back({{"role", role}, {"content", std::move(blocks)}});
    }
  }
  if (!system.empty()) body["system"] = system;
  body["messages"] = std::move(turns);
  return {};
}

void put_tools_of_messages(Json& body, const Talk& talk) {
  if (talk.tools.empty()) return;
  for (const Tool& tool : talk.tools) {
    Json& each = body["tools"].emplace_back(Json{{"name", tool.name}});
    if (tool.description) each["description"] = *tool.description;
    each["input_schema"] = tool.parameters.is_object() ? tool.parameters : Json{{"type", "object"}};
    if (tool.strict.value_or(false)) each["strict"] = true;
  }
  Json choice = {{"type", "auto"}};
  if (std::holds_alternative<NoCall>(talk.tool_choice)) choice["type"] = "none";
  if (const auto* must = std::get_if<MustCall>(&talk.tool_choice)) {
    choice["type"] = must->tool.empty() ? "any" : "tool";
    if (!must->tool.empty()) choice["name"] = must->tool;
  }
  if (!talk.parallel_calls && choice["type"] != "none") choice["disable_parallel_tool_use"] = true;
  body["tool_choice"] = std::move(choice);
}

Result<Json> messages_body(const Request& request, const std::string& model, PeerKind) {
  if (request.max_tokens <= 0)
    return invalid("Anthropic's API needs a bound on an answer: set max_tokens");
  if (request.top_logprobs >= 0) return invalid("Anthropic's API gives no log probabilities");
  if (request.candidates != 1) return invalid("Anthropic's API gives one answer at a time");
  const Sampling& sampling = request.sampling;
  if (sampling.temperature.value_or(0) > 1)
    return invalid("Anthropic's API takes temperatures up to 1, not {}", *sampling.temperature);
  Json body = {{"model", model}, {"max_tokens", request.max_tokens}};
  const Talk& talk = *request.talk();
  LATHE_TRY_STATUS(put_messages(body, talk));
  put_tools_of_messages(body, talk);
  if (sampling.temperature) body["temperature"] = *sampling.temperature;
  if (sampling.top_p) body["top_p"] = *sampling.top_p;
  if (sampling.top_k) body["top_k"] = *sampling.top_k;
  if (!request.stop.empty()) body["stop_sequences"] = request.stop;
  if (const auto* under = std::get_if<SchemaForm>(&request.form))
    body["output_config"] = {{"format", {{"type", "json_schema"}, {"schema", under->schema}}}};
  body["stream"] = true;
  return body;
}

class MessagesStream : public PlainStream {
 public:
  using PlainStream::PlainStream;

 protected:
  Status take(const Json& event) override {
    const std::string type = json_string(event, "type");
    if (type == "message_start") {
      const Json& message = json_at(event, "message");
      reply_.model = json_string(message, "model");
      count(json_at(message, "usage"));
    } else if (type == "content_block_start") {
      return begin_block(event);
    } else if (type == "content_block_delta") {
      return go_on(event);
    } else if (type == "message_delta") {
      count(json_at(event, "usage"));
      return stop(json_at(event, "delta"));
    } else if (type == "message_stop") {
      done_ = true;
    } else if (type == "message") {
      return whole(event);
    } else if (type == "error") {
      return refuse(event);
    }
    return {};  // "ping", "content_block_stop", and what may come to be
  }

 private:
  // Cached tokens stand beside the others there.
  void count(const Json& usage) {
    if (!usage.is_object()) return;
    Usage& sum = reply_.usage;
    if (usage.contains("input_tokens")) {
      sum.cached_tokens = count_in(usage, "cache_read_input_tokens");
      sum.prompt_tokens = count_in(usage, "input_tokens") + sum.cached_tokens +
                          count_in(usage, "cache_creation_input_tokens");
      sum.counted = true;
    }
    if (usage.contains("output_tokens")) sum.completion_tokens = count_in(usage, "output_tokens");
  }

  Status begin_block(const Json& event) {
    const Json& block = json_at(event, "content_block");
    const std::string type = json_string(block, "type");
    if (type == "text") return say(json_string(block, "text"), {});
    if (type == "thinking") return say({}, json_string(block, "thinking"));
    if (type != "tool_use") return {};
    if (reply_.calls.size() >= kMaxBlocks) return invalid("the reply calls too many tools");
    const std::string name = json_string(block, "name");
    const Json& input = json_at(block, "input");
    // Streamed arguments follow an empty object.
    std::string arguments = input.is_object() && !input.empty() ? dump_json(input) : "";
    LATHE_TRY_STATUS(grow(name.size() + arguments.size()));
    reply_.calls.push_back({json_string(block, "id"), name, std::move(arguments)});
    open_ = json_int(event, "index", -1);
    return {};
  }

  Status go_on(const Json& event) {
    const Json& delta = json_at(event, "delta");
    const std::string type = json_string(delta, "type");
    if (type == "text_delta") return say(json_string(delta, "text"), {});
    if (type == "thinking_delta") return say({}, json_string(delta, "thinking"));
    if (type != "input_json_delta" || reply_.calls.empty() || json_int(event, "index", -1) != open_)
      return {};
    const std::string piece = json_string(delta, "partial_json");
    LATHE_TRY_STATUS(grow(piece.size()));
    reply_.calls.back().arguments += piece;
    return {};
  }

  Status stop(const Json& delta) {
    const std::string reason = json_string(delta, "stop_reason");
    if (reason.empty()) return {};
    for (FunctionCall& call : reply_.calls)
      if (call.arguments.empty()) call.arguments = "{}";
    if (reason == "stop_sequence") reply_.stopped_by = json_string(delta, "stop_sequence");
    if (reason == "end_turn" || reason == "stop_sequence")
      end(FinishReason::kStop);
    else if (reason == "max_tokens" || reason == "model_context_window_exceeded")
      end(FinishReason::kLength);
    else if (reason == "tool_use")
      end(FinishReason::kToolCalls);
    else if (reason == "refusal")
      end(FinishReason::kContentFilter);
    else
      return std::unexpected(broken_off(reason));
    return {};
  }

  // An answer that was not streamed.
  Status whole(const Json& message) {
    reply_.model = json_string(message, "model");
    count(json_at(message, "usage"));
    const Json& blocks = json_at(message, "content");
    if (blocks.is_array())
      for (const Json& block : blocks) LATHE_TRY_STATUS(begin_block({{"content_block", block}}));
    return stop(message);
  }

  Status refuse(const Json& event) {
    const Json& error = json_at(event, "error");
    const std::string type = json_string(error, "type");
    refused_ = type != "overloaded_error" && type != "api_error" && type != "rate_limit_error" &&
               type != "timeout_error";
    return std::unexpected(broken_off(fmt::format("{}: {}", type, json_string(error, "message"))));
  }

  std::int64_t open_ = -1;  // the block whose call is being written
};

std::unique_ptr<AnswerStream> messages_stream(std::function<void(const Delta&)> on_delta) {
  return std::make_unique<MessagesStream>(std::move(on_delta));
}

}  // namespace

const ApiDialect& anthropic_dialect() {
  static constexpr ApiDialect kAnthropic{"anthropic",      "/v1",         messages_path,
                                         messages_headers, messages_body, messages_stream};
  return kAnthropic;
}

}  // namespace lathe::serve
