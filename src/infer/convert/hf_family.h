// The families of models that Hugging Face's files are imported of: which of GGUF's architectures
// each is, what its config.json says beyond what all say, and what its tensors are called. To add
// one: a row in hf_families.cpp, with a reader and a list of names where it has its own.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "infer/convert/hf_config.h"
#include "infer/models/tensors.h"

namespace lathe::infer {

// What a layer is made of: which of a family's tensors it has. Flags.
using LayerParts = std::uint8_t;
inline constexpr LayerParts kAttends = 1;     // attention
inline constexpr LayerParts kCarries = 2;     // a state instead
inline constexpr LayerParts kDense = 4;       // a feed-forward part
inline constexpr LayerParts kExperts = 8;     // … of experts
inline constexpr LayerParts kPredicts = 16;   // it predicts the token after the next one
inline constexpr LayerParts kOwnKeys = 32;    // Gemma 4's attention: the layer has keys of its own
inline constexpr LayerParts kOwnValues = 64;  // … and values that are not its keys
inline constexpr LayerParts kShares = 128;    // … or it reads another one's
inline constexpr LayerParts kAnyLayer = 0xFF;

// How a tensor's rows are made of Hugging Face's. Dimensions of 1 in the middle are left out.
enum class Take : std::uint8_t {
  kAll,
  kPlusOne,      // what the models add to a norm's weights
  kNegativeExp,  // of a logarithm
  kColumn,       // of a vector: rows of one number
  kNegativeExpColumn,
  kPlanes,     // a row each
  kGroups,     // of a vector: a row a group of heads
  kFirstHalf,  // of the rows, of each expert
  kSecondHalf,
  kEvenColumns,  // transposed: of (experts, in, out), every other one of the outs
  kOddColumns,
  kColumns,       // transposed, all of them
  kFirstColumns,  // transposed, the first half of the outs
  kSecondColumns,
  kEvenNumbers,  // of a vector an expert
  kOddNumbers,
  kKeyOfLatent,  // of each head (keys, then values; latent): keys, transposed
  kValueOfLatent,
  kMixedOfHeads,  // of each key head (q, k, values, gates): q of all heads, k of all, values of all
  kGatesOfHeads,  // … the gates
  kNegativeExpValueHeads,
  kValueHeads,        // rows: the value heads of a key head apart instead of side by side
  kMixedValueHeads,   // … behind q and k
  kValueHeadColumns,  // … of each row
};

struct HfTensor {
  Slot slot;
  // In a layer without the layer's, or behind a "/" all of it; "{}" in it: of one expert.
  std::string_view name;
  LayerParts parts = kAnyLayer;  // which layers have it: those with any of these
  Take take = Take::kAll;
  bool optional = false;
  std::string_view as = {};  // in the file, where it is not the slot's own: "ffn_down_exps.scale"
};

class HfReader;

struct HfFamily {
  std::string_view hf, gguf;  // "LlamaForCausalLM", "llama"
  Status (*read)(HfReader& reader);
  // Of a layer; `own`: what it has beside a mixer and a feed-forward part that others have, too.
  std::span<const HfTensor> mixer, own = {}, ffn;
  // Of the model, under names without what they all begin with.
  std::span<const HfTensor> model;
  // Where layers that predict stand, "{}": the how-manieth; empty: behind the others. What of
  // theirs is not kept, in such a layer: copies of the model's.
  std::string_view predictor = {};
  std::span<const std::string_view> copies = {};
  bool pairs = false;   // rows of q and k are stored for halves, GGUF has neighbouring pairs
  bool mscale = false;  // the scaling of RoPE may have the multipliers of DeepSeek's YaRN
  std::string_view activation = "silu";
  // GGUF's architecture of those that have experts; empty: the same.
  std::string_view with_experts = {};
};

std::span<const HfFamily> hf_families();

}  // namespace lathe::infer
