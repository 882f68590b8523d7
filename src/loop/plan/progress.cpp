// The state of a plan, derived from its runs.
#include "loop/plan/progress.h"

#include <algorithm>

#include "ground/base/hash.h"
#include "ground/base/text.h"
#include "loop/plan/recipes.h"
#include "loop/terms/write_rule.h"

namespace lathe::loop {
namespace {

constexpr std::size_t kMaxSentBackBytes = 6000;

void lay_over(Changes& base, const Changes& more) {
  for (const auto& [path, text] : more.files) base.files[path] = text;
}

bool names_path(std::string_view text, std::string_view path) {
  const auto part = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  };
  for (auto at = text.find(path); at != text.npos; at = text.find(path, at + 1)) {
    const auto end = at + path.size();
    const bool ends = end == text.size() || !part(text[end]) ||
                      (text[end] == '.' && (end + 1 == text.size() || text[end + 1] == ' '));
    if (ends && (at == 0 || !part(text[at - 1]))) return true;
  }
  return false;
}

bool names_path(const Critique& critique, std::string_view path) {
  return names_path(critique.locus, path) || names_path(critique.claim, path) ||
         names_path(critique.evidence, path);
}

std::size_t last_writer(const Plan& plan, const std::string& path) {
  for (auto it = plan.order.rbegin(); it != plan.order.rend(); ++it)
    if (std::ranges::any_of(plan.tasks[*it].writes,
                            [&](const std::string& glob) { return glob_match(glob, path); }))
      return *it;
  return plan.tasks.size();
}

// What the task is told of a merge that failed. What was found in files that may travel less far
// than the task is not told: only that something was found, and where of its own.
std::string told(const Plan& plan, const PlanRules& rules, std::size_t task, const Changes& merged,
                 std::span<const Critique> critiques) {
  const bool may_see_all = plan.tasks[task].label <= strictest_label(plan, rules);
  std::string text;
  for (const auto& [path, content] : merged.files) {
    if (last_writer(plan, path) != task) continue;
    for (const Critique& critique : critiques) {
      if (!names_path(critique, path)) continue;
      text += may_see_all ? fmt::format("- {}: {}\n{}\n", path, critique.claim, critique.evidence)
                          : fmt::format("- {}: a judge of the whole finds fault with it\n", path);
      if (!may_see_all) break;
    }
  }
  return clip_utf8(make_valid_utf8(text), kMaxSentBackBytes);
}

class Standing {
 public:
  Standing(const Plan& plan, const PlanRules& rules, std::span<const PartRun> runs)
      : plan_(plan), rules_(rules), runs_(runs.begin(), runs.end()) {
    std::ranges::sort(runs_, {}, &PartRun::number);
    stand_.tasks.resize(plan.tasks.size());
  }

  PlanStand find() {
    for (const PartRun& run : runs_)
      if (!run.task && run.ended && run.result != RunResult::kPassed &&
          run.result != RunResult::kNotJudged)
        take_back(run);
    for (const std::size_t task : plan_.order) stand_.tasks[task] = task_stand(task);
    stand_.merge = merge_stand();
    conclude();
    return std::move(stand_);
  }

 private:
  // A merge that failed: its tasks have another round.
  void take_back(const PartRun& merge) {
    if (++failed_merges_ >= kMaxMerges) return;
    const auto merged = parse_changes(merge.bytes);
    if (!merged) return;
    for (const std::size_t task : sent_back(plan_, *merged, merge.critiques)) {
      PartStand& stand = stand_.tasks[task];
      ++stand.round;
      stand.sent_back = told(plan_, rules_, task, *merged, merge.critiques);
      before_[{task, stand.round}] = merge.number;
    }
  }

  const PartRun* run_for(std::optional<std::size_t> task, const std::string& basis) const {
    const auto found = std::ranges::find_if(runs_.rbegin(), runs_.rend(), [&](const PartRun& run) {
      return run.task == task && run.basis == basis;
    });
    return found == runs_.rend() ? nullptr : &*found;
  }

  // What the task had made when the merge that began this round sent it back.
  Changes made_before(std::size_t task, int round) const {
    Changes made;
    for (int each = 2; each <= round; ++each) {
      const int merge = before_.at({task, each});
      const PartRun* last = nullptr;
      const int since = each == 2 ? 0 : before_.at({task, each - 1});
      for (const PartRun& run : runs_)
        if (run.task == task && run.number < merge && run.number > since && run.ended &&
            run.result == RunResult::kPassed)
          last = &run;
      if (!last) continue;
      if (const auto result = result_of(plan_, task, *last)) lay_over(made, *result);
    }
    return made;
  }

  PartStand task_stand(std::size_t task) const {
    PartStand stand = stand_.tasks[task];
    std::string basis = fmt::format("{} {}\n", plan_.tasks[task].id, stand.round);
    // In the plan's order, so that whoever wrote a file last has the say.
    for (const std::size_t other : plan_.order) {
      if (!waits_for(task, other)) continue;
      const PartStand& before = stand_.tasks[other];
      if (before.state != PartState::kPassed) {
        stand.why = fmt::format("waits for {}", plan_.tasks[other].id);
        return stand;
      }
      basis += plan_.tasks[other].id + " " + sha256_hex(serialise(before.result)) + "\n";
      lay_over(stand.base, before.result);
    }
    const Changes own = made_before(task, stand.round);
    lay_over(stand.base, own);
    stand.basis = sha256_hex(basis + serialise(own));
    const PartRun* run = run_for(task, stand.basis);
    take_run(stand, run);
    if (stand.state != PartState::kPassed) return stand;
    auto made = result_of(plan_, task, *run);
    if (!made) {
      stand.state = PartState::kFailed;
      stand.why = made.error().message;
      return stand;
    }
    stand.result = own;
    lay_over(stand.result, *made);
    return stand;
  }

