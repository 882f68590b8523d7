// The table of picture encoders. To add one: a file, and a row here.
#include "infer/encoders/vision_model.h"

namespace lathe::infer {

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

Result<const Projector*> find_projector(const Gguf& file) {
  LATHE_TRY(const std::string name, read_projector(file));
  std::string known;
  for (const Projector& projector : projectors()) {
    if (projector.name == name) return &projector;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", projector.name);
  }
  return invalid("{}: clip.projector_type is {}; Lathe runs {}", file.path().string(), name, known);
}

}  // namespace lathe::infer
