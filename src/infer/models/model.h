// A model in memory: its blueprint and its weights, packed for one kernel table. Immutable once
// loaded; any thread may read it.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "infer/models/blueprint.h"
#include "infer/tensor/matrix.h"

namespace lathe::infer {

struct LayerWeights {
  std::vector<float> attention_norm, ffn_norm, q_norm,
      k_norm;  // (embedding) (embedding) (head_dim) (head_dim)
  std::vector<float> q_bias, k_bias, v_bias, output_bias;  // empty: none
  PackedMatrix q, k, v, output;                            // (heads·head_dim, embedding) …
  PackedMatrix router;                                     // (experts, embedding); empty: dense
  PackedMatrix gate, up, down;  // (experts, hidden, embedding), down the other way
};

struct LoadOptions {
  const KernelTable* kernels = nullptr;
  std::function<void(std::uint64_t done, std::uint64_t total)> progress;  // bytes; may be empty
  const StopFlag* stop = nullptr;
};

class Model {
 public:
  static Result<std::unique_ptr<Model>> load(const Gguf& file, ThreadTeam& team,
                                             const LoadOptions& options);

  const Blueprint& blueprint() const { return blueprint_; }
  const KernelTable& kernels() const { return *kernels_; }
  const std::vector<LayerWeights>& layers() const { return layers_; }
  const std::vector<float>& output_norm() const { return output_norm_; }
  const std::vector<float>& rope_factors() const { return rope_factors_; }  // empty: none
  const PackedMatrix& output() const { return blueprint_.tied ? embedding_ : output_; }
  void embed(std::int32_t token, float* out) const;  // (embedding)
  std::uint64_t weight_bytes() const {
    return arena_.size() + vector_bytes_ + raw_embedding_.size();
  }
  // Of matrices that the step of one token reads: all layers and the output, of experts those used.
  std::uint64_t bytes_per_token() const;
  std::span<const std::byte> packed() const { return {arena_.data(), arena_.size()}; }  // matrices

 private:
  Model() = default;
  class Binder;

  Blueprint blueprint_;
  const KernelTable* kernels_ = nullptr;
  std::vector<LayerWeights> layers_;
  std::vector<float> output_norm_, rope_factors_;
  PackedMatrix output_, embedding_;
  // An embedding that is not the output matrix too is only looked up: it stays as the file has it.
  Pages raw_embedding_;
  TensorType raw_type_ = TensorType::kF32;
  Pages arena_;
  std::uint64_t vector_bytes_ = 0;
};

// The bytes that Model::load will book for this file, from its header alone.
std::uint64_t weight_bytes(const Gguf& file, const Blueprint& blueprint,
                           const KernelTable& kernels);

}  // namespace lathe::infer
