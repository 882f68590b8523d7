// Asks a model for a judge: the fence, the form of the answers, advice or verdict.
#include "loop/judges/inquiry.h"

#include <set>

#include "ground/base/hash.h"
#include "ground/base/text.h"
#include "loop/judges/calibration.h"
#include "loop/terms/origin.h"

namespace lathe::loop {
namespace {

// Why the verdict only advises; "": it may gate.
Result<std::string> advisory_reason(const JudgeKind& kind, const JudgeTask& task,
                                    const JudgeContext& context) {
  if (option_bool(task.options, "advisory")) return "the recipe says so";
  if (!task.options.contains("calibration"))
    return fmt::format("this {} is not calibrated", kind.name);
  const fs::path file = context.place.recipe_dir / option_string(task.options, "calibration");
  LATHE_TRY(const std::string text, read_file(file, 1 << 20));
  auto record = parse_json(text);
  if (!record) return at(file.string(), std::move(record).error());
  LATHE_TRY(const std::string identity,
            judge_identity(kind, task.options, context.place, context.worker));
  const std::string problem = calibration_problem(*record, identity);
  return problem.empty() ? "" : "the calibration does not count: " + problem;
}

void make_advice(Judgement& judgement, const std::string& because) {
  judgement.evidence["advisory"] = true;
  judgement.evidence["advisory_because"] = because;
  judgement.evidence["would"] = outcome_name(judgement.outcome);
  judgement.outcome = Outcome::kAbstain;
}

}  // namespace

std::string nonce_of(const JudgeTask& task) {
  return sha256_hex(task.candidate + '\n' + canonical_json(task.options)).substr(0, 12);
}

std::string fenced(std::string_view what, std::string_view text, std::string_view nonce) {
  return fmt::format("<<<{0} {1}\n{2}\n{0} {1}>>>\n\n", what, nonce, text);
}

Request inquiry(std::string purpose, std::string system, Content user, std::int64_t max_tokens) {
  Request request;
  request.labels = labels_of({std::move(purpose)});
  request.sampling.temperature = 0;
  request.sampling.seed = 0;
  request.max_tokens = static_cast<int>(max_tokens);
  request.ask = Talk{{{"system", std::move(system)}, {"user", std::move(user)}}};
  return request;
}

Json answers_schema(std::size_t questions, const Json& members) {
  Json properties = {{"n", {{"type", "integer"}}}, {"evidence", {{"type", "string"}}}};
  properties.update(members);
  properties["answer"] = {{"type", "string"}, {"enum", {"yes", "no"}}};
  Json required = Json::array();
  for (const auto& [name, schema] : properties.items()) required.push_back(name);
  const Json answer = {{"type", "object"},
                       {"properties", std::move(properties)},
                       {"required", std::move(required)},
                       {"additionalProperties", false}};
  return {{"type", "object"},
          {"properties",
           {{"nonce", {{"type", "string"}}},
            {"answers",
             {{"type", "array"},
              {"items", answer},
              {"minItems", questions},
              {"maxItems", questions}}}}},
          {"required", {"nonce", "answers"}},
          {"additionalProperties", false}};
}

Result<std::vector<Json>> read_answers(const std::string& text, const std::string& nonce,
                                       std::size_t questions) {
  const auto json = parse_json(text);
  if (!json || !json->is_object())
    return invalid("the judge's reply is not one JSON object: {}",
                   json ? std::string("another kind of value") : json.error().message);
  if (json_string(*json, "nonce") != nonce)
    return invalid("the judge's reply is not for this candidate: its nonce is not {}", nonce);
  const Json& given = json_at(*json, "answers");
  if (json->size() != 2 || !given.is_array() || given.size() != questions)
    return invalid("the judge's reply does not hold {} answers and nothing else", questions);
  std::vector<Json> answers(questions);
  std::set<std::int64_t> open;
  for (std::size_t i = 0; i < questions; ++i) open.insert(static_cast<std::int64_t>(i + 1));
  for (const Json& each : given) {
    const std::int64_t n = json_int(each, "n", 0);
    if (open.erase(n) == 0) return invalid("the judge answered question {} twice or made it up", n);
    if (const std::string answer = json_string(each, "answer"); answer != "yes" && answer != "no")
      return invalid("the judge answered question {} with '{}', not yes or no", n,
                     clip_utf8(answer, 40));
    answers[static_cast<std::size_t>(n - 1)] = each;
  }
  return answers;
}

Result<Reply> ask_worker(const Request& request, const JudgeContext& context, Usage& usage) {
  Request limited = request;
  limited.time_limit = context.time_limit;
  LATHE_TRY(Reply reply, context.worker->complete(limited, context.stop, nullptr));
  usage += reply.usage;
  if (reply.finish != FinishReason::kStop)
    return invalid(
        "the judge's reply was cut short or refused; raise max_tokens ({}) if it is long",
        request.max_tokens);
  return reply;
}

bool advises_uncalibrated(const Json& options) {
  return option_bool(options, "advisory") || !options.contains("calibration");
}

Result<Judgement> judge_by_inquiry(const JudgeKind& kind, const JudgeTask& task,
                                   const JudgeContext& context, Inquire* inquire) {
  LATHE_TRY(const std::string advisory, advisory_reason(kind, task, context));
  Usage usage;
  auto counted = inquire(task, context, advisory.empty(), usage);
  Judgement judgement;
  if (counted) {
    judgement = *std::move(counted);
    if (!advisory.empty()) make_advice(judgement, advisory);
  } else if (advisory.empty()) {
    judgement.evidence["not_judged"] = counted.error().message;
  } else {
    judgement.outcome = Outcome::kAbstain;
    judgement.evidence = {
        {"no_advice", counted.error().message}, {"advisory", true}, {"advisory_because", advisory}};
  }
  judgement.evidence["judge_model"] = context.worker->info().model;
  judgement.candidate = task.candidate;
  judgement.usage = usage;
  return judgement;
}

}  // namespace lathe::loop
