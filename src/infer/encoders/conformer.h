// Layers of a conformer (Gulati et al. 2020) as Gemma's encoder of sounds has them: half a
// feed-forward part, attention to the last few rows, a convolution over the last few rows, the
// other half of a feed-forward part, a norm. Nothing is seen ahead of.
#pragma once

#include "infer/encoders/layers.h"

namespace lathe::infer {

class Conformer {
 public:
  static constexpr std::size_t kSeen = 12;  // rows, the own one included
  static constexpr std::size_t kTaps = 5;   // of the convolution, the own row included
  static constexpr float kEpsilon = 1e-6f;

  // Names "a.blk.N.attn_q" … The width is even.
  Conformer(WeightList& list, const EncoderHeader& header);
  // pass.x (rows, width), in place.
  Status run(EncoderPass& pass, std::size_t rows) const;
  // Beside the pass, for so many rows.
  std::uint64_t scratch_bytes(std::size_t rows) const {
    return (2 * rows + 2 * kSeen) * width_ * sizeof(float);
  }

 private:
  struct Feed {
    NormLayer norm, post;
    Mlp mlp;
  };
  struct Layer {
    Feed first, last;
    NormLayer attention_norm, attention_post;
    LinearLayer q, k, v, distance, out;
    std::vector<float> scales;  // of a query's dimensions (head_dim)
    NormLayer mix_norm, mix_inner_norm;
    LinearLayer mix_in, mix_out;
    std::vector<float> taps;  // (width, kTaps)
    NormLayer norm;
  };
  // Of the layer that is run, (rows, width) each.
  struct Rows {
    std::size_t count = 0;
    std::vector<float> keys, values;
  };
  void ask(WeightList& list, const std::string& name, std::size_t hidden, Layer& layer) const;
  void feed(EncoderPass& pass, const Feed& part, std::size_t rows) const;
  void attend(EncoderPass& pass, const Layer& layer, Rows& rows) const;
  void see(EncoderPass& pass, const Rows& rows, const float* distances, std::size_t row) const;
  void mix(EncoderPass& pass, const Layer& layer, Rows& rows) const;
  void add(EncoderPass& pass, const NormLayer* post, float scale, std::size_t rows) const;

  std::size_t width_, heads_;
  std::vector<float> distances_;  // (kSeen, width): what a distance of 0, 1 … rows is told as
  std::vector<Layer> layers_;
};

}  // namespace lathe::infer
