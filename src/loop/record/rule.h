// The rules by which a run decides. A decision's record carries one, in words.
#pragma once

#include <optional>
#include <string_view>

namespace lathe::loop {

enum class Rule {
  kNone,  // nothing has been decided yet: never in a record
  // A lap is opened.
  kFirstLap,
  kNextMove,
  kMadeBefore,  // of a run that judges an old run's candidates
  // A lap is closed.
  kRatchet,
  kNoPassIsLost,  // better, and yet not taken
  // A track ends.
  kPassed,
  kIdentical,
  kBackAndForth,
  kSameFaults,
  kNoGain,
  kJudgeFlap,
  kNotJudged,
  kRungUnavailable,  // a lap, too: the next rung's
  kLaps,
  kNoMove,
  kNoFurtherMove,
  kNoFurtherCandidate,
  kBudget,
  kWaitsForAnother,
};
std::string_view rule_text(Rule rule);  // "no gain"; "" for kNone
std::optional<Rule> parse_rule(std::string_view text);

}  // namespace lathe::loop
