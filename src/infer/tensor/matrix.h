// Weight matrices as the kernels want them, and the products with them. A PackedMatrix points into
// a WeightArena that owns the bytes; both are immutable once loaded and may be read from any
// thread. The products run on a ThreadTeam; their results do not depend on its size.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "ground/base/result.h"
#include "ground/base/stop.h"
#include "infer/formats/gguf.h"
#include "infer/kernels/kernels.h"
#include "infer/tensor/memory.h"
#include "infer/tensor/thread_team.h"

namespace lathe::infer {

// Of a matrix that stands on several machines: which of how many rows these are; all == 0: it is
// here as a whole.
struct RowPart {
  std::size_t first = 0, all = 0;
};

// W (experts, rows, k): rows are outputs. Row-major in the file, panels of 16 rows here.
struct PackedMatrix {
  const PackedType* type = nullptr;
  std::size_t experts = 1;
  std::size_t rows = 0;  // of one expert
  std::size_t k = 0;
  const std::byte* panels = nullptr;
  std::vector<float> scales;  // (experts): the products are multiplied by it; empty: 1
  RowPart part = {};

  bool empty() const { return panels == nullptr; }
  std::size_t panel_count() const { return (rows + kPanelRows - 1) / kPanelRows; }  // of one expert
  std::size_t panel_bytes() const { return type->panel_bytes(k); }
  const std::byte* expert(std::size_t e) const {
    return panels + e * panel_count() * panel_bytes();
  }
  bool is_part() const { return part.all != 0; }
  std::size_t all_rows() const { return is_part() ? part.all : rows; }  // of all machines
  // Some of its rows, from a multiple of kPanelRows on; of a matrix without experts, here as a
  // whole.
  PackedMatrix rows_of(std::size_t first, std::size_t count) const;
  // Row r of expert 0, as f32 (k), not scaled.
  void row(std::size_t r, float* out) const;
};

// One matrix to load: which tensor, and where the result goes.
struct MatrixLoad {
  const GgufTensor* tensor;
  PackedMatrix* matrix;
  std::vector<float> scales = {};  // as PackedMatrix has them
  // So many rows of each expert, from that one on; 0: all.
  std::size_t first_row = 0, rows = 0;
  RowPart part = {};  // as PackedMatrix has it
};

// The packed bytes that so many rows of a tensor's experts (0: all) will need: what load_matrices()
// books.
std::size_t packed_bytes(const KernelTable& table, const GgufTensor& tensor, std::size_t rows = 0);

// Reads every tensor once, in parallel, and packs it on the way: no second copy stays. `progress`
// (may be empty) hears the source bytes done, from the calling thread. Errors name the tensor and
// the file.
Result<Pages> load_matrices(const Gguf& file, std::span<const MatrixLoad> loads,
                            const KernelTable& table, ThreadTeam& team,
                            const std::function<void(std::uint64_t)>& progress,
                            const StopFlag* stop);

// Inputs of products: f32 rows and, once quantized, their int8 form.
class Activations {
 public:
  // Room for `tokens` rows of k elements, k a multiple of 16.
  Status reserve(std::size_t tokens, std::size_t max_k);
  static std::uint64_t bytes_for(std::size_t tokens, std::size_t max_k);  // what reserve() takes
  // Rows of k elements from now on.
  void shape(std::size_t k) { k_ = k; }
  std::size_t k() const { return k_; }
  float* row(std::size_t t) const { return f32_.data() + t * k_; }  // (k)
  // Fills the int8 form of elements [from, from + count) of row t; multiples of 32.
  void quantize(const KernelTable& table, std::size_t t, std::size_t from, std::size_t count);
  void copy_row(const Activations& source, std::size_t from, std::size_t to);
  QuantizedRows quantized(std::size_t t) const;
  std::size_t bytes() const { return f32_.bytes() + q_.bytes() + scale_.bytes() + sum_.bytes(); }
  std::vector<std::span<std::byte>> memory() const {
    return {f32_.memory(), q_.memory(), scale_.memory(), sum_.memory()};
  }

 private:
  std::size_t k_ = 0;
  Scratch<float> f32_;
  Scratch<std::int8_t> q_;
  Scratch<float> scale_;
  Scratch<std::int16_t> sum_;
};

// out (tokens, stride): rows [first_token, first_token + tokens) of x times one expert's matrix. A
// matrix that is a part writes its own rows' places of all.
struct Product {
  const PackedMatrix* matrix;
  std::size_t expert = 0;
  const Activations* x;
  std::size_t first_token = 0;
  std::size_t tokens = 0;
  float* out = nullptr;
  std::size_t stride = 0;
};
// All of them in one go, shared out by panels.
void multiply(ThreadTeam& team, std::span<const Product> products);

}  // namespace lathe::infer
