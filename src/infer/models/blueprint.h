// What a model is made of, read from a GGUF header alone: an architecture file turns metadata into
// a Blueprint, and one forward pass (forward.h) runs any of them. A new architecture is one file
// with such a function plus its row in registry.cpp, as long as its blocks are here; a new kind of
// block is a field here and its branch in forward.cpp. Plain data. Every number has been checked:
// positive sizes, divisible heads, finite constants.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ground/base/result.h"
#include "infer/cache/state.h"
#include "infer/formats/gguf.h"

namespace lathe::infer {

struct RopeSpec {
  bool neox = false;           // pairs (i, i + n/2) instead of (2i, 2i+1)
  std::size_t dimensions = 0;  // the first so many of a head
  double base = 10000;
  double scale = 1;  // positions are multiplied by this (linear and yarn: 1 / factor)
  // YaRN. extrapolation 0: none.
  double extrapolation = 0;
  double original_context = 0;
  double beta_fast = 32, beta_slow = 1;
  double magnitude = 1;            // cos and sin are multiplied by this
  bool frequency_factors = false;  // the file has rope_freqs.weight (Llama 3)
};

struct AttentionSpec {
  std::size_t heads = 0, kv_heads = 0, head_dim = 0;
  bool qk_norm = false;  // RMS norm of each q and k head before RoPE
  bool qkv_bias = false, output_bias = false;
  std::size_t window = 0;  // 0: all positions
  float scale = 0;
  RopeSpec rope;
};

struct FfnSpec {
  std::size_t hidden = 0;                     // of one expert, if there are any
  std::size_t experts = 0, experts_used = 0;  // 0: dense
  bool normalize_weights = true;              // of the chosen experts
  float weight_scale = 1;
};

// A layer that carries a state of constant size from token to token (gated delta net, Mamba) has
// this instead of attention.
struct RecurrentSpec {
  std::size_t state_bytes = 0;  // of one sequence; 0: the layer has attention
  std::size_t width = 0;        // numbers that its projections give a token
};

struct LayerSpec {
  AttentionSpec attention;
  FfnSpec ffn;
  RecurrentSpec recurrent = {};
};

enum class Pooling : std::uint8_t { kNone, kMean, kCls, kLast };

struct Blueprint {
  std::string architecture, name;
  bool runs = true;  // false: the sizes are known, but there is no forward pass for it yet
  std::size_t embedding = 0;
  std::size_t vocabulary = 0;
  std::size_t context = 0;  // trained length
  float norm_epsilon = 0;
  bool tied = false;  // the output matrix is the embedding
  Pooling pooling = Pooling::kNone;
  std::vector<LayerSpec> layers;

  std::vector<StateSpec> states() const;
  // The first layer with attention; nullptr: none has.
  const LayerSpec* attention_layer() const;
};

// Reads and checks the header. Errors name the file, the key or the tensor, and for an unknown
// architecture those that there are.
Result<Blueprint> read_blueprint(const Gguf& file);
// The same, and refuses what has no forward pass yet.
Result<Blueprint> read_runnable_blueprint(const Gguf& file);

// --- for architecture files
// -----------------------------------------------------------------------------------------

// Reads "<architecture>.<key>" keys.
class ArchitectureKeys {
 public:
  ArchitectureKeys(const Gguf& file, std::string architecture)
      : file_(file), prefix_(std::move(architecture) + ".") {}
  const Gguf& file() const { return file_; }
  std::string name(std::string_view key) const { return prefix_ + std::string(key); }
  Result<std::size_t> size(std::string_view key, std::size_t min, std::size_t max) const;
  Result<std::size_t> size_or(std::string_view key, std::size_t fallback, std::size_t min,
                              std::size_t max) const;
  Result<double> real_or(std::string_view key, double fallback, double min, double max) const;

 private:
  const Gguf& file_;
  std::string prefix_;
};

// What nearly every decoder shares: sizes, heads, RoPE with its scalings, dense or expert FFN. The
// architecture then sets what is its own.
Result<Blueprint> read_decoder(const ArchitectureKeys& keys);

struct Architecture {
  std::string_view name;
  Result<Blueprint> (*read)(const ArchitectureKeys& keys);
  bool runs;
};
std::span<const Architecture> architectures();

Result<Blueprint> read_gpt_oss(const ArchitectureKeys& keys);
Result<Blueprint> read_llama(const ArchitectureKeys& keys);
Result<Blueprint> read_qwen2(const ArchitectureKeys& keys);
Result<Blueprint> read_qwen3(const ArchitectureKeys& keys);
Result<Blueprint> read_qwen3moe(const ArchitectureKeys& keys);
Result<Blueprint> read_qwen3next(const ArchitectureKeys& keys);

}  // namespace lathe::infer
