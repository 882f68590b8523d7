// Logits against an independent truth: the dequantized weights evaluated in float32
// (tests/data/models). With F32 weights the error must be rounding; with quantized ones at most a
// tenth above llama.cpp's own on the same file.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "ground/base/text.h"
#include "infer/cpu/cpu_executor.h"
#include "infer/models/tiny_model_test.h"

namespace lathe::infer {
namespace {

constexpr std::int32_t kIds[] = {318, 256, 300, 72, 101, 108, 108, 111, 44, 32,  119, 111, 114, 108,
                                 100, 33,  10,  84, 104, 256, 32,  99,  97, 116, 270, 258, 259, 260,
                                 0,   1,   2,   3,  316, 317, 50,  51,  52, 10,  10,  318};
constexpr std::size_t kVocabulary = 319;

fs::path model_data(const std::string& name) {
  return fs::path(LATHE_SOURCE_DIR) / "tests/data/models" / name;
}

std::vector<float> read_truth(const std::string& name) {
  const auto bytes = read_file(model_data(name));
  EXPECT_TRUE(bytes.has_value()) << name;
  std::vector<float> values(bytes ? bytes->size() / sizeof(float) : 0);
  if (bytes) std::memcpy(values.data(), bytes->data(), values.size() * sizeof(float));
  EXPECT_EQ(values.size(), std::size(kIds) * kVocabulary) << name;
  return values;
}

double worst_error(const std::vector<float>& ours, const std::vector<float>& truth) {
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    const double d = static_cast<double>(ours[i]) - static_cast<double>(truth[i]);
    difference += d * d;
    norm += static_cast<double>(truth[i]) * static_cast<double>(truth[i]);
  }
  return std::sqrt(difference / norm);
}

std::vector<float> evaluate(const fs::path& path, const KernelTable& kernels, KvType kv) {
  auto file = Gguf::open(path);
  if (!file) {
    ADD_FAILURE() << file.error().message;
    return {};
  }
  ThreadTeam team(2);
  auto model = Model::load(*file, team, {.kernels = &kernels, .progress = {}});
  if (!model) {
    ADD_FAILURE() << model.error().message;
    return {};
  }
  const auto executor =
      *CpuExecutor::create(**model, team, {.kv = kv, .step_tokens = std::size(kIds)});
  KvBudget budget(std::uint64_t{1} << 30);
  auto store = MemoryStore::create(executor->layout(), 1, budget);
  SequenceMemory memory(*store);
  EXPECT_TRUE(memory.prepare(0, std::size(kIds)).has_value());
  const Slice slice{.tokens = kIds, .memory = &memory, .outputs = std::size(kIds)};
  executor->run({&slice, 1}, OutputKind::kLogits);
  std::vector<float> logits;
  for (std::size_t i = 0; i < std::size(kIds); ++i) {
    logits.insert(logits.end(), executor->output(i).begin(), executor->output(i).end());
  }
  return logits;
}

// A scale of its own for a matrix, or for each of its experts: 2^-6 … 2^6.
std::vector<float> scales_of(const GgufTensor& tensor) {
  std::vector<float> scales(tensor.shape[2]);
  for (std::size_t e = 0; e < scales.size(); ++e)
    scales[e] = std::ldexp(1.0f, static_cast<int>((tensor.name.size() * 5 + e * 7) % 13) - 6);
  return scales;
}

// The same model with every weight decoded to F32; scaled: the matrices of the blocks and of the
// output divided by scales_of(), which stand beside them.
fs::path decoded(const std::string& name, const fs::path& directory, bool scaled = false) {
  const auto file = Gguf::open(model_data(name + ".gguf"));
  const fs::path path = directory / (scaled ? "scaled.gguf" : "decoded.gguf");
  const auto is_scaled = [&](const GgufTensor& tensor) {
    return scaled && tensor.shape[1] > 1 && tensor.name != "token_embd.weight";
  };
  auto writer = GgufWriter::create(path);
  for (const auto& [key, value] : file->metadata()) writer->add(key, value);
  for (const GgufTensor& tensor : file->tensors()) {
    writer->add_tensor(tensor.name, TensorType::kF32,
                       std::span(tensor.shape).first(static_cast<std::size_t>(tensor.dimensions)));
    if (is_scaled(tensor)) {
      const std::uint64_t shape[] = {tensor.shape[2]};
      writer->add_tensor(replace_all(tensor.name, ".weight", ".scale"), TensorType::kF32, shape);
    }
  }
  EXPECT_TRUE(writer->begin_data().has_value());
  for (const GgufTensor& tensor : file->tensors()) {
    std::vector<std::byte> bytes(tensor.bytes);
    EXPECT_TRUE(file->read(tensor, 0, bytes).has_value());
    std::vector<float> values(tensor.elements());
    tensor_type_info(tensor.type).decode(bytes.data(), values.data(), values.size());
    const std::vector<float> scales = scales_of(tensor);
    if (is_scaled(tensor))
      for (std::size_t i = 0; i < values.size(); ++i)
        values[i] /= scales[i / (values.size() / scales.size())];
    EXPECT_TRUE(writer->write(std::as_bytes(std::span(values))).has_value());
    if (is_scaled(tensor)) {
      EXPECT_TRUE(writer->write(std::as_bytes(std::span(scales))).has_value());
    }
  }
  EXPECT_TRUE(writer->finish().has_value());
  return path;
}

class Quantized : public ::testing::TestWithParam<const char*> {};

TEST_P(Quantized, IsAsCloseToTheTruthAsLlamaCpp) {
  const std::string name = GetParam();
  const auto truth = read_truth(name + ".truth.f32");
  const double theirs = worst_error(read_truth(name + ".llamacpp.f32"), truth);
  for (const KernelTable* kernels : kernel_tables()) {
    for (const KvType kv : {KvType::kF32, KvType::kF16}) {
      const auto ours = evaluate(model_data(name + ".gguf"), *kernels, kv);
      ASSERT_EQ(ours.size(), truth.size());
      EXPECT_LE(worst_error(ours, truth), 1.1 * theirs) << kernels->name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Files, Quantized,
                         ::testing::Values("llama-q4_0", "llama-q4_1", "llama-q5_0", "llama-q5_1",
                                           "llama-q8_0", "llama-q2_k", "llama-q3_k_m",
                                           "llama-q4_k_m", "llama-q5_k_m", "llama-q6_k",
                                           "llama-iq4_nl", "llama-iq4_xs", "mixtral-q4_0",
                                           "qwen2-q4_k_m", "qwen3-q4_k_m", "qwen3moe-mxfp4_moe"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

class InF32 : public ::testing::TestWithParam<const char*> {};

TEST_P(InF32, DiffersFromTheTruthByRoundingOnly) {
  const std::string name = GetParam();
  const auto directory = TempDir::make();
  const fs::path path = decoded(name, directory->path());
  const auto truth = read_truth(name + ".truth.f32");
  for (const KernelTable* kernels : kernel_tables()) {
    const auto ours = evaluate(path, *kernels, KvType::kF32);
    ASSERT_EQ(ours.size(), truth.size());
    EXPECT_LE(worst_error(ours, truth), 1e-5) << kernels->name;
  }
}

INSTANTIATE_TEST_SUITE_P(Architectures, InF32,
                         ::testing::Values("llama-q8_0", "mixtral-q4_0", "qwen2-q4_k_m",
                                           "qwen3-q4_k_m", "qwen3moe-mxfp4_moe"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// Powers of two: the products are the same to the last bit, so the logits must be.
TEST_P(InF32, ScalesOfMatricesAreApplied) {
  const auto directory = TempDir::make();
  const auto plain =
      evaluate(decoded(GetParam(), directory->path()), best_kernel_table(), KvType::kF32);
  const auto scaled =
      evaluate(decoded(GetParam(), directory->path(), true), best_kernel_table(), KvType::kF32);
  ASSERT_EQ(plain.size(), scaled.size());
  EXPECT_EQ(std::memcmp(plain.data(), scaled.data(), plain.size() * sizeof(float)), 0);
}

TEST(Kernels, AllInstructionSetsGiveTheSameBits) {
  for (const char* name : {"llama-q4_k_m", "llama-q8_0", "qwen3moe-mxfp4_moe"}) {
    const auto truth =
        evaluate(model_data(std::string(name) + ".gguf"), *kernel_tables().front(), KvType::kQ8_0);
    for (const KernelTable* kernels : kernel_tables()) {
      const auto bits = evaluate(model_data(std::string(name) + ".gguf"), *kernels, KvType::kQ8_0);
      ASSERT_EQ(bits.size(), truth.size());
      EXPECT_EQ(std::memcmp(bits.data(), truth.data(), truth.size() * sizeof(float)), 0)
          << name << " " << kernels->name;
    }
  }
}

// Heads that are filled up for the kernels, in matrices of every kind of row.
TEST(Kernels, GiveTheSameBitsForSmallHeads) {
  const TempDir dir = *TempDir::make();
  const fs::path path = dir.path() / "model.gguf";
  for (const std::size_t head_dim : {8, 24, 40})
    for (const TensorType type : {TensorType::kF32, TensorType::kQ8_0, TensorType::kQ4_0})
      for (const KvType kv : {KvType::kF32, KvType::kF16}) {
        TinyModel tiny = small_heads(type);
        tiny.head_dim = head_dim;
        write_tiny_model(path, tiny);
        const auto truth = evaluate(path, *kernel_tables().front(), kv);
        ASSERT_EQ(truth.size(), std::size(kIds) * tiny.vocabulary);
        for (const KernelTable* kernels : kernel_tables()) {
          const auto bits = evaluate(path, *kernels, kv);
          EXPECT_EQ(std::memcmp(bits.data(), truth.data(), truth.size() * sizeof(float)), 0)
              << head_dim << " " << kernels->name;
        }
      }
}

// What is filled up with zeros is not in the file: the same model with its heads filled up there,
// and the scale and the rotation of the small ones, gives the same bits.
TEST(SmallHeads, AreLargerOnesFilledUpWithZeros) {
  const TempDir dir = *TempDir::make();
  const fs::path small = dir.path() / "small.gguf", large = dir.path() / "large.gguf";
  const TinyModel tiny = small_heads();
  write_tiny_model(small, tiny);
  const auto file = Gguf::open(small);
  auto writer = *GgufWriter::create(large);
  for (const auto& [key, value] : file->metadata())
    if (!key.starts_with("llama.attention.key_length") &&
        !key.starts_with("llama.attention.value_length"))
      writer.add(key, value);
  const std::size_t dim = 2 * tiny.head_dim;
  writer.add("llama.attention.key_length", std::uint64_t{dim});
  writer.add("llama.attention.value_length", std::uint64_t{dim});
  writer.add("llama.attention.scale", 1 / std::sqrt(static_cast<double>(tiny.head_dim)));
  const auto of_heads = [](const GgufTensor& tensor) {  // 1: rows, 0: columns, -1: none
    for (const char* part : {"attn_q.", "attn_k.", "attn_v."})
      if (tensor.name.find(part) != std::string::npos) return 1;
    return tensor.name.find("attn_output.") != std::string::npos ? 0 : -1;
  };
  for (const GgufTensor& tensor : file->tensors()) {
    auto shape = tensor.shape;
    if (of_heads(tensor) >= 0) shape[static_cast<std::size_t>(of_heads(tensor))] *= 2;
    writer.add_tensor(tensor.name, tensor.type,
                      std::span(shape).first(static_cast<std::size_t>(tensor.dimensions)));
  }
  ASSERT_TRUE(writer.begin_data());
  for (const GgufTensor& tensor : file->tensors()) {
    const std::vector<float> values = *load_floats(*file, tensor);
    const int by = of_heads(tensor);
    // So many numbers of a head stand together.
    const std::size_t run = by < 0    ? values.size()
                            : by == 0 ? tiny.head_dim
                                      : tiny.head_dim * tensor.shape[0];
    std::vector<float> filled;
    for (std::size_t i = 0; i < values.size(); i += run) {
      filled.insert(filled.end(), values.begin() + static_cast<std::ptrdiff_t>(i),
                    values.begin() + static_cast<std::ptrdiff_t>(i + run));
      if (by >= 0) filled.resize(filled.size() + run);
    }
    ASSERT_TRUE(writer.write(std::as_bytes(std::span(filled))));
  }
  ASSERT_TRUE(writer.finish());
  for (const KvType kv : {KvType::kF32, KvType::kF16}) {
    const auto bits = evaluate(small, best_kernel_table(), kv);
    const auto same = evaluate(large, best_kernel_table(), kv);
    ASSERT_EQ(bits.size(), same.size());
    EXPECT_EQ(std::memcmp(bits.data(), same.data(), bits.size() * sizeof(float)), 0);
  }
}

TEST(SmallHeads, OfSizesThatAreNoMultipleOf8AreRefused) {
  const TempDir dir = *TempDir::make();
  const fs::path path = dir.path() / "model.gguf";
  TinyModel tiny = small_heads();
  for (const std::size_t head_dim : {4, 12, 20}) {
    tiny.head_dim = head_dim;
    write_tiny_model(path, tiny);
    const auto blueprint = read_blueprint(*Gguf::open(path));
    ASSERT_FALSE(blueprint.has_value()) << head_dim;
    EXPECT_EQ(blueprint.error().message,
              fmt::format("{0}: heads of {1} (keys) and {1} (values) dimensions; Lathe runs equal "
                          "ones, a multiple of 8",
                          path.string(), head_dim));
  }
}

}  // namespace
}  // namespace lathe::infer
