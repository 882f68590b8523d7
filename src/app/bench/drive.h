// Puts a target under a load and writes down what came of each request. One thread, no clock but
// the target's, so that a simulated one gives exact figures.
#pragma once

#include <functional>

#include "app/bench/load.h"
#include "app/bench/target.h"
#include "ground/base/stop.h"

namespace lathe::app {

struct Question {
  Request request = {};
  bool fixed = false;  // the one that is always the same
};
// The n-th question of a point, from 0 on.
using Questions = std::function<Question(std::size_t n)>;

// Requests are sent for load.seconds, and waited for. Waiting counts from when a request is due: a
// driver that comes late makes no latency disappear. `heard` is told each piece of text: its time.
// Ends early, with what there is, when `stop` is raised and when nothing is answered any more.
Result<Point> drive(Target& target, const Load& load, const Questions& questions, const Slo& slo,
                    const StopFlag& stop,
                    const std::function<void(std::int64_t at_us)>& heard = {});

}  // namespace lathe::app
