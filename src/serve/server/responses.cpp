// POST /v1/responses, /v1/responses/input_tokens
#include "serve/server/answer.h"
#include "serve/server/chat_reply.h"
#include "serve/server/chat_request.h"
#include "serve/server/endpoints.h"
#include "serve/server/names.h"
#include "serve/server/responses_request.h"

namespace lathe::serve {
namespace {

Json responses_usage(const Usage& usage) {
  return {
      {"input_tokens", usage.prompt_tokens},
      {"input_tokens_details", {{"cached_tokens", usage.cached_tokens}, {"cache_write_tokens", 0}}},
      {"output_tokens", usage.completion_tokens},
      {"output_tokens_details", {{"reasoning_tokens", usage.reasoning_tokens}}},
      {"total_tokens", usage.prompt_tokens + usage.completion_tokens}};
}

Json logprobs_json(const std::vector<LogprobEntry>& entries) {
  Json json = Json::array();
  for (const LogprobEntry& entry : entries) json.push_back(logprob_json(entry));
  return json;
}

Json text_part(const std::string& text, Json logprobs) {
  return {{"type", "output_text"},
          {"text", text},
          {"annotations", Json::array()},
          {"logprobs", std::move(logprobs)}};
}

Json reasoning_part(const std::string& text) {
  return {{"type", "reasoning_text"}, {"text", text}};
}

// Output items: what the model thought, said and called, in the order in which it came. Each is
// opened, grows and is closed before the next; the stream's events and the whole response are made
// from the same items.
class ResponsesWriter : public AnswerWriter {
 public:
  using Namespaced = std::map<std::string, ResponsesRequest::Namespaced>;

  ResponsesWriter(std::string model, ResponsesRequest read)
      : model_(std::move(model)),
        echo_(std::move(read.echo)),
        namespaced_(std::move(read.namespaced)),
        custom_(std::move(read.custom)) {}

  std::string delta(std::size_t, const Delta& delta) override {
    std::string bytes = opening();
    if (!delta.reasoning.empty()) {
      bytes += in_item(Kind::kReasoning);
      text_ += delta.reasoning;
      bytes += event("response.reasoning_text.delta", in_part({{"delta", delta.reasoning}}));
    }
    if (!delta.text.empty()) {
      bytes += in_item(Kind::kMessage);
      text_ += delta.text;
      Json logprobs = logprobs_json(delta.logprobs);
      logprobs_.insert(logprobs_.end(), logprobs.begin(), logprobs.end());
      bytes += event("response.output_text.delta",
                     in_part({{"delta", delta.text}, {"logprobs", std::move(logprobs)}}));
    }
    for (const FunctionCall& call : delta.calls)
      bytes +=
          custom_.contains(call.name) ? custom_events(with_id(call)) : call_events(with_id(call));
    return bytes;
  }

  std::string last(const Replies& replies) override {
    const Reply& reply = replies[0][0];
    const bool cut = reply.finish == FinishReason::kLength;
    std::string bytes = opening();
    bytes += close_item(cut ? "incomplete" : "completed");
    return bytes + event(cut ? "response.incomplete" : "response.completed",
                         {{"response", response(replies)}});
  }

  Json whole(const Replies& replies) override {
    const Reply& reply = replies[0][0];
    delta(0, {"", reply.reasoning});
    delta(0, {reply.text, "", {}, reply.logprobs});
    delta(0, {"", "", reply.calls});
    close_item(reply.finish == FinishReason::kLength ? "incomplete" : "completed");
    return response(replies);
  }

  std::string broken(const ApiError& error) override {
    std::string bytes = opening();
    Json json = response_frame("failed");
    json["error"] = {{"code", failure_code(error)}, {"message", failure_text(error)}};
    return bytes + event("response.failed", {{"response", std::move(json)}});
  }

  // Codex acts on these when they come in the stream.
  bool streams_failure(const ApiError& error) const override {
    return error.code == "context_length_exceeded" || error.code == "queue_full";
  }

