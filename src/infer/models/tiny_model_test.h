// For tests: tiny models with random weights.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "ground/base/random.h"
#include "infer/formats/gguf_writer.h"

namespace lathe::infer {

struct TinyModel {
  std::string architecture = "llama";
  std::size_t width = 32, layers = 2, hidden = 48, heads = 2, kv_heads = 1, head_dim = 16;
  std::size_t vocabulary = 24, context = 64;
  bool tied = true;
  std::uint64_t seed = 1;
  TensorType type = TensorType::kF32;         // of the matrices whose rows it fits; else F16
  double spread = 0.4;                        // of the weights
  std::size_t experts = 0, experts_used = 0;  // 0: dense
  bool scaled = false;                        // the experts' matrices have a ".scale" each
  bool hollow = false;  // a hole where the weights would be: of any size, and no bytes on disk

  bool qk_norm() const { return architecture.starts_with("qwen3"); }
  bool bias() const { return architecture == "qwen2"; }
};

// vocabulary: adds the tokenizer's metadata, if any.
inline void write_tiny_model(const fs::path& path, const TinyModel& tiny,
                             const std::function<void(GgufWriter&)>& vocabulary = {}) {
  auto writer = GgufWriter::create(path);
  ASSERT_TRUE(writer) << writer.error().message;
  const std::string p = tiny.architecture + ".";
  writer->add("general.architecture", tiny.architecture);
  const std::pair<const char*, std::size_t> sizes[] = {{"context_length", tiny.context},
                                                       {"embedding_length", tiny.width},
                                                       {"block_count", tiny.layers},
                                                       {"feed_forward_length", tiny.hidden},
                                                       {"attention.head_count", tiny.heads},
                                                       {"attention.head_count_kv", tiny.kv_heads},
                                                       {"attention.key_length", tiny.head_dim},
                                                       {"attention.value_length", tiny.head_dim},
                                                       {"rope.dimension_count", tiny.head_dim}};
  for (const auto& [key, value] : sizes) writer->add(p + key, std::uint64_t{value});
  writer->add(p + "attention.layer_norm_rms_epsilon", 1e-5);
  if (tiny.experts != 0) {
    writer->add(p + "expert_count", std::uint64_t{tiny.experts});
    writer->add(p + "expert_used_count", std::uint64_t{tiny.experts_used});
    writer->add(p + "expert_feed_forward_length", std::uint64_t{tiny.hidden});
  }
  if (vocabulary) vocabulary(*writer);

  struct Tensor {
    std::string name;
    std::size_t rows, k;
    bool norm;
    std::size_t experts = 0;  // 0: a matrix of its own
  };
  std::vector<Tensor> tensors;
  const std::size_t q = tiny.heads * tiny.head_dim, kv = tiny.kv_heads * tiny.head_dim;
  tensors.push_back({"token_embd.weight", tiny.vocabulary, tiny.width, false});
  for (std::size_t i = 0; i < tiny.layers; ++i) {
    const std::string b = fmt::format("blk.{}.", i);
    tensors.push_back({b + "attn_norm.weight", 1, tiny.width, true});
    tensors.push_back({b + "attn_q.weight", q, tiny.width, false});
    tensors.push_back({b + "attn_k.weight", kv, tiny.width, false});
    tensors.push_back({b + "attn_v.weight", kv, tiny.width, false});
    tensors.push_back({b + "attn_output.weight", tiny.width, q, false});
    if (tiny.bias())
      for (const auto& [part, size] : {std::pair{"attn_q", q}, {"attn_k", kv}, {"attn_v", kv}})
        tensors.push_back({b + part + ".bias", 1, size, false});
    if (tiny.qk_norm())
      for (const char* part : {"attn_q_norm.weight", "attn_k_norm.weight"})
        tensors.push_back({b + part, 1, tiny.head_dim, true});
    tensors.push_back({b + "ffn_norm.weight", 1, tiny.width, true});
    const std::string kind = tiny.experts == 0 ? "" : "_exps";
    if (tiny.experts != 0)
      tensors.push_back({b + "ffn_gate_inp.weight", tiny.experts, tiny.width, false});
    for (const auto& [part, rows, in] : {std::tuple{"ffn_gate", tiny.hidden, tiny.width},
                                         {"ffn_up", tiny.hidden, tiny.width},
                                         {"ffn_down", tiny.width, tiny.hidden}}) {
      tensors.push_back({b + part + kind + ".weight", rows, in, false, tiny.experts});
      if (tiny.scaled) tensors.push_back({b + part + kind + ".scale", 1, tiny.experts, true});
    }
  }
  tensors.push_back({"output_norm.weight", 1, tiny.width, true});
  if (!tiny.tied) tensors.push_back({"output.weight", tiny.vocabulary, tiny.width, false});
  const auto type_of = [&](const Tensor& tensor) {
    // Routers are kept as floats, as the converters do.
    if (tensor.rows == 1 || tensor.name.ends_with("gate_inp.weight")) return TensorType::kF32;
    return tensor.k % tensor_type_info(tiny.type).block == 0 ? tiny.type : TensorType::kF16;
  };
  for (const Tensor& tensor : tensors) {
    const std::uint64_t shape[] = {tensor.k, tensor.rows, tensor.experts};
    writer->add_tensor(tensor.name, type_of(tensor),
                       std::span(shape).first(tensor.rows == 1      ? 1
                                              : tensor.experts == 0 ? 2
                                                                    : 3));
  }
  ASSERT_TRUE(writer->begin_data());
  if (tiny.hollow) {
    std::uint64_t bytes = 0;
    for (const Tensor& tensor : tensors) {
      const TensorTypeInfo& info = tensor_type_info(type_of(tensor));
      const std::size_t values = tensor.rows * tensor.k * std::max<std::size_t>(1, tensor.experts);
      bytes += (values / info.block * info.block_bytes + 31) / 32 * 32;
    }
    const fs::path hollow = path.string() + ".hollow";
    fs::copy_file(path.string() + ".part", hollow);
    fs::resize_file(hollow, fs::file_size(hollow) + bytes);
    return fs::rename(hollow, path);
  }
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const Tensor& tensor = tensors[i];
    std::vector<float> values(tensor.rows * tensor.k * std::max<std::size_t>(1, tensor.experts));
    for (std::size_t j = 0; j < values.size(); ++j) {
      const double x = (2 * uniform_at(tiny.seed, i, j) - 1) * tiny.spread;
      values[j] = static_cast<float>(tensor.norm ? 1 + x : x);
    }
    const TensorTypeInfo& info = tensor_type_info(type_of(tensor));
    std::vector<std::byte> bytes(values.size() / info.block * info.block_bytes);
    info.encode(values.data(), bytes.data(), values.size(), {});
    ASSERT_TRUE(writer->write(bytes));
  }
  ASSERT_TRUE(writer->finish());
}

