// The predictor of codes: of a talker's state and the first code of a frame, the other codes, one
// after the other, each of its own codebook; and what the talker reads next of them. One thread at
// a time, but for what the team is given.
#pragma once

#include "infer/voice/causal_layers.h"
#include "infer/voice/voice_header.h"

namespace lathe::infer {

class CodePredictor {
 public:
  CodePredictor(const VoiceHeader& header, WeightList& list, WeightList& tables);
  // Once the lists have been checked.
  Status check(const Gguf& file) const { return layers_.check(file); }
  EncoderSizes sizes(const WeightList& list, const KernelTable& kernels, int threads) const;
  Status reserve(const WeightList& list, const WeightLoading& loading, ThreadTeam& team);

  std::size_t books() const { return 1 + heads_.size(); }    // codes of a frame
  std::size_t first_codes() const { return first_.rows(); }  // that the first one may be
  std::size_t codes() const { return codes_; }               // that each other one may be
  std::size_t embedding() const { return embedding_; }

  // Which code it is to be: of book 1, 2 …, by logits (codes).
  using Choose = std::function<std::int32_t(std::size_t book, std::span<const float> logits)>;
  struct Frame {
    std::vector<std::int32_t> codes;  // (books)
    std::vector<float> sum;           // (embedding): of what all of them are to the talker
  };
  // state (embedding); first < first_codes().
  Result<Frame> predict(std::span<const float> state, std::int32_t first, const Choose& choose,
                        const StopFlag* stop);

 private:
  std::size_t embedding_, width_, codes_ = 0;
  LinearLayer in_;
  CausalLayers layers_;
  NormLayer norm_;
  std::vector<LinearLayer> heads_;
  LinearLayer first_, others_;  // what codes are: (first_codes, embedding), (books − 1, codes, …)
  EncoderPass pass_;
};

}  // namespace lathe::infer
