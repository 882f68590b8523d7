// The layers of a vision transformer (Dosovitskiy et al. 2020): norm, attention both ways, norm,
// feed-forward part, each added to its input. What varies among encoders is in VitSpec, and in
// which tensors the file has: biases, joint or single q, k, v, norms of q and k, norms and scales
// behind a part, a gate in the feed-forward part.
#pragma once

#include <functional>
#include <optional>

#include "infer/encoders/layers.h"

namespace lathe::infer {

struct VitSpec {
  std::size_t width = 0, heads = 0, layers = 0, hidden = 0;
  EncoderNorm norm = EncoderNorm::kLayer;
  float epsilon = 0;
  EncoderActivation activation = EncoderActivation::kGelu;
  std::optional<float> score_scale = {};  // of q·k; none: 1 / sqrt(head_dim)
  bool value_norm = false;                // RMS without weights

  static VitSpec of(const EncoderHeader& header, EncoderNorm norm);
};

// Rotary angles of each row: the head's dimensions in `parts` equal pieces, each turned by its own
// angles: a piece's cosines, then its sines, so many as it has pairs.
struct Rotation {
  std::size_t parts = 1;
  bool split_halves = true;   // pairs (i, i + half) of a piece; else (2i, 2i + 1)
  std::vector<float> angles;  // (rows, head_dim)
};

class Vit {
 public:
  // Names "`prefix`.blk.N.attn_q" …
  Vit(WeightList& list, const std::string& prefix, const VitSpec& spec);

  struct Run {
    std::size_t rows = 0;  // of pass.x, which is the input and then the output
    const Rotation* rotation = nullptr;
    std::function<const Spans&(std::size_t layer)> spans;  // who sees whom
    std::function<void(std::size_t layer)> after = {};     // hears of each layer's end
  };
  Status run(EncoderPass& pass, const Run& run) const;
  // Where every row sees all of them.
  Status run(EncoderPass& pass, std::size_t rows, const Rotation* rotation = nullptr) const;

 private:
  struct Layer {
    NormLayer norm1, norm2;
    LinearLayer q, k, v, out, up, down;
    std::optional<LinearLayer> gate;
    std::optional<NormLayer> q_norm, k_norm, attention_post, ffn_post;
    std::vector<float> attention_scale, ffn_scale;  // (width); empty: none
  };
  void ask(WeightList& list, const std::string& name, Layer& layer) const;
  void mix(EncoderPass& pass, const Layer& layer, const Run& run, const Spans& spans) const;
  void finish_heads(EncoderPass& pass, const Layer& layer, const Run& run, std::size_t first,
                    std::size_t i, int thread) const;
  void feed(EncoderPass& pass, const Layer& layer, std::size_t rows) const;
  void add(EncoderPass& pass, const std::optional<NormLayer>& post, const std::vector<float>& scale,
           std::size_t first, std::size_t count) const;

  VitSpec spec_;
  std::optional<NormLayer> value_norm_;
  std::vector<Layer> layers_;
};

}  // namespace lathe::infer
