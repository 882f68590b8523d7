// How many leases and completions a second a store takes, with workers as processes.
// usage: lathe_lease_bench postgresql://… | DIRECTORY [SECONDS]     (a database: after `lathe fleet
// init`)
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <thread>
#include <vector>

#include "books/postgres/open_postgres.h"
#include "books/sqlite/open_leases.h"

namespace {

using lathe::books::LeaseStore;
constexpr const char* kRun = "lease-bench";
constexpr std::size_t kMostTimes = 1 << 20;

lathe::Result<std::unique_ptr<LeaseStore>> open(const std::string& place) {
  if (lathe::books::is_postgres_address(place)) return lathe::books::open_postgres_leases(place);
  return lathe::books::open_leases(place);
}

// What all processes write.
struct Shared {
  std::atomic<std::size_t> done = 0;
  float lease_ms[kMostTimes];
};

int work(const std::string& place, int number, double seconds, Shared& shared) {
  auto store = open(place);
  if (!store) return 1;
  lathe::books::Wish wish;
  wish.node = fmt::format("bench-{}", number);
  wish.run = kRun;
  const auto begin = std::chrono::steady_clock::now();
  const auto since = [](auto start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  while (since(begin) < seconds) {
    const auto asked = std::chrono::steady_clock::now();
    const auto lease = (*store)->lease(wish);
    const double took = since(asked);
    if (!lease || !*lease) return 1;
    lathe::books::UnitResult result;
    result.body = std::string(600, 'x');
    if (!(*store)->complete(**lease, result)) return 1;
    const std::size_t place_of = shared.done++;
    if (place_of < kMostTimes) shared.lease_ms[place_of] = static_cast<float>(1000 * took);
  }
  return 0;
}

lathe::Status prepare(const std::string& place, int workers, int units) {
  LATHE_TRY(auto store, open(place));
  LATHE_TRY_STATUS(store->remove_run(kRun));
  std::vector<lathe::books::UnitSpec> made(static_cast<std::size_t>(units));
  for (int i = 0; i < units; ++i) {
    made[static_cast<std::size_t>(i)].id = fmt::format("{:06}", i);
    made[static_cast<std::size_t>(i)].privacy = lathe::Reach::kLan;
  }
  LATHE_TRY_STATUS(store->add_units(kRun, made));
  for (int i = 0; i < workers; ++i) {
    lathe::books::NodeRow node;
    node.id = fmt::format("bench-{}", i);
    node.clearance = lathe::Reach::kLan;
    LATHE_TRY_STATUS(store->put_node(node));
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const std::string place = argv[1];
  const double seconds = argc > 2 ? std::atof(argv[2]) : 10;
  for (const int workers : {1, 4, 8}) {
    if (auto ready = prepare(place, workers, static_cast<int>(5'000 * seconds)); !ready) {
      fmt::print(stderr, "error: {}\n", ready.error().message);
      return 1;
    }
    void* const memory =
        ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return 1;
    Shared& shared = *new (memory) Shared;
    std::vector<pid_t> pids;
    for (int i = 0; i < workers; ++i) {
      const pid_t pid = ::fork();
      if (pid == 0) ::_exit(work(place, i, seconds, shared));
      pids.push_back(pid);
    }
    bool fine = true;
    for (const pid_t pid : pids) {
      int status = -1;
      ::waitpid(pid, &status, 0);
      fine = fine && status == 0;
    }
    const std::size_t count = std::min<std::size_t>(shared.done, kMostTimes);
    std::sort(shared.lease_ms, shared.lease_ms + count);
    const auto at = [&](double part) {
      return count == 0
                 ? 0.0F
                 : shared.lease_ms[static_cast<std::size_t>(part * static_cast<double>(count - 1))];
    };
    fmt::print(
        "{} workers: {:.0f} leases and completions a second, lease p50 {:.1f} ms, p99 {:.1f} "
        "ms, worst {:.1f} ms{}\n",
        workers, static_cast<double>(shared.done) / seconds, at(0.5), at(0.99), at(1),
        fine ? "" : "; a worker ended early");
    ::munmap(memory, sizeof(Shared));
  }
  if (auto store = open(place)) (void)(*store)->remove_run(kRun);
}
