// What a model keeps resident, and whether it gives it back: loads it, fills its context, answers,
// unloads, again and again. Ends with 1 when a load keeps more than weights + KV + 150 MiB, or when
// the last unload leaves 8 MiB more than the first did. What the heap keeps for itself is given
// back before it is measured.
//   lathe_memory_bench MODEL [ROUNDS]
#include <fmt/format.h>
#include <malloc.h>

#include <cstdlib>
#include <numeric>

#include "ground/sys/machine.h"
#include "infer/cpu/cpu_executor.h"
#include "infer/engine/engine.h"
#include "infer/models/vocabulary.h"

namespace lathe {
namespace {

constexpr double kMiB = 1 << 20;
constexpr double kAllowedMiB = 150, kLeftMiB = 8;

double resident_mib() {
  return static_cast<double>(resident_bytes()) / kMiB;
}

// Loads, answers a prompt that fills the KV pool, prints what that took; how much more than weights
// and KV, in MiB.
Result<double> load_and_answer(const char* path) {
  const double before = resident_mib();
  LATHE_TRY(const infer::Gguf file, infer::Gguf::open(path));
  LATHE_TRY(infer::VocabularySpec vocabulary, infer::read_vocabulary(file));
  LATHE_TRY(const auto tokenizer, infer::Tokenizer::make(std::move(vocabulary)));
  infer::ThreadTeam team(2);
  LATHE_TRY(
      const auto model,
      infer::Model::load(file, team, {.kernels = &infer::best_kernel_table(), .progress = {}}));
  constexpr std::size_t kTokens = 1024;
  LATHE_TRY(auto executor, infer::CpuExecutor::create(*model, team, {}));
  LATHE_TRY(const auto engine, infer::Engine::create(std::move(executor), *tokenizer,
                                                     {.context = kTokens, .kv_tokens = kTokens}));
  const double loaded = resident_mib();
  infer::GenerationRequest request;
  request.max_tokens = 24;
  request.ignore_end = true;
  std::vector<infer::TokenId> prompt(1000);
  std::iota(prompt.begin(), prompt.end(), 1);
  request.prompt = std::move(prompt);
  LATHE_TRY_STATUS(engine->add(std::move(request)));
  while (engine->step([](const infer::TokenEvent&) {})) {
  }
  const double answered = resident_mib();
  const infer::Engine::Bytes bytes = engine->bytes();
  const double weights = static_cast<double>(bytes.weights.on_host()) / kMiB,
               kv = static_cast<double>(bytes.kv_pool) / kMiB;
  fmt::print("{:8.1f} {:8.1f} {:8.1f} {:8.1f} {:8.1f} {:8.1f}", before, loaded, answered, weights,
             kv, answered - weights - kv);
  return std::max(loaded, answered) - weights - kv;
}

int run(const char* path, int rounds) {
  fmt::print("resident MiB:                  booked:           more than\n");
  fmt::print("  before   loaded answered  weights       KV  weights + KV  unloaded\n");
  double first = 0, last = 0, most = 0;
  for (int round = 0; round < rounds; ++round) {
    const auto more = load_and_answer(path);
    if (!more) {
      fmt::print(stderr, "error: {}\n", more.error().message);
      return 2;
    }
    malloc_trim(0);
    last = resident_mib();
    if (round == 0) first = last;
    most = std::max(most, *more);
    fmt::print("      {:8.1f}\n", last);
  }
  const bool good = most <= kAllowedMiB && last - first <= kLeftMiB;
  fmt::print(
      "{}: {:.1f} MiB more than weights and KV (at most {:.0f}), {:+.1f} MiB left from the "
      "first to the last of {} rounds (at most {:.0f})\n",
      good ? "good" : "TOO MUCH", most, kAllowedMiB, last - first, rounds, kLeftMiB);
  return good ? 0 : 1;
}

}  // namespace
}  // namespace lathe

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: lathe_memory_bench MODEL [ROUNDS]\n");
    return 2;
  }
  return lathe::run(argv[1], argc > 2 ? std::max(1, std::atoi(argv[2])) : 10);
}
