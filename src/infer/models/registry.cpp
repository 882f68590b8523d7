// The table of architectures. To add one: a file, and a row here.
#include "infer/models/blueprint.h"

namespace lathe::infer {

std::span<const Architecture> architectures() {
  static constexpr Architecture kArchitectures[] = {
      {"llama", read_llama},       {"qwen2", read_qwen2},      {"qwen3", read_qwen3},
      {"qwen3moe", read_qwen3moe}, {"gpt-oss", read_gpt_oss},  {"qwen3next", read_qwen3next},
      {"qwen35", read_qwen35},     {"qwen35moe", read_qwen35},
  };
  return kArchitectures;
}

}  // namespace lathe::infer
