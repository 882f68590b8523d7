// Layers of a decoder in which a row sees itself and those before it, as a voice has them twice: in
// its predictor of codes and in its decoder of waves. Heads of keys may be fewer than those of
// queries; a row may see only the last few. Rows may come in pieces of any size: the bits are those
// of all at once. One thread at a time, but for what the team is given.
#pragma once

#include "infer/encoders/layers.h"
#include "infer/kernels/kernels.h"

namespace lathe::infer {

struct CausalSpec {
  std::string name;  // of its layers, before "0.attn_q.weight": "a.gen.code.blk."
  std::size_t width = 0, hidden = 0, layers = 0;
  std::size_t heads = 0, kv_heads = 0;
  std::size_t window = 0;  // that a row sees, itself included; 0: all
  std::size_t most = 0;    // rows that are seen or come at once, without a window
  double base = 0;         // of the rotation
  float epsilon = 0;
  bool head_norms = false;  // of each head's query and key
  bool scales = false;      // of what a layer's parts give
};

class CausalLayers {
 public:
  CausalLayers(WeightList& list, CausalSpec spec);
  // Once the list has been checked: whether its heads can be shared out and turned.
  Status check(const Gguf& file) const;
  // A pass for at most so many rows at once.
  EncoderSizes sizes(const WeightList& list, const KernelTable& kernels, std::size_t rows,
                     int threads) const;

  // What was seen so far.
  struct Past {
    std::size_t position = 0;  // of the next row
    std::size_t first = 0;     // that is kept, a multiple of kChunk
    struct Layer {
      std::vector<float> keys, values;  // (position − first, kv_heads · head_dim)
    };
    std::vector<Layer> layers;
  };
  // x (rows, width), in place.
  Status run(EncoderPass& pass, float* x, std::size_t rows, Past& past) const;

 private:
  struct Layer {
    NormLayer norm1, norm2, q_norm, k_norm;
    LinearLayer q, k, v, out, gate, up, down;
    std::vector<float> scale1, scale2;
  };
  void ask(WeightList& list, const std::string& name, Layer& layer) const;
  void attend_rows(EncoderPass& pass, const Layer& layer, float* x, std::size_t rows,
                   const Past& past, Past::Layer& own) const;
  void feed(EncoderPass& pass, const Layer& layer, float* x, std::size_t rows) const;
  void norm_rows(EncoderPass& pass, const NormLayer& norm, const float* x, std::size_t rows) const;
  void turn(EncoderPass& pass, const Layer& layer, std::size_t rows, std::size_t position) const;
  std::size_t oldest(std::size_t position) const;  // that a row there sees

  CausalSpec spec_;
  std::size_t queries_ = 0, head_dim_ = 0;  // of all heads; of one
  std::vector<Layer> layers_;
};

}  // namespace lathe::infer
