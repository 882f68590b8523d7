// POST /v1/completions: a text, texts, or token ids, gone on with as they are.
#include <cmath>
#include <limits>
#include <span>

#include "serve/server/answer.h"
#include "serve/server/chat_reply.h"
#include "serve/server/chat_request.h"
#include "serve/server/endpoints.h"
#include "serve/server/names.h"
#include "serve/server/text_inputs.h"

namespace lathe::serve {
namespace {

constexpr std::size_t kMaxPrompts = 256;

class CompletionWriter : public AnswerWriter {
 public:
  CompletionWriter(std::string model, const HostRequest& request, bool include_usage,
                   std::vector<std::string> echoes)
      : model_(std::move(model)),
        logprobs_(request.top_logprobs >= 0),
        prompt_logprobs_(request.prompt_logprobs),
        include_usage_(include_usage),
        candidates_(static_cast<std::size_t>(request.candidates)),
        echoes_(std::move(echoes)),
        lengths_(echoes_.size() * candidates_, 0) {}

  std::string delta(std::size_t index, const Delta& delta) override {
    if (delta.text.empty() && delta.logprobs.empty()) return {};
    const std::size_t choice = index * candidates_ + static_cast<std::size_t>(delta.candidate);
    const std::string bytes = opening();
    return bytes + chunk(choice, delta.text, nullptr, logprobs_json(choice, {}, delta.logprobs));
  }

  std::string last(const Replies& replies) override {
    std::string bytes = opening();
    for (std::size_t i = 0; i < replies.size(); ++i)
      for (std::size_t k = 0; k < replies[i].size(); ++k) {
        const std::size_t index = i * candidates_ + k;
        // Of a stream with the prompt's, this is all.
        if (prompt_logprobs_)
          bytes += chunk(index, echoes_[i], nullptr, logprobs_json(index, replies[i], {}));
        bytes += chunk(index, "", chat_finish_reason(replies[i][k]));
      }
    if (include_usage_) {
      Json json = frame(Json::array());
      json["usage"] = chat_usage_json(usage_of(replies));
      bytes += sse_data(json);
    }
    return bytes + "data: [DONE]\n\n";
  }

  Json whole(const Replies& replies) override {
    Json choices = Json::array();
    for (std::size_t i = 0; i < replies.size(); ++i)
      for (const Reply& reply : replies[i]) {
        const std::size_t index = choices.size();
        if (!prompt_logprobs_) lengths_[index] = echoes_[i].size();
        Json logprobs = logprobs_json(index, replies[i], reply.logprobs);
        choices.push_back(
            choice(index, echoes_[i] + reply.text, chat_finish_reason(reply), std::move(logprobs)));
      }
    Json json = frame(std::move(choices));
    json["usage"] = chat_usage_json(usage_of(replies));
    if (const auto seed = replies[0][0].seed) json["seed"] = *seed;
    add_warnings(json, replies);
    return json;
  }

  std::string broken(const ApiError& error) override {
    return sse_data(error_json(Dialect::kOpenAi, error));
  }

 private:
  Json frame(Json choices) const {
    return {{"id", id_},
            {"object", "text_completion"},
            {"created", created_},
            {"model", model_},
            {"choices", std::move(choices)}};
  }

  static Json choice(std::size_t index, const std::string& text, Json finish, Json logprobs) {
    return {{"text", text},
            {"index", index},
            {"logprobs", std::move(logprobs)},
            {"finish_reason", std::move(finish)}};
  }

  std::string opening() {
    std::string bytes;
    if (std::exchange(opened_, true) || prompt_logprobs_) return bytes;
    for (std::size_t i = 0; i < lengths_.size(); ++i)
      if (const std::string& echo = echoes_[i / candidates_]; !echo.empty()) {
        lengths_[i] = echo.size();
        bytes += chunk(i, echo, nullptr);
      }
    return bytes;
  }

  std::string chunk(std::size_t index, const std::string& text, Json finish,
                    Json logprobs = nullptr) {
    Json json = frame(Json::array({choice(index, text, std::move(finish), std::move(logprobs))}));
    if (include_usage_) json["usage"] = nullptr;
    return sse_data(json);
  }

  // Of the prompt, where they were asked for, and of what follows. Of a prompt's first token
  // nothing is known.
  Json logprobs_json(std::size_t index, std::span<const HostReply> replies,
                     const std::vector<LogprobEntry>& entries) {
    if (!logprobs_) return nullptr;
    Json json = {{"tokens", Json::array()},
                 {"token_logprobs", Json::array()},
                 {"top_logprobs", Json::array()},
                 {"text_offset", Json::array()}};
    if (!replies.empty()) {
      for (const LogprobEntry& entry : replies[0].prompt_logprobs) add_entry(json, index, entry);
    }
    for (const LogprobEntry& entry : entries) add_entry(json, index, entry);
    return json;
  }

