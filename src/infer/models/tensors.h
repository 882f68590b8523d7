// What a model's tensors are called, how large they are and what they are for: the one table that
// the loader, the trainer, adapters, the quantizer, the importer and what is foretold from a header
// read. A new kind of layer adds its slots here, with a row of kSlotInfo and its shapes in
// tensors.cpp. Pure; any thread.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "infer/formats/gguf.h"
#include "infer/models/blueprint.h"

namespace lathe::infer {

// What a tensor is for, in the order of a file: those of a layer stand between the embedding and
// the output's.
enum class Slot : std::uint8_t {
  kEmbedding,
  kTokenTypes,
  kPositions,
  kAttentionNorm,
  kQ,
  kQBias,
  kK,
  kKBias,
  kV,
  kVBias,
  kAttentionOutput,
  kAttentionOutputBias,
  kQNorm,
  kQNormBias,
  kKNorm,
  kKNormBias,
  kSinks,
  kQLatent,      // of latent attention: what queries are made of
  kQLatentNorm,  // …
  kQOfLatent,
  kKvLatent,  // … the latent, and the part of a key that rotates
  kKvLatentNorm,
  kKeyOfLatent,    // … of each head: queries into the latent's space
  kValueOfLatent,  // … answers out of it
  kIndexQuery,     // of an indexer: of what the layer's queries are made of
  kIndexKey,
  kIndexKeyNorm,
  kIndexKeyNormBias,
  kIndexWeights,  // … of its heads, for each token
  kMixed,         // q, k and v in one; of a delta net before the convolution
  kMixedBias,
  kMixedGate,    // … what its heads are multiplied by
  kStateInput,   // of Mamba-2: gates, inputs with what writes and reads the states, time steps
  kConvolution,  // of both (channels, taps)
  kConvolutionBias,
  kQConvolution,  // of Kimi's delta attention: of q, k and v each
  kKConvolution,
  kVConvolution,
  kDecayDown,  // … its decays and gates, in two steps
  kDecayUp,
  kGateDown,
  kGateUp,
  kBetaDecay,  // … both
  kBeta,
  kDecay,
  kDecayBias,
  kDecayRate,
  kSkip,         // of Mamba-2: how much of an input is its answer
  kStateNorm,    // … of a head's answer
  kStateOutput,  // …
  kShortInput,   // of a short convolution between gates
  kShortConvolution,
  kShortOutput,
  kPostAttentionNorm,  // behind the mixer; of some models in front of the feed-forward part
  kSumAttentionNorm,   // of the residual stream behind the mixer
  kSumAttentionNormBias,
  kFfnNorm,
  kExpertsNorm,  // in front of experts that stand beside a dense part
  kRouter,
  kRouterScale,  // … of what their router reads
  kRouterBias,
  kScoreBias,
  kGate,
  kGateBias,
  kUp,
  kUpBias,
  kDown,
  kDownBias,
  kLatentDown,  // into the experts' width, and back
  kLatentUp,
  kBesideGate,  // of a dense part beside experts
  kBesideUp,
  kBesideDown,
  kBesidePostNorm,
  kExpertsPostNorm,
  kPostFfnNorm,
  kSumFfnNorm,  // of the residual stream behind the feed-forward part
  kSumFfnNormBias,
  kSharedRouter,
  kSharedGate,
  kSharedUp,
  kSharedDown,
  kInputGate,  // of what a token's embedding for the layer opens
  kInputProjection,
  kInputPostNorm,
  kLayerScale,  // of the residual stream behind the layer
  kJoin,        // of a layer that predicts: the token's embedding with what is given beside it
  kJoinTokenNorm,
  kJoinRowNorm,
  kPredictorNorm,
  kLayerEmbedding,
  kLayerProjection,
  kLayerProjectionNorm,
  kEmbeddingNorm,
  kEmbeddingNormBias,
  kOutputNorm,
  kOutput,
  kRopeFactors,
  kRopeFactorsLong,
  kRopeFactorsShort,
  kDense2,  // of what a pooled text becomes
  kDense3,
  kClassifier,
  kClassifierBias,
  kClassifierNorm,
  kClassifierOutput,
  kClassifierOutputBias,
};
inline constexpr std::size_t kSlots = static_cast<std::size_t>(Slot::kClassifierOutputBias) + 1;

// One of something for every slot.
template <class T>
class PerSlot {
 public:
  T& operator[](Slot slot) { return all_[static_cast<std::size_t>(slot)]; }
  const T& operator[](Slot slot) const { return all_[static_cast<std::size_t>(slot)]; }
  auto begin() const { return all_.begin(); }
  auto end() const { return all_.end(); }

 private:
  std::array<T, kSlots> all_{};
};

struct SlotInfo {
  Slot slot;
  std::string_view part;    // "attn_q": also what an adapter's target is called
  std::string_view ending;  // "weight", "bias"; empty: the part is all of its name
  bool in_layer = true;
  bool adapts = false;  // a linear layer that a LoRA adapter may change
  bool exact = false;  // neither the quantizer nor the importer rounds it: small, and much hangs on
                       // it
  std::optional<Slot> bias_of = {};
  bool any = false;  // any architecture's file may have it, and then it counts
};
std::span<const SlotInfo> slot_infos();  // in the order of the slots
const SlotInfo& slot_info(Slot slot);
Slot bias_of(Slot linear);  // which must have one

// The norm in front of a layer's feed-forward part, and the one in front of the output.
Slot ffn_norm(const LayerSpec& layer);
Slot output_norm(const Blueprint& blueprint);

// "blk.3.ffn_down_exps.weight"; a mixture's are those of all experts in one.
std::string tensor_name(Slot slot, std::size_t layer = 0, bool mixture = false);

// Gate and up of all experts in one.
inline constexpr std::string_view kJointExpertsPart = "ffn_gate_up_exps";
std::string joint_experts_name(std::size_t layer);

// What a tensor of a model must be. The file need not say so: whoever reads one holds it against
// this. Whether there is one at all is the blueprint's to know.
struct TensorSpec {
  Slot slot;
  std::size_t layer = 0;  // of one that stands in a layer
  std::string name;
  std::size_t rows = 1, k = 0, experts = 1;
  bool heads = false;  // they are no experts but heads: all are read for every token
  // Where they are some of the rows of the file's tensor: how many there are, and the first one.
  std::size_t file_rows = 0, first_row = 0;
  bool vector = false;  // kept as f32, whatever its type in the file: its rows one after the other

  bool is_part() const { return file_rows != 0; }
  // In the file.
  std::array<std::uint64_t, 4> shape() const {
    return {k, is_part() ? file_rows : rows, experts, 1};
  }
};
std::vector<TensorSpec> tensors_of(const Blueprint& blueprint, std::size_t layer);
// Of the whole model, in the order of the slots, layer by layer.
std::vector<TensorSpec> tensors_of(const Blueprint& blueprint);

// A tensor of the table as a file has it.
struct BoundTensor {
  TensorSpec spec;
  const GgufTensor* tensor = nullptr;
  // NVFP4's second level: a number for the matrix, or for each expert, that its products are
  // multiplied by. nullptr: none.
  const GgufTensor* scale = nullptr;
};
// All that the blueprint needs, in the order of tensors_of(). Errors name the file, the tensor and
// both shapes.
Result<std::vector<BoundTensor>> bind_tensors(const Gguf& file, const Blueprint& blueprint);

}  // namespace lathe::infer
