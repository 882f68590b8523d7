// Quantized files keep the weights as far as their type can, whatever the threads.
#include "infer/convert/quantize.h"

#include <gmock/gmock.h>

#include <cmath>
#include <map>

#include "infer/formats/gguf_writer.h"

namespace lathe::infer {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Tensor {
  std::string name;
  std::vector<std::uint64_t> shape;
};

struct Model {
  std::vector<std::pair<std::string, GgufValue>> metadata;
  std::vector<Tensor> tensors;
};

// Sixteen layers of 256 wide rows.
Model dense_model() {
  Model model;
  model.metadata = {{"general.architecture", std::string("llama")},
                    {"general.file_type", std::uint64_t{0}},
                    {"general.alignment", std::uint64_t{64}},
                    {"llama.block_count", std::uint64_t{16}},
                    {"llama.attention.head_count", std::uint64_t{8}},
                    {"llama.attention.head_count_kv", std::uint64_t{2}},
                    {"tokens", std::vector<std::string>{"a", "b"}}};
  model.tensors = {{"token_embd.weight", {256, 4}}, {"output_norm.weight", {256}}};
  for (int i = 0; i < 16; ++i) {
    const std::string block = fmt::format("blk.{}.", i);
    model.tensors.push_back({block + "attn_norm.weight", {256}});
    model.tensors.push_back({block + "attn_q.weight", {256, 2}});
    model.tensors.push_back({block + "attn_v.weight", {256, 2}});
    model.tensors.push_back({block + "ffn_down.weight", {256, 2}});
  }
  model.tensors.push_back({"output.weight", {256, 4}});
  return model;
}

Model expert_model(std::uint64_t experts) {
  Model model;
  model.metadata = {{"general.architecture", std::string("qwen3moe")},
                    {"qwen3moe.block_count", std::uint64_t{1}},
                    {"qwen3moe.expert_count", experts}};
  model.tensors = {{"token_embd.weight", {256, 4}},
                   {"blk.0.attn_k.weight", {256, 2}},
                   {"blk.0.attn_output.weight", {256, 2}},
                   {"blk.0.ffn_gate_inp.weight", {256, experts}},
                   {"blk.0.ffn_gate_exps.weight", {256, 2, experts}}};
  return model;
}

class QuantizeTest : public ::testing::Test {
 protected:
  fs::path path(std::string_view name) const { return directory_->path() / name; }

  std::vector<float> weights(std::uint64_t count) {
    std::vector<float> x(count);
    for (float& value : x) {
      state_ = state_ * 1664525u + 1013904223u;
      value = static_cast<float>(state_ >> 8) * 0x1p-24f - 0.5f;
    }
    return x;
  }
  void write(const Model& model, std::string_view name, float first = 0.25f) {
    auto writer = GgufWriter::create(path(name));
    ASSERT_TRUE(writer);
    for (const auto& [key, value] : model.metadata) writer->add(key, value);
    for (const Tensor& tensor : model.tensors)
      writer->add_tensor(tensor.name, TensorType::kF32, tensor.shape);
    ASSERT_TRUE(writer->begin_data());
    for (const Tensor& tensor : model.tensors) {
      std::uint64_t count = 1;
      for (const std::uint64_t size : tensor.shape) count *= size;
      std::vector<float> x = weights(count);
      x[0] = first;
      ASSERT_TRUE(writer->write(std::as_bytes(std::span(x))));
    }
    ASSERT_TRUE(writer->finish());
  }
  Result<QuantizeReport> quantize(std::string_view in, std::string_view out, std::string_view type,
                                  const QuantizeOptions& options = {}) {
    return quantize_model(path(in), path(out), **find_quantize_target(type), options);
  }
  std::map<std::string, std::string> types(std::string_view name) {
    std::map<std::string, std::string> types;
    const auto model = Gguf::open(path(name));
    EXPECT_TRUE(model);
    for (const GgufTensor& tensor : model->tensors())
      types[tensor.name] = tensor_type_info(tensor.type).name;
    return types;
  }
  static std::vector<float> read(const Gguf& model, std::string_view name) {
    const GgufTensor& tensor = *model.find_tensor(name);
    std::vector<std::byte> bytes(tensor.bytes);
    EXPECT_TRUE(model.read(tensor, 0, bytes));
    std::vector<float> x(tensor.elements());
    tensor_type_info(tensor.type).decode(bytes.data(), x.data(), x.size());
    return x;
  }

