// Which models are in memory: a pure function from what is there and what is asked for to what
// happens next. Nothing that runs is ever taken away, what waits longest is served first, and no
// stream of requests for one model keeps another one out for ever: its place is held for it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lathe::serve {

struct ResidencyModel {
  std::string name;
  std::uint64_t bytes = 0;     // weights and scratch
  std::uint64_t least_kv = 0;  // that its oldest waiting request needs; 0: none waits
  enum class State : std::uint8_t { kCold, kLoading, kReady } state = State::kCold;
  bool pinned = false;
  bool busy = false;           // requests are running
  std::uint64_t bound_kv = 0;  // bytes that they are promised
  int priority = 0;
  std::uint64_t last_used = 0;                 // a count of uses
  std::optional<std::uint64_t> waiting_since;  // of its oldest waiting request; the same count
};

struct ResidencyState {
  std::uint64_t limit = 0;  // for all models together
  std::vector<ResidencyModel> models;
};

struct ResidencyPlan {
  std::vector<std::string> evict;   // now
  std::optional<std::string> load;  // once those are gone
  std::vector<std::string> hold;    // take no new requests, so that they can be evicted
  // Can never fit: its waiting requests are refused with this sentence.
  std::vector<std::pair<std::string, std::string>> refuse;
};

ResidencyPlan plan_residency(const ResidencyState& state);

}  // namespace lathe::serve