 private:
  enum class Kind { kNone, kReasoning, kMessage };

  static std::string failure_code(const ApiError& error) {
    if (error.status == 429) return "rate_limit_exceeded";
    return error.code == "context_length_exceeded" ? error.code : "server_error";
  }

  static std::string failure_text(const ApiError& error) {
    if (error.status != 429) return error.message;
    return fmt::format("{}; try again in {}s", error.message, error.retry_after);
  }

  std::string event(std::string_view name, Json fields) {
    Json data = {{"type", name}, {"sequence_number", sequence_++}};
    data.update(fields);
    return sse_event(name, data);
  }

  Json response_frame(std::string_view status) const {
    Json json = {{"id", id_},        {"object", "response"}, {"created_at", created_},
                 {"status", status}, {"error", nullptr},     {"incomplete_details", nullptr},
                 {"model", model_},  {"output", output_}};
    json.update(echo_);
    return json;
  }

  Json response(const Replies& replies) const {
    const Reply& reply = replies[0][0];
    const bool cut = reply.finish == FinishReason::kLength;
    const bool filtered = reply.finish == FinishReason::kContentFilter;
    Json json = response_frame(cut || filtered ? "incomplete" : "completed");
    if (cut || filtered)
      json["incomplete_details"] = {{"reason", cut ? "max_output_tokens" : "content_filter"}};
    else
      json["completed_at"] = unix_seconds();
    json["usage"] = responses_usage(reply.usage);
    if (reply.seed) json["seed"] = *reply.seed;
    add_warnings(json, replies);
    return json;
  }

  std::string opening() {
    if (std::exchange(opened_, true)) return {};
    std::string bytes = event("response.created", {{"response", response_frame("in_progress")}});
    return bytes + event("response.in_progress", {{"response", response_frame("in_progress")}});
  }

  Json in_part(Json fields) const {
    Json json = {{"item_id", item_id_}, {"output_index", output_.size()}, {"content_index", 0}};
    json.update(fields);
    return json;
  }

  Json item(std::string_view status, Json content) const {
    if (kind_ == Kind::kReasoning)
      return {{"id", item_id_},
              {"type", "reasoning"},
              {"summary", Json::array()},
              {"content", std::move(content)},
              {"status", status}};
    return {{"id", item_id_},
            {"type", "message"},
            {"status", status},
            {"role", "assistant"},
            {"content", std::move(content)}};
  }

  Json part() const {
    return kind_ == Kind::kReasoning ? reasoning_part(text_) : text_part(text_, logprobs_);
  }

  // Opens an item of this kind unless the open one is.
  std::string in_item(Kind kind) {
    if (kind_ == kind) return {};
    std::string bytes = close_item("completed");
    kind_ = kind;
    item_id_ = fresh_id(kind == Kind::kReasoning ? "rs_" : "msg_");
    bytes += event("response.output_item.added", {{"output_index", output_.size()},
                                                  {"item", item("in_progress", Json::array())}});
    return bytes + event("response.content_part.added", in_part({{"part", part()}}));
  }

  std::string close_item(std::string_view status) {
    if (kind_ == Kind::kNone) return {};
    std::string bytes = kind_ == Kind::kReasoning
                            ? event("response.reasoning_text.done", in_part({{"text", text_}}))
                            : event("response.output_text.done",
                                    in_part({{"text", text_}, {"logprobs", logprobs_}}));
    bytes += event("response.content_part.done", in_part({{"part", part()}}));
    Json done = item(status, Json::array({part()}));
    bytes += event("response.output_item.done", {{"output_index", output_.size()}, {"item", done}});
    output_.push_back(std::move(done));
    kind_ = Kind::kNone;
    text_.clear();
    logprobs_ = Json::array();
    return bytes;
  }

