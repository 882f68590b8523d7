// Every family of models as another converter makes it: keys, shapes, and where each number stands.
#include <gmock/gmock.h>

#include "ground/base/json.h"
#include "ground/base/text.h"
#include "infer/convert/hf_family.h"
#include "infer/convert/hf_model_test.h"
#include "infer/convert/import.h"
#include "infer/formats/gguf.h"

namespace lathe::infer {
namespace {

// The sum that tells where numbers stand, and the sum of what they could differ by.
std::pair<double, double> sum_of(const Gguf& model, const GgufTensor& tensor) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(tensor.bytes));
  EXPECT_TRUE(model.read(tensor, 0, bytes));
  const bool packed = tensor.type != TensorType::kF32;
  const std::size_t count = packed ? bytes.size() : bytes.size() / sizeof(float);
  double sum = 0, size = 0;
  for (std::size_t i = 0; i < count; ++i) {
    float value = static_cast<float>(bytes[packed ? i : 0]);
    if (!packed) std::memcpy(&value, &bytes[i * sizeof value], sizeof value);
    const auto weight = static_cast<double>(i * 31 % 101 + 1);
    sum += weight * static_cast<double>(value);
    size += weight * std::abs(static_cast<double>(value));
  }
  return {sum, size};
}

void expect_key(const Gguf& model, const std::string& key, const SortedJson& value) {
  SCOPED_TRACE(key);
  if (value.is_boolean()) {
    EXPECT_TRUE(model.has(key));
    EXPECT_EQ(*model.boolean_or(key, !value.get<bool>()), value.get<bool>());
  } else if (value.is_number_integer()) {
    const auto number = value.get<std::uint64_t>();
    const auto found = model.uint(key, number, number);
    EXPECT_TRUE(found) << found.error().message;
  } else if (value.is_number()) {
    const auto found = model.real(key);
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_NEAR(*found, value.get<double>(), 1e-6 * std::abs(value.get<double>()));
  } else if (value.is_string()) {
    EXPECT_EQ(*model.text(key), value.get<std::string>());
  } else {
    const auto found = model.ints(key);
    ASSERT_TRUE(found) << found.error().message;
    std::vector<std::int64_t> wanted;
    for (const SortedJson& each : value)
      wanted.push_back(each.is_boolean() ? each.get<bool>() : each.get<std::int64_t>());
    EXPECT_EQ(*found, wanted);
  }
}

const SortedJson& families() {
  static const SortedJson kFamilies =
      SortedJson::parse(*read_file(fs::path(LATHE_SOURCE_DIR) / "tests/data/import/families.json"));
  return kFamilies;
}

class ImportFamilies : public ::testing::TestWithParam<std::string> {
 protected:
  void put(std::string_view name, std::string_view bytes) const {
    ASSERT_TRUE(write_file_atomic(directory_->path() / name, bytes));
  }
  Result<TempDir> directory_ = TempDir::make();
};

TEST_P(ImportFamilies, AreMadeAsByAnotherConverter) {
  const SortedJson& family = families()[GetParam()];
  put("config.json", family["config"].dump());
  put("model.safetensors", safetensors(family["tensors"]));
  put("tokenizer.json", tokenizer(32));
  const fs::path out = directory_->path() / "out.gguf";
  const auto report = import_model(directory_->path(), out, {});
  ASSERT_TRUE(report) << report.error().message;
  const auto model = Gguf::open(out);
  ASSERT_TRUE(model);
  const std::string architecture = family["architecture"].get<std::string>();
  EXPECT_EQ(*model->text("general.architecture"), architecture);
  for (const auto& [key, value] : family["keys"].items())
    expect_key(*model, architecture + "." + key, value);
  EXPECT_GE(family["made"].size(), 3u);
  for (const auto& [name, made] : family["made"].items()) {
    const GgufTensor* tensor = model->find_tensor(name);
    ASSERT_NE(tensor, nullptr) << name;
    for (std::size_t i = 0; i + 1 < made.size(); ++i)
      EXPECT_EQ(tensor->shape[i], made[i].get<std::uint64_t>()) << name;
    const auto [sum, size] = sum_of(*model, *tensor);
    EXPECT_NEAR(sum, made.back().get<double>(), 1e-6 * size + 1e-4) << name;
  }
}

std::vector<std::string> names() {
  std::vector<std::string> names;
  for (const auto& [name, family] : families().items()) names.push_back(name);
  return names;
}
std::string label(const ::testing::TestParamInfo<std::string>& family) {
  return replace_all(family.param, "-", "_");
}
INSTANTIATE_TEST_SUITE_P(, ImportFamilies, ::testing::ValuesIn(names()), label);

// A row of the table that the data knows nothing of would be read by nobody.
TEST(HfFamilies, EveryArchitectureOfTheTableIsTried) {
  std::set<std::string, std::less<>> tried;
  for (const auto& [name, family] : families().items())
    tried.insert(family["architecture"].get<std::string>());
  // These three are import_test's.
  tried.insert({"qwen2", "qwen3", "qwen3moe"});
  for (const HfFamily& family : hf_families())
    EXPECT_TRUE(tried.contains(family.gguf)) << family.hf;
}

// Without one of its tensors a model is refused, and nothing is written: every ninth is tried.
TEST_P(ImportFamilies, LackNothingUnsaid) {
  const SortedJson& family = families()[GetParam()];
  put("config.json", family["config"].dump());
  put("tokenizer.json", tokenizer(32));
  const fs::path out = directory_->path() / "out.gguf";
  std::size_t number = 0;
  for (const auto& [name, shape] : family["tensors"].items()) {
    // A bias or a norm of q may be absent in a family's smaller models, and layers that predict.
    if (name.ends_with("bias") || name.ends_with("norm.weight") || name == "lm_head.weight" ||
        name == "mtp.fc.weight" || name.ends_with("layer_scalar") ||
        (GetParam() == "deepseek-v3" && name.starts_with("model.layers.2.")) ||
        name.find("vis") != name.npos || number++ % 9 != 0)
      continue;
    SortedJson tensors = family["tensors"];
    tensors.erase(name);
    put("model.safetensors", safetensors(tensors));
    EXPECT_FALSE(import_model(directory_->path(), out, {})) << name;
    EXPECT_FALSE(fs::exists(out));
    fs::remove(out);
  }
}

// What the choice of experts hangs on is never silently absent.
class BiasedFamilies : public ImportFamilies {};
TEST_P(BiasedFamilies, NeedTheBiasOfTheirScores) {
  const SortedJson& family = families()[GetParam()];
  put("config.json", family["config"].dump());
  put("tokenizer.json", tokenizer(32));
  SortedJson tensors = family["tensors"];
  ASSERT_EQ(tensors.erase("model.layers.1.mlp.gate.e_score_correction_bias"), 1u);
  put("model.safetensors", safetensors(tensors));
  const auto report = import_model(directory_->path(), directory_->path() / "out.gguf", {});
  ASSERT_FALSE(report);
  EXPECT_THAT(report.error().message, ::testing::HasSubstr("e_score_correction_bias"));
}
INSTANTIATE_TEST_SUITE_P(, BiasedFamilies,
                         ::testing::Values("deepseek-v3", "glm4moe", "deepseek32", "glm-dsa",
                                           "glm4moelite"),
                         label);

}  // namespace
}  // namespace lathe::infer
