// The decisions of a run made again, from its records alone.
#include <string_view>

#include "ground/base/text.h"
#include "ground/base/version.h"
#include "loop/conductor/conductor.h"

namespace lathe::loop {
namespace {

// Other arithmetic may have led elsewhere without a fault of the run's.
std::string other_numerics(std::span<const Entry> entries) {
  const auto* run = entries.empty() ? nullptr : std::get_if<RunBegun>(&entries.front().event);
  const int numerics = run == nullptr ? kNumerics : run->numerics.value_or(1);
  if (numerics == kNumerics) return "";
  return fmt::format(
      "; the run was made with numerics {} ({}), this program has numerics {}: "
      "CHANGELOG.md says what changed between them",
      numerics, run->build, kNumerics);
}

}  // namespace

Result<int> replay(std::span<const Entry> entries) {
  LATHE_TRY(const RunState end, fold(entries));
  if (end.end_said == RunResult::kPassed && end.end_state != RunResult::kPassed)
    return invalid("the run said passed, wrongly: it is {}, {}", result_text(end.end_state),
                   end.end_why);
  const auto body_of = [](const Event& event) { return to_record({0, 0, {}, event}).body; };
  // What is decided, not how it is put.
  const auto decided = [&](const Event& event) {
    Json body = body_of(event);
    body.erase("reason");
    return canonical_json(body);
  };
  RunState state;
  int decisions = 0;
  bool after_resume = false;
  for (const Entry& entry : entries) {
    const auto expected = next_decision(state);
    const bool decision = is_decision(entry.event);
    // A run that was killed may have left a decision unmade: then a resume stands in its place, and
    // a doubt behind that.
    const bool fits =
        expected ? (decision ? entry.event.index() == expected->index() &&
                                   decided(entry.event) == decided(*expected)
                             : std::holds_alternative<Resumed>(entry.event) ||
                                   (std::holds_alternative<Doubted>(entry.event) && after_resume))
                 : !decision;
    if (!fits)
      return invalid(
          "record {}: the journal says {} {}, but these records lead to {} {}{}", entry.seq,
          kind_of(entry.event), clip_utf8(dump_json(body_of(entry.event)), 400),
          expected ? kind_of(*expected) : "no decision",
          expected ? clip_utf8(dump_json(body_of(*expected)), 400) : "", other_numerics(entries));
    decisions += decision;
    after_resume = std::holds_alternative<Resumed>(entry.event) ||
                   (after_resume && std::holds_alternative<Doubted>(entry.event));
    LATHE_TRY_STATUS(apply(state, entry));
  }
  return decisions;
}

}  // namespace lathe::loop
