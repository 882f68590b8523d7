// Who speaks: a recording becomes one row that a talker reads as its speaker. ECAPA-TDNN
// (Desplanques et al. 2020): convolutions over mel frames that widen what they see, channels
// weighed by what the whole recording is, and the mean and the deviation over time of what is
// attended to. One thread at a time, but for what the team is given.
#pragma once

#include "infer/encoders/layers.h"
#include "infer/encoders/mel.h"
#include "infer/voice/causal_convolution.h"
#include "infer/voice/voice_header.h"

namespace lathe::infer {

class SpeakerEncoder {
 public:
  SpeakerEncoder(const VoiceHeader& header, WeightList& list);
  EncoderSizes sizes(const WeightList& list, const KernelTable& kernels, int threads) const;
  Status reserve(const WeightList& list, const WeightLoading& loading, ThreadTeam& team);
  // Of the rows between two parts, of as long a recording as counts.
  std::uint64_t row_bytes() const;

  // 24 kHz, mono: of at least a quarter of a second; what is beyond the first minute does not
  // count. → (embedding)
  Result<std::vector<float>> embed(std::span<const std::int16_t> samples, const StopFlag* stop);
  const MelBank& bank() const { return bank_; }  // how it hears

 private:
  // A convolution around each row, with the rows mirrored at both ends; then ReLU.
  struct Convolution {
    LinearLayer linear;
    std::size_t taps = 1, dilation = 1;
    bool relu = true;
  };
  struct Block {
    Convolution in, out, parts[7];
    LinearLayer squeeze, excite;
  };
  RowBuffer convolve(const Convolution& part, const RowBuffer& in);
  RowBuffer run(const Block& block, const RowBuffer& in);
  void weigh(const Block& block, RowBuffer& rows);
  std::vector<float> pool(const RowBuffer& rows);

  MelBank bank_;
  std::size_t channels_ = 0;
  Convolution first_, joined_, look_, attention_;
  Block blocks_[3];
  LinearLayer last_;
  EncoderPass pass_;
};

}  // namespace lathe::infer
