// How fast a model file can be read here: the ways a loader could take, from a cold and from a warm
// page cache, with two threads in pieces of 4 MiB. Prints GB/s, the median of the rounds, taking
// turns.
//   lathe_load_bench FILE [ROUNDS]
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

namespace {

constexpr std::size_t kPiece = std::size_t{4} << 20;
constexpr int kThreads = 2;

struct Way {
  const char* name;
  int flags;
  bool mapped;
};
constexpr Way kWays[] = {
    {"pread", 0, false}, {"pread, O_DIRECT", O_DIRECT, false}, {"mmap", 0, true}};

// Touches every byte (a copy into a buffer of its own, as the packer would), returns seconds or -1.
double read_all(const char* path, const Way& way, bool cold) {
  const int file = open(path, O_RDONLY | O_CLOEXEC | way.flags);
  struct stat info {};
  if (file < 0 || fstat(file, &info) != 0) return -1;
  const auto size = static_cast<std::size_t>(info.st_size);
  if (cold) posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
  const auto start = std::chrono::steady_clock::now();
  std::atomic<std::size_t> next{0};
  std::atomic<bool> failed{false};
  void* map = way.mapped ? mmap(nullptr, size, PROT_READ, MAP_SHARED, file, 0) : nullptr;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      const std::unique_ptr<void, void (*)(void*)> buffer(std::aligned_alloc(4096, kPiece),
                                                          std::free);
      for (std::size_t at; (at = next.fetch_add(kPiece)) < size;) {
        const std::size_t count = std::min(kPiece, size - at);
        if (map != nullptr) {
          std::memcpy(buffer.get(), static_cast<const char*>(map) + at, count);
        } else if (pread(file, buffer.get(), kPiece, static_cast<off_t>(at)) <
                   static_cast<ssize_t>(count)) {
          failed = true;
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (map != nullptr) munmap(map, size);
  close(file);
  return failed ? -1 : seconds;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: lathe_load_bench FILE [ROUNDS]\n");
    return 2;
  }
  const int rounds = argc > 2 ? std::max(1, std::atoi(argv[2])) : 5;
  struct stat info {};
  if (stat(argv[1], &info) != 0) {
    fmt::print(stderr, "error: {}: {}\n", argv[1], std::strerror(errno));
    return 2;
  }
  for (const bool cold : {true, false}) {
    std::vector<double> rates[std::size(kWays)];
    for (int round = 0; round < rounds; ++round) {
      for (std::size_t w = 0; w < std::size(kWays); ++w) {
        const double seconds = read_all(argv[1], kWays[w], cold);
        if (seconds > 0) rates[w].push_back(static_cast<double>(info.st_size) / seconds / 1e9);
      }
    }
    for (std::size_t w = 0; w < std::size(kWays); ++w) {
      if (rates[w].empty()) {
        fmt::print("{:<5} {:<16} not possible here\n", cold ? "cold" : "warm", kWays[w].name);
        continue;
      }
      std::sort(rates[w].begin(), rates[w].end());
      fmt::print("{:<5} {:<16} {:6.2f} GB/s\n", cold ? "cold" : "warm", kWays[w].name,
                 rates[w][rates[w].size() / 2]);
    }
  }
}
