// How many people share one box. A closed machine-repair model: N people think for Z seconds, ask,
// wait for the answer, and think again; the box serves n of them at once by continuous batching, at
// a rate that its own benchmark says. Pure, any thread.
//
//   μ(n) = 1 / (answer / S(min(n, B)) + fresh / S_pp)      answers a second with n under way
//   p(n) ∝ N! / (N − n)! · Z^−n / ∏ μ(i)                   the share of time with n under way
//   X = Σ p(n)·μ(n), R = Σ n·p(n) / X                      answers a second, seconds an answer
//
// Load-dependent processor sharing in a closed network (Baskett, Chandy, Muntz and Palacios, 1975):
// the mean holds for thinking times and lengths of any distribution.
#pragma once

#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "app/bench/sample.h"
#include "ground/base/result.h"

namespace lathe::app {

struct CapacityTerms {
  // Streams and tokens a second of all of them together, S, by streams; linear between two, and
  // what the last one says beyond it.
  std::vector<std::pair<double, double>> decode;
  double prefill = 0;        // S_pp, prompt tokens a second
  double answer_tokens = 0;  // of one answer
  double fresh_tokens = 0;   // of one prompt, without what is cached
  double think_seconds = 0;  // Z, mean
};
// That all of it is above zero (fresh_tokens: not below) and the streams grow.
Status check(const CapacityTerms& terms);

struct CapacityPoint {
  std::size_t people = 0;
  double seconds = 0;   // R: an answer, from the question to its end
  double slowdown = 0;  // R over that of one alone
  double answers_per_minute = 0;
};
inline constexpr std::size_t kMostPeople = 100'000;
// Of checked terms; people in [1, kMostPeople].
CapacityPoint capacity_at(const CapacityTerms& terms, std::size_t people);
// The most people whose mean slowdown is at most `slowdown` (> 1); kMostPeople: that many or more.
std::size_t people_at(const CapacityTerms& terms, double slowdown);

// For how many seconds so many people's answers are listened to, who together had so many tokens a
// second with fewer of them (0: nobody asked yet): two answers of each, in [3, 30].
double listening_seconds(double answer_tokens, std::size_t people, double tokens_per_second);

// Tokens a second of all answers together in the first `seconds` of a load. Those of an answer are
// taken to come evenly from when it was asked for to its end, whenever they were heard: a text may
// be kept back.
double written_per_second(std::span<const Sample> samples, double seconds);

}  // namespace lathe::app
