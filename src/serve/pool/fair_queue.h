// Whose turn it is, of those who share one model: the virtual token counter of Sheng et al.
// ("Fairness in Serving Large Language Models", OSDI 2024), over measured seconds instead of
// tokens. A client is a key; its counter grows by what it was given, divided by its weight; the
// client with the smallest one comes next, its requests in order of arrival. Who comes back after
// idling is lifted to the smallest counter of those who wait: time is not saved up. As the paper
// proves, the weighted seconds of two clients that both wait all the while never differ by more
// than twice the cost of the longest prompt, or of one full batch if that is more.
//
// Interactive requests come before background ones, but of the seconds in which both have work,
// background gets its share (ClassTurns). Values, without a clock; one thread.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "work/caller.h"

namespace lathe::serve {

class FairQueue {
 public:
  // Of a request: a number that grows from arrival to arrival.
  using Id = std::uint64_t;

  // It waits from now on.
  void add(Id id, const Caller& caller);
  // It waits no more. Nothing happens where it does not.
  void remove(Id id, const Caller& caller);
  // Whose turn it is: of the clients whose oldest request can go the one with the smallest counter;
  // of equal ones whose request is older. nullopt: nobody's.
  std::optional<Id> next(const std::function<bool(Id)>& can_go, bool background_first) const;
  // What a client was given; negative: what was charged ahead and not taken.
  void charge(const Caller& caller, double seconds);
  // Seconds by weight.
  double counter(const Caller& caller) const;

 private:
  struct Client {
    double counter = 0;
    std::deque<Id> waiting = {};
  };
  struct Clients {  // of one class, by key
    std::map<std::string, Client> rows = {};
    std::string last = {};  // who waited last

    double floor() const;  // to which a client is lifted that comes back
  };
  std::optional<Id> next_of(const Clients& clients, const std::function<bool(Id)>& can_go) const;
  Clients& of(const Caller& caller) {
    return classes_[static_cast<std::size_t>(caller.call_class)];
  }

  std::array<Clients, 2> classes_;
};

// When background work has its turn beside interactive work.
class ClassTurns {
 public:
  // Of the seconds in which both have work.
  static constexpr double kBackgroundShare = 0.05;

  // Whether both have work now. Where they did not, background has nothing saved up.
  void meet(bool both);
  void charge(CallClass call_class, double seconds);
  // It is owed something.
  bool background() const { return both_ && owed_ > 0; }

 private:
  bool both_ = false;
  double owed_ = 0;  // seconds, to background
};

// Among those who share a step: background work, which has it beside people in its turn alone, has
// no more of it than its share of the seconds, so that it slows nobody down by more than that.
double weight_in_step(const Caller& caller);

}  // namespace lathe::serve
