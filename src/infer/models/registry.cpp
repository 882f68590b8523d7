// The table of architectures. To add one: a file, and a row here.
#include "infer/models/blueprint.h"

namespace lathe::infer {

std::span<const Architecture> architectures() {
  static constexpr Architecture kArchitectures[] = {
      {"llama", read_llama},
      {"llama4", read_llama4},
      {"mistral3", read_mistral3},
      {"smollm3", read_smollm3},
      {"granite", read_granite},
      {"granitemoe", read_granite},
      {"granitehybrid", read_granite_hybrid},
      {"nemotron_h", read_nemotron_h},
      {"nemotron_h_moe", read_nemotron_h},
      {"lfm2", read_lfm2},
      {"lfm2moe", read_lfm2},
      {"qwen2", read_qwen2},
      {"qwen2moe", read_qwen2moe},
      {"qwen2vl", read_qwen2vl},
      {"qwen3", read_qwen3},
      {"qwen3moe", read_qwen3moe},
      {"qwen3vl", read_qwen3vl},
      {"qwen3vlmoe", read_qwen3vlmoe},
      {"qwen3tts", read_qwen3tts},
      {"qwen3next", read_qwen3next},
      {"qwen35", read_qwen35},
      {"qwen35moe", read_qwen35},
      {"gpt-oss", read_gpt_oss},
      {"gemma2", read_gemma2},
      {"gemma3", read_gemma3},
      {"gemma4", read_gemma4},
      {"glm4", read_glm4},
      {"glm4moe", read_glm4moe},
      {"deepseek2", read_deepseek2},
      {"deepseek32", read_deepseek32},
      {"glm-dsa", read_glm_dsa},
      {"kimi-linear", read_kimi_linear},
      {"phi3", read_phi3},
      {"seed_oss", read_seed_oss},
      {"olmo2", read_olmo2},
      {"command-r", read_command_r},
      {"cohere2", read_cohere2},
      {"minimax-m2", read_minimax},
      {"hunyuan-moe", read_hunyuan_moe},
      {"ernie4_5", read_ernie},
      {"ernie4_5-moe", read_ernie},
      {"bert", read_bert},
      {"nomic-bert", read_nomic_bert},
      {"nomic-bert-moe", read_nomic_bert_moe},
      {"jina-bert-v2", read_jina_bert_v2},
      {"jina-bert-v3", read_jina_bert_v3},
      {"modern-bert", read_modern_bert},
      {"gemma-embedding", read_gemma_embedding},
  };
  return kArchitectures;
}

}  // namespace lathe::infer
