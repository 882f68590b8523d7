// The long soak: 8 streams of 200 tokens, and 1,000 losses, unless it is told otherwise. Ends with
// 1 when an answer is not the processor's, or memory grows.
//   lathe_gpu_soak [LOSSES [STREAMS [TOKENS]]]
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>

#include "gpu/soak.h"
#include "ground/sys/machine.h"

int main(int argc, char** argv) {
  using namespace lathe;
  constexpr std::uint64_t kMiB = 1 << 20, kMostGrowth = 16;
  infer::SoakWish wish;
  std::size_t* const places[] = {&wish.losses, &wish.streams, &wish.tokens};
  for (int i = 1; i < argc && i <= 3; ++i)
    *places[i - 1] = std::max<std::size_t>(1, std::strtoull(argv[i], nullptr, 10));
  std::uint64_t first = 0;  // resident after the first round
  const infer::SoakResult result = infer::soak(wish, [&](const infer::SoakResult& so_far) {
    if (first == 0) first = resident_bytes();
    fmt::print("{} losses, {} answers, {} differ, {} MiB\n", so_far.losses, so_far.answers,
               so_far.differ, resident_bytes() / kMiB);
    std::fflush(stdout);
  });
  const bool grew = resident_bytes() > first + kMostGrowth * kMiB;
  if (grew) fmt::print("memory grew from {} to {} MiB\n", first / kMiB, resident_bytes() / kMiB);
  return result.differ == 0 && !grew ? 0 : 1;
}
