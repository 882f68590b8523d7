// Work beside the engines: models in turn, one request of each at a time, and an end for everyone.
#include "serve/pool/side_work.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

#include "ground/base/units.h"

namespace lathe::serve {
namespace {

// Holds whoever waits until it is opened.
struct Gate {
  std::promise<void> promise;
  std::shared_future<void> open = promise.get_future().share();
};

TEST(SideWork, OneModelsWorkKeepsNoOtherWaiting) {
  SideWork side(2);
  Gate gate;
  std::atomic<int> slow = 0;
  for (SideWork::Id id = 1; id <= 20; ++id)
    side.add(
        id, "slow", [&](const StopFlag&) { gate.open.wait(); }, [&](bool) { ++slow; });
  for (SideWork::Id id = 21; id <= 40; ++id) {
    std::promise<bool> done;
    side.add(
        id, "quick", [](const StopFlag&) {}, [&](bool stopped) { done.set_value(stopped); });
    EXPECT_FALSE(done.get_future().get()) << "although twenty came before";
  }
  EXPECT_EQ(slow, 0);
  gate.promise.set_value();
  std::promise<void> last;
  side.add(
      41, "slow", [](const StopFlag&) {}, [&](bool) { last.set_value(); });
  last.get_future().wait();
  EXPECT_EQ(slow, 20) << "in order of arrival";
}

TEST(SideWork, IsCancelledWhileItWaitsAndWhileItRuns) {
  SideWork side(1);
  std::promise<void> begun;
  std::promise<bool> running, waiting;
  side.add(
      1, "m",
      [&](const StopFlag& stop) {
        begun.set_value();
        while (!stop.raised()) std::this_thread::sleep_for(Milliseconds(1));
      },
      [&](bool stopped) { running.set_value(stopped); });
  side.add(
      2, "m", [](const StopFlag&) { ADD_FAILURE() << "was cancelled before"; },
      [&](bool stopped) { waiting.set_value(stopped); });
  begun.get_future().wait();
  EXPECT_TRUE(side.cancel(2));
  EXPECT_TRUE(waiting.get_future().get());
  EXPECT_FALSE(side.cancel(2));
  EXPECT_TRUE(side.cancel(1));
  EXPECT_TRUE(running.get_future().get());
  EXPECT_FALSE(side.cancel(3));
}

TEST(SideWork, TheEndStopsEverythingOnce) {
  std::atomic<int> stopped = 0;
  std::promise<void> begun;
  SideWork side(1);
  const auto done = [&](bool was_stopped) { stopped += was_stopped ? 1 : 100; };
  side.add(
      1, "m",
      [&](const StopFlag& stop) {
        begun.set_value();
        while (!stop.raised()) std::this_thread::sleep_for(Milliseconds(1));
      },
      done);
  side.add(
      2, "m", [](const StopFlag&) {}, done);
  begun.get_future().wait();
  side.stop();
  EXPECT_EQ(stopped, 2);
  side.add(
      3, "m", [](const StopFlag&) {}, done);
  EXPECT_EQ(stopped, 3);
}

}  // namespace
}  // namespace lathe::serve
