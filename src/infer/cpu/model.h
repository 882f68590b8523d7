// A model in memory: its blueprint and its weights, packed for one kernel table. Immutable once
// loaded; any thread may read it.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "infer/models/tensors.h"
#include "infer/tensor/matrix.h"

namespace lathe::infer {

// Of a layer, or of what stands outside layers: what tensors_of() lists is there, the rest is
// empty.
struct LayerWeights {
  PerSlot<PackedMatrix> matrix;
  PerSlot<std::vector<float>> vector;
};

class Model;

struct LoadOptions {
  const KernelTable* kernels = nullptr;
  std::function<void(std::uint64_t done, std::uint64_t total)> progress;  // bytes; may be empty
  const StopFlag* stop = nullptr;
  const Model* shares = nullptr;  // of layers that predict: the model that they stand in
  // Of a model that stands on several machines: what is here. Outside layers the first part has
  // what a token begins with, the last one the output.
  LayerRange layers = {};
};

class Model {
 public:
  static Result<std::unique_ptr<Model>> load(const Gguf& file, ThreadTeam& team,
                                             const LoadOptions& options);
  // The same with the file's blueprint, where it has been read already; it must run.
  static Result<std::unique_ptr<Model>> load(const Gguf& file, Blueprint blueprint,
                                             ThreadTeam& team, const LoadOptions& options);

  const Blueprint& blueprint() const { return blueprint_; }
  const KernelTable& kernels() const { return *kernels_; }
  const std::vector<LayerWeights>& layers() const { return layers_; }
  const LayerWeights& outside() const { return outside_; }  // of all layers
  LayerRange held() const { return held_; }                 // layers whose weights are here
  const PackedMatrix& output() const {
    if (shares_ != nullptr) return shares_->output();
    return outside_.matrix[blueprint_.tied ? Slot::kEmbedding : Slot::kOutput];
  }
  const std::vector<float>& output_norm() const;
  void embed(std::int32_t token, float* out) const;         // (embedding)
  void embed_layers(std::int32_t token, float* out) const;  // (layers, layer_input)
  std::uint64_t weight_bytes() const {
    return arena_.size() + vector_bytes_ + embedding_.bytes.size() + layer_embedding_.bytes.size();
  }
  // Of matrices that the step of one token reads: all layers and the output, of experts those used.
  std::uint64_t bytes_per_token() const;
  std::span<const std::byte> packed() const { return {arena_.data(), arena_.size()}; }  // matrices

 private:
  Model() = default;
  LayerWeights& weights_of(const TensorSpec& spec);
  Status check_rope_factors(const Gguf& file) const;

  Blueprint blueprint_;
  LayerRange held_;
  const Model* shares_ = nullptr;  // what it has not of its own
  const KernelTable* kernels_ = nullptr;
  std::vector<LayerWeights> layers_;
  LayerWeights outside_;
  // An embedding that is not the output matrix too is only looked up: it stays as the file has it.
  struct Table {
    Pages bytes;
    const TensorTypeInfo* type = nullptr;
    std::size_t k = 0;  // of a row

    // In pieces, so that it is seen to come and can be stopped.
    Status load(const Gguf& file, const GgufTensor& tensor,
                const std::function<void(std::uint64_t)>& progress, const StopFlag* stop);
    void row(std::size_t r, float* out) const;
  };
  Table embedding_, layer_embedding_;
  Pages arena_;
  std::uint64_t vector_bytes_ = 0;
};

// The bytes that Model::load will book for this file, from its header alone.
std::uint64_t weight_bytes(const Gguf& file, const Blueprint& blueprint, const KernelTable& kernels,
                           LayerRange layers = {});

}  // namespace lathe::infer
