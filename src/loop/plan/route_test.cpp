// Whom a unit asks: never beyond its clearance, and in the cheapest order of all.
#include "loop/plan/route.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "ground/base/random.h"

namespace lathe::loop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct RandomCase {
  RouteUnit unit;
  std::vector<RouteRung> rungs;
  RouteHistory history{2, 7};
  RouteBudget budget;

  explicit RandomCase(std::uint64_t seed) {
    std::uint64_t place = 0;
    const auto draw = [&](std::uint64_t below) { return random_at(seed, 9, place++) % below; };
    unit.kind = draw(2);
    unit.difficulty = 1 + static_cast<int>(draw(3));
    unit.privacy = static_cast<Reach>(draw(3));
    unit.pictures = draw(4) == 0;
    unit.context_tokens = static_cast<std::int64_t>(draw(9'000));
    if (draw(3) == 0) budget.money = static_cast<double>(draw(40)) / 100;
    unit.memory_bytes = draw(4) * 1'000;
    rungs.resize(draw(8));
    for (std::size_t i = 0; i < rungs.size(); ++i) {
      RouteRung& rung = rungs[i];
      rung.reach = static_cast<Reach>(draw(3));
      rung.available = draw(5) != 0;
      rung.sees = draw(2) == 0;
      rung.context_tokens = static_cast<std::int64_t>(draw(3) * 8'000);
      rung.memory_bytes = draw(3) * 2'000;
      rung.takes_bytes = draw(5) * 1'000;
      rung.seconds = static_cast<double>(1 + draw(300));
      rung.joules = static_cast<double>(draw(5'000));
      rung.money = rung.reach == Reach::kAny ? static_cast<double>(draw(50)) / 100 : 0;
      for (std::size_t kind = 0; kind < 2; ++kind)
        for (int difficulty = 1; difficulty <= kDifficulties; ++difficulty) {
          const auto takes = static_cast<std::uint32_t>(draw(40));
          history.add(kind, difficulty, i, takes, static_cast<std::uint32_t>(draw(takes + 1)));
        }
    }
  }
};

TEST(Route, NoRungBeyondWhatTheUnitMay) {
  Route route;
  std::size_t asked = 0, refused = 0;
  for (std::uint64_t seed = 0; seed < 10'000; ++seed) {
    const RandomCase each(seed);
    find_route(each.unit, each.rungs, each.history, each.budget, route);
    ASSERT_EQ(route.verdicts.size(), each.rungs.size());
    for (const std::size_t i : route.ladder) {
      const RouteRung& rung = each.rungs[i];
      EXPECT_LE(rung.reach, each.unit.privacy) << "seed " << seed;
      EXPECT_TRUE(rung.available && (rung.sees || !each.unit.pictures)) << "seed " << seed;
      EXPECT_LE(rung.money, each.budget.money);
      EXPECT_TRUE(rung.context_tokens == 0 || rung.context_tokens >= each.unit.context_tokens);
      EXPECT_TRUE(rung.memory_bytes == 0 ||
                  rung.memory_bytes >= std::max(each.unit.memory_bytes, rung.takes_bytes));
      EXPECT_EQ(route.verdicts[i].why, RouteWhy::kTaken);
    }
    for (std::size_t i = 0; i < each.rungs.size(); ++i) {
      const bool on = std::ranges::find(route.ladder, i) != route.ladder.end();
      EXPECT_EQ(on, route.verdicts[i].why == RouteWhy::kTaken) << "a rung goes without a reason";
      EXPECT_EQ(on, why_text(each.unit, each.rungs[i], route.verdicts[i]).empty());
      ++(on ? asked : refused);
    }
  }
  EXPECT_GT(asked, 5'000U);
  EXPECT_GT(refused, 5'000U);
}

TEST(Route, NoOtherOrderIsCheaper) {
  Route route;
  for (std::uint64_t seed = 0; seed < 3'000; ++seed) {
    const RandomCase each(seed);
    find_route(each.unit, each.rungs, each.history, each.budget, route);
    const double cost = expected_cost(route.ladder, route.verdicts);
    std::vector<std::size_t> order = route.ladder;
    std::ranges::sort(order);
    do {
      EXPECT_GE(expected_cost(order, route.verdicts), cost * (1 - 1e-12)) << "seed " << seed;
    } while (std::ranges::next_permutation(order).found);
  }
}

TEST(Route, TheLadderEndsWhereItIsEnough) {
  Route route;
  for (std::uint64_t seed = 0; seed < 3'000; ++seed) {
    const RandomCase each(seed);
    find_route(each.unit, each.rungs, each.history, each.budget, route);
    double sum = 0;
    for (std::size_t i = 0; i < route.ladder.size(); ++i) {
      EXPECT_LT(sum, kEnoughProbability) << "one more than is needed";
      sum += route.verdicts[route.ladder[i]].probability;
    }
    const bool left_out = std::ranges::any_of(route.verdicts, [](const RouteVerdict& each_one) {
      return each_one.why == RouteWhy::kEnough;
    });
    if (left_out) {
      EXPECT_GE(sum, kEnoughProbability);
    }
  }
}

TEST(Route, OwnVerdictsDecide) {
  std::vector<RouteRung> rungs(2);
  rungs[0].seconds = 10;   // the quick one
  rungs[1].seconds = 100;  // the slow one
  RouteHistory history(1, 2);
  Route route;
  find_route({}, rungs, history, {}, route);
  EXPECT_THAT(route.ladder, ElementsAre(0, 1)) << "nobody knows better";
  history.add(0, 1, 0, 98, 0);
  history.add(0, 1, 1, 98, 97);
  find_route({}, rungs, history, {}, route);
  EXPECT_THAT(route.ladder, ElementsAre(1)) << "it passes, and that is enough";
  EXPECT_EQ(route.verdicts[0].why, RouteWhy::kEnough);
  RouteUnit harder;
  harder.difficulty = 2;
  find_route(harder, rungs, history, {}, route);
  EXPECT_THAT(route.ladder, ElementsAre(0, 1)) << "of that difficulty nothing is known";
}

TEST(Route, AReasonForEachThatIsLeftOut) {
  std::vector<RouteRung> rungs(2);
  rungs[0].reach = Reach::kAny;
  rungs[1].available = false;
  Route route;
  find_route({}, rungs, RouteHistory(1, 2), {}, route);
  EXPECT_TRUE(route.ladder.empty());
  EXPECT_THAT(why_text({}, rungs[0], route.verdicts[0]),
              HasSubstr("is \"local\", and it is \"cloud\""));
  EXPECT_EQ(route.verdicts[1].why, RouteWhy::kUnavailable);
}

}  // namespace
}  // namespace lathe::loop
