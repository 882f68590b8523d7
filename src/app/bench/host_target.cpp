// The models of this process as what is measured.
#include <chrono>
#include <map>

#include "app/bench/live_target.h"

namespace lathe::app {
namespace {

class HostTarget final : public Target {
 public:
  HostTarget(ModelHost& host, std::string model) : host_(host), model_(std::move(model)) {}
  std::string where() const override { return "in this process"; }
  std::int64_t now_us() const override { return EventQueue::now_us(); }

  void ask(std::uint64_t id, const Request& request) override {
    const auto events = events_;
    asked_[id] = host_.submit(
        model_, request,
        [events, id](const Delta& delta) {
          const bool text = !delta.text.empty() || !delta.reasoning.empty();
          events->push({.id = id,
                        .at_us = EventQueue::now_us(),
                        .kind = text ? TargetEvent::Kind::kText : TargetEvent::Kind::kEmpty});
        },
        [events, id](Result<std::vector<HostReply>> replies) {
          TargetEvent event{.id = id, .at_us = EventQueue::now_us()};
          if (replies) {
            const HostReply& reply = replies->front();
            event.usage = reply.usage;
            event.finish = reply.finish;
            event.text = reply.reasoning + reply.text;
          } else {
            event.error = replies.error().message;
          }
          events->push(std::move(event));
        });
  }

  std::optional<TargetEvent> next(std::int64_t until_us) override {
    auto event = events_->next(until_us);
    if (event && event->kind == TargetEvent::Kind::kEnd) asked_.erase(event->id);
    return event;
  }

  void cancel() override {
    for (const auto& [id, job] : asked_) host_.cancel(job);
  }

 private:
  ModelHost& host_;
  const std::string model_;
  // Shared with callbacks that may come late.
  const std::shared_ptr<EventQueue> events_ = std::make_shared<EventQueue>();
  std::map<std::uint64_t, ModelHost::Id> asked_;
};

}  // namespace

std::unique_ptr<Target> host_target(ModelHost& host, std::string model) {
  return std::make_unique<HostTarget>(host, std::move(model));
}

void EventQueue::push(TargetEvent event) {
  const std::scoped_lock lock(mutex_);
  events_.push_back(std::move(event));
  changed_.notify_one();
}

std::optional<TargetEvent> EventQueue::next(std::int64_t until_us) {
  std::unique_lock lock(mutex_);
  const std::chrono::microseconds wait(std::max<std::int64_t>(0, until_us - now_us()));
  if (!changed_.wait_for(lock, wait, [&] { return !events_.empty(); })) return std::nullopt;
  TargetEvent event = std::move(events_.front());
  events_.pop_front();
  return event;
}

std::int64_t EventQueue::now_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace lathe::app
