// What an observer hears of a step: the inputs of every matrix, and of each expert's part.
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "infer/cpu/cpu_executor.h"

namespace lathe::infer {
namespace {

constexpr std::int32_t kHeardIds[] = {318, 256, 300, 72, 101, 108, 111, 44};
constexpr std::size_t kHeardTokens = std::size(kHeardIds);

struct Heard {
  std::vector<std::vector<float>> rows;
  std::map<std::size_t, std::size_t> rows_of_expert;
};

class Listener final : public InputObserver {
 public:
  void multiplied(std::size_t layer, Slot slot, std::size_t expert, const Activations& x,
                  std::size_t first, std::size_t count) override {
    Heard& heard = all[{layer, slot}];
    for (std::size_t t = first; t < first + count; ++t)
      heard.rows.emplace_back(x.row(t), x.row(t) + x.k());
    heard.rows_of_expert[expert] += count;
  }
  std::map<std::pair<std::size_t, Slot>, Heard> all;
};

struct Listened {
  std::unique_ptr<Gguf> file;
  Listener listener;
  std::vector<float> logits;
};

Listened listen_to(const std::string& name, bool listen) {
  Listened run;
  run.file =
      std::make_unique<Gguf>(*Gguf::open(fs::path(LATHE_SOURCE_DIR) / "tests/data/models" / name));
  ThreadTeam team(2);
  const auto model =
      *Model::load(*run.file, team, {.kernels = &best_kernel_table(), .progress = {}});
  const auto executor = *CpuExecutor::create(*model, team, {.step_tokens = kHeardTokens});
  KvBudget budget(std::uint64_t{1} << 30);
  auto store = MemoryStore::create(executor->layout(), 1, budget);
  SequenceMemory memory(*store);
  EXPECT_TRUE(memory.prepare(0, kHeardTokens));
  if (listen) executor->observe(&run.listener);
  const Slice slice{.tokens = kHeardIds, .memory = &memory, .outputs = 1};
  executor->run({&slice, 1}, OutputKind::kLogits);
  run.logits.assign(executor->output(0).begin(), executor->output(0).end());
  return run;
}

std::vector<float> floats(const Gguf& file, std::string_view name) {
  return *load_floats(file, *file.find_tensor(name));
}

TEST(Observer, HearsWhatTheFirstMatricesAreMultipliedWith) {
  const Listened heard = listen_to("llama-q4_0.gguf", true);
  const std::vector<float> embedding = floats(*heard.file, "token_embd.weight");
  const std::vector<float> norm = floats(*heard.file, "blk.0.attn_norm.weight");
  const std::size_t width = norm.size();
  const double epsilon = *heard.file->real("llama.attention.layer_norm_rms_epsilon");
  for (const Slot slot : {Slot::kQ, Slot::kK, Slot::kV}) {
    const Heard& inputs = heard.listener.all.at({0, slot});
    ASSERT_EQ(inputs.rows.size(), kHeardTokens);
    for (std::size_t t = 0; t < kHeardTokens; ++t) {
      const float* x = embedding.data() + static_cast<std::size_t>(kHeardIds[t]) * width;
      double square = 0;
      for (std::size_t i = 0; i < width; ++i) square += double{x[i]} * x[i];
      const double factor = 1 / std::sqrt(square / static_cast<double>(width) + epsilon);
      for (std::size_t i = 0; i < width; ++i)
        ASSERT_NEAR(inputs.rows[t][i], x[i] * factor * norm[i], 1e-5) << t << " " << i;
    }
  }
  EXPECT_EQ(heard.listener.all.at({1, Slot::kDown}).rows.size(), kHeardTokens);
  // Listening changes nothing.
  EXPECT_EQ(listen_to("llama-q4_0.gguf", false).logits, heard.logits);
}

TEST(Observer, HearsOfEachExpertItsTokens) {
  const Listened heard = listen_to("qwen3moe-mxfp4_moe.gguf", true);
  const std::uint64_t used = *heard.file->uint("qwen3moe.expert_used_count", 1, 100);
  for (const Slot slot : {Slot::kGate, Slot::kUp, Slot::kDown}) {
    const Heard& inputs = heard.listener.all.at({0, slot});
    EXPECT_EQ(inputs.rows.size(), kHeardTokens * used);
    EXPECT_GT(inputs.rows_of_expert.size(), 1u);
    std::size_t sum = 0;
    for (const auto& [expert, rows] : inputs.rows_of_expert) sum += rows;
    EXPECT_EQ(sum, kHeardTokens * used);
  }
  EXPECT_EQ(heard.listener.all.at({0, Slot::kGate}).rows_of_expert,
            heard.listener.all.at({0, Slot::kDown}).rows_of_expert);
}

}  // namespace
}  // namespace lathe::infer
