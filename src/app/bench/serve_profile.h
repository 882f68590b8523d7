// The profiles that put a target under load: serve (closed loops, then Poisson arrivals) and
// sustained (the best closed loop for long). Everything that they say comes from their samples.
#pragma once

#include "app/bench/client.h"
#include "app/bench/sensors.h"

namespace lathe::app {

struct ServePlan {
  Shape shape = {};
  Slo slo = {};
  double seconds = 60;  // of a point
  std::vector<std::size_t> people = {1, 2, 4, 8, 16, 32};
  // Arrivals, as shares of what the best closed loop answered.
  std::vector<double> shares = {0.25, 0.5, 0.75, 0.9, 1.0, 1.2};
  std::uint64_t seed = 1;
};

struct ServeResult {
  Calibration calibration = {};
  std::vector<Point> closed = {}, poisson = {};
  std::vector<std::string> faults = {};  // of the server, with the point that shows them
  bool stopped = false;
};
// `heard` is told each point when it ends. Closed loops end with the first one that is overloaded.
// When `stop` is raised the points so far are the result.
Result<ServeResult> measure_serve(Target& target, const ServePlan& plan, const StopFlag& stop,
                                  const std::function<void(const Point&)>& heard);
std::optional<Overload> overload_in(const std::vector<Point>& points);
// The point with the most answers a minute; points: at least one.
const Point& best_of(const std::vector<Point>& points);

// Of all pieces that came within each whole second of the window.
std::vector<double> tokens_by_second(const Point& point);

struct SustainedFigures {
  double first = 0, last = 0;                  // tokens a second, medians of seconds
  double first_seconds = 0, last_seconds = 0;  // how long those windows are
  // Until a mean of ten seconds is within 5 % of `last`; absent: it never was.
  std::optional<double> settled_seconds = {};
  double ratio() const { return first > 0 ? last / first : 0; }
};
// Of tokens in each second; at least two seconds. The windows are a minute and five minutes, and a
// sixth and a half of what is shorter than six and ten.
SustainedFigures sustained_figures(const std::vector<double>& tokens);

struct SustainedResult {
  Point point = {};
  std::vector<double> tokens = {};  // in each whole second
  std::vector<Reading> trace = {};
  std::string energy_scope = {}, energy_description = {};
  SustainedFigures figures = {};
};
Result<SustainedResult> measure_sustained(Target& target, const Load& load, const Shape& shape,
                                          const Calibration& calibration, const Slo& slo,
                                          Sensors& sensors, const StopFlag& stop,
                                          const std::function<void(const Reading&)>& heard);
// Of what the trace covers, prompts and idle watts included, by tokens of answers; nullopt: power
// could not be read all the time.
std::optional<double> joules_per_token(const SustainedResult& result);
// How often processors slowed down for heat between the first reading and the last; nullopt: not
// readable.
std::optional<std::uint64_t> throttles_of(const std::vector<Reading>& trace);

}  // namespace lathe::app
