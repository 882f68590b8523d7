// A linear layer in training, y = W·x + b + s·B·(A·x): W trained as floats, or frozen in any
// tensor type and decoded a piece at a time; A and B, of a small rank, are a LoRA adapter.
#pragma once

#include "infer/tensor/gemm.h"
#include "infer/tune/parameters.h"

namespace lathe::infer {

// Rows of floats that lie `stride` apart. Activations are padded, so that rows of one size don't
// fall on the same sets of a cache.
struct Rows {
  float* data = nullptr;
  std::size_t stride = 0;
  float* row(std::size_t t) const { return data + t * stride; }
  Rows from(std::size_t t) const { return {row(t), stride}; }
};
constexpr std::size_t padded_row(std::size_t n) {
  return (n + 15) / 16 * 16 + 16;
}

struct Linear {
  std::size_t rows = 0, k = 0;  // W (rows, k)
  std::size_t experts = 1;      // so many of all that follows, one behind the other
  std::size_t expert_rows = 0;  // from one to the next, where W is a part of a larger one; 0: rows
  Weights weight = {};          // value nullptr: frozen, as the next three say
  const std::byte* frozen = nullptr;
  const TensorTypeInfo* type = nullptr;
  const float* frozen_scale = nullptr;  // W counts that many times; nullptr: once
  Weights bias = {};                    // (rows)
  std::size_t rank = 0;                 // 0: no adapter
  float lora_scale = 0;                 // α / rank
  Weights lora_a = {}, lora_b = {};     // (rank, k) (rows, rank)
};
// One of its experts, to compute with.
Linear expert_of(const Linear& all, std::size_t expert);

// Where and with what the products are computed. The scratch holds a piece of a decoded or
// transposed matrix, whatever its size.
class LinearScratch {
 public:
  static constexpr std::size_t kFloats = std::size_t{4} << 20;
  LinearScratch(ThreadTeam& threads, const TrainKernels& table) : team(threads), kernels(table) {}
  Status reserve(std::size_t max_k, std::size_t threads);

  ThreadTeam& team;
  const TrainKernels& kernels;
  Scratch<float> piece, rows;  // rows: 32 decoded rows for each thread
  std::size_t rows_stride = 0;
};

// y (tokens, rows) = …, and `low` (tokens, rank) = s·A·x, which backward() wants again.
void forward(LinearScratch& scratch, const Linear& linear, std::size_t tokens, Rows x, Rows y,
             Rows low);
// dx (tokens, k) (+)= the gradient of x (data nullptr: not wanted); gradients of what is trained
// are added to. d_low: scratch (tokens, rank).
struct LinearBackward {
  std::size_t tokens = 0;
  Rows x, low, dy;
  Rows dx = {};
  bool add = false;
  Rows d_low = {};
};
void backward(LinearScratch& scratch, const Linear& linear, const LinearBackward& args);

}  // namespace lathe::infer
