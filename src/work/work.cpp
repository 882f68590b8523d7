// Usage adds up; tools and usage as JSON.
#include "work/work.h"

#include <cmath>

#include "work/caller.h"
#include "work/finish.h"
#include "work/model_host.h"

namespace lathe {
namespace {

// Known where it is known of all calls.
std::optional<std::int64_t> sum(std::optional<std::int64_t> a, int a_calls,
                                std::optional<std::int64_t> b, int b_calls) {
  if (b_calls == 0 && !b) return a;
  if (a_calls == 0 && !a) return b;
  return a && b ? std::optional(*a + *b) : std::nullopt;
}

void set_known(Json& json, const char* name, const std::optional<std::int64_t>& value) {
  if (value) json[name] = *value;
}

std::optional<std::int64_t> known(const Json& json, const char* name) {
  const Json& value = json_at(json, name);
  return value.is_number_integer() ? std::optional(value.get<std::int64_t>()) : std::nullopt;
}

}  // namespace

std::string_view class_name(CallClass call_class) {
  return call_class == CallClass::kInteractive ? "interactive" : "background";
}

std::optional<CallClass> parse_class(std::string_view name) {
  for (const CallClass each : {CallClass::kInteractive, CallClass::kBackground})
    if (name == class_name(each)) return each;
  return std::nullopt;
}

Usage& Usage::operator+=(const Usage& other) {
  queued_us = sum(queued_us, calls, other.queued_us, other.calls);
  first_token_us = sum(first_token_us, calls, other.first_token_us, other.calls);
  busy_us = sum(busy_us, calls, other.busy_us, other.calls);
  // Joules of two scopes are not added up.
  const bool mixed = millijoules && other.millijoules && energy_scope != other.energy_scope;
  millijoules = mixed ? std::nullopt : sum(millijoules, calls, other.millijoules, other.calls);
  energy_scope = !millijoules ? "" : energy_scope.empty() ? other.energy_scope : energy_scope;
  prompt_tokens += other.prompt_tokens;
  cached_tokens += other.cached_tokens;
  completion_tokens += other.completion_tokens;
  reasoning_tokens += other.reasoning_tokens;
  accepted_tokens += other.accepted_tokens;
  rejected_tokens += other.rejected_tokens;
  wall += other.wall;
  counted = (counted || calls == 0) && (other.counted || other.calls == 0);
  calls += other.calls;
  return *this;
}

std::string_view finish_name(FinishReason finish) {
  switch (finish) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kToolCalls:
      return "tool_calls";
    case FinishReason::kContentFilter:
      return "content_filter";
  }
  return "";
}

std::string_view reach_name(Reach reach) {
  switch (reach) {
    case Reach::kLocal:
      return "local";
    case Reach::kLan:
      return "lan";
    case Reach::kAny:
      return "any";
  }
  return "";
}

std::optional<Reach> parse_reach(std::string_view name) {
  for (const Reach reach : {Reach::kLocal, Reach::kLan, Reach::kAny})
    if (name == reach_name(reach)) return reach;
  return std::nullopt;
}

Usage usage_of_answer(const std::vector<HostReply>& replies) {
  Usage usage;
  for (const HostReply& reply : replies) usage += reply.usage;
  return usage;
}

Usage usage_of_answer(const std::vector<std::int32_t>&) {
  return {};
}

std::vector<std::string> ModelInfo::capabilities() const {
  if (transcribes) return {"transcription"};
  if (speaks) return {"speech"};
  std::vector<std::string> words{"completion"};
  if (tools) words.emplace_back("tools");
  if (thinking) words.emplace_back("thinking");
  if (vision) words.emplace_back("vision");
  if (audio) words.emplace_back("audio");
  return words;
}

ModelInfo ModelInfo::with_state_of(const ModelInfo& other) const {
  ModelInfo info = *this;
  info.state = other.state;
  info.problem = other.problem;
  info.loaded = other.loaded;
  info.load_seconds = other.load_seconds;
  info.weights = other.weights;
  info.kv = other.kv;
  info.prefix = other.prefix;
  info.scratch = other.scratch;
  info.media = other.media;
  info.program = other.program;
  info.used = other.used;
  info.devices = other.devices;
  info.running = other.running;
  info.waiting = other.waiting;
  info.tokens_per_second = other.tokens_per_second;
  return info;
}

std::string_view model_state_name(ModelState state) {
  switch (state) {
    case ModelState::kCold:
      return "cold";
    case ModelState::kLoading:
      return "loading";
    case ModelState::kReady:
      return "ready";
    case ModelState::kFailed:
      return "failed";
  }
  return "";
}