  bool waits_for(std::size_t task, std::size_t other) const {
    return (ancestors_[task] >> other & 1) != 0;
  }

  static void take_run(PartStand& stand, const PartRun* run) {
    stand.state = PartState::kReady;
    if (!run) return;
    stand.run = run->id;
    stand.why = run->why;
    stand.state = state_of(*run);
  }

  PartStand merge_stand() const {
    PartStand stand;
    for (const std::size_t task : plan_.order) {
      if (stand_.tasks[task].state != PartState::kPassed) {
        stand.why = fmt::format("waits for {}", plan_.tasks[task].id);
        return stand;
      }
      lay_over(stand.base, stand_.tasks[task].result);
    }
    const std::string merged = serialise(stand.base);
    stand.basis = sha256_hex(merged);
    const PartRun* run = run_for(std::nullopt, stand.basis);
    take_run(stand, run);
    // What was judged must be what is written out.
    const bool judged = stand.state == PartState::kPassed || stand.state == PartState::kFailed;
    if (judged && run->bytes != merged) {
      stand.state = PartState::kNotJudged;
      stand.why = "what it judged is not what the tasks made";
    }
    return stand;
  }

  void conclude() {
    const PartStand *failed = nullptr, *not_judged = nullptr;
    std::string whose;
    const auto look = [&](const PartStand& part, const std::string& name) {
      if (part.state == PartState::kFailed && !failed) failed = &part, whose = name;
      if (part.state == PartState::kNotJudged && !not_judged) not_judged = &part;
      return part.state == PartState::kReady || part.state == PartState::kBegun;
    };
    bool open = false;
    for (const std::size_t task : plan_.order)
      open |= look(stand_.tasks[task], plan_.tasks[task].id);
    open |= look(stand_.merge, "the merge");
    if (open) return;
    if (failed) {
      stand_.ended = RunResult::kFailed;
      stand_.why = fmt::format("{}: {}", whose, failed->why);
    } else if (not_judged) {
      stand_.ended = RunResult::kNotJudged;
      stand_.why = not_judged->why;
    } else {
      LATHE_CHECK(stand_.merge.state == PartState::kPassed);
      stand_.ended = RunResult::kPassed;
      stand_.why = "every task passed, and so does what they made together";
    }
  }

  const Plan& plan_;
  const PlanRules& rules_;
  std::vector<PartRun> runs_;
  const std::vector<std::uint64_t> ancestors_ = ancestors_of(plan_.tasks, plan_.order);
  std::map<std::pair<std::size_t, int>, int> before_;  // a task's round → the merge before it
  int failed_merges_ = 0;
  PlanStand stand_;
};

}  // namespace

std::string_view part_state_name(PartState state) {
  constexpr std::string_view kNames[] = {"waits",  "ready",  "begun",
                                         "passed", "failed", "not_judged"};
  return kNames[static_cast<std::size_t>(state)];
}

PartState state_of(const PartRun& run) {
  if (!run.ended) return PartState::kBegun;
  if (run.result == RunResult::kPassed) return PartState::kPassed;
  return run.result == RunResult::kNotJudged ? PartState::kNotJudged : PartState::kFailed;
}

PartRun part_run(const std::string& id, const RunState& state, std::optional<std::size_t> task,
                 std::string bytes) {
  const Json& part = json_at(state.header.extra, "plan");
  PartRun run;
  run.id = id;
  run.task = task;
  run.number = static_cast<int>(json_int(part, "number", 0));
  run.basis = json_string(part, "basis");
  run.ended = state.ended;
  const RunOutcome outcome = run_outcome(state);
  run.result = outcome.result;
  run.why = outcome.reason;
  run.bytes = std::move(bytes);
  if (state.tracks.empty()) return run;
  if (const CandidateState* best = best_candidate(state.tracks.front())) {
    run.media_type = best->media_type;
    run.critiques = critiques_of(*best);
  }
  return run;
}

PlanStand stand_of(const Plan& plan, const PlanRules& rules, std::span<const PartRun> runs) {
  return Standing(plan, rules, runs).find();
}

std::vector<std::size_t> sent_back(const Plan& plan, const Changes& merged,
                                   std::span<const Critique> critiques) {
  std::vector<std::size_t> tasks;
  for (const auto& [path, text] : merged.files) {
    const std::size_t writer = last_writer(plan, path);
    if (writer < plan.tasks.size() && std::ranges::find(tasks, writer) == tasks.end() &&
        std::ranges::any_of(critiques,
                            [&](const Critique& each) { return names_path(each, path); }))
      tasks.push_back(writer);
  }
  std::ranges::sort(tasks);
  return tasks;
}

Result<Changes> result_of(const Plan& plan, std::size_t task, const PartRun& run) {
  const PlanTask& of = plan.tasks[task];
  if (!of.changes_tree() && find_invalid_utf8(run.bytes) != run.bytes.npos)
    return invalid("task '{}': run {} made what is no text, and only texts are put together", of.id,
                   run.id);
  if (!of.changes_tree()) return Changes{{{of.writes.front(), run.bytes}}};
  if (run.media_type != kChangesMediaType)
    return invalid("task '{}': run {} made {}, and changes of the tree are wanted", of.id, run.id,
                   run.media_type);
  LATHE_TRY(Changes changes, parse_changes(run.bytes));
  const WriteRule rule{of.writes, plan.protect};
  for (const auto& [path, text] : changes.files)
    if (const auto fine = rule.allows(path); !fine)
      return at(fmt::format("task '{}', run {}", of.id, run.id), fine.error());
  return changes;
}

}  // namespace lathe::loop
