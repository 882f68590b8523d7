// A model to be trained: its blueprint, its weights as the trainer wants them, and which of them
// change. Full: every weight is a float parameter. LoRA: the file's tensors stay frozen in their
// own types, and every chosen linear layer gets A (random) and B (zero), each expert its own; the
// router of a mixture stays as it is. Layers that the file has in one matrix share an A, and each
// has its rows of B. What only chooses experts (exp_probs_b) never changes. Owns all of it.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "infer/models/tensors.h"
#include "infer/tune/linear.h"

namespace lathe::infer {

struct LoraOptions {
  std::size_t rank = 16;
  double alpha = 32;
  std::vector<std::string> targets;  // "attn_q", "ffn_down" (of experts too) …; empty: all
  std::uint64_t seed = 1;
};
// The names that targets may hold, in the order of a layer.
std::vector<std::string> lora_targets();

// Of a layer, or of what stands outside layers, by tensors_of(). A bias belongs to its Linear.
struct TuneLayer {
  PerSlot<Linear> linear;  // rows 0: there is none; a mixture's are of all experts
  PerSlot<Weights> vector;
};

class TuneModel {
 public:
  // Without options: full. Errors name what of this model can't be trained.
  static Result<std::unique_ptr<TuneModel>> load(const Gguf& file,
                                                 const std::optional<LoraOptions>& lora);

  const Blueprint& blueprint() const { return blueprint_; }
  const std::vector<TuneLayer>& layers() const { return layers_; }
  const Linear& embedding() const { return outside_.linear[Slot::kEmbedding]; }
  const Linear& head() const {
    return outside_.linear[blueprint_.tied ? Slot::kEmbedding : Slot::kOutput];
  }
  const Weights& output_norm() const { return outside_.vector[infer::output_norm(blueprint_)]; }
  // What the file divides frequencies by; empty: it has none by that name.
  std::span<const float> rope_factors(Slot slot) const {
    const auto found = rope_factors_.find(slot);
    return found == rope_factors_.end() ? std::span<const float>() : found->second;
  }
  Parameters& parameters() { return parameters_; }
  const Parameters& parameters() const { return parameters_; }
  void embed(std::int32_t token, float* out) const;  // (embedding)
  std::uint64_t bytes() const { return parameters_.bytes() + frozen_bytes_; }

 private:
  TuneModel() = default;
  class Filler;

  Blueprint blueprint_;
  Parameters parameters_;
  std::vector<TuneLayer> layers_;
  TuneLayer outside_;
  std::map<Slot, std::vector<float>> rope_factors_;
  std::vector<std::vector<float>> frozen_floats_;  // norms and biases of a frozen base
  std::vector<Pages> frozen_;                      // its matrices
  std::uint64_t frozen_bytes_ = 0;
};

}  // namespace lathe::infer
