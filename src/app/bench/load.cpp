// Arrivals, the rule of overload, the frontier, and servers whose answers are not what they seem.
#include "app/bench/load.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "ground/base/plural.h"
#include "ground/base/random.h"
#include "ground/base/text.h"

namespace lathe::app {
namespace {

constexpr double kMostPerSecond = 10'000;
constexpr double kLeastSeconds = 1, kMostSeconds = 30 * 86'400.0;
constexpr std::size_t kMostAtOnce = 512;

double exponential_us(double mean_seconds, std::uint64_t seed, std::uint64_t stream,
                      std::uint64_t place) {
  return -mean_seconds * 1e6 * std::log1p(-uniform_at(seed, stream, place));
}

// All pieces at the very end of an answer of some length: the stream was kept back. No desk writes
// fifty tokens a millisecond for one stream after it has thought for fifty times as long.
bool kept_back(const Sample& sample) {
  if (!sample.answered() || sample.tokens() < 8 || sample.pieces_us.empty()) return false;
  const auto writing = static_cast<double>(sample.pieces_us.back() - sample.pieces_us.front());
  const auto before = static_cast<double>(sample.pieces_us.front() - sample.sent_us);
  return writing < 20 * (sample.tokens() - 1) && writing < 0.02 * before;
}

std::string share(std::size_t part, std::size_t all, std::string_view what) {
  return fmt::format("{} of {} {}", part, all, what);
}

void add_failures(const Point& point, std::vector<std::string>& faults) {
  std::map<std::string, std::size_t> errors;
  std::size_t failed = 0, afterwards = 0;
  std::int64_t last_answer = 0;
  for (const Sample& sample : point.samples)
    if (sample.answered()) last_answer = std::max(last_answer, sample.end_us);
  for (const Sample& sample : point.samples) {
    if (sample.answered()) continue;
    ++failed;
    ++errors[sample.error];
    if (sample.sent_us >= last_answer) ++afterwards;
  }
  if (failed == 0) return;
  const auto most =
      std::ranges::max_element(errors, {}, [](const auto& row) { return row.second; });
  faults.push_back(fmt::format("{}, mostly so: {}",
                               share(failed, point.samples.size(), "requests failed"),
                               clip_utf8(most->first, 300)));
  if (failed < point.samples.size() && afterwards >= 3)
    faults.push_back(fmt::format(
        "the server stopped answering {:.1f} s after the point began: the last {} requests failed",
        static_cast<double>(last_answer) / 1e6, afterwards));
}

}  // namespace

std::string load_name(const Load& load) {
  if (const auto* poisson = std::get_if<Poisson>(&load.arrival))
    return decimal(std::round(poisson->per_second * 1e3) / 1e3) + " a second";
  const auto& loop = std::get<ClosedLoop>(load.arrival);
  if (loop.think_seconds <= 0) return fmt::format("{} at once", loop.people);
  return fmt::format("{} people who think {} s", loop.people, decimal(loop.think_seconds));
}

Status check(const Load& load) {
  if (!(load.seconds >= kLeastSeconds && load.seconds <= kMostSeconds))
    return invalid("a point of {} s; it must last from 1 s to 30 days: a shorter one says nothing",
                   decimal(load.seconds));
  if (const auto* poisson = std::get_if<Poisson>(&load.arrival)) {
    if (poisson->per_second > 0 && poisson->per_second <= kMostPerSecond) return {};
    return invalid("{} requests a second; it must be above 0 and at most {}", poisson->per_second,
                   kMostPerSecond);
  }
  const auto& loop = std::get<ClosedLoop>(load.arrival);
  if (loop.people < 1 || loop.people > kMostAtOnce)
    return invalid("{} at once; it must lie in [1, {}]", loop.people, kMostAtOnce);
  if (!(loop.think_seconds >= 0 && loop.think_seconds <= kMostSeconds))
    return invalid("a time to think of {} s; it must lie in [0 s, 30 days]", loop.think_seconds);
  return {};
}

std::vector<std::int64_t> arrivals(const Poisson& poisson, double seconds, std::uint64_t seed) {
  std::vector<std::int64_t> times;
  double at = 0;
  for (std::uint64_t i = 0;; ++i) {
    at += exponential_us(1 / poisson.per_second, seed, 0, i);
    if (at >= seconds * 1e6) return times;
    times.push_back(static_cast<std::int64_t>(at));
  }
}

std::int64_t think_us(const ClosedLoop& loop, std::uint64_t seed, std::size_t person,
                      std::size_t n) {
  return static_cast<std::int64_t>(exponential_us(loop.think_seconds, seed, person + 1, n));
}

std::optional<Overload> overload_of(const std::vector<const Summary*>& points) {
  const Summary* best = nullptr;
  for (std::size_t i = 0; i < points.size(); ++i) {
    const Summary& point = *points[i];
    if (point.failed > 0) return Overload{i, counted(point.failed, "request") + " failed"};
    if (best != nullptr) {
      const double ratio =
          best->answers_per_minute > 0 ? point.answers_per_minute / best->answers_per_minute : 1;
      if (ratio < 0.95)
        return Overload{i, fmt::format("{:.0f} % of the best point's answers", ratio * 100)};
      const double longer = point.whole_ms.tail() / best->whole_ms.tail();
      if (ratio <= 1.03 && longer > 2)
        return Overload{i, fmt::format("the tail is {:.1f} times as long for {:+.0f} % answers",
                                       longer, (ratio - 1) * 100)};
    }
    if (best == nullptr || point.answers_per_minute > best->answers_per_minute) best = &point;
  }
  return std::nullopt;
}

std::vector<bool> frontier_of(const std::vector<const Summary*>& points) {
  const auto each = [](const Summary& point) { return point.each_per_second.figure.median; };
  const auto all = [](const Summary& point) { return point.tokens_per_second; };
  std::vector<bool> on;
  for (const Summary* point : points) {
    on.push_back(std::ranges::none_of(points, [&](const Summary* other) {
      return each(*other) >= each(*point) && all(*other) >= all(*point) &&
             (each(*other) > each(*point) || all(*other) > all(*point));
    }));
  }
  return on;
}

std::vector<std::string> faults_of(const Point& point, const Declared& declared) {
  std::vector<std::string> faults;
  add_failures(point, faults);
  std::size_t answers = 0, empty = 0, buffered = 0, cut = 0, void_ones = 0, silent = 0,
              uncounted = 0;
  double earlier = 0;
  for (const Sample& sample : point.samples) {
    if (!sample.answered()) continue;
    ++answers;
    if (sample.empty_us >= 0 && !sample.pieces_us.empty()) {
      ++empty;
      earlier = std::max(earlier, static_cast<double>(sample.pieces_us.front() - sample.empty_us));
    }
    if (kept_back(sample)) ++buffered;
    if (sample.counted && sample.finish == "length" &&
        sample.answer_tokens < declared.answer_tokens)
      ++cut;
    const bool cached = sample.cached_tokens > declared.shared_tokens;
    if (!sample.fixed && cached != declared.warm) ++void_ones;
    if (sample.pieces_us.empty()) ++silent;
    if (!sample.counted) ++uncounted;
  }
  const auto say = [&](std::size_t count, std::string_view what) {
    if (count > 0) faults.push_back(share(count, answers, what));
  };
  say(void_ones,
      declared.warm
          ? "prompts that were asked before did not come from the cache: the point is void"
          : "prompts that should be new came from the cache: the point is void");
  say(cut, fmt::format("answers are cut: they end at a length below the {} tokens that were asked",
                       declared.answer_tokens));
  if (2 * buffered > answers)
    faults.push_back(
        share(buffered, answers,
              "answers came in one piece at their end: the server, or what stands "
              "between, buffers its stream; the time to the first token is that of the "
              "whole"));
  if (empty > 0)
    faults.push_back(fmt::format(
        "{}, up to {:.0f} ms before the first token: it does not count as one",
        share(empty, answers, "answers begin with an event without text"), earlier / 1e3));
  say(silent, "answers hold no text");
  say(uncounted, "answers say nothing of their tokens: pieces are counted instead");
  return faults;
}

}  // namespace lathe::app
