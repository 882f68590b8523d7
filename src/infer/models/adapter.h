// A LoRA adapter: for some of a model's linear layers a product of two thin matrices that is added
// to theirs, y = W·x + s·B·(A·x). It stands beside the model's weights and changes none of them, so
// requests with and without it share them. Read from a GGUF file of the type "adapter" (docs/
// tune.md). Immutable once loaded; any thread may read it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "infer/kernels/train_kernels.h"
#include "infer/models/tensors.h"

namespace lathe::infer {

// A and B in panels of 32 rows (transpose_panel), s in B; of a mixture, one expert's behind the
// other's.
struct LowRank {
  std::size_t rank = 0;  // 0: none
  std::size_t rows = 0, k = 0, experts = 1;
  std::vector<float> a_panels, b_panels;

  // Of the panels of a matrix.
  static constexpr std::size_t panel_floats(std::size_t rows, std::size_t k) {
    return (rows + kTileColumns - 1) / kTileColumns * kTileColumns * k;
  }
};

class Adapter {
 public:
  // Refused where it is for another model: its architecture, a tensor that the model has no place
  // for, or another shape.
  static Result<std::shared_ptr<const Adapter>> load(const Gguf& file, const Blueprint& blueprint);

  // Of the file's tensors: two adapters with the same id compute the same. Never 0, which means no
  // adapter.
  std::uint64_t id() const { return id_; }
  std::uint64_t bytes() const { return bytes_; }
  std::size_t max_rank() const { return max_rank_; }
  const LowRank& part(std::size_t layer, Slot slot) const { return layers_[layer][slot]; }

 private:
  Adapter() = default;
  std::vector<PerSlot<LowRank>> layers_;
  std::uint64_t id_ = 0, bytes_ = 0;
  std::size_t max_rank_ = 0;
};

}  // namespace lathe::infer
