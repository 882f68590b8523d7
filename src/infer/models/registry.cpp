#include "infer/models/blueprint.h"

namespace lathe {

std::span<const Architecture> architectures() {
  static constexpr Architecture kArchitectures[] = {
      {"llama", read_llama},
      {"qwen2", read_qwen2},
      {"qwen3", read_qwen3},
      {"qwen3moe", read_qwen3moe},
  };
  return kArchitectures;
}

}  // namespace lathe
