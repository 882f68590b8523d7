// The tables of encoders of pictures and of sounds. To add one: a file, and a row here.
#include "infer/encoders/sound_model.h"
#include "infer/encoders/vision_model.h"

namespace lathe::infer {
namespace {

template <class Row>
Result<const Row*> find_by_name(const Gguf& file, const EncoderPart& part,
                                std::span<const Row> table) {
  LATHE_TRY(const std::string name, read_projector(file, part));
  std::string known;
  for (const Row& row : table) {
    if (row.name == name) return &row;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", row.name);
  }
  return invalid("{}: clip.projector_type is {}; of {} Lathe runs {}", file.path().string(), name,
                 part.what, known);
}

}  // namespace

std::span<const Projector> projectors() {
  static constexpr Projector kProjectors[] = {
      {"gemma3", "Gemma 3", make_gemma3},
      {"gemma4v", "Gemma 4", make_gemma4},
      {"qwen2vl_merger", "Qwen2-VL", make_qwen_vl},
      {"qwen2.5vl_merger", "Qwen2.5-VL", make_qwen_vl},
      {"qwen3vl_merger", "Qwen3-VL, Qwen3.5-VL", make_qwen_vl},
      {"idefics3", "SmolVLM, Idefics3", make_idefics3},
      {"pixtral", "Pixtral, Mistral 3", make_pixtral},
      {"internvl", "InternVL", make_internvl},
      {"mlp", "LLaVA 1.5, LLaVA 1.6", make_llava},
      {"lfm2", "LFM2-VL", make_lfm2},
  };
  return kProjectors;
}

std::span<const SoundProjector> sound_projectors() {
  static constexpr SoundProjector kProjectors[] = {
      {"qwen2a", "Qwen2-Audio, Qwen2.5-Omni", make_qwen2_audio},
      {"qwen3a", "Qwen3-ASR, Qwen3-Omni", make_qwen3_audio},
      {"ultravox", "Ultravox", make_ultravox},
      {"voxtral", "Voxtral", make_voxtral},
      {"gemma4a", "Gemma 4", make_gemma4_audio},
  };
  return kProjectors;
}

Result<const Projector*> find_projector(const Gguf& file) {
  return find_by_name(file, kVisionPart, projectors());
}
Result<const SoundProjector*> find_sound_projector(const Gguf& file) {
  return find_by_name(file, kAudioPart, sound_projectors());
}

}  // namespace lathe::infer
