// One step of a model: some tokens of some sequences in, the logits (or hidden states) of chosen
// rows out, and their KV written into the sequences' blocks. A token's result depends on its
// sequence's tokens alone: not on the other sequences of the step, on how the prompt was cut into
// steps, or on the threads (see kernels.h for why). Strings the parts of the layers together
// (attention.h, feed_forward.h); owns the scratch memory for steps of at most `max_tokens` tokens.
// The engine's thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "infer/models/step.h"

namespace lathe::infer {

// A run of consecutive tokens of one sequence.
struct Slice {
  std::span<const std::int32_t> tokens;
  std::size_t first_position = 0;          // of tokens[0]; the positions before are filled
  const SequenceMemory* memory = nullptr;  // prepared for the tokens
  std::size_t outputs = 0;                 // that many of the last tokens want a row
  const Adapter* adapter = nullptr;        // whose products are added to the model's; none
};

enum class OutputKind : std::uint8_t { kLogits, kHidden };  // hidden: after the output norm

class Forward {
 public:
  static Result<Forward> create(const Model& model, ThreadTeam& team, const MemoryLayout& layout,
                                std::size_t max_tokens, std::size_t max_outputs);

  // The rows come in slice order; they stay valid until the next run().
  void run(std::span<const Slice> slices, OutputKind kind = OutputKind::kLogits);
  std::span<const float> output(std::size_t row) const;  // (vocabulary) or (embedding)

  std::size_t max_tokens() const { return max_tokens_; }
  std::size_t max_outputs() const { return max_outputs_; }
  // ForwardSizes::bytes(), and what attention took at depth (Attention::deep_bytes).
  std::uint64_t scratch_bytes() const { return step_.scratch.bytes(); }

 private:
  struct Layer {
    std::unique_ptr<LayerPart> mixer, ffn;
  };
  Forward() = default;
  void place_tokens(std::span<const Slice> slices);
  void compute_angles();
  void add_and_norm(const float* add, const std::vector<float>& norm);
  void write_outputs(std::span<const Slice> slices, OutputKind kind);

  Step step_;
  std::vector<Layer> layers_;
  std::vector<std::vector<double>> frequencies_;  // (distinct ropes)(dimensions / 2)
  std::size_t max_tokens_ = 0, max_outputs_ = 0, tile_tokens_ = 1;
  std::size_t output_width_ = 0;
};

}  // namespace lathe::infer
