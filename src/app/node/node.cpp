// A node's threads: one a slot that leases, works and hands in, and one that says that it lives.
#include "app/node/node.h"

#include <algorithm>

namespace lathe::app {
namespace {

constexpr Milliseconds kAgainAfter{1'000}, kAgainAtMost{15'000};  // a store that cannot be reached
constexpr Milliseconds kLookAgain{500};                           // where something is in the way

}  // namespace

class Node::Line {
 public:
  explicit Line(Node& node) : node_(node) {}

  // `work` with the store. Where that cannot be reached: again, later and later, until the node
  // ends; nullopt then, and when the node is not of the fleet any more.
  template <class T>
  std::optional<T> ask(const std::function<Result<T>(books::LeaseStore&)>& work) {
    for (Milliseconds pause = kAgainAfter;; pause = std::min(2 * pause, kAgainAtMost)) {
      Result<T> done = once<T>(work);
      if (done) {
        node_.say_well();
        return *std::move(done);
      }
      if (done.error().kind == ErrorKind::kDenied) {
        node_.leave(done.error().message);
        return std::nullopt;
      }
      store_.reset();
      node_.say_trouble(done.error().message);
      if (node_.ending_.raised()) return std::nullopt;
      node_.rest(pause);
    }
  }

 private:
  template <class T>
  Result<T> once(const std::function<Result<T>(books::LeaseStore&)>& work) {
    if (!store_) {
      LATHE_TRY(store_, node_.options_.open());
    }
    return work(*store_);
  }

  Node& node_;
  std::unique_ptr<books::LeaseStore> store_;
};

Node::Node(NodeOptions options) : options_(std::move(options)) {
  for (int i = 0; i < options_.slots; ++i) threads_.emplace_back([this] { work(); });
  threads_.emplace_back([this] { beat(); });
}

Node::~Node() {
  {
    const std::scoped_lock lock(mutex_);
    ending_.raise();
    for (Job& job : jobs_) job.stop.raise();
  }
  ended_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

std::size_t Node::working() const {
  const std::scoped_lock lock(mutex_);
  return jobs_.size();
}

std::string Node::left() const {
  const std::scoped_lock lock(mutex_);
  return left_;
}

void Node::leave(const std::string& why) {
  {
    const std::scoped_lock lock(mutex_);
    if (ending_.raised()) return;
    left_ = why;
    ending_.raise();
    for (Job& job : jobs_) job.stop.raise();
  }
  ended_.notify_all();
  options_.log("this machine takes no part in the fleet any more: " + why);
}

void Node::say_trouble(const std::string& what) {
  {
    const std::scoped_lock lock(mutex_);
    if (trouble_ == what) return;
    trouble_ = what;
  }
  options_.log("the fleet's store cannot be asked, it is tried again: " + what);
}

void Node::say_well() {
  {
    const std::scoped_lock lock(mutex_);
    if (trouble_.empty()) return;
    trouble_.clear();
  }
  options_.log("the fleet's store answers again");
}

void Node::rest(Milliseconds time) {
  std::unique_lock lock(mutex_);
  ended_.wait_for(lock, time, [this] { return ending_.raised(); });
}

void Node::work() {
  Line line(*this);
  while (!ending_.raised()) {
    if (!options_.busy().empty()) {
      rest(kLookAgain);
      continue;
    }
    const auto lease = line.ask<std::optional<books::Grant>>([this](books::LeaseStore& store) {
      return store.lease({.node = options_.id, .caps = options_.caps(), .run = options_.run});
    });
    if (!lease) return;
    if (*lease)
      do_one(line, **lease);
    else
      line.ask<bool>([this](books::LeaseStore& store) -> Result<bool> {
        LATHE_TRY_STATUS(store.wait(options_.poll));
        return true;
      });
  }
}

void Node::do_one(Line& line, const books::Grant& lease) {
  std::list<Job>::iterator job;
  {
    const std::scoped_lock lock(mutex_);
    job = jobs_.emplace(jobs_.end());
    job->lease = lease;
    if (ending_.raised()) job->stop.raise();
  }
  hand_in(line, *job, options_.carry_out(lease, job->stop));
  const std::scoped_lock lock(mutex_);
  jobs_.erase(job);
}

// What was stopped is given back: it is no attempt, and nobody knows what its result is worth.
void Node::hand_in(Line& line, const Job& job, const Result<books::UnitResult>& result) {
  const std::string name = job.lease.run + " " + job.lease.unit;
  const bool stopped = job.stop.raised();
  const auto answer = line.ask<books::LeaseAnswer>([&](books::LeaseStore& store) {
    if (stopped) return store.release(job.lease);
    return result ? store.complete(job.lease, *result) : store.fail(job.lease);
  });
  if (!answer) return;
  if (*answer == books::LeaseAnswer::kStale)
    options_.log(name + ": stale, another node has it by now: what was done is thrown away");
  else if (stopped)
    return;
  else if (*answer == books::LeaseAnswer::kAlarm)
    options_.log(name + ": alarm, another node made something else of it: one of both is broken");
  else if (!result)
    options_.log(name + ": no result: " + result.error().message);
}

void Node::beat() {
  Line line(*this);
  while (!ending_.raised()) {
    std::vector<books::Grant> held;
    {
      const std::scoped_lock lock(mutex_);
      for (const Job& job : jobs_) held.push_back(job.lease);
    }
    const auto kept = line.ask<std::vector<books::Grant>>([&](books::LeaseStore& store) {
      return store.heartbeat(options_.id, held, options_.load());
    });
    if (!kept) return;
    {
      const std::scoped_lock lock(mutex_);
      for (Job& job : jobs_) {
        const auto is_this = [&](const books::Grant& lease) {
          return lease.run == job.lease.run && lease.unit == job.lease.unit &&
                 lease.epoch == job.lease.epoch;
        };
        if (std::ranges::any_of(held, is_this) && std::ranges::none_of(*kept, is_this))
          job.stop.raise();
      }
    }
    rest(options_.beat);
  }
}

}  // namespace lathe::app