  std::string call_events(const FunctionCall& call) {
    std::string bytes = close_item("completed");
    const std::string id = fresh_id("fc_");
    const std::size_t index = output_.size();
    const auto known = namespaced_.find(call.name);
    const std::string& name = known == namespaced_.end() ? call.name : known->second.name;
    const auto item = [&](std::string_view status, const std::string& arguments) {
      Json json = {{"id", id},         {"type", "function_call"},
                   {"status", status}, {"call_id", call.id},
                   {"name", name},     {"arguments", arguments}};
      if (known != namespaced_.end()) json["namespace"] = known->second.space;
      return json;
    };
    bytes += event("response.output_item.added",
                   {{"output_index", index}, {"item", item("in_progress", "")}});
    bytes += event("response.function_call_arguments.delta",
                   {{"item_id", id}, {"output_index", index}, {"delta", call.arguments}});
    bytes += event(
        "response.function_call_arguments.done",
        {{"item_id", id}, {"output_index", index}, {"name", name}, {"arguments", call.arguments}});
    output_.push_back(item("completed", call.arguments));
    return bytes +
           event("response.output_item.done", {{"output_index", index}, {"item", output_.back()}});
  }

  std::string custom_events(const FunctionCall& call) {
    std::string bytes = close_item("completed");
    const std::string id = fresh_id("ctc_"), input = custom_input(call);
    const std::size_t index = output_.size();
    const auto item = [&](std::string_view status, const std::string& text) {
      return Json{{"id", id},           {"type", "custom_tool_call"}, {"status", status},
                  {"call_id", call.id}, {"name", call.name},          {"input", text}};
    };
    bytes += event("response.output_item.added",
                   {{"output_index", index}, {"item", item("in_progress", "")}});
    bytes += event("response.custom_tool_call_input.delta",
                   {{"item_id", id}, {"output_index", index}, {"delta", input}});
    bytes += event("response.custom_tool_call_input.done",
                   {{"item_id", id}, {"output_index", index}, {"input", input}});
    output_.push_back(item("completed", input));
    return bytes +
           event("response.output_item.done", {{"output_index", index}, {"item", output_.back()}});
  }

  const std::string model_;
  const Json echo_;
  const Namespaced namespaced_;
  const std::set<std::string> custom_;
  const std::string id_ = fresh_id("resp_");
  const std::int64_t created_ = unix_seconds();
  bool opened_ = false;
  std::int64_t sequence_ = 0;
  Json output_ = Json::array();  // the items that are closed
  // The open item.
  Kind kind_ = Kind::kNone;
  std::string item_id_, text_;
  Json logprobs_ = Json::array();
};

}  // namespace

Handled responses(ModelHost& host, Call& call) {
  LATHE_TRY(ResponsesRequest read, responses_request(call.body));
  LATHE_TRY(const std::string model, model_of(host, call));
  LATHE_TRY(const ModelInfo info, model_info(host, model));
  // What is drawn with, where the request says nothing.
  if (read.echo["temperature"].is_null())
    read.echo["temperature"] = info.sampling.temperature.value_or(1);
  if (read.echo["top_p"].is_null()) read.echo["top_p"] = info.sampling.top_p.value_or(1);
  Request request = std::move(read.request);
  const bool stream = read.stream;
  return answer(host, call, model, {std::move(request)}, {stream, event_stream()},
                std::make_unique<ResponsesWriter>(model, std::move(read)));
}

Handled input_tokens(ModelHost& host, Call& call) {
  LATHE_TRY(const ResponsesRequest read, responses_request(call.body));
  LATHE_TRY(const std::string model, model_of(host, call));
  return answer_tokens(
      host, call,
      [&](ModelHost::OnTokens on_tokens) {
        return host.prompt_of(model, read.request, std::move(on_tokens));
      },
      [](const std::vector<std::int32_t>& ids) {
        return json_reply({{"object", "response.input_tokens"}, {"input_tokens", ids.size()}});
      });
}

}  // namespace lathe::serve
