// Codes to samples: the codes of a frame as a row, layers that see the last few rows, convolutions
// that widen a row to the samples of a frame. Frames may come in pieces of any size: the samples
// are those of all at once. One thread at a time, but for what the team is given.
#pragma once

#include "infer/voice/causal_convolution.h"
#include "infer/voice/causal_layers.h"
#include "infer/voice/snake.h"

namespace lathe::infer {

inline constexpr int kVoiceRate = 24000;  // samples a second

class WaveDecoder {
 public:
  WaveDecoder(WeightList& list, WeightList& tables);
  // Once the lists have been checked.
  Status check(const Gguf& file) const;
  EncoderSizes sizes(const WeightList& list, const KernelTable& kernels, int threads) const;
  Status reserve(const WeightList& list, const WeightLoading& loading, ThreadTeam& team);
  // Of the rows between two parts while frames are decoded. Once the lists have been checked.
  std::uint64_t row_bytes() const;

  std::size_t books() const { return books_; }  // codes of a frame
  std::size_t codes() const { return codes_; }  // that each may be
  std::size_t frame_samples() const;

  // What was heard so far.
  struct Past {
    CausalLayers::Past layers;
    std::vector<PastRows> convolutions;  // in their order
  };
  // codes (frames, books), each < codes(). → samples within ±1.
  Result<std::vector<float>> decode(std::span<const std::int32_t> codes, Past& past,
                                    const StopFlag* stop);

 private:
  struct Upsampling {
    WideningConvolution widen;
    ChannelConvolution mix;
    NormLayer norm;
    Mlp mlp;
    std::vector<float> gamma;
  };
  struct Residual {
    Snake act1, act2;
    CausalConvolution conv1, conv2;
  };
  struct Block {
    Snake snake;
    WideningConvolution widen;
    Residual residuals[3];
  };
  // Hands the convolutions their past, one after the other.
  class Trail;
  void ask_upsampling(WeightList& list, const std::string& name, std::size_t width,
                      Upsampling& part) const;
  std::size_t ask_block(WeightList& list, const std::string& name, std::size_t width,
                        Block& block) const;
  Result<std::vector<float>> decode_block(std::span<const std::int32_t> codes, Past& past);
  RowBuffer embed(std::span<const std::int32_t> codes);
  RowBuffer upsample(const Upsampling& part, RowBuffer rows, Trail& trail);
  RowBuffer widen(const Block& block, RowBuffer rows, Trail& trail);
  void bend(const Snake& snake, const RowBuffer& in, RowBuffer& out);
  std::uint64_t frame_floats() const;

  std::size_t books_ = 0, codes_ = 0, code_width_ = 0, width_ = 0, inner_ = 0;
  LinearLayer first_codes_, other_codes_, first_out_, other_out_;
  CausalConvolution before_;
  LinearLayer in_, out_;
  CausalLayers layers_;
  NormLayer norm_;
  Upsampling upsamplings_[2];
  CausalConvolution entry_;
  std::size_t entry_width_ = 0;
  Block blocks_[4];
  Snake last_snake_;
  CausalConvolution last_;
  EncoderPass pass_;
};

}  // namespace lathe::infer
