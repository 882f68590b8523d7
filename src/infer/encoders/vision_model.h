// A kind of picture encoder, as its projector is called: one file and one row of the table each. It
// says how a picture becomes inputs of the encoder, what stands around them in a prompt, and what
// rows of the model an input becomes.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "infer/encoders/patches.h"
#include "infer/encoders/picture_plan.h"
#include "infer/executor/prompt.h"

namespace lathe::infer {

// What one input becomes.
struct VisionRows {
  std::vector<float> values;  // (rows, width)
  RowShape shape;
};

class VisionModel {
 public:
  virtual ~VisionModel() = default;
  // Of a row.
  virtual std::size_t width() const = 0;
  // Rows of an input inside the encoder, at most.
  virtual std::size_t most_rows() const = 0;
  // Pixels of the largest canvas.
  virtual std::int64_t most_pixels() const = 0;
  // kInvalid: the picture has a shape that the encoder cannot take.
  virtual Result<PicturePlan> plan(PictureSize picture) const = 0;
  virtual Result<VisionRows> encode(EncoderPass& pass, const PixelPlanes& pixels) const = 0;
};

struct Projector {
  std::string_view name;    // as clip.projector_type has it
  std::string_view models;  // that come with it
  Result<std::unique_ptr<VisionModel>> (*make)(const ClipHeader& header, WeightList& list);
};
std::span<const Projector> projectors();
// The error names those there are.
Result<const Projector*> find_projector(const Gguf& file);

Result<std::unique_ptr<VisionModel>> make_gemma3(const ClipHeader& header, WeightList& list);
Result<std::unique_ptr<VisionModel>> make_gemma4(const ClipHeader& header, WeightList& list);
Result<std::unique_ptr<VisionModel>> make_qwen_vl(const ClipHeader& header, WeightList& list);
Result<std::unique_ptr<VisionModel>> make_idefics3(const ClipHeader& header, WeightList& list);
Result<std::unique_ptr<VisionModel>> make_pixtral(const ClipHeader& header, WeightList& list);
Result<std::unique_ptr<VisionModel>> make_internvl(const ClipHeader& header, WeightList& list);
Result<std::unique_ptr<VisionModel>> make_llava(const ClipHeader& header, WeightList& list);
Result<std::unique_ptr<VisionModel>> make_lfm2(const ClipHeader& header, WeightList& list);

}  // namespace lathe::infer
