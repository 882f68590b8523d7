// What the header of an encoder's file (GGUF, general.architecture "clip") says of its encoder of
// pictures and of that of sounds; it may have both. Every number is bounded; errors name the file,
// the key and what it may be.
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

// One of the encoders of a file: its keys are clip.NAME.…
struct EncoderPart {
  std::string_view name;
  std::string_view what;  // it encodes
};
inline constexpr EncoderPart kVisionPart{"vision", "pictures"};
inline constexpr EncoderPart kAudioPart{"audio", "sounds"};

// What both kinds say.
struct EncoderHeader {
  const Gguf* file = nullptr;
  EncoderPart part;
  std::string projector;
  std::size_t width = 0, heads = 0, layers = 0, hidden = 0;
  float epsilon = 0;
  EncoderActivation activation = EncoderActivation::kQuickGelu;

  std::string place() const { return file->path().string(); }
  std::size_t head_dim() const { return width / heads; }
  std::string key_of(std::string_view key) const {
    return fmt::format("clip.{}.{}", part.name, key);
  }
  Result<std::size_t> size(std::string_view key, std::size_t min, std::size_t max) const;
  Result<std::size_t> size_or(std::string_view key, std::size_t fallback, std::size_t min,
                              std::size_t max) const;
};

struct ClipHeader : EncoderHeader {
  std::size_t image = 0;  // side of a tile, in pixels
  std::size_t patch = 0;  // side of a patch, in pixels
  PixelScale pixels;

  // Of encoders whose heads are turned by rows and columns.
  Status check_rotary_heads() const;
  std::size_t tile_patches() const { return image / patch; }  // on a side
  // Patches on a side that become one row.
  Result<std::size_t> merge_or(std::size_t fallback) const;
};

struct SoundHeader : EncoderHeader {
  std::size_t bins = 0;  // of a mel frame
};

// Whether the file is one of encoders, and has such a one.
Result<bool> has_encoder(const Gguf& file, const EncoderPart& part);
// Which projector it is (clip.NAME.projector_type, clip.projector_type); an error where the file
// has no such encoder.
Result<std::string> read_projector(const Gguf& file, const EncoderPart& part);
Result<ClipHeader> read_clip_header(const Gguf& file);
Result<SoundHeader> read_sound_header(const Gguf& file);

}  // namespace lathe::infer
