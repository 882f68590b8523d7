// Hugging Face models to GGUF, and those that would be computed otherwise refused.
#include "infer/convert/import.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "ground/base/json.h"
#include "ground/base/text.h"
#include "infer/formats/gguf.h"

namespace lathe::infer {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr std::size_t kEmbedding = 16, kHidden = 12, kHeads = 2, kKvHeads = 1, kHeadDim = 8;

struct Stored {
  std::string name;
  std::vector<std::uint64_t> shape;  // outermost first
};

// Element i of a tensor is i plus a number of its name's own: what stands where can be told.
float value_of(std::string_view name, std::size_t i) {
  return static_cast<float>(i % 512) +
         512 * static_cast<float>(std::accumulate(name.begin(), name.end(), 0) % 7);
}

std::size_t count_of(const std::vector<std::uint64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), std::size_t{1}, std::multiplies<>());
}

std::string safetensors(const std::vector<Stored>& tensors, std::string_view dtype) {
  const TensorTypeInfo& info = *find_tensor_type(dtype);
  Json header = Json::object();
  std::string data;
  for (const Stored& tensor : tensors) {
    std::vector<float> values(count_of(tensor.shape));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = value_of(tensor.name, i);
    std::string bytes(values.size() * info.block_bytes, '\0');
    info.encode(values.data(), reinterpret_cast<std::byte*>(bytes.data()), values.size(), {});
    header[tensor.name] = {{"dtype", dtype},
                           {"shape", tensor.shape},
                           {"data_offsets", {data.size(), data.size() + bytes.size()}}};
    data += bytes;
  }
  const std::string text = dump_json(header);
  const std::uint64_t length = text.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + text + data;
}

constexpr std::string_view kLlama3Regex =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2Regex =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

Json split_step(std::string_view regex) {
  return {{"type", "Split"}, {"pattern", {{"Regex", regex}}}, {"behavior", "Isolated"}};
}

Json byte_level_tokenizer(std::string_view regex, bool ignore_merges) {
  return {{"added_tokens",
           {{{"id", 4}, {"content", "<|begin|>"}, {"special", true}},
            {{"id", 5}, {"content", "<|end|>"}, {"special", true}},
            {{"id", 6}, {"content", "<tool>"}, {"special", false}}}},
          {"pre_tokenizer",
           {{"type", "Sequence"},
            {"pretokenizers", {split_step(regex), {{"type", "ByteLevel"}, {"use_regex", false}}}}}},
          {"post_processor",
           {{"type", "Sequence"},
            {"processors",
             {{{"type", "ByteLevel"}},
              {{"type", "TemplateProcessing"},
               {"single",
                {{{"SpecialToken", {{"id", "<|begin|>"}}}}, {{"Sequence", {{"id", "A"}}}}}}}}}}},
          {"model",
           {{"type", "BPE"},
            {"ignore_merges", ignore_merges},
            {"vocab", {{"a", 0}, {"b", 1}, {"ab", 2}, {"\u0120ab", 3}}},
            {"merges", {"a b", "\u0120 ab"}}}}};
}

Json llama_config() {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"max_position_embeddings", 128},
          {"num_hidden_layers", 1},
          {"hidden_size", kEmbedding},
          {"intermediate_size", kHidden},
          {"num_attention_heads", kHeads},
          {"num_key_value_heads", kKvHeads},
          {"vocab_size", 9},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", 500000.0}};
}

std::vector<Stored> attention_tensors(std::size_t layer) {
  const std::string block = fmt::format("model.layers.{}.", layer);
  return {{block + "input_layernorm.weight", {kEmbedding}},
          {block + "self_attn.q_proj.weight", {kHeads * kHeadDim, kEmbedding}},
          {block + "self_attn.k_proj.weight", {kKvHeads * kHeadDim, kEmbedding}},
          {block + "self_attn.v_proj.weight", {kKvHeads * kHeadDim, kEmbedding}},
          {block + "self_attn.o_proj.weight", {kEmbedding, kHeads * kHeadDim}},
          {block + "post_attention_layernorm.weight", {kEmbedding}}};
}

