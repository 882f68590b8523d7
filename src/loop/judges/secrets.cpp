// The judge that lets no secret through: keys, tokens, passwords and numbers of cards, by their
// forms (ground/base/secrets.h). What it found is said by its place and kind and never shown.
#include <algorithm>

#include "ground/base/secrets.h"
#include "loop/judges/judge.h"

namespace lathe::loop {
namespace {

constexpr std::size_t kMostCritiques = 50;

void look_through(std::string_view text, const std::string& where, Judgement& judgement) {
  for (const FoundSecret& secret : find_secrets(text)) {
    if (judgement.critiques.size() == kMostCritiques) return;
    const std::string_view before = text.substr(0, secret.begin);
    const auto line = std::ranges::count(before, '\n') + 1;
    judgement.critiques.push_back({.locus = fmt::format("{}line {}", where, line),
                                   .severity = "must",
                                   .claim = fmt::format("holds {}", secret.kind),
                                   .evidence = {},
                                   .fingerprint = {}});
  }
}

Result<Judgement> judge(const JudgeTask& task, const JudgeContext&) {
  Judgement judgement;
  judgement.candidate = task.candidate;
  if (task.scope == Scope::kUnit) look_through(task.bytes, "", judgement);
  for (const Part& part : task.parts) look_through(part.bytes, part.unit.key + " ", judgement);
  const bool clean = judgement.critiques.empty();
  judgement.outcome = clean ? Outcome::kPass : Outcome::kFail;
  judgement.score = clean ? 1 : 0;
  judgement.evidence = {{"secrets", judgement.critiques.size()}};
  return judgement;
}

}  // namespace

extern const JudgeKind kSecretsJudge;
const JudgeKind kSecretsJudge{
    .name = "secrets",
    .summary = "no key, token, password or card number in it, by their forms",
    .can_whole = true,
    .judge = judge,
};

}  // namespace lathe::loop
