// The queue's next run.
#include "app/cli/queue_plan.h"

#include <algorithm>

namespace lathe::app {

Setback after_setback(const Setback& before, Milliseconds now) {
  constexpr Milliseconds kFirst{60'000}, kMost{3'600'000};
  const Milliseconds pause = std::min(kFirst * (1 << std::min(before.times, 6)), kMost);
  return {before.times + 1, now + pause};
}

QueuePlan plan_queue(std::span<const books::QueuedRun> queue, std::span<const books::RunRow> runs,
                     const Setbacks& setbacks, Milliseconds now) {
  QueuePlan plan;
  for (const books::QueuedRun& row : queue) {
    const auto run = std::ranges::find(runs, row.run, &books::RunRow::id);
    if (run == runs.end() || run->state != "open") {
      plan.finished.push_back(row.run);
      continue;
    }
    if (row.paused) continue;
    ++plan.waiting;
    const auto setback = setbacks.find(row.run);
    const bool may = setback == setbacks.end() || setback->second.again <= now;
    if (!plan.next && !run->live && may) plan.next = row.run;
  }
  return plan;
}

}  // namespace lathe::app