 private:
  Result<TempDir> directory_ = TempDir::make();
  std::uint32_t state_ = 1;
};

// Every column of every matrix counts the same.
ImportanceMatrix flat_importance(const Gguf& model) {
  ImportanceMatrix matrix;
  for (const GgufTensor& tensor : model.tensors()) {
    const std::uint64_t experts = tensor.shape[2];
    matrix.of[tensor.name] = {std::vector<float>(tensor.shape[0] * experts, 3.0f),
                              std::vector<float>(experts, 3.0f)};
  }
  return matrix;
}

TEST_F(QuantizeTest, EveryTargetKeepsTheWeights) {
  write(dense_model(), "in.gguf");
  const auto in = Gguf::open(path("in.gguf"));
  const std::map<std::string_view, double> kWorst = {
      {"Q2_K", 0.25}, {"Q3_K", 0.15},  {"MXFP4", 0.12},  {"IQ3_S", 0.15}, {"IQ3_XXS", 0.3},
      {"IQ2_S", 0.3}, {"IQ2_XS", 0.3}, {"IQ2_XXS", 0.4}, {"IQ1_M", 0.5},  {"IQ1_S", 0.5},
      {"TQ2_0", 0.4}, {"TQ1_0", 0.45}, {"Q2_0", 0.4},    {"Q1_0", 0.55}};
  const ImportanceMatrix importance = flat_importance(*in);
  for (const QuantizeTarget& target : quantize_targets()) {
    const auto report = quantize("in.gguf", "out.gguf", target.name, {.importance = &importance});
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_THAT(report->warnings, IsEmpty());
    EXPECT_EQ(report->bytes_after, fs::file_size(path("out.gguf")));
    const auto out = Gguf::open(path("out.gguf"));
    ASSERT_TRUE(out) << out.error().message;
    EXPECT_EQ(*out->uint("general.file_type", 0, 100), target.file_type);
    EXPECT_EQ(*out->uint("general.quantization_version", 0, 100), 2u);
    EXPECT_FALSE(out->has("general.alignment"));
    EXPECT_THAT(*out->texts("tokens"), ElementsAre("a", "b"));
    const TensorType q = target.type == TensorType::kIQ3_XXS ? TensorType::kIQ2_S : target.type;
    EXPECT_EQ(out->find_tensor("blk.3.attn_q.weight")->type, q);
    for (const GgufTensor& tensor : in->tensors()) {
      const std::vector<float> before = read(*in, tensor.name), after = read(*out, tensor.name);
      double error = 0, square = 0;
      for (std::size_t i = 0; i < before.size(); ++i) {
        error += std::pow(double{after[i]} - before[i], 2);
        square += std::pow(double{before[i]}, 2);
      }
      const bool norm = tensor.dimensions == 1;
      const double worst = norm ? 0 : kWorst.contains(target.name) ? kWorst.at(target.name) : 0.09;
      EXPECT_LE(std::sqrt(error / square), worst) << target.name << " " << tensor.name;
      EXPECT_EQ(out->find_tensor(tensor.name)->shape, tensor.shape);
    }
  }
}

TEST_F(QuantizeTest, MixesGiveSensitiveLayersMore) {
  write(dense_model(), "in.gguf");
  ASSERT_TRUE(quantize("in.gguf", "out.gguf", "q4_k_m"));
  auto got = types("out.gguf");
  EXPECT_EQ(got["output.weight"], "Q6_K");
  EXPECT_EQ(got["token_embd.weight"], "Q4_K");
  EXPECT_EQ(got["output_norm.weight"], "F32");
  std::string layers;
  for (int i = 0; i < 16; ++i) {
    EXPECT_EQ(got[fmt::format("blk.{}.attn_q.weight", i)], "Q4_K");
    EXPECT_EQ(got[fmt::format("blk.{}.attn_v.weight", i)],
              got[fmt::format("blk.{}.ffn_down.weight", i)]);
    layers += got[fmt::format("blk.{}.attn_v.weight", i)][1];
  }
  // The first and last eighth, and each third from layer 2 on.
  EXPECT_EQ(layers, "6644644644644666");
  ASSERT_TRUE(quantize("in.gguf", "out.gguf", "Q4_K"));
  EXPECT_EQ(types("out.gguf")["blk.0.attn_v.weight"], "Q4_K");
  ASSERT_TRUE(quantize("in.gguf", "out.gguf", "MXFP4"));
  EXPECT_EQ(types("out.gguf")["blk.0.attn_v.weight"], "MXFP4");
  EXPECT_EQ(types("out.gguf")["output.weight"], "Q8_0");
}

TEST_F(QuantizeTest, ExpertsAndTiedEmbeddings) {
  write(expert_model(8), "in.gguf");
  ASSERT_TRUE(quantize("in.gguf", "out.gguf", "Q4_K_M"));
  auto got = types("out.gguf");
  EXPECT_EQ(got["token_embd.weight"], "Q6_K");  // is the output, too
  EXPECT_EQ(got["blk.0.attn_k.weight"], "Q8_0");
  EXPECT_EQ(got["blk.0.attn_output.weight"], "Q5_K");
  EXPECT_EQ(got["blk.0.ffn_gate_inp.weight"], "F32");
  EXPECT_EQ(got["blk.0.ffn_gate_exps.weight"], "Q4_K");
  write(expert_model(4), "in.gguf");
  ASSERT_TRUE(quantize("in.gguf", "out.gguf", "MXFP4"));
  got = types("out.gguf");
  EXPECT_EQ(got["blk.0.ffn_gate_exps.weight"], "MXFP4");
  EXPECT_EQ(got["blk.0.attn_k.weight"], "Q8_0");
  EXPECT_EQ(got["token_embd.weight"], "Q8_0");
}

TEST_F(QuantizeTest, RowsThatDoNotFitTakeALargerType) {
  Model model;
  model.tensors = {{"output.weight", {64, 4}},
                   {"blk.0.attn_q.weight", {64, 2}},
                   {"blk.0.ffn_down.weight", {172, 2}}};
  write(model, "in.gguf");
  const std::map<std::string, std::vector<std::string>> kExpected = {
      {"Q4_K", {"Q8_0", "Q5_0", "F16"}},   {"Q5_K", {"Q8_0", "Q5_1", "F16"}},
      {"Q6_K", {"Q8_0", "Q8_0", "F16"}},   {"Q2_K", {"Q8_0", "Q4_0", "F16"}},
      {"Q8_0", {"Q8_0", "Q8_0", "F16"}},   {"Q4_0", {"Q8_0", "Q4_0", "F16"}},
      {"NVFP4", {"Q8_0", "NVFP4", "F16"}}, {"IQ4_XS", {"Q8_0", "IQ4_NL", "F16"}},
      {"BF16", {"BF16", "BF16", "BF16"}}};
  for (const auto& [target, expected] : kExpected) {
    const auto report = quantize("in.gguf", "out.gguf", target);
    ASSERT_TRUE(report);
    auto got = types("out.gguf");
    EXPECT_THAT(expected, ElementsAre(got["output.weight"], got["blk.0.attn_q.weight"],
                                      got["blk.0.ffn_down.weight"]))
        << target;
    if (target == "BF16") continue;
    ASSERT_EQ(report->warnings.size(), 1u);
    EXPECT_THAT(report->warnings[0], HasSubstr("larger type"));
  }
}

TEST_F(QuantizeTest, TheFirstRuleThatFitsCounts) {
  write(dense_model(), "in.gguf");
  QuantizeOptions options;
  for (const char* rule : {"blk\\.1\\.ffn_=IQ3_S", "FFN_down=q6_k", "^output\\.weight$=F16",
                           "nothing=Q4_0", "norm=Q8_0"})
    options.rules.push_back(*parse_type_rule(rule));
  const auto report = quantize("in.gguf", "out.gguf", "Q4_K_M", options);
  ASSERT_TRUE(report) << report.error().message;
  auto got = types("out.gguf");
  EXPECT_EQ(got["blk.1.ffn_down.weight"], "IQ3_S");
  EXPECT_EQ(got["blk.11.ffn_down.weight"], "Q6_K");
  EXPECT_EQ(got["blk.0.attn_q.weight"], "Q4_K");
  EXPECT_EQ(got["output.weight"], "F16");
  EXPECT_EQ(got["blk.0.attn_norm.weight"], "F32");  // vectors stay, whatever is asked for
  ASSERT_EQ(report->warnings.size(), 1u);
  EXPECT_THAT(report->warnings[0], HasSubstr("'nothing=Q4_0'"));
  for (const char* broken : {"ffn_down", "=Q4_0", "ffn_down=Q4", "ffn(=Q4_0"})
    EXPECT_FALSE(parse_type_rule(broken)) << broken;
}

TEST_F(QuantizeTest, ImportanceMovesTheErrorToOtherColumns) {
  write(expert_model(4), "in.gguf");
  const auto in = Gguf::open(path("in.gguf"));
  ImportanceMatrix importance = flat_importance(*in);
  constexpr std::string_view kName = "blk.0.ffn_gate_exps.weight";
  // Even columns of expert 2 count.
  Importance& entry = importance.of.find(kName)->second;
  for (std::size_t i = 0; i < 256; ++i) entry.squares[512 + i] = i % 2 == 0 ? 300.0f : 0.3f;
  const ImportanceMatrix flat = flat_importance(*in);
  ASSERT_TRUE(quantize("in.gguf", "flat.gguf", "IQ2_XS", {.importance = &flat}));
  ASSERT_TRUE(quantize("in.gguf", "out.gguf", "IQ2_XS", {.threads = 3, .importance = &importance}));
  const auto error = [&](std::string_view file, std::size_t expert) {
    const auto out = Gguf::open(path(file));
    const std::vector<float> before = read(*in, kName), after = read(*out, kName);
    double sum = 0;
    for (std::size_t i = 512 * expert; i < 512 * (expert + 1); i += 2)
      sum += std::pow(double{after[i]} - before[i], 2);
    return sum;
  };
  EXPECT_LT(error("out.gguf", 2), 0.6 * error("flat.gguf", 2));
  EXPECT_EQ(error("out.gguf", 1), error("flat.gguf", 1));
}

TEST_F(QuantizeTest, FewBitsNeedImportance) {
  write(dense_model(), "in.gguf");
  const auto refused = quantize("in.gguf", "out.gguf", "IQ2_XXS");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, AllOf(HasSubstr("blk.0.attn_q.weight"), HasSubstr("IQ2_XXS"),
                                             HasSubstr("lathe imatrix")));
  EXPECT_FALSE(fs::exists(path("out.gguf")));
  ImportanceMatrix importance = flat_importance(*Gguf::open(path("in.gguf")));
  importance.of.erase("blk.5.attn_q.weight");
  const auto missing = quantize("in.gguf", "out.gguf", "IQ2_XXS", {.importance = &importance});
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().message, HasSubstr("blk.5.attn_q.weight"));
  ASSERT_TRUE(quantize("in.gguf", "out.gguf", "IQ3_S"));
  ASSERT_TRUE(quantize("in.gguf", "out.gguf", "TQ1_0"));
}

