// Multi-head latent attention of a layer, absorbed: queries are brought into the latent's space
// before the walk over the cache, and the heads' answers out of it behind. One thread, but for what
// the team is given.
#pragma once

#include "infer/cpu/head_walk.h"
#include "infer/cpu/lightning_indexer.h"

namespace lathe::infer {

class LatentAttention final : public LayerPart {
 public:
  LatentAttention(const Model& model, std::size_t layer, std::size_t rope);
  void run(Step& step) const override;

 private:
  void project_queries(Step& step) const;
  void remember(Step& step, std::size_t token, float* scratch) const;
  void absorb_queries(Step& step) const;
  void answer(Step& step) const;
  void multiply_heads(Step& step, Slot slot, float* out, std::size_t stride,
                      std::size_t head_stride) const;
  void turn(const Step& step, std::size_t token, float* x) const;

  LatentAttentionSpec spec_;
  const LayerWeights& weights_;
  std::size_t layer_, rope_;
  float epsilon_;
  HeadWalk walk_;
  std::optional<LightningIndexer> indexer_;
};

}  // namespace lathe::infer
