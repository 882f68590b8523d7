// A Hugging Face model's config.json (and generation_config.json) as GGUF metadata.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "ground/base/file.h"
#include "infer/convert/json_object.h"
#include "infer/formats/gguf.h"
#include "infer/formats/safetensors.h"

namespace lathe::infer {

using GgufMetadata = std::vector<std::pair<std::string, GgufValue>>;

struct HfFamily;

struct HfConfig {
  const HfFamily* family = nullptr;
  std::string architecture;  // of GGUF: "llama"
  std::size_t layers = 0, embedding = 0, heads = 0, kv_heads = 0, head_dim = 0, experts = 0;
  std::size_t vocabulary = 0;
  std::size_t predicting = 0;       // layers behind those that predict one more token
  std::vector<std::uint8_t> parts;  // LayerParts of each layer, those that predict too
  bool tied = false;                // the output matrix is the embedding
  bool mxfp4 = false;               // experts are stored in it
  // Of latent attention: dimensions of a head's key that meet the latent, of its value.
  std::size_t plain = 0, value_dim = 0;
  // Of layers that carry a state: heads that write, that answer, their size, groups of them.
  std::size_t key_heads = 0, value_heads = 0, state = 0, groups = 0;
  // What divides RoPE's frequencies: rope_freqs, rope_factors_long and …_short.
  std::vector<float> rope_factors, rope_factors_long, rope_factors_short;
  GgufMetadata metadata;
  std::vector<std::string> warnings;
};

Result<JsonObject> open_hf_config(const fs::path& directory);  // config.json as it is

// Errors name the member, and for an unknown architecture those that there are. `model`: its
// tensors, whose names say what config.json leaves out.
Result<HfConfig> read_hf_config(const JsonObject& json, const fs::path& directory,
                                const SafeTensors& model);

}  // namespace lathe::infer