Json to_json(const Usage& usage) {
  Json json = {{"prompt_tokens", usage.prompt_tokens},
               {"cached_tokens", usage.cached_tokens},
               {"completion_tokens", usage.completion_tokens},
               {"reasoning_tokens", usage.reasoning_tokens},
               {"accepted_tokens", usage.accepted_tokens},
               {"rejected_tokens", usage.rejected_tokens},
               {"ms", usage.wall.count()},
               {"calls", usage.calls},
               {"counted", usage.counted}};
  set_known(json, "queued_us", usage.queued_us);
  set_known(json, "first_token_us", usage.first_token_us);
  set_known(json, "busy_us", usage.busy_us);
  set_known(json, "millijoules", usage.millijoules);
  if (!usage.energy_scope.empty()) json["energy_scope"] = usage.energy_scope;
  return json;
}

Usage usage_from_json(const Json& json) {
  Usage usage;
  usage.prompt_tokens = json_int(json, "prompt_tokens", 0);
  usage.cached_tokens = json_int(json, "cached_tokens", 0);
  usage.completion_tokens = json_int(json, "completion_tokens", 0);
  usage.reasoning_tokens = json_int(json, "reasoning_tokens", 0);
  usage.accepted_tokens = json_int(json, "accepted_tokens", 0);
  usage.rejected_tokens = json_int(json, "rejected_tokens", 0);
  usage.wall = Milliseconds(json_int(json, "ms", 0));
  usage.calls = static_cast<int>(json_int(json, "calls", 0));
  usage.counted = json_bool(json, "counted", false);
  usage.queued_us = known(json, "queued_us");
  usage.first_token_us = known(json, "first_token_us");
  usage.busy_us = known(json, "busy_us");
  usage.millijoules = known(json, "millijoules");
  usage.energy_scope = json_string(json, "energy_scope");
  return usage;
}

Json to_json(const Tool& tool) {
  Json function = {{"name", tool.name}};
  if (tool.description) function["description"] = *tool.description;
  if (!tool.parameters.is_null()) function["parameters"] = tool.parameters;
  if (tool.strict) function["strict"] = *tool.strict;
  return {{"type", "function"}, {"function", std::move(function)}};
}

Result<Likelihood> Worker::likelihood(const Continuation&, const StopFlag&) {
  return invalid(
      "worker {}: cannot say how likely a text is; give {}=FILE.gguf, or a server whose "
      "/completions has 'echo' with 'logprobs'",
      info().name, info().name);
}

Result<Transcription> Worker::transcribe(const SoundRequest&, const StopFlag&) {
  return invalid(
      "worker {}: hears no sounds; name a Whisper model's file or a server with "
      "/audio/transcriptions",
      info().name);
}

Result<Painted> Worker::paint(const PictureRequest&, const StopFlag&) {
  return fail(ErrorKind::kUnavailable,
              "worker {}: makes no pictures; name a server that has /images/generations",
              info().name);
}

Result<SpokenFile> Worker::speak(const SpeechRequest&, const StopFlag&) {
  return fail(ErrorKind::kUnavailable,
              "worker {}: speaks nothing; name a server that has /audio/speech", info().name);
}

Status whole_speech(const Result<Speech>& spoken, std::string_view model) {
  if (!spoken) return std::unexpected(spoken.error());
  if (spoken->ended) return {};
  return std::unexpected(
      Error{ErrorKind::kInvalid,
            fmt::format("'{}' did not come to its end within {} frames and was cut off: another "
                        "seed may help, or a shorter text",
                        model, spoken->usage.completion_tokens),
            "unsupported_text"});
}

ModelHost::Id ModelHost::speak(const std::string& model, SpeechRequest, Asker, OnSamples,
                               OnSpeech on_speech) {
  on_speech(std::unexpected(
      Error{ErrorKind::kInvalid, fmt::format("'{}' speaks nothing", model), "unsupported_value"}));
  return 0;
}

Result<Likelihood> likelihood_of(const Continuation& asked, std::span<const WeighedToken> tokens) {
  const std::size_t whole = asked.context.size() + asked.text.size();
  std::size_t bytes = 0;
  for (const WeighedToken& token : tokens) bytes += token.bytes;
  const bool blank = bytes == whole + 1 && !asked.context.starts_with(' ');
  if (bytes != whole && !blank)
    return invalid("the tokens come to {} bytes, the text that was asked about has {}", bytes,
                   whole);
  Likelihood sum;
  std::size_t end = 0;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    end += tokens[i].bytes - (i == 0 && blank ? 1 : 0);
    if (end <= asked.context.size()) continue;
    if (!std::isfinite(tokens[i].logprob))
      return invalid("nothing is known of the probability of token {} of the text", i + 1);
    sum.log_likelihood += tokens[i].logprob;
    ++sum.tokens;
  }
  return sum;
}

}  // namespace lathe
