// Carries a plan out: each task and each merge is a run of the conductor, begun when the plan's
// progress says that it may be, leased from a store, as many at once as are allowed. What the plan
// has come to is never kept: it is read from the runs (progress.h).
#pragma once

#include "books/journal/journal.h"
#include "books/leases/lease_store.h"
#include "loop/conductor/conductor.h"
#include "loop/plan/history.h"
#include "loop/plan/progress.h"

namespace lathe::loop {

// What a plan began with. Each of its runs has it in its header, so that any of them can bring the
// plan back.
struct PlanHead {
  std::string id;  // as of a run
  Plan plan;
  PlanRules rules;
  SourceTree base;     // what the tasks begin from
  fs::path directory;  // files that judges name are relative to this
  Json extra = {};     // what the command line wants to find again
};

// A new one: the tree's snapshot goes into the journal. Refused: writes through links.
Result<PlanHead> begin_plan(const books::Journal& journal, Plan plan, const PlanRules& rules,
                            const fs::path& tree, const fs::path& directory, Json extra,
                            const Clock& clock);

struct FoundPlan {
  PlanHead head;
  std::vector<PartRun> runs;
};
// `id`: the plan's, the beginning of it, or "last"; a run of its own will do too.
Result<FoundPlan> find_plan(const books::Journal& journal, const std::string& id);

// The ids of plans, by their newest runs; at most so many.
Result<std::vector<std::string>> newest_plans(const books::Journal& journal, std::size_t most);

// What happens, for people. Called on the thread that drives.
struct PlanNews {
  enum class Kind { kBegun, kGoesOn, kEnded, kStale, kWaits } kind;
  std::string part;  // the task's id, or "merge"
  std::string run;
  PartState state = PartState::kBegun;
  std::string why = {};
  std::vector<std::string> left_out = {};  // kBegun: rungs that are not asked, and why
};

struct PlanBench {
  // The journal once more: each run has one of its own.
  std::function<Result<books::Journal>()> journal;
  // A bench whose workers reach as far as this label, and no farther.
  std::function<Result<const Bench*>(Reach label)> bench;
  books::LeaseStore& leases;
  std::string node;                // this box
  std::vector<std::string> rungs;  // workers that tasks may ask
  TakeHistory history = {};
  RouteBudget budget = {};
  // Of workers whose models are in this machine's memory: what each takes, and what there is.
  struct Memory {
    std::uint64_t takes = 0, has = 0;
  };
  std::map<std::string, Memory> memory = {};
  std::set<std::string> rungs_away = {};  // of them, those that other machines may be asked for
  int max_parallel = 1;
  const Clock& clock;
  StopFlag& stop;  // of the benches, too: raised where an error ends the others
  std::function<void(const PlanNews&)> news = {};
  // What lives for as long as a run is driven with the bench of that label; may be empty.
  std::function<Result<std::shared_ptr<void>>(Reach label, const std::string& run)> beside = {};
};

// To the end, or until bench.stop is raised; what is not done then is gone on with by another call.
// Tasks that were not judged are tried again, once a call. Errors: another process works on the
// plan; a task that nobody may be asked for.
Result<PlanStand> drive_plan(books::Journal& journal, const PlanHead& head,
                             std::vector<PartRun> runs, const PlanBench& bench);

}  // namespace lathe::loop
