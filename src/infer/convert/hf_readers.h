// What the config.json of each family says beyond what all say.
#pragma once

#include "infer/convert/hf_reader.h"

namespace lathe::infer {

Status read_plain(HfReader& reader);
Status read_cohere(HfReader& reader);
Status read_cohere2(HfReader& reader);
Status read_deepseek(HfReader& reader);
Status read_deepseek_sparse(HfReader& reader);
Status read_ernie_moe(HfReader& reader);
Status read_gemma2(HfReader& reader);
Status read_gemma3(HfReader& reader);
Status read_gemma4(HfReader& reader);
Status read_glm(HfReader& reader);
Status read_glm_lite(HfReader& reader);
Status read_glm_moe(HfReader& reader);
Status read_gpt_oss(HfReader& reader);
Status read_granite(HfReader& reader);
Status read_granite_hybrid(HfReader& reader);
Status read_granite_moe(HfReader& reader);
Status read_hunyuan(HfReader& reader);
Status read_kimi(HfReader& reader);
Status read_lfm(HfReader& reader);
Status read_lfm_moe(HfReader& reader);
Status read_llama4(HfReader& reader);
Status read_minimax(HfReader& reader);
Status read_mistral(HfReader& reader);
Status read_mixtral(HfReader& reader);
Status read_nemotron(HfReader& reader);
Status read_olmo3(HfReader& reader);
Status read_phi(HfReader& reader);
Status read_qwen35(HfReader& reader);
Status read_qwen_moe(HfReader& reader);
Status read_qwen_next(HfReader& reader);
Status read_smollm(HfReader& reader);

}  // namespace lathe::infer
