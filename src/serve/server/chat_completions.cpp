// POST /v1/chat/completions
#include <set>

#include "serve/server/answer.h"
#include "serve/server/chat_reply.h"
#include "serve/server/chat_request.h"
#include "serve/server/endpoints.h"
#include "serve/server/names.h"

namespace lathe::serve {
namespace {

class ChatWriter : public AnswerWriter {
 public:
  ChatWriter(std::string model, const Request& request, std::set<std::string> custom,
             bool include_usage)
      : model_(std::move(model)),
        custom_(std::move(custom)),
        logprobs_(request.top_logprobs >= 0),
        include_usage_(include_usage),
        calls_(static_cast<std::size_t>(request.candidates)) {}

  std::string delta(std::size_t, const Delta& delta) override {
    std::string bytes = opening();
    if (!delta.reasoning.empty())
      bytes += chunk(delta.candidate, {{"reasoning_content", delta.reasoning}});
    if (!delta.text.empty() || !delta.logprobs.empty())
      bytes += chunk(delta.candidate, {{"content", delta.text}}, nullptr, &delta.logprobs);
    for (const FunctionCall& call : delta.calls) bytes += call_chunks(delta.candidate, call);
    return bytes;
  }

  std::string last(const Replies& replies) override {
    std::string bytes = opening();
    for (std::size_t i = 0; i < replies[0].size(); ++i)
      bytes += chunk(static_cast<int>(i), Json::object(), chat_finish_reason(replies[0][i]),
                     nullptr, &replies[0][i].warnings);
    if (include_usage_) {
      Json json = frame("chat.completion.chunk", Json::array());
      json["usage"] = chat_usage_json(usage_of(replies));
      if (const auto seed = replies[0][0].seed) json["seed"] = *seed;
      bytes += sse_data(json);
    }
    return bytes + "data: [DONE]\n\n";
  }

  Json whole(const Replies& replies) override {
    Json choices = Json::array();
    for (const Reply& reply : replies[0]) choices.push_back(choice(reply, choices.size()));
    Json json = frame("chat.completion", std::move(choices));
    json["usage"] = chat_usage_json(usage_of(replies));
    if (const auto seed = replies[0][0].seed) json["seed"] = *seed;
    add_warnings(json, replies);
    return json;
  }

  std::string broken(const ApiError& error) override {
    return sse_data(error_json(Dialect::kOpenAi, error));
  }

 private:
  Json frame(std::string_view object, Json choices) const {
    return {{"id", id_},
            {"object", object},
            {"created", created_},
            {"model", model_},
            {"choices", std::move(choices)}};
  }

  // The first chunk of each candidate says who speaks.
  std::string opening() {
    if (std::exchange(opened_, true)) return {};
    std::string bytes;
    for (std::size_t i = 0; i < calls_.size(); ++i)
      bytes += chunk(static_cast<int>(i), {{"role", "assistant"}, {"content", ""}});
    return bytes;
  }

  std::string chunk(int candidate, Json delta, Json finish = nullptr,
                    const std::vector<LogprobEntry>* logprobs = nullptr,
                    const std::vector<std::string>* warnings = nullptr) const {
    Json choice = {{"index", candidate},
                   {"delta", std::move(delta)},
                   {"logprobs", nullptr},
                   {"finish_reason", std::move(finish)}};
    if (logprobs_ && logprobs) choice["logprobs"] = chat_logprobs_json(*logprobs);
    Json json = frame("chat.completion.chunk", Json::array({std::move(choice)}));
    if (include_usage_) json["usage"] = nullptr;
    if (warnings && !warnings->empty()) json["warnings"] = *warnings;
    return sse_data(json);
  }

  std::string call_chunks(int candidate, const FunctionCall& given) {
    const FunctionCall call = with_id(given);
    const int index = calls_[static_cast<std::size_t>(candidate)]++;
    if (custom_.contains(call.name)) {
      Json whole = call_json(call);
      whole["index"] = index;
      return chunk(candidate, {{"tool_calls", Json::array({std::move(whole)})}});
    }
    Json opening = tool_call_json({call.id, call.name, ""});
    opening["index"] = index;
    return chunk(candidate, {{"tool_calls", Json::array({std::move(opening)})}}) +
           chunk(candidate,
                 {{"tool_calls", Json::array({{{"index", index},
                                               {"function", {{"arguments", call.arguments}}}}})}});
  }

  Json call_json(const FunctionCall& call) const {
    if (!custom_.contains(call.name)) return tool_call_json(call);
    return {{"id", call.id},
            {"type", "custom"},
            {"custom", {{"name", call.name}, {"input", custom_input(call)}}}};
  }

  Json choice(const Reply& reply, std::size_t index) const {
    Json message = {{"role", "assistant"}, {"content", reply.text}, {"refusal", nullptr}};
    if (reply.text.empty() && !reply.calls.empty()) message["content"] = nullptr;
    if (!reply.reasoning.empty()) message["reasoning_content"] = reply.reasoning;
    for (const FunctionCall& call : reply.calls)
      message["tool_calls"].push_back(call_json(with_id(call)));
    return {{"index", index},
            {"message", std::move(message)},
            {"logprobs", logprobs_ ? chat_logprobs_json(reply.logprobs) : Json()},
            {"finish_reason", chat_finish_reason(reply)}};
  }

  const std::string model_;
  const std::set<std::string> custom_;  // names of tools that take free text
  const bool logprobs_, include_usage_;
  const std::string id_ = fresh_id("chatcmpl-");
  const std::int64_t created_ = unix_seconds();
  std::vector<int> calls_;  // made so far, of each candidate
  bool opened_ = false;
};

}  // namespace

Handled chat_completions(ModelHost& host, Call& call) {
  LATHE_TRY(Request request, chat_request(call.body));
  Fields body(call.body);
  const bool stream = body.flag("stream", false);
  const bool usage = body.within("stream_options").flag("include_usage", false);
  if (const auto status = body.status(); !status) return std::unexpected(status.error());
  LATHE_TRY(const std::string model, model_of(host, call));
  std::set<std::string> custom;
  for (const Json& tool : body.array("tools"))
    if (json_string(tool, "type") == "custom")
      custom.insert(json_string(json_at(tool, "custom"), "name"));
  auto writer = std::make_unique<ChatWriter>(model, request, std::move(custom), usage);
  return answer(host, call, model, {std::move(request)}, {stream, event_stream()},
                std::move(writer));
}

}  // namespace lathe::serve