std::vector<Stored> outer_tensors() {
  return {{"model.embed_tokens.weight", {9, kEmbedding}},
          {"model.norm.weight", {kEmbedding}},
          {"lm_head.weight", {9, kEmbedding}}};
}

std::vector<Stored> operator+(std::vector<Stored> a, const std::vector<Stored>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

std::vector<Stored> llama_tensors() {
  return outer_tensors() + attention_tensors(0) +
         std::vector<Stored>{{"model.layers.0.mlp.gate_proj.weight", {kHidden, kEmbedding}},
                             {"model.layers.0.mlp.up_proj.weight", {kHidden, kEmbedding}},
                             {"model.layers.0.mlp.down_proj.weight", {kEmbedding, kHidden}}};
}

class ImportTest : public ::testing::Test {
 protected:
  fs::path path(std::string_view name) const { return directory_->path() / name; }
  void put(std::string_view name, std::string_view bytes) const {
    ASSERT_TRUE(make_directories(path("model")));
    ASSERT_TRUE(write_file_atomic(path("model") / name, bytes));
  }
  void put_json(std::string_view name, const Json& json) const { put(name, dump_json(json)); }
  void put_llama(std::string_view dtype = "BF16") const {
    put_json("config.json", llama_config());
    put_json("tokenizer.json", byte_level_tokenizer(kLlama3Regex, true));
    put("model.safetensors", safetensors(llama_tensors(), dtype));
  }

  Result<Gguf> import(const ImportOptions& options = {}) const {
    LATHE_TRY(const ImportReport report, import_model(path("model"), path("out.gguf"), options));
    EXPECT_EQ(report.bytes, fs::file_size(path("out.gguf")));
    return Gguf::open(path("out.gguf"));
  }
  void expect_refused(std::vector<std::string> says) const {
    const auto model = import();
    ASSERT_FALSE(model);
    for (const std::string& part : says) EXPECT_THAT(model.error().message, HasSubstr(part));
    EXPECT_FALSE(fs::exists(path("out.gguf")));
  }
  static std::vector<float> read(const Gguf& model, std::string_view name) {
    const GgufTensor* tensor = model.find_tensor(name);
    EXPECT_NE(tensor, nullptr) << name;
    if (!tensor) return {};
    std::vector<std::byte> bytes(tensor->bytes);
    EXPECT_TRUE(model.read(*tensor, 0, bytes));
    std::vector<float> x(tensor->elements());
    tensor_type_info(tensor->type).decode(bytes.data(), x.data(), x.size());
    return x;
  }
  // The tensor as it was stored.
  static std::vector<float> original(std::string_view name, std::size_t count,
                                     std::string_view dtype = "F32") {
    std::vector<float> x(count);
    for (std::size_t i = 0; i < count; ++i) x[i] = value_of(name, i);
    const TensorTypeInfo& info = *find_tensor_type(dtype);
    std::vector<std::byte> bytes(count * info.block_bytes);
    info.encode(x.data(), bytes.data(), count, {});
    info.decode(bytes.data(), x.data(), count);
    return x;
  }

 private:
  Result<TempDir> directory_ = TempDir::make();
};

TEST_F(ImportTest, Llama) {
  put_llama();
  put_json("generation_config.json", Json{{"temperature", 0.5}, {"top_k", 20}});
  const auto model = import();
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(*model->text("general.architecture"), "llama");
  EXPECT_EQ(*model->text("general.name"), "model");
  EXPECT_EQ(*model->uint("general.file_type", 0, 99), 32u);
  EXPECT_EQ(*model->uint("llama.context_length", 0, 999), 128u);
  EXPECT_EQ(*model->uint("llama.block_count", 0, 99), 1u);
  EXPECT_EQ(*model->uint("llama.embedding_length", 0, 99), kEmbedding);
  EXPECT_EQ(*model->uint("llama.feed_forward_length", 0, 99), kHidden);
  EXPECT_EQ(*model->uint("llama.attention.head_count", 0, 99), kHeads);
  EXPECT_EQ(*model->uint("llama.attention.head_count_kv", 0, 99), kKvHeads);
  EXPECT_EQ(*model->uint("llama.rope.dimension_count", 0, 99), kHeadDim);
  EXPECT_FLOAT_EQ(static_cast<float>(*model->real("llama.rope.freq_base")), 500000);
  EXPECT_FLOAT_EQ(static_cast<float>(*model->real("llama.attention.layer_norm_rms_epsilon")),
                  1e-5f);
  EXPECT_EQ(*model->real("general.sampling.temp"), 0.5);
  EXPECT_EQ(*model->uint("general.sampling.top_k", 0, 99), 20u);

  EXPECT_THAT(model->tensors(), SizeIs(12));
  const GgufTensor& down = *model->find_tensor("blk.0.ffn_down.weight");
  EXPECT_EQ(down.type, TensorType::kBF16);
  EXPECT_THAT(down.shape, ElementsAre(kHidden, kEmbedding, 1u, 1u));
  EXPECT_EQ(read(*model, "blk.0.ffn_down.weight"),
            original("model.layers.0.mlp.down_proj.weight", kHidden * kEmbedding, "BF16"));
  EXPECT_EQ(model->find_tensor("blk.0.attn_norm.weight")->type, TensorType::kF32);
  EXPECT_EQ(read(*model, "blk.0.attn_norm.weight"),
            original("model.layers.0.input_layernorm.weight", kEmbedding, "BF16"));
  // Rows 0, 2, 4, 6 of a head are its first half, 1, 3, 5, 7 its second.
  const auto before =
      original("model.layers.0.self_attn.q_proj.weight", kHeads * kHeadDim * kEmbedding, "BF16");
  const auto after = read(*model, "blk.0.attn_q.weight");
  constexpr std::size_t kRows[] = {0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15};
  for (std::size_t row = 0; row < std::size(kRows); ++row)
    for (std::size_t i = 0; i < kEmbedding; ++i)
      ASSERT_EQ(after[row * kEmbedding + i], before[kRows[row] * kEmbedding + i]) << row;
  EXPECT_EQ(read(*model, "blk.0.attn_v.weight"),
            original("model.layers.0.self_attn.v_proj.weight", kHeadDim * kEmbedding, "BF16"));
}

TEST_F(ImportTest, TypesAsAskedFor) {
  put_llama("BF16");
  for (const TensorType type : {TensorType::kF16, TensorType::kF32}) {
    const auto model = import({.type = type});
    ASSERT_TRUE(model) << model.error().message;
    EXPECT_EQ(model->find_tensor("output.weight")->type, type);
    EXPECT_EQ(model->find_tensor("output_norm.weight")->type, TensorType::kF32);
    EXPECT_EQ(read(*model, "output.weight"), original("lm_head.weight", 9 * kEmbedding, "BF16"));
  }
}

TEST_F(ImportTest, Qwen2WithBiasesInTwoFiles) {
  Json config = llama_config();
  config["architectures"] = {"Qwen2ForCausalLM"};
  config["tie_word_embeddings"] = true;
  put_json("config.json", config);
  put_json("tokenizer.json", byte_level_tokenizer(kQwen2Regex, false));
  std::vector<Stored> first = llama_tensors();
  std::erase_if(first, [](const Stored& tensor) { return tensor.name == "lm_head.weight"; });
  const std::vector<Stored> second = {
      {"model.layers.0.self_attn.q_proj.bias", {kHeads * kHeadDim}},
      {"model.layers.0.self_attn.k_proj.bias", {kKvHeads * kHeadDim}},
      {"model.layers.0.self_attn.v_proj.bias", {kKvHeads * kHeadDim}}};
  put("one.safetensors", safetensors(first, "F16"));
  put("two.safetensors", safetensors(second, "F16"));
  Json map;
  for (const Stored& tensor : first) map[tensor.name] = "one.safetensors";
  for (const Stored& tensor : second) map[tensor.name] = "two.safetensors";
  put_json("model.safetensors.index.json", Json{{"weight_map", map}});
  const auto model = import();
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(*model->text("tokenizer.ggml.pre"), "qwen2");
  EXPECT_EQ(model->find_tensor("output.weight"), nullptr);
  EXPECT_EQ(read(*model, "blk.0.attn_q.bias"),  // Qwen's halves stay
            original(second[0].name, kHeads * kHeadDim, "F16"));
  EXPECT_EQ(read(*model, "blk.0.attn_q.weight"), original("model.layers.0.self_attn.q_proj.weight",
                                                          kHeads * kHeadDim * kEmbedding, "F16"));
}

TEST_F(ImportTest, LlamaBiasesArePermutedToo) {
  put_llama("F32");
  put("model.safetensors",
      safetensors(
          llama_tensors() +
              std::vector<Stored>{{"model.layers.0.self_attn.q_proj.bias", {kHeads * kHeadDim}},
                                  {"model.layers.0.self_attn.k_proj.bias", {kKvHeads * kHeadDim}},
                                  {"model.layers.0.self_attn.v_proj.bias", {kKvHeads * kHeadDim}}},
          "F32"));
  const auto model = import();
  ASSERT_TRUE(model) << model.error().message;
  const auto before = original("model.layers.0.self_attn.q_proj.bias", kHeads * kHeadDim);
  EXPECT_THAT(read(*model, "blk.0.attn_q.bias"),
              ElementsAre(before[0], before[4], before[1], before[5], before[2], before[6],
                          before[3], before[7], before[8], before[12], before[9], before[13],
                          before[10], before[14], before[11], before[15]));
}

TEST_F(ImportTest, ExpertsAreStacked) {
  for (const bool mixtral : {true, false}) {
    Json config = llama_config();
    config["architectures"] = {mixtral ? "MixtralForCausalLM" : "Qwen3MoeForCausalLM"};
    config[mixtral ? "num_local_experts" : "num_experts"] = 3;
    config["num_experts_per_tok"] = 2;
    if (!mixtral) config["moe_intermediate_size"] = kHidden;
    put_json("config.json", config);
    put_json("tokenizer.json", byte_level_tokenizer(kLlama3Regex, true));
    const std::string block = mixtral ? "model.layers.0.block_sparse_moe." : "model.layers.0.mlp.";
    std::vector<Stored> tensors = outer_tensors() + attention_tensors(0);
    tensors.push_back({block + "gate.weight", {3, kEmbedding}});
    const auto name = [&](int expert, std::string_view part) {
      return fmt::format("{}experts.{}.{}.weight", block, expert, part);
    };
    for (int e = 0; e < 3; ++e) {
      tensors.push_back({name(e, mixtral ? "w1" : "gate_proj"), {kHidden, kEmbedding}});
      tensors.push_back({name(e, mixtral ? "w3" : "up_proj"), {kHidden, kEmbedding}});
      tensors.push_back({name(e, mixtral ? "w2" : "down_proj"), {kEmbedding, kHidden}});
    }
    if (!mixtral) {
      tensors.push_back({"model.layers.0.self_attn.q_norm.weight", {kHeadDim}});
      tensors.push_back({"model.layers.0.self_attn.k_norm.weight", {kHeadDim}});
    }
    put("model.safetensors", safetensors(tensors, "F32"));
    const auto model = import({.type = TensorType::kF16});
    ASSERT_TRUE(model) << model.error().message;
    const std::string arch = mixtral ? "llama" : "qwen3moe";
    EXPECT_EQ(*model->text("general.architecture"), arch);
    EXPECT_EQ(*model->uint(arch + ".expert_count", 0, 9), 3u);
    EXPECT_EQ(*model->uint(arch + ".expert_used_count", 0, 9), 2u);
    EXPECT_EQ(model->find_tensor("blk.0.ffn_gate_inp.weight")->type, TensorType::kF32);
    const GgufTensor& down = *model->find_tensor("blk.0.ffn_down_exps.weight");
    EXPECT_THAT(down.shape, ElementsAre(kHidden, kEmbedding, 3u, 1u));
    EXPECT_EQ(down.type, TensorType::kF16);
    const std::vector<float> got = read(*model, down.name);
    for (int e = 0; e < 3; ++e) {
      const auto part =
          original(name(e, mixtral ? "w2" : "down_proj"), kHidden * kEmbedding, "F16");
      EXPECT_TRUE(std::equal(part.begin(), part.end(), got.begin() + e * std::ssize(part)));
    }
    EXPECT_EQ(model->find_tensor("blk.0.attn_q_norm.weight") != nullptr, !mixtral);
  }
}

TEST_F(ImportTest, RopeScalings) {
  put_llama();
  Json config = llama_config();
  config["head_dim"] = 128;
  config["rope_scaling"] = {{"rope_type", "llama3"},
                            {"factor", 8.0},
                            {"low_freq_factor", 1.0},
                            {"high_freq_factor", 4.0},
                            {"original_max_position_embeddings", 8192}};
  put_json("config.json", config);
  std::vector<Stored> tensors = llama_tensors();
  for (Stored& tensor : tensors) {
    if (tensor.name.ends_with("q_proj.weight")) tensor.shape[0] = kHeads * 128;
    if (tensor.name.ends_with("k_proj.weight") || tensor.name.ends_with("v_proj.weight"))
      tensor.shape[0] = kKvHeads * 128;
    if (tensor.name.ends_with("o_proj.weight")) tensor.shape[1] = kHeads * 128;
  }
  put("model.safetensors", safetensors(tensors, "F32"));
  const auto model = import();
  ASSERT_TRUE(model) << model.error().message;
  const std::vector<float> factors = read(*model, "rope_freqs.weight");
  ASSERT_EQ(factors.size(), 64u);
  // By hand for base 500000: wavelengths of pairs below 29 are under 2048, from 35 on over 8192.
  EXPECT_THAT(std::span(factors).first(29), Each(1.0f));
  EXPECT_THAT(std::span(factors).subspan(35), Each(8.0f));
  EXPECT_NEAR(factors[32], 2.6943, 1e-3);
  EXPECT_TRUE(std::ranges::is_sorted(factors));

  put_llama();
  config = llama_config();
  config["rope_parameters"] = {{"rope_type", "yarn"},
                               {"rope_theta", 1000.0},
                               {"factor", 4.0},
                               {"beta_fast", 16},
                               {"original_max_position_embeddings", 32}};
  put_json("config.json", config);
  const auto yarn = import();
  ASSERT_TRUE(yarn) << yarn.error().message;
  EXPECT_EQ(*yarn->text("llama.rope.scaling.type"), "yarn");
  EXPECT_EQ(*yarn->real("llama.rope.scaling.factor"), 4);
  EXPECT_EQ(*yarn->real("llama.rope.freq_base"), 1000);
  EXPECT_EQ(*yarn->real("llama.rope.scaling.yarn_beta_fast"), 16);
  EXPECT_EQ(*yarn->uint("llama.rope.scaling.original_context_length", 0, 99), 32u);
  EXPECT_EQ(yarn->find_tensor("rope_freqs.weight"), nullptr);
}

TEST_F(ImportTest, WhatWouldBeComputedDifferentlyIsRefused) {
  put_llama();
  const auto with = [this](std::string_view key, const Json& value, std::vector<std::string> says) {
    SCOPED_TRACE(key);
    Json config = llama_config();
    config[std::string(key)] = value;
    put_json("config.json", config);
    expect_refused(std::move(says));
  };
  with("architectures", {"GemmaForCausalLM"}, {"GemmaForCausalLM", "LlamaForCausalLM"});
  with("architectures", nullptr, {"architectures", "Qwen3ForCausalLM"});
  with("num_hidden_layers", "x", {"num_hidden_layers", "\"x\""});
  with("num_hidden_layers", nullptr, {"num_hidden_layers", "missing"});
  with("num_hidden_layers", 1e300, {"num_hidden_layers"});
  with("num_hidden_layers", 2, {"model.layers.1.input_layernorm.weight", "missing"});
  with("num_attention_heads", 0, {"num_attention_heads"});
  with("num_key_value_heads", 3, {"num_attention_heads", "3"});
  with("head_dim", 16, {"q_proj", "32 rows"});
  with("hidden_size", 32, {"embed_tokens", "[9, 16]", "32"});
  with("vocab_size", 10, {"embed_tokens", "[9, 16]", "10"});
  with("vocab_size", 6, {"<tool>", "6"});
  with("hidden_act", "gelu", {"hidden_act", "gelu"});
  with("partial_rotary_factor", 0.5, {"partial_rotary_factor", "0.5"});
  with("quantization_config", {{"bits", 4}}, {"quantization_config"});
  with("rope_scaling", {{"type", "dynamic"}, {"factor", 2.0}}, {"dynamic", "yarn"});
  with("rope_scaling", {{"type", "linear"}}, {"factor", "missing"});
  with("rope_theta", -1.0, {"rope_theta", "-1"});
  with("tie_word_embeddings", 1, {"tie_word_embeddings", "true or false"});

  put_json("config.json", llama_config());
  const auto tensors = [this](const std::vector<Stored>& list, std::string_view dtype,
                              std::vector<std::string> says) {
    put("model.safetensors", safetensors(list, dtype));
    expect_refused(std::move(says));
  };
  tensors(llama_tensors() + std::vector<Stored>{{"model.layers.0.mlp.up_proj.bias", {kHidden}}},
          "F32", {"model.layers.0.mlp.up_proj.bias", "no place"});
  std::vector<Stored> missing = llama_tensors();
  missing.pop_back();
  tensors(missing, "F32", {"mlp.down_proj.weight", "missing"});
  put_json("config.json", Json::array());
  expect_refused({"config.json", "object"});
  put("config.json", "{");
  expect_refused({"config.json", "JSON"});
}

TEST_F(ImportTest, OtherDtypesAreRefusedByName) {
  put_llama();
  std::string bytes = safetensors(llama_tensors(), "F16");
  for (std::size_t at = 0; (at = bytes.find("\"F16\"", at)) != bytes.npos; ++at)
    bytes.replace(at, 5, "\"I16\"");
  put("model.safetensors", bytes);
  expect_refused({"model.embed_tokens.weight", "I16", "BF16"});
}

TEST_F(ImportTest, ByteLevelVocabulary) {
  put_llama();
  put_json("tokenizer_config.json", Json{{"eos_token", {{"content", "<|end|>"}}},
                                         {"bos_token", "<|begin|>"},
                                         {"chat_template",
                                          {{{"name", "default"}, {"template", "D"}},
                                           {{"name", "tool_use"}, {"template", "T"}}}}});
  put_json("generation_config.json", Json{{"eos_token_id", {5, 6}}});
  auto model = import();
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(*model->text("tokenizer.ggml.model"), "gpt2");
  EXPECT_EQ(*model->text("tokenizer.ggml.pre"), "llama-bpe");
  EXPECT_THAT(*model->texts("tokenizer.ggml.tokens"),
              ElementsAre("a", "b", "ab", "\u0120ab", "<|begin|>", "<|end|>", "<tool>", "[PAD7]",
                          "[PAD8]"));
  EXPECT_THAT(*model->ints("tokenizer.ggml.token_type"), ElementsAre(1, 1, 1, 1, 3, 3, 4, 5, 5));
  EXPECT_THAT(*model->texts("tokenizer.ggml.merges"), ElementsAre("a b", "\u0120 ab"));
  EXPECT_EQ(*model->uint("tokenizer.ggml.bos_token_id", 0, 9), 4u);
  EXPECT_EQ(*model->uint("tokenizer.ggml.eos_token_id", 0, 9), 5u);
  EXPECT_EQ(*model->uint("tokenizer.ggml.eot_token_id", 0, 9), 6u);
  EXPECT_TRUE(*model->boolean_or("tokenizer.ggml.add_bos_token", false));
  EXPECT_FALSE(*model->boolean_or("tokenizer.ggml.add_eos_token", true));
  EXPECT_EQ(*model->text("tokenizer.chat_template"), "D");
  EXPECT_EQ(*model->text("tokenizer.chat_template.tool_use"), "T");

  put_json("tokenizer_config.json", Json{{"add_bos_token", false}, {"chat_template", "one"}});
  put("chat_template.jinja", "own file");
  model = import();
  ASSERT_TRUE(model);
  EXPECT_FALSE(*model->boolean_or("tokenizer.ggml.add_bos_token", true));
  EXPECT_EQ(*model->text("tokenizer.chat_template"), "own file");
}

TEST_F(ImportTest, PreTokenizersByTheirExpressions) {
  put_llama();
  const auto pre_of = [this](const Json& step, bool ignore_merges) -> Result<std::string> {
    Json tokenizer = byte_level_tokenizer("", ignore_merges);
    tokenizer["pre_tokenizer"] = step;
    put_json("tokenizer.json", tokenizer);
    LATHE_TRY(const Gguf model, import());
    return model.text("tokenizer.ggml.pre");
  };
  const Json byte_level = {{"type", "ByteLevel"}};
  const Json digits = {{"type", "Digits"}, {"individual_digits", true}};
  EXPECT_EQ(*pre_of(byte_level, false), "gpt-2");
  EXPECT_EQ(*pre_of({{"type", "Sequence"}, {"pretokenizers", {digits, byte_level}}}, false),
            "smollm");
  EXPECT_EQ(*pre_of(split_step(kLlama3Regex), true), "llama-bpe");
  EXPECT_EQ(*pre_of(split_step(kLlama3Regex), false), "smaug-bpe");
  constexpr std::string_view kTekken =
      R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  EXPECT_EQ(*pre_of(split_step(kTekken), true), "tekken");
  // DeepSeek's third, whose file has newlines in its expressions.
  const Json numbers = split_step(R"(\p{N}{1,3})"), east = split_step("[一-龥\u3040-ゟ゠-ヿ]+");
  const Json words = split_step(
      "[!\"#$%&'()*+,\\-./"
      ":;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|"
      " ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+");
  EXPECT_EQ(*pre_of({{"type", "Sequence"}, {"pretokenizers", {numbers, east, words}}}, false),
            "deepseek-v3");
  const auto unknown = pre_of(split_step(R"(\w+)"), false);
  ASSERT_FALSE(unknown);
  EXPECT_THAT(unknown.error().message, AllOf(HasSubstr("tokenizer.json"), HasSubstr(R"(\w+)")));
}

TEST_F(ImportTest, MergesMayBePairs) {
  put_llama();
  Json tokenizer = byte_level_tokenizer(kLlama3Regex, true);
  tokenizer["model"]["merges"] =
      Json::array({Json::array({"a", "b"}), Json::array({"\u0120", "ab"})});
  put_json("tokenizer.json", tokenizer);
  const auto model = import();
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_THAT(*model->texts("tokenizer.ggml.merges"), ElementsAre("a b", "\u0120 ab"));
}

TEST_F(ImportTest, SentencePieceVocabulary) {
  put_llama();
  put_json("tokenizer.json",
           Json{{"added_tokens",
                 {{{"id", 0}, {"content", "<unk>"}, {"special", true}},
                  {{"id", 1}, {"content", "<s>"}, {"special", true}},
                  {{"id", 8}, {"content", "\u2581\u2581x"}, {"special", false}}}},
                {"normalizer",
                 {{"type", "Sequence"},
                  {"normalizers",
                   {{{"type", "Prepend"}, {"prepend", "\u2581"}}, {{"type", "Replace"}}}}}},
                {"model",
                 {{"type", "BPE"},
                  {"byte_fallback", true},
                  {"unk_token", "<unk>"},
                  {"vocab",
                   {{"<unk>", 0},
                    {"<s>", 1},
                    {"<0x0A>", 2},
                    {"\u2581", 3},
                    {"a", 4},
                    {"b", 5},
                    {"ab", 6},
                    {"\u2581ab", 7}}},
                  {"merges", {"a b", "\u2581 ab"}}}}});
  const auto model = import();
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(*model->text("tokenizer.ggml.model"), "llama");
  EXPECT_THAT(*model->ints("tokenizer.ggml.token_type"), ElementsAre(2, 3, 6, 1, 1, 1, 1, 1, 4));
  EXPECT_THAT(*model->reals("tokenizer.ggml.scores"), ElementsAre(0, 0, 0, -2, -2, -2, 0, -1, 0));
  EXPECT_EQ((*model->texts("tokenizer.ggml.tokens"))[8], "  x");
  EXPECT_TRUE(*model->boolean_or("tokenizer.ggml.add_space_prefix", false));
  EXPECT_FALSE(model->has("tokenizer.ggml.merges"));
}

TEST_F(ImportTest, DamagedTokenizers) {
  put_llama();
  const auto with = [this](const Json::json_pointer& at, const Json& value,
                           std::vector<std::string> says) {
    Json tokenizer = byte_level_tokenizer(kLlama3Regex, true);
    tokenizer[at] = value;
    put_json("tokenizer.json", tokenizer);
    expect_refused(std::move(says));
  };
  using At = Json::json_pointer;
  with(At("/model"), 5, {"tokenizer.json", "model"});
  with(At("/model/type"), "Unigram", {"Unigram", "BPE"});
  with(At("/model/vocab"), Json::array(), {"vocab"});
  with(At("/model/vocab/a"), 9, {"'a'", "9"});
  with(At("/model/vocab/a"), -1, {"'a'", "-1"});
  with(At("/model/vocab/a"), 1, {"'a'", "'b'", "1"});
  with(At("/model/merges"), 3, {"merges"});
  with(At("/model/merges/1"), {"x"}, {"merges", "1"});
  with(At("/added_tokens"), 3, {"added_tokens"});
  with(At("/added_tokens/0"), 3, {"added_tokens", "content"});
  with(At("/added_tokens/0/id"), 77, {"<|begin|>", "77"});
}

TEST_F(ImportTest, StoppingAndMissingFilesLeaveNothing) {
  put_llama();
  StopFlag stop;
  ImportOptions options;
  options.stop = &stop;
  options.progress = [&](std::uint64_t done, std::uint64_t all) {
    EXPECT_LE(done, all);
    stop.raise();
  };
  const auto stopped = import(options);
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().kind, ErrorKind::kCancelled);
  for (const char* name : {"model.safetensors", "tokenizer.json", "config.json"}) {
    put_llama();
    fs::remove(path("model") / name);
    expect_refused({name});
  }
  std::size_t files = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(path(""))) ++files;
  EXPECT_EQ(files, 1u);
}

}  // namespace
}  // namespace lathe::infer
