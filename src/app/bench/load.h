// The loads that a server is put under, and what is read from the figures of several of them. Pure,
// any thread.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "app/bench/sample.h"

namespace lathe::app {

// So many people, each with one request at a time, who think in between (0: not at all), for times
// of an exponential distribution.
struct ClosedLoop {
  std::size_t people = 1;
  double think_seconds = 0;
};
// Requests that come when they come, whether or not earlier ones are answered.
struct Poisson {
  double per_second = 1;
};
using Arrival = std::variant<ClosedLoop, Poisson>;

struct Load {
  Arrival arrival;
  double seconds = 60;  // how long requests are sent
  std::uint64_t seed = 1;
};
// "4 at once", "8 people who think 60 s", "0.5 a second".
std::string load_name(const Load& load);
Status check(const Load& load);

// When the requests of a Poisson process come, in microseconds, ascending.
std::vector<std::int64_t> arrivals(const Poisson& poisson, double seconds, std::uint64_t seed);
// The n-th time to think of one of the people.
std::int64_t think_us(const ClosedLoop& loop, std::uint64_t seed, std::size_t person,
                      std::size_t n);

struct Point {
  Load load;
  std::int64_t window_us = 0, wall_us = 0;  // how long requests were sent; until all had ended
  std::vector<Sample> samples = {};
  Summary summary = {};
  bool stopped = false;  // before its time
};

// A point is overloaded when a request failed, when fewer than 95 % of the best point's answers a
// minute came, or when at most 3 % more came while the tail (Spread::tail of whole_ms) is over
// twice as long. `points` in the order of their load; the first one that is, and why.
struct Overload {
  std::size_t point = 0;
  std::string why;
};
std::optional<Overload> overload_of(const std::vector<const Summary*>& points);

// Which points no other one beats in both: tokens a second of one answer (median) and of all.
std::vector<bool> frontier_of(const std::vector<const Summary*>& points);

// What its questions are.
struct Declared {
  std::int64_t answer_tokens = 0;  // at most
  std::int64_t shared_tokens = 0;  // of the prompt, that new ones have from the cache
  bool warm = false;               // all of them were asked before
};
// What is wrong with a server's answers, in words; empty: nothing was found.
std::vector<std::string> faults_of(const Point& point, const Declared& declared);

}  // namespace lathe::app