  void add_entry(Json& json, std::size_t index, const LogprobEntry& entry) {
    const Json chat = logprob_json(entry);
    const bool known = !std::isnan(entry.logprob);
    Json top = Json::object();
    for (const Json& other : chat["top_logprobs"])
      top[other["token"].get<std::string>()] = other["logprob"];
    json["tokens"].push_back(chat["token"]);
    json["token_logprobs"].push_back(known ? chat["logprob"] : Json());
    json["top_logprobs"].push_back(known ? std::move(top) : Json());
    json["text_offset"].push_back(lengths_[index]);
    // The space before a text's first word is in the vocabulary, not in the text.
    const std::string& echo = echoes_[index / candidates_];
    const bool space = lengths_[index] == 0 && entry.token.starts_with(' ') && !echo.empty() &&
                       !echo.starts_with(' ');
    lengths_[index] += entry.token.size() - (space ? 1 : 0);
  }

  const std::string model_;
  const bool logprobs_, prompt_logprobs_, include_usage_;
  const std::size_t candidates_;
  const std::vector<std::string> echoes_;  // of each prompt; empty texts without `echo`
  const std::string id_ = fresh_id("cmpl-");
  const std::int64_t created_ = unix_seconds();
  std::vector<std::size_t> lengths_;  // written so far, of each choice
  bool opened_ = false;
};

void read_lengths_and_logprobs(Fields& body, HostRequest& request) {
  constexpr std::int64_t kMax = std::numeric_limits<int>::max();
  request.max_tokens = static_cast<int>(body.whole("max_tokens", 0, kMax).value_or(16));
  request.no_answer = request.max_tokens == 0;
  request.candidates = static_cast<int>(body.whole("n", 1, 128).value_or(1));
  if (body.whole("best_of", 1, 128).value_or(request.candidates) != request.candidates)
    body.refuse("best_of", "must be the same as 'n': every answer is given back",
                "unsupported_value");
  // An integer; `true` is what chat clients write.
  if (body.raw("logprobs").is_boolean())
    request.top_logprobs = body.flag("logprobs", false) ? 0 : -1;
  else
    request.top_logprobs = static_cast<int>(body.whole("logprobs", 0, 20).value_or(-1));
}

}  // namespace

Handled completions(ModelHost& host, Call& call) {
  Fields body(call.body);
  HostRequest request;
  request.time_limit = std::chrono::hours(24);
  LATHE_TRY(const std::vector<TextInput> prompts, text_inputs(body, "prompt", kMaxPrompts));
  read_lengths_and_logprobs(body, request);
  read_sampling(body, request);
  read_stop(body, "stop", request);
  read_constraints(body, request);
  const std::string suffix = body.text("suffix").value_or("");
  request.keep_prefix = body.text("prompt_cache_retention").value_or("") == "24h";
  const bool echo = body.flag("echo", false);
  const bool stream = body.flag("stream", false);
  const bool usage = body.within("stream_options").flag("include_usage", false);
  request.prompt_logprobs = echo && request.top_logprobs >= 0;
  if (request.prompt_logprobs && !suffix.empty())
    body.refuse("suffix", "cannot come with 'echo' and 'logprobs'", "unsupported_value");
  const auto is_tokens = [](const TextInput& prompt) { return !prompt.ids.empty(); };
  if (!suffix.empty() && std::ranges::any_of(prompts, is_tokens))
    body.refuse("suffix", "cannot come with a prompt of token ids", "unsupported_value");
  if (request.prompt_logprobs && stream && !request.no_answer)
    body.refuse("stream", "cannot come with 'echo' and 'logprobs' unless 'max_tokens' is 0",
                "unsupported_value");
  if (const auto status = body.status(); !status) return std::unexpected(status.error());
  LATHE_TRY(const std::string model, model_of(host, call));

  std::vector<std::string> echoes(prompts.size());
  std::vector<HostRequest> requests(prompts.size(), request);
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    if (is_tokens(prompts[i]))
      requests[i].ask = TokenPrompt{prompts[i].ids};
    else
      requests[i].ask = TextPrompt{prompts[i].text, suffix};
    if (!echo) continue;
    echoes[i] = prompts[i].text;
    if (!is_tokens(prompts[i])) continue;
    auto text = host.detokenize(model, prompts[i].ids);
    if (!text) return std::unexpected(api_error(text.error()));
    echoes[i] = std::move(*text);
  }
  auto writer = std::make_unique<CompletionWriter>(model, request, usage, std::move(echoes));
  return answer(host, call, model, std::move(requests), {stream, event_stream()},
                std::move(writer));
}

}  // namespace lathe::serve
