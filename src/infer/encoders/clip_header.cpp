// The clip.* keys of an encoder's file.
#include "infer/encoders/clip_header.h"

#include <cmath>

namespace lathe::infer {
namespace {

constexpr std::size_t kMaxSide = 8192;  // of a tile, in pixels
constexpr std::size_t kMaxPatch = 128;
constexpr std::size_t kMaxWidth = std::size_t{1} << 16;
constexpr std::size_t kMaxLayers = 512;
constexpr std::size_t kMaxMerge = 16;
constexpr std::size_t kMaxBins = 256;

Result<std::array<float, 3>> colours(const Gguf& file, std::string_view key) {
  LATHE_TRY(const std::vector<double> values, file.reals(key));
  if (values.size() != 3)
    return invalid("{}: {} has {} numbers; it needs one a colour, 3", file.path().string(), key,
                   values.size());
  std::array<float, 3> out{};
  for (std::size_t c = 0; c < 3; ++c) {
    out[c] = static_cast<float>(values[c]);
    if (!std::isfinite(out[c]))
      return invalid("{}: {} holds {}; it must hold finite numbers", file.path().string(), key,
                     values[c]);
  }
  return out;
}

Result<PixelScale> read_pixel_scale(const Gguf& file) {
  PixelScale scale;
  LATHE_TRY(scale.mean, colours(file, "clip.vision.image_mean"));
  LATHE_TRY(scale.deviation, colours(file, "clip.vision.image_std"));
  for (const float deviation : scale.deviation)
    if (!(deviation >= 1e-6f))
      return invalid(
          "{}: clip.vision.image_std holds {}; pixels are divided by it, so it must be "
          "positive",
          file.path().string(), deviation);
  return scale;
}

Result<EncoderActivation> read_activation(const Gguf& file) {
  LATHE_TRY(const bool gelu, file.boolean_or("clip.use_gelu", false));
  LATHE_TRY(const bool silu, file.boolean_or("clip.use_silu", false));
  if (gelu && silu)
    return invalid("{}: clip.use_gelu and clip.use_silu are both true; one may be",
                   file.path().string());
  return gelu   ? EncoderActivation::kGelu
         : silu ? EncoderActivation::kSilu
                : EncoderActivation::kQuickGelu;
}

Result<float> read_epsilon(const EncoderHeader& header) {
  const std::string key = header.key_of("attention.layer_norm_epsilon");
  LATHE_TRY(const double epsilon, header.file->real(key));
  if (!(epsilon > 0 && epsilon < 1))
    return invalid("{}: {} is {}; it must be between 0 and 1", header.place(), key, epsilon);
  return static_cast<float>(epsilon);
}

// What pictures' and sounds' encoders have alike.
Status read_common(const Gguf& file, const EncoderPart& part, EncoderHeader& header) {
  header.file = &file;
  header.part = part;
  LATHE_TRY(header.projector, read_projector(file, part));
  LATHE_TRY(header.width, header.size("embedding_length", 1, kMaxWidth));
  LATHE_TRY(header.heads, header.size("attention.head_count", 1, kMaxWidth));
  LATHE_TRY(header.layers, header.size("block_count", 1, kMaxLayers));
  LATHE_TRY(header.hidden, header.size("feed_forward_length", 1, kMaxWidth * 4));
  LATHE_TRY(header.epsilon, read_epsilon(header));
  if (header.width % header.heads != 0)
    return invalid("{}: {} {} is no multiple of {} {}", header.place(),
                   header.key_of("embedding_length"), header.width,
                   header.key_of("attention.head_count"), header.heads);
  return {};
}

}  // namespace

Result<std::size_t> EncoderHeader::size(std::string_view key, std::size_t min,
                                        std::size_t max) const {
  LATHE_TRY(const std::uint64_t value, file->uint(key_of(key), min, max));
  return static_cast<std::size_t>(value);
}

Result<std::size_t> EncoderHeader::size_or(std::string_view key, std::size_t fallback,
                                           std::size_t min, std::size_t max) const {
  LATHE_TRY(const std::uint64_t value, file->uint_or(key_of(key), fallback, min, max));
  return static_cast<std::size_t>(value);
}

Result<std::size_t> ClipHeader::merge_or(std::size_t fallback) const {
  LATHE_TRY(const std::size_t merge, size_or("spatial_merge_size", fallback, 1, kMaxMerge));
  return size_or("projector.scale_factor", merge, 1, kMaxMerge);
}

Status ClipHeader::check_rotary_heads() const {
  if (head_dim() % 4 == 0) return {};
  return invalid(
      "{}: clip.vision.embedding_length {} and clip.vision.attention.head_count {} are heads of "
      "{}; "
      "positions in rows and columns need a multiple of 4",
      place(), width, heads, head_dim());
}

Result<bool> has_encoder(const Gguf& file, const EncoderPart& part) {
  LATHE_TRY(const std::string architecture, file.text("general.architecture"));
  if (architecture != "clip")
    return invalid(
        "{}: is a model of architecture {}; encoders of {} are of architecture clip (their files "
        "are often called mmproj-….gguf)",
        file.path().string(), architecture, part.what);
  return file.boolean_or(fmt::format("clip.has_{}_encoder", part.name), false);
}

Result<std::string> read_projector(const Gguf& file, const EncoderPart& part) {
  LATHE_TRY(const bool there, has_encoder(file, part));
  if (!there)
    return invalid("{}: has no encoder of {} (clip.has_{}_encoder is not true)",
                   file.path().string(), part.what, part.name);
  const std::string own = fmt::format("clip.{}.projector_type", part.name);
  if (file.has(own)) return file.text(own);
  if (part.name == kVisionPart.name)
    return file.text_or("clip.projector_type", "mlp");  // the first files had but LLaVA's
  return file.text("clip.projector_type");
}

Result<ClipHeader> read_clip_header(const Gguf& file) {
  ClipHeader header;
  LATHE_TRY_STATUS(read_common(file, kVisionPart, header));
  LATHE_TRY(header.image, header.size("image_size", 1, kMaxSide));
  LATHE_TRY(header.patch, header.size("patch_size", 1, kMaxPatch));
  LATHE_TRY(header.activation, read_activation(file));
  LATHE_TRY(header.pixels, read_pixel_scale(file));
  if (header.image < header.patch)
    return invalid("{}: clip.vision.image_size {} is less than clip.vision.patch_size {}",
                   header.place(), header.image, header.patch);
  return header;
}

Result<SoundHeader> read_sound_header(const Gguf& file) {
  SoundHeader header;
  LATHE_TRY_STATUS(read_common(file, kAudioPart, header));
  header.activation = EncoderActivation::kGeluExact;
  LATHE_TRY(header.bins, header.size("num_mel_bins", 1, kMaxBins));
  return header;
}

}  // namespace lathe::infer
