// POST /api/chat, /api/generate: Ollama's answers, a line of JSON each.
#include <chrono>

#include "ground/base/clock.h"
#include "ground/base/text.h"
#include "serve/server/answer.h"
#include "serve/server/chat_reply.h"
#include "serve/server/endpoints.h"
#include "serve/server/ollama_request.h"

namespace lathe::serve {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

std::int64_t nanoseconds(SteadyTime from, SteadyTime to) {
  return std::chrono::nanoseconds(to - from).count();
}

HttpStreamHead line_stream() {
  return {"application/x-ndjson", {{"Cache-Control", "no-cache"}}};
}

// Both endpoints: a chat's text stands in a message, a generation's beside the rest.
class OllamaWriter : public AnswerWriter {
 public:
  OllamaWriter(std::string model, bool chat) : model_(std::move(model)), chat_(chat) {}

  std::string delta(std::size_t, const Delta& delta) override {
    if (first_ == SteadyTime()) first_ = std::chrono::steady_clock::now();
    if (delta.text.empty() && delta.reasoning.empty() && delta.calls.empty()) return {};
    return line(frame(delta.text, delta.reasoning, delta.calls, delta.logprobs));
  }

  std::string last(const Replies& replies) override {
    Json json = frame("", "", {}, {});
    json.update(ending(replies[0][0]));
    add_warnings(json, replies);
    return line(json);
  }

  Json whole(const Replies& replies) override {
    const Reply& reply = replies[0][0];
    Json json = frame(reply.text, reply.reasoning, reply.calls, reply.logprobs);
    json.update(ending(reply));
    add_warnings(json, replies);
    return json;
  }

  std::string broken(const ApiError& error) override {
    return line(error_json(Dialect::kOllama, error));
  }

 private:
  static std::string line(const Json& json) { return dump_json(json) + "\n"; }

  Json frame(const std::string& text, const std::string& thinking,
             const std::vector<FunctionCall>& calls,
             const std::vector<LogprobEntry>& logprobs) const {
    Json json = {{"model", model_}, {"created_at", format_utc(system_clock().unix_ms())}};
    Json said = {{chat_ ? "content" : "response", text}};
    if (!thinking.empty()) said["thinking"] = thinking;
    for (const FunctionCall& call : calls) {
      const auto arguments = parse_json(call.arguments);
      said["tool_calls"].push_back(
          {{"id", with_id(call).id},
           {"function",
            {{"name", call.name}, {"arguments", arguments ? *arguments : Json::object()}}}});
    }
    if (chat_) {
      json["message"] = {{"role", "assistant"}};
      json["message"].update(said);
    } else {
      json.update(said);
    }
    for (const LogprobEntry& entry : logprobs) json["logprobs"].push_back(logprob_json(entry));
    json["done"] = false;
    return json;
  }

  Json ending(const Reply& reply) const {
    const auto now = std::chrono::steady_clock::now();
    const SteadyTime first = first_ == SteadyTime() ? now : first_;
    return {{"seed", reply.seed ? Json(*reply.seed) : Json()},
            {"done", true},
            {"done_reason", reply.finish == FinishReason::kLength ? "length" : "stop"},
            {"total_duration", nanoseconds(start_, now)},
            {"load_duration", 0},
            {"prompt_eval_count", reply.usage.prompt_tokens},
            {"prompt_eval_duration", nanoseconds(start_, first)},
            {"eval_count", reply.usage.completion_tokens},
            {"eval_duration", nanoseconds(first, now)}};
  }

  const std::string model_;
  const bool chat_;
  const SteadyTime start_ = std::chrono::steady_clock::now();
  SteadyTime first_;
};

// No words: the model is only to come or, with keep_alive 0, to go.
Handled load_or_unload(ModelHost& host, Call& call, const std::string& model, bool chat) {
  const bool unload = json_number(call.body, "keep_alive", 1) == 0;
  const Status status = unload ? host.unload(model) : host.load(model);
  if (!status) return std::unexpected(api_error(status.error()));
  Json json = {{"model", model},
               {"created_at", format_utc(system_clock().unix_ms())},
               {"done", true},
               {"done_reason", unload ? "unload" : "load"}};
  if (chat)
    json["message"] = {{"role", "assistant"}, {"content", ""}};
  else
    json["response"] = "";
  return HttpReply{200, dump_json(json) + "\n", "application/x-ndjson"};
}

Handled ollama_answer(ModelHost& host, Call& call, ApiResult<OllamaRequest> read, bool chat) {
  if (!read) return std::unexpected(read.error());
  if (read->empty) {
    LATHE_TRY(const std::string model, exact_model_of(host, call));
    return load_or_unload(host, call, model, chat);
  }
  LATHE_TRY(const std::string model, model_of(host, call));
  return answer(host, call, model, {std::move(read->request)}, {read->stream, line_stream()},
                std::make_unique<OllamaWriter>(model, chat));
}

}  // namespace

Handled ollama_chat(ModelHost& host, Call& call) {
  return ollama_answer(host, call, ollama_chat_request(call.body), true);
}

Handled ollama_generate(ModelHost& host, Call& call) {
  return ollama_answer(host, call, ollama_generate_request(call.body), false);
}

}  // namespace lathe::serve
