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

// Changes of a source tree are looked at file by file, as they will stand there.
Status look_at(std::string_view bytes, std::string_view media_type, const std::string& where,
               Judgement& judgement) {
  if (media_type != kChangesMediaType) {
    look_through(bytes, where, judgement);
    return {};
  }
  LATHE_TRY(const Changes changes, parse_changes(bytes));
  for (const auto& [path, text] : changes.files)
    if (text) look_through(*text, where + path + " ", judgement);
  return {};
}

Result<Judgement> judge(const JudgeTask& task, const JudgeContext&) {
  Judgement judgement;
  judgement.candidate = task.candidate;
  if (task.scope == Scope::kUnit)
    LATHE_TRY_STATUS(look_at(task.bytes, task.media_type, "", judgement));
  for (const Part& part : task.parts)
    LATHE_TRY_STATUS(look_at(part.bytes, part.media_type, part.unit.key + " ", judgement));
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