TEST_F(QuantizeTest, FewBitsAreMixed) {
  write(dense_model(), "in.gguf");
  const ImportanceMatrix importance = flat_importance(*Gguf::open(path("in.gguf")));
  ASSERT_TRUE(quantize("in.gguf", "out.gguf", "IQ2_XXS", {.importance = &importance}));
  auto got = types("out.gguf");
  EXPECT_EQ(got["output.weight"], "Q5_K");
  EXPECT_EQ(got["token_embd.weight"], "Q2_K");
  EXPECT_EQ(got["blk.7.attn_v.weight"], "Q4_K");  // four heads share one
  EXPECT_EQ(got["blk.1.ffn_down.weight"], "Q2_K");
  EXPECT_EQ(got["blk.2.ffn_down.weight"], "IQ2_XXS");
}

TEST_F(QuantizeTest, ThreadsDoNotChangeTheFile) {
  write(dense_model(), "in.gguf");
  ASSERT_TRUE(quantize("in.gguf", "one.gguf", "Q4_K_M"));
  std::size_t calls = 0;
  QuantizeProgress last{};
  const auto progress = [&](const QuantizeProgress& now) {
    ++calls;
    EXPECT_GT(now.bytes_done, last.bytes_done);
    last = now;
  };
  ASSERT_TRUE(quantize("in.gguf", "three.gguf", "Q4_K_M", {.threads = 3, .progress = progress}));
  EXPECT_EQ(*read_file(path("one.gguf")), *read_file(path("three.gguf")));
  EXPECT_EQ(calls, dense_model().tensors.size());
  EXPECT_EQ(last.bytes_done, last.bytes);
  EXPECT_EQ(last.tensor, last.tensors);
}

