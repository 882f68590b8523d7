// A fixed team of threads that work on one job at a time. run() hands every index of a job to some
// thread and returns when all are done. Each thread begins with its own stretch of neighbouring
// indices, so that what it streams from memory lies in one piece, and then helps the others; which
// thread takes which index is not determined, so a job must not depend on it. Workers spin for a
// moment between jobs (a decode step has hundreds of them) and then sleep. One caller at a time:
// the engine's loop.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

namespace lathe::infer {

class ThreadTeam {
 public:
  // `threads` ≥ 1, the caller included.
  explicit ThreadTeam(int threads);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  // job(index, thread) for every index in [0, count); thread < size().
  template <class Job>
  void run(std::size_t count, Job&& job) {
    run_erased(
        count,
        [](void* context, std::size_t index, int thread) {
          (*static_cast<std::remove_reference_t<Job>*>(context))(index, thread);
        },
        &job);
  }

 private:
  using Call = void (*)(void* context, std::size_t index, int thread);
  void run_erased(std::size_t count, Call call, void* context);
  void work(int thread);
  void take_items(std::size_t thread);
  // Where a thread's stretch begins; of size(): where the last one ends.
  std::size_t stretch(std::size_t thread) const { return count_ * thread / next_.size(); }

  std::vector<std::thread> workers_;
  // The job, written before `epoch_` is raised and read after it was seen.
  Call call_ = nullptr;
  void* context_ = nullptr;
  std::size_t count_ = 0;
  struct alignas(64) Next {
    std::atomic<std::size_t> index{0};
  };
  std::vector<Next> next_;  // of each thread's stretch
  alignas(64) std::atomic<unsigned> epoch_{0};
  alignas(64) std::atomic<int> busy_{0};
  std::atomic<bool> ending_{false};
};

}  // namespace lathe::infer
