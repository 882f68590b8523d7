// What whoever works through the queue does next. Pure.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "books/journal/record_store.h"
#include "ground/base/units.h"

namespace lathe::app {

// Of a run that could not be gone on with: its workers did not answer, its files were away.
struct Setback {
  int times = 0;
  Milliseconds again{0};  // not before
};
// The pause doubles, from a minute to an hour.
Setback after_setback(const Setback& before, Milliseconds now);
using Setbacks = std::map<std::string, Setback>;

struct QueuePlan {
  std::optional<std::string> next;    // the oldest that nobody works on and that may be
  std::vector<std::string> finished;  // have ended or are gone: they leave the queue
  std::size_t waiting = 0;            // that are neither finished nor paused
};
QueuePlan plan_queue(std::span<const books::QueuedRun> queue, std::span<const books::RunRow> runs,
                     const Setbacks& setbacks, Milliseconds now);

}  // namespace lathe::app