TEST_F(QuantizeTest, AQuantizedInputIsReadAndWarnedAbout) {
  write(dense_model(), "in.gguf");
  ASSERT_TRUE(quantize("in.gguf", "q8.gguf", "Q8_0"));
  const auto again = quantize("q8.gguf", "q4.gguf", "Q4_0");
  ASSERT_TRUE(again);
  ASSERT_EQ(again->warnings.size(), 1u);
  EXPECT_THAT(again->warnings[0], HasSubstr("quantized already"));
  // What has the type already is copied, not rounded again; and a file may take its own place.
  const std::string before = *read_file(path("q8.gguf"));
  const auto same = quantize("q8.gguf", "q8.gguf", "Q8_0");
  ASSERT_TRUE(same);
  EXPECT_THAT(same->warnings, IsEmpty());
  EXPECT_EQ(*read_file(path("q8.gguf")), before);
}

TEST_F(QuantizeTest, DamagedWeightsAreRefused) {
  write(dense_model(), "nan.gguf", std::nanf(""));
  const auto damaged = quantize("nan.gguf", "out.gguf", "Q8_0");
  ASSERT_FALSE(damaged);
  EXPECT_THAT(damaged.error().message,
              AllOf(HasSubstr("nan.gguf"), HasSubstr("'token_embd.weight' holds nan")));
  write(dense_model(), "large.gguf", 70000.0f);
  const auto large = quantize("large.gguf", "out.gguf", "F16");
  ASSERT_FALSE(large);
  EXPECT_THAT(large.error().message, AllOf(HasSubstr("70000"), HasSubstr("BF16")));
  EXPECT_TRUE(quantize("large.gguf", "bf16.gguf", "BF16"));
  EXPECT_FALSE(fs::exists(path("out.gguf")));
}

TEST_F(QuantizeTest, StoppingLeavesNoFile) {
  write(dense_model(), "in.gguf");
  StopFlag stop;
  QuantizeOptions options;
  options.stop = &stop;
  options.progress = [&](const QuantizeProgress& now) {
    if (now.tensor == 5) stop.raise();
  };
  const auto stopped = quantize("in.gguf", "out.gguf", "Q4_K", options);
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().kind, ErrorKind::kCancelled);
  std::size_t files = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(path(""))) ++files;
  EXPECT_EQ(files, 1u);
}

TEST_F(QuantizeTest, WrongNamesAndFiles) {
  EXPECT_THAT(find_quantize_target("Q4").error().message,
              AllOf(HasSubstr("'Q4'"), HasSubstr("Q4_K_M")));
  EXPECT_EQ((*find_quantize_target("nvfp4"))->type, TensorType::kNVFP4);
  EXPECT_EQ(quantize("absent.gguf", "out.gguf", "Q8_0").error().kind, ErrorKind::kNotFound);
  write(dense_model(), "in.gguf");
  EXPECT_FALSE(quantize("in.gguf", "no/such/directory.gguf", "Q8_0"));
}

}  // namespace
}  // namespace lathe::infer
