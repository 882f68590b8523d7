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

// Of each matrix's rows one of so many parts of about the same size, whole panels of them.
struct RowShare {
  std::size_t index = 0, parts = 1;

  // Which of so many rows; all of them where there are too few panels for every part to have one.
  struct Range {
    std::size_t first, count;
  };
  Range of(std::size_t rows) const;
  bool operator==(const RowShare&) const = default;
};

// Whether machines that share a model by rows each have some of this matrix's: what is small stays
// whole.
bool is_divided(const TensorSpec& spec, const Blueprint& blueprint);

// What one of several machines has of a model: layers, or of all layers some rows of every large
// matrix. Outside layers the first machine has what a token begins with, the last one the output,
// or each its rows of it.
struct ModelPart {
  LayerRange layers = {};
  RowShare rows = {};
  bool operator==(const ModelPart&) const = default;
};

struct LoadOptions {
  const KernelTable* kernels = nullptr;
  std::function<void(std::uint64_t done, std::uint64_t total)> progress;  // bytes; may be empty
  const StopFlag* stop = nullptr;
  const Model* shares = nullptr;  // of layers that predict: the model that they stand in
  ModelPart part = {};            // what is here
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
  const ModelPart& held() const { return held_; }           // what is here
  const PackedMatrix& output() const {
    if (shares_ != nullptr) return shares_->output();
    if (!own_output_.empty()) return own_output_;
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
  std::span<std::byte> packed() const { return {arena_.data(), arena_.size()}; }  // matrices

 private:
  Model() = default;
  LayerWeights& weights_of(const TensorSpec& spec);
  Status check_rope_factors(const Gguf& file) const;

  Blueprint blueprint_;
  ModelPart held_;
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
  // Of an output matrix that is here as a whole, as embeddings are looked up in it: the rows that
  // are multiplied here. Empty: those that there are.
  PackedMatrix own_output_;
  std::uint64_t vector_bytes_ = 0;
};

// The bytes that Model::load will book for this file, from its header alone.
std::uint64_t weight_bytes(const Gguf& file, const Blueprint& blueprint, const KernelTable& kernels,
                           const ModelPart& part = {});

}  // namespace lathe::infer
