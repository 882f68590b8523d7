// Which running requests take part in a step, and how much it may read of prompts, where several
// clients share a model. Those of a client with many take turns, so that a step takes one with few
// no longer than its share of the machine would: of two clients of one weight, twice as long as
// without the other. Wide steps cost less than so many narrow ones, so little is lost by that.
// Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace lathe::serve {

struct StepRequest {
  std::size_t client = 0;  // its index among the weights
  std::size_t rows = 1;    // answers at once
  std::uint64_t last = 0;  // when it last took part: a count
  bool soon = false;       // it stands for an answer that has not begun: no row of this step
};

struct StepChoice {
  std::vector<bool> chosen;   // of the requests
  double prompt_seconds = 0;  // for which it may read prompts
  bool measures = false;      // it is what one client takes alone: it reads no prompts at all
};

// What steps of 1, 2, 3 … rows take when nothing comes between.
class StepCosts {
 public:
  // A step with nothing but rows took so long. A shorter time than was known says more than a
  // longer one: a step may be held up (a page that is new, a core that somebody else has), but
  // none is done early.
  void note(std::size_t rows, double seconds);
  // As the next narrower width that is known, each row more at the price of its rows, but no more
  // than a wider one. So widths that were never tried are tried one after the other, as long as
  // they turn out to fit. Nothing known: each row costs one second.
  double seconds_of(std::size_t rows) const;
  bool known() const { return !seconds_.empty(); }

 private:
  std::vector<double> seconds_;  // 0: there was none yet
};

// Every so many steps one is chosen to measure: no share goes by a figure of long ago.
constexpr std::uint64_t kMeasureEvery = 64;

// Who takes part in the step of this number. Of each client at least one does; the rest of the room
// is dealt out evenly by weight, to whoever waited longest. The client `reader` has a prompt to
// read: that takes as long as the rows do, and where it has answers beside it and another one
// answers too, half of its share. Where no row is chosen, prompts have all the room. Each 64th step
// is that of one client alone, if it answers: the one whose share is the limit.
StepChoice choose_requests(std::span<const StepRequest> requests, std::span<const double> weights,
                           const StepCosts& costs, std::uint64_t step,
                           std::optional<std::size_t> reader = std::nullopt);

}  // namespace lathe::serve
