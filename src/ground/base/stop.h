// How long work is told to end early: a flag that any thread may raise, and a deadline.
#pragma once

#include <atomic>

#include "ground/base/clock.h"

namespace lathe {

class StopFlag {
 public:
  void raise() { raised_.store(true, std::memory_order_relaxed); }  // async-signal-safe
  void clear() { raised_.store(false, std::memory_order_relaxed); }
  bool raised() const { return raised_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> raised_{false};
};

}  // namespace lathe
