// Whom a unit asks, and in which order: of the rungs that may have it, those with the least
// expected cost to a pass. Pure, and without an allocation where its result is used again: a
// simulation of a fleet calls it a million times.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "work/work.h"

namespace lathe::loop {

inline constexpr int kDifficulties = 3;
// The ladder ends where the sum of its probabilities reaches this.
inline constexpr double kEnoughProbability = 0.95;

struct RouteUnit {
  std::size_t kind = 0;  // as the history numbers them
  int difficulty = 1;    // 1 to kDifficulties
  Reach privacy = Reach::kLocal;
  bool pictures = false, sounds = false;  // it shows some
  std::int64_t context_tokens = 0;        // that a take needs
  std::uint64_t memory_bytes = 0;
  double deadline_seconds = std::numeric_limits<double>::infinity();  // for one take
};

// A worker, or a class of nodes that are alike.
struct RouteRung {
  Reach reach = Reach::kLocal;  // how far away it is: a unit that may go less far never gets there
  bool available = true;
  bool sees = false, hears = false;
  std::int64_t context_tokens = 0;  // 0, as of memory: not known, and taken for enough
  std::uint64_t memory_bytes = 0;   // that it has
  std::uint64_t takes_bytes = 0;    // … and that its model takes, whatever a unit needs
  double seconds = 60, joules = 0, money = 0;  // of one take
};

// What a second of waiting and a joule are worth, in the money's unit; and what is left.
struct RouteBudget {
  double per_second = 1e-4;
  double per_joule = 0.30 / 3.6e6;  // 0.30 a kilowatt-hour
  double money = std::numeric_limits<double>::infinity();
  double joules = std::numeric_limits<double>::infinity();

  double cost_of(const RouteRung& rung) const {
    return rung.seconds * per_second + rung.joules * per_joule + rung.money;
  }
};

// Takes and passes by own verdicts: of each kind, difficulty and rung.
class RouteHistory {
 public:
  RouteHistory(std::size_t kinds, std::size_t rungs)
      : rungs_(rungs), tallies_(kinds * kDifficulties * rungs) {}

  void add(std::size_t kind, int difficulty, std::size_t rung, std::uint32_t takes,
           std::uint32_t passes) {
    Tally& tally = tallies_[place(kind, difficulty, rung)];
    tally.takes += takes;
    tally.passes += passes;
  }
  // (passes + 1) / (takes + 2): a half of what nobody has tried.
  double probability(std::size_t kind, int difficulty, std::size_t rung) const {
    const Tally& tally = tallies_[place(kind, difficulty, rung)];
    return (tally.passes + 1.0) / (tally.takes + 2.0);
  }
  std::uint32_t takes(std::size_t kind, int difficulty, std::size_t rung) const {
    return tallies_[place(kind, difficulty, rung)].takes;
  }

 private:
  struct Tally {
    std::uint32_t takes = 0, passes = 0;
  };
  std::size_t place(std::size_t kind, int difficulty, std::size_t rung) const {
    return (kind * kDifficulties + static_cast<std::size_t>(difficulty - 1)) * rungs_ + rung;
  }

  std::size_t rungs_;
  std::vector<Tally> tallies_;
};

// Why a rung is not on the ladder; kEnough: those before it pass often enough.
enum class RouteWhy {
  kTaken,
  kUnavailable,
  kPrivacy,
  kModality,
  kContext,
  kMemory,
  kDeadline,
  kBudget,
  kEnough
};

struct RouteVerdict {
  RouteWhy why = RouteWhy::kTaken;
  double probability = 0, cost = 0;
};

struct Route {
  std::vector<std::size_t> ladder;     // indices of rungs
  std::vector<RouteVerdict> verdicts;  // of each rung
};

// Into `route`, whose memory is used again.
void find_route(const RouteUnit& unit, std::span<const RouteRung> rungs,
                const RouteHistory& history, const RouteBudget& budget, Route& route);

// Σ cost · Π(1 − p of those before): what asking the rungs in this order takes.
double expected_cost(std::span<const std::size_t> ladder, std::span<const RouteVerdict> verdicts);

// "its privacy is \"local\", and this rung reaches lan"; "" where it was taken.
std::string why_text(const RouteUnit& unit, const RouteRung& rung, const RouteVerdict& verdict);

}  // namespace lathe::loop
