// Rules and their words.
#include "loop/record/rule.h"

#include <utility>

namespace lathe::loop {
namespace {

constexpr std::pair<Rule, std::string_view> kTexts[] = {
    {Rule::kFirstLap, "first lap"},
    {Rule::kNextMove, "next move"},
    {Rule::kMadeBefore, "made before"},
    {Rule::kRatchet, "ratchet"},
    {Rule::kNoPassIsLost, "ratchet: no pass is lost"},
    {Rule::kPassed, "passed"},
    {Rule::kIdentical, "identical"},
    {Rule::kBackAndForth, "A-B-A-B"},
    {Rule::kSameFaults, "same faults"},
    {Rule::kNoGain, "no gain"},
    {Rule::kJudgeFlap, "judge flap"},
    {Rule::kNotJudged, "not judged"},
    {Rule::kRungUnavailable, "rung unavailable"},
    {Rule::kLaps, "laps"},
    {Rule::kNoMove, "no move"},
    {Rule::kNoFurtherMove, "no further move"},
    {Rule::kNoFurtherCandidate, "no further candidate"},
    {Rule::kBudget, "budget"},
    {Rule::kWaitsForAnother, "waits for another"},
};

}  // namespace

std::string_view rule_text(Rule rule) {
  for (const auto& [each, text] : kTexts)
    if (each == rule) return text;
  return "";
}

std::optional<Rule> parse_rule(std::string_view text) {
  for (const auto& [rule, each] : kTexts)
    if (each == text) return rule;
  return std::nullopt;
}

}  // namespace lathe::loop
