// What is asked of a model and comes back, as JSON.
#include "work/work.h"

#include "work/model_host.h"

namespace lathe {

Usage& Usage::operator+=(const Usage& other) {
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

ModelInfo ModelInfo::with_state_of(const ModelInfo& other) const {
  ModelInfo info = *this;
  info.state = other.state;
  info.problem = other.problem;
  info.load_seconds = other.load_seconds;
  info.weights = other.weights;
  info.kv = other.kv;
  info.prefix = other.prefix;
  info.scratch = other.scratch;
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
  return {{"prompt_tokens", usage.prompt_tokens},
          {"cached_tokens", usage.cached_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"reasoning_tokens", usage.reasoning_tokens},
          {"accepted_tokens", usage.accepted_tokens},
          {"rejected_tokens", usage.rejected_tokens},
          {"ms", usage.wall.count()},
          {"calls", usage.calls},
          {"counted", usage.counted}};
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
  return usage;
}

namespace {

std::string_view tool_choice_name(ToolChoice choice) {
  switch (choice) {
    case ToolChoice::kAuto:
      return "auto";
    case ToolChoice::kNone:
      return "none";
    case ToolChoice::kRequired:
      return "required";
    case ToolChoice::kFunction:
      return "function";
  }
  return "";
}

Json to_json(const Message& message) {
  Json json = {{"role", message.role}, {"content", message.content}};
  if (!message.reasoning.empty()) json["reasoning"] = message.reasoning;
  for (const FunctionCall& call : message.calls)
    json["calls"].push_back({{"id", call.id}, {"name", call.name}, {"arguments", call.arguments}});
  if (!message.call_id.empty()) json["call_id"] = message.call_id;
  if (!message.name.empty()) json["name"] = message.name;
  return json;
}

// Only what is given.
Json to_json(const Sampling& sampling) {
  Json json = Json::object();
  const auto put = [&](const char* name, const auto& value) {
    if (value) json[name] = *value;
  };
  put("temperature", sampling.temperature);
  put("top_p", sampling.top_p);
  put("min_p", sampling.min_p);
  put("typical_p", sampling.typical_p);
  put("top_k", sampling.top_k);
  put("repeat_penalty", sampling.repeat_penalty);
  put("frequency_penalty", sampling.frequency_penalty);
  put("presence_penalty", sampling.presence_penalty);
  put("seed", sampling.seed);
  for (const auto& [id, bias] : sampling.logit_bias) json["logit_bias"][std::to_string(id)] = bias;
  return json;
}

}  // namespace

Json to_json(const Request& request) {
  Json messages = Json::array();
  for (const Message& message : request.messages) messages.push_back(to_json(message));
  Json json = {{"messages", std::move(messages)},
               {"max_tokens", request.max_tokens},
               {"n_index", request.n_index},
               {"purpose", request.purpose},
               {"lap", request.lap},
               {"attempt", request.attempt},
               {"stop", request.stop},
               {"top_logprobs", request.top_logprobs}};
  json.update(to_json(request.sampling));
  if (request.prompt) json["prompt"] = *request.prompt;
  if (!request.prompt_ids.empty()) json["prompt_ids"] = request.prompt_ids;
  if (!request.suffix.empty()) json["suffix"] = request.suffix;
  if (request.schema) json["schema"] = *request.schema;
  if (request.strict) json["strict"] = true;
  if (request.json_object) json["json_object"] = true;
  if (!request.grammar.empty()) json["grammar"] = request.grammar;
  if (!request.tools.is_null()) {
    json["tools"] = request.tools;
    json["tool_choice"] = tool_choice_name(request.tool_choice);
    json["tool_name"] = request.tool_name;
    json["parallel_calls"] = request.parallel_calls;
  }
  if (!request.template_variables.is_null())
    json["template_variables"] = request.template_variables;
  if (request.candidates != 1) json["candidates"] = request.candidates;
  return json;
}

}  // namespace lathe
