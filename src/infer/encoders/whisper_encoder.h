// The encoder that Whisper, and most models that hear, have (Radford et al. 2022): two convolutions
// over time, of which the second halves it, positions, and layers in which all rows see each other.
#pragma once

#include "infer/encoders/mel.h"
#include "infer/encoders/vit.h"

namespace lathe::infer {

class WhisperEncoder {
 public:
  // `rows`: of the table of positions, which is half as many frames as an input has.
  WhisperEncoder(WeightList& list, const VitSpec& spec, std::size_t bins, std::size_t rows);

  // Once loaded: convolutions take their kernels and inputs in F16 from now on.
  void use_half_convolutions();
  // mel (2 · rows, bins) → pass.x (rows, width), before the last norm.
  Status run(EncoderPass& pass, const MelFrames& mel) const;
  std::size_t rows() const { return positions_.empty() ? 0 : positions_.size() / width_; }

 private:
  std::size_t width_;
  EncoderActivation activation_;
  bool half_ = false;
  LinearLayer first_, second_;
  std::vector<float> positions_;
  Vit layers_;
};

}  // namespace lathe::infer
