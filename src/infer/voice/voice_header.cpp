// The clip.gen.audio.* keys of a voice.
#include "infer/voice/voice_header.h"

namespace lathe::infer {
namespace {

constexpr std::string_view kProjector = "qwen3tts_gen", kSpeakers = "qwen3tts_spkenc";
constexpr std::string_view kKeys = "clip.gen.audio.";
constexpr std::size_t kMostWidth = std::size_t{1} << 16;
constexpr std::size_t kMostLayers = 512;
constexpr std::size_t kMostBins = 256;

std::string key_of(std::string_view key) {
  return fmt::format("{}{}", kKeys, key);
}

}  // namespace

bool is_voice(const Gguf& file) {
  const auto architecture = file.text_or("general.architecture", "");
  const auto projector = file.text_or(key_of("projector_type"), "");
  return architecture && *architecture == "clip" && projector && *projector == kProjector;
}

Result<VoiceHeader> read_voice_header(const Gguf& file) {
  if (!is_voice(file))
    return invalid("{}: its {} is not {}; what goes with a talker is its mmproj-….gguf",
                   file.path().string(), key_of("projector_type"), kProjector);
  VoiceHeader header;
  header.file = &file;
  const auto size = [&](std::string_view key, std::size_t most) {
    return file.uint(key_of(key), 1, most);
  };
  LATHE_TRY(header.embedding, size("projection_dim", kMostWidth));
  LATHE_TRY(header.width, size("embedding_length", kMostWidth));
  LATHE_TRY(header.hidden, size("feed_forward_length", kMostWidth * 4));
  LATHE_TRY(header.layers, size("block_count", kMostLayers));
  LATHE_TRY(header.heads, size("attention.head_count", kMostWidth));
  LATHE_TRY(header.kv_heads, size("attention.head_count_kv", kMostWidth));
  const std::string epsilon = key_of("attention.layer_norm_epsilon");
  LATHE_TRY(const double value, file.real(epsilon));
  if (!(value > 0 && value < 1))
    return invalid("{}: {} is {}; it must be between 0 and 1", file.path().string(), epsilon,
                   value);
  header.epsilon = static_cast<float>(value);
  LATHE_TRY(const std::string speakers, file.text_or("clip.audio.projector_type", ""));
  if (speakers == kSpeakers) {
    LATHE_TRY(header.bins, file.uint("clip.audio.num_mel_bins", 1, kMostBins));
  }
  return header;
}

}  // namespace lathe::infer