// The shape of stories260K: heads of 8, and rows of 172 that no block divides.
inline TinyModel small_heads(TensorType type = TensorType::kF32) {
  return {.width = 64,
          .layers = 5,
          .hidden = 172,
          .heads = 8,
          .kv_heads = 4,
          .head_dim = 8,
          .vocabulary = 512,
          .context = 2048,
          .type = type};
}

// A SentencePiece vocabulary of more than 285 tokens: control tokens, bytes, letters, then words of
// two letters.
inline void add_vocabulary(GgufWriter& writer, std::size_t size) {
  std::vector<std::string> tokens = {"<unk>", "<s>", "</s>"};
  std::vector<std::int64_t> kinds = {2, 3, 3};
  for (int byte = 0; byte < 256; ++byte) tokens.push_back(fmt::format("<0x{:02X}>", byte));
  kinds.resize(tokens.size(), 6);
  for (char letter = 'a'; letter <= 'z'; ++letter) tokens.emplace_back(1, letter);
  for (int i = 0; tokens.size() < size; ++i)
    tokens.push_back(fmt::format("\u2581{:c}{:c}", 'a' + i / 26, 'a' + i % 26));
  kinds.resize(tokens.size(), 1);
  std::vector<double> scores;
  for (std::size_t i = 0; i < tokens.size(); ++i) scores.push_back(-static_cast<double>(i));
  writer.add("tokenizer.ggml.model", std::string("llama"));
  writer.add("tokenizer.ggml.tokens", tokens);
  writer.add("tokenizer.ggml.scores", scores);
  writer.add("tokenizer.ggml.token_type", kinds);
}

// small_heads() with its vocabulary.
inline void write_small_heads(const fs::path& path, TensorType type = TensorType::kF32) {
  const TinyModel tiny = small_heads(type);
  write_tiny_model(path, tiny,
                   [&](GgufWriter& writer) { add_vocabulary(writer, tiny.vocabulary); });
}

}  // namespace lathe::infer
