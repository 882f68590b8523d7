// Made-up fleets: nothing is lost, nothing is counted twice, and no time is wasted.
#include <gtest/gtest.h>

#include "app/simulate/fleet_simulation.h"

namespace lathe::app {
namespace {

SimulationReport simulated(int nodes, int units, double failures, std::uint64_t seed = 1) {
  SimulatedFleet fleet;
  fleet.nodes = nodes;
  fleet.units = units;
  fleet.failures = failures;
  fleet.seed = seed;
  return simulate_fleet(fleet).value();
}

TEST(Simulation, NothingIsLostOrCountedTwiceWhateverFails) {
  for (const double failures : {0.0, 0.01, 0.2})
    for (const std::uint64_t seed : {1U, 2U}) {
      const SimulationReport report = simulated(50, 3'000, failures, seed);
      EXPECT_EQ(report.passed + report.exhausted + report.failed, 3'000);
      EXPECT_EQ(report.lost, 0);
      EXPECT_EQ(report.twice, 0);
      EXPECT_EQ(report.trespassed, 0);
      EXPECT_EQ(report.deaths > 0, failures > 0);
    }
}

TEST(Simulation, TheRateIsWithinFivePercentOfTheBound) {
  const SimulationReport report = simulated(50, 50'000, 0.001);
  EXPECT_GT(report.deaths, 0);
  EXPECT_GT(report.sleeps, 0);
  EXPECT_GE(report.throughput, 0.95 * report.bound);
  EXPECT_LE(report.throughput, report.bound);
}

TEST(Simulation, ASeedGivesTheSameNumbers) {
  const SimulationReport one = simulated(60, 2'000, 0.05), other = simulated(60, 2'000, 0.05);
  EXPECT_EQ(one.seconds, other.seconds);
  EXPECT_EQ(one.leases, other.leases);
  EXPECT_NE(one.seconds, simulated(60, 2'000, 0.05, 2).seconds);
}

TEST(Simulation, NumbersThatMakeNoFleetAreRefused) {
  SimulatedFleet fleet;
  fleet.nodes = 0;
  EXPECT_FALSE(simulate_fleet(fleet));
  fleet = {};
  fleet.units = -1;
  EXPECT_FALSE(simulate_fleet(fleet));
  fleet = {};
  fleet.failures = 0.0 / 0.0;
  EXPECT_FALSE(simulate_fleet(fleet));
}

}  // namespace
}  // namespace lathe::app
