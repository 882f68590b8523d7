// A fleet under a made-up clock: the real routing and the real state machine of leases, with nodes
// that compute nothing. Thousands of nodes and millions of units pass by in seconds, and nodes die
// or sleep meanwhile. Pure: the same numbers for the same seed on every machine.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "ground/base/result.h"

namespace lathe::app {

// The rungs of its ladder. Where units may go at all: home is the one node that a local unit
// comes from; small, middle and big are models on the LAN; the cloud takes only what may go there.
inline constexpr std::array<std::string_view, 5> kSimulatedRungs{"home", "small", "middle", "big",
                                                                 "cloud"};

struct SimulatedFleet {
  int nodes = 1'000;
  int units = 1'000'000;
  std::uint64_t seed = 1;
  double failures = 0.001;  // of leases whose node dies or falls asleep meanwhile
};

struct SimulationReport {
  std::int64_t passed = 0;      // units
  std::int64_t exhausted = 0;   // units that failed before the judges on every rung
  std::int64_t failed = 0;      // units given up because nodes failed
  std::int64_t lost = 0;        // units of which nothing came: there must be none
  std::int64_t twice = 0;       // calls that were counted twice: there must be none
  std::int64_t trespassed = 0;  // leases beyond a unit's label: there must be none
  std::int64_t leases = 0, copies = 0, stale = 0;
  std::int64_t deaths = 0, sleeps = 0;
  std::array<std::int64_t, kSimulatedRungs.size()> calls = {};  // that were counted, by rung
  double seconds = 0;                                           // of the made-up clock
  double throughput = 0;  // calls counted a second, on the LAN
  // The same if the nodes that are scarcest were at work all the time that they live, and no work
  // were thrown away.
  double bound = 0;
};

// Errors: numbers that make no fleet.
Result<SimulationReport> simulate_fleet(const SimulatedFleet& fleet);

}  // namespace lathe::app
