// The starter's first weights, from a seed.
#include "app/starter/base_model.h"

#include <cmath>
#include <numbers>

#include "app/starter/random.h"
#include "infer/formats/gguf_writer.h"
#include "infer/models/tensors.h"

namespace lathe::app {
namespace {

infer::Blueprint blueprint_of(const StarterShape& shape, std::size_t vocabulary) {
  const std::size_t heads = shape.heads;
  const infer::AttentionSpec attention{
      .heads = heads, .kv_heads = shape.kv_heads, .head_dim = shape.width / heads};
  infer::Blueprint blueprint;
  blueprint.embedding = shape.width;
  blueprint.vocabulary = vocabulary;
  blueprint.tied = true;
  blueprint.layers.assign(shape.layers, {attention, {.hidden = shape.hidden}});
  return blueprint;
}

// What a layer adds to the residual stream starts smaller, the more layers do.
double deviation_of(const infer::TensorSpec& tensor, const StarterShape& shape) {
  constexpr double kDeviation = 0.02;
  const bool adds =
      tensor.slot == infer::Slot::kAttentionOutput || tensor.slot == infer::Slot::kDown;
  return adds ? kDeviation / std::sqrt(2.0 * static_cast<double>(shape.layers)) : kDeviation;
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
  const infer::Blueprint blueprint = blueprint_of(shape, vocabulary.tokens.size());
  const std::vector<infer::TensorSpec> tensors = infer::tensors_of(blueprint);
  for (const infer::TensorSpec& tensor : tensors) {
    const std::uint64_t ne[] = {tensor.k, tensor.rows};
    writer.add_tensor(tensor.name, infer::TensorType::kF32,
                      std::span(ne).first(tensor.vector ? 1 : 2));
  }
  LATHE_TRY_STATUS(writer.begin_data());
  Random random(seed);
  for (const infer::TensorSpec& tensor : tensors) {
    std::vector<float> values(tensor.rows * tensor.k, 1);
    if (!tensor.vector)
      for (float& value : values) value = normal(random, deviation_of(tensor, shape));
    LATHE_TRY_STATUS(writer.write(std::as_bytes(std::span(values))));
  }
  return writer.finish();
}

}  // namespace lathe::app
