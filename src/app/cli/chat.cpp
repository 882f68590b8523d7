#include "app/cli/chat.h"

#include "ground/base/text.h"

namespace lathe {
namespace {

using Instant = std::chrono::steady_clock::time_point;

double seconds_between(Instant from, Instant to) {
  return std::chrono::duration<double>(to - from).count();
}

double rate(std::size_t tokens, double seconds) {
  return seconds > 0 ? static_cast<double>(tokens) / seconds : 0;
}

void append(Answer& answer, AnswerDelta& delta) {
  answer.text += delta.text;
  answer.thinking += delta.thinking;
  answer.calls.insert(answer.calls.end(), delta.calls.begin(), delta.calls.end());
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
  for (const ToolCall& call : answer.calls) {
    calls.push_back({{"id", call.id}, {"name", call.name}, {"arguments", call.arguments}});
  }
  return {{"text", answer.text},
          {"thinking", answer.thinking},
          {"tool_calls", std::move(calls)},
          {"finish", stop_reason_name(answer.reason)},
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

Result<Conversation> Conversation::create(LocalModel& local, GenerationRequest request, bool raw,
                                          Json template_variables) {
  Conversation conversation(local);
  conversation.request_ = std::move(request);
  conversation.variables_ = std::move(template_variables);
  if (!raw && !local.chat_template.empty()) {
    LATHE_TRY(ChatTemplate parsed, ChatTemplate::parse(local.chat_template));
    conversation.template_ = std::move(parsed);
    conversation.format_ = answer_format_of(local.chat_template);
  }
  return conversation;
}

void Conversation::set_system(std::string_view text) {
  if (!messages_.empty() && messages_[0]["role"] == "system") messages_.erase(0);
  if (!text.empty())
    messages_.insert(messages_.begin(), Json{{"role", "system"}, {"content", text}});
}

void Conversation::clear() {
  const bool system = !messages_.empty() && messages_[0]["role"] == "system";
  messages_.erase(messages_.begin() + (system ? 1 : 0), messages_.end());
}

std::optional<std::string> Conversation::take_back() {
  for (std::size_t i = messages_.size(); i-- > 0;) {
    if (messages_[i]["role"] != "user") continue;
    std::string question = messages_[i]["content"];
    messages_.erase(messages_.begin() + static_cast<std::ptrdiff_t>(i), messages_.end());
    return question;
  }
  return std::nullopt;
}

Result<Conversation::Prompt> Conversation::prompt() const {
  const Tokenizer& tokenizer = *local_->tokenizer;
  if (!template_) {
    std::string text;
    for (const Json& message : messages_) text += message["content"].get<std::string>();
    return Prompt{tokenizer.encode(text, true, false)};
  }
  Json variables = variables_;
  variables["messages"] = messages_;
  variables["add_generation_prompt"] = true;
  const auto name = [&](TokenId id) {
    return id == kNoToken ? std::string() : tokenizer.piece(id, true);
  };
  variables["bos_token"] = name(tokenizer.spec().bos);
  variables["eos_token"] = name(tokenizer.spec().eos);
  LATHE_TRY(const auto parts, template_->render(variables, system_clock().unix_ms() / 1000));
  Prompt prompt{tokenizer.encode(parts, true)};
  std::string tail;
  for (const PromptPart& part : parts) tail = part.trusted ? tail + part.text : std::string();
  prompt.starts_thinking = trim(tail).ends_with("<think>") || trim(tail).ends_with("[THINK]");
  return prompt;
}

Result<Answer> Conversation::ask(std::string_view text, const StopFlag& stop,
                                 const OnDelta& on_delta) {
  messages_.push_back({{"role", "user"}, {"content", make_valid_utf8(text)}});
  Engine& engine = *local_->engine;
  auto asked = prompt();
  const auto refuse = [&](Error error) -> Result<Answer> {
    messages_.erase(messages_.size() - 1);
    return std::unexpected(std::move(error));
  };
  if (!asked) return refuse(asked.error());
  GenerationRequest request = request_;
  request.prompt = asked->tokens;
  auto id = engine.add(std::move(request));
  if (!id) return refuse(id.error());

  const auto parser =
      AnswerParser::make({format_, asked->starts_thinking, json_at(variables_, "tools")});
  Answer answer;
  Instant start = std::chrono::steady_clock::now(), first = start, last = start;
  bool any = false, cancelled = false;
  while (!engine.idle()) {
    if (stop.raised() && !cancelled) {
      engine.cancel(*id);
      cancelled = true;
    }
    engine.step([&](const TokenEvent& event) {
      last = std::chrono::steady_clock::now();
      if (!any) first = last;
      any = true;
      AnswerDelta delta = parser->push(event.text);
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
  AnswerDelta rest = parser->finish();
  append(answer, rest);
  if (on_delta) on_delta(rest);
  answer.prompt_seconds = seconds_between(start, first);
  answer.answer_seconds = seconds_between(first, last);
  messages_.push_back({{"role", "assistant"}, {"content", answer.text}});
  return answer;
}

}  // namespace lathe
