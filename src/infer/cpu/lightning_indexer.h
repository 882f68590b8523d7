// The lightning indexer of a layer: which positions each of a step's tokens sees (IndexerSpec). Its
// keys stand in the blocks of the layer's memory, beside K and V. The order of positions is total,
// by score and then the older first, so that the best ones are the same whatever parts they were
// looked for in. One thread, but for what the team is given.
#pragma once

#include "infer/cpu/step.h"

namespace lathe::infer {

class LightningIndexer {
 public:
  // `layer` must have one of its own; `rope`: that of its attention.
  LightningIndexer(const Model& model, std::size_t layer, std::size_t rope);

  // Reads scratch.normed and what queries are made of in scratch.low; remembers the keys, and for
  // each token that could see more positions than it may leaves those that it does in
  // scratch.chosen (tokens, most), ascending.
  void choose(Step& step) const;

  // Of one thread's share of ForwardScratch::threads.
  static std::size_t thread_floats(const IndexerSpec& spec);
  // Lists of the best positions, of a part of those before a token, that one step may keep.
  static std::size_t candidate_lists(std::size_t tokens, std::size_t threads);

 private:
  void turn(const Step& step, std::size_t token, float* x) const;
  void remember(Step& step, std::size_t token, float* scratch) const;
  // The best positions of the chunks [from, to) for a token: `most`, filled up with the worst.
  void rank(const Step& step, std::size_t token, std::size_t from, std::size_t to, float* scratch,
            ScoredPosition* best) const;

  IndexerSpec spec_;
  const LayerWeights& weights_;
  std::size_t layer_, rope_, turned_;
};

}  // namespace lathe::infer
