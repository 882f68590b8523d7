// A step's room, dealt out to clients.
#include "serve/pool/step_share.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace lathe::serve {

double step_seconds_of(std::size_t rows, std::span<const double> measured) {
  double seconds = static_cast<double>(rows);
  for (std::size_t width = std::min(rows, measured.size()); width > 0; --width) {
    if (measured[width - 1] == 0) continue;
    seconds = measured[width - 1] * static_cast<double>(rows) / static_cast<double>(width);
    break;
  }
  for (std::size_t width = rows; width <= measured.size(); ++width)
    if (width > 0 && measured[width - 1] > 0) seconds = std::min(seconds, measured[width - 1]);
  return seconds;
}

StepChoice choose_requests(std::span<const StepRequest> requests, std::span<const double> weights,
                           std::span<const double> measured, std::optional<std::size_t> reader) {
  constexpr double kNoLimit = std::numeric_limits<double>::infinity();
  std::vector<std::size_t> rows(weights.size()), given(weights.size());
  std::vector<bool> answers(weights.size());
  for (const StepRequest& request : requests) {
    rows[request.client] += request.rows;
    answers[request.client] = answers[request.client] || !request.soon;
  }
  // How long the step may take: for everybody, and for those who wait for another's prompt.
  double all = 0, limit = kNoLimit, others_limit = kNoLimit;
  for (std::size_t c = 0; c < weights.size(); ++c) all += rows[c] > 0 ? weights[c] : 0;
  for (std::size_t c = 0; c < weights.size(); ++c) {
    if (rows[c] == 0) continue;
    const double most = step_seconds_of(rows[c], measured) * all / weights[c];
    limit = std::min(limit, most);
    if (answers[c] && c != reader) others_limit = std::min(others_limit, most);
  }
  if (reader && answers[*reader] && others_limit < kNoLimit)
    limit *= 1 - weights[*reader] / all / 2;
  // Who waited longest comes first, of each client.
  std::vector<std::size_t> order(requests.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return requests[i].last; });
  StepChoice choice{.chosen = std::vector<bool>(requests.size())};
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
    if (!first && step_seconds_of(width + request.rows, measured) > limit) break;
    choice.chosen[next] = true;
    given[request.client] += request.rows;
    width += request.rows;
    if (!request.soon) computed += request.rows;
  }
  const double seconds = step_seconds_of(computed, measured);
  choice.prompt_seconds =
      computed == 0 ? kNoLimit : std::clamp(others_limit - seconds, 0.0, seconds);
  return choice;
}

}  // namespace lathe::serve
