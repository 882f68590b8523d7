// POST /v1/messages, /v1/messages/count_tokens: Anthropic's API.
#include "serve/server/answer.h"
#include "serve/server/chat_reply.h"
#include "serve/server/endpoints.h"
#include "serve/server/messages_request.h"
#include "serve/server/names.h"

namespace lathe::serve {
namespace {

std::string_view stop_reason(const Reply& reply) {
  if (!reply.calls.empty()) return "tool_use";
  if (!reply.stopped_by.empty()) return "stop_sequence";
  if (reply.finish == FinishReason::kLength) return "max_tokens";
  return reply.finish == FinishReason::kContentFilter ? "refusal" : "end_turn";
}

Json stop_sequence(const Reply& reply) {
  return reply.stopped_by.empty() ? Json() : Json(reply.stopped_by);
}

// Tokens that were remembered are not counted among the input here.
Json messages_usage(const Usage& usage) {
  return {{"input_tokens", usage.prompt_tokens - usage.cached_tokens},
          {"cache_creation_input_tokens", 0},
          {"cache_read_input_tokens", usage.cached_tokens},
          {"output_tokens", usage.completion_tokens}};
}

Json arguments_json(const std::string& text) {
  const auto arguments = parse_json(text);
  return arguments && arguments->is_object() ? *arguments : Json::object();
}

class MessagesWriter : public AnswerWriter {
 public:
  explicit MessagesWriter(std::string model) : model_(std::move(model)) {}

  std::string delta(std::size_t, const Delta& delta) override {
    std::string bytes = opening({.prompt_tokens = delta.prompt_tokens});
    if (!delta.reasoning.empty()) {
      bytes += in_block("thinking", {{"type", "thinking"}, {"thinking", ""}, {"signature", ""}});
      bytes += block_delta({{"type", "thinking_delta"}, {"thinking", delta.reasoning}});
    }
    if (!delta.text.empty()) {
      bytes += in_block("text", {{"type", "text"}, {"text", ""}});
      bytes += block_delta({{"type", "text_delta"}, {"text", delta.text}});
    }
    for (const FunctionCall& call : delta.calls) {
      bytes += close_block();
      bytes += in_block("tool_use", {{"type", "tool_use"},
                                     {"id", with_id(call).id},
                                     {"name", call.name},
                                     {"input", Json::object()}});
      bytes += block_delta({{"type", "input_json_delta"}, {"partial_json", call.arguments}});
    }
    return bytes;
  }

  std::string last(const Replies& replies) override {
    const Reply& reply = replies[0][0];
    std::string bytes = opening(reply.usage);
    bytes += close_block();
    Json fields = {
        {"delta", {{"stop_reason", stop_reason(reply)}, {"stop_sequence", stop_sequence(reply)}}},
        {"usage", messages_usage(reply.usage)}};
    add_warnings(fields, replies);
    bytes += event("message_delta", std::move(fields));
    return bytes + event("message_stop", Json::object());
  }

  Json whole(const Replies& replies) override {
    const Reply& reply = replies[0][0];
    Json content = Json::array();
    if (!reply.reasoning.empty())
      content.push_back({{"type", "thinking"}, {"thinking", reply.reasoning}, {"signature", ""}});
    if (!reply.text.empty()) content.push_back({{"type", "text"}, {"text", reply.text}});
    for (const FunctionCall& call : reply.calls)
      content.push_back({{"type", "tool_use"},
                         {"id", with_id(call).id},
                         {"name", call.name},
                         {"input", arguments_json(call.arguments)}});
    Json json = frame(std::move(content), reply.usage);
    json["stop_reason"] = stop_reason(reply);
    json["stop_sequence"] = stop_sequence(reply);
    add_warnings(json, replies);
    return json;
  }

  std::string broken(const ApiError& error) override {
    return sse_event("error", error_json(Dialect::kAnthropic, error));
  }

 private:
  Json frame(Json content, const Usage& usage) const {
    return {{"id", id_},
            {"type", "message"},
            {"role", "assistant"},
            {"model", model_},
            {"content", std::move(content)},
            {"stop_reason", nullptr},
            {"stop_sequence", nullptr},
            {"usage", messages_usage(usage)}};
  }

  // The name stands in the data too.
  static std::string event(std::string_view name, Json fields) {
    Json data = {{"type", name}};
    data.update(fields);
    return sse_event(name, data);
  }

  // Says what the prompt came to; message_delta says at the end how much of it was remembered.
  std::string opening(Usage usage) {
    if (std::exchange(opened_, true)) return {};
    usage.completion_tokens = 0;
    return event("message_start", {{"message", frame(Json::array(), usage)}});
  }

  // Opens a block unless the open one is of this type.
  std::string in_block(std::string_view type, Json block) {
    if (block_type_ == type) return {};
    std::string bytes = close_block();
    block_type_ = type;
    return bytes +
           event("content_block_start", {{"index", block_}, {"content_block", std::move(block)}});
  }

  std::string block_delta(Json delta) const {
    return event("content_block_delta", {{"index", block_}, {"delta", std::move(delta)}});
  }

  std::string close_block() {
    if (block_type_.empty()) return {};
    block_type_.clear();
    return event("content_block_stop", {{"index", block_++}});
  }

  const std::string model_;
  const std::string id_ = fresh_id("msg_");
  bool opened_ = false;
  std::string block_type_;  // of the open block; empty: none is
  int block_ = 0;
};

}  // namespace

Handled messages(ModelHost& host, Call& call) {
  LATHE_TRY(Request request, messages_request(call.body));
  Fields body(call.body);
  const bool stream = body.flag("stream", false);
  if (const auto status = body.status(); !status) return std::unexpected(status.error());
  LATHE_TRY(const std::string model, model_of(host, call));
  return answer(host, call, model, {std::move(request)}, {stream, event_stream()},
                std::make_unique<MessagesWriter>(model));
}

Handled count_tokens(ModelHost& host, Call& call) {
  LATHE_TRY(const Request request, messages_request(call.body));
  LATHE_TRY(const std::string model, model_of(host, call));
  return answer_tokens(
      host, call,
      [&](ModelHost::OnTokens on_tokens) {
        return host.prompt_of(model, request, std::move(on_tokens));
      },
      [](const std::vector<std::int32_t>& ids) {
        return json_reply({{"input_tokens", ids.size()}});
      });
}

}  // namespace lathe::serve
