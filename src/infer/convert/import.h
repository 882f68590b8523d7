// A Hugging Face model directory as one GGUF file: config.json, tokenizer.json, safetensors.
// Families: hf_families.cpp. What the engine would compute differently from the original is refused
// by name, not dropped.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "ground/base/file.h"
#include "ground/base/result.h"
#include "ground/base/stop.h"
#include "infer/quant/tensor_type.h"

namespace lathe::infer {

struct ImportOptions {
  std::optional<TensorType> type{};  // of matrices: F32, F16, BF16; as they are stored without one
  std::size_t threads = 1;
  // Bytes written, of. On the caller's thread; may be empty.
  std::function<void(std::uint64_t, std::uint64_t)> progress{};
  const StopFlag* stop = nullptr;
};

struct ImportReport {
  std::string architecture;
  std::size_t tensors = 0;
  std::uint64_t bytes = 0;
  std::vector<std::string> warnings;
};

// `out` appears whole or not at all.
Result<ImportReport> import_model(const fs::path& directory, const fs::path& out,
                                  const ImportOptions& options);

}  // namespace lathe::infer
