// A conversation: messages in, an answer out piece by piece.
#include "app/cli/chat.h"

#include "app/cli/chat_content.h"
#include "ground/base/text.h"
#include "work/tool_turn.h"

namespace lathe::app {
namespace {

using Instant = std::chrono::steady_clock::time_point;

double seconds_between(Instant from, Instant to) {
  return std::chrono::duration<double>(to - from).count();
}

double rate(std::size_t tokens, double seconds) {
  return seconds > 0 ? static_cast<double>(tokens) / seconds : 0;
}

void append(Answer& answer, infer::AnswerDelta& delta) {
  answer.text += delta.text;
  answer.thinking += delta.thinking;
  answer.calls.insert(answer.calls.end(), delta.calls.begin(), delta.calls.end());
}

// What differs from the defaults: the rest is the server's business.
Sampling sampling_of(const infer::SamplerParams& params) {
  const infer::SamplerParams plain;
  Sampling sampling;
  const auto put = [](auto& out, const auto& value, const auto& fallback) {
    if (value != fallback) out = value;
  };
  put(sampling.temperature, params.temperature, plain.temperature);
  put(sampling.top_k, params.top_k, plain.top_k);
  put(sampling.top_p, params.top_p, plain.top_p);
  put(sampling.min_p, params.min_p, plain.min_p);
  put(sampling.typical_p, params.typical_p, plain.typical_p);
  put(sampling.repeat_penalty, params.repeat_penalty, plain.repeat_penalty);
  put(sampling.frequency_penalty, params.frequency_penalty, plain.frequency_penalty);
  put(sampling.presence_penalty, params.presence_penalty, plain.presence_penalty);
  sampling.seed = static_cast<std::int64_t>(params.seed);
  for (const auto& [id, bias] : params.logit_bias)
    sampling.logit_bias[id] = static_cast<double>(bias);
  return sampling;
}

// A message of the conversation, as the templates of local models have it too.
Message message_of(const Json& json) {
  Message message{json_string(json, "role"),
                  content_of_json(json_at(json, "content")).value_or(Content())};
  for (const Json& call : json_at(json, "tool_calls")) {
    const Json& function = json_at(call, "function");
    message.calls.push_back({json_string(call, "id"), json_string(function, "name"),
                             json_string(function, "arguments")});
  }
  message.call_id = json_string(json, "tool_call_id");
  message.name = json_string(json, "name");
  return message;
}

Json json_of(const Answer& answer) {
  Json json = {{"role", "assistant"}, {"content", answer.text}};
  for (const infer::ToolCall& call : answer.calls)
    json["tool_calls"].push_back(
        {{"id", call.id},
         {"type", "function"},
         {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
  return json;
}

}  // namespace

double Answer::prompt_speed() const {
  return rate(usage.prompt_tokens - usage.cached_tokens, prompt_seconds);
}

double Answer::answer_speed() const {
  return usage.output_tokens > 1 ? rate(usage.output_tokens - 1, answer_seconds) : 0;
}

Json answer_json(const Answer& answer) {
  Json calls = Json::array();
  for (const infer::ToolCall& call : answer.calls) {
    calls.push_back({{"id", call.id}, {"name", call.name}, {"arguments", call.arguments}});
  }
  return {{"text", answer.text},
          {"thinking", answer.thinking},
          {"tool_calls", std::move(calls)},
          {"finish", infer::stop_reason_name(answer.reason)},
          {"usage",
           {{"prompt_tokens", answer.usage.prompt_tokens},
            {"cached_tokens", answer.usage.cached_tokens},
            {"output_tokens", answer.usage.output_tokens}}},
          {"seconds", {{"prompt", answer.prompt_seconds}, {"answer", answer.answer_seconds}}},
          {"tokens_per_second",
           {{"prompt", answer.prompt_speed()}, {"answer", answer.answer_speed()}}}};
}

std::string answer_line(const Answer& answer) {
  return fmt::format("{} tokens, {:.1f} tok/s · prompt {} ({} cached), {:.0f} tok/s",
                     answer.usage.output_tokens, answer.answer_speed(), answer.usage.prompt_tokens,
                     answer.usage.cached_tokens, answer.prompt_speed());
}

Result<Conversation> Conversation::create(LocalModel& local, infer::GenerationRequest request,
                                          bool raw, Json template_variables,
                                          Constraint constraint) {
  Conversation conversation;
  conversation.local_ = &local;
  conversation.request_ = std::move(request);
  conversation.constraint_ = std::move(constraint);
  conversation.variables_ = std::move(template_variables);
  if (!raw && !local.chat_template.empty()) {
    LATHE_TRY(infer::ChatTemplate parsed, infer::ChatTemplate::parse(local.chat_template));
    conversation.template_ = std::move(parsed);
    conversation.format_ = infer::answer_format_of(local.chat_template);
    conversation.message_form_ = infer::message_form_of(*conversation.template_);
  }
  return conversation;
}

Conversation Conversation::with(Worker& worker, Request base, infer::SamplerParams sampler,
                                Json template_variables) {
  Conversation conversation;
  conversation.worker_ = &worker;
  conversation.base_ = std::move(base);
  conversation.request_.sampler = std::move(sampler);
  conversation.variables_ = std::move(template_variables);
  return conversation;
}

Status Conversation::set_messages(Json messages) {
  if (!messages.is_array()) return invalid("is no conversation: it must be an array of messages");
  for (std::size_t i = 0; i < messages.size(); ++i) {
    Json& message = messages[i];
    const std::string role = message.is_object() ? json_string(message, "role") : "";
    const bool known =
        role == "user" || role == "assistant" || role == "tool" || (role == "system" && i == 0);
    const auto content = content_of_json(json_at(message, "content"));
    if (!known || !content)
      return invalid(
          "message {} of the conversation: it must have a \"role\" (user, assistant, tool, or "
          "system first) and a \"content\", a text or parts",
          i + 1);
    if (worker_ == nullptr) message["content"] = content->text();  // a model here reads texts
  }
  messages_ = std::move(messages);
  return {};
}

void Conversation::set_system(std::string_view text) {
  if (!messages_.empty() && messages_[0]["role"] == "system") messages_.erase(0);
  if (!text.empty())
    messages_.insert(messages_.begin(), Json{{"role", "system"}, {"content", text}});
}

void Conversation::clear() {
  const bool system = !messages_.empty() && messages_[0]["role"] == "system";
  messages_.erase(messages_.begin() + (system ? 1 : 0), messages_.end());
  shown_.reset();
}

std::optional<std::string> Conversation::take_back() {
  for (std::size_t i = messages_.size(); i-- > 0;) {
    if (messages_[i]["role"] != "user") continue;
    Json content = messages_[i]["content"];
    messages_.erase(messages_.begin() + static_cast<std::ptrdiff_t>(i), messages_.end());
    if (content.is_string()) return content;
    // The question is its last part.
    std::string question = json_string(content.back(), "text");
    content.erase(content.size() - 1);
    if (auto shown = content_of_json(content)) shown_ = *std::move(shown);
    return question;
  }
  return std::nullopt;
}

Status Conversation::show(Content content) {
  if (worker_ == nullptr)
    return invalid("a model in this process reads texts alone; one of `lathe serve` is shown more");
  if (shown_)
    shown_->add(std::move(content));
  else
    shown_ = std::move(content);
  return {};
}

Result<Conversation::Prompt> Conversation::prompt() const {
  const infer::Tokenizer& tokenizer = *local_->tokenizer;
  if (!template_) {
    std::string text;
    for (const Json& message : messages_) text += message["content"].get<std::string>();
    return Prompt{tokenizer.encode(text, true, false)};
  }
  Json variables = variables_;
  variables["messages"] = infer::shaped(messages_, message_form_);
  infer::complete_thinking(variables);
  const Json& told = json_at(variables, "enable_thinking");
  const auto thinks = told.is_boolean() ? std::optional(told.get<bool>()) : std::nullopt;
  // An answer that is held had better not think, unless that is asked for.
  if (constraint_ && !thinks) {
    variables["enable_thinking"] = false;
    infer::complete_thinking(variables);
  }
  variables["add_generation_prompt"] = true;
  const auto name = [&](infer::TokenId id) {
    return id == infer::kNoToken ? std::string() : tokenizer.piece(id, true);
  };
  variables["bos_token"] = name(tokenizer.spec().bos);
  variables["eos_token"] = name(tokenizer.spec().eos);
  LATHE_TRY(const auto parts, template_->render(variables, system_clock().unix_ms() / 1000));
  Prompt prompt{tokenizer.encode(parts, true)};
  std::string tail;
  for (const infer::PromptPart& part : parts)
    tail = part.trusted ? tail + part.text : std::string();
  prompt.starts_thinking = !infer::thinking_end(format_, tail).empty();
  prompt.lead = infer::answer_lead(format_, tail, thinks);
  return prompt;
}

Result<Answer> Conversation::ask(std::string_view text, const StopFlag& stop,
                                 const OnDelta& on_delta) {
  const auto before = static_cast<std::ptrdiff_t>(messages_.size());
  const std::string words = make_valid_utf8(text);
  Json content = words;
  // Parts of their own, so that the question is found again.
  if (shown_) {
    content = Json::array();
    for (const ContentPart& part : shown_->parts()) content.push_back(json_of_part(part));
    content.push_back(json_of_part(words));
  }
  messages_.push_back({{"role", "user"}, {"content", std::move(content)}});
  auto answer = worker_ != nullptr ? ask_worker(stop, on_delta) : ask_engine(stop, on_delta);
  if (answer) {
    shown_.reset();
    messages_.push_back({{"role", "assistant"}, {"content", answer->text}});
  } else {
    messages_.erase(messages_.begin() + before, messages_.end());
  }
  return answer;
}

// Calls of tools are answered until the model has something else to say.
Result<Answer> Conversation::ask_worker(const StopFlag& stop, const OnDelta& on_delta) {
  if (tools_ == nullptr) return reply_of_worker(stop, on_delta);
  ToolTurn turn(*tools_);
  std::vector<infer::ToolCall> called;
  for (;;) {
    LATHE_TRY(Answer answer, reply_of_worker(stop, on_delta));
    if (answer.calls.empty() || answer.reason == infer::StopReason::kCancelled) {
      answer.calls = std::move(called);
      return answer;
    }
    messages_.push_back(json_of(answer));
    for (const infer::ToolCall& call : answer.calls) {
      LATHE_TRY(const ToolAnswer result, turn.answer({call.id, call.name, call.arguments}, stop));
      messages_.push_back({{"role", "tool"},
                           {"content", answer_for_prompt(result)},
                           {"tool_call_id", call.id},
                           {"name", call.name}});
    }
    called.insert(called.end(), answer.calls.begin(), answer.calls.end());
  }
}

Result<Answer> Conversation::reply_of_worker(const StopFlag& stop, const OnDelta& on_delta) {
  Request request = base_;
  request.sampling = sampling_of(request_.sampler);
  Talk talk{.template_variables = variables_};
  for (const Json& message : messages_) talk.messages.push_back(message_of(message));
  if (tools_ != nullptr) talk.tools = tools_->tools();
  request.ask = std::move(talk);
  const Instant start = std::chrono::steady_clock::now();
  std::optional<Instant> first;
  Answer answer;
  const auto heard = [&](const Delta& delta) {
    if (!first) first = std::chrono::steady_clock::now();
    answer.text += delta.text;
    answer.thinking += delta.reasoning;
    if (on_delta) on_delta({delta.text, delta.reasoning, {}});
  };
  const auto reply = worker_->complete(request, stop, heard);
  const Instant last = std::chrono::steady_clock::now();
  // A stopped answer is kept as far as it came.
  if (!reply && reply.error().kind != ErrorKind::kCancelled) return std::unexpected(reply.error());
  answer.reason = !reply                                   ? infer::StopReason::kCancelled
                  : reply->finish == FinishReason::kLength ? infer::StopReason::kLength
                                                           : infer::StopReason::kEndToken;
  answer.prompt_seconds = seconds_between(start, first.value_or(last));
  answer.answer_seconds = seconds_between(first.value_or(last), last);
  if (!reply) return answer;
  for (const FunctionCall& call : reply->calls)
    answer.calls.push_back({call.id, call.name, call.arguments});
  if (on_delta && !answer.calls.empty()) on_delta({"", "", answer.calls});
  answer.usage = {.prompt_tokens = static_cast<std::size_t>(reply->usage.prompt_tokens),
                  .cached_tokens = static_cast<std::size_t>(reply->usage.cached_tokens),
                  .output_tokens = static_cast<std::size_t>(reply->usage.completion_tokens)};
  return answer;
}

Result<Answer> Conversation::ask_engine(const StopFlag& stop, const OnDelta& on_delta) {
  infer::Engine& engine = *local_->engine;
  LATHE_TRY(const Prompt asked, prompt());
  infer::GenerationRequest request = request_;
  request.prompt = asked.tokens;
  if (constraint_) {
    LATHE_TRY(request.grammar, constraint_(asked.lead));
  }
  LATHE_TRY(const infer::SequenceId id, engine.add(std::move(request)));

  const auto parser = infer::AnswerParser::make({.format = format_,
                                                 .starts_thinking = asked.starts_thinking,
                                                 .held = constraint_ != nullptr});
  Answer answer;
  Instant start = std::chrono::steady_clock::now(), first = start, last = start;
  bool any = false, cancelled = false;
  while (!engine.idle()) {
    if (stop.raised() && !cancelled) {
      engine.cancel(id);
      cancelled = true;
    }
    engine.step([&](const infer::TokenEvent& event) {
      last = std::chrono::steady_clock::now();
      if (!any) first = last;
      any = true;
      infer::AnswerDelta delta = parser->push(event.text);
      append(answer, delta);
      if (event.logprob) {
        answer.logprobs.push_back({*event.logprob});
        answer.logprobs.back().insert(answer.logprobs.back().end(), event.top.begin(),
                                      event.top.end());
      }
      if (on_delta) on_delta(delta);
      if (!event.finished) return;
      answer.reason = *event.finished;
      answer.usage = event.usage;
    });
  }
  infer::AnswerDelta rest = parser->finish();
  append(answer, rest);
  if (on_delta) on_delta(rest);
  answer.prompt_seconds = seconds_between(start, first);
  answer.answer_seconds = seconds_between(first, last);
  return answer;
}

}  // namespace lathe::app
