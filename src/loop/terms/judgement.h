// What a judge says about one candidate.
#pragma once

#include "loop/terms/terms.h"
#include "work/work.h"

namespace lathe::loop {

struct UnitOutcome {
  std::string unit;
  Outcome outcome = Outcome::kFail;
};

struct Judgement {
  std::string candidate;  // must be the task's
  Outcome outcome = Outcome::kError;
  double score = 0;  // in [0,1]
  double bar = 1;    // the score that passes
  Json evidence = Json::object();
  std::vector<Critique> critiques;
  std::vector<UnitOutcome>
      units;  // for a group: the outcome of each unit; empty: the outcome holds for all
  Usage usage = {};
};
Json to_json(const Judgement& judgement);
// Errors: an outcome that is not known, a score or a bar that is not in [0,1]. No member has a
// fallback that could turn a broken record into a pass.
Result<Judgement> judgement_from_json(const Json& json);

// In evidence: {"acc": true, "acc_norm": false}, what else a judge counts in one look. Grids show
// these instead of its outcome.
inline constexpr const char* kMarks = "marks";

// What evidence says in words that all judges share; "" or empty: nothing.
std::string caveat_of(const Judgement& judgement);  // what a pass does not cover
std::string why_not_judged(const Judgement& judgement);
std::string why_no_advice(const Judgement& judgement);  // of a judge that only advises
std::vector<std::string> unverified_words(const Judgement& judgement);

// A score that can count: a number in [0,1].
bool is_share(double value);

}  // namespace lathe::loop
