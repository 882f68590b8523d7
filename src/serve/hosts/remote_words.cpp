// The JSON between two servers.
#include "serve/hosts/remote_words.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ground/base/base64.h"
#include "ground/base/text.h"

namespace lathe::serve {
namespace {

ModelState state_of(std::string_view name) {
  for (const ModelState state : {ModelState::kCold, ModelState::kLoading, ModelState::kFailed})
    if (name == model_state_name(state)) return state;
  return ModelState::kReady;
}

std::uint64_t count_of(const Json& json, const char* key) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(json_int(json, key, 0), 0));
}

int small_count_of(const Json& json, const char* key) {
  constexpr std::int64_t kMost = 1'000'000;
  return static_cast<int>(std::clamp<std::int64_t>(json_int(json, key, 0), 0, kMost));
}

std::vector<std::string> texts_of(const Json& json, const char* key) {
  std::vector<std::string> texts;
  for (const Json& text : json_at(json, key))
    if (text.is_string()) texts.push_back(text);
  return texts;
}

ModelInfo model_of(const Json& json) {
  ModelInfo model;
  model.name = json_string(json, "id");
  model.aliases = texts_of(json, "aliases");
  const Json& meta = json_at(json, "meta");
  model.architecture = json_string(meta, "architecture");
  model.quantization = json_string(meta, "quantization");
  model.file_bytes = count_of(meta, "size");
  model.parameters = count_of(meta, "n_params");
  model.modified = json_int(json, "created", 0);
  model.context = count_of(json, "max_model_len");
  model.trained_context = count_of(meta, "n_ctx_train");
  model.embedding = count_of(meta, "n_embd");
  for (const Json& capability : json_at(json, "capabilities")) {
    if (capability == "tools") model.tools = true;
    if (capability == "thinking") model.thinking = true;
    if (capability == "vision") model.vision = true;
    if (capability == "audio") model.audio = true;
    if (capability == "transcription") model.transcribes = true;
    if (capability == "speech") model.speaks = true;
  }
  model.voices = texts_of(json, "voices");
  model.languages = texts_of(json, "languages");
  model.state = state_of(json_string(json, "state"));
  model.problem = json_string(json, "problem");
  model.loaded = json_number(json, "loaded", 0);
  model.load_seconds = json_number(json, "load_seconds", 0);
  const Json& memory = json_at(json, "memory");
  model.weights = count_of(memory, "weights");
  model.kv = count_of(memory, "kv");
  model.prefix = count_of(memory, "prefix");
  model.scratch = count_of(memory, "scratch");
  model.media = count_of(memory, "media");
  model.program = count_of(memory, "program");
  if (json_at(memory, "used").is_number()) model.used = count_of(memory, "used");
  for (const auto& [device, bytes] : json_at(memory, "devices").items())
    model.devices.add(device, count_of(json_at(memory, "devices"), device.c_str()));
  model.running = small_count_of(json, "running");
  model.waiting = small_count_of(json, "waiting");
  model.tokens_per_second = json_number(json, "tokens_per_second", 0);
  return model;
}

// What a client sees of a host's code, back to the code: the field that it names tells which.
std::string host_code(const std::string& code, std::string_view param) {
  if (code != "unsupported_value") return code;
  constexpr std::pair<std::string_view, std::string_view> kParts[] = {
      {"messages", "unsupported_messages"},
      {"prompt", "unsupported_messages"},
      {"response_format", "unsupported_schema"},
      {"tools", "unsupported_tools"},
      {"grammar", "unsupported_grammar"},
      {"logit_bias", "unsupported_bias"},
      {"n", "unsupported_candidates"},
      {"suffix", "unsupported_suffix"},
      {"file", "unsupported_sound"},
      {"language", "unsupported_language"},
      {"voice", "unsupported_voice"},
      {"input", "unsupported_text"}};
  const auto part =
      std::ranges::find(kParts, param, &std::pair<std::string_view, std::string_view>::first);
  return part == std::end(kParts) ? code : std::string(part->second);
}

ErrorKind kind_of(int status) {
  if (status == 404) return ErrorKind::kNotFound;
  if (status == 499) return ErrorKind::kCancelled;
  if (status == 408 || status == 504) return ErrorKind::kTimeout;
  if (status == 401 || status == 403 || status == 429 || status >= 500 || status < 400)
    return ErrorKind::kUnavailable;
  return ErrorKind::kInvalid;
}

}  // namespace

std::vector<ModelInfo> models_of(const Json& list) {
  std::vector<ModelInfo> models;
  for (const Json& json : json_at(list, "data"))
    if (!json_string(json, "id").empty()) models.push_back(model_of(json));
  std::ranges::sort(models, {}, &ModelInfo::name);
  return models;
}

bool is_lathe(const Json& list) {
  return std::ranges::any_of(json_at(list, "data"), [](const Json& model) {
    return json_string(model, "owned_by") == "lathe";
  });
}

