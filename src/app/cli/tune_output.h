// The files of a trained adapter: OUT as GGUF, and beside it the directory that PEFT loads.
#pragma once

#include "infer/tune/output.h"

namespace lathe {

// "a/b.gguf" → "a/b.peft".
fs::path peft_directory(const fs::path& out);
Status write_adapter_files(const TuneModel& model, const LoraOptions& lora, const std::string& base,
                           const fs::path& out);

}  // namespace lathe
