// A step's room, dealt out to clients.
#include "serve/pool/step_share.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace lathe::serve {

void StepCosts::note(std::size_t rows, double seconds) {
  if (seconds_.size() < rows) seconds_.resize(rows);
  double& known = seconds_[rows - 1];
  if (known == 0 || seconds < known)
    known = known == 0 ? seconds : (known + seconds) / 2;
  else
    known += (std::min(seconds, 2 * known) - known) / 10;
}

double StepCosts::seconds_of(std::size_t rows) const {
  double seconds = static_cast<double>(rows);
  for (std::size_t width = std::min(rows, seconds_.size()); width > 0; --width) {
    if (seconds_[width - 1] == 0) continue;
    seconds = seconds_[width - 1] * static_cast<double>(rows) / static_cast<double>(width);
    break;
  }
  for (std::size_t width = rows; width <= seconds_.size(); ++width)
    if (width > 0 && seconds_[width - 1] > 0) seconds = std::min(seconds, seconds_[width - 1]);
  return seconds;
}

StepChoice choose_requests(std::span<const StepRequest> requests, std::span<const double> weights,
                           const StepCosts& costs, std::uint64_t step,
                           std::optional<std::size_t> reader) {
  constexpr double kNoLimit = std::numeric_limits<double>::infinity();
  std::vector<std::size_t> rows(weights.size()), given(weights.size());
  std::vector<bool> answers(weights.size());
  for (const StepRequest& request : requests) {
    rows[request.client] += request.rows;
    answers[request.client] = answers[request.client] || !request.soon;
  }
  // How long the step may take: for everybody, and for those who wait for another's prompt.
  double all = 0, limit = kNoLimit, others_limit = kNoLimit;
  std::size_t least = 0;  // whose share is the limit
  for (std::size_t c = 0; c < weights.size(); ++c) all += rows[c] > 0 ? weights[c] : 0;
  for (std::size_t c = 0; c < weights.size(); ++c) {
    if (rows[c] == 0) continue;
    const double most = costs.seconds_of(rows[c]) * all / weights[c];
    if (most < limit) {
      limit = most;
      least = c;
    }
    if (answers[c] && c != reader) others_limit = std::min(others_limit, most);
  }
  StepChoice choice{.chosen = std::vector<bool>(requests.size())};
  if (step % kMeasureEvery == 0 && !weights.empty() && answers[least] && least != reader) {
    for (std::size_t i = 0; i < requests.size(); ++i)
      choice.chosen[i] = requests[i].client == least;
    choice.measures = true;
    return choice;
  }
  if (reader && answers[*reader] && others_limit < kNoLimit)
    limit *= 1 - weights[*reader] / all / 2;
  // Who waited longest comes first, of each client.
  std::vector<std::size_t> order(requests.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return requests[i].last; });
  std::size_t width = 0, computed = 0;
  for (;;) {
    // Of the client that has least by its weight.
    std::size_t next = requests.size();
    for (const std::size_t i : order) {
      if (choice.chosen[i]) continue;
      const std::size_t c = requests[i].client;
      const auto has = [&](std::size_t of) { return static_cast<double>(given[of]) / weights[of]; };
      if (next == requests.size() || has(c) < has(requests[next].client)) next = i;
    }
    if (next == requests.size()) break;
    const StepRequest& request = requests[next];
    const bool first = given[request.client] == 0;
    if (!first && costs.seconds_of(width + request.rows) > limit) break;
    choice.chosen[next] = true;
    given[request.client] += request.rows;
    width += request.rows;
    if (!request.soon) computed += request.rows;
  }
  const double seconds = costs.seconds_of(computed);
  choice.prompt_seconds =
      computed == 0 ? kNoLimit : std::clamp(others_limit - seconds, 0.0, seconds);
  return choice;
}

}  // namespace lathe::serve
