#include "app/cli/tune_output.h"

#include "ground/base/json.h"

namespace lathe {
namespace {

// "q_proj" of "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight".
std::string module_of(const std::string& name) {
  const std::size_t end = name.rfind(".lora_"), start = name.rfind('.', end - 1);
  return name.substr(start + 1, end - start - 1);
}

}  // namespace

fs::path peft_directory(const fs::path& out) {
  fs::path directory = out;
  return directory.replace_extension(".peft");
}

Status write_adapter_files(const TuneModel& model, const LoraOptions& lora, const std::string& base,
                           const fs::path& out) {
  LATHE_TRY_STATUS(write_adapter(model, lora.alpha, out));
  const std::vector<PeftTensor> tensors = peft_tensors(model);
  std::vector<SafeTensorData> data;
  Json modules = Json::array();
  for (const PeftTensor& tensor : tensors) {
    data.push_back({tensor.name, tensor.shape, tensor.values});
    if (const std::string module = module_of(tensor.name);
        std::ranges::find(modules, Json(module)) == modules.end())
      modules.push_back(module);
  }
  const Json config{{"peft_type", "LORA"},
                    {"task_type", "CAUSAL_LM"},
                    {"base_model_name_or_path", base},
                    {"r", lora.rank},
                    {"lora_alpha", lora.alpha},
                    {"lora_dropout", 0.0},
                    {"target_modules", modules},
                    {"bias", "none"},
                    {"fan_in_fan_out", false},
                    {"use_rslora", false},
                    {"use_dora", false},
                    {"inference_mode", true}};
  const fs::path directory = peft_directory(out);
  LATHE_TRY_STATUS(make_directories(directory));
  LATHE_TRY_STATUS(write_safetensors(directory / "adapter_model.safetensors", data));
  return write_file_atomic(directory / "adapter_config.json", dump_json(config, 2) + "\n");
}

}  // namespace lathe
