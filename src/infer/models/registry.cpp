// The table of architectures. To add one: a file, and a row here.
#include "infer/models/blueprint.h"

namespace lathe::infer {

std::span<const Architecture> architectures() {
  static constexpr Architecture kArchitectures[] = {
      {"llama", read_llama, true},      {"qwen2", read_qwen2, true},
      {"qwen3", read_qwen3, true},      {"qwen3moe", read_qwen3moe, true},
      {"gpt-oss", read_gpt_oss, false}, {"qwen3next", read_qwen3next, false},
  };
  return kArchitectures;
}

}  // namespace lathe::infer
