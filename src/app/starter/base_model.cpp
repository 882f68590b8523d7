// The starter's first weights, from a seed.
#include "app/starter/base_model.h"

#include <cmath>
#include <numbers>

#include "app/starter/random.h"
#include "infer/formats/gguf_writer.h"

namespace lathe::app {
namespace {

struct TensorSpec {
  std::string name;
  std::vector<std::uint64_t> shape;
  double deviation;  // 0: ones
};

std::vector<TensorSpec> tensors_of(const StarterShape& shape, std::uint64_t vocabulary) {
  constexpr double kDeviation = 0.02;
  const double inner = kDeviation / std::sqrt(2.0 * static_cast<double>(shape.layers));
  const std::uint64_t d = shape.width, kv = d / shape.heads * shape.kv_heads;
  std::vector<TensorSpec> all{{"token_embd.weight", {d, vocabulary}, kDeviation}};
  for (std::uint64_t i = 0; i < shape.layers; ++i) {
    const auto add = [&](std::string_view name, std::vector<std::uint64_t> ne, double deviation) {
      all.push_back({fmt::format("blk.{}.{}.weight", i, name), std::move(ne), deviation});
    };
    add("attn_norm", {d}, 0);
    add("attn_q", {d, d}, kDeviation);
    add("attn_k", {d, kv}, kDeviation);
    add("attn_v", {d, kv}, kDeviation);
    add("attn_output", {d, d}, inner);
    add("ffn_norm", {d}, 0);
    add("ffn_gate", {d, shape.hidden}, kDeviation);
    add("ffn_up", {d, shape.hidden}, kDeviation);
    add("ffn_down", {shape.hidden, d}, inner);
  }
  all.push_back({"output_norm.weight", {d}, 0});
  return all;
}

void add_metadata(infer::GgufWriter& writer, const StarterShape& shape,
                  const infer::VocabularySpec& spec) {
  writer.add("general.architecture", std::string("llama"));
  writer.add("general.name", std::string("Lathe starter"));
  writer.add("general.license", std::string("apache-2.0"));
  const auto count = [&](std::string_view key, std::uint64_t value) { writer.add(key, value); };
  count("llama.context_length", shape.context);
  count("llama.embedding_length", shape.width);
  count("llama.block_count", shape.layers);
  count("llama.feed_forward_length", shape.hidden);
  count("llama.attention.head_count", shape.heads);
  count("llama.attention.head_count_kv", shape.kv_heads);
  count("llama.rope.dimension_count", shape.width / shape.heads);
  count("llama.vocab_size", spec.tokens.size());
  writer.add("llama.attention.layer_norm_rms_epsilon", 1e-5);
  writer.add("llama.rope.freq_base", 10000.0);
  writer.add("tokenizer.ggml.model", spec.model);
  writer.add("tokenizer.ggml.pre", spec.pre);
  writer.add("tokenizer.ggml.tokens", spec.tokens);
  std::vector<std::int64_t> kinds;
  for (const infer::TokenKind kind : spec.kinds) kinds.push_back(static_cast<std::int64_t>(kind));
  writer.add("tokenizer.ggml.token_type", std::move(kinds));
  writer.add("tokenizer.ggml.merges", spec.merges);
  count("tokenizer.ggml.bos_token_id", static_cast<std::uint64_t>(spec.bos));
  count("tokenizer.ggml.eos_token_id", static_cast<std::uint64_t>(spec.eos));
  writer.add("tokenizer.ggml.add_bos_token", false);
}

// Box and Muller's way from two even draws to a normal one.
float normal(Random& random, double deviation) {
  const double radius = std::sqrt(-2 * std::log(1 - random.unit()));
  return static_cast<float>(deviation * radius * std::cos(2 * std::numbers::pi * random.unit()));
}

}  // namespace

Status write_base_model(const fs::path& path, const StarterShape& shape,
                        const infer::VocabularySpec& vocabulary, std::uint64_t seed) {
  LATHE_TRY(infer::GgufWriter writer, infer::GgufWriter::create(path));
  add_metadata(writer, shape, vocabulary);
  const std::vector<TensorSpec> tensors = tensors_of(shape, vocabulary.tokens.size());
  for (const TensorSpec& tensor : tensors)
    writer.add_tensor(tensor.name, infer::TensorType::kF32, tensor.shape);
  LATHE_TRY_STATUS(writer.begin_data());
  Random random(seed);
  for (const TensorSpec& tensor : tensors) {
    std::uint64_t elements = 1;
    for (const std::uint64_t size : tensor.shape) elements *= size;
    std::vector<float> values(elements, 1);
    if (tensor.deviation > 0)
      for (float& value : values) value = normal(random, tensor.deviation);
    LATHE_TRY_STATUS(writer.write(std::as_bytes(std::span(values))));
  }
  return writer.finish();
}

}  // namespace lathe::app
