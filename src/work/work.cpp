#include "work/work.h"

namespace lathe {

Usage& Usage::operator+=(const Usage& other) {
  prompt_tokens += other.prompt_tokens;
  cached_tokens += other.cached_tokens;
  completion_tokens += other.completion_tokens;
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

Json to_json(const Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"cached_tokens", usage.cached_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"ms", usage.wall.count()},
          {"calls", usage.calls},
          {"counted", usage.counted}};
}

Usage usage_from_json(const Json& json) {
  Usage usage;
  usage.prompt_tokens = json_int(json, "prompt_tokens", 0);
  usage.cached_tokens = json_int(json, "cached_tokens", 0);
  usage.completion_tokens = json_int(json, "completion_tokens", 0);
  usage.wall = Milliseconds(json_int(json, "ms", 0));
  usage.calls = static_cast<int>(json_int(json, "calls", 0));
  usage.counted = json_bool(json, "counted", false);
  return usage;
}

Json to_json(const Request& request) {
  Json messages = Json::array();
  for (const Message& message : request.messages)
    messages.push_back({{"role", message.role}, {"content", message.content}});
  Json json = {{"messages", std::move(messages)},
               {"max_tokens", request.max_tokens},
               {"n_index", request.n_index},
               {"purpose", request.purpose},
               {"lap", request.lap},
               {"attempt", request.attempt},
               {"stop", request.stop},
               {"top_logprobs", request.top_logprobs}};
  if (request.temperature) json["temperature"] = *request.temperature;
  if (request.top_p) json["top_p"] = *request.top_p;
  if (request.seed) json["seed"] = *request.seed;
  if (request.schema) json["schema"] = *request.schema;
  return json;
}

}  // namespace lathe
