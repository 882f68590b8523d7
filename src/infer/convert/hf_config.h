// A Hugging Face model's config.json (and generation_config.json) as GGUF metadata.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "ground/base/file.h"
#include "infer/formats/gguf.h"

namespace lathe::infer {

using GgufMetadata = std::vector<std::pair<std::string, GgufValue>>;

struct HfConfig {
  std::string architecture;  // of GGUF: "llama"
  std::size_t layers = 0, embedding = 0, heads = 0, kv_heads = 0, head_dim = 0, experts = 0;
  std::size_t vocabulary = 0;
  bool rotates_pairs = false;       // llama: q and k rows are stored for neighbouring pairs
  bool tied = false;                // the output matrix is the embedding
  std::vector<float> rope_factors;  // Llama 3: rope_freqs.weight
  GgufMetadata metadata;
  std::vector<std::string> warnings;
};

// Errors name the member, and for an unknown architecture those that there are.
Result<HfConfig> read_hf_config(const fs::path& directory);

}  // namespace lathe::infer
