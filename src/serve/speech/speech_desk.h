// Work that speaks: a few threads and a bounded line before them, so that speaking keeps neither
// connections nor models waiting. Any thread.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "loop/senses/voice.h"

namespace lathe::serve {

class SpeechDesk {
 public:
  static constexpr std::size_t kWaiting = 64;  // requests, at most
  // `program`: this one, whose confined children speak (loop::MediaPool).
  SpeechDesk(fs::path program, int threads);
  // Raises the flag of all that is under way or waits, and has each end.
  ~SpeechDesk();

  loop::MediaPool& voices() { return voices_; }
  // `work` is called once, also when its flag was raised before. False: too many wait.
  bool add(std::shared_ptr<StopFlag> stop, std::function<void(const StopFlag&)> work);

 private:
  struct Job {
    std::shared_ptr<StopFlag> stop;
    std::function<void(const StopFlag&)> work;
  };
  void run();

  loop::MediaPool voices_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<Job> waiting_;
  std::vector<std::shared_ptr<StopFlag>> running_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace lathe::serve
