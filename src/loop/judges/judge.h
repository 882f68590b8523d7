// A judge inspects the real artifact and says pass, fail or "I can't tell". A kind is a descriptor.
// To add one: a file here that defines `const JudgeKind kMyJudge`, and a line in registry.cpp. See
// docs/adding_a_judge.md.
#pragma once

#include <span>

#include "ground/base/option.h"
#include "loop/terms/exhibit.h"
#include "loop/terms/judgement.h"
#include "work/work.h"

namespace lathe::loop {

enum class Scope { kUnit, kWhole };

// One accepted (or given-up) unit, as a whole judge sees it.
struct Part {
  Unit unit;
  bool passed = false;
  std::string candidate = {};  // sha256 of the bytes; "" when nothing was ever made
  std::string bytes = {};
  std::string media_type = {};
  std::vector<Judgement> judgements = {};  // of it, as its unit's
};

struct JudgeTask {
  const Json& options;  // checked
  // What the candidate is for: one unit, or the whole group of a source tree.
  std::span<const Unit> units = {};
  std::span<const Unit> all_units = {};  // of the run: the script that the ear is given
  Scope scope = Scope::kUnit;
  std::string candidate = {};   // sha256 of `bytes`: every judgement must answer for this one
  std::string_view bytes = {};  // unit scope: the artifact
  std::string_view media_type = {};
  std::span<const Part> parts = {};  // whole scope: every unit in order
  Json discovered = {};  // what unit discovery found before the first lap (the tests that must run)
};

struct JudgeContext {
  const Place& place;
  Worker* worker = nullptr;  // for kinds that ask a model
  const StopFlag& stop;
  Milliseconds time_limit{120'000};
  // May be empty: what is going on, a few words.
  std::function<void(std::string_view)> progress = {};
  // May be empty: what the candidate's tests or programs print, as it comes.
  std::function<void(std::string_view)> output = {};
};

struct JudgeKind {
  std::string_view name;
  std::string_view summary = {};
  std::span<const OptionSpec> options = {};
  bool needs_worker = false;
  bool shows_pictures = false;  // to its worker
  Stage stage = Stage::kGate;   // where it stands unless the recipe says otherwise
  bool can_whole = false;
  // Options alone that make it advise: whatever it says, its silence too, counts for nothing. null:
  // its verdicts always count.
  bool (*advises)(const Json& options) = nullptr;
  Status (*check)(const Json& options) =
      nullptr;  // beyond types: missing programs, schemas that do not parse; may be null
  // What it looks for in a unit; errors name the member. null: nothing.
  Status (*check_unit)(const Unit& unit) = nullptr;
  // An Error is "not judged": retried once, never a pass, never a score, never shown to the
  // generator.
  Result<Judgement> (*judge)(const JudgeTask& task, const JudgeContext& context) = nullptr;
  // What its evidence has to show: taken out of it where it is better seen than read. Pure, and of
  // evidence out of any journal. null: it is all read.
  std::vector<Exhibit> (*exhibits)(Json& evidence) = nullptr;
};

std::span<const JudgeKind* const> judge_kinds();
const JudgeKind* find_judge(std::string_view name);

// Runs the judge and closes every way in which a broken one could pass: an error, an exception, a
// score that is not in [0,1] or not a number, an answer for another candidate, a pass below its own
// bar. The result is never kPass unless all is sound; what was wrong stands in evidence.not_judged.
// Of a judge that only advises it stands in evidence.no_advice, and the outcome is kAbstain.
Judgement judge_closed(const JudgeKind& kind, const JudgeTask& task, const JudgeContext& context);
// The same for what a judge somewhere else has said.
Judgement closed(const JudgeKind& kind, const JudgeTask& task, Result<Judgement> said);

}  // namespace lathe::loop
