// How far a plan is, by what its runs' own records say: a function of them and nothing else, so
// that a plan that was killed goes on where it was, and nothing passes because somebody said so.
//
// Each task is a run, made from the results of those that it waits for; once all have passed, the
// merge is one, in which the whole judges look at what they made together. A merge that fails sends
// back the tasks whose files its judges name: they are made again, from what they had made.
#pragma once

#include "loop/conductor/state.h"
#include "loop/plan/plan.h"

namespace lathe::loop {

inline constexpr int kMaxMerges = 3;  // that fail, before the plan is given up

// A run of a plan, as it is read from the journal.
struct PartRun {
  std::string id;
  std::optional<std::size_t> task;  // none: the merge
  int number = 1;                   // of the plan's runs, in the order in which they were begun
  std::string basis;                // what it was begun for
  bool ended = false;
  RunResult result = RunResult::kNotJudged;
  std::string why;
  std::string bytes, media_type;    // of the candidate that stands
  std::vector<Critique> critiques;  // of it, by its judges
};

// A run's part in a plan: reads what is asked for above from its state and the candidate's bytes.
PartRun part_run(const std::string& id, const RunState& state, std::optional<std::size_t> task,
                 std::string bytes);

enum class PartState { kWaits, kReady, kBegun, kPassed, kFailed, kNotJudged };
std::string_view part_state_name(PartState state);  // "waits" "ready" "begun" …

// What the run alone has come to.
PartState state_of(const PartRun& run);

struct PartStand {
  PartState state = PartState::kWaits;
  std::string why = {};
  std::string run = {};        // for what it is made of now; "": none yet
  std::string basis = {};      // a hash of that
  Changes base = {};           // what those before it made: laid over the plan's tree
  Changes result = {};         // of what it waits for nothing of: its own, where it has passed
  std::string sent_back = {};  // what the merge found, as its maker may be told
  int round = 1;
};

struct PlanStand {
  std::vector<PartStand> tasks;
  PartStand merge;  // its base is what all tasks made together
  // What the plan has come to; none: there is work left.
  std::optional<RunResult> ended;
  std::string why;
};

// `runs` in any order.
PlanStand stand_of(const Plan& plan, const PlanRules& rules, std::span<const PartRun> runs);

// The tasks whose files the critiques name: each file's last writer.
std::vector<std::size_t> sent_back(const Plan& plan, const Changes& merged,
                                   std::span<const Critique> critiques);

// What a candidate changes: its changes, or the one file that its task writes. Refused, with the
// reason: whatever the task may not write.
Result<Changes> result_of(const Plan& plan, std::size_t task, const PartRun& run);

}  // namespace lathe::loop
