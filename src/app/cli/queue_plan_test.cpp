// Which run of the queue comes next, and when one that could not go on is tried again.
#include "app/cli/queue_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lathe::app {
namespace {

using ::testing::ElementsAre;
using std::chrono_literals::operator""s;

books::RunRow row(const std::string& id, const std::string& state, bool live = false) {
  books::RunRow run;
  run.id = id;
  run.state = state;
  run.live = live;
  return run;
}

TEST(QueuePlan, TheOldestThatNobodyWorksOn) {
  const std::vector<books::QueuedRun> queue{{"gone", 1}, {"done", 2}, {"held", 3, true},
                                            {"live", 4}, {"back", 5}, {"next", 6},
                                            {"later", 7}};
  const std::vector runs{row("done", "passed"),      row("held", "open"), row("live", "open", true),
                         row("back", "open"),        row("next", "open"), row("later", "open"),
                         row("never-queued", "open")};
  const Setbacks setbacks{{"back", {1, 100s}}};
  const QueuePlan plan = plan_queue(queue, runs, setbacks, 50s);
  EXPECT_EQ(plan.next, "next");
  EXPECT_THAT(plan.finished, ElementsAre("gone", "done"));
  EXPECT_EQ(plan.waiting, 4U);
  EXPECT_EQ(plan_queue(queue, runs, setbacks, 100s).next, "back");
  EXPECT_EQ(plan_queue({}, runs, {}, 0s).next, std::nullopt);
}

TEST(QueuePlan, SetbacksComeLessAndLessOften) {
  Setback setback;
  std::vector<std::int64_t> pauses;
  for (int i = 0; i < 9; ++i) {
    const Milliseconds now = setback.again;
    setback = after_setback(setback, now);
    pauses.push_back((setback.again - now) / 1s);
  }
  EXPECT_THAT(pauses, ElementsAre(60, 120, 240, 480, 960, 1920, 3600, 3600, 3600));
}

}  // namespace
}  // namespace lathe::app
