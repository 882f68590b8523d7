// The choice between hosts, against the rule told in words, over all small families.
#include "serve/hosts/choose_host.h"

#include <gtest/gtest.h>

#include <vector>

namespace lathe::serve {
namespace {

using enum ModelState;

TEST(ChooseHost, NobodyKnowsTheModel) {
  EXPECT_EQ(choose_host({}), std::nullopt);
  EXPECT_EQ(choose_host(std::vector<HostView>{{false, kReady, 0}, {false, kReady, 0}}),
            std::nullopt);
}

TEST(ChooseHost, ReadyBeforeIdle) {
  EXPECT_EQ(choose_host(std::vector<HostView>{{true, kCold, 0}, {true, kReady, 9}}), 1U);
  EXPECT_EQ(choose_host(std::vector<HostView>{{true, kFailed, 0}, {true, kCold, 9}}), 1U);
  EXPECT_EQ(choose_host(std::vector<HostView>{{true, kCold, 0}, {true, kLoading, 1}}), 1U);
}

TEST(ChooseHost, LeastBusyThenTheFirst) {
  EXPECT_EQ(choose_host(std::vector<HostView>{{true, kReady, 2}, {true, kReady, 1}}), 1U);
  EXPECT_EQ(choose_host(std::vector<HostView>{{true, kReady, 1}, {true, kReady, 1}}), 0U);
}

// One that failed is still asked where there is no other: it says why.
TEST(ChooseHost, AFailedOneTellsItsReason) {
  EXPECT_EQ(choose_host(std::vector<HostView>{{false, kReady, 0}, {true, kFailed, 3}}), 1U);
}

// No host that is left would have been better in any respect that counts before.
TEST(ChooseHost, OverAllFamiliesOfThree) {
  const std::vector<ModelState> order{kReady, kLoading, kCold, kFailed};
  std::vector<HostView> kinds{{false, kReady, 0}};
  for (const ModelState state : order)
    for (int busy = 0; busy < 2; ++busy) kinds.push_back({true, state, busy});
  const auto place = [&](const HostView& view) {
    return std::ranges::find(order, view.state) - order.begin();
  };
  for (const HostView& a : kinds)
    for (const HostView& b : kinds)
      for (const HostView& c : kinds) {
        const std::vector<HostView> hosts{a, b, c};
        const auto chosen = choose_host(hosts);
        ASSERT_EQ(chosen.has_value(), a.knows || b.knows || c.knows);
        if (!chosen) continue;
        const HostView& best = hosts[*chosen];
        ASSERT_TRUE(best.knows);
        for (std::size_t i = 0; i < hosts.size(); ++i) {
          if (!hosts[i].knows) continue;
          ASSERT_LE(place(best), place(hosts[i]));
          if (place(best) != place(hosts[i])) continue;
          ASSERT_LE(best.busy, hosts[i].busy);
          if (best.busy == hosts[i].busy) {
            ASSERT_LE(*chosen, i);
          }
        }
      }
}

}  // namespace
}  // namespace lathe::serve
