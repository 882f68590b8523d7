// The right to write to a run: at most one process holds it. How it is asked for is one state
// machine, the same before every store; a store only says whether it can be had now.
//
//   kAsking ──free──────────────────────▶ kHolding     until the Lease goes, or its process
//     │  ▲
//     │  └─taken, patience left: after a pause
//     └─taken, no patience left─────────▶ kRefused
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "ground/base/units.h"

namespace lathe::books {

struct LeaseAsk {
  enum class State { kAsking, kHolding, kRefused };

  Milliseconds patience{0};
  Milliseconds waited{0};
  State state = State::kAsking;
};

// How long one who asks waits before asking again.
inline constexpr Milliseconds kLeasePause{20};

// The state after the store has said whether the run is taken. Pure. `ask` must be asking: what
// has been decided stays so.
LeaseAsk after_answer(LeaseAsk ask, bool taken);

// What a store keeps while a run is held, a lock for instance: its end gives the run back.
class Hold {
 public:
  virtual ~Hold() = default;
};

class Lease {
 public:
  Lease(std::string run, std::unique_ptr<Hold> hold)
      : run_(std::move(run)), hold_(std::move(hold)) {}
  const std::string& run() const { return run_; }

 private:
  std::string run_;
  std::unique_ptr<Hold> hold_;
};

}  // namespace lathe::books
