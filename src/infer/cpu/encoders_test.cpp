// Tiny encoders and rerankers with random weights, against an independent float64 evaluation of the
// same weights: each token's row, and what becomes of the text. The same bits on every kernel
// table, beside other texts, on any number of threads.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "infer/cpu/cpu_executor.h"
#include "infer/cpu/known_answers_test.h"

namespace lathe::infer {
namespace {

constexpr std::size_t kTokens = 48;
constexpr double kTolerance = 1e-5;

struct Encoder {
  const char* name;
  bool rows;  // whether there is a truth of each token's
};

constexpr Encoder kEncoders[] = {
    {"bert", true},
    {"bert-rank", false},
    {"nomic-bert", true},
    {"nomic-bert-moe", true},
    {"jina-bert-v2", false},
    {"jina-bert-v3", true},
    {"modern-bert", true},
    {"modern-bert-rank", false},
    {"gemma-embedding", true},
    {"qwen3-reranker", false},
};

// A model that reads texts, each in one step, several at once.
class Reader {
 public:
  Reader(const std::string& name, const KernelTable& kernels, int threads)
      : team_(threads), budget_(std::uint64_t{1} << 30) {
    const Gguf file = *Gguf::open(data(name + ".gguf"));
    auto model = Model::load(file, team_, {.kernels = &kernels, .progress = {}});
    EXPECT_TRUE(model.has_value()) << model.error().message;
    model_ = std::move(*model);
    executor_ = *CpuExecutor::create(
        *model_, team_, {.kv = KvType::kF32, .step_tokens = 1024, .most_outputs = 1024});
    store_.emplace(*MemoryStore::create(executor_->layout(), 64, budget_));
  }
  const Blueprint& blueprint() const { return model_->blueprint(); }
  const MemoryLayout& layout() const { return executor_->layout(); }

  // The hidden rows of each text.
  std::vector<std::vector<float>> read(const std::vector<std::vector<std::int32_t>>& texts) {
    std::vector<SequenceMemory> memories;
    std::vector<Slice> slices;
    for (std::size_t i = 0; i < texts.size(); ++i) memories.emplace_back(*store_);
    for (std::size_t i = 0; i < texts.size(); ++i) {
      EXPECT_TRUE(memories[i].prepare(0, texts[i].size()).has_value());
      slices.push_back({.tokens = texts[i], .memory = &memories[i], .outputs = texts[i].size()});
    }
    executor_->run(slices, OutputKind::kHidden);
    std::vector<std::vector<float>> rows;
    std::size_t row = 0;
    for (const auto& text : texts) {
      auto& all = rows.emplace_back();
      for (std::size_t i = 0; i < text.size(); ++i, ++row)
        all.insert(all.end(), executor_->output(row).begin(), executor_->output(row).end());
    }
    return rows;
  }
  // What the head makes of each of the rows.
  std::vector<float> headed(const std::vector<float>& rows) {
    std::vector<float> out;
    const std::size_t width = blueprint().embedding;
    for (std::size_t at = 0; at < rows.size(); at += width) {
      const std::vector<float> row = executor_->head(std::span(rows).subspan(at, width));
      out.insert(out.end(), row.begin(), row.end());
    }
    return out;
  }
  std::vector<float> pooled(const std::vector<float>& rows) {
    const std::size_t width = blueprint().embedding, count = rows.size() / width;
    std::vector<float> out(width);
    for (std::size_t i = 0; i < width; ++i) {
      double sum = 0;
      for (std::size_t t = 0; t < count; ++t) sum += double{rows[t * width + i]};
      out[i] = blueprint().pooling == Pooling::kMean
                   ? static_cast<float>(sum / static_cast<double>(count))
               : blueprint().pooling == Pooling::kCls ? rows[i]
                                                      : rows[(count - 1) * width + i];
    }
    return headed(out);
  }

 private:
  ThreadTeam team_;
  KvBudget budget_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<CpuExecutor> executor_;
  std::optional<MemoryStore> store_;
};

class Encoders : public ::testing::TestWithParam<Encoder> {};

TEST_P(Encoders, GiveWhatTheFormulasSay) {
  const std::string name = GetParam().name;
  Reader reader(name, *kernel_tables().front(), 2);
  const auto ids = ids_of(kTokens, reader.blueprint().vocabulary);
  const auto rows = reader.read({ids}).front();
  EXPECT_LE(relative_error(reader.pooled(rows), truth_of(name)), kTolerance);
  if (!GetParam().rows) return;
  EXPECT_LE(relative_error(reader.headed(rows), truth_of(name + ".tok")), kTolerance);
}

// Long enough for several groups of chunks, and for tiles that end in the middle of a text.
TEST_P(Encoders, GiveTheSameBitsOnEveryTableInAnyCompany) {
  const std::string name = GetParam().name;
  const auto read = [&](const KernelTable& kernels, int threads, bool alone) {
    Reader reader(name, kernels, threads);
    const std::size_t most = std::min<std::size_t>(530, reader.blueprint().context);
    const auto longest = ids_of(most, reader.blueprint().vocabulary);
    const auto other = ids_of(77, reader.blueprint().vocabulary);
    const auto rows = alone ? reader.read({longest}) : reader.read({other, longest, {5}});
    auto out = alone ? rows[0] : rows[1];
    const auto pooled = reader.pooled(out);
    out.insert(out.end(), pooled.begin(), pooled.end());
    return out;
  };
  const auto first = read(*kernel_tables().front(), 1, true);
  const auto compare = [&](const KernelTable& kernels, int threads, bool alone) {
    const auto got = read(kernels, threads, alone);
    ASSERT_EQ(got.size(), first.size());
    EXPECT_EQ(std::memcmp(got.data(), first.data(), got.size() * sizeof(float)), 0)
        << kernels.name << ", " << threads << " threads, " << (alone ? "alone" : "with others");
  };
  for (const KernelTable* kernels : kernel_tables().subspan(1)) compare(*kernels, 3, false);
  compare(best_kernel_table(), 2, true);
  compare(best_kernel_table(), 1, false);
}

INSTANTIATE_TEST_SUITE_P(Models, Encoders, ::testing::ValuesIn(kEncoders), [](const auto& encoder) {
  std::string name = encoder.param.name;
  std::erase(name, '-');
  return name;
});

// K and V of one layer have the place that those of the layer before had.
TEST(EncoderMemory, KeepsOneLayersKeysAndValues) {
  Reader reader("gemma-embedding", *kernel_tables().front(), 1);
  const AttentionSpec& attention = *reader.blueprint().attention();
  ASSERT_EQ(reader.layout().groups().size(), 1u);
  EXPECT_EQ(reader.layout().block_bytes(),
            2 * kChunk * attention.kv_heads * attention.head_dim * sizeof(float));
}

}  // namespace
}  // namespace lathe::infer
