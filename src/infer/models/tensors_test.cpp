// The table of tensors against files that other programs have written: what stands in a file is
// what the table says of its header, no more and no less; and whatever it must refuse.
#include "infer/models/tensors.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "infer/formats/gguf_writer.h"
#include "infer/models/rope.h"
#include "infer/models/tiny_model_test.h"

namespace lathe::infer {
namespace {

class Table : public ::testing::TestWithParam<const char*> {};

TEST_P(Table, IsWhatTheFileHas) {
  const auto file = *Gguf::open(fs::path(LATHE_SOURCE_DIR) / "tests/data/models" /
                                (std::string(GetParam()) + ".gguf"));
  const auto blueprint = read_blueprint(file);
  ASSERT_TRUE(blueprint) << blueprint.error().message;
  std::set<std::string> listed, there;
  for (const TensorSpec& spec : tensors_of(*blueprint)) {
    EXPECT_TRUE(listed.insert(spec.name).second || spec.is_part())
        << spec.name << " is listed twice";
    const GgufTensor* tensor = file.find_tensor(spec.name);
    ASSERT_NE(tensor, nullptr) << spec.name;
    EXPECT_EQ(tensor->shape, spec.shape()) << spec.name;
    const bool table = spec.slot == Slot::kTokenTypes || spec.slot == Slot::kPositions;
    EXPECT_EQ(tensor->dimensions == 1, spec.vector && !table) << spec.name;
    // What the file's maker left as it was, the table calls exact.
    const bool head = spec.slot >= Slot::kDense2;
    const bool half = spec.slot == Slot::kIndexWeights;  // our own writer's files have it so
    if (slot_info(spec.slot).exact && !head && !half) {
      EXPECT_EQ(tensor->type, TensorType::kF32) << spec.name;
    }
  }
  for (const GgufTensor& tensor : file.tensors()) there.insert(tensor.name);
  EXPECT_EQ(listed, there);
  EXPECT_TRUE(bind_tensors(file, *blueprint));
}

INSTANTIATE_TEST_SUITE_P(Models, Table,
                         ::testing::Values("llama-q4_0", "llama-q4_k_m", "qwen2-q4_k_m",
                                           "qwen3-q4_k_m", "qwen3moe-mxfp4_moe", "mixtral-q4_0",
                                           "bert", "bert-rank", "nomic-bert", "nomic-bert-moe",
                                           "jina-bert-v2", "jina-bert-v3", "modern-bert",
                                           "modern-bert-rank", "gemma-embedding", "qwen3-reranker",
                                           "deepseek32", "glm-dsa"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(Tensors, NamesAreThoseOfTheFormat) {
  EXPECT_EQ(tensor_name(Slot::kEmbedding), "token_embd.weight");
  EXPECT_EQ(tensor_name(Slot::kRopeFactors), "rope_freqs.weight");
  EXPECT_EQ(tensor_name(Slot::kQBias, 12), "blk.12.attn_q.bias");
  EXPECT_EQ(tensor_name(Slot::kDown, 3, true), "blk.3.ffn_down_exps.weight");
}

// Keys that llama.cpp's converter leaves out of such files.
Result<Blueprint> read_without(std::string_view left_out, const Gguf& file) {
  LATHE_TRY(const TempDir directory, TempDir::make());
  const fs::path path = directory.path() / "without.gguf";
  LATHE_TRY(GgufWriter writer, GgufWriter::create(path));
  for (const auto& [key, value] : file.metadata())
    if (key != left_out) writer.add(key, value);
  for (const GgufTensor& tensor : file.tensors())
    writer.add_tensor(tensor.name, tensor.type, tensor.shape);
  LATHE_TRY_STATUS(writer.begin_data());
  for (const GgufTensor& tensor : file.tensors())
    LATHE_TRY_STATUS(writer.write(std::vector<std::byte>(tensor.bytes)));
  LATHE_TRY_STATUS(writer.finish());
  LATHE_TRY(const Gguf without, Gguf::open(path));
  return read_blueprint(without);
}

TEST(Keys, FactorsMakeALongRopeWithoutItsName) {
  const auto file = *Gguf::open(fs::path(LATHE_SOURCE_DIR) / "tests/data/models/phi3.gguf");
  const auto unnamed = read_without("phi3.rope.scaling.type", file);
  ASSERT_TRUE(unnamed) << unnamed.error().message;
  EXPECT_EQ(unnamed->attention()->rope.factors, RopeFactors::kByContext);
  EXPECT_EQ(unnamed->attention()->rope, read_blueprint(file)->attention()->rope);
}

TEST(Keys, SectionsComeToThePairsThatTurn) {
  const TempDir dir = *TempDir::make();
  const fs::path path = dir.path() / "tiny.gguf";
  const auto read = [&](const std::string& architecture,
                        const std::vector<std::int64_t>& sections) {
    const std::size_t experts = architecture.ends_with("moe") ? 4 : 0;
    write_tiny_model(
        path, {.architecture = architecture, .experts = experts, .experts_used = experts / 2},
        [&](GgufWriter& writer) {
          if (!sections.empty()) writer.add(architecture + ".rope.dimension_sections", sections);
          if (architecture.starts_with("qwen3vl"))
            writer.add(architecture + ".n_deepstack_layers", std::uint64_t{2});
        });
    return read_blueprint(*Gguf::open(path));
  };
  const Blueprint two = *read("qwen2vl", {2, 3, 3, 0}), three = *read("qwen3vl", {2, 3, 3});
  for (const Blueprint* blueprint : {&two, &three}) {
    const RopeSpec& rope = *blueprint->layers[1].rope();
    EXPECT_EQ(rope.sections, (std::array<std::size_t, 3>{2, 3, 3}));
    EXPECT_EQ(rope.interleaved, blueprint == &three);
  }
  const Blueprint experts = *read("qwen3vlmoe", {2, 3, 3});
  EXPECT_EQ(*experts.layers[0].rope(), *three.layers[0].rope());
  EXPECT_EQ(experts.layers[0].ffn.experts, 4u);
  EXPECT_EQ(experts.row_width(), 96u);
  EXPECT_EQ(two.row_width(), 32u);
  EXPECT_EQ(three.row_width(), 96u);
  // Pair by pair: the angle of a pair is its number, where all frequencies are 1.
  const auto numbers = [](const RopeSpec& rope) {
    std::vector<float> row(16);
    rope_row(rope, std::vector<double>(8, 1.0), {1, 2, 3}, row.data());
    std::string text;
    for (std::size_t i = 0; i < 8; ++i)
      for (int n = 1; n <= 3; ++n)
        if (row[i] == static_cast<float>(std::cos(n))) text += std::to_string(n);
    return text;
  };
  EXPECT_EQ(numbers(*two.layers[0].rope()), "11222333");
  EXPECT_EQ(numbers(*three.layers[0].rope()), "12312312");
  EXPECT_EQ(numbers(*(*read("qwen3vl", {4, 2, 2, 0})).layers[0].rope()), "12312311");
  for (const std::vector<std::int64_t>& wrong :
       std::vector<std::vector<std::int64_t>>{{},
                                              {8},
                                              {4, 4},
                                              {2, 3, 2},
                                              {-1, 5, 4},
                                              {2, 3, 2, 1},
                                              {2, 3, 3, 0, 0},
                                              {1LL << 62, 1LL << 62, 8}})
    EXPECT_EQ(read("qwen2vl", wrong).error().message,
              path.string() +
                  ": qwen2vl.rope.dimension_sections must have three sizes that come "
                  "to 8, half of the 16 that turn");
}

TEST(Keys, ExpertsNeedNoDenseWidth) {
  const auto file = *Gguf::open(fs::path(LATHE_SOURCE_DIR) / "tests/data/models/qwen35moe.gguf");
  const auto narrow = read_without("qwen35moe.feed_forward_length", file);
  ASSERT_TRUE(narrow) << narrow.error().message;
  EXPECT_EQ(narrow->layers[0].ffn.hidden, read_blueprint(file)->layers[0].ffn.hidden);
  const auto neither = read_without("qwen35moe.expert_feed_forward_length", file);
  ASSERT_FALSE(neither);
  EXPECT_NE(neither.error().message.find("expert_feed_forward_length"), std::string::npos);
}

TEST(Tensors, WhatIsMissingOrOfAnotherShapeIsNamed) {
  const TempDir dir = *TempDir::make();
  const fs::path path = dir.path() / "tiny.gguf";
  write_tiny_model(path, {.architecture = "llama", .tied = false});
  const auto file = *Gguf::open(path);
  Blueprint blueprint = *read_blueprint(file);
  ASSERT_TRUE(bind_tensors(file, blueprint));
  AttentionSpec& attention = *blueprint.layers[1].attention();
  attention.qk_norm = QkNorm::kHead;
  EXPECT_EQ(bind_tensors(file, blueprint).error().message,
            path.string() + ": the tensor blk.1.attn_q_norm.weight is missing");
  attention.qk_norm = QkNorm::kNone;
  attention.kv_heads = 2;
  EXPECT_EQ(bind_tensors(file, blueprint).error().message,
            path.string() + ": the tensor blk.1.attn_k.weight is 32×16×1×1 and must be 32×32×1×1");
}

// A bias that the file has and nothing adds is no small thing to leave out.
TEST(Tensors, ABiasThatNothingAddsIsRefused) {
  const TempDir dir = *TempDir::make();
  const fs::path path = dir.path() / "tiny.gguf";
  write_tiny_model(path, {.architecture = "qwen2"});
  const auto file = *Gguf::open(path);
  Blueprint blueprint = *read_blueprint(file);
  ASSERT_TRUE(bind_tensors(file, blueprint));
  blueprint.layers[1].attention()->qkv_bias = false;
  const auto refused = bind_tensors(file, blueprint);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().message,
            path.string() + ": blk.1.attn_q.bias is a bias that Lathe adds in no model of qwen2");
}

TEST(Tensors, WhatHasNoForwardPassIsNamed) {
  Blueprint blueprint;
  blueprint.layers.resize(2);
  EXPECT_TRUE(blueprint.runs());
  blueprint.ranks = true;
  EXPECT_EQ(blueprint.missing(), "the head of a reranker, for which there is no recipe");
  blueprint.layers[0].ffn.shared_hidden = 8;
  EXPECT_EQ(blueprint.missing(), "a shared expert without others");
  EXPECT_FALSE(blueprint.runs());
}

// What a file says of its experts counts, and what cannot be done as it says is refused.
TEST(Tensors, ExpertsAreChosenAsTheFileSays) {
  const TempDir dir = *TempDir::make();
  const fs::path path = dir.path() / "tiny.gguf";
  const TinyModel tiny{.architecture = "granitemoe", .experts = 4, .experts_used = 2};
  const auto read = [&](const char* key, auto value) {
    write_tiny_model(path, tiny, [&](GgufWriter& writer) {
      writer.add(std::string("granitemoe.") + key, value);
    });
    return read_blueprint(*Gguf::open(path));
  };
  EXPECT_TRUE(read("expert_weights_norm", true)->layers[0].ffn.normalize_weights);
  EXPECT_FALSE(read("expert_weights_norm", false)->layers[0].ffn.normalize_weights);
  EXPECT_EQ(read("expert_group_count", std::uint64_t{1})->layers[0].ffn.groups, 0u);
  for (const std::uint64_t groups : {3, 4}) {
    const auto refused = read("expert_group_count", groups);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().message,
              fmt::format("{}: granitemoe.expert_group_count is {}; 4 experts cannot be so many "
                          "groups of two or more",
                          path.string(), groups));
  }
}

// What an indexer chooses is bounded, and the first layer has one: the others may do as it says.
TEST(Tensors, IndexersAreAsTheFileSays) {
  const TempDir dir = *TempDir::make();
  const fs::path path = dir.path() / "changed.gguf";
  const auto file = *Gguf::open(fs::path(LATHE_SOURCE_DIR) / "tests/data/models/glm-dsa.gguf");
  const auto read = [&](std::string_view changed, const GgufValue& to) {
    auto writer = *GgufWriter::create(path);
    for (const auto& [key, value] : file.metadata()) writer.add(key, key == changed ? to : value);
    std::vector<std::byte> bytes;
    for (const GgufTensor& tensor : file.tensors())
      writer.add_tensor(tensor.name, tensor.type, std::span(tensor.shape).first(tensor.dimensions));
    EXPECT_TRUE(writer.begin_data());
    for (const GgufTensor& tensor : file.tensors()) {
      bytes.resize(tensor.bytes);
      EXPECT_TRUE(file.read(tensor, 0, bytes) && writer.write(bytes));
    }
    EXPECT_TRUE(writer.finish());
    return read_blueprint(*Gguf::open(path));
  };
  const auto own = [](const Blueprint& blueprint) {
    std::vector<bool> each;
    for (const LayerSpec& layer : blueprint.layers)
      each.push_back(std::get<LatentAttentionSpec>(layer.mixer).owns_indexer());
    return each;
  };
  const std::string types = "glm-dsa.attention.indexer.types";
  EXPECT_EQ(own(*read_blueprint(file)), std::vector({true, true, false, false}));
  EXPECT_EQ(own(*read("", {})), std::vector({true, true, false, false}));
  EXPECT_EQ(own(*read(types, std::vector<std::uint64_t>{1, 0, 0, 0})),
            std::vector({true, false, false, false}));
  const std::string place = path.string() + ": ";
  EXPECT_EQ(read(types, std::vector<std::uint64_t>{0, 1, 0, 0}).error().message,
            place + "the first layer has no indexer, and none before it whose choice it takes");
  EXPECT_EQ(read("glm-dsa.attention.indexer.key_length", std::uint64_t{24}).error().message,
            place +
                "glm-dsa.attention.indexer.key_length is 24; it must be a multiple of 8, and at "
                "least the 32 turned ones");
  for (const std::uint64_t most :
       {std::uint64_t{0}, std::uint64_t{1} << 21, ~std::uint64_t{0} >> 1})
    EXPECT_FALSE(read("glm-dsa.attention.indexer.top_k", most)) << most;
  EXPECT_FALSE(read("glm-dsa.attention.indexer.head_count", std::uint64_t{0}));
  EXPECT_FALSE(read("glm-dsa.attention.q_lora_rank", std::uint64_t{0}));
}

// A convolution over one token would carry nothing: such a state has no size.
TEST(Tensors, AConvolutionSeesMoreThanItsOwnToken) {
  const TempDir dir = *TempDir::make();
  const fs::path path = dir.path() / "tiny.gguf";
  for (const std::uint64_t taps : {1, 2}) {
    write_tiny_model(path, {.architecture = "lfm2"},
                     [&](GgufWriter& writer) { writer.add("lfm2.shortconv.l_cache", taps); });
    EXPECT_EQ(read_blueprint(*Gguf::open(path)).has_value(), taps == 2) << taps;
  }
}

}  // namespace
}  // namespace lathe::infer
