// Takes, labels and how far judges agree with them.
#include "show/run/takes.h"

#include <set>

#include "ground/base/hash.h"

namespace lathe::show {
namespace {

const std::string& unit_of(const loop::RunState& state, const loop::Track& track) {
  return state.units[track.units.front()].key;
}

// What the judge says of a candidate at last; null: nothing.
const loop::Judgement* judgement_of(const loop::CandidateState& candidate, std::size_t judge) {
  for (const loop::JudgedBy* verdict : counted_verdicts(candidate))
    if (verdict->index == judge) return &verdict->judgement;
  return nullptr;
}

// The take that a label is of, where it was judged last. A judge that was asked again counts by its
// last word.
const loop::Judgement* judgement_for(const loop::RunState& state, const books::TakeLabel& label,
                                     std::size_t judge, bool& there) {
  const loop::Judgement* last = nullptr;
  for (const loop::Track& track : state.tracks) {
    if (unit_of(state, track) != label.unit) continue;
    for (const loop::LapState& lap : track.laps)
      for (const loop::CandidateState& candidate : lap.candidates) {
        if (candidate.blob != label.blob) continue;
        there = true;
        if (const loop::Judgement* said = judgement_of(candidate, judge)) last = said;
      }
  }
  return last;
}

// Judges that ask questions leave {"question", "answer"} for each in their evidence.
void add_criteria(const loop::Judgement& judgement, bool accept, JudgeAgreement& agreement) {
  for (const Json& answer : json_at(judgement.evidence, "answers")) {
    const std::string name = json_string(answer, "question");
    const std::string said = json_string(answer, "answer");
    if (name.empty() || (said != "yes" && said != "no")) continue;
    auto found = std::ranges::find(agreement.criteria, name, &CriterionAgreement::name);
    if (found == agreement.criteria.end()) {
      agreement.criteria.push_back({name, 0, 0});
      found = std::prev(agreement.criteria.end());
    }
    ++found->of;
    found->agree += (said == "yes") == accept;
  }
}

std::string advisory_reason(const loop::CalibrationTable& table) {
  const auto kappa = loop::kappa(table);
  if (table.judged() >= kEnoughLabels && !kappa)
    return "kappa cannot be told: all labels, or all verdicts, are the same";
  return loop::agreement_problem(table.judged(), kappa ? kappa->value : -1, kEnoughLabels);
}

}  // namespace

std::vector<Take> takes_of(const loop::RunState& state, std::string_view run_id) {
  std::vector<Take> takes;
  std::set<std::pair<std::size_t, std::string_view>> seen;
  for (std::size_t i = 0; i < state.tracks.size(); ++i)
    for (const loop::LapState& lap : state.tracks[i].laps)
      for (const loop::CandidateState& candidate : lap.candidates) {
        if (candidate.blob.empty() || !seen.emplace(i, candidate.blob).second) continue;
        takes.push_back({unit_of(state, state.tracks[i]), i, lap.number, candidate.n,
                         candidate.blob, candidate.media_type, candidate.extension});
      }
  std::ranges::sort(takes, {}, [&](const Take& take) {
    return sha256_hex(fmt::format("{}:{}:{}", run_id, take.index, take.blob));
  });
  return takes;
}

std::vector<JudgeAgreement> agreement_of(const loop::RunState& state,
                                         std::span<const books::TakeLabel> labels) {
  std::vector<JudgeAgreement> all;
  for (std::size_t judge = 0; judge < state.recipe.judges.size(); ++judge) {
    if (state.recipe.judges[judge].scope != loop::Scope::kUnit) continue;
    JudgeAgreement& agreement = all.emplace_back();
    agreement.judge = state.recipe.judges[judge].name;
    for (const books::TakeLabel& label : labels) {
      bool there = false;
      const loop::Judgement* said = judgement_for(state, label, judge, there);
      if (!there) continue;
      agreement.table.add(label.accept, said ? loop::verdict_of(*said) : std::nullopt);
      if (said) add_criteria(*said, label.accept, agreement);
    }
    agreement.why = advisory_reason(agreement.table);
  }
  return all;
}

Json to_json(const JudgeAgreement& agreement) {
  const loop::CalibrationTable& table = agreement.table;
  Json json = loop::agreement_json(table);
  json["judge"] = agreement.judge;
  // The person's word, then the judge's.
  json["table"] = {{"tt", table.both_pass},
                   {"tf", table.false_fail},
                   {"ft", table.false_pass},
                   {"ff", table.both_fail}};
  json["advisory"] = !agreement.why.empty();
  json["why"] = agreement.why;
  json["criteria"] = Json::array();
  for (const CriterionAgreement& each : agreement.criteria)
    json["criteria"].push_back({{"name", each.name}, {"agree", each.agree}, {"of", each.of}});
  return json;
}

Json to_json(const Take& take) {
  return {{"unit", take.unit}, {"index", take.index}, {"lap", take.lap},
          {"n", take.n},       {"blob", take.blob},   {"media_type", take.media_type}};
}

Json to_json(const books::TakeLabel& label) {
  return {{"unit", label.unit},        {"blob", label.blob}, {"accept", label.accept},
          {"reason", label.reason},    {"by", label.by},     {"t_ms", label.t_ms},
          {"revision", label.revision}};
}

}  // namespace lathe::show