Error remote_error(std::string_view place, int status, std::string_view body) {
  const auto json = parse_json(body, {.max_bytes = 1 << 20});
  const Json& error = json ? json_at(*json, "error") : Json();
  std::string said = error_message_of(body);
  if (status == 401 || status == 403)
    said = "refuses the key: give --remote-key-env with the one of that server" +
           (said.empty() ? "" : " (" + said + ")");
  if (said.empty()) said = fmt::format("answers with status {}", status);
  return {kind_of(status), fmt::format("{}: {}", place, said),
          host_code(json_string(error, "code"), json_string(error, "param"))};
}

void TextStream::choice(const Json& choice) {
  Delta delta;
  delta.text = json_string(choice, "text");
  const Json& logprobs = json_at(choice, "logprobs");
  const Json& tokens = json_at(logprobs, "tokens");
  const Json& values = json_at(logprobs, "token_logprobs");
  const Json& tops = json_at(logprobs, "top_logprobs");
  for (std::size_t i = 0; i < tokens.size() && i < values.size(); ++i) {
    LogprobEntry entry;
    if (tokens[i].is_string()) entry.token = tokens[i];
    entry.logprob =
        values[i].is_number() ? values[i].get<double>() : std::numeric_limits<double>::quiet_NaN();
    if (i < tops.size() && tops[i].is_object())
      for (const auto& [token, value] : tops[i].items())
        if (value.is_number()) entry.top.emplace_back(token, value.get<double>());
    std::ranges::sort(entry.top, std::greater(), &std::pair<std::string, double>::second);
    delta.logprobs.push_back(std::move(entry));
  }
  reply_.text += delta.text;
  std::ranges::copy(delta.logprobs, std::back_inserter(reply_.logprobs));
  if (!delta.text.empty() || !delta.logprobs.empty()) on_delta_(delta);
  const std::string reason = json_string(choice, "finish_reason");
  if (reason.empty()) return;
  reply_.finish = finish_reason_of(reason).value_or(FinishReason::kStop);
  finished_ = true;
}

Status TextStream::event(std::string_view data) {
  if (trim(data) == "[DONE]") done_ = true;
  if (done_) return {};
  const auto json = parse_json(data, {.max_bytes = std::size_t{32} << 20});
  if (!json)
    return fail(ErrorKind::kUnavailable, "an event of the answer is wrong: {}",
                json.error().message);
  if (!json_at(*json, "error").is_null())
    return fail(ErrorKind::kUnavailable, "the server broke off its answer: {}",
                error_message_of(data));
  if (const Json& usage = json_at(*json, "usage"); usage.is_object())
    reply_.usage = usage_of(usage);
  for (const Json& each : json_at(*json, "choices"))
    if (json_int(each, "index", 0) == 0) choice(each);
  return {};
}

Result<Reply> TextStream::finish() && {
  if (finished_) return std::move(reply_);
  return fail(ErrorKind::kUnavailable,
              "the reply was cut off: the stream ended after {} bytes of text without a finish "
              "reason",
              reply_.text.size());
}

Status SpeechStream::event(std::string_view data) {
  constexpr std::size_t kMost = std::size_t{16} << 20;  // bytes of samples in one event
  const auto json = parse_json(data, {.max_bytes = 2 * kMost});
  if (!json)
    return fail(ErrorKind::kUnavailable, "an event of the sound is wrong: {}",
                json.error().message);
  if (!json_at(*json, "error").is_null())
    return fail(ErrorKind::kUnavailable, "the server broke off the sound: {}",
                error_message_of(data));
  const std::string type = json_string(*json, "type");
  if (type == "speech.audio.done") {
    done_ = true;
    const Json& usage = json_at(*json, "usage");
    usage_.prompt_tokens = json_int(usage, "input_tokens", 0);
    usage_.completion_tokens = json_int(usage, "output_tokens", 0);
    usage_.counted = usage.is_object();
  }
  if (type != "speech.audio.delta") return {};
  LATHE_TRY(const std::string more, decode_base64(json_string(*json, "audio"), kMost));
  bytes_ += more;
  std::vector<std::int16_t> samples;
  for (std::size_t i = 0; i + 1 < bytes_.size(); i += 2)
    samples.push_back(static_cast<std::int16_t>(static_cast<unsigned char>(bytes_[i]) |
                                                static_cast<unsigned char>(bytes_[i + 1]) << 8U));
  bytes_.erase(0, 2 * samples.size());
  samples_ += samples.size();
  if (!samples.empty()) on_samples_(samples);
  return {};
}

Result<Speech> SpeechStream::finish() && {
  if (!done_ || !bytes_.empty())
    return fail(ErrorKind::kUnavailable, "the sound was cut off after {:.1f} s",
                static_cast<double>(samples_) / kSpeechRate);
  usage_.calls = 1;
  return Speech{.ended = true, .usage = std::move(usage_)};
}

}  // namespace lathe::serve
