// Judgements as JSON.
#include "loop/terms/judgement.h"

#include <cmath>

namespace lathe::loop {

bool is_share(double value) {
  return std::isfinite(value) && value >= 0 && value <= 1;
}

std::string caveat_of(const Judgement& judgement) {
  return json_string(judgement.evidence, "caveat");
}

std::string why_not_judged(const Judgement& judgement) {
  return json_string(judgement.evidence, "not_judged");
}

std::string why_no_advice(const Judgement& judgement) {
  return json_string(judgement.evidence, "no_advice");
}

std::vector<std::string> unverified_words(const Judgement& judgement) {
  std::vector<std::string> words;
  for (const Json& word : json_at(judgement.evidence, "not_verified"))
    if (word.is_string()) words.push_back(word.get<std::string>());
  return words;
}

Json to_json(const Judgement& judgement) {
  Json critiques = Json::array();
  for (const Critique& critique : judgement.critiques) critiques.push_back(to_json(critique));
  Json units = Json::array();
  for (const UnitOutcome& each : judgement.units)
    units.push_back({{"unit", each.unit}, {"outcome", outcome_name(each.outcome)}});
  return {{"candidate", judgement.candidate}, {"outcome", outcome_name(judgement.outcome)},
          {"score", judgement.score},         {"bar", judgement.bar},
          {"evidence", judgement.evidence},   {"critiques", std::move(critiques)},
          {"units", std::move(units)},        {"usage", to_json(judgement.usage)}};
}

Result<Judgement> judgement_from_json(const Json& json) {
  Judgement judgement;
  judgement.candidate = json_string(json, "candidate");
  const auto outcome = parse_outcome(json_string(json, "outcome"));
  if (!outcome) return invalid("judgement: no known outcome");
  judgement.outcome = *outcome;
  judgement.score = json_number(json, "score", std::nan(""));
  judgement.bar = json_number(json, "bar", std::nan(""));
  if (!is_share(judgement.score)) return invalid("judgement: 'score' is not a number from 0 to 1");
  if (!is_share(judgement.bar)) return invalid("judgement: 'bar' is not a number from 0 to 1");
  judgement.evidence = json_at(json, "evidence");
  if (!judgement.evidence.is_object()) return invalid("judgement: 'evidence' is not an object");
  for (const Json& critique : json_at(json, "critiques"))
    judgement.critiques.push_back(critique_from_json(critique));
  for (const Json& each : json_at(json, "units")) {
    const auto unit_outcome = parse_outcome(json_string(each, "outcome"));
    if (!unit_outcome) return invalid("judgement: a unit has no known outcome");
    judgement.units.push_back({json_string(each, "unit"), *unit_outcome});
  }
  judgement.usage = usage_from_json(json_at(json, "usage"));
  return judgement;
}

}  // namespace lathe::loop
