// The table of judges. To add one: a file, and a row here.
#include "loop/judges/judge.h"

namespace lathe::loop {

// One line per judge, in the order in which they are listed to people.

extern const JudgeKind kTestsJudge;
extern const JudgeKind kCitedJudge;
extern const JudgeKind kClipJudge;
extern const JudgeKind kCommandJudge;
extern const JudgeKind kEarsJudge;
extern const JudgeKind kEyesJudge;
extern const JudgeKind kKeyJudge;
extern const JudgeKind kListenJudge;
extern const JudgeKind kLookJudge;
extern const JudgeKind kMiniJudge;
extern const JudgeKind kPageJudge;
extern const JudgeKind kSameAsJudge;
extern const JudgeKind kRubricJudge;
extern const JudgeKind kSchemaJudge;
extern const JudgeKind kSecretsJudge;
extern const JudgeKind kTextJudge;

namespace {
const std::vector<const JudgeKind*>& kinds() {
  static const std::vector<const JudgeKind*> all{
      &kTestsJudge,  &kCommandJudge, &kEarsJudge,   &kEyesJudge,  &kPageJudge, &kSameAsJudge,
      &kSchemaJudge, &kSecretsJudge, &kTextJudge,   &kCitedJudge, &kKeyJudge,  &kMiniJudge,
      &kRubricJudge, &kLookJudge,    &kListenJudge, &kClipJudge};
  return all;
}
}  // namespace

std::span<const JudgeKind* const> judge_kinds() {
  return kinds();
}

const JudgeKind* find_judge(std::string_view name) {
  for (const JudgeKind* kind : judge_kinds())
    if (kind->name == name) return kind;
  return nullptr;
}

}  // namespace lathe::loop
