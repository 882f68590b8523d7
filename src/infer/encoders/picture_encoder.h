// An encoder of pictures: a decoded picture becomes what a prompt holds in its place, words and
// rows of embeddings as wide as the model reads them. Its file is an "mmproj" GGUF
// (general.architecture "clip"); projectors() lists the kinds that run. One thread at a time.
#pragma once

#include <functional>
#include <memory>

#include "infer/encoders/encoded_piece.h"
#include "infer/encoders/vision_model.h"

namespace lathe::infer {

// By its header alone.
Result<EncoderBytes> picture_encoder_bytes(const Gguf& file, const KernelTable& kernels,
                                           int threads);

// Numbers of a row that it makes, by its header alone.
Result<std::size_t> picture_row_width(const Gguf& file);

class PictureEncoder {
 public:
  // Checks the header and loads the weights. The team must live as long.
  static Result<std::unique_ptr<PictureEncoder>> open(const Gguf& file, ThreadTeam& team,
                                                      const WeightLoading& loading);

  std::size_t width() const { return model_->width(); }  // of a row
  const EncoderBytes& bytes() const { return bytes_; }

  // What the picture will be: how many inputs, which words. kInvalid: too long and thin a shape.
  Result<PicturePlan> plan(PictureSize picture) const { return model_->plan(picture); }
  // `hear` (may be empty) is given what goes into the encoder, input by input. kCancelled: `stop`
  // (may be null) was raised.
  Result<std::vector<EncodedPiece>> encode(
      const Picture& picture, const StopFlag* stop,
      const std::function<void(const PixelPlanes&)>& hear = {});

 private:
  PictureEncoder() = default;
  Result<EncodedPiece> encode_input(const Picture& tile,
                                    const std::function<void(const PixelPlanes&)>& hear);

  PixelScale pixels_;
  std::unique_ptr<VisionModel> model_;
  Pages matrices_;
  EncoderPass pass_;
  EncoderBytes bytes_;
};

}  // namespace lathe::infer
