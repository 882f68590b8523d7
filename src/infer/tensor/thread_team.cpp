// Threads that share a job's items.
#include "infer/tensor/thread_team.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "ground/base/result.h"

namespace lathe::infer {
namespace {

// About 50 µs: longer than the gap between two jobs of a step, shorter than a person notices.
constexpr int kSpins = 2000;

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Returns once `value` is no longer `old`.
template <class T>
void wait_while(const std::atomic<T>& value, T old) {
  for (int i = 0; i < kSpins; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    pause();
  }
  value.wait(old, std::memory_order_acquire);
}

}  // namespace

ThreadTeam::ThreadTeam(int threads) : next_(static_cast<std::size_t>(threads)) {
  LATHE_CHECK(threads >= 1);
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
}

ThreadTeam::~ThreadTeam() {
  ending_.store(true, std::memory_order_relaxed);
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  for (auto& worker : workers_) worker.join();
}

void ThreadTeam::run_erased(std::size_t count, Call call, void* context) {
  if (count == 0) return;
  if (count == 1 || workers_.empty()) {
    for (std::size_t i = 0; i < count; ++i) call(context, i, 0);
    return;
  }
  call_ = call;
  context_ = context;
  count_ = count;
  for (std::size_t t = 0; t < next_.size(); ++t)
    next_[t].index.store(stretch(t), std::memory_order_relaxed);
  busy_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  take_items(0);
  for (int left = busy_.load(std::memory_order_acquire); left != 0;
       left = busy_.load(std::memory_order_acquire)) {
    wait_while(busy_, left);
  }
}

void ThreadTeam::take_items(std::size_t thread) {
  for (std::size_t i = 0; i < next_.size(); ++i) {
    const std::size_t whose = (thread + i) % next_.size(), end = stretch(whose + 1);
    for (;;) {
      const std::size_t index = next_[whose].index.fetch_add(1, std::memory_order_relaxed);
      if (index >= end) break;
      call_(context_, index, static_cast<int>(thread));
    }
  }
}

void ThreadTeam::work(int thread) {
  for (unsigned seen = 0;;) {
    wait_while(epoch_, seen);
    ++seen;  // a job is never started before the last one was left, so no epoch is skipped
    if (ending_.load(std::memory_order_relaxed)) return;
    take_items(static_cast<std::size_t>(thread));
    if (busy_.fetch_sub(1, std::memory_order_acq_rel) == 1) busy_.notify_all();
  }
}

}  // namespace lathe::infer
