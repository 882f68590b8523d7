// What the parts of an encoder are strung from: linear layers, norms, activations, and the buffers
// they share. Rows go through in blocks, so that memory does not grow with what a part widens them
// to. Sums run in the kernels' fixed order (kernels/kernels.h): the same bits whatever the threads
// and the instruction set. One thread at a time, but for what the team is given.
#pragma once

#include <functional>

#include "ground/base/stop.h"
#include "infer/encoders/attention.h"
#include "infer/encoders/clip_header.h"
#include "infer/encoders/weight_list.h"
#include "infer/kernels/kernels.h"

namespace lathe::infer {

inline constexpr std::size_t kBlockRows = 512;

struct EncoderSizes {
  const KernelTable* kernels = nullptr;
  std::size_t rows = 0;  // of one input, at most
  std::size_t width = 0, heads = 0;
  std::size_t max_k = 0, max_rows = 0;  // of all matrices
  std::size_t threads = 1;

  static EncoderSizes of(const EncoderHeader& header, const WeightList& list,
                         const KernelTable& kernels, std::size_t rows, int threads);
  std::size_t head_dim() const { return width / heads; }
};

struct EncoderPass {
  ThreadTeam* team = nullptr;
  const StopFlag* stop = nullptr;  // looked at between layers; nullptr: nobody stops it
  EncoderSizes sizes;

  Scratch<float> x;            // (rows, width): the residual stream
  Scratch<float> q;            // (rows, width): queries, then what the heads gave
  HeadMemory memory;           // keys and values of the layer
  Scratch<float> input;        // (kBlockRows, max_k)
  Scratch<float> left, right;  // (kBlockRows, max_rows) each
  Scratch<float> threads;      // room for each
  Activations product_input;   // (kBlockRows, max_k)

  // Only reserves: pages are taken as they are written.
  Status reserve(const EncoderSizes& wanted);
  static std::uint64_t bytes_for(const EncoderSizes& wanted);
  const KernelTable& kernels() const { return *sizes.kernels; }
  Status check_stop() const;
  // attention_floats(sizes.head_dim()) of a thread's own.
  float* room(int thread) const {
    return threads.data() + static_cast<std::size_t>(thread) * attention_floats(sizes.head_dim());
  }
};

// f(first, count) for blocks of at most kBlockRows rows.
template <class F>
void for_blocks(std::size_t rows, F&& f) {
  for (std::size_t first = 0; first < rows; first += kBlockRows)
    f(first, std::min(kBlockRows, rows - first));
}

// y = W·x + b. Where the file has limits for it, a copy of x is clamped before the product, and
// what comes of it before the bias.
class LinearLayer {
 public:
  // `name`.weight and, if they are there, .bias, .input_min …
  void ask(WeightList& list, const std::string& name, std::size_t k, std::size_t rows);
  // Of several that stand in one tensor of `all` rows, the one from row `first` on.
  void ask_part(WeightList& list, const std::string& name, std::size_t k, std::size_t all,
                std::size_t first, std::size_t rows);
  // The matrix alone, by its full name.
  void ask_matrix(WeightList& list, const std::string& name, std::size_t k, std::size_t rows) {
    list.matrix(name, k, rows, &matrix_);
  }
  std::size_t k() const { return matrix_.k; }
  void row(std::size_t r, float* out) const { matrix_.row(r, out); }  // (k)
  std::size_t rows() const { return matrix_.rows; }

  // x (count, k), count ≤ kBlockRows, to out, whose rows stand `stride` apart.
  void run(EncoderPass& pass, const float* x, std::size_t count, float* out,
           std::size_t stride) const;
  // A matrix in F32, once loaded: its numbers become those of F16.
  void round_to_half();

 private:
  PackedMatrix matrix_;
  std::vector<float> bias_;                                 // empty: none
  std::vector<float> in_min_, in_max_, out_min_, out_max_;  // one number each; empty: no limit
};

enum class EncoderNorm : std::uint8_t { kLayer, kRms };

class NormLayer {
 public:
  // `name`.weight and, if it is there, .bias.
  void ask(WeightList& list, const std::string& name, std::size_t width, EncoderNorm kind,
           float epsilon);
  static NormLayer plain(std::size_t width, float epsilon);  // RMS without weights
  // In place allowed.
  void run(const KernelTable& kernels, const float* x, float* out) const;

 private:
  EncoderNorm kind_ = EncoderNorm::kRms;
  float epsilon_ = 0;
  std::size_t width_ = 0;
  std::vector<float> weight_, bias_;
};

// In place.
void activate(const KernelTable& kernels, EncoderActivation kind, float* x, std::size_t n);

// Linear, activation, linear: rows of the encoder become rows of the model.
class Mlp {
 public:
  void ask(WeightList& list, const std::string& first, const std::string& second, std::size_t k,
           std::size_t hidden, std::size_t rows,
           EncoderActivation activation = EncoderActivation::kGelu);
  std::size_t rows() const { return second_.rows(); }
  // fill(i, row) writes the i-th of `count` inputs (k); any thread. Outputs stand `stride` apart.
  void run(EncoderPass& pass, std::size_t count,
           const std::function<void(std::size_t, float*)>& fill, float* out,
           std::size_t stride) const;

 private:
  LinearLayer first_, second_;
  EncoderActivation activation_ = EncoderActivation::kGelu;
};

// The same with one linear layer.
void run_linear(EncoderPass& pass, const LinearLayer& linear, std::size_t count,
                const std::function<void(std::size_t, float*)>& fill, float* out,
                std::size_t stride);

}  // namespace lathe::infer
