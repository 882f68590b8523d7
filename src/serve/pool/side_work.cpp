// A few threads and a list of tasks: the model that was served longest ago comes next.
#include "serve/pool/side_work.h"

#include <algorithm>

namespace lathe::serve {

SideWork::SideWork(std::size_t threads) {
  for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { run(); });
}

SideWork::~SideWork() {
  stop();
}

void SideWork::add(Id id, std::string model, std::function<void(const StopFlag&)> work,
                   std::function<void(bool stopped)> done) {
  {
    const std::scoped_lock lock(mutex_);
    if (stopping_) return done(true);
    tasks_.emplace_back(id, std::move(model), std::move(work), std::move(done));
  }
  changed_.notify_one();
}

bool SideWork::cancel(Id id) {
  const std::scoped_lock lock(mutex_);
  const auto task = std::ranges::find(tasks_, id, &Task::id);
  if (task == tasks_.end()) return false;
  task->stop.raise();
  if (task->running) return true;
  task->done(true);
  tasks_.erase(task);
  return true;
}

void SideWork::stop() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
    for (auto task = tasks_.begin(); task != tasks_.end();) {
      task->stop.raise();
      if (!task->running) task->done(true);
      task = task->running ? std::next(task) : tasks_.erase(task);
    }
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

SideWork::Tasks::iterator SideWork::next() {
  auto best = tasks_.end();
  for (auto task = tasks_.begin(); task != tasks_.end(); ++task) {
    if (busy_.contains(task->model)) continue;
    if (best == tasks_.end() || turns_[task->model] < turns_[best->model]) best = task;
  }
  return best;
}

void SideWork::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    auto task = tasks_.end();
    changed_.wait(lock, [&] { return stopping_ || (task = next()) != tasks_.end(); });
    if (stopping_) return;
    task->running = true;
    busy_.insert(task->model);
    turns_[task->model] = ++turn_;
    lock.unlock();
    task->work(task->stop);
    lock.lock();
    busy_.erase(task->model);
    task->done(task->stop.raised());
    tasks_.erase(task);
    changed_.notify_one();  // the model's next one may go
  }
}

}  // namespace lathe::serve
