// Answers to canonical JSON, and back with nothing taken on trust.
#include "loop/orders/answer.h"

#include <algorithm>

#include "ground/base/error_kind.h"
#include "loop/orders/strict_json.h"

namespace lathe::loop {
namespace {

constexpr std::int64_t kAnswerFormat = 1;
constexpr std::size_t kMaxAnswerBytes = std::size_t{32} << 20;
constexpr std::int64_t kMostOfAnything = 1'000'000'000'000;
constexpr std::size_t kMaxNameBytes = 1000, kMaxExtensionBytes = 16, kMaxMessageBytes = 20'000;
constexpr std::size_t kMostProposals = 100, kMaxProposalBytes = 10'000;

// What becomes the end of a file's name.
bool ends_names(std::string_view extension) {
  return extension.size() <= kMaxExtensionBytes && !extension.starts_with('.') &&
         extension.find("..") == extension.npos && std::ranges::all_of(extension, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '-' || c == '_';
         });
}

Result<std::string> name_at(const Json& json, std::string_view key) {
  LATHE_TRY(std::string name, strict_text(json, key));
  if (name.size() <= kMaxNameBytes &&
      std::ranges::none_of(name, [](char c) { return static_cast<unsigned char>(c) < 0x20; }))
    return name;
  return invalid("{}: '{}' is no name", key, clip(name));
}

Result<MadeThere> made_from(const Json& json) {
  MadeThere made;
  LATHE_TRY(made.blob, strict_blob(json, "blob"));
  LATHE_TRY(made.media_type, name_at(json, "media_type"));
  LATHE_TRY(made.extension, strict_text(json, "extension"));
  if (!ends_names(made.extension))
    return invalid("extension: '{}' cannot end a file name", clip(made.extension));
  made.facts = json_at(json, "facts");
  if (!made.facts.is_null() && !made.facts.is_object()) return invalid("facts: is no object");
  // The run's own word for what it keeps.
  if (made.facts.is_object()) made.facts.erase("proposed");
  return made;
}

Result<Error> error_from(const Json& json) {
  Error error;
  LATHE_TRY(const std::string kind, strict_text(json, "kind"));
  const auto known = parse_error_kind(kind);
  if (!known) return invalid("error: '{}' is no kind of error", clip(kind));
  error.kind = *known;
  LATHE_TRY(error.message, strict_text(json, "message"));
  error.message = clip_utf8(error.message, kMaxMessageBytes);
  LATHE_TRY(error.code, name_at(json, "code"));
  return error;
}

Result<WorkerInfo> asked_from(const Json& json) {
  WorkerInfo asked;
  LATHE_TRY(asked.model, name_at(json, "model"));
  LATHE_TRY(asked.where, name_at(json, "where"));
  LATHE_TRY(const std::string reach, strict_text(json, "reach"));
  const auto known = parse_reach(reach);
  if (!known) return invalid("worker: '{}' is no reach", clip(reach));
  asked.reach = *known;
  return asked;
}

Result<Usage> usage_from(const Json& json) {
  if (!json.is_object()) return invalid("usage: is no object");
  for (const auto& [key, value] : json.items())
    if (value.is_number()) LATHE_TRY_STATUS(strict_int(json, key, 0, kMostOfAnything));
  if (json.contains("calls")) LATHE_TRY_STATUS(strict_int(json, "calls", 0, 1'000'000));
  Usage usage = usage_from_json(json);
  usage.millijoules.reset();
  usage.energy_scope.clear();
  return usage;
}

Result<std::vector<std::string>> proposals_from(const Json& json) {
  LATHE_TRY(const Json list, strict_list(json, "proposals"));
  std::vector<std::string> proposals;
  for (const Json& each : list) {
    if (!each.is_string() || each.get_ref<const std::string&>().size() > kMaxProposalBytes)
      return invalid("proposals: one is no short text");
    if (proposals.size() < kMostProposals) proposals.push_back(each.get<std::string>());
  }
  return proposals;
}

Result<OrderAnswer> answer_from(const Json& json, const std::string& order) {
  LATHE_TRY_STATUS(strict_int(json, "answer", kAnswerFormat, kAnswerFormat));
  OrderAnswer answer;
  LATHE_TRY(answer.order, strict_blob(json, "order"));
  if (answer.order != order) return invalid("it answers the order {}", answer.order);
  LATHE_TRY(answer.build, name_at(json, "build"));
  LATHE_TRY(answer.ms, strict_int(json, "ms", 0, kMostOfAnything));
  if (json.contains("worker")) {
    LATHE_TRY(answer.asked, asked_from(json["worker"]));
  }
  if (json.contains("prompt")) {
    LATHE_TRY(answer.prompt, strict_blob(json, "prompt"));
  }
  LATHE_TRY(answer.usage, usage_from(json_at(json, "usage")));
  LATHE_TRY(answer.proposals, proposals_from(json));
  if (json.contains("made") + json.contains("error") + json.contains("judgement") != 1)
    return invalid("it has one of made, error and judgement");
  if (json.contains("judgement")) {
    LATHE_TRY(answer.judgement, judgement_from_json(json["judgement"]));
  } else if (json.contains("made")) {
    LATHE_TRY(answer.made, made_from(json["made"]));
  } else {
    LATHE_TRY(Error error, error_from(json["error"]));
    answer.made = std::unexpected(std::move(error));
  }
  return answer;
}

}  // namespace

std::string answer_text(const OrderAnswer& answer) {
  Json json = {{"answer", kAnswerFormat},        {"order", answer.order},
               {"build", answer.build},          {"ms", answer.ms},
               {"usage", to_json(answer.usage)}, {"proposals", answer.proposals}};
  if (answer.asked)
    json["worker"] = {{"model", answer.asked->model},
                      {"where", answer.asked->where},
                      {"reach", reach_name(answer.asked->reach)}};
  if (answer.prompt) json["prompt"] = *answer.prompt;
  if (answer.judgement)
    json["judgement"] = to_json(*answer.judgement);
  else if (answer.made)
    json["made"] = {{"blob", answer.made->blob},
                    {"media_type", answer.made->media_type},
                    {"extension", answer.made->extension},
                    {"facts", answer.made->facts}};
  else
    json["error"] = {{"kind", error_kind_name(answer.made.error().kind)},
                     {"message", answer.made.error().message},
                     {"code", answer.made.error().code}};
  return canonical_json(json);
}

Result<OrderAnswer> read_answer(std::string_view text, const std::string& order) {
  auto json = parse_json(text, {.max_bytes = kMaxAnswerBytes});
  if (!json) return at("answer", std::move(json).error());
  if (!json->is_object()) return invalid("answer: is no object");
  auto answer = answer_from(*json, order);
  if (!answer) return at("answer", std::move(answer).error());
  return answer;
}

}  // namespace lathe::loop
