// The threads that speak.
#include "serve/speech/speech_desk.h"

namespace lathe::serve {

SpeechDesk::SpeechDesk(fs::path program, int threads) : voices_(std::move(program), threads) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { run(); });
}

SpeechDesk::~SpeechDesk() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
    for (const auto& stop : running_) stop->raise();
    for (const Job& job : waiting_) job.stop->raise();
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

bool SpeechDesk::add(std::shared_ptr<StopFlag> stop, std::function<void(const StopFlag&)> work) {
  {
    const std::scoped_lock lock(mutex_);
    if (waiting_.size() == kWaiting) return false;
    if (stopping_) stop->raise();
    waiting_.push_back({std::move(stop), std::move(work)});
  }
  changed_.notify_one();
  return true;
}

void SpeechDesk::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stopping_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    Job job = std::move(waiting_.front());
    waiting_.pop_front();
    running_.push_back(job.stop);
    lock.unlock();
    job.work(*job.stop);
    job.work = {};
    lock.lock();
    std::erase(running_, job.stop);
  }
}

}  // namespace lathe::serve
