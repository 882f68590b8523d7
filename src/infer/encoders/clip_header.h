// What the header of an encoder's file (GGUF, general.architecture "clip") says of its picture
// encoder. Every number is bounded; errors name the file, the key and what it may be.
#pragma once

#include <string>

#include "infer/encoders/pixels.h"
#include "infer/formats/gguf.h"

namespace lathe::infer {

// What feed-forward parts compute between their products.
enum class EncoderActivation : std::uint8_t {
  kGelu,       // its tanh form
  kGeluExact,  // gelu.h
  kQuickGelu,  // x·sigmoid(1.702·x)
  kSilu,
};

struct ClipHeader {
  const Gguf* file = nullptr;
  std::string projector;  // clip.projector_type
  std::size_t image = 0;  // side of a tile, in pixels
  std::size_t patch = 0;  // side of a patch, in pixels
  std::size_t width = 0, heads = 0, layers = 0, hidden = 0;
  float epsilon = 0;
  EncoderActivation activation = EncoderActivation::kQuickGelu;
  PixelScale pixels;

  std::string place() const { return file->path().string(); }
  std::size_t head_dim() const { return width / heads; }
  // Of encoders whose heads are turned by rows and columns.
  Status check_rotary_heads() const;
  std::size_t tile_patches() const { return image / patch; }  // on a side
  // Patches on a side that become one row.
  Result<std::size_t> merge_or(std::size_t fallback) const;
  // clip.vision.KEY
  Result<std::size_t> size(std::string_view key, std::size_t min, std::size_t max) const;
  Result<std::size_t> size_or(std::string_view key, std::size_t fallback, std::size_t min,
                              std::size_t max) const;
};

// Which projector it is (clip.vision.projector_type, clip.projector_type); an error where the file
// is none of a picture encoder.
Result<std::string> read_projector(const Gguf& file);
Result<ClipHeader> read_clip_header(const Gguf& file);

}  // namespace lathe::infer
