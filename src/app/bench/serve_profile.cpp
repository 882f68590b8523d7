// A target under growing load, and under one load for long.
#include "app/bench/serve_profile.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ground/base/random.h"

namespace lathe::app {
namespace {

constexpr std::int64_t kReadEveryUs = 10'000'000;
// The digits that a new prompt begins with may be those of an earlier one by chance.
constexpr std::int64_t kSharedByChance = 8;

std::vector<const Summary*> summaries(const std::vector<Point>& points) {
  std::vector<const Summary*> list;
  for (const Point& point : points) list.push_back(&point.summary);
  return list;
}

// As a record holds it, so that its reader computes with the same.
double rounded(double value) {
  return parse_decimal(decimal(value)).value_or(value);
}

double median_of(const std::vector<double>& values, std::size_t from, std::size_t count) {
  const auto first = values.begin() + static_cast<std::ptrdiff_t>(from);
  return figure_of({first, first + static_cast<std::ptrdiff_t>(count)}).median;
}

}  // namespace

std::optional<Overload> overload_in(const std::vector<Point>& points) {
  return overload_of(summaries(points));
}

const Point& best_of(const std::vector<Point>& points) {
  return *std::ranges::max_element(
      points, {}, [](const Point& point) { return point.summary.answers_per_minute; });
}

Result<ServeResult> measure_serve(Target& target, const ServePlan& plan, const StopFlag& stop,
                                  const std::function<void(const Point&)>& heard) {
  ServeResult result;
  LATHE_TRY(result.calibration, calibrate(target, plan.shape, plan.seed, stop));
  if (std::string fault = cache_fault_of(result.calibration); !fault.empty())
    result.faults.push_back(std::move(fault));
  std::uint64_t points = 0;
  const auto measure = [&](const Arrival& arrival, std::vector<Point>& list) -> Status {
    const Load load{arrival, plan.seconds, plan.seed};
    const Questions questions =
        questions_of(plan.shape, result.calibration, mix64(plan.seed) + ++points);
    LATHE_TRY(list.emplace_back(), drive(target, load, questions, plan.slo, stop));
    const Point& point = list.back();
    for (const std::string& fault :
         faults_of(point, {plan.shape.answer_tokens,
                           result.calibration.shared_tokens + kSharedByChance, plan.shape.warm}))
      result.faults.push_back(load_name(load) + ": " + fault);
    heard(point);
    result.stopped = point.stopped;
    return {};
  };
  for (const std::size_t people : plan.people) {
    LATHE_TRY_STATUS(measure(ClosedLoop{.people = people}, result.closed));
    if (result.stopped) return result;
    if (overload_in(result.closed)) break;
  }
  const double most = best_of(result.closed).summary.answers_per_minute / 60;
  for (const double share : plan.shares) {
    if (rounded(most * share) <= 0) continue;
    LATHE_TRY_STATUS(measure(Poisson{rounded(most * share)}, result.poisson));
    if (result.stopped) return result;
  }
  return result;
}

std::vector<double> tokens_by_second(const Point& point) {
  std::vector<double> tokens(static_cast<std::size_t>(point.window_us / 1'000'000));
  for (const Sample& sample : point.samples) {
    if (sample.pieces_us.empty()) continue;
    const double each = sample.tokens() / static_cast<double>(sample.pieces_us.size());
    for (const std::int64_t at : sample.pieces_us) {
      const auto second = static_cast<std::size_t>(at / 1'000'000);
      if (second < tokens.size()) tokens[second] += each;
    }
  }
  return tokens;
}

SustainedFigures sustained_figures(const std::vector<double>& tokens) {
  const std::size_t n = tokens.size();
  const std::size_t first = std::clamp<std::size_t>(n / 6, 1, 60);
  const std::size_t last = std::clamp<std::size_t>(n / 2, 1, 300);
  SustainedFigures figures{.first = median_of(tokens, 0, first),
                           .last = median_of(tokens, n - last, last),
                           .first_seconds = static_cast<double>(first),
                           .last_seconds = static_cast<double>(last)};
  const std::size_t window = std::min<std::size_t>(10, n);
  for (std::size_t from = 0; from + window <= n; ++from) {
    const auto begin = tokens.begin() + static_cast<std::ptrdiff_t>(from);
    const double mean = std::accumulate(begin, begin + static_cast<std::ptrdiff_t>(window), 0.0) /
                        static_cast<double>(window);
    if (std::abs(mean - figures.last) > 0.05 * figures.last) continue;
    figures.settled_seconds = static_cast<double>(from);
    break;
  }
  return figures;
}

Result<SustainedResult> measure_sustained(Target& target, const Load& load, const Shape& shape,
                                          const Calibration& calibration, const Slo& slo,
                                          Sensors& sensors, const StopFlag& stop,
                                          const std::function<void(const Reading&)>& heard) {
  SustainedResult result{.energy_scope = sensors.energy_scope(),
                         .energy_description = sensors.energy_description()};
  result.trace.push_back(sensors.read(0));
  const auto look = [&](std::int64_t at_us) {
    if (at_us - result.trace.back().at_us < kReadEveryUs) return;
    result.trace.push_back(sensors.read(at_us));
    heard(result.trace.back());
  };
  LATHE_TRY(result.point,
            drive(target, load, questions_of(shape, calibration, load.seed), slo, stop, look));
  result.trace.push_back(sensors.read(result.point.wall_us));
  result.tokens = tokens_by_second(result.point);
  if (result.tokens.size() < 2)
    return fail(stop.raised() ? ErrorKind::kCancelled : ErrorKind::kUnavailable,
                "it ended after {:.1f} s: nothing can be said of sustained speed",
                static_cast<double>(result.point.window_us) / 1e6);
  result.figures = sustained_figures(result.tokens);
  return result;
}

std::optional<double> joules_per_token(const SustainedResult& result) {
  double joules = 0, tokens = 0;
  for (std::size_t i = 1; i < result.trace.size(); ++i) {
    const Reading& reading = result.trace[i];
    if (!reading.watts) return {};
    joules += *reading.watts * static_cast<double>(reading.at_us - result.trace[i - 1].at_us) / 1e6;
  }
  for (const Sample& sample : result.point.samples) tokens += sample.tokens();
  return tokens > 0 && result.trace.size() > 1 ? std::optional(joules / tokens) : std::nullopt;
}

std::optional<std::uint64_t> throttles_of(const std::vector<Reading>& trace) {
  if (trace.empty() || !trace.front().throttles || !trace.back().throttles) return {};
  return *trace.back().throttles - std::min(*trace.front().throttles, *trace.back().throttles);
}

}  // namespace lathe::app
