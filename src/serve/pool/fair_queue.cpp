// Turns by counters of seconds.
#include "serve/pool/fair_queue.h"

#include <algorithm>

namespace lathe::serve {

double FairQueue::Clients::floor() const {
  std::optional<double> least;
  for (const auto& [key, client] : rows)
    if (!client.waiting.empty()) least = std::min(least.value_or(client.counter), client.counter);
  if (least) return *least;
  const auto found = rows.find(last);
  return found == rows.end() ? 0 : found->second.counter;
}

void FairQueue::add(Id id, const Caller& caller) {
  Clients& clients = of(caller);
  const double floor = clients.floor();
  // Whoever would be lifted anyway need not be remembered.
  std::erase_if(clients.rows, [&](const auto& row) {
    return row.second.waiting.empty() && row.second.counter <= floor && row.first != clients.last;
  });
  Client& client = clients.rows.try_emplace(caller.key, Client{floor}).first->second;
  if (client.waiting.empty()) client.counter = std::max(client.counter, floor);
  client.waiting.push_back(id);
}

void FairQueue::remove(Id id, const Caller& caller) {
  Clients& clients = of(caller);
  const auto found = clients.rows.find(caller.key);
  if (found == clients.rows.end()) return;
  Client& client = found->second;
  if (std::erase(client.waiting, id) > 0 && client.waiting.empty()) clients.last = caller.key;
}

std::optional<FairQueue::Id> FairQueue::next_of(const Clients& clients,
                                                const std::function<bool(Id)>& can_go) const {
  const Client* next = nullptr;
  for (const auto& [key, client] : clients.rows) {
    if (client.waiting.empty() || !can_go(client.waiting.front())) continue;
    if (next == nullptr || client.counter < next->counter ||
        (client.counter == next->counter && client.waiting.front() < next->waiting.front()))
      next = &client;
  }
  return next == nullptr ? std::nullopt : std::optional(next->waiting.front());
}

std::optional<FairQueue::Id> FairQueue::next(const std::function<bool(Id)>& can_go,
                                             bool background_first) const {
  const std::size_t first = background_first ? 1 : 0;
  if (const auto id = next_of(classes_[first], can_go)) return id;
  return next_of(classes_[1 - first], can_go);
}

void FairQueue::charge(const Caller& caller, double seconds) {
  Clients& clients = of(caller);
  Client& client = clients.rows.try_emplace(caller.key, Client{clients.floor()}).first->second;
  client.counter += seconds / caller.weight;
}

double FairQueue::counter(const Caller& caller) const {
  const Clients& clients = classes_[static_cast<std::size_t>(caller.call_class)];
  const auto found = clients.rows.find(caller.key);
  return found == clients.rows.end() ? clients.floor() : found->second.counter;
}

void ClassTurns::meet(bool both) {
  if (both && !both_) owed_ = std::min(owed_, 0.0);
  both_ = both;
}

void ClassTurns::charge(CallClass call_class, double seconds) {
  if (!both_) return;
  owed_ += call_class == CallClass::kInteractive ? kBackgroundShare * seconds
                                                 : -(1 - kBackgroundShare) * seconds;
}

double weight_in_step(const Caller& caller) {
  const bool background = caller.call_class == CallClass::kBackground;
  return caller.weight * (background ? ClassTurns::kBackgroundShare : 1);
}

}  // namespace lathe::serve
