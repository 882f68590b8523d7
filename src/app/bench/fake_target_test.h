// A server in simulated time: so many requests at once, each with a known time to its first token
// and between two; the rest wait in line. And its faults. For tests.
#pragma once

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "app/bench/target.h"
#include "ground/base/random.h"

namespace lathe::app {

struct FakeServer {
  std::size_t slots = 1;
  std::int64_t first_us = 100'000, gap_us = 10'000;
  int tokens = 11;      // of an answer
  bool random = false;  // first_us is the mean of an exponential distribution
  // The faults.
  bool buffers = false;             // all pieces come at the end
  std::int64_t empty_early_us = 0;  // an event without text so long before the first token
  bool secret_cache = false;   // a prompt that it knows is as good as read, which it keeps quiet
  bool warm = false;           // says that all of every prompt was cached
  int cut_to = 0;              // answers end there, "length"
  std::size_t fails_each = 0;  // every n-th request fails
  std::int64_t dies_us = -1;   // from then on all fail
  int other_bits_each = 0;     // every n-th answer is another one
  bool counts = true;
};

class FakeTarget final : public Target {
 public:
  explicit FakeTarget(FakeServer server) : server_(server), free_us_(server.slots, 0) {}
  std::string where() const override { return "fake"; }
  std::int64_t now_us() const override { return now_; }

  void ask(std::uint64_t id, const Request& request) override {
    ++asked_;
    const std::string prompt = request.talk()->messages.front().content.text();
    const bool known = !seen_.insert(prompt).second;
    const auto slot = std::ranges::min_element(free_us_);
    const std::int64_t start = std::max(now_, *slot);
    if ((server_.fails_each > 0 && asked_ % server_.fails_each == 0) ||
        (server_.dies_us >= 0 && start >= server_.dies_us)) {
      TargetEvent event{.id = id, .at_us = now_ + 1000};
      event.error =
          server_.dies_us >= 0 && start >= server_.dies_us ? "connection refused" : "status 500";
      events_.push_back(std::move(event));
      return;
    }
    int tokens = std::min(server_.tokens, request.max_tokens);
    if (server_.cut_to > 0) tokens = std::min(tokens, server_.cut_to);
    double reading = static_cast<double>(server_.first_us);
    if (known && server_.secret_cache) reading /= 10;
    if (server_.random) reading *= -std::log1p(-uniform_at(7, 7, asked_));
    const std::int64_t first = start + static_cast<std::int64_t>(reading);
    const std::int64_t last = first + (tokens - 1) * server_.gap_us;
    if (server_.empty_early_us > 0)
      events_.push_back(
          {.id = id, .at_us = first - server_.empty_early_us, .kind = TargetEvent::Kind::kEmpty});
    for (int i = 0; i < tokens; ++i)
      events_.push_back({.id = id,
                         .at_us = server_.buffers ? last : first + i * server_.gap_us,
                         .kind = TargetEvent::Kind::kText});
    TargetEvent end{.id = id, .at_us = last};
    end.usage.counted = server_.counts;
    end.usage.prompt_tokens = static_cast<std::int64_t>(std::ranges::count(prompt, ' ') + 1);
    end.usage.cached_tokens = server_.warm ? end.usage.prompt_tokens : 0;
    end.usage.completion_tokens = tokens;
    end.finish = tokens < server_.tokens || tokens == request.max_tokens ? FinishReason::kLength
                                                                         : FinishReason::kStop;
    end.text = prompt + " answered";
    if (server_.other_bits_each > 0 &&
        asked_ % static_cast<std::size_t>(server_.other_bits_each) == 0)
      end.text += " otherwise";
    events_.push_back(std::move(end));
    *slot = last;
  }

  std::optional<TargetEvent> next(std::int64_t until_us) override {
    // The first one in time; of those of one time the one that was made first.
    const auto first = std::ranges::min_element(events_, {}, &TargetEvent::at_us);
    if (first == events_.end() || first->at_us > until_us) {
      now_ = std::max(now_, until_us);
      return std::nullopt;
    }
    TargetEvent event = std::move(*first);
    events_.erase(first);
    now_ = std::max(now_, event.at_us);
    return event;
  }

  void cancel() override {
    for (TargetEvent& event : events_)
      if (event.kind == TargetEvent::Kind::kEnd) {
        event.at_us = now_;
        event.error = "cancelled";
      }
    std::erase_if(events_, [&](const TargetEvent& event) { return event.at_us > now_; });
  }

 private:
  const FakeServer server_;
  std::vector<std::int64_t> free_us_;
  std::vector<TargetEvent> events_;
  std::set<std::string> seen_;
  std::int64_t now_ = 0;
  std::size_t asked_ = 0;
};

}  // namespace lathe::app
