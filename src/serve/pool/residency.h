// Which models are in memory: a pure function from what is there and what is asked for to what
// happens next. Nothing that runs is ever taken away, what waits longest is served first, and no
// stream of requests for one model keeps another one out for ever: its place is held for it. Each
// device has a limit of its own, and a model has to fit all that it stands on.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ground/base/device_bytes.h"

namespace lathe::serve {

struct ResidencyModel {
  std::string name;
  DeviceBytes bytes;     // weights and scratch, or what a program promised and came to
  DeviceBytes least_kv;  // that its oldest waiting request needs; none: none waits
  // Leaving: a program that is being stopped; its bytes come back by themselves.
  enum class State : std::uint8_t { kCold, kLoading, kReady, kLeaving } state = State::kCold;
  bool program = false;   // another program serves it; nobody waits until that has started
  bool outgrown = false;  // … and it uses more than it promised
  bool pinned = false;
  bool busy = false;     // requests are running
  DeviceBytes bound_kv;  // that they are promised
  int priority = 0;
  std::uint64_t last_used = 0;                 // a count of uses
  std::optional<std::uint64_t> waiting_since;  // of its oldest waiting request; the same count
};

struct ResidencyState {
  DeviceBytes limit;  // for all models together
  std::vector<ResidencyModel> models;
};

struct ResidencyPlan {
  std::vector<std::string> evict;   // now
  std::optional<std::string> load;  // once those are gone
  std::vector<std::string> hold;    // take no new requests, so that they can be evicted
  std::vector<std::string> stop;    // have outgrown their promise, and there is no room for more
  // Can never fit: its waiting requests are refused with this sentence.
  std::vector<std::pair<std::string, std::string>> refuse;
};

ResidencyPlan plan_residency(const ResidencyState& state);

}  // namespace lathe::serve
